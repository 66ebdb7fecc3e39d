"""What the fuzzing starts from: an account, and a real request of every operation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

import oss2
import requests
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.auth.credentials import AccessKeyCredential
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest

from helpers.message import Request, Response
from helpers.recordings import load
from helpers.sandbox.account import Account
from helpers.sandbox.credentials import issue
from helpers.sandbox.oss_gateway import HOSTS
from helpers.sandbox.sandbox import Sandbox
from helpers.sandbox.scenario import (
    READ_ONLY_POLICY,
    TRUST_POLICY,
    Names,
    account_before,
    add_user,
)
from helpers.trace import Trace
from helpers.transport import Interceptor
from tests.sandbox.in_process import NOW, staged

NAMES = Names()
RECORDINGS = load()
ALLOW_ALL = '{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
READING = ("Get", "List", "Describe")  # these are asked for XML, the others for JSON
VERSIONS = {"ram": "2015-05-01", "sts": "2015-04-01", "ecs": "2014-05-26"}

# A call of every operation.
ROLE, POLICY = {"RoleName": NAMES.role_name}, {"PolicyName": NAMES.policy_name}
BOTH = {**ROLE, **POLICY, "PolicyType": "Custom"}
REGION, INSTANCE = {"RegionId": NAMES.region_id}, {"InstanceId": NAMES.instance_id}
ATTACHED = {"InstanceIds": json.dumps([NAMES.instance_id]), "RamRoleName": NAMES.role_name}
RULE = {"SecurityGroupId": NAMES.security_group_id, "IpProtocol": "tcp", "PortRange": "22/22"}
NEW = {
    "InstanceType": NAMES.instance_type,
    "ImageId": NAMES.image_id,
    "VSwitchId": NAMES.v_switch_id,
    "RamRoleName": NAMES.role_name,
    "Tag.1.Key": "k",
    "Tag.1.Value": "v",
    "ClientToken": "once",
    "Password": "aB3!aB3!",
}
CALLS: dict[str, list[tuple[str, Mapping[str, str]]]] = {
    "ram": [
        (
            "CreateRole",
            {"RoleName": "New", "AssumeRolePolicyDocument": TRUST_POLICY, "Description": "d"},
        ),
        ("GetRole", ROLE),
        ("ListRoles", {"MaxItems": "1"}),
        ("CreatePolicy", {"PolicyName": "New", "PolicyDocument": READ_ONLY_POLICY}),
        ("CreatePolicyVersion", {**POLICY, "PolicyDocument": ALLOW_ALL, "SetAsDefault": "true"}),
        ("GetPolicy", {**POLICY, "PolicyType": "Custom"}),
        ("AttachPolicyToRole", BOTH),
        ("ListPoliciesForRole", ROLE),
        ("DetachPolicyFromRole", BOTH),
        ("DeletePolicy", {**POLICY, "CascadingDelete": "true"}),
        ("DeleteRole", ROLE),
    ],
    "sts": [
        ("GetCallerIdentity", {}),
        (
            "AssumeRole",
            {
                "RoleArn": "acs:ram::1234567890123456:role/Trusting",
                "RoleSessionName": "session",
                "DurationSeconds": "900",
                "Policy": READ_ONLY_POLICY,
            },
        ),
    ],
    "ecs": [
        ("DescribeInstanceRamRole", {**REGION, **ATTACHED}),
        ("DetachInstanceRamRole", {**REGION, **ATTACHED}),
        ("AttachInstanceRamRole", {**REGION, **ATTACHED, "Policy": READ_ONLY_POLICY}),
        ("CreateInstance", {**REGION, **NEW}),
        (
            "DescribeInstances",
            {**REGION, "PageSize": "1", "AdditionalAttributes.1": "META_OPTIONS"},
        ),
        ("DescribeInstanceStatus", {**REGION, "InstanceId.1": NAMES.instance_id}),
        ("DescribeVSwitches", REGION),
        ("AllocatePublicIpAddress", INSTANCE),
        ("ModifyInstanceMetadataOptions", {**REGION, **INSTANCE, "HttpEndpoint": "enabled"}),
        ("ModifyInstanceAttribute", {**INSTANCE, "InstanceName": "name", "HostName": "host"}),
        ("AuthorizeSecurityGroup", {**REGION, **RULE, "SourceCidrIp": "10.0.0.0/8"}),
        ("RevokeSecurityGroup", {**REGION, **RULE, "SourceCidrIp": "10.0.0.0/8"}),
        ("StopInstance", {**INSTANCE, "StoppedMode": "StopCharging"}),
        ("StartInstance", INSTANCE),
        ("DeleteInstance", {**INSTANCE, "Force": "true"}),
    ],
}
METADATA = [
    "meta-data/", "meta-data/instance-id", "meta-data/vpc-id", "meta-data/network-type",
    "meta-data/ram/security-credentials/", f"meta-data/ram/security-credentials/{NAMES.role_name}",
]  # fmt: skip


def an_account() -> tuple[Account, list[Any]]:
    """An account, and the keys that may sign: its own, a user's, a role session's."""
    account = account_before(4, NAMES, NOW)
    account.roles["Trusting"] = replace(
        account.roles[NAMES.role_name],
        name="Trusting",
        role_id="300000000000000001",
        assume_role_policy_document=TRUST_POLICY.replace("Service", "RAM").replace(
            "ecs.aliyuncs.com", "acs:ram::1234567890123456:root"
        ),
        attached={},
    )
    user = add_user(account, "admin", {"all": ALLOW_ALL})
    role = account.roles[NAMES.role_name]
    session = issue(account, role, "session", NOW, timedelta(hours=6))
    return account, [next(iter(account.access_keys.values())), user, session]


@cache
def seeds() -> dict[str, list[Request]]:
    """What the SDKs and requests send, by service."""
    sent: list[Request] = []
    with staged(step=4) as stage:
        stage.account, keys = an_account()

        def exchange(request: Request, _: object) -> Response:
            sent.append(request)
            return stage.sandbox.handle(request, NOW)

        stage.sandbox = Sandbox(stage.account, RECORDINGS)
        with Interceptor(exchange, Trace(), offline=True):
            _call_everything(keys)
    found: dict[str, list[Request]] = {}
    for request in sent:
        found.setdefault(service_of(request), []).append(request)
    return found


def service_of(request: Request) -> str:
    if request.host == "100.100.100.200":
        return "metadata"
    return "oss" if HOSTS.fullmatch(request.host) else request.host.partition(".")[0]


def _call_everything(keys: list[Any]) -> None:
    for path in METADATA:
        requests.get(f"http://100.100.100.200/latest/{path}", timeout=1)
    life = {"X-aliyun-ecs-metadata-token-ttl-seconds": "60"}
    requests.put("http://100.100.100.200/latest/api/token", headers=life, timeout=1)
    key = keys[1]
    client = AcsClient(
        region_id=NAMES.region_id, credential=AccessKeyCredential(key.access_key_id, key.secret)
    )
    for service, calls in CALLS.items():
        for operation, parameters in calls:
            request = CommonRequest(f"{service}.aliyuncs.com", VERSIONS[service], operation)
            request.set_protocol_type("https")
            request.set_accept_format("XML" if operation.startswith(READING) else "JSON")
            for name, value in parameters.items():
                request.add_query_param(name, value)
            with suppress(ServerException):
                client.do_action_with_exception(request)
    for version in ("v1", "v4"):
        _use_oss(oss2.make_auth(key.access_key_id, key.secret, version))


def _use_oss(auth: Any) -> None:
    endpoint, region = f"https://{NAMES.endpoint}", NAMES.region_id
    oss2.Service(auth, endpoint, region=region).list_buckets(max_keys=1)
    new = oss2.Bucket(auth, endpoint, "new-bucket", region=region)
    new.create_bucket()
    new.delete_bucket()
    bucket = oss2.Bucket(auth, endpoint, NAMES.bucket_name, region=region)
    bucket.put_object("a/b", b"body", {"x-oss-meta-own": "m", "Content-Type": "text/plain"})
    bucket.copy_object(NAMES.bucket_name, "a/b", "c")
    bucket.get_object("a/b", byte_range=(0, 1)).read()
    bucket.head_object("a/b")
    bucket.get_object_meta("a/b")
    bucket.list_objects(prefix="a", delimiter="/")
    bucket.list_objects_v2(start_after="a")
    bucket.get_bucket_info()
    bucket.get_bucket_location()
    bucket.batch_delete_objects(["c", "d"])
    bucket.delete_object("c")
    requests.get(bucket.sign_url("GET", "a/b", 60), timeout=1)
