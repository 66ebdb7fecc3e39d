"""Read what went over the wire: the parts of a signed request, the fields of an error.

Two tables, by names that the services use: what each part of a request is for, and where the
clients' exceptions keep the status, the code, the message and the request id. Both are found by
name, so neither this file nor a notebook has to know which client was used.

Nothing is masked here: that is for whoever shows it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from xml.etree import ElementTree

from .message import Request, Response


class Part(NamedTuple):
    """A parameter or header. ``value`` is a note in brackets where it is new in each request."""

    name: str
    value: str
    purpose: str


_TIME = ("(time of the request)", "more than 15 minutes off is refused")
_TOKEN = ("", "shows that the key is temporary and which role it stands for")
# In reading order; the empty name stands for what the operation itself takes.
# https://www.alibabacloud.com/help/en/sdk/product-overview/rpc-mechanism
# https://www.alibabacloud.com/help/en/oss/developer-reference/recommend-to-use-signature-version-4
_PARTS = {
    "action": ("", "the operation"),
    "version": ("", "the version of the API"),
    "regionid": ("", "the region"),
    "format": ("", "the form of the answer"),
    "": ("", "what the operation takes"),
    "x-aliyun-ecs-metadata-token-ttl-seconds": ("", "how long the token is to live, in seconds"),
    "x-aliyun-ecs-metadata-token": ("", "the token of the hardened mode"),
    "x-oss-content-sha256": ("", "whether the body is signed too"),
    "date": _TIME,
    "x-oss-date": _TIME,
    "x-acs-date": _TIME,
    "timestamp": _TIME,
    "signaturenonce": ("(random)", "taken only once, so that nobody can send the request again"),
    "x-acs-signature-nonce": ("(random)", "taken only once, as above"),
    "securitytoken": _TOKEN,
    "x-oss-security-token": _TOKEN,
    "x-acs-security-token": _TOKEN,
    "signaturetype": ("", "the kind of key; empty for an AccessKey"),
    "signatureversion": ("", "how the signature is computed"),
    "signaturemethod": ("", "how the signature is computed"),
    "scheme": ("", "how the signature is computed"),
    "accesskeyid": ("", "whose secret signed; STS. begins a temporary key"),
    "credential": ("", "whose secret signed, and for which day, region and service"),
    "additionalheaders": ("", "further headers that are signed"),
    "signedheaders": ("", "the headers that are signed"),
    "signature": ("(new each time)", "computed from the rest with the AccessKeySecret, never sent"),
}
_ORDER = {name: place for place, name in enumerate(_PARTS)}


def parts(request: Request) -> list[Part]:
    """The parameters and headers that carry a request's meaning and its signature, in order."""
    named = {name: request.headers[name] for name in request.headers if name in _PARTS}
    named |= request.parameters
    named |= _authorization(request.headers.get("authorization", ""))
    known = {name: name.lower() if name.lower() in _PARTS else "" for name in named}
    return [
        Part(name, _PARTS[known[name]][0] or value, _PARTS[known[name]][1])
        for name, value in sorted(named.items(), key=lambda pair: (_ORDER[known[pair[0]]], pair[0]))
    ]


def _authorization(header: str) -> dict[str, str]:
    """The header of OSS V1 (``OSS <key>:<signature>``) or of V4 and ACS3 (``name=value`` pairs)."""
    scheme, _, rest = header.partition(" ")
    if not header:
        return {}
    if not rest.startswith("Credential="):
        access_key_id, _, signature = rest.partition(":")
        return {"Scheme": scheme, "AccessKeyId": access_key_id, "Signature": signature}
    pairs = dict(pair.strip().partition("=")[::2] for pair in rest.split(","))  # also if masked
    key, slash, scope = pairs["Credential"].partition("/")
    pairs["Credential"] = "/".join([key, "(day)", *scope.split("/")[1:]]) if slash else key
    return {"Scheme": scheme, **pairs}


def error_fields(response: Response | None) -> Mapping[str, str]:
    """The fields of an error's body, JSON or XML; none of a success or of another form."""
    if response is None or response.status < 400:
        return {}
    text = response.body.decode("utf-8", "replace")
    for read in (_json_fields, _xml_fields):
        if fields := dict(read(text)):
            return fields
    return {}


def _json_fields(text: str) -> Iterator[tuple[str, str]]:
    try:
        fields = json.loads(text)
    except ValueError:
        return
    if isinstance(fields, dict):
        yield from ((name, str(value)) for name, value in fields.items())


def _xml_fields(text: str) -> Iterator[tuple[str, str]]:
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return
    if root.tag == "Error":
        yield from ((field.tag, field.text or "") for field in root)


def error_facts(error: Any) -> dict[str, Any]:
    """What a client's exception says; None where it says nothing.

    Knows the names that aliyunsdkcore, oss2, alibabacloud_oss_v2, requests and urllib use.
    """
    error = error.unwrap() if hasattr(error, "unwrap") else error
    response = getattr(error, "response", None)
    status = _first(error, int, "http_status", "status_code", "status", "code")
    status = status or _first(response, int, "status_code")
    return {
        "HTTP status": status if status and status > 0 else None,
        "Code": _first(error, str, "error_code", "code"),
        "Message": _first(error, str, "message", "body") or str(error),
        "RequestId": _first(error, str, "request_id"),
    }


def _first(error: Any, kind: type, *names: str) -> Any:
    found = (getattr(error, name, None) for name in names)
    return next((value for value in found if value and isinstance(value, kind)), None)
