"""The metadata address: paths, tokens, a credential's life, how the official clients refresh."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import oss2
import pytest
import requests
from alibabacloud_credentials.exceptions import CredentialException
from alibabacloud_credentials.provider.ecs_ram_role import EcsRamRoleCredentialsProvider
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.auth.credentials import EcsRamRoleCredential, StsTokenCredential
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.message import NotModelled, Request
from helpers.sandbox.account import Instance, Role
from helpers.sandbox.scenario import TRUST_POLICY
from tests.sandbox.in_process import NOW, Stage, staged

ADDRESS = "http://100.100.100.200"
CREDENTIALS = f"{ADDRESS}/latest/meta-data/ram/security-credentials/"
TOKEN = f"{ADDRESS}/latest/api/token"
TTL = "X-aliyun-ecs-metadata-token-ttl-seconds"
HEADER = "X-aliyun-ecs-metadata-token"
ROLE = "EcsRamRoleTest"
INSTANCE = "i-bXXXXXXXX"


@pytest.fixture
def stage() -> Iterator[Stage]:
    """On the instance, with the role attached."""
    with staged(step=3) as stage:
        yield stage


def instance_of(stage: Stage) -> Instance:
    return stage.account.instances[INSTANCE]


def get(path: str, **headers: str) -> requests.Response:
    return requests.get(f"{ADDRESS}{path}", headers=headers)


def document(role: str = ROLE) -> dict[str, str]:
    return requests.get(CREDENTIALS + role).json()


def identity(given: dict[str, str]) -> dict[str, Any]:
    """GetCallerIdentity with a credential document."""
    credential = StsTokenCredential(
        given["AccessKeyId"], given["AccessKeySecret"], given["SecurityToken"]
    )
    return who_am_i(AcsClient(region_id="cn-hangzhou", credential=credential))


def who_am_i(client: AcsClient) -> dict[str, Any]:
    request = CommonRequest("sts.aliyuncs.com", "2015-04-01", "GetCallerIdentity")
    request.set_protocol_type("https")
    return json.loads(client.do_action_with_exception(request))


def refused(given: dict[str, str]) -> str:
    with pytest.raises(ServerException) as error:
        identity(given)
    return error.value.error_code


def assert_page(answer: requests.Response, status: int, title: str) -> None:
    assert answer.status_code == status
    assert f"<title>{status} - {title}</title>" in answer.text
    assert answer.headers["Content-Type"] == "text/html"


def test_the_address_has_no_https(stage: Stage) -> None:
    with pytest.raises(NotModelled, match="over plain http only"):
        requests.get("https://100.100.100.200/latest/meta-data/instance-id", timeout=2)


# The role's credential


@pytest.mark.parametrize("path", ["/latest/meta-data/ram", "/2016-01-01/meta-data/Ram"])
def test_the_listing_is_the_role_s_name_alone(stage: Stage, path: str) -> None:
    assert get(f"{path}/security-credentials/").text == ROLE
    assert get(f"{path}/security-credentials").text == ROLE


@pytest.mark.parametrize("path", ["/latest/meta-data/ram", "/2016-01-01/meta-data/Ram"])
def test_the_document_is_laid_out_as_documented(stage: Stage, path: str) -> None:
    text = get(f"{path}/security-credentials/{ROLE}").text
    assert re.fullmatch(
        r'{\n"AccessKeyId" : "STS\.N\w{24}",\n"AccessKeySecret" : "\w{44}",\n'
        r'"Expiration" : "2026-01-15T14:00:00Z",\n"SecurityToken" : "CAIS[\w+/]{320}",\n'
        r'"LastUpdated" : "2026-01-15T08:00:00Z",\n"Code" : "Success"\n}',
        text,
    )


def test_the_credential_stands_for_the_role_on_this_instance(stage: Stage) -> None:
    role = stage.account.roles[ROLE]
    answer = identity(document())
    assert answer["IdentityType"] == "AssumedRoleUser"
    assert answer["PrincipalId"] == f"{role.role_id}:vm-ram-{INSTANCE}"
    assert answer["RoleId"] == role.role_id


def test_every_look_within_five_and_a_half_hours_shows_the_same(stage: Stage) -> None:
    first = document()
    stage.advance(hours=5, minutes=29, seconds=59)
    assert document() == first
    stage.advance(seconds=1)
    assert document() != first


def test_both_credentials_work_while_they_overlap(stage: Stage) -> None:
    first = document()
    stage.advance(hours=5, minutes=30)
    second = document()
    assert second["LastUpdated"] == "2026-01-15T13:30:00Z"
    assert second["Expiration"] == "2026-01-15T19:30:00Z"
    assert identity(first)["PrincipalId"] == identity(second)["PrincipalId"]
    stage.advance(minutes=29, seconds=59)
    assert identity(first)["PrincipalId"] == identity(second)["PrincipalId"]
    stage.advance(seconds=1)
    assert refused(first) == "InvalidSecurityToken.Expired"
    assert identity(second)["AccountId"]


def test_the_schedule_does_not_depend_on_who_looks(stage: Stage) -> None:
    document()
    stage.advance(hours=100)
    seldom = document()
    assert seldom["LastUpdated"] == "2026-01-19T11:00:00Z"  # 18 periods of 5.5 hours
    assert seldom["Expiration"] == "2026-01-19T17:00:00Z"
    assert identity(seldom)["AccountId"]


def test_an_expired_credential_stays_known(stage: Stage) -> None:
    first = document()
    stage.advance(days=30)
    document()
    assert refused(first) == "InvalidSecurityToken.Expired"


def test_a_detached_role_gives_no_credential(stage: Stage) -> None:
    given = document()
    instance_of(stage).role_name = ""
    assert_page(requests.get(CREDENTIALS), 404, "Not Found")
    assert_page(requests.get(CREDENTIALS + ROLE), 404, "Not Found")
    assert refused(given) == "InvalidSecurityToken.Malformed"


def test_a_deleted_role_gives_no_credential(stage: Stage) -> None:
    given = document()
    del stage.account.roles[ROLE]
    assert_page(requests.get(CREDENTIALS), 404, "Not Found")
    assert refused(given) == "InvalidSecurityToken.Malformed"
    stage.account.roles[ROLE] = Role(ROLE, "399", TRUST_POLICY, NOW)
    assert document()["AccessKeyId"] != given["AccessKeyId"]
    assert refused(given) == "InvalidSecurityToken.Malformed"


@pytest.mark.parametrize("role", ["Other", "ecsramroletest", f"{ROLE}%0A", f"{ROLE}/x"])
def test_another_name_is_not_found(stage: Stage, role: str) -> None:
    assert_page(requests.get(CREDENTIALS + role), 404, "Not Found")


def test_the_session_policy_of_the_attachment_is_in_the_credential(stage: Stage) -> None:
    wide = document()
    instance_of(stage).session_policy = TRUST_POLICY
    narrow = document()
    assert narrow["AccessKeyId"] != wide["AccessKeyId"]
    assert stage.account.credentials[narrow["AccessKeyId"]].session_policy == TRUST_POLICY


# Hardened mode


def new_token(seconds: str = "60", **headers: str) -> requests.Response:
    return requests.put(TOKEN, headers={TTL: seconds, **headers})


@pytest.mark.parametrize("seconds", ["1", "21600"])
def test_a_token_lives_as_long_as_was_asked(stage: Stage, seconds: str) -> None:
    token = new_token(seconds).text
    assert re.fullmatch(r"[\w+/]{56}", token)
    stage.advance(seconds=int(seconds) - 1)
    for _ in range(2):
        assert get("/latest/meta-data/instance-id", **{HEADER: token}).text == INSTANCE
    stage.advance(seconds=1)
    assert_page(get("/latest/meta-data/instance-id", **{HEADER: token}), 401, "Unauthorized")


@pytest.mark.parametrize("seconds", ["0", "21601", "21700", "-1", "1.5", "", "abc"])
def test_lives_that_a_token_cannot_have(stage: Stage, seconds: str) -> None:
    answer = requests.put(TOKEN, headers={TTL: seconds})
    assert_page(answer, 400, "Bad Request")


def test_a_token_needs_its_life(stage: Stage) -> None:
    assert_page(requests.put(TOKEN), 400, "Bad Request")


def test_a_proxy_gets_no_token(stage: Stage) -> None:
    assert_page(new_token(**{"X-Forwarded-For": "203.0.113.7"}), 403, "Forbidden")


def test_a_wrong_token_is_refused_though_none_is_needed(stage: Stage) -> None:
    assert_page(get("/latest/meta-data/", **{HEADER: "aaa"}), 401, "Unauthorized")


def test_a_token_belongs_to_its_instance(stage: Stage) -> None:
    token = new_token().text
    stage.account.instances["i-other"] = Instance("i-other", "cn-hangzhou", NOW)
    stage.account.here = "i-other"
    assert_page(get("/latest/meta-data/region-id", **{HEADER: token}), 401, "Unauthorized")
    assert get("/latest/meta-data/region-id").text == "cn-hangzhou"


def test_where_a_token_is_required(stage: Stage) -> None:
    instance_of(stage).http_tokens = "required"
    assert_page(requests.get(CREDENTIALS), 401, "Unauthorized")
    assert requests.get(CREDENTIALS, headers={HEADER: new_token().text}).text == ROLE


def test_where_the_address_is_switched_off(stage: Stage) -> None:
    instance_of(stage).http_endpoint = "disabled"
    assert_page(new_token(), 403, "Forbidden")
    assert_page(requests.get(CREDENTIALS), 403, "Forbidden")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/latest/api/token"),
        ("POST", "/latest/api/token"),
        ("PUT", "/latest/meta-data/instance-id"),
        ("DELETE", "/latest/meta-data/instance-id"),
    ],
)
def test_methods_that_a_path_lacks(stage: Stage, method: str, path: str) -> None:
    answer = requests.request(method, ADDRESS + path, headers={TTL: "60"})
    assert_page(answer, 405, "Method Not Allowed")


# Other items


@pytest.mark.parametrize("version", ["latest", "2016-01-01"])
@pytest.mark.parametrize(
    ("item", "text"),
    [
        ("hostname", "iZbXXXXXXXXZ"),
        ("image-id", "centos_7_03_64_40G_alibase_20170503.vhd"),
        ("instance-id", INSTANCE),
        ("instance/instance-type", "ecs.g6.large"),
        ("network-type", "vpc"),
        ("owner-account-id", "1234567890123456"),
        ("private-ipv4", "192.168.0.10"),
        ("region-id", "cn-hangzhou"),
        ("vpc-id", "vpc-bp1e0g399hkd7c8q****"),
        ("vswitch-id", "vsw-bp1ygryo03m39xhsy****"),
        ("zone-id", "cn-hangzhou-i"),
    ],
)
def test_what_an_instance_can_read(stage: Stage, version: str, item: str, text: str) -> None:
    assert get(f"/{version}/meta-data/{item}").text == text


def test_the_listings(stage: Stage) -> None:
    assert get("/").text.split() == ["2016-01-01", "latest"]
    names = get("/latest/meta-data/").text.splitlines()
    assert names == sorted(names)
    assert {"instance-id", "instance/", "ram/", "zone-id"} <= set(names)
    instance_of(stage).role_name = ""
    assert "ram/" not in get("/latest/meta-data/").text.splitlines()


@pytest.mark.parametrize(
    "path", ["/latest/meta-data/nothing", "/latest/user-data", "/2015-01-01/meta-data/", "/x"]
)
def test_what_is_not_there(stage: Stage, path: str) -> None:
    assert_page(get(path), 404, "Not Found")


@pytest.mark.parametrize(
    "path",
    [
        "/latest/",
        "/latest/dynamic/instance-identity/document",
        "/latest/meta-data/all",
        "/latest/meta-data/instance/",
        "/latest/meta-data/mac",
        "/latest/meta-data/ram/",
        "/latest/meta-data/network/interfaces/macs/",
    ],
)
def test_what_is_documented_and_not_served_here(stage: Stage, path: str) -> None:
    with pytest.raises(NotModelled, match="is not modelled here"):
        get(path)


def test_an_item_whose_value_is_unknown_is_not_made_up(stage: Stage) -> None:
    del instance_of(stage).attributes["ImageId"]
    with pytest.raises(NotModelled, match="meta-data/image-id of i-bXXXXXXXX is not modelled"):
        get("/latest/meta-data/image-id")


# Where no program can ask


def stop(stage: Stage) -> None:
    instance_of(stage).enter("Stopping", stage.now)


def leave(stage: Stage) -> None:
    stage.account.here = ""


def move_to_the_classic_network(stage: Stage) -> None:
    instance_of(stage).network_type = "classic"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (leave, "this program does not run on an ECS instance"),
        (stop, f"{INSTANCE} is Stopping, so no program runs there; start it first"),
        (move_to_the_classic_network, f"{INSTANCE} is of the classic network, not in a VPC"),
    ],
)
def test_outside_a_running_vpc_instance(stage: Stage, change: Any, message: str) -> None:
    change(stage)
    with pytest.raises(NotModelled, match=message):
        requests.get(CREDENTIALS)


# Faults on request


@pytest.mark.parametrize(
    ("code", "status"), [("Throttling", 429), ("InternalError", 500), ("ServiceUnavailable", 503)]
)
def test_answers_of_an_address_in_trouble(stage: Stage, code: str, status: int) -> None:
    answer = stage.sandbox.refuse(Request("GET", CREDENTIALS), NOW, code)
    assert answer.status == status
    assert f"<h1>{status} - ".encode() in answer.body


# Whatever is sent

NAMES = [
    "latest",
    "2016-01-01",
    "meta-data",
    "ram",
    "security-credentials",
    ROLE,
    "api",
    "token",
    "",
]
SEGMENTS = st.sampled_from([*NAMES, "", "instance-id", "instance", "dynamic", "%0A", "..", "*"])
PATHS = st.lists(SEGMENTS | st.text(max_size=8).map(quote), max_size=6).map("/".join)
HEADERS = st.dictionaries(st.sampled_from([TTL, HEADER, "X-Forwarded-For"]), st.text(max_size=8))


@given(st.sampled_from(["GET", "PUT", "HEAD", "POST"]), PATHS, HEADERS)
@settings(max_examples=300)
def test_any_request_has_an_answer(method: str, path: str, headers: dict[str, str]) -> None:
    with staged(step=3) as stage:
        try:
            answer = stage.answer(Request(method, f"{ADDRESS}/{path}", headers))
        except NotModelled as missing:
            assert "not modelled here" in str(missing)
        else:
            assert answer.status in (200, 400, 401, 403, 404, 405)
            assert answer.headers["Content-Length"] == str(len(answer.body))


# The official clients


def test_the_core_sdk_s_signer_signs_with_what_it_finds(stage: Stage) -> None:
    client = AcsClient(region_id="cn-hangzhou", credential=EcsRamRoleCredential(ROLE))
    for _ in range(4):
        assert who_am_i(client)["PrincipalId"].endswith(f":vm-ram-{INSTANCE}")
        stage.advance(hours=5)
    assert len(stage.account.credentials) == 3


def test_the_core_sdk_s_signer_meets_the_page_of_a_wrong_role(stage: Stage) -> None:
    client = AcsClient(region_id="cn-hangzhou", credential=EcsRamRoleCredential("Other"))
    with pytest.raises(OSError, match="HTTP Error 404"):
        who_am_i(client)


def test_oss2_s_provider_refreshes_in_time(stage: Stage) -> None:
    provider = oss2.credentials.EcsRamRoleCredentialsProvider(CREDENTIALS + ROLE)
    first = provider.get_credentials().get_access_key_id()
    stage.advance(hours=5)
    assert provider.get_credentials().get_access_key_id() == first
    stage.advance(minutes=30)
    assert provider.get_credentials().get_access_key_id() != first


def test_oss2_s_provider_keeps_the_old_one_when_the_role_is_gone(stage: Stage) -> None:
    provider = oss2.credentials.EcsRamRoleCredentialsProvider(CREDENTIALS + ROLE)
    first = provider.get_credentials().get_access_key_id()
    stage.advance(hours=5, minutes=30)
    instance_of(stage).role_name = ""
    assert provider.get_credentials().get_access_key_id() == first


def test_oss2_s_provider_reports_the_page(stage: Stage) -> None:
    provider = oss2.credentials.EcsRamRoleCredentialsProvider(CREDENTIALS + "Other")
    with pytest.raises(oss2.exceptions.ClientError, match="http code:404"):
        provider.get_credentials()


@pytest.mark.parametrize("role_name", [None, ROLE])
@pytest.mark.parametrize("tokens", ["optional", "required"])
def test_alibabacloud_credentials_finds_them(stage: Stage, role_name: Any, tokens: str) -> None:
    instance_of(stage).http_tokens = tokens
    provider = EcsRamRoleCredentialsProvider(
        role_name=role_name, disable_imds_v1=tokens == "required", async_update_enabled=False
    )
    found = provider.get_credentials()
    given = stage.account.credentials[found.get_access_key_id()]
    assert found.get_security_token() == given.security_token
    assert found.get_expiration() == given.expires_at.timestamp()


def test_alibabacloud_credentials_refreshes_in_time(stage: Stage) -> None:
    provider = EcsRamRoleCredentialsProvider(role_name=ROLE, async_update_enabled=False)
    seen = []
    for _ in range(26):
        key = provider.get_credentials().get_access_key_id()
        assert stage.account.credentials[key].expires_at > stage.now
        seen.append(key)
        stage.advance(minutes=30)
    assert len(dict.fromkeys(seen)) == 3  # within 12.5 hours, at 0, 5.5 and 11 hours


def test_alibabacloud_credentials_keeps_the_old_one_when_the_address_fails(
    stage: Stage,
) -> None:
    provider = EcsRamRoleCredentialsProvider(role_name=ROLE, async_update_enabled=False)
    first = provider.get_credentials().get_access_key_id()
    stage.advance(hours=5, minutes=50)
    instance_of(stage).http_endpoint = "disabled"
    assert provider.get_credentials().get_access_key_id() == first


def test_alibabacloud_credentials_reports_the_status(stage: Stage) -> None:
    provider = EcsRamRoleCredentialsProvider(role_name="Other", async_update_enabled=False)
    with pytest.raises(CredentialException, match="HttpCode=404"):
        provider.get_credentials()
