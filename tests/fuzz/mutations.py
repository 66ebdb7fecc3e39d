"""Mutations: each takes a source of randomness and a request, and gives another request."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from hashlib import md5
from random import Random
from urllib.parse import quote, urlencode

from helpers.message import Request
from helpers.sandbox import ecs, ram, sts
from helpers.sandbox.oss_gateway import OPERATIONS, SIGNING_PARAMETERS
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
    b"", b"\x00\xff", b"x" * (2 * 1024 * 1024 + 1), b"Action=GetRole&RoleName=Own", b"<",
    b"<Delete/>",
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

OF_OSS = SIGNING_PARAMETERS.union(*(each.parameters for each in OPERATIONS.values()))


def value(random: Random) -> str:
    if random.random() < 0.8:
        return random.choice(VALUES)
    size, highest = random.randrange(9), random.choice([0x80, 0x2_0000])
    return "".join(chr(random.randrange(highest)) for _ in range(size))


def name(random: Random, request: Request) -> str:
    """Mostly of a parameter that the operation knows, as others end at its door."""
    action = request.parameters.get("Action", "")
    tables = (module.SERVICE.operations for module in (ram, sts, ecs))
    known = next((table[action].known for table in tables if action in table), OF_OSS)
    if random.random() < 0.8:
        return random.choice(sorted(known)).replace(".N", f".{random.randrange(3)}")
    return random.choice(NAMED)


def with_query(request: Request, pairs: list[tuple[str, str]]) -> Request:
    address = request.url.partition("?")[0]
    return replace(request, url=f"{address}?{urlencode(pairs, errors='replace')}")


def change_parameter(random: Random, request: Request) -> Request:
    pairs = list(request.query)
    if pairs:
        at = random.randrange(len(pairs))
        pairs[at] = pairs[at][0], value(random)
    return with_query(request, pairs)


def set_parameter(random: Random, request: Request) -> Request:
    new = name(random, request)
    others = [pair for pair in request.query if pair[0] != new]
    return with_query(request, [*others, (new, value(random))])


def repeat_parameter(random: Random, request: Request) -> Request:
    return with_query(request, [*request.query, (name(random, request), value(random))])


def drop_parameter(random: Random, request: Request) -> Request:
    pairs = list(request.query)
    if pairs:
        del pairs[random.randrange(len(pairs))]
    return with_query(request, pairs)


def with_header(request: Request, name: str, value: str) -> Request:
    value = re.sub("[\r\n]", "", value)  # HTTP cannot carry these
    return replace(request, headers={**request.headers, name: value})


def change_header(random: Random, request: Request) -> Request:
    return with_header(request, random.choice([*request.headers, "date"]), value(random))


def set_header(random: Random, request: Request) -> Request:
    return with_header(request, random.choice(NAMED), value(random))


def drop_header(random: Random, request: Request) -> Request:
    gone = random.choice([*request.headers, ""])
    return replace(request, headers={n: v for n, v in request.headers.items() if n != gone})


def set_method(random: Random, request: Request) -> Request:
    return replace(request, method=random.choice(METHODS))


def set_host(random: Random, request: Request) -> Request:
    path = "/" + request.url.partition("://")[2].partition("/")[2]
    scheme = random.choice(["http", "https", "https", "ftp", ""])
    return replace(request, url=f"{scheme}://{random.choice(HOSTNAMES)}{path}")


def set_path(random: Random, request: Request) -> Request:
    head, mark, query = request.url.partition("?")
    start = "/".join(head.split("/")[:3])
    path = value(random).encode(errors="replace").decode()
    return replace(request, url=f"{start}/{random.choice([path, quote(path)])}{mark}{query}")


def set_body(random: Random, request: Request) -> Request:
    """With its digest, so that it is not refused for that."""
    body = random.choice([*BODIES, random.randbytes(20), value(random).encode(errors="replace")])
    digest = b64encode(md5(body, usedforsecurity=False).digest()).decode()
    return replace(with_header(request, "content-md5", digest), body=body)


def as_form(random: Random, request: Request) -> Request:
    address, _, query = request.url.partition("?")
    sent = replace(request, method="POST", url=address, body=query.encode(errors="replace"))
    return with_header(sent, "content-type", "application/x-www-form-urlencoded")


def cut_url(random: Random, request: Request) -> Request:
    return replace(request, url=request.url[: random.randrange(8, len(request.url) + 8)])


def cut_body(random: Random, request: Request) -> Request:
    return replace(request, body=request.body[: random.randrange(len(request.body) + 1)])


def flip_url(random: Random, request: Request) -> Request:
    at = random.randrange(len(request.url))
    flipped = chr(ord(request.url[at]) ^ 1 << random.randrange(8))
    return replace(request, url=request.url[:at] + flipped + request.url[at + 1 :])


def flip_body(random: Random, request: Request) -> Request:
    body = bytearray(request.body or b"\0")
    body[random.randrange(len(body))] ^= 1 << random.randrange(8)
    return replace(request, body=bytes(body))


MUTATIONS: list[Callable[[Random, Request], Request]] = [
    *3 * [change_parameter, set_parameter, change_header],
    *(repeat_parameter, drop_parameter, set_header, drop_header, set_method, set_host, set_path),
    *(set_body, as_form, cut_url, cut_body, flip_url, flip_body),
]
