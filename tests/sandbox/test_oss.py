"""OSS through the real SDKs: what they list, read and write, and every refusal by its cause.

No answer is scripted: each refusal is brought about by the account's state or by the request.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import alibabacloud_oss_v2 as oss_v2
import oss2
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.message import Decided, NotModelled, Request, Response
from helpers.sandbox.account import AccessKey, Bucket, SessionCredential, StoredObject
from helpers.sandbox.credentials import issue
from helpers.sandbox.oss_gateway import OPERATIONS
from helpers.sandbox.oss_listing import read_token, token_after
from helpers.sandbox.scenario import FOREIGN_BUCKET, Names, add_user
from helpers.trace import Trace
from helpers.transport import Interceptor
from tests.sandbox.in_process import NOW, Stage, staged

NAME = Names().bucket_name
ENDPOINT = "https://oss-cn-hangzhou.aliyuncs.com"
BEIJING = "https://oss-cn-beijing.aliyuncs.com"
HOST = f"{NAME}.oss-cn-hangzhou.aliyuncs.com"


class Wire:
    """Brings what the clients send to the stand-in, and keeps what came back."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.source_ip = "127.0.0.1"
        self.answers: list[Response] = []

    def exchange(self, request: Request, _: object) -> Response:
        answer = self.stage.answer(replace(request, source_ip=self.source_ip))
        self.answers.append(answer)
        return answer


@contextmanager
def wired() -> Iterator[tuple[Stage, Wire]]:
    """The account before step 4: the instance has its role, which may read OSS."""
    with staged(step=4) as stage:
        wire = Wire(stage)
        with Interceptor(wire.exchange, Trace()):
            yield stage, wire


@pytest.fixture
def both() -> Iterator[tuple[Stage, Wire]]:
    with wired() as both:
        yield both


@pytest.fixture
def stage(both: tuple[Stage, Wire]) -> Stage:
    return both[0]


@pytest.fixture
def wire(both: tuple[Stage, Wire]) -> Wire:
    return both[1]


def credential_of_the_role(stage: Stage, **more: Any) -> SessionCredential:
    role = stage.account.roles[Names().role_name]
    return issue(stage.account, role, "session", NOW, timedelta(hours=6), **more)


def sts_auth(credential: SessionCredential, version: str = "v1") -> Any:
    token = credential.security_token
    return oss2.StsAuth(credential.access_key_id, credential.secret, token, auth_version=version)


def root_auth(stage: Stage) -> Any:
    return oss2.Auth(stage.root.access_key_id, stage.root.secret)


def user_auth(stage: Stage, *statements: dict[str, Any]) -> Any:
    document = json.dumps({"Version": "1", "Statement": list(statements)})
    key = add_user(stage.account, "intern", {"its policy": document})
    return oss2.Auth(key.access_key_id, key.secret)


def allow(action: Any, resource: Any = "*", **condition: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement


def deny(action: Any, resource: Any = "*") -> dict[str, Any]:
    return {"Effect": "Deny", "Action": action, "Resource": resource}


def open_bucket(
    stage: Stage,
    auth: Any = None,
    endpoint: str = ENDPOINT,
    name: str = NAME,
    region: str = "cn-hangzhou",
    **more: Any,
) -> Any:
    return oss2.Bucket(auth or root_auth(stage), endpoint, name, region=region, **more)


def open_service(stage: Stage, auth: Any = None, endpoint: str = ENDPOINT) -> Any:
    return oss2.Service(auth or root_auth(stage), endpoint, region="cn-hangzhou")


def open_v2(key: AccessKey | SessionCredential, **config: Any) -> Any:
    settings = oss_v2.config.load_default()
    settings.region = "cn-hangzhou"
    settings.credentials_provider = oss_v2.credentials.StaticCredentialsProvider(
        key.access_key_id, key.secret, getattr(key, "security_token", None)
    )
    for name, value in config.items():
        setattr(settings, name, value)
    return oss_v2.Client(settings)


def send(
    stage: Stage,
    method: str,
    key: str = "",
    params: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    auth: Any = None,
) -> Any:
    """A request that no method of the SDK makes, signed by the SDK."""
    url = f"https://{HOST}/{oss2.compat.urlquote(key, '')}"
    request = oss2.http.Request(method, url, data=body, params=params, headers=headers)
    (auth or root_auth(stage))._sign_request(request, NAME, key)
    return oss2.Session().do_request(request, timeout=1)


def parsed(answer: Any) -> ElementTree.Element:
    return ElementTree.fromstring(answer.read())


def refusal(bucket: Any, call: Callable[[Any], Any]) -> Any:
    with pytest.raises(oss2.exceptions.OssError) as caught:
        call(bucket)
    return caught.value


# The documented procedure, by every client


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://oss-cn-hangzhou.aliyuncs.com",
        "https://oss-cn-hangzhou-internal.aliyuncs.com",
        "http://oss-cn-hangzhou-internal.aliyuncs.com",
        "https://oss.aliyuncs.com",
    ],
)
@pytest.mark.parametrize("version", ["v1", "v4"])
def test_the_documented_loop(stage: Stage, version: str, endpoint: str) -> None:
    auth = sts_auth(credential_of_the_role(stage), version)
    bucket = open_bucket(stage, auth, endpoint)
    listed = [entry.key for entry in islice(oss2.ObjectIterator(bucket), 10)]
    assert listed == ["ramroletest.txt", "test.shh"]
    assert bucket.get_object("ramroletest.txt").read() == b"hello world"
    assert refusal(bucket, lambda b: b.put_object("new", b"")).code == "AccessDenied"


def test_a_provider_of_credentials_signs_with_v4(stage: Stage) -> None:
    credential = credential_of_the_role(stage)
    provider = oss2.credentials.StaticCredentialsProvider(
        credential.access_key_id, credential.secret, credential.security_token
    )
    bucket = open_bucket(stage, oss2.ProviderAuthV4(provider))
    assert [entry.key for entry in oss2.ObjectIteratorV2(bucket)] == ["ramroletest.txt", "test.shh"]


@pytest.mark.parametrize("internal", [False, True])
def test_the_successor_sdk(stage: Stage, internal: bool) -> None:
    client = open_v2(credential_of_the_role(stage), use_internal_endpoint=internal)
    page = client.list_objects_v2(oss_v2.ListObjectsV2Request(bucket=NAME))
    assert [(entry.key, entry.size) for entry in page.contents] == [
        ("ramroletest.txt", 11),
        ("test.shh", 21),
    ]
    got = client.get_object(oss_v2.GetObjectRequest(bucket=NAME, key="ramroletest.txt"))
    assert got.body.content == b"hello world"
    with pytest.raises(oss_v2.exceptions.OperationError) as caught:
        client.put_object(oss_v2.PutObjectRequest(bucket=NAME, key="new", body=b""))
    error: Any = caught.value.unwrap()
    assert (error.status_code, error.code, error.ec) == (403, "AccessDenied", "0003-00000001")


@pytest.mark.parametrize("version", ["v1", "v4"])
def test_the_successor_sdk_writes(stage: Stage, version: str) -> None:
    client = open_v2(stage.root, signature_version=version)
    client.put_object(oss_v2.PutObjectRequest(bucket=NAME, key="中/a b", body=b"hello"))
    client.copy_object(
        oss_v2.CopyObjectRequest(bucket=NAME, key="copy", source_bucket=NAME, source_key="中/a b")
    )
    head = client.head_object(oss_v2.HeadObjectRequest(bucket=NAME, key="copy"))
    assert (head.content_length, head.etag) == (5, '"5D41402ABC4B2A76B9719D911017C592"')
    found = client.list_objects(oss_v2.ListObjectsRequest(bucket=NAME, prefix="中"))
    assert [entry.key for entry in found.contents] == ["中/a b"]
    deleted = client.delete_multiple_objects(
        oss_v2.DeleteMultipleObjectsRequest(
            bucket=NAME,
            objects=[oss_v2.DeleteObject(key="copy"), oss_v2.DeleteObject(key="中/a b")],
        )
    )
    assert [entry.key for entry in deleted.deleted_objects] == ["copy", "中/a b"]
    buckets = client.list_buckets(oss_v2.ListBucketsRequest()).buckets
    assert [bucket.name for bucket in buckets] == [NAME]


@pytest.mark.parametrize(
    ("method", "key", "content"),
    [("GET", "test.shh", b"#!/bin/sh\necho hello\n"), ("PUT", "a", b"")],
)
@pytest.mark.parametrize("auth", [oss2.Auth, oss2.AuthV4])
def test_a_signed_url(stage: Stage, auth: Any, method: str, key: str, content: bytes) -> None:
    bucket = open_bucket(stage, auth(stage.root.access_key_id, stage.root.secret))
    answer = requests.request(method, bucket.sign_url(method, key, 60, slash_safe=True))
    assert (answer.status_code, answer.content) == (200, content)


# Listing

KEYS = st.text("ab/ 中é&+%~", min_size=1, max_size=6).filter(lambda key: key[0] != "/")


def expected_entries(keys: set[str], prefix: str, delimiter: str) -> list[tuple[str, bool]]:
    found = set()
    for key in keys:
        if key.startswith(prefix):
            at = key.find(delimiter, len(prefix)) if delimiter else -1
            found.add((key, False) if at < 0 else (key[: at + len(delimiter)], True))
    return sorted(found, key=lambda entry: entry[0].encode())


def entries_of(page: ElementTree.Element, decode: Callable[[str], str]) -> list[tuple[str, bool]]:
    keys = [(decode(key.text or ""), False) for key in page.iterfind("Contents/Key")]
    prefixes = [(decode(text.text or ""), True) for text in page.iterfind("CommonPrefixes/Prefix")]
    return sorted(keys + prefixes)


def listed(stage: Stage, version: int, encoding: str, **asked: str) -> list[tuple[str, bool]]:
    """All entries, page by page, as a client without the SDKs' iterators would collect them."""
    decode = unquote if encoding else str
    asked |= {"encoding-type": encoding} if encoding else {}
    asked |= {"list-type": "2"} if version == 2 else {}
    cursor, following = (
        ("marker", "NextMarker")
        if version == 1
        else ("continuation-token", "NextContinuationToken")
    )
    found: list[tuple[str, bool]] = []
    for _ in range(20):  # more than the pages there are
        page = parsed(send(stage, "GET", params=asked))
        entries = entries_of(page, decode)
        assert len(entries) <= int(asked["max-keys"])
        assert version == 1 or page.findtext("KeyCount") == str(len(entries))
        found += entries
        text = page.findtext(following)
        if page.findtext("IsTruncated") == "false":
            assert text is None
            return found
        asked[cursor] = decode(text or "") if version == 1 else text or ""
    raise AssertionError("the pages have no end")


def test_pages_add_up_to_what_is_there() -> None:
    with wired() as (stage, _):

        @settings(max_examples=40)
        @given(
            keys=st.sets(KEYS, max_size=12),
            prefix=st.one_of(st.just(""), st.text("ab/中", max_size=3)),
            delimiter=st.sampled_from(["", "/", "b", "中", "a/"]),
            size=st.integers(1, 4),
        )
        def check(keys: set[str], prefix: str, delimiter: str, size: int) -> None:
            objects = {key: StoredObject(key, b"", NOW) for key in keys}
            stage.account.buckets[NAME].objects = objects
            expected = expected_entries(keys, prefix, delimiter)
            asked = {"prefix": prefix, "delimiter": delimiter, "max-keys": str(size)}
            for version in (1, 2):
                for encoding in ("", "url"):
                    assert listed(stage, version, encoding, **asked) == expected
            bucket = open_bucket(stage)
            for iterator in (oss2.ObjectIterator, oss2.ObjectIteratorV2):
                every = iterator(bucket, prefix=prefix, delimiter=delimiter, max_keys=size)
                found = islice(every, 20)
                assert [(entry.key, entry.is_prefix()) for entry in found] == expected

        check()


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("", ["a", "b/1", "b/2", "c"]),
        ("a", ["b/1", "b/2", "c"]),
        ("aa", ["b/1", "b/2", "c"]),
        ("b/1", ["b/2", "c"]),
        ("b/2", ["c"]),
        ("c", []),
        ("z", []),
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_a_listing_begins_after_what_need_not_exist(
    stage: Stage, version: int, after: str, expected: list[str]
) -> None:
    objects = {key: StoredObject(key, b"", NOW) for key in ("b/2", "c", "a", "b/1")}
    stage.account.buckets[NAME].objects = objects
    bucket = open_bucket(stage)
    if version == 1:
        page = bucket.list_objects(marker=after)
    else:
        page = bucket.list_objects_v2(start_after=after)
    assert [entry.key for entry in page.object_list] == expected


def test_100_is_the_page_and_1000_the_largest(stage: Stage) -> None:
    objects = {f"{n:04}": StoredObject(f"{n:04}", b"", NOW) for n in range(1001)}
    stage.account.buckets[NAME].objects = objects
    counts = {}
    for size in ("", "0", "1", "1000"):
        page = parsed(send(stage, "GET", params={"max-keys": size} if size else {}))
        counts[size] = (len(page.findall("Contents")), page.findtext("NextMarker"))
    assert counts == {
        "": (100, "0099"),
        "0": (0, None),
        "1": (1, "0000"),
        "1000": (1000, "0999"),
    }


@pytest.mark.parametrize(
    ("last", "token"),
    [("bc", "CgJiYw--"), ("a" * 200, None), ("中/文 ~", None), ("x" * 1023, None)],
)
def test_a_token_has_the_documented_form(last: str, token: str | None) -> None:
    assert token in (None, token_after(last))
    assert read_token(token_after(last)) == last


@pytest.mark.parametrize("token", ["", "x", "CgJiYw==", "CgJi", "AgJiYw--", "CgNiYw--", "////"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(ValueError):
        read_token(token)


def test_what_a_listing_says_of_an_object(stage: Stage) -> None:
    (entry,) = open_bucket(stage).list_objects(prefix="ram").object_list
    created = NOW - timedelta(days=30)
    assert (entry.key, entry.size, entry.type) == ("ramroletest.txt", 11, "Normal")
    assert (entry.storage_class, entry.last_modified) == ("Standard", created.timestamp())
    assert entry.etag == hashlib.md5(b"hello world").hexdigest().upper()
    assert entry.owner.id == stage.account.account_id


@pytest.mark.parametrize(("fetch_owner", "ids"), [(True, ["1234567890123456"]), (False, [])])
def test_version_2_names_the_owner_on_request(
    stage: Stage, fetch_owner: bool, ids: list[str]
) -> None:
    page = open_bucket(stage).list_objects_v2(prefix="ram", fetch_owner=fetch_owner)
    assert [entry.owner.id for entry in page.object_list if entry.owner] == ids


def test_an_encoded_answer_says_so(stage: Stage) -> None:
    asked = {"prefix": "中 /", "delimiter": "/", "marker": "a/b", "encoding-type": "url"}
    page = parsed(send(stage, "GET", params=asked))
    shown = {name: page.findtext(name) for name in ("Prefix", "Delimiter", "Marker")}
    assert shown == {"Prefix": "%E4%B8%AD%20%2F", "Delimiter": "%2F", "Marker": "a%2Fb"}
    assert page.findtext("EncodingType") == "url"
    del asked["encoding-type"]
    page = parsed(send(stage, "GET", params=asked))
    assert (page.findtext("Prefix"), page.find("EncodingType")) == ("中 /", None)


# Objects


@pytest.mark.parametrize(
    ("header", "status", "body", "content_range"),
    [
        ("bytes=0-4", 206, b"hello", "bytes 0-4/11"),
        ("bytes=6-10", 206, b"world", "bytes 6-10/11"),
        ("bytes=6-", 206, b"world", "bytes 6-10/11"),
        ("bytes=-5", 206, b"world", "bytes 6-10/11"),
        ("bytes=0-", 206, b"hello world", "bytes 0-10/11"),
        ("bytes=4-4", 206, b"o", "bytes 4-4/11"),
        ("bytes=0-11", 200, b"hello world", None),
        ("bytes=11-", 200, b"hello world", None),
        ("bytes=5-4", 200, b"hello world", None),
        ("bytes=-12", 200, b"hello world", None),
        ("bytes=-0", 200, b"hello world", None),
        ("bytes=-", 200, b"hello world", None),
        ("bytes=0-1,3-4", 200, b"hello world", None),
        ("bytes=a-b", 200, b"hello world", None),
        ("bytes=0-" + "9" * 5000, 200, b"hello world", None),
        ("0-4", 200, b"hello world", None),
    ],
)
def test_a_range(
    stage: Stage, header: str, status: int, body: bytes, content_range: str | None
) -> None:
    answer = send(stage, "GET", "ramroletest.txt", headers={"Range": header})
    assert (answer.status, answer.read()) == (status, body)
    assert answer.headers.get("Content-Range") == content_range
    assert answer.headers["Content-Length"] == str(len(body))
    assert answer.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize("body", [b"", b"hello world", bytes(range(256)) * 400], ids=len)
@pytest.mark.parametrize("key", ["a", "中/文 a+b.txt", "x/../y", "%41?&=", "a//b"])
def test_what_is_put_is_what_is_got(stage: Stage, key: str, body: bytes) -> None:
    bucket = open_bucket(stage)  # enable_crc is on: both ways are checked
    sent = {"Content-Type": "text/x-test", "x-oss-meta-Author": "me", "Cache-Control": "no-store"}
    put = bucket.put_object(key, body, headers=sent)
    got = bucket.get_object(key)
    assert got.read() == body
    assert put.etag == got.etag == hashlib.md5(body).hexdigest().upper()
    assert put.crc == got.server_crc == got.client_crc
    assert got.headers["x-oss-meta-author"] == "me"
    assert got.headers["cache-control"] == "no-store"
    head = bucket.head_object(key)
    assert (head.content_type, head.content_length) == ("text/x-test", len(body))
    assert head.last_modified == NOW.timestamp()
    assert bucket.get_object_meta(key).content_length == len(body)


def test_the_published_check_values(stage: Stage) -> None:
    headers = open_bucket(stage).head_object("ramroletest.txt").headers
    assert headers["x-oss-hash-crc64ecma"] == "5981764153023615706"
    assert headers["ETag"] == '"5EB63BBBE01EEED093CB22BB8F5ACDC3"'
    assert headers["Content-MD5"] == "XrY7u+Ae7tCTyyK7j1rNww=="


def test_a_second_put_replaces_the_object(stage: Stage) -> None:
    bucket = open_bucket(stage)
    stage.advance(hours=1)
    bucket.put_object("ramroletest.txt", b"new")
    assert bucket.get_object("ramroletest.txt").read() == b"new"
    assert bucket.head_object("ramroletest.txt").last_modified == NOW.timestamp() + 3600


@pytest.mark.parametrize(
    ("target", "headers", "expected"),
    [
        ("copy", {}, {"x-oss-meta-a": "1"}),
        ("copy", {"x-oss-metadata-directive": "COPY", "x-oss-meta-b": "2"}, {"x-oss-meta-a": "1"}),
        (
            "copy",
            {"x-oss-metadata-directive": "REPLACE", "x-oss-meta-b": "2"},
            {"x-oss-meta-b": "2"},
        ),
        ("源/a b", {"x-oss-meta-b": "2"}, {"x-oss-meta-b": "2"}),
    ],
)
def test_a_copy(
    stage: Stage, target: str, headers: dict[str, str], expected: dict[str, str]
) -> None:
    bucket = open_bucket(stage)
    bucket.put_object("源/a b", b"body", headers={"x-oss-meta-a": "1"})
    stage.advance(minutes=1)
    copied = bucket.copy_object(NAME, "源/a b", target, headers=headers)
    got = bucket.get_object(target)
    assert (got.read(), got.etag) == (b"body", copied.etag)
    assert bucket.head_object(target).last_modified == NOW.timestamp() + 60
    assert stage.account.buckets[NAME].objects[target].key == target
    kept = {n: v for n, v in got.headers.items() if n.startswith("x-oss-meta-")}
    assert kept == expected


def test_deleting_is_idempotent(stage: Stage) -> None:
    bucket = open_bucket(stage)
    assert [bucket.delete_object("test.shh").status for _ in range(2)] == [204, 204]
    assert not bucket.object_exists("test.shh")


def test_many_are_deleted_at_once(stage: Stage) -> None:
    bucket = open_bucket(stage)
    bucket.put_object("中 a&b<c>", b"")
    keys = ["中 a&b<c>", "test.shh", "never there"]
    assert bucket.batch_delete_objects(keys).deleted_keys == keys
    assert [entry.key for entry in oss2.ObjectIterator(bucket)] == ["ramroletest.txt"]


def deletion(*keys: str, quiet: str = "false") -> bytes:
    objects = "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)
    return f"<Delete><Quiet>{quiet}</Quiet>{objects}</Delete>".encode()


def content_md5(body: bytes) -> dict[str, str]:
    return {"Content-MD5": base64.b64encode(hashlib.md5(body).digest()).decode()}


@pytest.mark.parametrize(
    ("quiet", "expected"),
    [("true", ""), ("false", "<Key>test.shh</Key>")],
    ids=["quiet", "verbose"],
)
def test_a_quiet_deletion_has_no_body(stage: Stage, quiet: str, expected: str) -> None:
    body = deletion("test.shh", quiet=quiet)
    answer = send(stage, "POST", params={"delete": ""}, headers=content_md5(body), body=body)
    text = answer.read().decode()
    assert (answer.status, expected in text, bool(text)) == (200, True, bool(expected))
    assert "test.shh" not in stage.account.buckets[NAME].objects


# Buckets


def test_a_bucket_comes_and_goes(stage: Stage) -> None:
    bucket = open_bucket(stage, endpoint=BEIJING, name="my-own-bucket")
    assert bucket.create_bucket().status == 200
    assert bucket.create_bucket(oss2.BUCKET_ACL_PRIVATE).status == 200
    assert bucket.get_bucket_location().location == "oss-cn-beijing"
    info = bucket.get_bucket_info()
    assert (info.name, info.location) == ("my-own-bucket", "oss-cn-beijing")
    assert info.extranet_endpoint == "oss-cn-beijing.aliyuncs.com"
    assert info.intranet_endpoint == "oss-cn-beijing-internal.aliyuncs.com"
    assert (info.storage_class, info.acl.grant) == ("Standard", "private")
    assert (info.owner.id, info.creation_date) == (
        stage.account.account_id,
        "2026-01-15T08:00:00.000Z",
    )
    bucket.put_object("a", b"")
    assert refusal(bucket, lambda b: b.delete_bucket()).code == "BucketNotEmpty"
    bucket.delete_object("a")
    assert bucket.delete_bucket().status == 204
    assert refusal(bucket, lambda b: b.get_bucket_info()).code == "NoSuchBucket"


def test_buckets_are_listed_from_any_region(stage: Stage) -> None:
    for number in range(3):
        name = f"bucket-{number}"
        stage.account.buckets[name] = Bucket(name, "cn-beijing", NOW)
    service = open_service(stage)
    everything = ["bucket-0", "bucket-1", "bucket-2", NAME]
    assert [bucket.name for bucket in oss2.BucketIterator(service, max_keys=2)] == everything
    assert [bucket.name for bucket in service.list_buckets(prefix="bucket").buckets] == everything[
        :3
    ]
    (shown,) = service.list_buckets(marker="bucket-2").buckets
    assert (shown.name, shown.location, shown.region) == (NAME, "oss-cn-hangzhou", "cn-hangzhou")
    assert shown.intranet_endpoint == "oss-cn-hangzhou-internal.aliyuncs.com"


# Refusals. A row: what causes it and the call that meets it, then what the client must see.

Cause = Callable[[Stage], Any]
REFUSALS: dict[str, tuple[Cause, int, str, str, str]] = {}


def refused(
    status: int, code: str, ec: str, check: str, name: str = ""
) -> Callable[[Cause], Cause]:
    def enter(cause: Cause) -> Cause:
        REFUSALS[name or cause.__name__] = (cause, status, code, ec, check)
        return cause

    return enter


def listing(bucket: Any) -> Any:
    return bucket.list_objects()


@refused(403, "InvalidAccessKeyId", "0002-00000902", "access key")
def unknown_key(stage: Stage) -> Any:
    return listing(open_bucket(stage, oss2.Auth("LTAI5tNobody", "x")))


@refused(403, "InvalidAccessKeyId", "0002-00000002", "access key")
def unknown_key_with_a_token(stage: Stage) -> Any:
    return listing(open_bucket(stage, oss2.StsAuth("STS.Nobody", "x", "token")))


@refused(403, "InvalidAccessKeyId", "0002-00000003", "access key")
def unknown_sts_key_without_a_token(stage: Stage) -> Any:
    return listing(open_bucket(stage, oss2.Auth("STS.Nobody", "x")))


@refused(403, "InvalidAccessKeyId", "0002-00000003", "access key")
def sts_key_without_its_token(stage: Stage) -> Any:
    credential = credential_of_the_role(stage)
    return listing(open_bucket(stage, oss2.Auth(credential.access_key_id, credential.secret)))


@refused(403, "InvalidAccessKeyId", "", "access key")
def disabled_key(stage: Stage) -> Any:
    stage.root.active = False
    return listing(open_bucket(stage))


@refused(403, "AccessKeyIdAndSecurityTokenNotMatch", "", "access key")
def token_of_another_key(stage: Stage) -> Any:
    mine, other = credential_of_the_role(stage), credential_of_the_role(stage)
    token = other.security_token
    return listing(open_bucket(stage, oss2.StsAuth(mine.access_key_id, mine.secret, token)))


@refused(403, "InvalidSecurityToken", "0002-00000006", "access key")
def mangled_token(stage: Stage) -> Any:
    mine = credential_of_the_role(stage)
    token = mine.security_token[:-1]
    return listing(open_bucket(stage, oss2.StsAuth(mine.access_key_id, mine.secret, token)))


@refused(403, "SecurityTokenExpired", "0002-00000007", "access key")
def expired_token(stage: Stage) -> Any:
    bucket = open_bucket(stage, sts_auth(credential_of_the_role(stage)))
    stage.advance(hours=6)
    return listing(bucket)


@refused(403, "InvalidSecurityToken", "0002-00000006", "access key")
def token_of_a_deleted_role(stage: Stage) -> Any:
    credential = credential_of_the_role(stage)
    del stage.account.roles[Names().role_name]
    return listing(open_bucket(stage, sts_auth(credential)))


@refused(403, "InvalidSecurityToken", "0002-00000006", "access key")
def token_of_a_detached_role(stage: Stage) -> Any:
    credential = credential_of_the_role(stage, instance_id=Names().instance_id)
    stage.account.instances[Names().instance_id].role_name = ""
    return listing(open_bucket(stage, sts_auth(credential)))


@refused(403, "SignatureDoesNotMatch", "0002-00000040", "signature")
def wrong_secret(stage: Stage) -> Any:
    return listing(open_bucket(stage, oss2.Auth(stage.root.access_key_id, "wrong")))


@refused(403, "SignatureDoesNotMatch", "0002-00000201", "signature")
def wrong_secret_v4(stage: Stage) -> Any:
    return listing(open_bucket(stage, oss2.AuthV4(stage.root.access_key_id, "wrong")))


@refused(403, "RequestTimeTooSkewed", "0002-00000504", "time")
def clock_that_is_slow(stage: Stage) -> Any:
    headers = {"x-oss-date": "Thu, 15 Jan 2026 07:44:59 GMT"}
    return open_bucket(stage).list_objects(headers=headers)


@refused(400, "InvalidArgument", "0002-00000226", "signature")
def scope_of_another_region(stage: Stage) -> Any:
    auth = oss2.AuthV4(stage.root.access_key_id, stage.root.secret)
    return listing(open_bucket(stage, auth, region="cn-beijing"))


@refused(403, "AccessDenied", "", "policy")
def anonymous_listing(stage: Stage) -> Any:
    return listing(open_bucket(stage, oss2.AnonymousAuth()))


@refused(403, "AccessDenied", "", "policy")
def anonymous_reading(stage: Stage) -> Any:
    return open_bucket(stage, oss2.AnonymousAuth()).get_object("ramroletest.txt")


@refused(403, "AccessDenied", "0003-00001201", "policy")
def anonymous_service(stage: Stage) -> Any:
    return open_service(stage, oss2.AnonymousAuth()).list_buckets()


@refused(404, "NoSuchBucket", "0015-00000101", "state")
def no_such_bucket(stage: Stage) -> Any:
    return listing(open_bucket(stage, name="nowhere"))


@refused(403, "AccessDenied", "0003-00001403", "endpoint")
def endpoint_of_another_region(stage: Stage) -> Any:
    return listing(open_bucket(stage, endpoint=BEIJING))


@refused(403, "AccessDenied", "0003-00001403", "endpoint")
def internal_endpoint_of_another_region(stage: Stage) -> Any:
    return listing(open_bucket(stage, endpoint="https://oss-cn-beijing-internal.aliyuncs.com"))


@refused(403, "AccessDenied", "0003-00000001", "owner")
def bucket_of_another_account(stage: Stage) -> Any:
    return listing(open_bucket(stage, name=FOREIGN_BUCKET))


@refused(403, "AccessDenied", "0003-00000001", "policy")
def nothing_allows_it(stage: Stage) -> Any:
    return listing(open_bucket(stage, user_auth(stage, allow("oss:GetObject"))))


@refused(403, "AccessDenied", "0003-00000001", "policy")
def nothing_allows_managing_the_bucket(stage: Stage) -> Any:
    return open_bucket(stage, user_auth(stage, allow("oss:GetObject"))).get_bucket_info()


@refused(403, "AccessDenied", "", "policy")
def nothing_allows_listing_buckets(stage: Stage) -> Any:
    return open_service(stage, user_auth(stage, allow("oss:GetObject"))).list_buckets()


@refused(403, "AccessDenied", "0003-00000201", "policy")
def a_statement_denies_it(stage: Stage) -> Any:
    auth = user_auth(stage, allow("oss:*"), deny("oss:ListObjects"))
    return listing(open_bucket(stage, auth))


@refused(403, "AccessDenied", "0003-00000301", "policy")
def the_session_policy_does_not_allow_it(stage: Stage) -> Any:
    policy = json.dumps({"Version": "1", "Statement": [allow("oss:GetObject")]})
    return listing(
        open_bucket(stage, sts_auth(credential_of_the_role(stage, session_policy=policy)))
    )


@refused(403, "AccessDenied", "0003-00000001", "policy")
def a_copy_whose_source_may_not_be_read(stage: Stage) -> Any:
    auth = user_auth(stage, allow("oss:PutObject"))
    return open_bucket(stage, auth).copy_object(NAME, "test.shh", "copy")


@refused(403, "AccessDenied", "0003-00000001", "policy")
def a_copy_whose_target_may_not_be_written(stage: Stage) -> Any:
    auth = user_auth(stage, allow("oss:GetObject"))
    return open_bucket(stage, auth).copy_object(NAME, "test.shh", "copy")


@refused(403, "AccessDenied", "0003-00000001", "policy")
def a_deletion_of_which_one_is_not_allowed(stage: Stage) -> Any:
    auth = user_auth(stage, allow("oss:DeleteObject", f"acs:oss:*:*:{NAME}/test.shh"))
    return open_bucket(stage, auth).batch_delete_objects(["test.shh", "ramroletest.txt"])


@refused(404, "NoSuchKey", "0026-00000001", "state")
def no_such_key(stage: Stage) -> Any:
    return open_bucket(stage).get_object("nowhere")


@refused(404, "NoSuchKey", "0026-00000001", "state")
def no_such_source(stage: Stage) -> Any:
    return open_bucket(stage).copy_object(NAME, "nowhere", "copy")


@refused(404, "NoSuchBucket", "0015-00000101", "state")
def no_such_source_bucket(stage: Stage) -> Any:
    return open_bucket(stage).copy_object("nowhere", "a", "copy")


@refused(409, "BucketNotEmpty", "0015-00000301", "state")
def full_bucket(stage: Stage) -> Any:
    return open_bucket(stage).delete_bucket()


@refused(409, "BucketAlreadyExists", "0015-00000102", "state")
def name_that_another_account_has(stage: Stage) -> Any:
    return open_bucket(stage, name=FOREIGN_BUCKET).create_bucket()


@refused(409, "BucketAlreadyExists", "0015-00000104", "state")
def bucket_that_a_user_makes_again(stage: Stage) -> Any:
    return open_bucket(stage, user_auth(stage, allow("oss:PutBucket"))).create_bucket()


@refused(409, "BucketAlreadyExists", "", "state")
def bucket_that_would_have_to_move(stage: Stage) -> Any:
    return open_bucket(stage, endpoint=BEIJING).create_bucket()


@refused(403, "SecondLevelDomainForbidden", "", "endpoint")
def bucket_in_the_path(stage: Stage) -> Any:
    return listing(open_bucket(stage, is_path_style=True))


@refused(400, "InvalidBucketName", "0015-00000001", "parameter")
def bucket_in_the_endpoint(stage: Stage) -> Any:
    return listing(open_bucket(stage, endpoint=f"https://{HOST}"))


@refused(400, "InvalidObjectName", "0016-00000002", "parameter")
def name_that_is_too_long(stage: Stage) -> Any:
    return open_bucket(stage).put_object("中" * 342, b"")


@refused(400, "InvalidObjectName", "0016-00000002", "parameter")
def name_that_begins_with_a_slash(stage: Stage) -> Any:
    return open_bucket(stage).put_object("/a", b"")


@refused(400, "InvalidArgument", "0015-00000402", "parameter")
def page_that_is_too_long(stage: Stage) -> Any:
    return open_bucket(stage).list_objects(max_keys=1001)


@refused(400, "InvalidArgument", "0015-00000402", "parameter")
def page_of_minus_one(stage: Stage) -> Any:
    return open_bucket(stage).list_objects_v2(max_keys=-1)


@refused(400, "InvalidArgument", "0017-00000289", "parameter")
def page_of_buckets_that_is_too_long(stage: Stage) -> Any:
    return open_service(stage).list_buckets(max_keys=1001)


@refused(400, "InvalidArgument", "", "parameter")
def unknown_encoding(stage: Stage) -> Any:
    return open_bucket(stage).list_objects_v2(encoding_type="base64")


@refused(400, "InvalidArgument", "", "parameter")
def prefix_that_is_too_long(stage: Stage) -> Any:
    return open_bucket(stage).list_objects(prefix="a" * 1024)


@refused(400, "InvalidArgument", "", "parameter")
def token_that_no_page_gave(stage: Stage) -> Any:
    return open_bucket(stage).list_objects_v2(continuation_token="nonsense")


@refused(400, "InvalidDigest", "0017-00000503", "parameter")
def digest_of_another_body(stage: Stage) -> Any:
    return open_bucket(stage).put_object("a", b"a", headers=content_md5(b"b"))


@refused(400, "InvalidDigest", "0017-00000502", "parameter")
def digest_that_is_none(stage: Stage) -> Any:
    return open_bucket(stage).put_object("a", b"a", headers={"Content-MD5": "eA=="})


# The refusals of a deletion's body, which no SDK sends.
BODIES = {
    "no XML": b"<Delete>",
    "no key": b"<Delete></Delete>",
    "an empty key": deletion(""),
    "1001 keys": deletion(*map(str, range(1001))),
    "over 2 MB": deletion("a", quiet=" " * 2 * 1024 * 1024),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_deletion_must_be_the_documented_xml(stage: Stage, body: bytes) -> None:
    answer = send(stage, "POST", params={"delete": ""}, headers=content_md5(body), body=body)
    assert (answer.status, parsed(answer).findtext("Code")) == (400, "MalformedXML")


def test_a_deletion_must_carry_its_digest(stage: Stage) -> None:
    answer = send(stage, "POST", params={"delete": ""}, body=deletion("test.shh"))
    assert parsed(answer).findtext("Code") == "MissingArgument"
    assert "test.shh" in stage.account.buckets[NAME].objects


@pytest.fixture
def met(stage: Stage, wire: Wire) -> Callable[[str], tuple[Any, Response]]:
    """The exception and the last answer of a row of REFUSALS."""

    def meet(name: str) -> tuple[Any, Response]:
        with pytest.raises(oss2.exceptions.OssError) as caught:
            REFUSALS[name][0](stage)
        return caught.value, wire.answers[-1]

    return meet


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_has_its_cause(met: Any, name: str) -> None:
    _, status, code, ec, check = REFUSALS[name]
    error, answer = met(name)
    assert (error.status, error.code, error.ec) == (status, code, ec)
    assert answer.decided.check == check
    assert answer.decided.reason


@pytest.mark.parametrize("name", REFUSALS)
def test_the_form_of_a_refusal(met: Any, name: str) -> None:
    error, answer = met(name)
    text = answer.body.decode()
    root = ElementTree.fromstring(text)
    tags = [child.tag for child in root]
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<Error>\n  <Code>')
    assert text.endswith("\n</Error>\n")
    assert tags[:4] == ["Code", "Message", "RequestId", "HostId"]
    assert tags[-2:] == ["EC", "RecommendDoc"] or not (error.ec and "RecommendDoc" in tags)
    assert root.findtext("RecommendDoc", error.ec).endswith(error.ec)
    assert error.request_id == root.findtext("RequestId") == answer.headers["x-oss-request-id"]
    assert answer.headers.get("x-oss-ec", "") == error.ec
    order = "Server Date Content-Type Content-Length Connection x-oss-request-id x-oss-server-time"
    assert list(answer.headers)[:7] == order.split()
    assert answer.headers["Content-Length"] == str(len(answer.body))
    assert answer.headers["Date"] == error.headers["Date"]


@pytest.mark.parametrize("name", REFUSALS)
def test_no_refusal_carries_a_secret(stage: Stage, met: Any, name: str) -> None:
    _, answer = met(name)
    shown = answer.body.decode() + str(dict(answer.headers)) + str(answer.decided)
    for credential in stage.account.credentials.values():
        assert credential.secret not in shown
        assert credential.security_token[:-1] not in shown
    assert stage.root.secret not in shown


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("unknown_key", {"OSSAccessKeyId": "LTAI5tNobody"}),
        ("expired_token", {"SecurityToken": "****"}),
        (
            "clock_that_is_slow",
            {
                "MaxAllowedSkewMilliseconds": "900000",
                "RequestTime": "2026-01-15T07:44:59.000Z",
                "ServerTime": "2026-01-15T08:00:00.000Z",
            },
        ),
        (
            "no_such_bucket",
            {"BucketName": "nowhere", "HostId": "nowhere.oss-cn-hangzhou.aliyuncs.com"},
        ),
        ("no_such_key", {"Key": "nowhere", "HostId": HOST}),
        (
            "endpoint_of_another_region",
            {
                "Bucket": NAME,
                "Endpoint": "oss-cn-hangzhou.aliyuncs.com",
                "HostId": f"{NAME}.oss-cn-beijing.aliyuncs.com",
            },
        ),
        ("internal_endpoint_of_another_region", {"Endpoint": "oss-cn-hangzhou.aliyuncs.com"}),
        ("page_that_is_too_long", {"ArgumentName": "max-keys", "ArgumentValue": "1001"}),
        ("anonymous_listing", {"Message": "Anonymous user has no right to access this bucket."}),
        ("anonymous_reading", {"Message": "Anonymous user has no right to access this object."}),
        ("anonymous_service", {"Message": "Anonymous access is forbidden for this operation."}),
        (
            "nothing_allows_it",
            {"Message": "You have no right to access this object because of bucket acl."},
        ),
        (
            "nothing_allows_managing_the_bucket",
            {"Message": "The bucket you access does not belong to you."},
        ),
        ("nothing_allows_listing_buckets", {"Message": "You are forbidden to list buckets."}),
        (
            "bucket_that_would_have_to_move",
            {"Message": "Bucket already exists can't modify location."},
        ),
        ("a_statement_denies_it", {"Bucket": NAME}),
    ],
)
def test_the_fields_of_a_refusal(met: Any, name: str, fields: dict[str, str]) -> None:
    error, _ = met(name)
    assert {field: error.details.get(field) for field in fields} == fields


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("nothing_allows_it", ("SubUser", "ImplicitDeny", "oss:ListObjects")),
        ("a_statement_denies_it", ("SubUser", "ExplicitDeny", "oss:ListObjects")),
        ("a_copy_whose_source_may_not_be_read", ("SubUser", "ImplicitDeny", "oss:GetObject")),
        ("a_copy_whose_target_may_not_be_written", ("SubUser", "ImplicitDeny", "oss:PutObject")),
    ],
)
def test_the_detail_of_a_refused_permission(met: Any, name: str, detail: tuple[str, ...]) -> None:
    root = ElementTree.fromstring(met(name)[1].body)
    fields = ("AuthPrincipalType", "NoPermissionType", "AuthAction")
    assert tuple(root.findtext(f"AccessDeniedDetail/{field}") for field in fields) == detail


def test_a_role_is_named_as_such(stage: Stage) -> None:
    bucket = open_bucket(stage, sts_auth(credential_of_the_role(stage)))
    root = ElementTree.fromstring(refusal(bucket, lambda b: b.put_object("a", b"")).body)
    assert root.findtext("AccessDeniedDetail/AuthPrincipalType") == "AssumedRoleUser"
    assert root.findtext("AccessDeniedDetail/AuthAction") == "oss:PutObject"
    role = stage.account.roles[Names().role_name]
    name = root.findtext("AccessDeniedDetail/AuthPrincipalDisplayName")
    assert name == f"{role.role_id}:session"


@pytest.mark.parametrize("version", ["v1", "v4"])
def test_what_should_have_been_signed_is_shown_without_the_token(
    stage: Stage, version: str
) -> None:
    credential = credential_of_the_role(stage)
    auth = oss2.StsAuth(
        credential.access_key_id, "wrong", credential.security_token, auth_version=version
    )
    details = refusal(open_bucket(stage, auth), listing).details
    assert details["OSSAccessKeyId"] == credential.access_key_id
    assert bytes.fromhex(details["StringToSignBytes"]).decode() == details["StringToSign"]
    assert credential.security_token not in details["StringToSign"]


@pytest.mark.parametrize("auth", [oss2.Auth, oss2.AuthV4])
def test_a_signed_url_ends(stage: Stage, auth: Any) -> None:
    bucket = open_bucket(stage, auth(stage.root.access_key_id, stage.root.secret))
    url = bucket.sign_url("GET", "test.shh", 3600)
    stage.advance(minutes=59, seconds=59)
    assert requests.get(url).status_code == 200
    stage.advance(seconds=1)
    answer = requests.get(url)
    root = ElementTree.fromstring(answer.content)
    assert (answer.status_code, root.findtext("Code")) == (403, "AccessDenied")
    assert root.findtext("Message") == "Request has expired."
    assert root.findtext("Expires") == "2026-01-15T09:00:00.000Z"
    assert root.findtext("ServerTime") == "2026-01-15T09:00:00.000Z"


@pytest.mark.parametrize("seconds", [-900, 0, 900])
def test_a_quarter_of_an_hour_is_tolerated(stage: Stage, seconds: int) -> None:
    signed_at = (NOW + timedelta(seconds=seconds)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    answer = open_bucket(stage).list_objects(headers={"x-oss-date": signed_at})
    assert answer.status == 200


@pytest.mark.parametrize(
    ("code", "ec", "call"),
    [
        ("NoSuchKey", "0026-00000001", lambda bucket: bucket.head_object("nowhere")),
        ("NoSuchKey", "0026-00000001", lambda bucket: bucket.get_object_meta("nowhere")),
    ],
)
def test_an_answer_to_head_carries_its_refusal_in_headers(
    stage: Stage, wire: Wire, code: str, ec: str, call: Callable[[Any], Any]
) -> None:
    error = refusal(open_bucket(stage), call)
    answer = wire.answers[-1]
    assert (error.status, error.code, error.ec) == (404, code, ec)
    assert (answer.body, answer.headers["x-oss-ec"]) == (b"", ec)
    assert len(base64.b64decode(answer.headers["x-oss-err"])) == int(
        answer.headers["Content-Length"]
    )


def test_the_same_request_has_the_same_answer(stage: Stage, wire: Wire) -> None:
    bucket = open_bucket(stage)
    for _ in range(2):
        listing(bucket)
    assert wire.answers[0] == wire.answers[1]


@pytest.mark.parametrize(
    ("code", "status"),
    [("InternalError", 500), ("ServiceUnavailable", 503), ("TotalQpsLimitExceeded", 503)],
)
def test_a_fault_has_the_form_of_a_refusal(stage: Stage, code: str, status: int) -> None:
    def fail(request: Request, _: object) -> Response:
        return stage.sandbox.refuse(request, stage.now, code)

    with Interceptor(fail, Trace()):
        error = refusal(open_bucket(stage), lambda bucket: bucket.get_object("test.shh"))
    assert (error.status, error.code, error.details["HostId"]) == (status, code, HOST)
    assert error.headers["x-oss-request-id"] == error.request_id != ""


# Permissions

WRITES = {
    "PutObject": lambda bucket: bucket.put_object("a", b""),
    "DeleteObject": lambda bucket: bucket.delete_object("test.shh"),
    "DeleteMultipleObjects": lambda bucket: bucket.batch_delete_objects(["test.shh"]),
    "CopyObject": lambda bucket: bucket.copy_object(NAME, "test.shh", "a"),
    "DeleteBucket": lambda bucket: bucket.delete_bucket(),
    "PutBucket": lambda bucket: bucket.create_bucket(),
}
READS = {
    "ListObjects": listing,
    "ListObjectsV2": lambda bucket: bucket.list_objects_v2(),
    "GetObject": lambda bucket: bucket.get_object("test.shh"),
    "HeadObject": lambda bucket: bucket.head_object("test.shh"),
    "GetObjectMeta": lambda bucket: bucket.get_object_meta("test.shh"),
    "GetBucketInfo": lambda bucket: bucket.get_bucket_info(),
    "GetBucketLocation": lambda bucket: bucket.get_bucket_location(),
    "ListBuckets": lambda bucket: oss2.Service(
        bucket.auth, ENDPOINT, region="cn-hangzhou"
    ).list_buckets(),
}


def test_every_operation_is_among_the_reads_and_writes() -> None:
    assert {entry.name for entry in OPERATIONS.values()} == READS.keys() | WRITES.keys()


@pytest.mark.parametrize("operation", READS)
def test_the_documented_policy_allows_reading(stage: Stage, wire: Wire, operation: str) -> None:
    bucket = open_bucket(stage, sts_auth(credential_of_the_role(stage)))
    assert READS[operation](bucket).status == 200
    assert wire.answers[-1].decided == Decided(
        "policy", "Statement 1 of EcsRamRolePolicyTest allows it."
    )


@pytest.mark.parametrize("operation", WRITES)
def test_the_documented_policy_denies_writing(stage: Stage, operation: str) -> None:
    bucket = open_bucket(stage, sts_auth(credential_of_the_role(stage)))
    before = dict(stage.account.buckets[NAME].objects)
    assert refusal(bucket, WRITES[operation]).code == "AccessDenied"
    assert stage.account.buckets[NAME].objects == before


BUCKET_ARN = f"acs:oss:*:*:{NAME}"
OBJECTS_ARN = f"{BUCKET_ARN}/*"


@pytest.mark.parametrize(
    ("action", "resource", "allowed"),
    [
        ("oss:ListObjects", BUCKET_ARN, {"ListObjects", "ListObjectsV2"}),
        ("oss:ListObjects", OBJECTS_ARN, set()),
        ("oss:ListObjectsV2", BUCKET_ARN, set()),
        ("oss:GetObject", OBJECTS_ARN, {"GetObject", "HeadObject", "GetObjectMeta"}),
        ("oss:GetObject", BUCKET_ARN, set()),
        ("oss:GetBucketInfo", BUCKET_ARN, {"GetBucketInfo"}),
        ("oss:GetBucketLocation", BUCKET_ARN, {"GetBucketLocation"}),
        ("oss:ListBuckets", "acs:oss:*:*:*", {"ListBuckets"}),
        ("oss:ListBuckets", BUCKET_ARN, set()),
        ("oss:DeleteObject", OBJECTS_ARN, {"DeleteObject", "DeleteMultipleObjects"}),
        ("oss:PutObject", OBJECTS_ARN, {"PutObject"}),
        (["oss:PutObject", "oss:GetObject"], OBJECTS_ARN, {"CopyObject"}),
    ],
)
def test_the_action_and_the_resource_of_an_operation(
    stage: Stage, action: Any, resource: str, allowed: set[str]
) -> None:
    bucket = open_bucket(stage, user_auth(stage, allow(action, resource)))
    asked = READS | WRITES
    if isinstance(action, list):
        asked = {"CopyObject": WRITES["CopyObject"]}
    done = set()
    for name, call in asked.items():
        try:
            call(bucket)
            done.add(name)
        except oss2.exceptions.AccessDenied:
            pass
    assert done == allowed


PREFIX = {"oss:Prefix": "hangzhou/2014/*"}
ROOT = {"oss:Delimiter": "/", "oss:Prefix": ["", "hangzhou/"]}


@pytest.mark.parametrize(
    ("condition", "asked", "allowed"),
    [
        ({"StringLike": PREFIX}, {"prefix": "hangzhou/2014/"}, True),
        ({"StringLike": PREFIX}, {"prefix": "hangzhou/"}, False),
        ({"StringLike": PREFIX}, {"prefix": ""}, False),
        ({"StringLike": ROOT}, {"prefix": "", "delimiter": "/"}, True),
        ({"StringLike": ROOT}, {"prefix": "", "delimiter": ""}, False),
        ({"IpAddress": {"acs:SourceIp": "192.168.0.0/16"}}, {"source_ip": "192.168.1.1"}, True),
        ({"IpAddress": {"acs:SourceIp": "192.168.0.0/16"}}, {"source_ip": "10.0.0.1"}, False),
        ({"Bool": {"acs:SecureTransport": "true"}}, {"scheme": "https"}, True),
        ({"Bool": {"acs:SecureTransport": "true"}}, {"scheme": "http"}, False),
        ({"StringLike": {"acs:UserAgent": "aliyun-sdk-python/*"}}, {}, True),
        ({"StringLike": {"acs:UserAgent": "curl/*"}}, {}, False),
        ({"DateLessThan": {"acs:CurrentTime": "2026-01-15T08:00:01Z"}}, {}, True),
        ({"DateLessThan": {"acs:CurrentTime": "2026-01-15T08:00:00Z"}}, {}, False),
    ],
)
def test_the_conditions_of_a_listing(
    stage: Stage, wire: Wire, condition: Any, asked: dict[str, str], allowed: bool
) -> None:
    auth = user_auth(stage, allow("oss:ListObjects", BUCKET_ARN, **condition))
    asked = dict(asked)
    wire.source_ip, scheme = asked.pop("source_ip", "127.0.0.1"), asked.pop("scheme", "https")
    bucket = open_bucket(stage, auth, f"{scheme}://oss-cn-hangzhou.aliyuncs.com")
    for call in (bucket.list_objects, bucket.list_objects_v2):
        try:
            assert call(**asked).status == 200
            assert allowed
        except oss2.exceptions.AccessDenied:
            assert not allowed


def test_a_changed_policy_decides_at_once(stage: Stage) -> None:
    bucket = open_bucket(stage, sts_auth(credential_of_the_role(stage)))
    assert listing(bucket).status == 200
    stage.account.roles[Names().role_name].attached.clear()
    assert refusal(bucket, listing).code == "AccessDenied"


# What has no model


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda stage: open_bucket(stage).get_bucket_acl(), "GET on the bucket acl"),
        (lambda stage: open_bucket(stage).init_multipart_upload("a"), "POST on the object uploads"),
        (lambda stage: open_bucket(stage).append_object("a", 0, b""), "POST on the object append"),
        (lambda stage: send(stage, "HEAD"), "HEAD on the bucket"),
        (lambda stage: send(stage, "GET", params={"foo": "s3cret"}), "the parameter foo"),
        (
            lambda stage: send(stage, "GET", "test.shh", params={"versionId": "s3cret"}),
            "GET on the object versionId",
        ),
        (
            lambda stage: open_bucket(stage).put_object(
                "a", b"", headers={"x-oss-server-side-encryption": "s3cret"}
            ),
            "the header x-oss-server-side-encryption",
        ),
        (
            lambda stage: open_bucket(stage).get_object("test.shh", headers={"If-Match": "s3cret"}),
            "the header if-match",
        ),
        (lambda stage: open_bucket(stage).create_bucket("public-read"), "x-oss-acl: public-read"),
        (
            lambda stage: open_bucket(stage).create_bucket(
                input=oss2.models.BucketCreateConfig("IA")
            ),
            "StorageClass IA",
        ),
    ],
)
def test_what_is_not_modelled_is_named(stage: Stage, call: Cause, named: str) -> None:
    with pytest.raises(NotModelled, match=named) as caught:
        call(stage)
    assert "s3cret" not in str(caught.value)


def test_a_bucket_of_the_default_class_is_modelled(stage: Stage) -> None:
    config = oss2.models.BucketCreateConfig("Standard", "LRS")
    assert open_bucket(stage, name="another-bucket").create_bucket(input=config).status == 200


# Anything at all


@settings(max_examples=150)
@given(
    method=st.sampled_from(["GET", "PUT", "HEAD", "POST", "DELETE", "OPTIONS"]),
    bucket=st.sampled_from([f"{NAME}.", "nowhere.", "", "-.", f"{FOREIGN_BUCKET}."]),
    path=st.text(max_size=12),
    query=st.dictionaries(
        st.sampled_from(["prefix", "max-keys", "list-type", "delete", "acl", "marker", "Expires"]),
        st.text(max_size=6),
        max_size=3,
    ),
    header=st.dictionaries(
        st.sampled_from(["Authorization", "Date", "Range", "x-oss-copy-source", "Content-MD5"]),
        st.sampled_from(["", "x", "OSS a:b", "OSS4-HMAC-SHA256 Credential=a", "bytes=1-2", "/a/b"]),
        max_size=3,
    ),
    body=st.binary(max_size=20),
    signed=st.booleans(),
)
def test_any_request_has_a_well_formed_answer(
    method: str, bucket: str, path: str, query: Any, header: Any, body: bytes, signed: bool
) -> None:
    with staged(step=4) as stage:
        url = f"https://{bucket}oss-cn-hangzhou.aliyuncs.com/{oss2.compat.urlquote(path, '')}"
        request = oss2.http.Request(method, url, data=body, params=query, headers=header)
        if signed:
            root_auth(stage)._sign_request(request, bucket.rstrip("."), path)
        query_text = "&".join(f"{n}={oss2.compat.urlquote(v, '')}" for n, v in query.items())
        try:
            answer = stage.answer(
                Request(method, f"{url}?{query_text}", dict(request.headers), body)
            )
        except NotModelled:
            return
        assert answer.decided
        if answer.body and answer.headers.get("Content-Type") == "application/xml":
            ElementTree.fromstring(answer.body)
