"""ECS through the real SDK: roles of instances, their life, their network, and every refusal."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
import requests
import time_machine
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.auth.composer.rpc_signature_composer import get_signed_url
from aliyunsdkcore.auth.credentials import AccessKeyCredential, StsTokenCredential
from aliyunsdkcore.client import AcsClient

from helpers.message import NotModelled
from helpers.sandbox.account import Account, Instance, Role
from helpers.sandbox.credentials import issue
from helpers.sandbox.ecs import SERVICE
from helpers.sandbox.scenario import TRUST_POLICY, add_user
from tests.sandbox.in_process import NOW, RECORDINGS, Stage

REGION = "cn-hangzhou"
OURS = "i-bXXXXXXXX"
CLASSIC = "i-bYYYYYYYY"
OTHER_REGION = "i-bZZZZZZZZ"
ROLE = "EcsRamRoleTest"
IMAGE = "centos_7_03_64_40G_alibase_20170503.vhd"
WINDOWS = "win2019_1809_x64_dtc_zh-cn_40G_alibase_20210420.vhd"
V_SWITCH = "vsw-test"
TINY = "vsw-tiny"
VPC = "vpc-test"
GROUP = "sg-test"
ALLOW_ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}
NOT_FOR_ECS = TRUST_POLICY.replace("ecs.aliyuncs.com", "oss.aliyuncs.com")
CREATE = {
    "ImageId": IMAGE,
    "InstanceType": "ecs.g6.large",
    "VSwitchId": V_SWITCH,
    "RamRoleName": ROLE,
}
TOKEN = "123e4567-e89b-12d3-a456-426655440000"
PASSWORD = "Test123456"


def request_for(operation: str, parameters: dict[str, Any]) -> Any:
    """The SDK's request object; a parameter named with a dot goes in as the SDK would send it."""
    module = import_module(f"aliyunsdkecs.request.v20140526.{operation}Request")
    request = getattr(module, f"{operation}Request")()
    for name, value in parameters.items():
        if name in ("Action", "RegionId", "Timestamp") or "." in name:
            request.add_query_param(name, value)
        else:
            getattr(request, f"set_{name}")(value)
    return request


def call(client: AcsClient, operation: str, **parameters: Any) -> dict[str, Any]:
    return json.loads(client.do_action_with_exception(request_for(operation, parameters)))


def refusal(client: AcsClient, operation: str, **parameters: Any) -> tuple[int, str, str]:
    with pytest.raises(ServerException) as refused:
        call(client, operation, **parameters)
    return refused.value.http_status, refused.value.error_code, refused.value.message


def client_of(key: Any, region_id: str = REGION) -> AcsClient:
    credential = AccessKeyCredential(key.access_key_id, key.secret)
    return AcsClient(region_id=region_id, credential=credential)


def user_with(account: Account, *statements: dict[str, Any]) -> AcsClient:
    document = json.dumps({"Version": "1", "Statement": list(statements)})
    return client_of(add_user(account, "intern", {"policy": document}))


def allow(action: str, resource: str = "*", **condition: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement


@pytest.fixture
def account(stage: Stage) -> Account:
    """Two vSwitches, a security group, an image, a role; instances in a VPC, classic, elsewhere."""
    account = stage.account
    account.v_switches = {
        V_SWITCH: {"VpcId": VPC, "ZoneId": "cn-hangzhou-i", "CidrBlock": "192.168.0.0/24"},
        TINY: {"VpcId": VPC, "ZoneId": "cn-hangzhou-h", "CidrBlock": "192.168.1.0/30"},
    }
    account.security_groups = {GROUP: []}
    account.images = {IMAGE, WINDOWS}
    account.roles[ROLE] = Role(ROLE, "345000000000****", TRUST_POLICY, NOW)
    account.roles["NotForEcs"] = Role("NotForEcs", "345000000001****", NOT_FOR_ECS, NOW)
    attributes = {"VSwitchId": V_SWITCH, "InstanceType": "ecs.g6.large", "ImageId": IMAGE}
    created = NOW - timedelta(days=30)
    account.instances = {
        OURS: Instance(OURS, REGION, created, attributes=attributes),
        CLASSIC: Instance(CLASSIC, REGION, created, network_type="classic"),
        OTHER_REGION: Instance(OTHER_REGION, "cn-beijing", created),
    }
    return account


@pytest.fixture
def client(stage: Stage, account: Account) -> AcsClient:
    return client_of(stage.root)


def ids(*instance_ids: str) -> str:
    return json.dumps(list(instance_ids))


def attach(client: AcsClient, *instance_ids: str, role: str = ROLE, **more: Any) -> dict[str, Any]:
    named = ids(*instance_ids or (OURS,))
    return call(client, "AttachInstanceRamRole", InstanceIds=named, RamRoleName=role, **more)


def attached(client: AcsClient, *instance_ids: str) -> list[dict[str, str]]:
    named = ids(*instance_ids or (OURS,))
    answer = call(client, "DescribeInstanceRamRole", InstanceIds=named)
    return answer["InstanceRamRoleSets"]["InstanceRamRoleSet"]


def described(client: AcsClient, **filters: Any) -> list[dict[str, Any]]:
    return call(client, "DescribeInstances", **filters)["Instances"]["Instance"]


def names(client: AcsClient, **filters: Any) -> list[str]:
    return [one["InstanceId"] for one in described(client, **filters)]


def status(client: AcsClient, instance_id: str = OURS) -> str:
    answer = call(client, "DescribeInstanceStatus", InstanceIds=[instance_id])
    (one,) = answer["InstanceStatuses"]["InstanceStatus"]
    return one["Status"]


# Roles of instances


def test_a_role_is_attached_seen_and_detached(client: AcsClient) -> None:
    assert attached(client) == []
    assert attach(client) == {
        "RamRoleName": ROLE,
        "RequestId": "D9553E4C-6C3A-4D66-AE79-9835AF705639",
        "TotalCount": 1,
        "FailCount": 0,
        "AttachInstanceRamRoleResults": {
            "AttachInstanceRamRoleResult": [
                {"Code": 200, "Message": "success", "InstanceId": OURS, "Success": True}
            ]
        },
    }
    assert attached(client) == [{"RamRoleName": ROLE, "InstanceId": OURS}]
    gone = call(client, "DetachInstanceRamRole", InstanceIds=ids(OURS), RamRoleName=ROLE)
    assert (gone["RamRoleName"], gone["TotalCount"], gone["FailCount"]) == (ROLE, 1, 0)
    (result,) = gone["DetachInstanceRamRoleResults"]["DetachInstanceRamRoleResult"]
    assert result["InstanceId"] == OURS
    assert result["InstanceRamRoleSets"]["InstanceRamRoleSet"] == [
        {"RamRoleName": ROLE, "InstanceId": OURS}
    ]
    assert attached(client) == []


def test_an_attachment_can_be_repeated_but_a_detachment_cannot(client: AcsClient) -> None:
    assert attach(client)["FailCount"] == attach(client)["FailCount"] == 0
    call(client, "DetachInstanceRamRole", InstanceIds=ids(OURS))
    again = refusal(client, "DetachInstanceRamRole", InstanceIds=ids(OURS))
    assert again[:2] == (404, "InvalidRamRole.NotFound")
    assert attach(client)["FailCount"] == 0


def test_a_refused_attachment_leaves_every_instance_as_it_was(client: AcsClient) -> None:
    both = {"InstanceIds": ids(OURS, CLASSIC), "RamRoleName": ROLE}
    assert refusal(client, "AttachInstanceRamRole", **both)[0] == 403
    assert attached(client) == []


def test_a_role_names_its_instances(client: AcsClient, account: Account) -> None:
    account.instances["i-b2"] = Instance("i-b2", REGION, NOW)
    attach(client, OURS, "i-b2")
    asked = {"RamRoleName": ROLE, "PageSize": 1}
    pages = [call(client, "DescribeInstanceRamRole", PageNumber=n, **asked) for n in (1, 2, 3)]
    assert [page["TotalCount"] for page in pages] == [2, 2, 2]
    sets = [page["InstanceRamRoleSets"]["InstanceRamRoleSet"] for page in pages]
    assert [[one["InstanceId"] for one in found] for found in sets] == [[OURS], ["i-b2"], []]


def test_a_session_policy_narrows_the_attached_role(client: AcsClient, account: Account) -> None:
    policy = json.dumps({"Version": "1", "Statement": [allow("oss:GetObject")]})
    attach(client, Policy=policy)
    assert account.instances[OURS].session_policy == policy
    attach(client)
    assert account.instances[OURS].session_policy == ""
    attach(client, Policy=policy)
    call(client, "DetachInstanceRamRole", InstanceIds=ids(OURS))
    assert account.instances[OURS].session_policy == ""


def test_an_id_given_twice_counts_once(client: AcsClient) -> None:
    assert attach(client, OURS, OURS)["TotalCount"] == 1


def test_both_filters_of_a_role_query_must_fit(client: AcsClient) -> None:
    attach(client)
    for role, count in ((ROLE, 1), ("NotForEcs", 0)):
        asked = {"InstanceIds": ids(OURS), "RamRoleName": role}
        assert call(client, "DescribeInstanceRamRole", **asked)["TotalCount"] == count


# Creating


def test_a_new_instance_ends_stopped_with_its_role(client: AcsClient, stage: Stage) -> None:
    named = {"InstanceName": "web-1", "HostName": "web", "Description": "of a test"}
    created = call(client, "CreateInstance", Password=PASSWORD, **CREATE, **named)
    assert set(created) == {"InstanceId", "RequestId"}
    instance_id = created["InstanceId"]
    assert re.fullmatch("i-[a-z0-9]{20}", instance_id)
    assert status(client, instance_id) == "Pending"
    stage.advance(seconds=5)
    assert status(client, instance_id) == "Stopped"
    assert attached(client, instance_id) == [{"RamRoleName": ROLE, "InstanceId": instance_id}]
    (seen,) = described(client, InstanceIds=ids(instance_id))
    assert {name: seen[name] for name in (*named, "ImageId", "InstanceType", "ZoneId")} == {
        **named,
        "ImageId": IMAGE,
        "InstanceType": "ecs.g6.large",
        "ZoneId": "cn-hangzhou-i",
    }


def test_what_describe_instances_says_of_a_plain_new_instance(
    client: AcsClient, stage: Stage
) -> None:
    instance_id = call(client, "CreateInstance", **CREATE)["InstanceId"]
    stage.advance(minutes=1)
    (seen,) = described(client, InstanceIds=ids(instance_id))
    expected = {
        "InstanceName": instance_id,
        "HostName": f"iZ{instance_id.removeprefix('i-')}Z",
        "Description": "",
        "Status": "Stopped",
        "StoppedMode": "KeepCharging",
        "CreationTime": "2026-01-15T08:00Z",
        "RegionId": REGION,
        "Cpu": 2,
        "Memory": 8192,
        "InstanceTypeFamily": "ecs.g6",
        "InternetMaxBandwidthOut": 0,
        "InternetChargeType": "PayByTraffic",
        "SecurityGroupIds": {"SecurityGroupId": [GROUP]},
        "PublicIpAddress": {"IpAddress": []},
        "EipAddress": {"AllocationId": "", "IpAddress": "", "InternetChargeType": ""},
        "MetadataOptions": {"HttpTokens": "", "HttpEndpoint": ""},
        "VpcAttributes": {
            "PrivateIpAddress": {"IpAddress": ["192.168.0.1"]},
            "VpcId": VPC,
            "VSwitchId": V_SWITCH,
            "NatIpAddress": "",
        },
        "OSType": "linux",
    }
    assert {name: seen[name] for name in expected} == expected
    assert "Tags" not in seen


def test_the_recording_leaves_nothing_of_its_own_instance(client: AcsClient) -> None:
    recorded = RECORDINGS.find("ecs", "DescribeInstances").tree["Instances"]["Instance"][0]
    text = json.dumps(described(client))
    for name in ("InstanceId", "InstanceName", "HostName", "ImageId", "InstanceType", "RegionId"):
        assert recorded[name] not in text
    for address in ("192.168.***", "39.99.", "vpc-8vb", "vsw-8vb", "sg-8vb", "eni-8vb"):
        assert address not in text


@pytest.mark.parametrize(
    ("instance_type", "cpu", "memory"),
    [
        ("ecs.g6.large", 2, 8192),
        ("ecs.g6.xlarge", 4, 16384),
        ("ecs.g6.2xlarge", 8, 32768),
        ("ecs.c6.large", 2, 4096),
        ("ecs.r6e.4xlarge", 16, 131072),
        ("ecs.t6-c2m1.large", None, None),
        ("ecs.g6.26xlarge", None, None),
    ],
)
def test_sizes(client: AcsClient, instance_type: str, cpu: Any, memory: Any) -> None:
    made = call(client, "CreateInstance", **{**CREATE, "InstanceType": instance_type})
    (seen,) = described(client, InstanceIds=ids(made["InstanceId"]))
    assert (seen.get("Cpu"), seen.get("Memory")) == (cpu, memory)


def test_private_addresses_differ(client: AcsClient) -> None:
    for _ in range(3):
        call(client, "CreateInstance", **CREATE)
    listed = [one["VpcAttributes"]["PrivateIpAddress"]["IpAddress"] for one in described(client)]
    assert listed == [[], [], ["192.168.0.1"], ["192.168.0.2"], ["192.168.0.3"]]


def test_a_client_token_creates_once(client: AcsClient, account: Account) -> None:
    before = len(account.instances)
    first = call(client, "CreateInstance", ClientToken=TOKEN, **CREATE)
    assert call(client, "CreateInstance", ClientToken=TOKEN, **CREATE) == first
    assert len(account.instances) == before + 1
    other = call(client, "CreateInstance", ClientToken=TOKEN + "0", **CREATE)
    assert other["InstanceId"] != first["InstanceId"]


def test_the_sdk_adds_no_token_so_each_call_creates(client: AcsClient) -> None:
    request = request_for("CreateInstance", CREATE)
    first, second = (json.loads(client.do_action_with_exception(request)) for _ in range(2))
    assert first["InstanceId"] != second["InstanceId"]


def test_a_dry_run_changes_nothing(client: AcsClient, account: Account, stage: Stage) -> None:
    request = request_for("CreateInstance", {"DryRun": True, **CREATE})
    before = set(account.instances)
    with pytest.raises(ServerException, match="Request validation has been passed") as refused:
        client.do_action_with_exception(request)
    assert (refused.value.http_status, refused.value.error_code) == (400, "DryRunOperation")
    assert set(account.instances) == before
    request.set_DryRun(False)
    instance_id = json.loads(client.do_action_with_exception(request))["InstanceId"]
    stage.advance(minutes=1)
    for operation in ("StartInstance", "DeleteInstance"):
        dry = refusal(client, operation, InstanceId=instance_id, DryRun=True)
        assert dry[:2] == (400, "DryRunOperation")
    assert status(client, instance_id) == "Stopped"
    assert refusal(client, "StopInstance", InstanceId=OURS, DryRun=True)[1] == "DryRunOperation"
    assert status(client) == "Running"


def test_a_password_is_nowhere_in_the_state(client: AcsClient, account: Account) -> None:
    call(client, "CreateInstance", Password=PASSWORD, ClientToken=TOKEN, **CREATE)
    call(client, "ModifyInstanceAttribute", InstanceId=OURS, Password=PASSWORD)
    assert PASSWORD not in repr(account)


def test_subscription_is_not_modelled(client: AcsClient) -> None:
    with pytest.raises(NotModelled, match="InstanceChargeType=PrePaid"):
        call(client, "CreateInstance", InstanceChargeType="PrePaid", **CREATE)


# Living


def test_the_life_of_an_instance(client: AcsClient, account: Account, stage: Stage) -> None:
    instance_id = call(client, "CreateInstance", **CREATE)["InstanceId"]
    named = {"InstanceId": instance_id}
    stage.advance(minutes=1)
    call(client, "StartInstance", **named)
    assert status(client, instance_id) == "Starting"
    stage.advance(seconds=20)
    assert status(client, instance_id) == "Running"
    (seen,) = described(client, InstanceIds=ids(instance_id))
    assert (seen["StartTime"], seen["StoppedMode"]) == ("2026-01-15T08:01Z", "Not-applicable")
    call(client, "StopInstance", StoppedMode="StopCharging", **named)
    assert status(client, instance_id) == "Stopping"
    stage.advance(seconds=10)
    assert status(client, instance_id) == "Stopped"
    assert described(client, InstanceIds=ids(instance_id))[0]["StoppedMode"] == "StopCharging"
    call(client, "DeleteInstance", **named)
    assert described(client, InstanceIds=ids(instance_id)) == []
    assert refusal(client, "DeleteInstance", **named)[1] == "InvalidInstanceId.NotFound"


def test_force_deletes_what_is_running(client: AcsClient, account: Account) -> None:
    assert refusal(client, "DeleteInstance", InstanceId=OURS)[1] == "IncorrectInstanceStatus"
    call(client, "DeleteInstance", InstanceId=OURS, Force=True)
    assert OURS not in account.instances


STATES = ["Pending", "Running", "Starting", "Stopping", "Stopped"]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(
    ("operation", "parameters", "allowed"),
    [
        ("StartInstance", {}, ["Stopped"]),
        ("StopInstance", {}, ["Running"]),
        ("DeleteInstance", {}, ["Stopped"]),
        ("DeleteInstance", {"Force": True}, ["Stopped", "Running"]),
        ("AllocatePublicIpAddress", {}, ["Stopped", "Running"]),
        ("ModifyInstanceAttribute", {"InstanceName": "web-2"}, STATES),
        ("ModifyInstanceAttribute", {"UserData": "ZWNobyBoZWxsbyBlY3Mh"}, ["Stopped"]),
        (
            "ModifyInstanceAttribute",
            {"Password": PASSWORD},
            [state for state in STATES if state != "Starting"],
        ),
    ],
)
def test_which_state_allows_what(
    client: AcsClient,
    account: Account,
    state: str,
    operation: str,
    parameters: dict[str, Any],
    allowed: list[str],
) -> None:
    account.instances[OURS].attributes["InternetMaxBandwidthOut"] = "5"
    account.instances[OURS].enter(state, NOW)
    sent = {"InstanceId": OURS, **parameters}
    if state in allowed:
        call(client, operation, **sent)
    else:
        status_code, code, _ = refusal(client, operation, **sent)
        assert status_code == 403
        assert code.startswith("IncorrectInstanceStatus")


def test_attributes_change(client: AcsClient, account: Account) -> None:
    changed = {"InstanceName": "web:2", "Description": "中文 text", "HostName": "a.b-c"}
    answer = call(client, "ModifyInstanceAttribute", InstanceId=OURS, **changed)
    assert set(answer) == {"RequestId"}
    (seen,) = described(client, InstanceIds=ids(OURS))
    assert {name: seen[name] for name in changed} == changed


@pytest.mark.parametrize(
    ("password", "image_id", "fits"),
    [
        ("Test123456", IMAGE, True),
        ("test123456", IMAGE, False),  # two kinds
        ("test12345!", IMAGE, True),
        ("TESTTEST!!", IMAGE, False),
        ("Tt1!Tt1", IMAGE, False),  # seven characters
        ("Tt1!Tt1!", IMAGE, True),
        ("Tt1!" * 7 + "Tt", IMAGE, True),  # thirty
        ("Tt1!" * 7 + "Tt1", IMAGE, False),
        ("Test 123456", IMAGE, False),  # a blank is none of the special characters
        ("Test\u00e4123456", IMAGE, False),
        ('Test"123456', IMAGE, False),
        ("Test123456\n", IMAGE, False),
        ("/Test123456", IMAGE, True),
        ("/Test123456", WINDOWS, False),
        *((f"Test1234{special}", IMAGE, True) for special in "()`~!@#$%^&*-_+=|{}[]:;'<>,.?/"),
    ],
)
def test_passwords(
    client: AcsClient, account: Account, password: str, image_id: str, fits: bool
) -> None:
    account.instances[OURS].attributes["ImageId"] = image_id
    sent = {"InstanceId": OURS, "Password": password}
    if fits:
        call(client, "ModifyInstanceAttribute", **sent)
    else:
        assert refusal(client, "ModifyInstanceAttribute", **sent) == (
            400,
            "InvalidPassword.Malformed",
            'The specified parameter "Password" is not valid.',
        )


@pytest.mark.parametrize(
    ("parameter", "value", "fits"),
    [
        ("InstanceName", "ab", True),
        ("InstanceName", "实例_1.2:3-4", True),
        ("InstanceName", "a" * 128, True),
        ("InstanceName", "a" * 129, False),
        ("InstanceName", "a", False),
        ("InstanceName", "1a", False),
        ("InstanceName", "_a", False),
        ("InstanceName", "a b", False),
        ("InstanceName", "http://a", False),
        ("Description", "a", False),
        ("Description", "a\nb", True),
        ("Description", "a" * 256, True),
        ("Description", "a" * 257, False),
        ("Description", "https://a", False),
        ("HostName", "web-1.example", True),
        ("HostName", "w", False),
        ("HostName", "w" * 64, True),
        ("HostName", "w" * 65, False),
        ("HostName", "-web", False),
        ("HostName", "web.", False),
        ("HostName", "web--1", False),
        ("HostName", "web..1", False),
        ("HostName", "web_1", False),
    ],
)
def test_names(client: AcsClient, parameter: str, value: str, fits: bool) -> None:
    sent = {"InstanceId": OURS, parameter: value}
    if fits:
        call(client, "ModifyInstanceAttribute", **sent)
    else:
        code = f"Invalid{parameter}.Malformed"
        assert refusal(client, "ModifyInstanceAttribute", **sent)[:2] == (400, code)


@pytest.mark.parametrize(
    ("host_name", "fits"),
    [("web-1", True), ("w" * 15, True), ("w" * 16, False), ("a.b", False), ("12345", False)],
)
def test_host_names_on_windows(client: AcsClient, host_name: str, fits: bool) -> None:
    sent = {**CREATE, "ImageId": WINDOWS, "HostName": host_name}
    if fits:
        made = call(client, "CreateInstance", **sent)
        (seen,) = described(client, InstanceIds=ids(made["InstanceId"]))
        assert (seen["HostName"], seen["OSType"]) == (host_name, "windows")
    else:
        assert refusal(client, "CreateInstance", **sent)[1] == "InvalidHostName.Malformed"


def test_user_data_is_kept_up_to_16_kib(client: AcsClient, account: Account) -> None:
    user_data = base64.b64encode(b"x" * 16 * 1024).decode()
    made = call(client, "CreateInstance", UserData=user_data, **CREATE)["InstanceId"]
    assert account.instances[made].attributes["UserData"] == user_data


def test_metadata_options(client: AcsClient, account: Account) -> None:
    def options() -> dict[str, str]:
        asked = {"AdditionalAttributess": ["META_OPTIONS"], "InstanceIds": ids(OURS)}
        return described(client, **asked)[0]["MetadataOptions"]

    assert options() == {"HttpTokens": "optional", "HttpEndpoint": "enabled"}
    sent = {"InstanceId": OURS, "HttpEndpoint": "enabled"}
    call(client, "ModifyInstanceMetadataOptions", HttpTokens="required", **sent)
    call(client, "ModifyInstanceMetadataOptions", **sent)
    assert options() == {"HttpTokens": "required", "HttpEndpoint": "enabled"}
    made = call(client, "CreateInstance", HttpTokens="required", **CREATE)["InstanceId"]
    assert account.instances[made].http_tokens == "required"


# Finding


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, ["web-1", "web-2", "db", OURS, CLASSIC]),
        ({"InstanceIds": "[]"}, []),
        ({"InstanceIds": ids(OURS, "i-none")}, [OURS]),
        ({"InstanceIds": ids(OTHER_REGION)}, []),
        ({"InstanceName": "web-*"}, ["web-1", "web-2"]),
        ({"InstanceName": "web-1"}, ["web-1"]),
        ({"InstanceName": "web-?"}, []),
        ({"InstanceName": "[a-z]*"}, []),
        ({"Status": "Running"}, [OURS, CLASSIC]),
        ({"Status": "Running", "InstanceNetworkType": "classic"}, [CLASSIC]),
        ({"VSwitchId": V_SWITCH}, ["web-1", "web-2", "db", OURS]),
        ({"VSwitchId": "vsw-none"}, []),
        ({"VpcId": VPC, "ZoneId": "cn-hangzhou-i", "Status": "Stopped"}, ["web-1", "web-2", "db"]),
        ({"ImageId": WINDOWS}, []),
        ({"InstanceType": "ecs.c6.large"}, ["db"]),
        ({"SecurityGroupId": GROUP}, ["web-1", "web-2", "db"]),
        ({"Tags": [{"Key": "stage", "Value": "test"}]}, ["web-1"]),
        ({"Tags": [{"Key": "stage"}]}, ["web-1", "web-2"]),
        ({"Tags": [{"Key": "stage", "Value": "test"}, {"Key": "other"}]}, []),
        ({"PageSize": 2}, [OURS, CLASSIC]),
        ({"PageSize": 2, "PageNumber": 3}, ["db"]),
        ({"PageSize": 2, "PageNumber": 4}, []),
    ],
)
def test_filters(
    client: AcsClient, stage: Stage, filters: dict[str, Any], found: list[str]
) -> None:
    made = {OURS: OURS, CLASSIC: CLASSIC}
    for name, more in {
        "web-1": {"Tags": [{"Key": "stage", "Value": "test"}]},
        "web-2": {"Tags": [{"Key": "stage", "Value": "production"}]},
        "db": {"InstanceType": "ecs.c6.large"},
    }.items():
        sent = {**CREATE, "InstanceName": name, **more}
        made[call(client, "CreateInstance", **sent)["InstanceId"]] = name
    stage.advance(minutes=1)
    assert {made[one] for one in names(client, **filters)} == set(found)


def test_tags_are_shown(client: AcsClient) -> None:
    tags = [{"Key": "stage", "Value": "test"}, {"Key": "empty"}]
    made = call(client, "CreateInstance", Tags=tags, **CREATE)["InstanceId"]
    (seen,) = described(client, InstanceIds=ids(made))
    assert seen["Tags"]["Tag"] == [
        {"TagKey": "stage", "TagValue": "test"},
        {"TagKey": "empty", "TagValue": ""},
    ]


def test_statuses(client: AcsClient) -> None:
    answer = call(client, "DescribeInstanceStatus")
    assert answer["InstanceStatuses"]["InstanceStatus"] == [
        {"Status": "Running", "InstanceId": OURS},
        {"Status": "Running", "InstanceId": CLASSIC},
    ]
    assert (answer["TotalCount"], answer["PageNumber"], answer["PageSize"]) == (2, 1, 10)
    none = call(client, "DescribeInstanceStatus", InstanceIds=["i-none"])
    assert none["InstanceStatuses"]["InstanceStatus"] == []
    zone = call(client, "DescribeInstanceStatus", ZoneId="cn-hangzhou-i")
    assert zone["TotalCount"] == 1


def test_each_region_shows_its_own(stage: Stage, client: AcsClient) -> None:
    elsewhere = client_of(stage.root, "cn-beijing")
    assert names(elsewhere) == [OTHER_REGION]
    assert call(elsewhere, "DescribeVSwitches")["VSwitches"]["VSwitch"] == []
    for operation, sent, code in (
        ("StopInstance", {"InstanceId": OURS}, "InvalidInstanceId.NotFound"),
        ("CreateInstance", CREATE, "InvalidVSwitchId.NotFound"),
        ("AuthorizeSecurityGroup", RULE, "InvalidSecurityGroupId.NotFound"),
    ):
        assert refusal(elsewhere, operation, **sent)[:2] == (404, code)


# The network


def test_a_public_address(client: AcsClient, stage: Stage) -> None:
    made = call(client, "CreateInstance", InternetMaxBandwidthOut=5, **CREATE)["InstanceId"]
    stage.advance(minutes=1)
    address = call(client, "AllocatePublicIpAddress", InstanceId=made)["IpAddress"]
    assert address.startswith("203.0.113.")
    (seen,) = described(client, InstanceIds=ids(made))
    assert seen["PublicIpAddress"]["IpAddress"] == [address]
    assert seen["InternetMaxBandwidthOut"] == 5


RULE = {
    "SecurityGroupId": GROUP,
    "IpProtocol": "tcp",
    "PortRange": "22/22",
    "SourceCidrIp": "10.0.0.0/8",
}


def test_a_rule_is_added_once(client: AcsClient, account: Account) -> None:
    for more in ({}, {}, {"Description": "again"}, {"IpProtocol": "TCP"}):
        assert set(call(client, "AuthorizeSecurityGroup", **{**RULE, **more})) == {"RequestId"}
    assert account.security_groups[GROUP] == [
        {
            "IpProtocol": "tcp",
            "PortRange": "22/22",
            "Source": "10.0.0.0/8",
            "Policy": "accept",
            "Priority": "1",
            "NicType": "intranet",
        }
    ]
    for more in (
        {"PortRange": "80/80"},
        {"Policy": "drop"},
        {"SourceCidrIp": "10.0.0.1"},
        {"SourceCidrIp": "10.0.0.1/8"},
    ):
        call(client, "AuthorizeSecurityGroup", **{**RULE, **more})
    assert len(account.security_groups[GROUP]) == 5


def test_a_rule_is_revoked_by_its_parameters(client: AcsClient, account: Account) -> None:
    other = {**RULE, "PortRange": "80/80"}
    for rule in (RULE, other):
        call(client, "AuthorizeSecurityGroup", **rule)
    for _ in ("there", "no longer there"):
        assert set(call(client, "RevokeSecurityGroup", **RULE)) == {"RequestId"}
        assert [rule["PortRange"] for rule in account.security_groups[GROUP]] == ["80/80"]


def test_a_rule_for_another_group(client: AcsClient, account: Account) -> None:
    account.security_groups["sg-2"] = []
    sent = {**RULE, "SourceGroupId": "sg-2", "IpProtocol": "icmp", "PortRange": "-1/-1"}
    del sent["SourceCidrIp"]
    call(client, "AuthorizeSecurityGroup", **sent)
    assert account.security_groups[GROUP][0]["Source"] == "sg-2"


def test_v_switches(client: AcsClient) -> None:
    call(client, "CreateInstance", **CREATE)
    answer = call(client, "DescribeVSwitches")
    listed = {one["VSwitchId"]: one for one in answer["VSwitches"]["VSwitch"]}
    assert set(listed) == {V_SWITCH, TINY}
    assert answer["TotalCount"] == 2
    first = listed[V_SWITCH]
    assert (first["VpcId"], first["ZoneId"], first["CidrBlock"]) == (
        VPC,
        "cn-hangzhou-i",
        "192.168.0.0/24",
    )
    assert first["AvailableIpAddressCount"] == 251
    assert listed[TINY]["AvailableIpAddressCount"] == 0
    for name, value, count in (
        ("VSwitchId", TINY, 1),
        ("ZoneId", "cn-hangzhou-i", 1),
        ("VpcId", VPC, 2),
        ("VpcId", "vpc-none", 0),
    ):
        assert call(client, "DescribeVSwitches", **{name: value})["TotalCount"] == count


# Every refusal, from the state that causes it

Given = Callable[[Account], Any]


def as_it_is(account: Account) -> None:
    pass


def the_role_is_attached(account: Account) -> None:
    account.instances[OURS].role_name = ROLE


def another_role_is_attached(account: Account) -> None:
    account.instances[OURS].role_name = "NotForEcs"


def it_has_bandwidth(account: Account) -> None:
    account.instances[OURS].attributes["InternetMaxBandwidthOut"] = "5"


def it_has_an_address(account: Account) -> None:
    account.instances[OURS].attributes["PublicIpAddress"] = "203.0.113.7"


def every_address_is_taken(account: Account) -> None:
    it_has_bandwidth(account)
    for number in range(256):
        address = {"PublicIpAddress": f"203.0.113.{number}"}
        account.instances[f"i-{number}"] = Instance(f"i-{number}", REGION, NOW, attributes=address)


def it_is_being_created(account: Account) -> None:
    account.instances[OURS].enter("Pending", NOW)


def the_group_is_full(account: Account) -> None:
    account.security_groups[GROUP] = [{"Priority": str(number)} for number in range(200)]


def the_token_is_used(account: Account) -> None:
    account.client_tokens[TOKEN] = ("digest of another call", OURS)


ATTACH = {"InstanceIds": ids(OURS), "RamRoleName": ROLE}
LONG_USER_DATA = base64.b64encode(b"x" * (16 * 1024 + 1)).decode()
OPTIONS = {"InstanceId": OURS, "HttpEndpoint": "enabled"}
# operation, what it is sent, the state, the status, the code
REFUSALS: list[tuple[str, dict[str, Any], Given, int, str]] = [
    *(
        ("AttachInstanceRamRole", {**ATTACH, "InstanceIds": text}, as_it_is, 400,
         "InvalidInstanceIds.Malformed")
        for text in (OURS, "[]", f'"{OURS}"', f"[{OURS}]", "[1]", "{}", "[" * 9000,
                     ids(*(f"i-{n}" for n in range(101))))
    ),
    ("AttachInstanceRamRole", {**ATTACH, "InstanceIds": ids("i-none")}, as_it_is, 404,
     "InvalidInstanceId.NotFound"),
    ("AttachInstanceRamRole", {**ATTACH, "InstanceIds": ids(OTHER_REGION)}, as_it_is, 404,
     "InvalidInstanceId.NotFound"),
    ("AttachInstanceRamRole", {**ATTACH, "InstanceIds": ids(CLASSIC)}, as_it_is, 403,
     "InvalidNetworkType.MismatchRamRole"),
    ("AttachInstanceRamRole", {**ATTACH, "RamRoleName": "None"}, as_it_is, 404,
     "InvalidRamRole.NotFound"),
    ("AttachInstanceRamRole", {**ATTACH, "RamRoleName": "NotForEcs"}, as_it_is, 404,
     "InvalidRamRole.NotEcsRole"),
    ("AttachInstanceRamRole", ATTACH, another_role_is_attached, 409, "OperationConflict"),
    ("AttachInstanceRamRole", {**ATTACH, "Policy": "{}"}, as_it_is, 400, "InvalidParameter"),
    ("AttachInstanceRamRole", {**ATTACH, "Policy": " " * 1025}, as_it_is, 400, "InvalidParameter"),
    ("AttachInstanceRamRole", {"RamRoleName": ROLE}, as_it_is, 400, "MissingParameter"),
    ("AttachInstanceRamRole", {"InstanceIds": ids(OURS)}, as_it_is, 400, "MissingParameter"),
    ("DetachInstanceRamRole", {"InstanceIds": OURS}, as_it_is, 400, "InvalidInstanceIds.Malformed"),
    ("DetachInstanceRamRole", {"InstanceIds": ids("i-none")}, as_it_is, 404,
     "InvalidInstanceId.NotFound"),
    ("DetachInstanceRamRole", {"InstanceIds": ids(CLASSIC)}, as_it_is, 403,
     "InvalidNetworkType.MismatchRamRole"),
    ("DetachInstanceRamRole", {"InstanceIds": ids(OURS)}, as_it_is, 404, "InvalidRamRole.NotFound"),
    ("DetachInstanceRamRole", {"InstanceIds": ids(OURS), "RamRoleName": "None"},
     the_role_is_attached, 404, "InvalidRamRole.NotFound"),
    ("DescribeInstanceRamRole", {}, as_it_is, 403, "InvalidParameter.AllEmpty"),
    ("DescribeInstanceRamRole", {"RamRoleName": "None"}, as_it_is, 404, "InvalidRamRole.NotFound"),
    ("DescribeInstanceRamRole", {"InstanceIds": ids("i-none")}, as_it_is, 404,
     "InvalidInstanceId.NotFound"),
    ("DescribeInstanceRamRole", {"InstanceIds": ids(CLASSIC)}, as_it_is, 403,
     "InvalidNetworkType.MismatchRamRole"),
    ("DescribeInstanceRamRole", {"RamRoleName": ROLE, "PageSize": 51}, as_it_is, 400,
     "InvalidParameter"),
    *(
        ("CreateInstance", {**CREATE, **wrong}, as_it_is, status, code)
        for wrong, status, code in [
            ({"ImageId": "centos_9.vhd"}, 404, "InvalidImageId.NotFound"),
            ({"InstanceType": "ecs.g6"}, 400, "InvalidInstanceType.ValueNotSupported"),
            ({"InstanceType": "g6.large"}, 400, "InvalidInstanceType.ValueNotSupported"),
            ({"InstanceType": "ecs.g6.huge"}, 400, "InvalidInstanceType.ValueNotSupported"),
            ({"VSwitchId": "vsw-none"}, 404, "InvalidVSwitchId.NotFound"),
            ({"VSwitchId": ""}, 403, "InvalidNetworkType.MismatchRamRole"),
            ({"VSwitchId": "", "RamRoleName": ""}, 400, "MissingParameter"),
            ({"VSwitchId": TINY}, 400, "QuotaExceeded.PrivateIpAddress"),
            ({"ZoneId": "cn-hangzhou-h"}, 400, "InvalidParameter.Mismatch"),
            ({"SecurityGroupId": "sg-none"}, 404, "InvalidSecurityGroupId.NotFound"),
            ({"RamRoleName": "None"}, 404, "InvalidRamRole.NotFound"),
            ({"RamRoleName": "NotForEcs"}, 401, "InvalidRamRole.NotEcsRole"),
            ({"InternetMaxBandwidthOut": 101}, 400, "InvalidParameter"),
            ({"InternetMaxBandwidthOut": -1}, 400, "InvalidParameter"),
            ({"InternetChargeType": "Free"}, 400, "InvalidInternetChargeType.ValueNotSupported"),
            ({"InstanceChargeType": "Free"}, 404, "InvalidInstanceChargeType.NotFound"),
            ({"SystemDiskCategory": "tape"}, 400, "InvalidSystemDiskCategory.ValueNotSupported"),
            ({"SystemDiskSize": 19}, 404, "InvalidSystemDiskSize"),
            ({"SystemDiskSize": 501}, 404, "InvalidSystemDiskSize"),
            ({"ClientToken": "t" * 65}, 400, "InvalidClientToken.ValueNotSupported"),
            ({"ClientToken": "令牌"}, 400, "InvalidClientToken.ValueNotSupported"),
            ({"InstanceName": "1"}, 400, "InvalidInstanceName.Malformed"),
            ({"Description": "1"}, 400, "InvalidDescription.Malformed"),
            ({"HostName": "1"}, 400, "InvalidHostName.Malformed"),
            ({"Password": "short"}, 400, "InvalidPassword.Malformed"),
            ({"Password": PASSWORD, "PasswordInherit": True}, 400, "InvalidPasswordParam.Mismatch"),
            ({"UserData": "not base64"}, 400, "InvalidParameter"),
            ({"UserData": LONG_USER_DATA}, 400, "InvalidUserData.SizeExceeded"),
            ({"HttpEndpoint": "off"}, 400, "InvalidHttpEndpoint.NotSupported"),
            ({"HttpTokens": "always"}, 400, "InvalidHttpTokens.NotSupported"),
            ({"DryRun": True}, 400, "DryRunOperation"),
            ({"DryRun": True, "ImageId": "centos_9.vhd"}, 404, "InvalidImageId.NotFound"),
        ]
    ),
    ("CreateInstance", {**CREATE, "ClientToken": TOKEN}, the_token_is_used, 400,
     "IdempotentParameterMismatch"),
    ("CreateInstance", {}, as_it_is, 400, "MissingParameter"),
    ("DescribeInstances", {"InstanceIds": OURS}, as_it_is, 400, "InvalidInstanceIds.Malformed"),
    ("DescribeInstances", {"Status": "running"}, as_it_is, 404, "InvalidStatus.NotFound"),
    ("DescribeInstances", {"InstanceNetworkType": "VPC"}, as_it_is, 404,
     "InvalidNetworkType.NotFound"),
    ("DescribeInstances", {"PageNumber": 0}, as_it_is, 400, "InvalidParameter"),
    ("DescribeInstances", {"PageSize": 101}, as_it_is, 400, "InvalidParameter"),
    ("DescribeInstances", {"PageSize": "ten"}, as_it_is, 400,
     "InvalidParameter.Format"),
    ("DescribeInstances", {"DryRun": True}, as_it_is, 400, "DryRunOperation"),
    ("DescribeInstanceStatus", {"PageSize": 51}, as_it_is, 400, "InvalidParameter"),
    *(
        (operation, {"InstanceId": "i-none", **more}, as_it_is, 404, "InvalidInstanceId.NotFound")
        for operation, more in [
            ("ModifyInstanceAttribute", {}), ("StartInstance", {}), ("StopInstance", {}),
            ("DeleteInstance", {}), ("AllocatePublicIpAddress", {}),
            ("ModifyInstanceMetadataOptions", {"HttpEndpoint": "enabled"}),
        ]
    ),
    *(
        (operation, {}, as_it_is, 400, "MissingParameter")
        for operation in ("ModifyInstanceAttribute", "StartInstance", "StopInstance",
                          "DeleteInstance", "AllocatePublicIpAddress",
                          "ModifyInstanceMetadataOptions", "AuthorizeSecurityGroup")
    ),
    ("StartInstance", {"InstanceId": OURS}, as_it_is, 403, "IncorrectInstanceStatus"),
    ("StopInstance", {"InstanceId": OURS, "StoppedMode": "Free"}, as_it_is, 400,
     "InvalidParameter"),
    ("DeleteInstance", {"InstanceId": OURS}, it_is_being_created, 403,
     "IncorrectInstanceStatus.Initializing"),
    ("ModifyInstanceMetadataOptions", {**OPTIONS, "HttpEndpoint": "off"}, as_it_is, 400,
     "InvalidHttpEndpoint.NotSupported"),
    ("ModifyInstanceMetadataOptions", {**OPTIONS, "HttpTokens": "always"}, as_it_is, 400,
     "InvalidHttpTokens.NotSupported"),
    ("AllocatePublicIpAddress", {"InstanceId": OURS}, it_has_an_address, 403, "AllocatedAlready"),
    ("AllocatePublicIpAddress", {"InstanceId": OURS}, as_it_is, 400,
     "AllocateIpInvalidInstanceBandwidth"),
    ("AllocatePublicIpAddress", {"InstanceId": OURS}, every_address_is_taken, 400,
     "InsufficientPublicIp"),
    *(
        ("AuthorizeSecurityGroup", {**RULE, **wrong}, as_it_is, status, code)
        for wrong, status, code in [
            ({"SecurityGroupId": "sg-none"}, 404, "InvalidSecurityGroupId.NotFound"),
            ({"IpProtocol": "sctp"}, 400, "InvalidIpProtocol.ValueNotSupported"),
            ({"PortRange": "22"}, 400, "InvalidIpProtocol.Malformed"),
            ({"PortRange": "23/22"}, 400, "InvalidIpProtocol.Malformed"),
            ({"PortRange": "0/22"}, 400, "InvalidIpProtocol.Malformed"),
            ({"PortRange": "1/65536"}, 400, "InvalidIpProtocol.Malformed"),
            ({"PortRange": "-1/-1"}, 400, "OperationDenied"),
            ({"IpProtocol": "icmp"}, 400, "OperationDenied"),
            ({"SourceCidrIp": "10.0.0.0/33"}, 400, "InvalidSourceCidrIp.Malformed"),
            ({"SourceCidrIp": ""}, 400, "MissingParameter.Source"),
            ({"SourceCidrIp": "", "SourceGroupId": "sg-none"}, 404,
             "InvalidSourceGroupId.NotFound"),
            ({"Policy": "Accept"}, 400, "InvalidPolicy.Malformed"),
            ({"Priority": 0}, 400, "InvalidPriority.Malformed"),
            ({"Priority": 101}, 400, "InvalidPriority.Malformed"),
            ({"NicType": "any"}, 400, "InvalidNicType.ValueNotSupported"),
            ({"Description": "d" * 513}, 400, "InvalidSecurityGroupDiscription.Malformed"),
        ]
    ),
    ("AuthorizeSecurityGroup", RULE, the_group_is_full, 403, "AuthorizationLimitExceed"),
    ("RevokeSecurityGroup", {**RULE, "SourceCidrIp": "", "SourceGroupId": "sg-none"}, as_it_is, 404,
     "InvalidSourceGroupId.NotFound"),
    ("DescribeVSwitches", {"PageSize": 51}, as_it_is, 400, "InvalidParameter"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("operation", "sent", "given", "status_code", "code"),
    REFUSALS,
    ids=[f"{row[0]}-{row[4]}" for row in REFUSALS],
)
def test_refusals(
    client: AcsClient,
    account: Account,
    operation: str,
    sent: dict[str, Any],
    given: Given,
    status_code: int,
    code: str,
) -> None:
    given(account)
    before = repr(account.instances), repr(account.security_groups)
    assert refusal(client, operation, **sent)[:2] == (status_code, code)
    assert (repr(account.instances), repr(account.security_groups)) == before


@pytest.mark.parametrize(
    ("operation", "sent", "message"),
    [
        ("AttachInstanceRamRole", {**ATTACH, "InstanceIds": ids("i-none")},
         "The specified instanceId does not exist"),
        ("StartInstance", {"InstanceId": "i-none"}, "The specified InstanceId does not exist."),
        ("AttachInstanceRamRole", {**ATTACH, "InstanceIds": OURS},
         "The specified instanceIds are not valid."),
        ("StartInstance", {}, 'The input parameter "InstanceId" that is mandatory for processing '
         "this request is not supplied."),
        ("CreateInstance", {**CREATE, "RamRoleName": "", "VSwitchId": ""},
         'The input parameter "VSwitchId" that is mandatory for processing this request is not '
         "supplied."),
        ("CreateInstance", {**CREATE, "InternetMaxBandwidthOut": 101},
         'The specified parameter "InternetMaxBandwidthOut" is not valid.'),
    ],
)  # fmt: skip
def test_wordings(client: AcsClient, operation: str, sent: dict[str, Any], message: str) -> None:
    assert refusal(client, operation, **sent)[2] == message


# Who may


INSTANCE = f"acs:ecs:*:*:instance/{OURS}"
ROLE_RESOURCE = f"acs:ram:*:*:role/{ROLE}"
PASS_ROLE = allow("ram:PassRole")


@pytest.mark.parametrize(
    ("statements", "code"),
    [
        # Both variants of the documented procedure, and what they look like without PassRole.
        ([allow("ecs:*"), PASS_ROLE], ""),
        ([allow("ecs:AttachInstanceRamRole"), PASS_ROLE], ""),
        ([allow("ecs:*")], "InvalidUser.PassRoleForbidden"),
        ([PASS_ROLE], "Forbidden.RAM"),
        # The smallest one: this instance, this role, handed over to ECS only.
        (
            [
                allow("ecs:AttachInstanceRamRole", INSTANCE),
                allow("ecs:AttachInstanceRamRole", ROLE_RESOURCE),
                allow(
                    "ram:PassRole",
                    ROLE_RESOURCE,
                    StringEquals={"acs:Service": "ecs.aliyuncs.com"},
                ),
            ],
            "",
        ),
        ([allow("ecs:AttachInstanceRamRole", INSTANCE), PASS_ROLE], "Forbidden.RAM"),
        (
            [allow("ecs:*"), allow("ram:PassRole", "acs:ram:*:*:role/Other")],
            "InvalidUser.PassRoleForbidden",
        ),
        (
            [
                allow("ecs:*"),
                allow("ram:PassRole", StringEquals={"acs:Service": "fc.aliyuncs.com"}),
            ],
            "InvalidUser.PassRoleForbidden",
        ),
        ([allow("ecs:*", "acs:ecs:cn-beijing:*:*"), PASS_ROLE], "Forbidden.RAM"),
        ([allow("ecs:*"), PASS_ROLE, {**ALLOW_ALL, "Effect": "Deny"}], "Forbidden.RAM"),
    ],
)
def test_attaching_needs_the_action_and_pass_role(
    account: Account, stage: Stage, statements: list[Any], code: str
) -> None:
    intern = user_with(account, *statements)
    if not code:
        attach(intern)
        return
    refused = refusal(intern, "AttachInstanceRamRole", **ATTACH)
    assert refused == (
        403,
        code,
        RECORDINGS.find("ecs", "AttachInstanceRamRole", code).tree["Message"],
    )
    assert account.instances[OURS].role_name == ""


def test_creating_with_a_role_needs_pass_role(account: Account, stage: Stage) -> None:
    intern = user_with(account, allow("ecs:CreateInstance"))
    refused = refusal(intern, "CreateInstance", **CREATE)
    assert refused[:2] == (403, "InvalidUser.PassRoleForbidden")
    assert call(intern, "CreateInstance", **{**CREATE, "RamRoleName": ""})["InstanceId"]
    account.users["intern"].documents["pass"] = json.dumps(
        {"Version": "1", "Statement": [PASS_ROLE]}
    )
    assert call(intern, "CreateInstance", **CREATE)["InstanceId"]


CREATION_RESOURCES = [
    "acs:ecs:*:*:instance/*",
    f"acs:ecs:*:*:image/{IMAGE}",
    f"acs:ecs:*:*:securitygroup/{GROUP}",
    f"acs:vpc:*:*:vswitch/{V_SWITCH}",
    f"acs:vpc:*:*:vpc/{VPC}",
]


@pytest.mark.parametrize("lacking", CREATION_RESOURCES)
def test_creating_needs_the_right_on_everything_it_uses(
    account: Account, stage: Stage, lacking: str
) -> None:
    sent = {**CREATE, "SecurityGroupId": GROUP, "RamRoleName": ""}
    rights = [allow("ecs:CreateInstance", one) for one in CREATION_RESOURCES if one != lacking]
    intern = user_with(account, *rights)
    assert refusal(intern, "CreateInstance", **sent)[:2] == (403, "Forbidden.RAM")
    intern = user_with(account, *rights, allow("ecs:CreateInstance", lacking))
    assert call(intern, "CreateInstance", **sent)["InstanceId"]


SENT = {
    "AttachInstanceRamRole": ATTACH,
    "DetachInstanceRamRole": ATTACH,
    "DescribeInstanceRamRole": {"InstanceIds": ids(OURS)},
    "CreateInstance": CREATE,
    "DescribeInstanceStatus": {},
    "ModifyInstanceAttribute": {"InstanceId": OURS},
    "ModifyInstanceMetadataOptions": OPTIONS,
    "StartInstance": {"InstanceId": OURS},
    "StopInstance": {"InstanceId": OURS},
    "DeleteInstance": {"InstanceId": OURS},
    "AllocatePublicIpAddress": {"InstanceId": OURS},
    "AuthorizeSecurityGroup": RULE,
    "RevokeSecurityGroup": RULE,
    "DescribeVSwitches": {},
}


@pytest.mark.parametrize("operation", SENT)
def test_a_user_without_the_right_is_refused(
    account: Account, stage: Stage, operation: str
) -> None:
    intern = user_with(account, ALLOW_ALL, {**ALLOW_ALL, "Effect": "Deny", "Action": [
        f"ecs:{operation}", f"vpc:{operation}"]})  # fmt: skip
    status_code, code, message = refusal(intern, operation, **SENT[operation])
    assert (status_code, code) == (403, "Forbidden.RAM")
    assert message.startswith("User not authorized to operate on the specified resource")


@pytest.mark.parametrize(
    ("operation", "resource", "allowed"),
    [
        ("StopInstance", INSTANCE, True),
        ("StopInstance", "acs:ecs:cn-hangzhou:1234567890123456:instance/i-b*", True),
        ("StopInstance", "acs:ecs:*:*:instance/i-other", False),
        ("StopInstance", "acs:ecs:cn-beijing:*:instance/*", False),
        ("DescribeInstanceStatus", INSTANCE, False),
        ("DescribeInstanceStatus", "acs:ecs:*:*:instance/*", True),
        ("AuthorizeSecurityGroup", f"acs:ecs:*:*:securitygroup/{GROUP}", True),
        ("AuthorizeSecurityGroup", "acs:ecs:*:*:instance/*", False),
    ],
)
def test_rights_on_resources(
    account: Account, stage: Stage, operation: str, resource: str, allowed: bool
) -> None:
    intern = user_with(account, allow("ecs:*", resource))
    if allowed:
        call(intern, operation, **SENT[operation])
    else:
        assert refusal(intern, operation, **SENT[operation])[1] == "Forbidden.RAM"


def test_who_may_not_list_sees_an_empty_list(account: Account, stage: Stage) -> None:
    intern = user_with(account, allow("oss:*"))
    answer = call(intern, "DescribeInstances", PageSize=5)
    assert answer["Instances"]["Instance"] == []
    assert (answer["TotalCount"], answer["PageNumber"], answer["PageSize"]) == (0, 1, 5)
    assert refusal(intern, "DescribeInstances", DryRun=True)[:2] == (403, "Forbidden.RAM")
    one = user_with(account, allow("ecs:DescribeInstances", INSTANCE))
    assert names(one) == []
    assert names(one, InstanceIds=ids(OURS)) == [OURS]
    assert names(one, InstanceIds=ids(OURS, CLASSIC)) == []


def test_the_right_to_see_v_switches_is_the_vpc_s(account: Account, stage: Stage) -> None:
    intern = user_with(account, allow("vpc:DescribeVSwitches"))
    assert call(intern, "DescribeVSwitches")["TotalCount"] == 2


# Who calls


def session_of(stage: Stage, seconds: int = 3600) -> Any:
    lifetime = timedelta(seconds=seconds)
    return issue(stage.account, stage.account.roles[ROLE], "test", NOW, lifetime)


def no_such_key(stage: Stage) -> Any:
    return AccessKeyCredential("LTAI5tNobody", "secret")


def disabled_key(stage: Stage) -> Any:
    stage.root.active = False
    return AccessKeyCredential(stage.root.access_key_id, stage.root.secret)


def wrong_secret(stage: Stage) -> Any:
    return AccessKeyCredential(stage.root.access_key_id, "wrong")


def no_token(stage: Stage) -> Any:
    session = session_of(stage)
    return AccessKeyCredential(session.access_key_id, session.secret)


def token_of_another(stage: Stage) -> Any:
    session, other = session_of(stage), session_of(stage)
    return StsTokenCredential(session.access_key_id, session.secret, other.security_token)


def mangled_token(stage: Stage) -> Any:
    session = session_of(stage)
    return StsTokenCredential(session.access_key_id, session.secret, session.security_token[:-1])


def expired_token(stage: Stage) -> Any:
    session = session_of(stage)
    stage.advance(hours=1)
    return StsTokenCredential(session.access_key_id, session.secret, session.security_token)


CALLERS = [
    (no_such_key, 404, "InvalidAccessKeyId.NotFound"),
    (disabled_key, 400, "InvalidAccessKeyId.Inactive"),
    # The SDK compares the string to sign in the answer with its own, and renames the error.
    (wrong_secret, 400, "InvalidAccessKeySecret"),
    (no_token, 400, "MissingSecurityToken"),
    (token_of_another, 400, "InvalidSecurityToken.MismatchWithAccessKey"),
    (mangled_token, 400, "InvalidSecurityToken.Malformed"),
    (expired_token, 400, "InvalidSecurityToken.Expired"),
]


@pytest.mark.parametrize(("who", "status_code", "code"), CALLERS)
def test_callers(
    account: Account, stage: Stage, who: Callable[[Stage], Any], status_code: int, code: str
) -> None:
    stranger = AcsClient(region_id=REGION, credential=who(stage))
    assert refusal(stranger, "DescribeInstanceStatus")[:2] == (status_code, code)


def test_a_role_session_calls_with_its_policies(account: Account, stage: Stage) -> None:
    session = session_of(stage)
    credential = StsTokenCredential(session.access_key_id, session.secret, session.security_token)
    program = AcsClient(region_id=REGION, credential=credential)
    assert refusal(program, "DescribeInstanceStatus")[:2] == (403, "Forbidden.RAM")


def signed_url(stage: Stage, media: str = "JSON", **parameters: str) -> str:
    sent = {"Action": "DescribeInstanceStatus", "Version": "2014-05-26", "RegionId": REGION}
    key = stage.root
    path, _ = get_signed_url(
        {**sent, **parameters}, key.access_key_id, key.secret, media, "GET", {}
    )
    return f"https://ecs.aliyuncs.com{path}"


def gateway_refusal(url: str) -> tuple[int, str]:
    answer = requests.get(url)
    return answer.status_code, answer.json()["Code"]


def test_the_gateway_s_own_refusals(account: Account, stage: Stage) -> None:
    url = signed_url(stage)
    assert requests.get(url).status_code == 200
    assert gateway_refusal(url) == (400, "SignatureNonceUsed")
    changed = signed_url(stage, PageSize="10").replace("PageSize=10", "PageSize=20")
    assert gateway_refusal(changed) == (400, "SignatureDoesNotMatch")
    spoilt = signed_url(stage).replace("2026-01-15T08%3A00%3A00Z", "yesterday")
    assert gateway_refusal(spoilt) == (400, "InvalidTimeStamp.Format")
    with time_machine.travel(NOW + timedelta(minutes=16), tick=False):
        late = signed_url(stage)
    assert gateway_refusal(late) == (400, "InvalidTimeStamp.Expired")
    half_signed = requests.get(signed_url(stage), headers={"Authorization": "ACS3-HMAC-SHA256 x"})
    assert half_signed.json()["Code"] == "IncompleteSignature"
    anonymous = re.sub(r"AccessKeyId=[^&]*&?", "", signed_url(stage))
    assert gateway_refusal(anonymous) == (400, "MissingParameter")


def test_xml_is_the_form_without_another(account: Account, stage: Stage) -> None:
    answer = requests.get(signed_url(stage, media="XML"))
    assert answer.text.startswith(
        '<?xml version="1.0" encoding="UTF-8"?><DescribeInstanceStatusResponse>'
    )
    assert answer.text.count("<InstanceStatus>") == 2


@pytest.mark.parametrize(
    ("host", "served"),
    [
        ("ecs.aliyuncs.com", True),
        ("ecs-cn-hangzhou.aliyuncs.com", True),
        ("ecs.cn-beijing.aliyuncs.com", True),
        ("ecs.ap-southeast-1.aliyuncs.com", True),
        ("vpc.aliyuncs.com", False),
        ("ecs.example.com", False),
        ("ecs.aliyuncs.com.example.com", False),
    ],
)
def test_hosts(host: str, served: bool) -> None:
    assert bool(SERVICE.hosts.fullmatch(host)) is served


@pytest.mark.parametrize(
    ("operation", "parameters", "named"),
    [
        ("RebootInstance", {"InstanceId": OURS}, "ecs RebootInstance"),
        ("CreateInstance", {**CREATE, "KeyPairName": "mine"}, "KeyPairName"),
        ("DescribeInstances", {"NextToken": "x"}, "NextToken"),
        ("ModifyInstanceAttribute", {"InstanceId": OURS, "DeletionProtection": True},
         "DeletionProtection"),
    ],
)  # fmt: skip
def test_what_lacks_a_model_says_so(
    client: AcsClient, operation: str, parameters: dict[str, Any], named: str
) -> None:
    with pytest.raises(NotModelled, match=f"{named}.* is not modelled here"):
        call(client, operation, **parameters)


# Every recording is an answer that some test gets


FROM_THE_GATEWAY = {
    "IncompleteSignature", "InvalidTimeStamp.Expired", "InvalidTimeStamp.Format",
    "SignatureDoesNotMatch", "SignatureNonceUsed",
}  # fmt: skip
ON_REQUEST = {"InternalError", "ServiceUnavailable", "Throttling"}
ELSEWHERE_HERE = {"Forbidden.RAM", "InvalidUser.PassRoleForbidden"}


def test_every_recorded_refusal_is_produced() -> None:
    rows = [RECORDINGS.find("ecs", operation, code) for operation, _, _, _, code in REFUSALS]
    produced = {(recording.operation, recording.code) for recording in rows}
    others = FROM_THE_GATEWAY | ON_REQUEST | ELSEWHERE_HERE | {code for _, _, code in CALLERS}
    recorded = {(one.operation, one.code) for one in RECORDINGS if one.service == "ecs"}
    left = {(operation, code) for operation, code in recorded - produced if code}
    assert left - {("Common", code) for code in others} == set()


def test_every_operation_is_used_here() -> None:
    assert set(SENT) | {"DescribeInstances"} == set(SERVICE.operations)
