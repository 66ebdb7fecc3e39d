"""The lesson's calls and their refusals: the same in this process and over the socket."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import oss2
import pytest
import requests
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.auth.credentials import (
    AccessKeyCredential,
    EcsRamRoleCredential,
    StsTokenCredential,
)
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest

from helpers.sandbox.account import SessionCredential
from helpers.sandbox.scenario import READ_ONLY_POLICY, TRUST_POLICY, add_user
from tests.server.cloud import BY_NAME, IN_PROCESS, NAMES, Cloud

VERSIONS = {"ram": "2015-05-01", "sts": "2015-04-01", "ecs": "2014-05-26"}
INSTANCE = {"RegionId": NAMES.region_id, "InstanceIds": json.dumps([NAMES.instance_id])}
Caller = Callable[..., Any]


def client_of(key: Any) -> AcsClient:
    pair = key.access_key_id, key.secret
    token = getattr(key, "security_token", None)
    credential = StsTokenCredential(*pair, token) if token else AccessKeyCredential(*pair)
    return AcsClient(region_id=NAMES.region_id, credential=credential)


def caller(cloud: Cloud, client: AcsClient) -> Caller:
    """Calls an operation and gives its answer, or the status and the code of its refusal."""

    def call(service: str, operation: str, **parameters: str) -> Any:
        domain = cloud.rpc_endpoint or f"{service}.aliyuncs.com"
        request = CommonRequest(domain, VERSIONS[service], operation)
        request.set_protocol_type("https")
        for name, value in parameters.items():
            request.add_query_param(name, value)
        try:
            return json.loads(client.do_action_with_exception(request))
        except ServerException as error:
            return f"{error.http_status} {error.error_code}"

    return call


@pytest.fixture
def root(cloud: Cloud) -> Caller:
    return caller(cloud, client_of(next(iter(cloud.account.access_keys.values()))))


def metadata(cloud: Cloud, path: str = "", **headers: str) -> requests.Response:
    address = f"{cloud.metadata}/latest/meta-data/ram/security-credentials/{path}"
    return requests.get(address, headers=headers, timeout=10)


def listed(cloud: Cloud, document: dict[str, str]) -> Any:
    """The keys in the bucket, or the status and the code of the refusal."""
    names = ("AccessKeyId", "AccessKeySecret", "SecurityToken")
    auth = oss2.StsAuth(*(document[name] for name in names))
    bucket = oss2.Bucket(auth, cloud.oss_endpoint, NAMES.bucket_name)
    try:
        return [each.key for each in oss2.ObjectIterator(bucket)]
    except oss2.exceptions.OssError as error:
        return f"{error.status} {error.code}"


def test_the_four_steps_and_the_way_back(cloud: Cloud, root: Caller) -> None:
    role, policy = {"RoleName": "Own"}, {"PolicyName": "Own"}
    both = {**role, **policy, "PolicyType": "Custom"}
    attachment = {**INSTANCE, "RamRoleName": "Own"}
    new_role = {**role, "AssumeRolePolicyDocument": TRUST_POLICY}
    assert root("ram", "CreateRole", **new_role)["Role"]["RoleName"] == "Own"
    assert root("ram", "CreateRole", **new_role) == "409 EntityAlreadyExists.Role"
    root("ram", "CreatePolicy", **policy, PolicyDocument=READ_ONLY_POLICY)
    root("ram", "AttachPolicyToRole", **both)
    assert root("ram", "AttachPolicyToRole", **both) == "409 EntityAlreadyExists.Role.Policy"

    assert root("ecs", "AttachInstanceRamRole", **attachment) == "409 OperationConflict"
    root("ecs", "DetachInstanceRamRole", **INSTANCE, RamRoleName=NAMES.role_name)
    assert root("ecs", "AttachInstanceRamRole", **attachment)["RamRoleName"] == "Own"

    assert metadata(cloud).text == "Own"
    document = metadata(cloud, "Own").json()
    assert listed(cloud, document) == ["ramroletest.txt", "test.shh"]

    assert root("ram", "DeleteRole", **role) == "409 DeleteConflict.Role.Policy"
    root("ecs", "DetachInstanceRamRole", **attachment)
    assert (metadata(cloud).status_code, metadata(cloud, "Own").status_code) == (404, 404)
    assert listed(cloud, document) == "403 InvalidSecurityToken"
    root("ram", "DetachPolicyFromRole", **both)
    root("ram", "DeleteRole", **role)
    assert root("ram", "GetRole", **role) == "404 EntityNotExist.Role"


@pytest.mark.parametrize(
    ("spoilt", "of_rpc", "of_oss"),
    [
        (
            {"access_key_id": "STS.unknown1"},
            "404 InvalidAccessKeyId.NotFound",
            "403 InvalidAccessKeyId",
        ),
        ({"security_token": ""}, "400 MissingSecurityToken", "403 InvalidAccessKeyId"),
        (
            {"security_token": "CAISmangled"},
            "400 InvalidSecurityToken.Malformed",
            "403 InvalidSecurityToken",
        ),
    ],
    ids=["unknown key", "no token", "mangled token"],
)
def test_a_spoilt_credential(
    cloud: Cloud, spoilt: dict[str, str], of_rpc: str, of_oss: str
) -> None:
    key = replace(cloud.key(), **spoilt)
    assert caller(cloud, client_of(key))("sts", "GetCallerIdentity") == of_rpc
    assert listed(cloud, as_document(key)) == of_oss


def test_a_token_of_another_key(cloud: Cloud) -> None:
    key = replace(cloud.key(), security_token=cloud.key().security_token)
    refused = "400 InvalidSecurityToken.MismatchWithAccessKey"
    assert caller(cloud, client_of(key))("sts", "GetCallerIdentity") == refused
    assert listed(cloud, as_document(key)) == "403 AccessKeyIdAndSecurityTokenNotMatch"


def as_document(key: SessionCredential) -> dict[str, str]:
    return {
        "AccessKeyId": key.access_key_id,
        "AccessKeySecret": key.secret,
        "SecurityToken": key.security_token,
    }


def test_a_user_may_attach_a_role_only_if_it_may_pass_it(cloud: Cloud) -> None:
    attachment = {**INSTANCE, "RamRoleName": NAMES.role_name}
    answers = []
    for number, actions in enumerate((["ecs:*"], ["ecs:*", "ram:PassRole"])):
        statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        document = json.dumps({"Version": "1", "Statement": [statement]})
        user = add_user(cloud.account, f"intern{number}", {"own": document})
        answers.append(caller(cloud, client_of(user))("ecs", "AttachInstanceRamRole", **attachment))
    assert answers[0] == "403 InvalidUser.PassRoleForbidden"
    assert answers[1]["RamRoleName"] == NAMES.role_name


def test_a_hardened_instance_wants_a_token(cloud: Cloud) -> None:
    cloud.account.instances[NAMES.instance_id].http_tokens = "required"
    assert metadata(cloud).status_code == 401
    life = {"X-aliyun-ecs-metadata-token-ttl-seconds": "60"}
    token = requests.put(f"{cloud.metadata}/latest/api/token", headers=life, timeout=10).text
    assert metadata(cloud, **{"X-aliyun-ecs-metadata-token": token}).text == NAMES.role_name


@pytest.mark.parametrize("cloud", [IN_PROCESS, BY_NAME], indirect=True)
def test_the_core_sdk_signs_as_the_instance(cloud: Cloud) -> None:
    """Its metadata address cannot be changed."""
    client = AcsClient(region_id=NAMES.region_id, credential=EcsRamRoleCredential(NAMES.role_name))
    answer = caller(cloud, client)("sts", "GetCallerIdentity")
    assert answer["Arn"].endswith(f"/vm-ram-{NAMES.instance_id}")
