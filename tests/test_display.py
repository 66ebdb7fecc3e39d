"""What a learner looks at, made of real exchanges: real clients against the stand-in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError
from urllib.parse import unquote
from urllib.request import urlopen
from xml.etree import ElementTree

import alibabacloud_oss_v2
import oss2
import pytest
import requests
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkram.request.v20150501.CreateRoleRequest import CreateRoleRequest

from helpers import display
from helpers.display import Shown
from helpers.message import Decided, Exchange, Request, Response
from helpers.trace import Trace
from tests.sandbox.in_process import Stage, staged

METADATA = "http://100.100.100.200/latest/meta-data/ram/security-credentials/"
ENDPOINT = "https://oss-cn-hangzhou.aliyuncs.com"
READ_ONLY = {
    "Version": "1",
    "Statement": [{"Effect": "Allow", "Action": ["oss:Get*", "oss:List*"], "Resource": "*"}],
}


class Session:
    """A stage whose exchanges are traced, as ``connect`` traces them."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.trace = Trace()
        self.unmasked: list[Exchange] = []
        answer = stage.answer

        def traced(request: Request) -> Response:
            response = answer(request)
            self.unmasked.append(Exchange(request, response))
            self.trace.append(self.unmasked[-1])
            return response

        stage.answer = traced  # type: ignore[method-assign]

    def create_role(self, role_name: str, secret: str = "") -> None:
        root = self.stage.root
        client = AcsClient(root.access_key_id, secret or root.secret, "cn-hangzhou")
        request = CreateRoleRequest()
        request.set_RoleName(role_name)
        request.set_AssumeRolePolicyDocument("{}")
        client.do_action_with_exception(request)

    def credentials(self) -> dict[str, str]:
        document: dict[str, str] = requests.get(f"{METADATA}EcsRamRoleTest").json()
        return document

    def bucket(self, auth_version: str = "v1", token: str | None = None, **changed: str) -> Any:
        document = {**self.credentials(), **changed}
        key = (document["AccessKeyId"], document["AccessKeySecret"])
        if token == "":
            return oss2.Bucket(oss2.Auth(*key), ENDPOINT, "ramroletest")
        auth = oss2.StsAuth(*key, document["SecurityToken"], auth_version)
        return oss2.Bucket(auth, ENDPOINT, "ramroletest", region="cn-hangzhou")

    def secrets(self) -> list[str]:
        account = self.stage.account
        issued = account.credentials.values()
        found = [key.secret for key in account.access_keys.values()]
        return found + [s[:24] for each in issued for s in (each.secret, each.security_token)]


@pytest.fixture
def session() -> Iterator[Session]:
    """The account before step 3: the role is attached to the instance that asks."""
    with staged(step=3) as stage:
        yield Session(stage)


@pytest.fixture
def trace(session: Session) -> Trace:
    """A successful listing, a refused one, a refused role, three equal questions."""
    list(oss2.ObjectIterator(session.bucket()))
    with pytest.raises(oss2.exceptions.ServerError):
        list(oss2.ObjectIterator(session.bucket(token="")))
    with pytest.raises(ServerException):
        session.create_role("EcsRamRoleTest")
    for _ in range(3):
        session.credentials()
    return session.trace


def cells(shown: Shown) -> list[list[str]]:
    """The rows of a table, after checking that a screen reader can read it."""
    root = ElementTree.fromstring(shown.html)
    caption, head, body = root
    assert (root.tag, caption.tag, head.tag, body.tag) == ("table", "caption", "thead", "tbody")
    assert caption.text
    assert {(cell.tag, cell.attrib["scope"]) for cell in head[0]} == {("th", "col")}
    for row in body:
        assert (row[0].tag, row[0].attrib["scope"]) == ("th", "row")
        assert {cell.tag for cell in row[1:]} <= {"td"}
        assert len(row) == len(head[0])
    return [["".join(cell.itertext()) for cell in row] for row in body]


def drawn(shown: Shown) -> ElementTree.Element:
    """The SVG of a picture, after checking that its words stand beside it."""
    root = ElementTree.fromstring(f"<p>{shown.html}</p>")
    image, details = root
    svg = unquote(image.attrib["src"].removeprefix("data:image/svg+xml,"))
    assert image.attrib["alt"].startswith(repr(shown).partition("\n")[0])
    assert details.findtext("pre") == repr(shown).partition("\n")[2]
    return ElementTree.fromstring(svg)


def fields(shown: Shown) -> dict[str, str]:
    return {row[0]: row[1] for row in cells(shown)}


def explained(capsys: pytest.CaptureFixture[str], error: BaseException, trace: Any = ()) -> str:
    """The text that ``explain`` shows; exactly once, as it returns nothing."""
    capsys.readouterr()
    assert display.explain(error, trace) is None  # type: ignore[func-returns-value]
    return capsys.readouterr().out


# What was sent and what came back


def test_exchanges_show_what_was_sent_what_came_back_and_what_decided(trace: Trace) -> None:
    rows = cells(display.exchanges(trace))
    assert [row[:5] for row in rows[:5]] == [
        [
            "1",
            "Metadata",
            "GET security-credentials/EcsRamRoleTest",
            f"GET {METADATA}EcsRamRoleTest",
            "200",
        ],
        ["2", "OSS", "ListObjects", "GET https://ramroletest.oss-cn-hangzhou.aliyuncs.com/", "200"],
        [
            "3",
            "Metadata",
            "GET security-credentials/EcsRamRoleTest",
            f"GET {METADATA}EcsRamRoleTest",
            "200",
        ],
        [
            "4",
            "OSS",
            "ListObjects",
            "GET https://ramroletest.oss-cn-hangzhou.aliyuncs.com/",
            "403 InvalidAccessKeyId",
        ],
        ["5", "RAM", "CreateRole", "POST https://ram.aliyuncs.com/", "400 MalformedPolicyDocument"],
    ]
    assert "allows it" in rows[1][5]
    assert "security token" in rows[3][5]


def test_exchanges_of_a_real_account_do_not_say_what_decided(trace: Trace) -> None:
    live = [
        Exchange(each.request, Response(each.response.status, each.response.headers, b""))
        for each in trace
        if each.response
    ]
    assert {row[5] for row in cells(display.exchanges(live))} == {""}


def test_an_exchange_without_an_answer_is_shown() -> None:
    cut = Exchange(Request("GET", "https://ram.aliyuncs.com/?Action=GetRole"), None, "cut off")
    assert cells(display.exchanges([cut]))[0][4] == "nothing: cut off"
    assert "answered nothing: cut off" in repr(display.sequence([cut]))


def test_the_sequence_draws_the_real_exchanges_and_equal_ones_once(trace: Trace) -> None:
    words = [
        text.text for text in drawn(display.sequence(trace)).iter() if text.tag.endswith("}text")
    ]
    assert words[:4] == ["Your program", "Metadata", "OSS", "RAM"]
    assert words[13:16] == ["4", "ListObjects", "403 InvalidAccessKeyId"]
    assert words[-3] == "6-8" and str(words[-2]).endswith(", 3 times")


def test_nothing_sent_is_said() -> None:
    assert repr(display.exchanges([])).startswith("What was sent and what came back: nothing\n")
    assert "Nothing was sent." in repr(display.sequence([]))
    drawn(display.sequence([]))


# A signed request


def test_an_rpc_request_is_opened_part_by_part(session: Session) -> None:
    with pytest.raises(ServerException):
        session.create_role("AnyRole")
    parts = fields(display.signed_request(session.trace[-1:]))
    assert list(parts)[:3] == ["Method", "Address", "Action"]
    assert list(parts)[-1] == "Signature"
    assert parts["Address"] == "https://ram.aliyuncs.com/"
    assert parts["RoleName"] == "AnyRole"
    assert parts["SignatureMethod"] == "HMAC-SHA1"
    assert parts["AccessKeyId"] == session.stage.root.access_key_id[:6] + "****"
    assert parts["Timestamp"] == "(time of the request)"
    assert parts["SignatureNonce"] == "(random)"
    assert parts["Signature"] == "(new each time)"


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("v1", {"Scheme": "OSS", "AccessKeyId": "STS.", "date": "(time of the request)"}),
        (
            "v4",
            {
                "Scheme": "OSS4-HMAC-SHA256",
                "Credential": "STS.",
                "x-oss-date": "(time of the request)",
                "x-oss-content-sha256": "UNSIGNED-PAYLOAD",
            },
        ),
    ],
)
def test_an_oss_signature_is_opened_part_by_part(
    session: Session, version: str, expected: dict[str, str]
) -> None:
    list(oss2.ObjectIterator(session.bucket(version), prefix="test"))
    parts = fields(display.signed_request(session.trace[-1:]))
    assert all(parts[name].startswith(value) for name, value in expected.items())
    assert parts["prefix"] == "test"
    assert parts["x-oss-security-token"] == "CAIS****"
    assert parts["Signature"] == "(new each time)"
    if version == "v4":
        assert parts["Credential"].endswith("****/(day)/cn-hangzhou/oss/aliyun_v4_request")


def test_a_signed_request_is_shown_alike_in_each_run(session: Session) -> None:
    for _ in range(2):
        list(oss2.ObjectIterator(session.bucket("v4")))
        session.stage.advance(hours=1, seconds=7)
    first, second = session.trace[1], session.trace[3]
    assert first.request.headers["x-oss-date"] != second.request.headers["x-oss-date"]
    assert display.signed_request([first]).html == display.signed_request([second]).html


def test_the_headers_of_the_hardened_mode_are_parts(session: Session) -> None:
    token = requests.put(
        "http://100.100.100.200/latest/api/token",
        headers={"X-aliyun-ecs-metadata-token-ttl-seconds": "21600"},
    ).text
    requests.get(METADATA, headers={"X-aliyun-ecs-metadata-token": token})
    asked, read = (fields(display.signed_request([each])) for each in session.trace)
    assert asked["x-aliyun-ecs-metadata-token-ttl-seconds"] == "21600"
    assert read["x-aliyun-ecs-metadata-token"] == "****"


# A refusal


def test_errors_of_every_client_are_explained(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ServerException) as refused:
        session.create_role("AnyRole")
    text = explained(capsys, refused.value, session.trace)
    assert "HTTP status  400" in text
    assert "Code         MalformedPolicyDocument" in text
    assert "RequestId    " in text and "not given" not in text
    assert "Decided by   policy grammar (" in text


def test_an_oss_error_is_explained(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(oss2.exceptions.OssError) as refused:
        next(oss2.ObjectIterator(session.bucket(token="")))
    text = explained(capsys, refused.value, session.trace)
    assert "Code         InvalidAccessKeyId" in text
    assert "Message      The OSS Access Key Id you provided does not exist in our records." in text
    assert "Decided by   access key (" in text


def test_an_error_of_the_new_oss_client_is_explained(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    document = session.credentials()
    provider = alibabacloud_oss_v2.credentials.StaticCredentialsProvider(
        document["AccessKeyId"], "wrong", document["SecurityToken"]
    )
    config = alibabacloud_oss_v2.config.Config("cn-hangzhou", credentials_provider=provider)
    client = alibabacloud_oss_v2.Client(config)
    with pytest.raises(alibabacloud_oss_v2.exceptions.OperationError) as refused:
        client.list_objects_v2(alibabacloud_oss_v2.ListObjectsV2Request("ramroletest"))
    text = explained(capsys, refused.value, session.trace)
    assert "HTTP status  403" in text
    assert "Code         SignatureDoesNotMatch" in text
    assert "Decided by   signature (" in text


def test_http_errors_are_explained(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(requests.HTTPError) as refused:
        requests.get(f"{METADATA}NoSuchRole").raise_for_status()
    text = explained(capsys, refused.value, session.trace)
    assert "HTTP status  404" in text and "Decided by   state (" in text
    with pytest.raises(HTTPError) as also:
        urlopen(f"{METADATA}NoSuchRole")
    assert "HTTP status  404" in explained(capsys, also.value, session.trace)


@pytest.mark.parametrize(
    "error",
    [
        ClientException("SDK.InvalidRegionId", "Can not find endpoint"),
        oss2.exceptions.ClientError("Can not find endpoint"),
        ValueError("Can not find endpoint"),
    ],
)
def test_an_error_that_no_service_gave_is_explained(
    error: Exception, trace: Trace, capsys: pytest.CaptureFixture[str]
) -> None:
    text = explained(capsys, error, trace)
    assert "HTTP status  not given" in text
    assert "Can not find endpoint" in text
    assert "Decided by   not given" in text


def test_an_error_does_not_show_a_secret(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    """OSS quotes the whole token when it has expired."""
    token = session.credentials()["SecurityToken"]
    message = f"expired: <SecurityToken>{token}</SecurityToken>"
    details = {"Code": "SecurityTokenExpired", "Message": message}
    text = explained(capsys, oss2.exceptions.ServerError(403, {}, b"", details))
    assert "Message      expired: <SecurityToken>CAIS****</SecurityToken>" in text


# Policies, credentials, resources


def test_what_if_says_what_decides_and_what_came_nearest() -> None:
    rows = cells(
        display.what_if(
            [
                READ_ONLY,
                {
                    "Version": "1",
                    "Statement": [
                        {
                            **READ_ONLY["Statement"][0],
                            "Effect": "Deny",
                            "Resource": "acs:oss:*:*:b/private/*",
                        }
                    ],
                },
            ],
            [
                ("oss:GetObject", "acs:oss:*:1:b/a"),
                ("oss:PutObject", "acs:oss:*:1:b/a"),
                ("oss:GetObject", "acs:oss:*:1:b/private/a", {"acs:SourceIp": "10.0.0.1"}),
            ],
        )
    )
    assert [row[2] for row in rows] == ["Allow", "ImplicitDeny", "ExplicitDeny"]
    assert rows[0][3] == "Statement 1 of policy 1 allows it."
    assert "oss:PutObject" in rows[1][3]
    assert rows[2][3] == "Statement 1 of policy 2 denies it."
    assert "acs:SourceIp=10.0.0.1" in rows[2][1]


def test_what_if_names_the_fault_of_what_is_no_policy() -> None:
    shown = display.what_if({"Version": "1"}, [("oss:GetObject", "acs:oss:*:1:b/a")])
    assert cells(shown)[0][0].endswith(
        "Statement must be a list of statements, at least one; it is missing."
    )


def test_the_timeline_follows_the_credentials_as_the_clock_advances(session: Session) -> None:
    documents = []
    for _ in range(12):
        documents.append(session.credentials())
        session.stage.advance(hours=1, minutes=1)
    shown = display.timeline(documents)
    assert len(repr(shown).splitlines()) == 1 + 3 + 2
    assert "Credential 1: from 0 h to 6 h\n" in repr(shown)
    assert "both valid from " in repr(shown)
    assert not any(secret in shown.html for secret in session.secrets())
    assert shown.html == display.timeline(documents).html
    drawn(shown)


def test_a_timeline_does_not_depend_on_the_time_of_the_run() -> None:
    lives = [("T03:17:18Z", "T09:17:19Z"), ("T08:47:30Z", "T14:47:30Z")]
    days = ["2017-06-09", "2026-01-15"]
    shown = [
        display.timeline([{"LastUpdated": d + a, "Expiration": d + b} for a, b in lives]).html
        for d in days
    ]
    assert shown[0] == shown[1]


def test_the_six_fields_are_shown_without_secrets(session: Session) -> None:
    document = session.credentials()
    shown = display.masked(document)
    assert list(shown) == list(document)
    assert shown["AccessKeyId"] == "STS.NT****"[:4] + document["AccessKeyId"][4:6] + "****"
    assert shown["AccessKeySecret"] == "****"
    assert shown["SecurityToken"] == "CAIS****"
    assert shown["Expiration"] == document["Expiration"]


def test_the_ledger_says_what_still_bills() -> None:
    entries = [
        SimpleNamespace(resource="role", id="Test", region="", bills=False, removed=False),
        SimpleNamespace(
            resource="instance", id="i-1", region="cn-hangzhou", bills=True, removed=False
        ),
        SimpleNamespace(
            resource="instance", id="i-2", region="cn-hangzhou", bills=True, removed=True
        ),
    ]
    states = [row[3] for row in cells(display.show_ledger(entries))]
    assert states == ["there, free of charge", "STILL BILLS", "removed"]
    assert repr(display.show_ledger([])).startswith("Created in this run: nothing\n")


# All of them


def test_no_display_shows_a_secret(session: Session, trace: Trace) -> None:
    """Not even one that gets exchanges which no trace has masked."""
    for exchanges in (trace, session.unmasked):
        shown = [display.exchanges(exchanges), display.sequence(exchanges)]
        shown += [display.signed_request([each]) for each in exchanges]
        for each in shown:
            assert not any(secret in each.html + repr(each) for secret in session.secrets())


def test_what_a_service_says_is_escaped() -> None:
    evil = "<script>alert(1)</script>&"
    request = Request(
        "GET", f"https://ram.aliyuncs.com/?Action=x&Evil={evil}", {"Host": f"a{evil}"}
    )
    body = json.dumps({"Code": evil}).encode()
    exchange = Exchange(request, Response(400, {}, body, Decided(evil, evil)))
    for shown in (
        display.exchanges([exchange]),
        display.sequence([exchange]),
        display.signed_request([exchange]),
        display.what_if(READ_ONLY, [(f"oss:{evil}", f"acs:oss:*:1:{evil}")]),
    ):
        assert "<script>" not in shown.html
        assert "script" in shown.html


def test_a_display_has_a_text_twin_and_runs_nothing(trace: Trace) -> None:
    for make in (display.exchanges, display.sequence):
        shown = make(trace)
        assert shown.html == make(trace).html
        bundle = shown._repr_mimebundle_()
        assert set(bundle) == {"text/html", "text/plain"}
        assert bundle["text/plain"] == repr(shown)
        assert "<" not in bundle["text/plain"]
        assert not any(
            word in bundle["text/html"] for word in ("<script", " id=", "onclick", "<style")
        )


def test_text_columns_are_aligned() -> None:
    shown = display.table("Two", ("A", "Long name"), [("first", 1), ("x", 22)])
    assert repr(shown) == "Two\nA      Long name\nfirst  1\nx      22"


def test_the_check_that_decided_is_not_taken_for_a_secret(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A check may be called after what it looks at: signature, token."""
    decided = Decided("signature", "the secret that signed is not this key's")
    request = Request("GET", "https://ramroletest.oss-cn-hangzhou.aliyuncs.com/")
    response = Response(403, {}, b"<Error><Code>SignatureDoesNotMatch</Code></Error>", decided)
    error = oss2.exceptions.ServerError(403, {}, response.body, {})
    display.explain(error, [Exchange(request, response)])
    assert "signature (the secret that signed is not this key's)" in capsys.readouterr().out
