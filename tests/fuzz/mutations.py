"""Mutations: each takes a request and gives another."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import md5
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import strategies as st

from helpers.message import Request
from helpers.sandbox.scenario import READ_ONLY_POLICY, TRUST_POLICY
from tests.fuzz.seeds import ALLOW_ALL

VALUES = [
    "", " ", "0", "-1", "1", "true", "null", "9" * 30, "1e999", "NaN", "\u0661", "\x00", "\r\n",
    "\ud800", "\U0001f600", "a" * 5000, "%", "%zz", "%ff", "*", "?", "../..", "/", "//", "\\", "'",
    '"', "<a>", "&", "{}", "[]", "[1]", '["a"]', "[" * 3000, '{"a":' * 3000, "{", "a:b:c",
    "acs:ram::1234567890123456:role/EcsRamRoleTest", "acs:oss:*:*:*", "10.0.0.0/33", "22/22",
    "65536/1", "-1/-1", "2026-01-15T08:00:00Z", "20260115T080000Z", "bytes=0-0", "bytes=9-1",
    "/ramroletest/test.shh", "/ramroletest", "EcsRamRoleTest", "EcsRamRolePolicyTest", "Own",
    "System", "Custom", "v1", "ramroletest", "examplebucket", "i-bXXXXXXXX", "i-bYYYYYYYY",
    '["i-bXXXXXXXX"]', '["i-bYYYYYYYY"]', "cn-beijing", "XML", "JSON", "url", "2", "1000", "1001",
    "HMAC-SHA256", "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host,Signature=b", "OSS a:b",
    "OSS4-HMAC-SHA256 Credential=a/20260115/cn-hangzhou/oss/aliyun_v4_request,Signature=b",
    TRUST_POLICY, READ_ONLY_POLICY, ALLOW_ALL,
]  # fmt: skip
NAMED = [
    "Action", "Version", "Format", "Timestamp", "SignatureNonce", "SignatureMethod", "RegionId",
    "AccessKeyId", "SecurityToken", "Signature", "SignatureVersion", "SignatureType", "RoleName",
    "PolicyName", "PolicyType", "PolicyDocument", "Marker", "MaxItems", "Description", "RoleArn",
    "MaxSessionDuration", "RotateStrategy", "RoleSessionName", "DurationSeconds", "Policy",
    "InstanceIds", "InstanceId", "RamRoleName", "PageNumber", "PageSize", "DryRun", "Password",
    "UserData", "HostName", "Tag.1.Key", "Tag.x.Key", "Tag.1.Value", "InstanceId.1", "Status",
    "InternetMaxBandwidthOut", "InternetChargeType", "SystemDisk.Size", "SystemDisk.Category",
    "InstanceChargeType", "PasswordInherit", "ZoneId", "HttpTokens", "HttpEndpoint", "SourceCidrIp",
    "SourceGroupId", "Priority", "NicType", "AdditionalAttributes.1", "InstanceName", "Force",
    "prefix", "delimiter", "marker", "max-keys", "encoding-type", "list-type", "start-after",
    "continuation-token", "fetch-owner", "acl", "delete", "objectMeta", "bucketInfo", "location",
    "uploads", "OSSAccessKeyId", "Expires", "security-token", "x-oss-signature-version",
    "x-oss-credential", "x-oss-date", "x-oss-expires", "x-oss-signature", "content-type",
    "content-md5", "content-length", "range", "date", "host", "authorization", "x-oss-copy-source",
    "x-oss-metadata-directive", "x-oss-acl", "x-oss-meta-a", "x-oss-security-token", "if-match",
    "x-oss-content-sha256", "x-oss-additional-headers", "x-acs-action", "x-acs-version",
    "x-acs-date", "x-acs-signature-nonce", "x-aliyun-ecs-metadata-token", "x-forwarded-for",
    "x-aliyun-ecs-metadata-token-ttl-seconds", "user-agent", "expect", "transfer-encoding",
]  # fmt: skip
BODIES = [
    b"", b"\x00\xff", b"Action=GetRole&RoleName=Own", b"<", b"<Delete/>",
    b'<?xml version="1.0" encoding="utf-16"?><Delete/>', b'<?xml version="1.0" encoding="x"?><D/>',
    b"<Delete><Object><Key>a</Key></Object><Quiet>true</Quiet></Delete>",
    b"<Delete><Object><Key>&#0;</Key></Object></Delete>", b"<Delete>" * 3000,
    b'<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><Delete>&b;</Delete>',
    b"<CreateBucketConfiguration><StorageClass>IA</StorageClass></CreateBucketConfiguration>",
]  # fmt: skip
METHODS = ["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH", "get", "", "G T", "é"]
HOSTNAMES = [
    "ram.aliyuncs.com", "sts.cn-beijing.aliyuncs.com", "ecs-cn-hangzhou.aliyuncs.com",
    "vpc.aliyuncs.com", "oss.aliyuncs.com", "oss-cn-beijing.aliyuncs.com", "100.100.100.200",
    "examplebucket.oss-cn-hangzhou.aliyuncs.com", "ramroletest.oss-cn-beijing.aliyuncs.com",
    "Bad_.oss-cn-hangzhou.aliyuncs.com", ".oss-cn-hangzhou.aliyuncs.com", "new.oss.aliyuncs.com",
    "example.com", "", "[", "[::1]", "a@b:c", "ram.aliyuncs.com:99999", "é.aliyuncs.com", "..",
]  # fmt: skip


def set_method(method: str, request: Request) -> Request:
    return replace(request, method=method)


def set_host(host: str, scheme: str, request: Request) -> Request:
    path = "/" + request.url.partition("://")[2].partition("/")[2]
    return replace(request, url=f"{scheme}://{host}{path}")


def set_path(path: str, raw: bool, request: Request) -> Request:
    head, mark, query = request.url.partition("?")
    start = "/".join(head.split("/")[:3])
    path = path.encode(errors="replace").decode() if raw else quote(path, errors="replace")
    return replace(request, url=f"{start}/{path}{mark}{query}")


def with_query(request: Request, pairs: list[tuple[str, str]]) -> Request:
    address = request.url.partition("?")[0]
    return replace(request, url=f"{address}?{urlencode(pairs, errors='replace')}")


def set_parameter(name: str, value: str, request: Request) -> Request:
    return with_query(request, [*(p for p in request.query if p[0] != name), (name, value)])


def add_parameter(name: str, value: str, request: Request) -> Request:
    return with_query(request, [*request.query, (name, value)])


def change_parameter(index: int, value: str, request: Request) -> Request:
    pairs = list(request.query)
    if pairs:
        pairs[index % len(pairs)] = (pairs[index % len(pairs)][0], value)
    return with_query(request, pairs)


def drop_parameter(index: int, request: Request) -> Request:
    pairs = list(request.query)
    return with_query(
        request, pairs[: index % (len(pairs) or 1)] + pairs[index % (len(pairs) or 1) + 1 :]
    )


def set_header(name: str, value: str, request: Request) -> Request:
    return replace(request, headers={**request.headers, name: value})


def change_header(index: int, value: str, request: Request) -> Request:
    names = list(request.headers)
    return set_header(names[index % len(names)], value, request) if names else request


def drop_header(index: int, request: Request) -> Request:
    names = list(request.headers)
    gone = names[index % len(names)] if names else ""
    return replace(request, headers={n: v for n, v in request.headers.items() if n != gone})


def set_body(body: bytes, request: Request) -> Request:
    """With its digest, so that it is not refused for that."""
    digest = b64encode(md5(body, usedforsecurity=False).digest()).decode()
    return replace(set_header("content-md5", digest, request), body=body)


def fill_body(size: int, request: Request) -> Request:
    return set_body(b"x" * size, request)


def as_form(request: Request) -> Request:
    address, _, query = request.url.partition("?")
    sent = replace(request, method="POST", url=address, body=query.encode(errors="replace"))
    return set_header("content-type", "application/x-www-form-urlencoded", sent)


def cut_url(length: int, request: Request) -> Request:
    return replace(request, url=request.url[: 8 + length])


def cut_body(length: int, request: Request) -> Request:
    return replace(request, body=request.body[:length])


def flip_url(index: int, bit: int, request: Request) -> Request:
    at = index % len(request.url)
    flipped = chr(ord(request.url[at]) ^ 1 << bit)
    return replace(request, url=request.url[:at] + flipped + request.url[at + 1 :])


def flip_body(index: int, bit: int, request: Request) -> Request:
    body = bytearray(request.body or b"\0")
    body[index % len(body)] ^= 1 << bit
    return replace(request, body=bytes(body))


VALUE = st.sampled_from(VALUES) | st.text(max_size=8)
INDEX, BIT = st.integers(0, 400), st.integers(0, 7)
NAME = st.sampled_from(NAMED)
MUTATIONS: dict[Callable[..., Request], tuple[st.SearchStrategy[Any], ...]] = {
    change_parameter: (INDEX, VALUE),
    set_parameter: (NAME, VALUE),
    add_parameter: (NAME, VALUE),
    drop_parameter: (INDEX,),
    change_header: (INDEX, VALUE),
    set_header: (NAME, VALUE),
    drop_header: (INDEX,),
    set_method: (st.sampled_from(METHODS),),
    set_host: (st.sampled_from(HOSTNAMES), st.sampled_from(["http", "https", "ftp", ""])),
    set_path: (VALUE, st.booleans()),
    set_body: (st.sampled_from(BODIES) | st.binary(max_size=20),),
    fill_body: (st.sampled_from([5000, 2 * 1024 * 1024 + 1]),),
    as_form: (),
    cut_url: (INDEX,),
    cut_body: (INDEX,),
    flip_url: (INDEX, BIT),
    flip_body: (INDEX, BIT),
}
MUTATION = st.one_of(
    *(st.builds(partial, st.just(each), *drawn) for each, drawn in MUTATIONS.items())
)
