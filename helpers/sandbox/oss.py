"""OSS: buckets, and the objects in them.

State is the account's ``buckets``. Each function does one operation: it checks what the service
checks, changes the state and says what the answer holds. Who may call and what the answer looks
like is the gateway's business. All buckets are private, of one storage class and not versioned.
https://github.com/AlibabaCloudDocs/oss/tree/f684091/intl.en-US/API%20Reference
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib import import_module
from typing import Any
from urllib.parse import quote, unquote
from xml.etree import ElementTree

from ..message import Decided, NotModelled, ServiceError
from .account import Account, Bucket, StoredObject
from .oss_gateway import (
    HOSTS,
    MAX_NAME,
    Answer,
    Call,
    date_text,
    handle,
    operation,
    refuse,
    time_text,
)
from .oss_listing import Page, page, read_token, token_after

__all__ = ["HOSTS", "handle", "refuse"]

MAX_KEYS = 1000
MAX_DELETED = 1000
MAX_DELETE_BODY = 2 * 1024 * 1024  # bytes
STORED_HEADERS = {
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
}
LISTING = "prefix delimiter max-keys encoding-type"
LIST_OBJECTS = "oss:ListObjects"


def _lists(call: Call) -> Sequence[tuple[str, str]]:
    # There is no oss:ListObjectsV2: https://www.alibabacloud.com/help/doc-detail/100680.htm
    return [(LIST_OBJECTS, call.resource)]


def _reads(call: Call) -> Sequence[tuple[str, str]]:
    return [("oss:GetObject", call.resource)]


def _copies(call: Call) -> Sequence[tuple[str, str]]:
    return [("oss:GetObject", call.arn(*_copy_source(call))), ("oss:PutObject", call.resource)]


def _deletes(call: Call) -> Sequence[tuple[str, str]]:
    return [("oss:DeleteObject", call.arn(call.bucket_name, key)) for key in _deletion(call)[1]]


# Service and buckets


@operation("ListBuckets", "GET", "service", parameters="prefix marker max-keys")
def list_buckets(call: Call) -> Answer:
    size = _size(call, "0017-00000289")
    found = page(call.account.buckets, call["prefix"], "", call["marker"], size)
    buckets = [_bucket_values(call.account.buckets[name]) for name in found.keys]
    # These stand in the answer only if there is more to come.
    partial = {
        "Prefix": call["prefix"],
        "Marker": call["marker"],
        "MaxKeys": size,
        "IsTruncated": "true",
        "NextMarker": found.last,
    }
    shown = partial if found.last else dict.fromkeys(partial)
    return Answer({**shown, "Owner": _owner(call.account), "Bucket": buckets})


@operation("PutBucket", "PUT", "bucket", headers="x-oss-acl", needs_bucket=False)
def put_bucket(call: Call) -> Answer:
    _check_bucket_configuration(call)
    _check_bucket_is_free(call)
    if call.bucket_name not in call.account.buckets:
        bucket = Bucket(call.bucket_name, call.region_id, call.now)
        call.account.buckets[bucket.name] = bucket
    return Answer()


@operation("DeleteBucket", "DELETE", "bucket")
def delete_bucket(call: Call) -> Answer:
    if call.bucket.objects:
        decided = Decided("state", f"{call.bucket_name} holds {len(call.bucket.objects)} objects")
        raise ServiceError("BucketNotEmpty", decided, BucketName=call.bucket_name)
    del call.account.buckets[call.bucket_name]
    return Answer()


@operation("GetBucketInfo", "GET", "bucket", "bucketInfo")
def get_bucket_info(call: Call) -> Answer:
    return Answer({**_bucket_values(call.bucket), "Owner": _owner(call.account)})


@operation("GetBucketLocation", "GET", "bucket", "location")
def get_bucket_location(call: Call) -> Answer:
    return Answer({"LocationConstraint": f"oss-{call.bucket.region_id}"})


# Listing


@operation("ListObjects", "GET", "bucket", parameters=f"{LISTING} marker", permissions=_lists)
def list_objects(call: Call) -> Answer:
    found, encode, size = _page(call, call["marker"])
    return Answer(
        {
            **_listing_values(call, found, encode, size),
            "Marker": encode(call["marker"]),
            "Delimiter": encode(call["delimiter"]),
            "NextMarker": encode(found.last) if found.last else None,
        }
    )


@operation(
    "ListObjectsV2",
    "GET",
    "bucket",
    "list-type",
    parameters=f"{LISTING} start-after continuation-token fetch-owner",
    permissions=_lists,
)
def list_objects_v2(call: Call) -> Answer:
    if call["list-type"] != "2":
        raise NotModelled(f"list-type={call['list-type']} is not modelled here; list-type=2 is")
    found, encode, size = _page(call, max(call["start-after"], _continued_from(call)))
    sent = call.parameters
    return Answer(
        {
            **_listing_values(call, found, encode, size, call["fetch-owner"] == "true"),
            # The documented answers have these where the request has them.
            "StartAfter": encode(sent["start-after"]) if "start-after" in sent else None,
            "Delimiter": encode(sent["delimiter"]) if "delimiter" in sent else None,
            "ContinuationToken": call["continuation-token"] or None,
            "NextContinuationToken": token_after(found.last) if found.last else None,
            "KeyCount": len(found.keys) + len(found.prefixes),
        }
    )


# Objects


@operation("GetObject", "GET", "object")
def get_object(call: Call) -> Answer:
    stored = _object(call, call.bucket, call.key)
    part = _range(call.header("range"), len(stored.body))
    headers = _object_headers(stored)
    if part is None:
        return Answer(headers=headers, body=stored.body)
    body = stored.body[part.start : part.stop]
    shown = f"bytes {part.start}-{part.stop - 1}/{len(stored.body)}"
    headers |= {"Content-Range": shown, "Content-Length": str(len(body))}
    return Answer(headers=headers, body=body, code="PartialContent")


@operation("HeadObject", "HEAD", "object", permissions=_reads)
def head_object(call: Call) -> Answer:
    return Answer(headers=_object_headers(_object(call, call.bucket, call.key)))


@operation("GetObjectMeta", "HEAD", "object", "objectMeta", permissions=_reads)
def get_object_meta(call: Call) -> Answer:
    headers = _object_headers(_object(call, call.bucket, call.key))
    return Answer(headers={n: headers[n] for n in ("Content-Length", "ETag", "Last-Modified")})


@operation("PutObject", "PUT", "object")
def put_object(call: Call) -> Answer:
    if call.header("content-md5"):
        _check_digest(call)
    stored = StoredObject(call.key, call.request.body, call.now, **_metadata(call))
    call.bucket.objects[call.key] = stored
    return Answer(headers=_digests(stored.body))


@operation(
    "CopyObject",
    "PUT",
    "object",
    "x-oss-copy-source",
    headers="x-oss-metadata-directive",
    permissions=_copies,
)
def copy_object(call: Call) -> Answer:
    source = _copy_source(call)
    stored = _object(call, call.locate(source[0]), source[1])
    # A copy onto itself can only change the metadata, whatever the directive says.
    onto_itself = source == (call.bucket_name, call.key)
    if call.header("x-oss-metadata-directive").upper() == "REPLACE" or onto_itself:
        stored = replace(stored, **_metadata(call))
    stored = replace(stored, key=call.key, modified=call.now)
    call.bucket.objects[call.key] = stored
    headers = _digests(stored.body)
    del headers["Content-MD5"]
    values = {"ETag": headers["ETag"], "LastModified": time_text(stored.modified)}
    return Answer(values, headers)


@operation("DeleteObject", "DELETE", "object")
def delete_object(call: Call) -> Answer:
    call.bucket.objects.pop(call.key, None)
    return Answer()


@operation(
    "DeleteMultipleObjects",
    "POST",
    "bucket",
    "delete",
    parameters="encoding-type",
    permissions=_deletes,
)
def delete_multiple_objects(call: Call) -> Answer:
    if not call.header("content-md5"):
        raise ServiceError("MissingArgument", Decided("parameter", "no Content-MD5"))
    _check_digest(call)
    quiet, keys = _deletion(call)
    encode = _encoder(call)
    for key in keys:
        call.bucket.objects.pop(key, None)
    if quiet:
        return Answer(body=b"")
    deleted = [{"Key": encode(key)} for key in keys]
    return Answer({"EncodingType": call["encoding-type"] or None, "Deleted": deleted})


# What the operations share


def _owner(account: Account) -> dict[str, str]:
    return {"ID": account.account_id, "DisplayName": account.account_id}


def _bucket_values(bucket: Bucket) -> dict[str, Any]:
    location = f"oss-{bucket.region_id}"
    return {
        "CreationDate": time_text(bucket.created),
        "ExtranetEndpoint": f"{location}.aliyuncs.com",
        "IntranetEndpoint": f"{location}-internal.aliyuncs.com",
        "Location": location,
        "Name": bucket.name,
        "Region": bucket.region_id,
    }


def _check_bucket_configuration(call: Call) -> None:
    """Refuse what would make another bucket than the ones there are here."""
    if call.header("x-oss-acl") not in ("", "private"):
        acl = call.header("x-oss-acl")
        raise NotModelled(f"x-oss-acl: {acl} is not modelled here; every bucket is private")
    for child in _xml(call.request.body) if call.request.body else ():
        if (child.tag.rpartition("}")[2], child.text) not in (
            ("StorageClass", "Standard"),
            ("DataRedundancyType", "LRS"),
        ):
            raise NotModelled(
                f"a bucket with {child.tag} {child.text} is not modelled here; "
                "StorageClass Standard with DataRedundancyType LRS is"
            )


def _check_bucket_is_free(call: Call) -> None:
    """Only the account itself may create its bucket again; that changes nothing.

    https://help.aliyun.com/zh/oss/support/0015-00000104
    """
    name, bucket = call.bucket_name, call.account.buckets.get(call.bucket_name)
    taken: dict[str, str | None] = {}
    if name in call.account.foreign_buckets:
        taken = {"EC": "0015-00000102"}
    elif bucket and bucket.region_id != call.region_id:
        taken = {"Message": "Bucket already exists can't modify location.", "EC": None}
    elif bucket and call.principal and call.principal.kind != "Account":
        taken = {"EC": "0015-00000104"}
    if taken:
        decided = Decided("state", f"the bucket {name} exists")
        raise ServiceError("BucketAlreadyExists", decided, BucketName=name, **taken)


def _size(call: Call, ec: str) -> int:
    text = call.parameters.get("max-keys") or "100"
    if not re.fullmatch(r"\d{1,4}", text, re.ASCII) or int(text) > MAX_KEYS:
        raise _invalid("max-keys", text, ec)
    return int(text)


def _encoder(call: Call) -> Callable[[str], str]:
    kind = call["encoding-type"]
    if kind not in ("", "url"):
        raise _invalid("encoding-type", kind)
    return (lambda text: quote(text, safe="")) if kind else str


def _page(call: Call, after: str) -> tuple[Page, Callable[[str], str], int]:
    for name in ("prefix", "delimiter", "marker", "start-after"):
        if len(call[name].encode()) > MAX_NAME:
            raise _invalid(name, call[name])
    encode, size = _encoder(call), _size(call, "0015-00000402")
    found = page(call.bucket.objects, call["prefix"], call["delimiter"], after, size)
    return found, encode, size


def _continued_from(call: Call) -> str:
    token = call["continuation-token"]
    try:
        return read_token(token) if token else ""
    except ValueError:
        raise _invalid("continuation-token", token) from None


def _listing_values(
    call: Call, found: Page, encode: Callable[[str], str], size: int, with_owner: bool = True
) -> dict[str, Any]:
    owner = _owner(call.account) if with_owner else None
    objects = call.bucket.objects
    return {
        "Name": call.bucket_name,
        "Prefix": encode(call["prefix"]),
        "MaxKeys": size,
        "EncodingType": call["encoding-type"] or None,
        "IsTruncated": str(bool(found.last)).lower(),
        "Contents": [
            {
                "Key": encode(key),
                "LastModified": time_text(objects[key].modified),
                "ETag": _etag(objects[key].body),
                "Size": len(objects[key].body),
                "Owner": owner,
            }
            for key in found.keys
        ],
        "CommonPrefixes": [{"Prefix": encode(prefix)} for prefix in found.prefixes],
    }


def _object(call: Call, bucket: Bucket, key: str) -> StoredObject:
    if key not in bucket.objects:
        decided = Decided("state", f"there is no object {key} in {bucket.name}")
        raise ServiceError("NoSuchKey", decided, Key=key)
    return bucket.objects[key]


def _object_headers(stored: StoredObject) -> dict[str, str]:
    return {
        "Content-Type": stored.content_type,
        "Content-Length": str(len(stored.body)),
        **_digests(stored.body),
        "Last-Modified": date_text(stored.modified),
        **stored.metadata,
    }


def _digests(body: bytes) -> dict[str, str]:
    md5 = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    checksum = str(_crc64()(body))
    return {"ETag": _etag(body), "x-oss-hash-crc64ecma": checksum, "Content-MD5": md5}


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest().upper()}"'


@cache
def _crc64() -> Callable[[bytes], int]:
    """CRC-64 of ECMA-182, as OSS computes it; the library comes with oss2."""
    crcmod: Any = import_module("crcmod")
    made: Callable[[bytes], int] = crcmod.mkCrcFun(0x142F0E1EBA9EA3693, 0, xorOut=2**64 - 1)
    return made


def _metadata(call: Call) -> dict[str, Any]:
    """What a request says about an object besides its bytes."""
    sent: Iterable[tuple[str, str]] = call.request.headers.items()
    kept = {n: v for n, v in sent if n in STORED_HEADERS or n.startswith("x-oss-meta-")}
    content_type = call.header("content-type") or "application/octet-stream"
    return {"content_type": content_type, "metadata": kept}


def _range(header: str, length: int) -> range | None:
    """The bytes that a Range header names, or None for the whole object.

    A range that is not wholly inside the object is invalid, and an invalid one is ignored.
    https://www.alibabacloud.com/help/en/oss/developer-reference/getobject
    """
    found = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", header, re.ASCII)
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    start = int(first) if first else length - int(last)
    stop = int(last) + 1 if first and last else length
    return range(start, stop) if 0 <= start < stop <= length else None


def _check_digest(call: Call) -> None:
    """https://help.aliyun.com/zh/oss/user-guide/0017-00000503"""
    sent = call.header("content-md5")
    try:
        digest = base64.b64decode(sent, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if digest == hashlib.md5(call.request.body, usedforsecurity=False).digest():
        return
    ec = "0017-00000503" if len(digest) == 16 else "0017-00000502"
    decided = Decided("parameter", "Content-MD5 is not that of the body")
    raise ServiceError("InvalidDigest", decided, EC=ec)


def _copy_source(call: Call) -> tuple[str, str]:
    """The bucket and the key that x-oss-copy-source names."""
    header = call.header("x-oss-copy-source")
    path, _, version = header.partition("?")
    if version:
        raise NotModelled("x-oss-copy-source with a versionId is not modelled here")
    bucket_name, _, key = unquote(path).removeprefix("/").partition("/")
    if not (path.startswith("/") and bucket_name and key):
        message = "Copy Source must mention the source bucket and key: /sourcebucket/sourcekey."
        raise _invalid("x-oss-copy-source", header, message=message)
    return bucket_name, key


def _deletion(call: Call) -> tuple[bool, list[str]]:
    """Whether to be quiet, and the keys to delete: 1 to 1000 of them in at most 2 MB."""
    body = call.request.body
    root = _xml(body) if len(body) <= MAX_DELETE_BODY else ElementTree.Element("")
    if root.find("{*}Object/{*}VersionId") is not None:
        raise NotModelled("DeleteMultipleObjects with a VersionId is not modelled here")
    keys = [key.text or "" for key in root.iterfind("{*}Object/{*}Key")]
    if not 0 < len(keys) <= MAX_DELETED or not all(keys):
        raise _malformed(f"{len(keys)} keys in {len(body)} bytes")
    return root.findtext("{*}Quiet", "").strip() == "true", keys


def _xml(body: bytes) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(body)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise _malformed(f"the body is no XML: {error}") from None


def _malformed(reason: str) -> ServiceError:
    return ServiceError("MalformedXML", Decided("parameter", reason))


def _invalid(name: str, value: str, ec: str | None = None, message: str = "") -> ServiceError:
    given: Mapping[str, str] = {"Message": message} if message else {}
    return ServiceError(
        "InvalidArgument.Parameter",
        Decided("parameter", f"{name} is {value!r}"),
        ArgumentName=name,
        ArgumentValue=value,
        EC=ec,
        **given,
    )
