"""Sign a mutated request again, with the key of one who may, so that it passes the gateway."""

from __future__ import annotations

import hmac
from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import Any

from helpers.message import NotModelled, Request
from helpers.sandbox.oss_gateway import HOSTS, date_text
from helpers.sandbox.signatures import (
    acs3_string_to_sign,
    oss_v1_signature,
    oss_v1_string_to_sign,
    oss_v4_signature,
    oss_v4_string_to_sign,
    rpc_signature,
    rpc_string_to_sign,
)
from tests.fuzz.mutations import with_header, with_query
from tests.fuzz.seeds import NAMES

NONCES = map(str, count())


def signed(request: Request, key: Any, scheme: str, now: datetime) -> Request:
    sign = {"acs3": _acs3, "v1": _v1, "v4": _v4}.get(scheme, _rpc)
    try:
        return sign(request, key, now)
    except NotModelled:  # a signature of no known kind
        return request


def _token(key: Any, name: str) -> dict[str, str]:
    token = getattr(key, "security_token", "")
    return {name: token} if token else {}


def _rpc(request: Request, key: Any, now: datetime) -> Request:
    gone = ("Signature", "SecurityToken")
    parameters = {n: v for n, v in request.parameters.items() if n not in gone}
    parameters |= {"AccessKeyId": key.access_key_id, "SignatureNonce": next(NONCES)}
    parameters |= {"Timestamp": f"{now:%Y-%m-%dT%H:%M:%SZ}", **_token(key, "SecurityToken")}
    text = rpc_string_to_sign(request.method, parameters)
    method = parameters.get("SignatureMethod", "HMAC-SHA1")
    parameters["Signature"] = rpc_signature(text, key.secret, method)
    return with_query(replace(request, body=b""), list(parameters.items()))


def _acs3(request: Request, key: Any, now: datetime) -> Request:
    sent = {n: v for n, v in request.parameters.items() if not n.startswith(("Sig", "Acc", "Sec"))}
    headers = {
        "host": request.host,
        "x-acs-action": sent.pop("Action", ""),
        "x-acs-version": sent.pop("Version", ""),
        "x-acs-date": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "x-acs-signature-nonce": next(NONCES),
        **_token(key, "x-acs-security-token"),
    }
    request = replace(with_query(request, list(sent.items())), headers=headers, body=b"")
    names = ";".join(headers)
    text = acs3_string_to_sign(request, names)
    signature = hmac.digest(key.secret.encode(), text.encode("utf-8", "replace"), "sha256").hex()
    claims = f"Credential={key.access_key_id},SignedHeaders={names},Signature={signature}"
    return with_header(request, "authorization", f"ACS3-HMAC-SHA256 {claims}")


def _addressed(request: Request) -> tuple[str, str]:
    host = HOSTS.fullmatch(request.host)
    return (host["bucket"] if host else "") or "", request.path.removeprefix("/")


def _oss_headers(request: Request, **more: str) -> Request:
    gone = ("authorization", "x-oss-security-token", "x-oss-date", "date")
    kept = {n: v for n, v in request.headers.items() if n not in gone}
    return replace(request, headers={**kept, **more})


def _v1(request: Request, key: Any, now: datetime) -> Request:
    date = date_text(now)
    request = _oss_headers(request, date=date, **_token(key, "x-oss-security-token"))
    text = oss_v1_string_to_sign(request, *_addressed(request), date)
    signature = oss_v1_signature(text, key.secret)
    return with_header(request, "authorization", f"OSS {key.access_key_id}:{signature}")


def _v4(request: Request, key: Any, now: datetime) -> Request:
    host = HOSTS.fullmatch(request.host)
    region = (host and host["region"]) or NAMES.region_id
    scope = f"{now:%Y%m%d}/{region}/oss/aliyun_v4_request"
    more = {"x-oss-date": f"{now:%Y%m%dT%H%M%SZ}", **_token(key, "x-oss-security-token")}
    request = _oss_headers(request, **more)
    text = oss_v4_string_to_sign(request, *_addressed(request), now, scope, set())
    claims = f"Credential={key.access_key_id}/{scope},Signature="
    signature = oss_v4_signature(text, key.secret)
    return with_header(request, "authorization", f"OSS4-HMAC-SHA256 {claims}{signature}")


RPC = ["rpc", "rpc", "acs3"]
SCHEMES = {"ram": RPC, "sts": RPC, "ecs": RPC, "oss": ["v1", "v4"], "metadata": []}
