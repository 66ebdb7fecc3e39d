"""STS through the SDK's CommonRequest: who calls, and assuming a role."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
import requests
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.auth.composer.rpc_signature_composer import get_signed_url
from aliyunsdkcore.auth.credentials import AccessKeyCredential, StsTokenCredential
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest

from helpers.message import NotModelled
from helpers.sandbox.account import Policy, PolicyVersion, Role
from helpers.sandbox.credentials import issue
from helpers.sandbox.scenario import TRUST_POLICY, add_user
from tests.sandbox.in_process import NOW, Stage

ACCOUNT = "1111222233334444"
ROLE_ARN = f"acs:ram::{ACCOUNT}:role/MyRole"


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "1", "Statement": statements})


def allow(action: str, resource: str = "*", effect: str = "Allow") -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource}


def trust(principal: str, effect: str = "Allow", **condition: Any) -> dict[str, Any]:
    statement = {"Effect": effect, "Action": "sts:AssumeRole", "Principal": {"RAM": principal}}
    return {**statement, "Condition": condition} if condition else statement


MAY_ASSUME = policy(allow("sts:AssumeRole"))
TRUSTS_ALL = policy(trust(f"acs:ram::{ACCOUNT}:root"))


def client_of(key_id: str, secret: str, token: str | None = None) -> AcsClient:
    credential: Any = AccessKeyCredential(key_id, secret)
    if token:
        credential = StsTokenCredential(key_id, secret, token)
    return AcsClient(region_id="cn-hangzhou", credential=credential)


def call(
    client: AcsClient, action: str, domain: str = "sts.aliyuncs.com", **parameters: Any
) -> dict[str, Any]:
    request = CommonRequest(domain=domain, version="2015-04-01", action_name=action)
    request.set_protocol_type("https")
    request.set_method("POST")
    request.set_query_params(parameters)
    return json.loads(client.do_action_with_exception(request))


def refusal(client: AcsClient, action: str, **parameters: Any) -> tuple[int, str, str]:
    with pytest.raises(ServerException) as refused:
        call(client, action, **parameters)
    return refused.value.http_status, refused.value.error_code, refused.value.message


def assume(client: AcsClient, **parameters: Any) -> dict[str, Any]:
    return call(
        client, "AssumeRole", **{"RoleArn": ROLE_ARN, "RoleSessionName": "alice", **parameters}
    )


def refused(client: AcsClient, **parameters: Any) -> tuple[int, str, str]:
    sent = {"RoleArn": ROLE_ARN, "RoleSessionName": "alice", **parameters}
    return refusal(client, "AssumeRole", **sent)


def add_role(stage: Stage, trust_policy: str = TRUSTS_ALL, rights: str = "", **more: Any) -> Role:
    role = Role("MyRole", "345000000000****", trust_policy, NOW, **more)
    stage.account.roles[role.name] = role
    if rights:
        version = PolicyVersion("v1", rights, NOW)
        stage.account.policies["Custom", "rights"] = Policy("rights", "Custom", NOW, [version])
        role.attached["Custom", "rights"] = NOW
    return role


@pytest.fixture(autouse=True)
def account_id(stage: Stage) -> None:
    """A trust policy names accounts by digits; the sample account's ID is masked."""
    stage.account.account_id = ACCOUNT


@pytest.fixture
def root(stage: Stage) -> AcsClient:
    return client_of(stage.root.access_key_id, stage.root.secret)


@pytest.fixture
def user(stage: Stage) -> AcsClient:
    key = add_user(stage.account, "alice", {"may-assume": MAY_ASSUME})
    return client_of(key.access_key_id, key.secret)


def session_of(answer: dict[str, Any]) -> AcsClient:
    given = answer["Credentials"]
    return client_of(given["AccessKeyId"], given["AccessKeySecret"], given["SecurityToken"])


# GetCallerIdentity


def test_the_account_itself(root: AcsClient) -> None:
    answer = call(root, "GetCallerIdentity")
    assert answer.pop("RequestId")
    assert answer == {
        "IdentityType": "Account",
        "AccountId": ACCOUNT,
        "PrincipalId": ACCOUNT,
        "UserId": ACCOUNT,
        "Arn": f"acs:ram::{ACCOUNT}:root",
    }


def test_a_user(stage: Stage, user: AcsClient) -> None:
    answer = call(user, "GetCallerIdentity")
    user_id = stage.account.users["alice"].user_id
    assert answer.pop("RequestId")
    assert answer == {
        "IdentityType": "RAMUser",
        "AccountId": ACCOUNT,
        "PrincipalId": user_id,
        "UserId": user_id,
        "Arn": f"acs:ram::{ACCOUNT}:user/alice",
    }


def test_a_role(stage: Stage) -> None:
    role = add_role(stage)
    given = issue(stage.account, role, "Alice", NOW, timedelta(hours=1))
    session = client_of(given.access_key_id, given.secret, given.security_token)
    answer = call(session, "GetCallerIdentity")
    assert answer.pop("RequestId")
    assert answer == {
        "IdentityType": "AssumedRoleUser",
        "AccountId": ACCOUNT,
        "PrincipalId": f"{role.role_id}:Alice",
        "RoleId": role.role_id,
        "Arn": f"acs:ram::{ACCOUNT}:assumed-role/myrole/Alice",
    }


@pytest.mark.parametrize("effect", ["Allow", "Deny"])
def test_who_one_is_needs_no_permission(stage: Stage, effect: str) -> None:
    documents = {"none": policy(allow("*", effect=effect))} if effect == "Deny" else {}
    key = add_user(stage.account, "alice", documents)
    client = client_of(key.access_key_id, key.secret)
    assert call(client, "GetCallerIdentity")["IdentityType"] == "RAMUser"


@pytest.mark.parametrize(
    "domain", ["sts.aliyuncs.com", "sts.cn-hangzhou.aliyuncs.com", "sts-vpc.us-east-1.aliyuncs.com"]
)
def test_the_addresses(root: AcsClient, domain: str) -> None:
    assert call(root, "GetCallerIdentity", domain)["AccountId"] == ACCOUNT


def test_json_is_what_comes_without_a_format(stage: Stage) -> None:
    sent = {"Action": "GetCallerIdentity", "Version": "2015-04-01"}
    key = stage.root
    path, _ = get_signed_url(sent, key.access_key_id, key.secret, None, "GET", {})
    answer = requests.get(f"https://sts.aliyuncs.com{path}")
    assert answer.json()["IdentityType"] == "Account"


def test_only_https_is_served(root: AcsClient) -> None:
    request = CommonRequest("sts.aliyuncs.com", "2015-04-01", "GetCallerIdentity")
    with pytest.raises(ServerException) as refused:
        root.do_action_with_exception(request)
    assert refused.value.error_code == "InvalidProtocol.NeedSsl"


# AssumeRole


def test_an_assumed_role(stage: Stage, user: AcsClient) -> None:
    role = add_role(stage)
    answer = assume(user)
    assert answer["AssumedRoleUser"] == {
        "Arn": f"{ROLE_ARN}/alice",
        "AssumedRoleId": f"{role.role_id}:alice",
    }
    given = answer["Credentials"]
    assert given["Expiration"] == "2026-01-15T09:00:00Z"
    assert re.fullmatch(r"STS\.N[1-9A-Za-z]{24}", given["AccessKeyId"])
    assert re.fullmatch(r"[1-9A-Za-z]{44}", given["AccessKeySecret"])
    assert re.fullmatch(r"CAIS[0-9A-Za-z+/]{320}", given["SecurityToken"])
    assert call(session_of(answer), "GetCallerIdentity")["PrincipalId"] == f"{role.role_id}:alice"


def test_each_session_has_its_own_key(stage: Stage, user: AcsClient) -> None:
    add_role(stage)
    first, second = assume(user)["Credentials"], assume(user)["Credentials"]
    for field in ("AccessKeyId", "AccessKeySecret", "SecurityToken"):
        assert first[field] != second[field]


def test_a_session_ends(stage: Stage, user: AcsClient) -> None:
    add_role(stage)
    session = session_of(assume(user, DurationSeconds=900))
    stage.advance(minutes=14, seconds=59)
    assert call(session, "GetCallerIdentity")["AccountId"] == ACCOUNT
    stage.advance(seconds=1)
    assert refusal(session, "GetCallerIdentity")[:2] == (400, "InvalidSecurityToken.Expired")


def test_a_deleted_role_ends_its_sessions(stage: Stage, user: AcsClient) -> None:
    add_role(stage)
    session = session_of(assume(user))
    del stage.account.roles["MyRole"]
    add_role(stage).role_id = "345000000001****"
    assert refusal(session, "GetCallerIdentity")[1] == "InvalidSecurityToken.Malformed"


def test_the_account_s_own_key_may_not(stage: Stage, root: AcsClient) -> None:
    add_role(stage)
    assert refused(root) == (403, "NoPermission", "Roles may not be assumed by root accounts.")


NO_PERMISSION = (
    403,
    "NoPermission",
    "You are not authorized to do this action. You should be authorized by RAM.",
)
ALICE = f"acs:ram::{ACCOUNT}:user/alice"


@pytest.mark.parametrize(
    ("rights", "trusted", "allowed"),
    [
        (policy(allow("sts:AssumeRole")), TRUSTS_ALL, True),
        (policy(allow("sts:*")), policy(trust(ALICE)), True),
        (policy(allow("sts:AssumeRole", "acs:ram:*:*:role/MyRole")), TRUSTS_ALL, True),
        (policy(allow("sts:AssumeRole", "acs:ram:*:*:role/Other")), TRUSTS_ALL, False),
        (policy(allow("oss:*")), TRUSTS_ALL, False),
        (policy(allow("sts:*"), allow("sts:*", effect="Deny")), TRUSTS_ALL, False),
        (policy(allow("sts:AssumeRole")), TRUST_POLICY, False),
        (policy(allow("sts:AssumeRole")), policy(trust(f"acs:ram::{ACCOUNT}:user/bob")), False),
        (policy(allow("sts:AssumeRole")), policy(trust("acs:ram::9999888877776666:root")), False),
        (
            policy(allow("sts:AssumeRole")),
            policy(trust(f"acs:ram::{ACCOUNT}:root"), trust(ALICE, "Deny")),
            False,
        ),
        (
            policy(allow("sts:AssumeRole")),
            policy(trust(ALICE, IpAddress={"acs:SourceIp": ["127.0.0.0/8"]})),
            True,
        ),
        (
            policy(allow("sts:AssumeRole")),
            policy(trust(ALICE, IpAddress={"acs:SourceIp": ["10.0.0.0/8"]})),
            False,
        ),
    ],
)
def test_both_policies_must_allow(stage: Stage, rights: str, trusted: str, allowed: bool) -> None:
    add_role(stage, trusted)
    key = add_user(stage.account, "alice", {"rights": rights})
    client = client_of(key.access_key_id, key.secret)
    if allowed:
        assert assume(client)["AssumedRoleUser"]["Arn"] == f"{ROLE_ARN}/alice"
    else:
        assert refused(client) == NO_PERMISSION


def test_a_role_can_assume_another(stage: Stage, user: AcsClient) -> None:
    add_role(stage, rights=policy(allow("sts:AssumeRole")))
    trusts_my_role = policy(trust(ROLE_ARN))
    stage.account.roles["Next"] = Role("Next", "346000000000****", trusts_my_role, NOW)
    session = session_of(assume(user))
    answer = assume(session, RoleArn=f"acs:ram::{ACCOUNT}:role/Next", RoleSessionName="chained")
    assert answer["AssumedRoleUser"]["AssumedRoleId"] == "346000000000****:chained"
    assert refused(user, RoleArn=f"acs:ram::{ACCOUNT}:role/Next") == NO_PERMISSION


def test_a_session_policy_only_takes_away(stage: Stage, user: AcsClient) -> None:
    add_role(stage, rights=policy(allow("ram:Get*"), allow("ram:List*")))
    narrow = policy(allow("ram:ListRoles"), allow("ram:DeleteRole"))
    wide, narrowed = session_of(assume(user)), session_of(assume(user, Policy=narrow))

    def may(session: AcsClient, action: str, **parameters: str) -> bool:
        request = CommonRequest("ram.aliyuncs.com", "2015-05-01", action)
        request.set_protocol_type("https")
        request.set_query_params(parameters)
        try:
            session.do_action_with_exception(request)
        except ServerException as error:
            assert error.error_code == "NoPermission"
            return False
        return True

    for action, parameters, of_wide, of_narrowed in (
        ("ListRoles", {}, True, True),
        ("GetRole", {"RoleName": "MyRole"}, True, False),
        ("DeleteRole", {"RoleName": "MyRole"}, False, False),
    ):
        assert may(wide, action, **parameters) == of_wide
        assert may(narrowed, action, **parameters) == of_narrowed


@pytest.mark.parametrize(
    ("parameters", "status", "code", "message"),
    [
        ({"RoleArn": "MyRole"}, 400, "InvalidParameter.RoleArn",
         "The parameter RoleArn is wrongly formed."),
        ({"RoleArn": ROLE_ARN + "/alice"}, 400, "InvalidParameter.RoleArn", None),
        ({"RoleArn": ROLE_ARN.replace(":role/", ":user/")}, 400, "InvalidParameter.RoleArn", None),
        ({"RoleSessionName": "a"}, 400, "InvalidParameter.RoleSessionName",
         "The parameter RoleSessionName is wrongly formed."),
        ({"RoleSessionName": "a" * 65}, 400, "InvalidParameter.RoleSessionName", None),
        ({"RoleSessionName": "a b"}, 400, "InvalidParameter.RoleSessionName", None),
        ({"RoleSessionName": "alice\n"}, 400, "InvalidParameter.RoleSessionName", None),
        ({"DurationSeconds": 899}, 400, "InvalidParameter.DurationSeconds",
         "The Min/Max value of DurationSeconds is 15min/1hr."),
        ({"DurationSeconds": 3601}, 400, "InvalidParameter.DurationSeconds", None),
        ({"DurationSeconds": "1h"}, 400, "InvalidParameter.Format", None),
        ({"Policy": "{"}, 400, "InvalidParameter.PolicyGrammar",
         "The parameter Policy has not passed grammar check."),
        ({"Policy": TRUSTS_ALL}, 400, "InvalidParameter.PolicyGrammar", None),
        ({"Policy": MAY_ASSUME + " " * 2048}, 400, "InvalidParameter.PolicySize",
         "The size of Policy must be smaller than 2048 bytes."),
        ({"RoleArn": f"acs:ram::{ACCOUNT}:role/Gone"}, 404, "EntityNotExist.Role",
         f"The role not exists: acs:ram::{ACCOUNT}:role/gone."),
        ({"RoleArn": ""}, 400, "MissingRoleArn", "RoleArn is mandatory for this action."),
        ({"RoleSessionName": ""}, 400, "MissingRoleSessionName", None),
    ],
)  # fmt: skip
def test_what_assume_role_refuses(
    stage: Stage,
    user: AcsClient,
    parameters: dict[str, Any],
    status: int,
    code: str,
    message: str | None,
) -> None:
    add_role(stage)
    answer = refused(user, **parameters)
    assert answer[:2] == (status, code)
    assert message in (None, answer[2])
    assert not stage.account.credentials


@pytest.mark.parametrize("name", ["al", "a" * 64, "a.b@c-d_e"])
def test_names_that_a_session_may_have(stage: Stage, user: AcsClient, name: str) -> None:
    add_role(stage)
    assert assume(user, RoleSessionName=name)["AssumedRoleUser"]["Arn"].endswith(f"/{name}")


def test_a_role_can_allow_longer_sessions(stage: Stage, user: AcsClient) -> None:
    add_role(stage, max_session_duration=43_200)
    answer = assume(user, DurationSeconds=43_200)
    assert answer["Credentials"]["Expiration"] == "2026-01-15T20:00:00Z"
    assert refused(user, DurationSeconds=43_201)[2].endswith("15min/12hr.")


def test_another_account_s_role_is_not_modelled(stage: Stage, user: AcsClient) -> None:
    with pytest.raises(NotModelled, match=f"the only account is {ACCOUNT}"):
        assume(user, RoleArn="acs:ram::9999888877776666:role/MyRole")
