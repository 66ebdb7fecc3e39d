"""The exchanges of this session, in the order of their answers.

A trace keeps what was sent and received, and hands out masked copies only: nothing that is shown,
checked or saved from it holds a secret. ``describe`` names an exchange as the API reference does,
from the request alone, so that it holds against a real account as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import overload

from .masking import MASK, mask_body, mask_headers, mask_text, mask_url
from .message import Exchange, Request, Response

METADATA_HOST = "100.100.100.200"
# What these answer is a secret from the first to the last byte.
_SECRET_BODIES = ("/latest/api/token", "/latest/user-data")
_RPC_HOST = re.compile(r"([a-z]+)[\w.-]*\.aliyuncs\.com")
_OSS_HOST = re.compile(r"(?:(?P<bucket>[\w-]+)\.)?oss(?:-[\w-]+)?\.aliyuncs\.com")

# By method and the names in the query, the telling ones first. Any other query on a bucket is a
# sub-resource that has no name here; on an object it changes nothing.
# https://www.alibabacloud.com/help/en/oss/developer-reference/list-of-operations-by-function
_BUCKET_OPERATIONS = {
    "GET list-type": "ListObjectsV2",
    "GET location": "GetBucketLocation",
    "GET bucketInfo": "GetBucketInfo",
    "GET acl": "GetBucketAcl",
    "GET prefix": "ListObjects",
    "GET max-keys": "ListObjects",
    "GET": "ListObjects",
    "PUT acl": "PutBucketAcl",
    "PUT": "PutBucket",
    "DELETE": "DeleteBucket",
    "POST delete": "DeleteMultipleObjects",
}
_OBJECT_OPERATIONS = {
    "GET acl": "GetObjectACL",
    "GET": "GetObject",
    "HEAD objectMeta": "GetObjectMeta",
    "HEAD": "HeadObject",
    "PUT acl": "PutObjectACL",
    "PUT": "PutObject",
    "DELETE": "DeleteObject",
    "POST append": "AppendObject",
}


def describe(request: Request) -> tuple[str, str]:
    """The service and the operation that ``request`` addresses, such as ``("ram", "GetRole")``.

    Services are named as their hosts begin (``ecs``, ``oss``, ``ram``, ``sts``, ``vpc``), and
    ``metadata``. Where there is no operation of that name, it is the method and the path.
    """
    if request.host == METADATA_HOST:
        return "metadata", f"{request.method} {request.path}"
    if oss := _OSS_HOST.fullmatch(request.host):
        return "oss", _oss_operation(request, oss["bucket"] or "")
    rpc = _RPC_HOST.fullmatch(request.host)
    operation = request.parameters.get("Action") or request.headers.get("x-acs-action")
    return (rpc[1] if rpc else request.host), operation or f"{request.method} {request.path}"


def _oss_operation(request: Request, bucket: str) -> str:
    key = request.path[1:]
    if not bucket:
        bucket, _, key = key.partition("/")
    if not bucket:
        return "ListBuckets"
    if "x-oss-copy-source" in request.headers:
        return "CopyObject"
    names = {f"{request.method} {name}" for name, _ in request.query}
    if key or not names:
        names.add(request.method)
    operations = _OBJECT_OPERATIONS if key else _BUCKET_OPERATIONS
    known = (operation for name, operation in operations.items() if name in names)
    return next(known, f"{request.method} {request.path}")


class Trace(Sequence[Exchange]):
    """The exchanges so far, masked. ``mark()`` sets the place from which ``since()`` counts."""

    def __init__(self, exchanges: Iterable[Exchange] = ()) -> None:
        self._exchanges = list(exchanges)
        self._mark = 0

    def append(self, exchange: Exchange) -> None:
        self._exchanges.append(exchange)

    def mark(self) -> None:
        self._mark = len(self._exchanges)

    def since(self) -> Trace:
        """The exchanges since ``mark()`` was last called, or all."""
        return self[self._mark :]

    def __len__(self) -> int:
        return len(self._exchanges)

    @overload
    def __getitem__(self, index: int) -> Exchange: ...
    @overload
    def __getitem__(self, index: slice) -> Trace: ...
    def __getitem__(self, index: int | slice) -> Exchange | Trace:
        if isinstance(index, slice):
            return Trace(self._exchanges[index])
        return _mask(self._exchanges[index])

    def __repr__(self) -> str:
        return "\n".join(map(_line, self)) or "no exchanges"


def _line(exchange: Exchange) -> str:
    outcome = exchange.response.status if exchange.response else exchange.error
    return f"{' '.join(describe(exchange.request))}: {outcome}"


def _mask(exchange: Exchange) -> Exchange:
    request, response = exchange.request, exchange.response
    if response:
        secret = request.host == METADATA_HOST and request.path in _SECRET_BODIES
        response = _mask_response(response, secret)
    request = replace(
        request,
        url=mask_url(request.url),
        headers=mask_headers(request.headers),
        body=mask_body(request.body).encode(),
    )
    return Exchange(request, response, mask_text(exchange.error))


def _mask_response(response: Response, secret: bool) -> Response:
    body = MASK if secret and response.status == 200 else mask_body(response.body)
    decided = response.decided
    if decided:
        decided = decided._replace(reason=mask_text(decided.reason))
    headers = mask_headers(response.headers)
    return replace(response, headers=headers, body=body.encode(), decided=decided)
