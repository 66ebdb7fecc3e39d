"""Signatures: published vectors, real SDKs that sign and we verify, and mutations that must fail.

A loopback server records what the SDKs really send. The published vectors are those of the
documentation and of the official SDKs' own tests; no key in here is real.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import types
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

import alibabacloud_oss_v2 as oss_v2
import oss2
import pytest
from alibabacloud_oss_v2.signer import SignerV1
from aliyunsdkcore.auth.credentials import StsTokenCredential
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest, RpcRequest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.message import NotModelled, Request, ServiceError
from helpers.sandbox.signatures import (
    SUB_RESOURCES,
    OssSignature,
    acs3_matches,
    acs3_parameters,
    acs3_string_to_sign,
    oss_v1_signature,
    read_oss_signature,
    rpc_matches,
    rpc_signature,
    rpc_string_to_sign,
    too_skewed,
)

HOST = "bucket.oss-cn-hangzhou.aliyuncs.com"
TOKEN = "CAISCanary+token/with=odd&characters"
ODD_KEYS = [
    "plain.txt",
    "a/b/中文 空格.txt",
    "a+b c%20d",
    "what?is=this&that",
    "~*'()!@$,;:",
    "x//y",
]


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


def read(request: Request, bucket: str, key: str) -> OssSignature:
    signature = read_oss_signature(request, bucket, key)
    assert signature is not None
    return signature


class Recorder(ThreadingHTTPServer):
    daemon_threads = True
    requests: list[Request]

    def sent(self, call: Callable[[], Any]) -> Request:
        """What ``call`` sends first. How its SDK reads the empty answer does not matter here."""
        self.requests = []
        with suppress(Exception):
            call()
        return self.requests[0]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Recorder

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        url = f"http://{self.headers['host']}{self.path}"
        self.server.requests.append(Request(self.command, url, dict(self.headers), body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_PUT = do_POST = do_HEAD = do_DELETE = do_GET

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    with Recorder(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


RPC_VECTORS = {
    "RAM documentation": (
        "UserName=test SignatureVersion=1.0 Format=JSON Timestamp=2015-08-18T03:15:45Z"
        " AccessKeyId=testid SignatureMethod=HMAC-SHA1 Version=2015-05-01 Action=CreateUser"
        " SignatureNonce=6a6e0ca6-4557-11e5-86a2-b8e8563dc8d2",
        "GET&%2F&AccessKeyId%3Dtestid%26Action%3DCreateUser%26Format%3DJSON%26SignatureMethod"
        "%3DHMAC-SHA1%26SignatureNonce%3D6a6e0ca6-4557-11e5-86a2-b8e8563dc8d2%26SignatureVersion"
        "%3D1.0%26Timestamp%3D2015-08-18T03%253A15%253A45Z%26UserName%3Dtest%26Version"
        "%3D2015-05-01",
        "kRA2cnpJVacIhDMzXnoNZG9tDCI=",
    ),
    "ECS documentation": (
        "Timestamp=2016-02-23T12:46:24Z Format=XML AccessKeyId=testid Action=DescribeRegions"
        " SignatureMethod=HMAC-SHA1 SignatureNonce=3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf"
        " Version=2014-05-26 SignatureVersion=1.0",
        "GET&%2F&AccessKeyId%3Dtestid%26Action%3DDescribeRegions%26Format%3DXML%26SignatureMethod"
        "%3DHMAC-SHA1%26SignatureNonce%3D3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf%26SignatureVersion"
        "%3D1.0%26Timestamp%3D2016-02-23T12%253A46%253A24Z%26Version%3D2014-05-26",
        "OLeaidS1JvxuMvnyHOwuJ+uX5qY=",
    ),
    "HMAC-SHA256, from an independent client's test in Go": (
        "AccessKeyId=testid Action=DescribeRegions Format=JSON SignatureMethod=HMAC-SHA256"
        " SignatureNonce=3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf SignatureVersion=1.0"
        " Timestamp=2016-03-24T16:41:54Z Version=2014-05-26",
        "GET&%2F&AccessKeyId%3Dtestid%26Action%3DDescribeRegions%26Format%3DJSON%26SignatureMethod"
        "%3DHMAC-SHA256%26SignatureNonce%3D3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf%26SignatureVersion"
        "%3D1.0%26Timestamp%3D2016-03-24T16%253A41%253A54Z%26Version%3D2014-05-26",
        "oPN9Od7Zc5sCrdn6oVxvg9c8cODiaSmopDhtVdxMKXA=",
    ),
}


@pytest.mark.parametrize(("pairs", "text", "signature"), RPC_VECTORS.values(), ids=RPC_VECTORS)
def test_rpc_published_vectors(pairs: str, text: str, signature: str) -> None:
    parameters = dict(pair.split("=", 1) for pair in pairs.split())
    assert rpc_string_to_sign("GET", parameters) == text
    assert rpc_signature(text, "testsecret", parameters["SignatureMethod"]) == signature
    assert rpc_matches("GET", {**parameters, "Signature": signature}, "testsecret")


@pytest.mark.parametrize(
    ("text", "signature"),
    [
        ("source", "Jv4yi8SobFhg5t1C7nWLbhBSFZQ="),
        ("中文unicode", "szlfHs3WVaO/HgY3Cg7/uyXDaRw="),
    ],
)
def test_hmac_vectors_of_the_core_sdk(text: str, signature: str) -> None:
    assert oss_v1_signature(text, "secret") == signature  # base64 of HMAC-SHA1, key as it is


def sha256_signer() -> types.SimpleNamespace:
    """A signer module for the core SDK: it ships none for HMAC-SHA256, but takes any."""

    def sign(text: str, secret: str) -> str:
        return base64.b64encode(hmac.digest(secret.encode(), text.encode(), "sha256")).decode()

    return types.SimpleNamespace(
        get_sign_string=sign,
        get_signer_name=lambda: "HMAC-SHA256",
        get_signer_type=lambda: "",
        get_signer_version=lambda: "1.0",
    )


def create_role(method: str = "POST", **options: Any) -> RpcRequest:
    request = RpcRequest("Ram", "2015-05-01", "CreateRole", **options)
    request.set_method(method)
    request.add_query_param("Description", "空格 +*~/&=%")
    return request


def with_form_body() -> CommonRequest:
    request = CommonRequest(version="2015-05-01", action_name="CreateRole", product="Ram")
    request.set_method("POST")
    request.set_protocol_type("http")
    request.add_body_params("Description", "空格 +*~/&=%")
    return request


RPC_REQUESTS = {
    "POST": create_role,
    "GET": lambda: create_role("GET"),
    "HMAC-SHA256": lambda: create_role(signer=sha256_signer()),
    "form body": with_form_body,
}


def rpc_sent(recorder: Recorder, request: Any, secret: str = "notasecret") -> Request:
    credential = StsTokenCredential("STS.example", secret, TOKEN)
    client = AcsClient(region_id="cn-hangzhou", credential=credential)
    request.set_endpoint(recorder.address)
    return recorder.sent(lambda: client.do_action_with_exception(request))


@pytest.mark.parametrize("make", RPC_REQUESTS.values(), ids=RPC_REQUESTS)
def test_rpc_as_the_core_sdk_signs(recorder: Recorder, make: Callable[[], Any]) -> None:
    request = rpc_sent(recorder, make())
    assert request.parameters["SignatureType"] == ""
    assert request.parameters["SecurityToken"] == TOKEN
    assert rpc_matches(request.method, request.parameters, "notasecret")


@pytest.mark.parametrize(
    "name",
    ["Description", "SignatureType", "SecurityToken", "SignatureNonce", "Timestamp", "RegionId"],
)
def test_rpc_mutations(recorder: Recorder, name: str) -> None:
    request = rpc_sent(recorder, create_role())
    parameters = dict(request.parameters)
    del parameters[name]
    assert not rpc_matches(request.method, parameters, "notasecret")
    flipped = {**request.parameters, "RegionId": flip(request.parameters["RegionId"])}
    assert not rpc_matches(request.method, flipped, "notasecret")
    assert not rpc_matches("GET", request.parameters, "notasecret")
    assert not rpc_matches(request.method, request.parameters, flip("notasecret"))
    assert not rpc_matches(request.method, {**request.parameters, "Signature": "é"}, "notasecret")


@pytest.mark.parametrize(
    "scheme",
    [
        {"SignatureMethod": "SHA256withRSA", "SignatureType": "PRIVATEKEY"},
        {"SignatureType": "BEARERTOKEN"},
        {"SignatureVersion": "2.0"},
        {"SignatureMethod": "HMAC-SM3"},
    ],
    ids=str,
)
def test_rpc_names_what_is_not_modelled(scheme: dict[str, str]) -> None:
    with pytest.raises(NotModelled, match="|".join(scheme.values())):
        rpc_matches("GET", {"AccessKeyId": "testid", "Signature": "x", **scheme}, "testsecret")


EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
ACS3_SIGNED = (
    "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version"
)
ACS3_PUBLISHED = Request(
    "POST",
    "https://ecs.cn-shanghai.aliyuncs.com/"
    "?ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai",
    {
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-content-sha256": EMPTY_SHA256,
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-version": "2014-05-26",
        "authorization": f"ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders={ACS3_SIGNED}"
        ",Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0",
    },
)
# As alibabacloud-ram20150501 1.3.0 on alibabacloud-tea-openapi 0.4.6 sent it to a loopback server.
ACS3_CLIENT_SIGNED = (
    "accept;content-type;host;user-agent;x-acs-accesskey-id;x-acs-action;x-acs-content-sha256;"
    "x-acs-credentials-provider;x-acs-date;x-acs-security-token;x-acs-signature-nonce;x-acs-version"
)
ACS3_CLIENT = Request(
    "POST",
    "http://127.0.0.1:44017/?q=x+y",
    {
        "Accept-Encoding": "identity",
        "host": "127.0.0.1:44017",
        "x-acs-version": "2015-05-01",
        "x-acs-action": "CreateRole",
        "user-agent": "AlibabaCloud (Linux; x86_64) Python/3.11.7 Core/0.4.3 TeaDSL/2",
        "x-acs-date": "2026-11-24T08:32:05Z",
        "x-acs-signature-nonce": "0e25241cd78ee8c6b1a535ef27fb2421",
        "accept": "application/json",
        "content-type": "application/x-www-form-urlencoded",
        "x-acs-content-sha256": "80c2ec1633965be969c90e58849afcbfb9b87726958e14093512adf53f114642",
        "x-acs-credentials-provider": "static_sts",
        "x-acs-accesskey-id": "LTAIexample",
        "x-acs-security-token": "CAIS+not/a=token",
        "Authorization": "ACS3-HMAC-SHA256 Credential=LTAIexample,"
        f"SignedHeaders={ACS3_CLIENT_SIGNED},"
        "Signature=e9ff6ac5e2db533bbabee63bb300d2865113cd0ac97f8c30d0adbb2d32fc9caa",
        "Content-Length": "33",
    },
    b"E=&RoleName=Ecs+%E4%B8%AD+%2B+%2A",
)


def test_acs3_published_vector() -> None:
    assert acs3_string_to_sign(ACS3_PUBLISHED, ACS3_SIGNED) == (
        "ACS3-HMAC-SHA256\n7ea06492da5221eba5297e897ce16e55f964061054b7695beedaac1145b1e259"
    )
    assert acs3_matches(ACS3_PUBLISHED, "YourAccessKeySecret")


def test_acs3_as_the_newer_client_signs() -> None:
    assert acs3_matches(ACS3_CLIENT, "notasecret")
    parameters = acs3_parameters(ACS3_CLIENT)
    assert parameters is not None
    assert parameters["Action"] == "CreateRole"
    assert parameters["Version"] == "2015-05-01"
    assert parameters["Timestamp"] == "2026-11-24T08:32:05Z"
    assert parameters["SignatureNonce"] == "0e25241cd78ee8c6b1a535ef27fb2421"
    assert parameters["AccessKeyId"] == "LTAIexample"
    assert parameters["SecurityToken"] == "CAIS+not/a=token"
    assert parameters["RoleName"] == "Ecs 中 + *"
    assert parameters["q"] == "x y"


@pytest.mark.parametrize(
    "mutate",
    [
        lambda r: replace(r, method="GET"),
        lambda r: replace(r, body=r.body + b"&Description=x"),
        lambda r: changed_query(r, "q", "x z"),
        lambda r: changed_header(r, "x-acs-action", "DeleteRole"),
        lambda r: changed_header(r, "x-acs-security-token", "CAIS"),
        lambda r: changed_header(r, "host", "ram.aliyuncs.com"),
        lambda r: replace(r, url=r.url.replace("/?", "/other?")),
    ],
    ids=["method", "body", "query", "action", "token", "host", "path"],
)
def test_acs3_mutations(mutate: Callable[[Request], Request]) -> None:
    assert not acs3_matches(mutate(ACS3_CLIENT), "notasecret")
    assert not acs3_matches(ACS3_CLIENT, flip("notasecret"))
    assert acs3_matches(changed_header(ACS3_CLIENT, "accept-encoding", "gzip"), "notasecret")


@pytest.mark.parametrize(
    "authorization",
    [
        "ACS3-HMAC-SHA256 Credential=a,Signature=b",
        "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host,Signature=",
        "ACS3-HMAC-SHA256",
        f"ACS3-HMAC-SHA256 Credential=a,SignedHeaders={ACS3_SIGNED[5:]},Signature=b",
        f"ACS3-HMAC-SHA256 Credential=a,SignedHeaders={ACS3_SIGNED[:-14]},Signature=b",
    ],
)
def test_acs3_incomplete(authorization: str) -> None:
    with pytest.raises(ServiceError, match="IncompleteSignature"):
        acs3_parameters(changed_header(ACS3_PUBLISHED, "authorization", authorization))


def test_acs3_other_schemes() -> None:
    assert acs3_parameters(Request("POST", "https://ram.aliyuncs.com/")) is None
    assert acs3_parameters(replace(ACS3_PUBLISHED, headers={"authorization": "OSS a:b"})) is None
    for scheme in ("ACS3-HMAC-SM3", "ACS3-RSA-SHA256", "acs"):
        with pytest.raises(NotModelled, match=scheme):
            acs3_parameters(changed_header(ACS3_PUBLISHED, "authorization", f"{scheme} a:b"))


V1_DATE = "Wed, 28 Dec 2022 10:27:41 GMT"
V1_PUT = {
    "content-md5": "eB5eJF1ptWaXm4bijSPyxw==",
    "content-type": "text/html",
    "x-oss-date": V1_DATE,
    "x-oss-meta-author": "alice",
    "x-oss-meta-magic": "abracadabra",
    "date": "Thu, 29 Dec 2022 00:00:00 GMT",
}
NELSON = {
    "content-md5": "ODBGOERFMDMzQTczRUY3NUE3NzA5QzdFNUYzMDQxNEM=",
    "content-type": "text/html",
    "date": "Thu, 17 Nov 2005 18:49:58 GMT",
    "x-oss-meta-author": "foo@bar.com",
    "x-oss-magic": "abracadabra",
}
NELSON_SECRET = "OtxrzxIsfpFjA7SwPzILwy8Bw21TLhquhboDYROV"
STS_HEADERS = {
    "date": "Fri, 09 Jun 2017 03:20:00 GMT",
    "x-oss-security-token": "CAIXXXXXXXXXXXwmBkleCTkyI+",
}
OTHER_MD5 = {**NELSON, "content-md5": V1_PUT["content-md5"]}  # the page's request has this one
V1_GET = {"x-oss-date": V1_DATE}
V1_HEADER_VECTORS = {
    "V1-1": (NELSON_SECRET, "PUT /oss-example/nelson", NELSON, "26NBxoKdsyly4EDv6inkoDft/yA="),
    "V1-1b": (NELSON_SECRET, "PUT /oss-example/nelson", OTHER_MD5, "hD208RWMpg77svXkQRwWXS+V5KQ="),
    "V1-2": ("sk", "PUT /examplebucket/nelson", V1_PUT, "kSHKmLxlyEAKtZPkJhG9bZb5k7M="),
    "V1-3": ("sk", "PUT /examplebucket/nelson?acl", V1_PUT, "/afkugFbmWDQ967j1vr6zygBLQk="),
    "V1-4": ("sk", "GET /examplebucket/?resourceGroup", V1_GET, "vkQmfuUDyi1uDi3bKt67oemssIs="),
    "V1-5": ("sk", "GET /examplebucket/?resourceGroup&acl", V1_GET, "x3E5TgOvl/i7PN618s5mEvpJDYk="),
    "V1-8": (
        "9PjfXXXXXXXXXBf2XAW",
        "GET /ramroletest/",
        STS_HEADERS,
        "hNKon5D/Bx2NlO5j+OfYeBgIP98=",
    ),
}


@pytest.mark.parametrize(
    ("secret", "line", "headers", "signature"), V1_HEADER_VECTORS.values(), ids=V1_HEADER_VECTORS
)
def test_v1_header_vectors(secret: str, line: str, headers: dict[str, str], signature: str) -> None:
    headers = {**headers, "authorization": f"OSS ak:{signature}"}
    method, _, target = line.partition(" ")
    _, bucket, key = urlsplit(target).path.split("/")
    found = read(Request(method, f"https://127.0.0.1{target}", headers), bucket, key)
    assert (found.version, found.access_key_id, found.region) == ("V1", "ak", None)
    assert found.security_token == headers.get("x-oss-security-token")
    assert found.matches(secret)


V1_URL_VECTORS = {
    "V1-6": ("key", 1699807420, "", "dcLTea+Yh9ApirQ8o8dOPqtvJXQ="),
    "V1-7": ("key+123", 1699808204, "&security-token=token", "jzKYRrM5y6Br0dRFPaTGOsbrDhY="),
}


@pytest.mark.parametrize(
    ("key", "expires", "more", "signature"), V1_URL_VECTORS.values(), ids=V1_URL_VECTORS
)
def test_v1_url_vectors(key: str, expires: int, more: str, signature: str) -> None:
    signed = f"OSSAccessKeyId=ak&Expires={expires}&Signature={quote(signature, safe='')}"
    url = f"https://{HOST}/{quote(key)}?versionId=versionId{more}&{signed}"
    found = read(Request("GET", url), "bucket", key)
    assert (found.version, found.signed_at, found.expires_at) == ("V1", None, at(expires))
    assert found.security_token == ("token" if more else None)
    assert found.matches("sk")


V4_KEY = "1234+-/123/1.txt"
V4_QUERY = "param1=value1&%2Bparam1=value3&%7Cparam1=value4&%2Bparam2=&%7Cparam2&param2="
V4_HEADERS = {
    "x-oss-head1": "value",
    "abc": "value",
    "ZAbc": "value",
    "XYZ": "value",
    "content-type": "text/plain",
    "x-oss-content-sha256": "UNSIGNED-PAYLOAD",
}
V4_TOKEN = {"x-oss-security-token": "token"}
V4_HEADER_VECTORS = {  # V4-1 to V4-3
    "e21d18daa82167720f9b1047ae7e7f1ce7cb77a31e8203a7d5f4624fa0284afe": (1702743657, {}, ""),
    "b94a3f999cf85bcdc00d332fbd3734ba03e48382c36fa4d5af5df817395bd9ea": (1702784856, V4_TOKEN, ""),
    "4a4183c187c07c8947db7620deb0a6b38d9fbdd34187b6dbaccb316fa251212f": (
        1702747512,
        {},
        "abc;zabc",
    ),
}


@pytest.mark.parametrize("spelling", ["oss2", "alibabacloud-oss-v2"])
@pytest.mark.parametrize("signature", V4_HEADER_VECTORS)
def test_v4_header_vectors(signature: str, spelling: str) -> None:
    when, more, additional = V4_HEADER_VECTORS[signature]
    credential = f"Credential=ak/{at(when):%Y%m%d}/cn-hangzhou/oss/aliyun_v4_request"
    added = [f"AdditionalHeaders={additional}"] if additional else []
    text = ",".join([credential, *added, f"Signature={signature}"])
    if spelling == "oss2":
        text = ", ".join([credential, f"Signature={signature}", *added])
    date = {"x-oss-date": f"{at(when):%Y%m%dT%H%M%SZ}"}
    headers = {**V4_HEADERS, **more, **date, "authorization": f"OSS4-HMAC-SHA256 {text}"}
    request = Request("PUT", f"https://{HOST}/{quote(V4_KEY)}?{V4_QUERY}", headers)
    found = read(request, "bucket", V4_KEY)
    assert (found.version, found.access_key_id, found.region) == ("V4", "ak", "cn-hangzhou")
    assert (found.signed_at, found.expires_at) == (at(when), None)
    assert found.security_token == more.get("x-oss-security-token")
    assert found.matches("sk")


V4_MORE = {"x-oss-additional-headers": "abc;zabc"}
V4_URL_VECTORS = {  # V4-4, V4-5, and two more of the same tests
    "a39966c61718be0d5b14e668088b3fa07601033f6518ac7b523100014269c0fe": (1702781677, 599, {}),
    "3817ac9d206cd6dfc90f1c09c00be45005602e55898f26f5ddb06d7892e1f8b5": (1702785388, 599, V4_TOKEN),
    "6bd984bfe531afb6db1f7550983a741b103a8c58e5e14f83ea474c2322dfa2b7": (1702783809, 599, V4_MORE),
    "31029123dc7732d2d2cfd4006ea4fdb6cf86da6478f813e2bf8f87877c7b9fec": (1702781677, 432000, {}),
}


@pytest.mark.parametrize("signature", V4_URL_VECTORS)
def test_v4_url_vectors(signature: str) -> None:
    when, life, more = V4_URL_VECTORS[signature]
    claims = {
        "x-oss-signature-version": "OSS4-HMAC-SHA256",
        "x-oss-date": f"{at(when):%Y%m%dT%H%M%SZ}",
        "x-oss-expires": str(life),
        "x-oss-credential": f"ak/{at(when):%Y%m%d}/cn-hangzhou/oss/aliyun_v4_request",
        **more,
        "x-oss-signature": signature,
    }
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in claims.items())
    headers = {**V4_HEADERS, "content-type": "application/octet-stream"}
    del headers["x-oss-content-sha256"]
    request = Request("PUT", f"https://{HOST}/{quote(V4_KEY)}?{V4_QUERY}&{query}", headers)
    found = read(request, "bucket", V4_KEY)
    assert (found.signed_at, found.expires_at) == (at(when), at(when + life))
    assert found.security_token == more.get("x-oss-security-token")
    assert found.matches("sk")


class Provider(oss2.credentials.CredentialsProvider):
    def get_credentials(self) -> oss2.credentials.Credentials:
        return oss2.credentials.Credentials("STS.example", "notasecret", TOKEN)


OSS2_AUTHS = {
    "Auth": lambda: oss2.Auth("LTAIexample", "notasecret"),
    "StsAuth": lambda: oss2.StsAuth("STS.example", "notasecret", TOKEN),
    "StsAuth V4": lambda: oss2.StsAuth("STS.example", "notasecret", TOKEN, "v4"),
    "ProviderAuthV4": lambda: oss2.ProviderAuthV4(Provider()),
}
OSS2_CALLS: dict[str, Callable[[oss2.Bucket], Any]] = {
    "list": lambda b: b.list_objects(prefix="中 /+", delimiter="/", marker="a&b"),
    "list V2": lambda b: b.list_objects_v2(continuation_token="CgJiYw--", start_after="é"),
    "bucket info": lambda b: b.get_bucket_info(),
    "bucket acl": lambda b: b.get_bucket_acl(),
    "location": lambda b: b.get_bucket_location(),
}


def oss2_bucket(recorder: Recorder, auth: str) -> oss2.Bucket:
    address = f"http://{recorder.address}"
    return oss2.Bucket(OSS2_AUTHS[auth](), address, "bucket", region="cn-hangzhou")


@pytest.mark.parametrize("auth", OSS2_AUTHS)
@pytest.mark.parametrize("call", OSS2_CALLS)
def test_oss2_bucket_calls(recorder: Recorder, auth: str, call: str) -> None:
    bucket = oss2_bucket(recorder, auth)
    found = read(recorder.sent(lambda: OSS2_CALLS[call](bucket)), "bucket", "")
    assert found.matches("notasecret")
    assert not found.matches(flip("notasecret"))
    assert found.signed_at is not None
    assert found.security_token == (None if auth == "Auth" else TOKEN)


@pytest.mark.parametrize("auth", OSS2_AUTHS)
@pytest.mark.parametrize("key", ODD_KEYS)
def test_oss2_object_calls(recorder: Recorder, auth: str, key: str) -> None:
    bucket = oss2_bucket(recorder, auth)
    headers = {"x-oss-meta-author": "alice", "Content-MD5": "XrY7u+Ae7tCTyyK7j1rNww=="}
    put = recorder.sent(lambda: bucket.put_object(key, b"hello world", headers=headers))
    assert read(put, "bucket", key).matches("notasecret")
    process = recorder.sent(lambda: bucket.get_object(key, process="image/resize,w_100"))
    assert read(process, "bucket", key).matches("notasecret")
    assert process.path == f"/bucket/{key}"


def test_oss2_list_buckets(recorder: Recorder) -> None:
    service = oss2.Service(OSS2_AUTHS["StsAuth"](), f"http://{recorder.address}")
    assert read(recorder.sent(service.list_buckets), "", "").matches("notasecret")


@pytest.mark.parametrize("auth", OSS2_AUTHS)
@pytest.mark.parametrize("key", ODD_KEYS)
def test_oss2_signed_urls(auth: str, key: str) -> None:
    bucket = oss2.Bucket(
        OSS2_AUTHS[auth](), "https://oss-cn-hangzhou.aliyuncs.com", "bucket", region="cn-hangzhou"
    )
    headers = {"content-type": "text/plain", "x-oss-meta-author": "alice", "range": "bytes=0-1"}
    parameters = {"versionId": "CAEQ+/=", "response-content-type": "a/b c", "prefix": "中"}
    url = bucket.sign_url("PUT", key, 60, headers=headers, params=parameters)
    found = read(Request("PUT", url, headers), "bucket", key)
    assert found.matches("notasecret")
    assert found.expires_at is not None
    assert found.security_token == (None if auth == "Auth" else TOKEN)
    assert not read(Request("GET", url, headers), "bucket", key).matches("notasecret")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    key=TEXT.filter(str.strip),  # oss2 refuses a blank key
    parameters=st.dictionaries(TEXT.filter(bool), TEXT, max_size=4),
)
def test_oss2_v4_round_trip(key: str, parameters: dict[str, str]) -> None:
    bucket = oss2.Bucket(
        OSS2_AUTHS["ProviderAuthV4"](), f"https://{HOST[7:]}", "bucket", region="cn-hangzhou"
    )
    url = bucket.sign_url("GET", key, 60, params=parameters)
    request = Request("GET", url)
    assert request.path == f"/{key}"
    assert read(request, "bucket", request.path[1:]).matches("notasecret")


def oss_v2_client(recorder: Recorder, version: str, token: str | None) -> oss_v2.Client:
    config = oss_v2.config.load_default()
    config.region = "cn-hangzhou"
    config.endpoint = f"http://{recorder.address}"
    config.signature_version = version
    config.credentials_provider = oss_v2.credentials.StaticCredentialsProvider(
        "STS.example", "notasecret", token
    )
    return oss_v2.Client(config)


OSS_V2_CALLS: dict[str, Callable[[oss_v2.Client], Any]] = {
    "list": lambda c: c.list_objects_v2(
        oss_v2.ListObjectsV2Request(bucket="bucket", prefix="中 /+", delimiter="/")
    ),
    "acl": lambda c: c.get_bucket_acl(oss_v2.GetBucketAclRequest(bucket="bucket")),
}


@pytest.mark.parametrize(("version", "token"), [("v1", None), ("v4", None), ("v4", TOKEN)])
@pytest.mark.parametrize("call", OSS_V2_CALLS)
def test_oss_v2_bucket_calls(
    recorder: Recorder, version: str, token: str | None, call: str
) -> None:
    client = oss_v2_client(recorder, version, token)
    found = read(recorder.sent(lambda: OSS_V2_CALLS[call](client)), "bucket", "")
    assert (found.version.lower(), found.security_token) == (version, token)
    assert found.matches("notasecret")
    assert not found.matches(flip("notasecret"))


@pytest.mark.parametrize(("version", "token"), [("v1", None), ("v4", None), ("v4", TOKEN)])
@pytest.mark.parametrize("key", ODD_KEYS)
def test_oss_v2_object_calls(recorder: Recorder, version: str, token: str | None, key: str) -> None:
    client = oss_v2_client(recorder, version, token)
    put = oss_v2.PutObjectRequest(
        bucket="bucket", key=key, body=b"hi", metadata={"author": "alice"}
    )
    assert read(recorder.sent(lambda: client.put_object(put)), "bucket", key).matches("notasecret")


@pytest.mark.parametrize(("version", "token"), [("v1", None), ("v1", TOKEN), ("v4", TOKEN)])
@pytest.mark.parametrize("key", ODD_KEYS)
def test_oss_v2_signed_urls(recorder: Recorder, version: str, token: str | None, key: str) -> None:
    client = oss_v2_client(recorder, version, token)
    url = client.presign(oss_v2.GetObjectRequest(bucket="bucket", key=key)).url
    found = read(Request("GET", url), "bucket", key)
    assert (found.version.lower(), found.security_token) == (version, token)
    assert found.matches("notasecret")


def test_every_sub_resource_of_the_sdks_is_signed_in_v1() -> None:
    assert oss2.ProviderAuth._subresource_key_set <= SUB_RESOURCES
    assert SignerV1._subresource_key_set <= SUB_RESOURCES
    assert not SUB_RESOURCES & {"prefix", "marker", "delimiter", "max-keys", "list-type"}


def flip(text: str) -> str:
    """One bit of the last character changed."""
    return text[:-1] + chr(ord(text[-1]) ^ 1)


def changed_header(request: Request, name: str, value: str) -> Request:
    return replace(request, headers={**request.headers, name: value})


def changed_query(request: Request, name: str, value: str) -> Request:
    parts = urlsplit(request.url)
    pairs = {**dict(parse_qsl(parts.query, keep_blank_values=True)), name: value}
    query = "&".join(f"{quote(n, safe='')}={quote(v, safe='')}" for n, v in pairs.items())
    return replace(request, url=urlunsplit(parts._replace(query=query)))


def without_header(request: Request, name: str) -> Request:
    return replace(request, headers={n: v for n, v in request.headers.items() if n != name})


def reordered(request: Request) -> Request:
    parts = urlsplit(request.url)
    query = "&".join(reversed(parts.query.split("&")))
    return replace(request, url=urlunsplit(parts._replace(query=query)))


def signed(auth: str, in_url: bool) -> Request:
    """A PUT of ``dir/key`` that carries a bit of everything, signed by oss2."""
    headers = {
        "content-type": "text/plain",
        "content-md5": "XrY7u+Ae7tCTyyK7j1rNww==",
        "x-oss-meta-author": "alice",
        "user-agent": "test",
    }
    parameters = {"versionId": "CAEQ", "prefix": "a"}
    credentials = OSS2_AUTHS[auth]()
    request = oss2.http.Request(
        "PUT", f"https://{HOST}/dir/key", params=parameters, headers=headers, region="cn-hangzhou"
    )
    request.product = "oss"
    if in_url:
        return Request("PUT", credentials._sign_url(request, "bucket", "dir/key", 60), headers)
    credentials._sign_request(request, "bucket", "dir/key")
    sent = {name: value for name, value in request.headers.items() if value is not None}
    return Request("PUT", f"{request.url}?versionId=CAEQ&prefix=a", sent)


FORMS = {
    "V1 header": ("StsAuth", False),
    "V1 URL": ("StsAuth", True),
    "V4 header": ("StsAuth V4", False),
    "V4 URL": ("StsAuth V4", True),
}
# (what changes, how, the forms under which the signature still matches)
MUTATIONS: list[tuple[str, Callable[[Request], Request], set[str]]] = [
    ("nothing", lambda r: r, set(FORMS)),
    ("method", lambda r: replace(r, method="PUU"), set()),
    ("content-type", lambda r: changed_header(r, "content-type", "text/plaio"), set()),
    ("no content-type", lambda r: without_header(r, "content-type"), set()),
    ("content-md5", lambda r: changed_header(r, "content-md5", "XrY7u+Ae7tCTyyK7j1rNwv=="), set()),
    ("x-oss header", lambda r: changed_header(r, "x-oss-meta-author", "alicd"), set()),
    ("new x-oss header", lambda r: changed_header(r, "x-oss-meta-new", "1"), set()),
    ("other header", lambda r: changed_header(r, "user-agent", "tesu"), set(FORMS)),
    ("date header", lambda r: changed_header(r, "date", V1_DATE), set(FORMS) - {"V1 header"}),
    ("x-oss-date header", lambda r: changed_header(r, "x-oss-date", "20231216T162057Z"), set()),
    ("sub-resource", lambda r: changed_query(r, "versionId", "CAEP"), set()),
    ("new sub-resource", lambda r: changed_query(r, "acl", ""), set()),
    ("prefix", lambda r: changed_query(r, "prefix", "`"), {"V1 header", "V1 URL"}),
    ("new parameter", lambda r: changed_query(r, "max-keys", "1"), {"V1 header", "V1 URL"}),
    ("host", lambda r: changed_header(r, "host", "localhost"), set(FORMS)),
    ("body", lambda r: replace(r, body=b"other"), set(FORMS)),
    ("order of the parameters", reordered, set(FORMS)),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("mutate", "unsigned"), [m[1:] for m in MUTATIONS], ids=[m[0] for m in MUTATIONS]
)
def test_oss_mutations(form: str, mutate: Callable[[Request], Request], unsigned: set[str]) -> None:
    request = mutate(signed(*FORMS[form]))
    assert read(request, "bucket", "dir/key").matches("notasecret") == (form in unsigned)


@pytest.mark.parametrize("form", FORMS)
def test_oss_secret_bucket_key_and_token_are_signed(form: str) -> None:
    request = signed(*FORMS[form])
    assert not read(request, "bucket", "dir/key").matches("notasecres")
    assert not read(request, "bucket", "dir/kex").matches("notasecret")
    assert not read(request, "buckeu", "dir/key").matches("notasecret")
    name = {"V1 URL": "security-token", "V4 URL": "x-oss-security-token"}.get(form)
    if name:
        changed = changed_query(request, name, flip(TOKEN))
    else:
        changed = changed_header(request, "x-oss-security-token", flip(TOKEN))
    found = read(changed, "bucket", "dir/key")
    assert found.security_token == flip(TOKEN)
    assert not found.matches("notasecret")


@pytest.mark.parametrize(
    ("form", "name", "value"),
    [
        ("V1 URL", "Expires", "9999999999"),
        ("V1 URL", "Signature", "é"),
        ("V4 URL", "x-oss-expires", "604800"),
        ("V4 URL", "x-oss-date", "20231216T162057Z"),
        ("V4 URL", "x-oss-credential", "STS.example/20231216/cn-beijing/oss/aliyun_v4_request"),
        ("V4 URL", "x-oss-additional-headers", "host"),
    ],
)
def test_what_a_signed_url_claims_is_signed(form: str, name: str, value: str) -> None:
    request = changed_query(signed(*FORMS[form]), name, value)
    assert not read(request, "bucket", "dir/key").matches("notasecret")


def test_v4_region_is_signed() -> None:
    request = signed("StsAuth V4", False)
    other = request.headers["authorization"].replace("cn-hangzhou", "cn-beijing")
    found = read(changed_header(request, "authorization", other), "bucket", "dir/key")
    assert found.region == "cn-beijing"
    assert not found.matches("notasecret")


V4_CREDENTIAL = "Credential=ak/20231216/cn-hangzhou/oss/aliyun_v4_request"
V4_SPLIT_DATE = V4_CREDENTIAL.replace("20231216", "2023-12-16")
V4_NO_REGION = V4_CREDENTIAL.replace("cn-hangzhou", "")
V4_URL = (
    "x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-signature=1&x-oss-date=20231216T162057Z"
    f"&x-oss-credential={quote(V4_CREDENTIAL[11:], safe='')}&x-oss-expires="
)


def refusal(query: str = "", **headers: str) -> tuple[str, str, str | None]:
    """Code, Message and EC of what OSS refuses to read."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    with pytest.raises(ServiceError) as refused:
        read_oss_signature(Request("GET", f"https://{HOST}/?{query}", headers), "bucket", "")
    error = refused.value
    assert error.decided is not None and error.decided.reason
    return error.code, error.values["Message"], error.values["EC"]


@pytest.mark.parametrize(
    ("authorization", "ec"),
    [
        ("", "0002-00000061"),
        ("OSSxxx ak:sig", "0002-00000061"),
        ("Bearer x", "0002-00000061"),
        ("OSS aksig", "0002-00000062"),
        ("OSS ak:", "0002-00000062"),
        ("OSS4-HMAC-SHA256 Signature=1", "0002-00000203"),
        ("OSS4-HMAC-SHA256 Credential", "0002-00000203"),
        (f"OSS4-HMAC-SHA256 {V4_CREDENTIAL},Signature=1,UnknownKey=1", "0002-00000203"),
        (f"OSS4-HMAC-SHA256 {V4_CREDENTIAL},AdditionalHeaders=,Signature=1", "0002-00000203"),
        (f"OSS4-HMAC-SHA256 {V4_SPLIT_DATE},Signature=1", "0002-00000213"),
        (f"OSS4-HMAC-SHA256 {V4_NO_REGION},Signature=1", None),
    ],
)
def test_malformed_authorization(authorization: str, ec: str | None) -> None:
    subject = "Invalid credential in Authorization header."
    message = subject if ec == "0002-00000213" else "Authorization header is invalid."
    refused = refusal(authorization=authorization, x_oss_date="20231216T162057Z")
    assert refused == ("InvalidArgument", message, ec)


@pytest.mark.parametrize("expires", ["soon", "", "1e9", str(10**30)])
def test_malformed_v1_url(expires: str) -> None:
    needed = "Query string authentication requires the Signature, Expires and OSSAccessKeyId"
    query = "OSSAccessKeyId=ak&Signature=s"
    assert refusal(query) == ("AccessDenied", f"{needed} parameters.", None)
    invalid = ("AccessDenied", "Invalid date (should be seconds since epoch).", None)
    assert refusal(f"{query}&Expires={expires}") == invalid


@pytest.mark.parametrize(
    ("query", "ec"),
    [
        (f"{V4_URL}0", "0002-00000232"),
        (f"{V4_URL}604801", "0002-00000232"),
        (f"{V4_URL}soon", "0002-00000232"),
        (V4_URL.replace("20231216T162057", "99991231T235959") + "60", "0002-00000232"),
        (V4_URL.replace("x-oss-date", "x-oss-data") + "60", None),
        (V4_URL.replace("OSS4", "OSS5") + "60", None),
    ],
)
def test_malformed_v4_url(query: str, ec: str | None) -> None:
    assert refusal(query) == ("InvalidArgument", "Authorization header is invalid.", ec)


@pytest.mark.parametrize("auth", ["OSS ak:sig", f"OSS4-HMAC-SHA256 {V4_CREDENTIAL},Signature=1"])
@pytest.mark.parametrize(
    ("date", "ec"),
    [
        ({}, "0002-00000503"),
        ({"date": "20231216T162057"}, "0002-00000502"),
        ({"date": "Fri, 99 Dec 2023 16:20:57 GMT"}, "0002-00000502"),
        ({"date": "GMT"}, "0002-00000502"),
        ({"x_oss_date": "yesterday", "date": V1_DATE}, "0002-00000502"),
    ],
)
def test_a_signature_needs_a_date(auth: str, date: dict[str, str], ec: str) -> None:
    message = "OSS authentication requires a valid Date."
    assert refusal(authorization=auth, **date) == ("AccessDenied", message, ec)


def test_one_place_only() -> None:
    v1_url, v4_url = "OSSAccessKeyId=ak&Expires=1&Signature=s", f"{V4_URL}60"
    for url in (v1_url, v4_url):
        assert refusal(url, authorization="OSS ak:s")[::2] == ("InvalidArgument", "0002-00000039")
    token = {"x_oss_security_token": "t"}
    two_tokens = ("InvalidArgument", "0002-00000010")
    assert refusal("security-token=t", authorization="OSS ak:s", **token)[::2] == two_tokens
    assert refusal(f"{v4_url}&x-oss-security-token=t", **token)[::2] == two_tokens


def test_a_token_in_the_url_of_a_request_signed_in_the_header() -> None:
    headers = {"authorization": "OSS ak:s", "date": V1_DATE}
    found = read(Request("GET", f"https://{HOST}/?security-token=t", headers), "bucket", "")
    assert found.security_token == "t"
    assert found.string_to_sign.endswith("/bucket/?security-token=t")


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("", {"authorization": "OSS2 AccessKeyId:ak,Signature:s"}),
        ("x-oss-signature-version=OSS2&x-oss-access-key-id=ak", {}),
        ("", {"authorization": "AWS ak:s"}),
        ("", {"authorization": "AWS4-HMAC-SHA256 Credential=ak"}),
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256", {}),
        ("AWSAccessKeyId=ak&Signature=s&Expires=1", {}),
    ],
)
def test_other_schemes_are_refused_by_name(query: str, headers: dict[str, str]) -> None:
    with pytest.raises(NotModelled, match=r"OSS2|AWS|X-Amz"):
        read_oss_signature(Request("GET", f"https://{HOST}/?{query}", headers), "bucket", "")


def test_anonymous() -> None:
    assert (
        read_oss_signature(Request("GET", f"https://{HOST}/key?versionId=1"), "bucket", "key")
        is None
    )


def test_of_a_repeated_parameter_the_first_counts() -> None:
    url = f"https://{HOST}/?OSSAccessKeyId=a&OSSAccessKeyId=b&Expires=1&Expires=2&Signature=s"
    found = read(Request("GET", url), "bucket", "")
    assert (found.access_key_id, found.expires_at) == ("a", at(1))


@pytest.mark.parametrize("form", FORMS)
def test_mismatch_has_the_documented_fields_and_no_token(form: str) -> None:
    found = read(signed(*FORMS[form]), "bucket", "dir/key")
    fields = found.mismatch()
    assert fields["OSSAccessKeyId"] == "STS.example"
    assert fields["SignatureProvided"] == found.signature
    raw = fields["StringToSignBytes"]
    assert raw.endswith(" ") and raw == raw.upper()
    assert bytes.fromhex(raw).decode() == fields["StringToSign"]
    assert TOKEN not in fields["StringToSign"] and quote(TOKEN, safe="") not in str(fields)
    masked = fields["StringToSign"].replace("****", TOKEN)
    assert masked == found.string_to_sign
    assert ("****" in fields["StringToSign"]) == (found.version == "V1")
    assert fields["EC"] == ("0002-00000040" if found.version == "V1" else "0002-00000201")


def test_mismatch_shows_what_was_signed_without_a_token() -> None:
    found = read(signed("Auth", False), "bucket", "dir/key")
    assert found.mismatch()["StringToSign"] == found.string_to_sign


@pytest.mark.parametrize("form", FORMS)
def test_repr_keeps_secrets(form: str) -> None:
    found = read(signed(*FORMS[form]), "bucket", "dir/key")
    assert TOKEN not in repr(found)
    assert found.signature not in repr(found)
    assert "STS.example" in repr(found)


WORDS = [
    *("OSS ak:s", "OSS4-HMAC-SHA256 ", "ACS3-HMAC-SHA256 ", V4_CREDENTIAL, "Signature=", "a" * 64),
    *("SignedHeaders=host", "AdditionalHeaders=", "20231216T162057Z", V1_DATE, ",", "=", "&", " "),
    *("x-oss-signature-version", "x-oss-date", "x-oss-expires", "OSSAccessKeyId", "Expires", "-1"),
    *("Signature", "security-token", "%FF", "%ED%A0%80", "+", "\ud800", "é", "\n", "GMT", "0"),
]
MANGLED = st.lists(st.sampled_from(WORDS) | st.text(max_size=3), max_size=8).map("".join)


@settings(max_examples=300, deadline=None)
@given(
    query=MANGLED,
    headers=st.dictionaries(
        st.sampled_from(["authorization", "date", "x-oss-date", "x-oss-security-token", "host"]),
        MANGLED,
    ),
)
def test_whatever_is_sent_is_read_or_refused(query: str, headers: dict[str, str]) -> None:
    request = Request("GET", f"https://{HOST}/?{query.replace('#', '')}", headers)
    with suppress(NotModelled):
        assert not rpc_matches("GET", request.parameters, "notasecret")
    with suppress(ServiceError, NotModelled):
        if acs3_parameters(request) is not None:
            assert not acs3_matches(request, "notasecret")
    with suppress(ServiceError, NotModelled):
        if found := read_oss_signature(request, "bucket", query):
            assert not found.matches("notasecret")
            assert found.mismatch()["StringToSignBytes"]


@pytest.mark.parametrize(
    ("seconds", "skewed"), [(0, False), (899, False), (900, False), (901, True), (86400, True)]
)
@pytest.mark.parametrize("sign", [1, -1])
def test_too_skewed(seconds: int, skewed: bool, sign: int) -> None:
    now = at(1702743657)
    assert too_skewed(now + sign * timedelta(seconds=seconds), now) is skewed
