"""Canaries: recognisable secrets in an account and in requests, and every way to be refused.

None of them may come back in an answer, in whatever encoding, nor stand in an exception's text, a
trace, a display, a log or a ``repr``. Only what issues a credential or a token names it.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import requests

import helpers
from helpers import display
from helpers.message import Exchange, NotModelled, Request, Response
from helpers.recordings import COMMON, Recording, load
from helpers.sandbox.access import Principal
from helpers.sandbox.account import AccessKey, Account, SessionCredential, User
from helpers.sandbox.oss_gateway import Call as OssCall
from helpers.sandbox.rpc import Call as RpcCall
from helpers.sandbox.sandbox import Sandbox
from helpers.sandbox.scenario import Names, account_before
from helpers.trace import Trace
from tests.fuzz.mutations import with_header, with_query
from tests.fuzz.seeds import an_account as seeds_account
from tests.fuzz.seeds import seeds
from tests.fuzz.signing import SCHEMES, signed
from tests.leaks import leaked
from tests.sandbox.in_process import NOW

RECORDINGS = load()
NAMES = Names()
ROOT, USER, SESSION = "CanaryOfTheRoot", "CanaryOfTheUser", "CanaryOfTheSession"
TOKEN, OTHER_TOKEN = "Canary/Of+The/Token==", "CAISCanaryOfTheOtherTokenThatLooksReal01"
METADATA_TOKEN, PASSWORD, USER_DATA = (
    "CanaryOfTheMetadata==",
    "Canary-0f-Passw0rd!",
    "CanaryInUserData",
)
CANARIES = [
    ROOT, USER, SESSION, TOKEN, OTHER_TOKEN, METADATA_TOKEN, PASSWORD, USER_DATA
]  # fmt: skip
ENCODED = base64.b64encode(USER_DATA.encode()).decode()
HOSTS = {
    "ram": "https://ram.aliyuncs.com/",
    "sts": "https://sts.aliyuncs.com/",
    "ecs": "https://ecs.aliyuncs.com/",
    "metadata": "http://100.100.100.200/latest/meta-data/",
    "oss": f"https://{NAMES.bucket_name}.{NAMES.endpoint}/key",
}


def an_account() -> Account:
    """Keys of each kind, of which every secret is a canary; the user has no policy at all."""
    account = account_before(4, NAMES, NOW)
    account.users["user"] = User("user", "200000000000000001")
    root = AccessKey("LTAIroot", ROOT)
    account.access_keys = {"LTAIroot": root, "LTAIuser": AccessKey("LTAIuser", USER, "user")}
    role = account.roles[NAMES.role_name]
    for key_id, token, ends in (("STS.a", TOKEN, 1), ("STS.b", OTHER_TOKEN, 0)):
        account.credentials[key_id] = SessionCredential(
            key_id, SESSION, token, role.name, role.role_id, "session",
            NOW - timedelta(hours=1), NOW + timedelta(hours=ends),
        )  # fmt: skip
    instance = account.instances[NAMES.instance_id]
    instance.attributes["UserData"] = ENCODED
    instance.http_tokens = "required"
    account.metadata_tokens[instance.instance_id, METADATA_TOKEN] = NOW + timedelta(hours=1)
    return account


def full_of_canaries(request: Request) -> Request:
    """The request with each canary under its own name, in the query and in the headers."""
    parameters = {"SecurityToken": TOKEN, "security-token": OTHER_TOKEN, "Password": PASSWORD}
    pairs = [*request.query, *parameters.items(), ("UserData", ENCODED), ("AccessKeySecret", ROOT)]
    headers = {
        "x-oss-security-token": TOKEN,
        "x-acs-security-token": TOKEN,
        "x-aliyun-ecs-metadata-token": METADATA_TOKEN,
        "authorization": f"OSS STS.a:{SESSION}",
    }
    return replace(with_query(request, pairs), headers={**request.headers, **headers})


def everything_said(
    request: Request, outcome: Response | NotModelled, account: Account
) -> Iterator[str]:
    """The answer as it is sent, and whatever a reader could see of the exchange."""
    if isinstance(outcome, Response):
        exchange = Exchange(request, outcome)
        yield f"{dict(outcome.headers)} {outcome.body.decode('latin-1')}"
        yield repr(outcome.decided)
    else:
        exchange = Exchange(request, None, f"NotModelled: {outcome}")
        yield str(outcome)
    trace = Trace([exchange])
    yield from (repr(trace), repr(trace[0]), repr(exchange), repr(account), repr(request))
    yield f"{trace[0].request.url} {dict(trace[0].request.headers)} {trace[0].request.body!r}"
    if answer := trace[0].response:
        yield f"{dict(answer.headers)} {answer.body!r} {answer.decided}"
    for show in (display.exchanges, display.sequence, display.signed_request):
        shown = show(trace)
        yield shown.html + repr(shown)


def ask(account: Account, request: Request, now: datetime = NOW) -> Response | NotModelled:
    try:
        return Sandbox(account, RECORDINGS).handle(request, now)
    except NotModelled as error:
        return error


def check(request: Request, outcome: Response | NotModelled, account: Account) -> None:
    for said in everything_said(request, outcome, account):
        assert leaked(CANARIES, said) == [], said


REFUSALS = [each for each in RECORDINGS if each.code and each.operation == COMMON]


@pytest.mark.parametrize("recording", REFUSALS, ids=lambda r: f"{r.service}-{r.code}")
def test_no_refusal_quotes_a_secret(recording: Recording) -> None:
    request = full_of_canaries(Request("GET", HOSTS[recording.service]))
    account = an_account()
    check(request, Sandbox(account, RECORDINGS).refuse(request, NOW, recording.code), account)


Spoil = Callable[[Request], Request]
# What is done to a request after it was signed, or to its key; what matters is who refuses it.
SPOILT: dict[str, tuple[Any, Spoil]] = {
    "wrong secret": (SessionCredential, lambda request: request),
    "changed on the way": ("STS.a", lambda request: with_header(request, "content-type", "x/y")),
    "changed in the query": ("STS.a", lambda r: with_query(r, [*r.query, ("prefix", "x")])),
    "another method": ("STS.a", lambda request: replace(request, method="HEAD")),
    "expired": ("STS.b", lambda request: request),
    "denied": ("LTAIuser", lambda request: request),
    "token of another": ("STS.a", lambda r: _with_token(r, OTHER_TOKEN)),
    "token unknown": ("STS.a", lambda r: _with_token(r, TOKEN + ROOT)),
    "full of canaries": ("STS.a", full_of_canaries),
}


def _with_token(request: Request, token: str) -> Request:
    headers = {n: token if "security-token" in n else v for n, v in request.headers.items()}
    pairs = [(n, token if n == "SecurityToken" else v) for n, v in request.query]
    return replace(with_query(request, pairs), headers=headers)


@pytest.mark.parametrize("how", SPOILT)
@pytest.mark.parametrize(
    ("service", "scheme"),
    [(service, scheme) for service in SCHEMES for scheme in dict.fromkeys(SCHEMES[service])],
)
def test_no_refused_call_gives_a_secret_away(service: str, scheme: str, how: str) -> None:
    key_id, spoil = SPOILT[how]
    refused = 0
    for sent in seeds()[service]:
        account = an_account()
        keys: dict[Any, Any] = {**account.access_keys, **account.credentials}
        keys[SessionCredential] = replace(keys["STS.a"], secret="wrong")
        request = spoil(signed(sent, keys[key_id], scheme, NOW))
        for accepted in (request, with_format(request)):
            outcome = ask(account, accepted)
            refused += not isinstance(outcome, Response) or outcome.status >= 400
            check(accepted, outcome, account)
    assert refused


def with_format(request: Request) -> Request:
    pairs = [(n, v) for n, v in request.query if n != "Format"]
    return with_query(request, [*pairs, ("Format", "XML")])


@pytest.mark.parametrize(
    "parameters",
    [
        {"Password": PASSWORD + "\u00e9"},
        {"Password": PASSWORD, "PasswordInherit": "true"},
        {"Password": PASSWORD, "UserData": ENCODED + "!"},
        {"UserData": base64.b64encode(USER_DATA.encode() * 2000).decode()},
        {"Password": PASSWORD, "HostName": "-"},
        {"Password": PASSWORD, "ClientToken": "once", "ImageId": "none"},
        {"Password": PASSWORD, "UserData": ENCODED, "Unknown": "x"},
    ],
)
@pytest.mark.parametrize("operation", ["CreateInstance", "ModifyInstanceAttribute"])
def test_a_password_is_not_repeated(operation: str, parameters: dict[str, str]) -> None:
    account = an_account()
    sent = next(each for each in seeds()["ecs"] if each.parameters["Action"] == operation)
    pairs = [(n, v) for n, v in sent.query if n not in parameters]
    request = with_query(sent, [*pairs, *parameters.items()])
    request = signed(request, account.access_keys["LTAIroot"], "rpc", NOW)
    check(request, ask(account, request), account)


@pytest.mark.parametrize("path", ["meta-data/", "nothing", "ram/security-credentials/Other"])
@pytest.mark.parametrize("token", [METADATA_TOKEN, METADATA_TOKEN + "x", None])
def test_the_metadata_address_does_not_repeat_a_token(path: str, token: str | None) -> None:
    account = an_account()
    headers = {"x-aliyun-ecs-metadata-token": token} if token else {}
    request = Request("GET", f"http://100.100.100.200/latest/meta-data/{path}", headers)
    check(request, ask(account, request), account)


def test_what_is_issued_is_shown_to_nobody_else() -> None:
    account, keys = seeds_account()
    path = f"meta-data/ram/security-credentials/{NAMES.role_name}"
    life = {"x-aliyun-ecs-metadata-token-ttl-seconds": "60"}
    assume_role = next(r for r in seeds()["sts"] if r.parameters["Action"] == "AssumeRole")
    for request in (
        Request("GET", f"http://100.100.100.200/latest/{path}"),
        Request("PUT", "http://100.100.100.200/latest/api/token", life),
        signed(assume_role, keys[1], "rpc", NOW),
    ):
        answer = ask(account, request)
        assert isinstance(answer, Response) and answer.status == 200
        issued = [one for _, one in account.metadata_tokens]
        for credential in account.credentials.values():
            issued += [credential.secret, credential.security_token]
        assert leaked(issued, answer.body.decode())
        for said in list(everything_said(request, answer, account))[1:]:
            assert leaked(issued, said) == [], said


def test_repr_hides_what_an_object_keeps() -> None:
    account = an_account()
    principal = Principal("Account", "root", "1", "arn", ROOT)
    request = full_of_canaries(Request("POST", HOSTS["oss"], body=PASSWORD.encode()))
    calls = (
        RpcCall(account, principal, request.parameters, {}, NOW),
        OssCall(account, request, NOW, "", "", "", request.parameters, principal),
    )
    sandbox = Sandbox(account, RECORDINGS)
    kept = (account, principal, request, *calls, Response(200, request.headers, request.body))
    for each in (*kept, vars(sandbox)["account"], Exchange(request, None)):
        assert leaked(CANARIES, repr(each)) == []
    assert repr(request) == f"Request(POST {HOSTS['oss']})"


def test_a_session_shows_no_secret_and_logs_none(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with helpers.connect(4) as cloud:
        address = "http://100.100.100.200/latest/meta-data/ram/security-credentials/"
        document = requests.get(address + NAMES.role_name, timeout=1).json()
        issued = [document["AccessKeySecret"], document["SecurityToken"]]
        url = f"https://ram.aliyuncs.com/?SecurityToken={issued[1]}&Signature={issued[0]}"
        with pytest.raises(NotModelled) as unknown:
            requests.get(f"{url}&Action=No", timeout=1)
        requests.get(f"{url}&Action=GetRole", timeout=1)
        root = cloud.credential.access_key_secret
        shown = [repr(cloud), repr(cloud.trace), repr(cloud.ledger), repr(cloud.credential)]
        shown += [str(unknown.value), *map(repr, cloud.trace), repr(vars(cloud))]
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("helpers")]
    for said in shown + ours:
        assert leaked([root, *issued], said) == [], said
