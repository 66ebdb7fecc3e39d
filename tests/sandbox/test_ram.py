"""RAM through the real SDK: its state, its refusals, and who may call it."""

from __future__ import annotations

import hmac
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
import requests
import time_machine
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.auth.composer.rpc_signature_composer import get_signed_url
from aliyunsdkcore.auth.credentials import AccessKeyCredential, StsTokenCredential
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest
from aliyunsdkram.request.v20150501 import (
    AttachPolicyToRoleRequest,
    CreatePolicyRequest,
    CreatePolicyVersionRequest,
    CreateRoleRequest,
    DeletePolicyRequest,
    DeleteRoleRequest,
    DetachPolicyFromRoleRequest,
    GetPolicyRequest,
    GetRoleRequest,
    ListPoliciesForRoleRequest,
    ListRolesRequest,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.message import NotModelled, Request
from helpers.sandbox import ram
from helpers.sandbox.access import Fault
from helpers.sandbox.credentials import issue
from helpers.sandbox.rpc import FAULT_CODES, GATEWAY_PARAMETERS
from helpers.sandbox.scenario import READ_ONLY_POLICY, TRUST_POLICY, add_user
from helpers.sandbox.signatures import acs3_string_to_sign
from tests.sandbox.in_process import NOW, Stage, staged

ALLOW_ALL = json.dumps(
    {"Version": "1", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
)
MODULES = {
    module.__name__.rpartition(".")[2].removesuffix("Request"): module
    for module in (
        AttachPolicyToRoleRequest,
        CreatePolicyRequest,
        CreatePolicyVersionRequest,
        CreateRoleRequest,
        DeletePolicyRequest,
        DeleteRoleRequest,
        DetachPolicyFromRoleRequest,
        GetPolicyRequest,
        GetRoleRequest,
        ListPoliciesForRoleRequest,
        ListRolesRequest,
    )
}


def call(client: AcsClient, operation: str, **parameters: Any) -> dict[str, Any]:
    request = getattr(MODULES[operation], f"{operation}Request")()
    for name, value in parameters.items():
        getattr(request, f"set_{name}")(value)
    return json.loads(client.do_action_with_exception(request))


def refusal(client: AcsClient, operation: str, **parameters: Any) -> tuple[int, str, str]:
    with pytest.raises(ServerException) as refused:
        call(client, operation, **parameters)
    return refused.value.http_status, refused.value.error_code, refused.value.message


def client_of(key: Any) -> AcsClient:
    return AcsClient(
        region_id="cn-hangzhou", credential=AccessKeyCredential(key.access_key_id, key.secret)
    )


@pytest.fixture
def client(stage: Stage) -> AcsClient:
    return client_of(stage.root)


def create_role(client: AcsClient, name: str = "MyRole", **parameters: Any) -> dict[str, Any]:
    document = parameters.pop("AssumeRolePolicyDocument", TRUST_POLICY)
    return call(
        client, "CreateRole", RoleName=name, AssumeRolePolicyDocument=document, **parameters
    )


def create_policy(client: AcsClient, name: str = "MyPolicy") -> dict[str, Any]:
    return call(client, "CreatePolicy", PolicyName=name, PolicyDocument=READ_ONLY_POLICY)


def attach(client: AcsClient, role: str = "MyRole", policy: str = "MyPolicy") -> dict[str, Any]:
    return call(client, "AttachPolicyToRole", PolicyType="Custom", PolicyName=policy, RoleName=role)


# Roles


def test_a_created_role_is_the_callers(stage: Stage, client: AcsClient) -> None:
    role = create_role(client, Description="For a test", MaxSessionDuration=7200)["Role"]
    assert role.pop("RoleId").isdecimal()
    assert role == {
        "RoleName": "MyRole",
        "Description": "For a test",
        "AssumeRolePolicyDocument": TRUST_POLICY,
        "MaxSessionDuration": 7200,
        "Arn": "acs:ram::1234567890123456:role/MyRole",
        "CreateDate": "2026-01-15T08:00:00Z",
    }
    assert call(client, "GetRole", RoleName="MyRole")["Role"]["UpdateDate"] == role["CreateDate"]


def test_a_role_without_a_description_has_none(client: AcsClient) -> None:
    assert "Description" not in create_role(client)["Role"]


def test_a_role_exists_once(client: AcsClient) -> None:
    create_role(client)
    assert refusal(
        client, "CreateRole", RoleName="MyRole", AssumeRolePolicyDocument=TRUST_POLICY
    ) == (409, "EntityAlreadyExists.Role", "The role already exists:MyRole")


@pytest.mark.parametrize("operation", ["GetRole", "DeleteRole", "ListPoliciesForRole"])
def test_a_role_that_is_not_there(client: AcsClient, operation: str) -> None:
    assert refusal(client, operation, RoleName="MyRole") == (
        404,
        "EntityNotExist.Role",
        "The role does not exist.",
    )


def test_a_role_made_again_is_another(client: AcsClient) -> None:
    first = create_role(client)["Role"]
    call(client, "DeleteRole", RoleName="MyRole")
    assert create_role(client)["Role"]["RoleId"] != first["RoleId"]


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"RoleName": "My_Role"}, "InvalidParameter.RoleName.InvalidChars"),
        ({"RoleName": "My Role"}, "InvalidParameter.RoleName.InvalidChars"),
        ({"RoleName": "MyRole\n"}, "InvalidParameter.RoleName.InvalidChars"),
        ({"RoleName": "角色"}, "InvalidParameter.RoleName.InvalidChars"),
        ({"RoleName": "r" * 65}, "InvalidParameter.RoleName.Length"),
        ({"MaxSessionDuration": 3599}, "InvalidParameter.MaxSessionDuration"),
        ({"MaxSessionDuration": 43201}, "InvalidParameter.MaxSessionDuration"),
        ({"MaxSessionDuration": "1h"}, "InvalidParameter.Format"),
        ({"MaxSessionDuration": "²"}, "InvalidParameter.Format"),
        ({"Description": "d" * 1025}, "InvalidParameter.Description.Length"),
        ({"AssumeRolePolicyDocument": "{"}, "MalformedPolicyDocument"),
        ({"AssumeRolePolicyDocument": READ_ONLY_POLICY}, "MalformedPolicyDocument"),
        ({"RoleName": None}, "MissingRoleName"),
        ({"AssumeRolePolicyDocument": None}, "MissingAssumeRolePolicyDocument"),
    ],
)
def test_what_create_role_refuses(client: AcsClient, parameters: dict[str, Any], code: str) -> None:
    sent = {"RoleName": "MyRole", "AssumeRolePolicyDocument": TRUST_POLICY, **parameters}
    given = {name: value for name, value in sent.items() if value is not None}
    status, refused, _ = refusal(client, "CreateRole", **given)
    assert (status, refused) == (400, code)
    assert call(client, "ListRoles")["Roles"]["Role"] == []


@pytest.mark.parametrize("name", ["r", "My.Role-1", "r" * 64])
def test_names_that_a_role_may_have(client: AcsClient, name: str) -> None:
    assert create_role(client, name)["Role"]["RoleName"] == name


def test_a_missing_parameter_is_named(client: AcsClient) -> None:
    assert refusal(client, "GetRole") == (
        400,
        "MissingRoleName",
        "RoleName is mandatory for this action.",
    )


def test_roles_come_in_pages(client: AcsClient) -> None:
    for name in ("c", "a", "b"):
        create_role(client, name)
    first = call(client, "ListRoles", MaxItems=2)
    assert [role["RoleName"] for role in first["Roles"]["Role"]] == ["a", "b"]
    assert first["IsTruncated"]
    second = call(client, "ListRoles", MaxItems=2, Marker=first["Marker"])
    assert [role["RoleName"] for role in second["Roles"]["Role"]] == ["c"]
    assert not second["IsTruncated"] and "Marker" not in second


@pytest.mark.parametrize("number", [0, 1001])
def test_pages_have_a_size(client: AcsClient, number: int) -> None:
    assert refusal(client, "ListRoles", MaxItems=number)[1] == "InvalidParameter.MaxItems"


# Policies


def test_a_policy_and_its_versions(stage: Stage, client: AcsClient) -> None:
    assert create_policy(client)["Policy"] == {
        "PolicyName": "MyPolicy",
        "PolicyType": "Custom",
        "Description": "",
        "DefaultVersion": "v1",
        "CreateDate": "2026-01-15T08:00:00Z",
    }
    stage.advance(hours=1)
    made = call(
        client,
        "CreatePolicyVersion",
        PolicyName="MyPolicy",
        PolicyDocument=ALLOW_ALL,
        SetAsDefault="true",
    )
    assert made["PolicyVersion"] == {
        "IsDefaultVersion": True,
        "VersionId": "v2",
        "PolicyDocument": ALLOW_ALL,
        "CreateDate": "2026-01-15T09:00:00Z",
    }
    read = call(client, "GetPolicy", PolicyType="Custom", PolicyName="MyPolicy")
    assert read["Policy"]["DefaultVersion"] == "v2"
    assert read["Policy"]["UpdateDate"] == "2026-01-15T09:00:00Z"
    assert read["DefaultPolicyVersion"]["PolicyDocument"] == ALLOW_ALL


def test_a_version_is_not_the_default_unless_asked(client: AcsClient) -> None:
    create_policy(client)
    call(client, "CreatePolicyVersion", PolicyName="MyPolicy", PolicyDocument=ALLOW_ALL)
    read = call(client, "GetPolicy", PolicyType="Custom", PolicyName="MyPolicy")
    assert read["DefaultPolicyVersion"]["PolicyDocument"] == READ_ONLY_POLICY


def test_five_versions_are_the_most(client: AcsClient) -> None:
    create_policy(client)
    version = {"PolicyName": "MyPolicy", "PolicyDocument": ALLOW_ALL}
    for _ in range(4):
        call(client, "CreatePolicyVersion", **version)
    assert refusal(client, "CreatePolicyVersion", **version)[:2] == (
        409,
        "LimitExceeded.Policy.Version",
    )
    rotating = "DeleteOldestNonDefaultVersionWhenLimitExceeded"
    sixth = call(client, "CreatePolicyVersion", RotateStrategy=rotating, **version)
    assert sixth["PolicyVersion"]["VersionId"] == "v6"
    read = call(client, "GetPolicy", PolicyType="Custom", PolicyName="MyPolicy")
    assert read["DefaultPolicyVersion"]["VersionId"] == "v1"


@pytest.mark.parametrize(
    ("document", "status", "code"),
    [
        (json.dumps({"Version": "1", "Statement": [{"Effect": "Allow", "Resource": "*"}]}),
         400, "MalformedPolicyDocument"),
        ("not JSON", 400, "MalformedPolicyDocument"),
        (TRUST_POLICY, 400, "MalformedPolicyDocument"),
        (READ_ONLY_POLICY + " " * 6144, 400, "InvalidParameter.PolicyDocument.Length"),
    ],
)  # fmt: skip
def test_documents_that_are_no_policy(
    client: AcsClient, document: str, status: int, code: str
) -> None:
    refused = refusal(client, "CreatePolicy", PolicyName="MyPolicy", PolicyDocument=document)
    assert refused[:2] == (status, code)


def test_a_statement_without_an_action_is_refused_in_ram_s_words(client: AcsClient) -> None:
    document = json.dumps({"Version": "1", "Statement": [{"Effect": "Allow", "Resource": "*"}]})
    refused = refusal(client, "CreatePolicy", PolicyName="MyPolicy", PolicyDocument=document)
    assert refused[2] == "Add an Action or NotAction element to the policy statement."


def test_a_policy_exists_once(client: AcsClient) -> None:
    create_policy(client)
    parameters = {"PolicyName": "MyPolicy", "PolicyDocument": READ_ONLY_POLICY}
    assert refusal(client, "CreatePolicy", **parameters)[:2] == (
        409,
        "EntityAlreadyExists.Policy",
    )


@pytest.mark.parametrize(
    ("parameters", "status", "code"),
    [
        ({"PolicyType": "Own", "PolicyName": "MyPolicy"}, 400, "InvalidParameter.PolicyType"),
        ({"PolicyType": "custom", "PolicyName": "MyPolicy"}, 400, "InvalidParameter.PolicyType"),
        ({"PolicyType": "System", "PolicyName": "MyPolicy"}, 404, "EntityNotExist.Policy"),
        ({"PolicyType": "Custom", "PolicyName": "Other"}, 404, "EntityNotExist.Policy"),
        ({"PolicyType": "Custom", "PolicyName": "a.b"}, 400,
         "InvalidParameter.PolicyName.InvalidChars"),
        ({"PolicyType": "Custom", "PolicyName": "p" * 129}, 400,
         "InvalidParameter.PolicyName.Length"),
        ({"PolicyName": "MyPolicy"}, 400, "MissingPolicyType"),
    ],
)  # fmt: skip
def test_policies_that_are_not_there(
    client: AcsClient, parameters: dict[str, str], status: int, code: str
) -> None:
    create_policy(client)
    assert refusal(client, "GetPolicy", **parameters)[:2] == (status, code)


# Attaching


def test_attached_is_listed_and_counted(stage: Stage, client: AcsClient) -> None:
    create_role(client), create_policy(client)
    assert call(client, "ListPoliciesForRole", RoleName="MyRole")["Policies"]["Policy"] == []
    stage.advance(minutes=1)
    attach(client)
    assert call(client, "ListPoliciesForRole", RoleName="MyRole")["Policies"]["Policy"] == [
        {
            "Description": "",
            "PolicyName": "MyPolicy",
            "AttachDate": "2026-01-15T08:01:00Z",
            "DefaultVersion": "v1",
            "PolicyType": "Custom",
        }
    ]
    policy = {"PolicyType": "Custom", "PolicyName": "MyPolicy"}
    assert call(client, "GetPolicy", **policy)["Policy"]["AttachmentCount"] == 1
    call(client, "DetachPolicyFromRole", RoleName="MyRole", **policy)
    assert call(client, "GetPolicy", **policy)["Policy"]["AttachmentCount"] == 0


@pytest.mark.parametrize("operation", ["AttachPolicyToRole", "DetachPolicyFromRole"])
@pytest.mark.parametrize(
    ("role", "policy", "code"),
    [
        ("Other", "MyPolicy", "EntityNotExist.Role"),
        ("MyRole", "Other", "EntityNotExist.Policy"),
    ],
)
def test_both_ends_must_exist(
    client: AcsClient, operation: str, role: str, policy: str, code: str
) -> None:
    create_role(client), create_policy(client)
    parameters = {"PolicyType": "Custom", "PolicyName": policy, "RoleName": role}
    assert refusal(client, operation, **parameters)[:2] == (404, code)


def test_attaching_and_detaching_twice(client: AcsClient) -> None:
    create_role(client), create_policy(client)
    ends = {"PolicyType": "Custom", "PolicyName": "MyPolicy", "RoleName": "MyRole"}
    attach(client)
    assert refusal(client, "AttachPolicyToRole", **ends)[:2] == (
        409,
        "EntityAlreadyExists.Role.Policy",
    )
    call(client, "DetachPolicyFromRole", **ends)
    assert refusal(client, "DetachPolicyFromRole", **ends)[:2] == (
        404,
        "EntityNotExist.Role.Policy",
    )


def test_five_custom_policies_a_role(client: AcsClient) -> None:
    create_role(client)
    for number in range(6):
        create_policy(client, f"Policy{number}")
    for number in range(5):
        attach(client, policy=f"Policy{number}")
    ends = {"PolicyType": "Custom", "PolicyName": "Policy5", "RoleName": "MyRole"}
    assert refusal(client, "AttachPolicyToRole", **ends)[:2] == (409, "LimitExceeded.Role.Policy")


def test_deleting_goes_from_the_outside_in(client: AcsClient) -> None:
    create_role(client), create_policy(client), attach(client)
    conflict = (409, "DeleteConflict.Role.Policy")
    assert refusal(client, "DeleteRole", RoleName="MyRole")[:2] == conflict
    assert refusal(client, "DeletePolicy", PolicyName="MyPolicy")[:2] == conflict
    ends = {"PolicyType": "Custom", "PolicyName": "MyPolicy", "RoleName": "MyRole"}
    call(client, "DetachPolicyFromRole", **ends)
    call(client, "DeletePolicy", PolicyName="MyPolicy")
    call(client, "DeleteRole", RoleName="MyRole")
    assert refusal(client, "DeletePolicy", PolicyName="MyPolicy")[1] == "EntityNotExist.Policy"


def test_a_policy_with_versions_is_deleted_only_as_a_whole(client: AcsClient) -> None:
    create_role(client), create_policy(client), attach(client)
    call(client, "CreatePolicyVersion", PolicyName="MyPolicy", PolicyDocument=ALLOW_ALL)
    ends = {"PolicyType": "Custom", "PolicyName": "MyPolicy", "RoleName": "MyRole"}
    call(client, "DetachPolicyFromRole", **ends)
    assert refusal(client, "DeletePolicy", PolicyName="MyPolicy")[:2] == (
        409,
        "DeleteConflict.Policy.Version",
    )
    attach(client)
    call(client, "DeletePolicy", PolicyName="MyPolicy", CascadingDelete=True)
    assert call(client, "ListPoliciesForRole", RoleName="MyRole")["Policies"]["Policy"] == []


# Who may


def allow(action: str, resource: str = "*", effect: str = "Allow") -> dict[str, str]:
    return {"Effect": effect, "Action": action, "Resource": resource}


ROLES = "acs:ram:*:*:role"


@pytest.mark.parametrize(
    ("statements", "operation", "allowed"),
    [
        ([], "GetRole", False),
        ([allow("ram:*")], "GetRole", True),
        ([allow("ram:Get*")], "GetRole", True),
        ([allow("ram:Get*")], "DeleteRole", False),
        ([allow("ram:GetRole", f"{ROLES}/MyRole")], "GetRole", True),
        ([allow("ram:GetRole", f"{ROLES}/Other")], "GetRole", False),
        ([allow("ram:*"), allow("ram:DeleteRole", effect="Deny")], "DeleteRole", False),
        ([allow("ram:*"), allow("ram:DeleteRole", effect="Deny")], "GetRole", True),
        ([allow("ecs:*")], "GetRole", False),
    ],
)
def test_a_user_may_do_what_its_policies_say(
    stage: Stage, client: AcsClient, statements: list[Any], operation: str, allowed: bool
) -> None:
    create_role(client)
    document = json.dumps({"Version": "1", "Statement": statements or [allow("oss:*")]})
    user = client_of(add_user(stage.account, "intern", {"policy": document}))
    if allowed:
        call(user, operation, RoleName="MyRole")
        return
    assert refusal(user, operation, RoleName="MyRole") == (
        403,
        "NoPermission",
        "You are not authorized to do this action. Resource: "
        f"acs:ram:*:1234567890123456:role/MyRole Action: ram:{operation}",
    )


def test_attaching_needs_both_ends(stage: Stage, client: AcsClient) -> None:
    create_role(client), create_policy(client)
    document = json.dumps({"Version": "1", "Statement": [allow("ram:*", f"{ROLES}/MyRole")]})
    user = client_of(add_user(stage.account, "intern", {"policy": document}))
    ends = {"PolicyType": "Custom", "PolicyName": "MyPolicy", "RoleName": "MyRole"}
    status, code, message = refusal(user, "AttachPolicyToRole", **ends)
    assert (status, code) == (403, "NoPermission")
    assert "Resource: acs:ram:*:1234567890123456:policy/MyPolicy" in message


# Who calls


def test_an_unknown_key(stage: Stage) -> None:
    stranger = AcsClient("LTAI5tNobodysKey", "secret", "cn-hangzhou")
    assert refusal(stranger, "ListRoles")[:2] == (404, "InvalidAccessKeyId.NotFound")


def test_a_disabled_key(stage: Stage, client: AcsClient) -> None:
    stage.root.active = False
    assert refusal(client, "ListRoles")[:2] == (400, "InvalidAccessKeyId.Inactive")


def test_a_wrong_secret_is_told_from_the_string_to_sign(stage: Stage) -> None:
    wrong = AcsClient(stage.root.access_key_id, "wrong", "cn-hangzhou")
    # The SDK compares the string to sign in the answer with its own, and renames the error.
    status, code, message = refusal(wrong, "ListRoles")
    assert (status, code) == (400, "InvalidAccessKeySecret")
    assert message.startswith("The AccessKeySecret is incorrect.")


@pytest.mark.parametrize(
    ("fault", "status"),
    [(fault, 400) for fault in Fault if fault.name.startswith("TOKEN") or fault is Fault.ROLE_GONE],
)
def test_what_can_be_wrong_with_a_token(
    stage: Stage, client: AcsClient, fault: Fault, status: int
) -> None:
    create_role(client), create_policy(client), attach(client)
    role = stage.account.roles["MyRole"]
    credential, other = (
        issue(stage.account, role, "test", NOW, timedelta(hours=1)) for _ in range(2)
    )
    token = {
        Fault.TOKEN_MISSING: None,
        Fault.TOKEN_MISMATCH: other.security_token,
        Fault.TOKEN_MALFORMED: credential.security_token[:-1],
    }.get(fault, credential.security_token)
    if fault is Fault.TOKEN_EXPIRED:
        stage.advance(hours=1)
    if fault is Fault.ROLE_GONE:
        del stage.account.roles["MyRole"]
    if token is None:
        session: Any = AccessKeyCredential(credential.access_key_id, credential.secret)
    else:
        session = StsTokenCredential(credential.access_key_id, credential.secret, token)
    refused = refusal(AcsClient(region_id="cn-hangzhou", credential=session), "ListRoles")
    assert refused[:2] == (status, FAULT_CODES[fault])


def test_no_answer_repeats_a_token(stage: Stage, client: AcsClient) -> None:
    create_role(client)
    token = issue(stage.account, stage.account.roles["MyRole"], "test", NOW, timedelta(hours=1))
    session = StsTokenCredential(token.access_key_id, "wrong", token.security_token)
    with pytest.raises(ServerException) as refused:
        call(AcsClient(region_id="cn-hangzhou", credential=session), "ListRoles")
    assert refused.value.error_code == "SignatureDoesNotMatch"
    assert token.security_token[:12] not in str(refused.value)


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_clock_that_is_off(stage: Stage, client: AcsClient, minutes: int) -> None:
    with time_machine.travel(NOW + timedelta(minutes=minutes), tick=False):
        status, code, _ = refusal(client, "ListRoles")
    assert (status, code) == (400, "InvalidTimeStamp.Expired")


@pytest.mark.parametrize("minutes", [-15, 15])
def test_a_clock_that_is_a_little_off(stage: Stage, client: AcsClient, minutes: int) -> None:
    with time_machine.travel(NOW + timedelta(minutes=minutes), tick=False):
        assert call(client, "ListRoles")["Roles"]["Role"] == []


def signed_url(stage: Stage, scheme: str = "https", media: str = "JSON", **parameters: str) -> str:
    sent = {"Action": "ListRoles", "Version": "2015-05-01", **parameters}
    key = stage.root
    path, _ = get_signed_url(sent, key.access_key_id, key.secret, media, "GET", {})
    return f"{scheme}://ram.aliyuncs.com{path}"


def test_a_request_is_taken_once(stage: Stage) -> None:
    url = signed_url(stage)
    assert requests.get(url).status_code == 200
    again = requests.get(url)
    assert (again.status_code, again.json()["Code"]) == (400, "SignatureNonceUsed")


def test_a_parameter_that_was_changed_on_the_way(stage: Stage) -> None:
    answer = requests.get(signed_url(stage, MaxItems="10").replace("MaxItems=10", "MaxItems=99"))
    assert (answer.status_code, answer.json()["Code"]) == (400, "SignatureDoesNotMatch")


def test_plain_http_is_refused(stage: Stage) -> None:
    answer = requests.get(signed_url(stage, scheme="http"))
    assert (answer.status_code, answer.json()["Code"]) == (400, "InvalidProtocol.NeedSsl")


@pytest.mark.parametrize(
    "timestamp",
    ["2026-01-15 08:00:00", "yesterday", "2026-01-15T08:00:00", "2026-02-30T08:00:00Z"],
)
def test_a_time_that_is_none(stage: Stage, timestamp: str) -> None:
    url = requests.Request("GET", signed_url(stage)).prepare().url or ""
    sent = url.replace("2026-01-15T08%3A00%3A00Z", requests.utils.quote(timestamp))
    answer = requests.get(sent)
    assert (answer.status_code, answer.json()["Code"]) == (400, "InvalidTimeStamp.Format")


def test_xml_on_request(stage: Stage, client: AcsClient) -> None:
    create_role(client, "a"), create_role(client, "b")
    answer = requests.get(signed_url(stage, media="XML"))
    assert answer.headers["Content-Type"].startswith("text/xml")
    assert answer.text.startswith('<?xml version="1.0" encoding="UTF-8"?><ListRolesResponse>')
    assert answer.text.count("<Role>") == 2
    assert "<IsTruncated>false</IsTruncated>" in answer.text
    refused = requests.get(signed_url(stage, media="XML", Action="GetRole", RoleName="none"))
    assert "<Error>" in refused.text and "<Code>EntityNotExist.Role</Code>" in refused.text


@pytest.mark.parametrize("host", ["ram.aliyuncs.com", "sts.aliyuncs.com"])
@pytest.mark.parametrize(
    ("code", "status"), [("Throttling", 400), ("InternalError", 500), ("ServiceUnavailable", 503)]
)
def test_answers_of_a_service_in_trouble(stage: Stage, host: str, code: str, status: int) -> None:
    answer = stage.sandbox.refuse(Request("GET", f"https://{host}/?Format=JSON"), NOW, code)
    body = json.loads(answer.body)
    assert (answer.status, body["Code"], body["HostId"]) == (status, code, host)


# The newer clients' signature


def acs3(secret: str, unsigned: str = "") -> Request:
    headers = {
        "host": "ram.aliyuncs.com",
        "x-acs-action": "ListRoles",
        "x-acs-version": "2015-05-01",
        "x-acs-date": NOW.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": "d410180a5abf7fe235dd9b74aca91fc0",
    }
    names = ";".join(sorted(name for name in headers if name != unsigned))
    request = Request("POST", "https://ram.aliyuncs.com/", headers)
    text = acs3_string_to_sign(request, names)
    signature = hmac.digest(secret.encode(), text.encode(), "sha256").hex()
    fields = f"Credential={{key}},SignedHeaders={names},Signature={signature}"
    return replace(request, headers={**headers, "authorization": f"ACS3-HMAC-SHA256 {fields}"})


@pytest.mark.parametrize(
    ("secret", "unsigned", "status", "answer"),
    [
        ("", "", 200, '"IsTruncated":false'),
        ("wrong", "", 400, '"Message":"Specified signature does not match our calculation."'),
        ("", "x-acs-date", 400, '"Code":"IncompleteSignature"'),
    ],
)
def test_a_signature_in_headers(
    stage: Stage, secret: str, unsigned: str, status: int, answer: str
) -> None:
    request = acs3(secret or stage.root.secret, unsigned)
    authorization = request.headers["authorization"].format(key=stage.root.access_key_id)
    headers = {**request.headers, "authorization": authorization}
    response = stage.answer(replace(request, headers=headers))
    assert (response.status, answer in response.body.decode()) == (status, True)


# Whatever is sent


TEXTS = st.sampled_from(["", "MyRole", "MyPolicy", "Custom", "true", "1", TRUST_POLICY, ALLOW_ALL])
CALLS = st.sampled_from(sorted(ram.SERVICE.operations)).flatmap(
    lambda name: st.tuples(
        st.just(name),
        st.dictionaries(
            st.sampled_from(sorted(ram.SERVICE.operations[name].known - GATEWAY_PARAMETERS)),
            TEXTS | st.text(st.characters(exclude_categories=["Cs"]), max_size=70),
        ),
    )
)


@given(st.lists(CALLS, max_size=12))
@settings(max_examples=60)
def test_any_call_has_a_well_formed_answer(calls: list[tuple[str, dict[str, str]]]) -> None:
    with staged(step=2) as stage:
        for operation, parameters in calls:
            sent = {name.replace(".N", ".1"): value for name, value in parameters.items()}
            answer = requests.get(signed_url(stage, Action=operation, **sent))
            assert answer.status_code in (200, 400, 404, 409)
            assert answer.json()["RequestId"]
            assert (answer.status_code == 200) == ("Code" not in answer.json())
        attached = [key for role in stage.account.roles.values() for key in role.attached]
        assert set(attached) <= set(stage.account.policies)


def test_xml_is_well_formed_whatever_it_says(stage: Stage, client: AcsClient) -> None:
    create_role(client, Description="<&>\x01\ud7ff")
    answer = requests.get(signed_url(stage, media="XML", Action="GetRole", RoleName="MyRole"))
    assert ElementTree.fromstring(answer.text).findtext(".//Description") == "<&>\ufffd\ud7ff"


# What is not modelled


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"action": "CreateUser"}, "ram CreateUser of version 2015-05-01 is not modelled here"),
        ({"version": "2014-05-01"}, "ram ListRoles of version 2014-05-01 is not modelled here"),
        ({"query": {"Colour": "red"}}, "with the parameter Colour is not modelled here"),
    ],
)
def test_what_lacks_a_model_says_so(
    client: AcsClient, parameters: dict[str, Any], message: str
) -> None:
    request = CommonRequest(
        domain="ram.aliyuncs.com", version="2015-05-01", action_name="ListRoles"
    )
    request.set_protocol_type("https")
    request.set_action_name(parameters.get("action", "ListRoles"))
    request.set_version(parameters.get("version", "2015-05-01"))
    request.set_query_params(parameters.get("query", {}))
    with pytest.raises(NotModelled, match=message):
        client.do_action_with_exception(request)
