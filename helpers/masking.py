"""What may be shown or saved: everything but what signs a request or opens a door.

A secret is found by the name beside it, in whatever form the two meet: a query (also one that is
percent-encoded inside a string to sign), a header, JSON, XML, a Python ``repr``, an exception's
text. Key ids and security tokens are also found by their look. Headers are shown by allow-list.

An AccessKeyId keeps its first six characters, a security token its first four; of any other
secret nothing is left. Masking twice changes nothing more.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import unquote

MASK = "****"

# A name may have a prefix: OSSAccessKeyId, x-oss-signature, ALIBABA_CLOUD_ACCESS_KEY_SECRET.
_SECRET = (
    r"access[-_]?key[-_]?id|access[-_]?key|secret|secret[-_]?key|signature|signatureprovided|token"
    r"|credential|password|passwd|private[-_]?key(?:body)?|userdata|stringtosignbytes|x-oss-err"
)
# These end like one of the names above: codes of errors, and tokens that open nothing.
_HARMLESS = re.compile(
    r"(invalid|missing|illegal|incorrect|expired).*|.*(client|next|continuation)[-_]?token",
    re.IGNORECASE,
)
_NAME = rf"(?<![A-Za-z0-9])(?P<name>[\w.-]{{0,24}}?(?:{_SECRET}))"
_NAME_OR_AUTHORIZATION = _NAME.replace(_SECRET, _SECRET + "|authorization")

_QUOTE = r"(?:\\*[\"']|&quot;|&\#34;|&\#39;|&\#x27;)"
_FORMS = [
    re.compile(form, re.IGNORECASE | re.DOTALL | re.VERBOSE)
    for form in (
        rf"""{_NAME_OR_AUTHORIZATION}(?P<sep>(?:{_QUOTE}\s*[:=,]|\s*[:=])\s*b?(?P<quote>{_QUOTE}))
             (?P<value>.*?)(?<!\\)(?=(?P=quote))""",
        rf"(?<=<){_NAME_OR_AUTHORIZATION}(?P<sep>(?:\s[^<>]*)?>)(?P<value>\s*<!\[CDATA\[.*?\]\]>|[^<]+)",
        rf"(?P<name>authorization)(?P<sep>{_QUOTE}?\s*[:=]\s*)(?P<value>[^\s\"'][^\r\n\"']*)",
        # A pair ends at an ampersand that is percent-encoded as often as its equals sign.
        rf"""{_NAME}(?P<sep>{_QUOTE}?\s?(?:[:=]|%(?P<level>(?:25)*)3[AD])\s?)
             (?P<value>(?:(?!%(?P=level)(?:26|0A))[^\s&\"'<>\\])+?)
             (?=[,;)}}\]]*(?:[\s&\"'<>\\]|%(?P=level)(?:26|0A)|$))""",
    )
]
_SECRET_NAME = re.compile(_NAME_OR_AUTHORIZATION, re.IGNORECASE)

_KEY_ID = re.compile(r"(?<![A-Za-z0-9])(?:STS\.|LTAI)(?=[A-Za-z]*\d)[A-Za-z0-9]{8,}")
_TOKEN = re.compile(r"(?<![A-Za-z0-9])CAI[A-Za-z0-9+/%]{20,}={0,2}")
_OSS_V1 = re.compile(r"\bOSS [^\s:]+:[A-Za-z0-9+/]{27}=")
_USER_INFO = re.compile(r"(?<=://)[^/\s@?]+:[^/\s@?]+@")

_SHOWN_HEADERS = re.compile(
    r"accept(-.*)?|access-control-.*|age|allow|authorization|cache-control|connection|content-.*"
    r"|date|etag|expires|host|if-.*|keep-alive|last-modified|location|range|retry-after|server"
    r"|transfer-encoding|user-agent|vary|via|x-sdk-.*|x-aliyun-ecs-metadata-token(-ttl-seconds)?"
    r"|x-acs-(action|date|request-id|security-token|trace-id|version|signature-.*)"
    r"|x-oss-(acl|bucket-region|content-sha256|copy-source.*|date|ec|err|hash-crc64ecma"
    r"|next-append-position|object-acl|object-type|request-id|security-token|server-time"
    r"|signature-version|storage-class|version-id)",
    re.IGNORECASE,
)


@lru_cache  # a trace is shown again and again
def mask_text(text: str) -> str:
    """``text`` without secrets, for a line of output, a body, a URL or an exception's text."""
    for form in _FORMS:
        text = form.sub(_mask_match, text)
    text = _OSS_V1.sub(lambda match: _mask_authorization(match[0]), text)
    text = _KEY_ID.sub(lambda match: mask_key_id(match[0]), text)
    text = _TOKEN.sub(lambda match: _mask_token(match[0]), text)
    return _USER_INFO.sub(f"{MASK}@", text)


def mask_url(url: str) -> str:
    """``url`` without the secrets of its query, whose names may be percent-encoded."""
    address, mark, query = url.partition("?")
    return mask_text(address) + mark + "&".join(_mask_pair(pair) for pair in query.split("&"))


def mask_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """All names; the values only of headers that are known to be harmless, and parts of others."""
    return {
        name: _mask_named(name, value) if _SHOWN_HEADERS.fullmatch(name) else MASK
        for name, value in headers.items()
    }


def mask_body(body: bytes) -> str:
    """A body as text without secrets; of one that is no UTF-8 only its size, in bytes."""
    try:
        return mask_text(body.decode())
    except UnicodeDecodeError:
        return f"<{len(body)} bytes>"


def mask_key_id(access_key_id: str) -> str:
    """``STS.NU****``: enough to see the kind of key, too little to use it."""
    return access_key_id[:6] + MASK if len(access_key_id) > 6 else MASK


def _mask_match(match: re.Match[str]) -> str:
    return match["name"] + match["sep"] + _mask_named(match["name"], match["value"])


def _mask_pair(pair: str) -> str:
    name, equals, value = pair.partition("=")
    return name + equals + _mask_named(unquote(name), value)


def _mask_named(name: str, value: str) -> str:
    """``value`` as far as ``name`` allows it to be shown."""
    if not _SECRET_NAME.fullmatch(name) or _HARMLESS.fullmatch(name):
        return mask_text(value)
    kind = re.sub("[-_]", "", name.lower())
    shown = (form for end, form in _SHOWN.items() if kind.endswith(end))
    return next(shown, lambda _: MASK)(value) if value else ""


def _mask_token(security_token: str) -> str:
    return security_token[:4] + MASK if security_token.startswith("CAI") else MASK


def _mask_authorization(value: str) -> str:
    scheme, _, rest = value.partition(" ")
    if scheme == "OSS":
        return f"OSS {mask_key_id(rest.partition(':')[0])}:{MASK}"
    if rest.startswith("Credential="):
        return f"{scheme} {mask_text(rest)}"
    return f"{scheme} {MASK}" if rest else MASK


def _mask_credential(scope: str) -> str:
    """The key's id is the first part of a V4 scope, before the date."""
    key_id, *rest = re.split("(/|%2F)", scope, maxsplit=1, flags=re.IGNORECASE)
    return mask_key_id(key_id) + mask_text("".join(rest))


def _mask_base64(value: str) -> str:
    """``x-oss-err`` is the error's body in base64, which may quote the request's token."""
    try:
        body = base64.b64decode(value, validate=True)
    except binascii.Error:
        return MASK
    return base64.b64encode(mask_body(body).encode()).decode()


_SHOWN = {
    "accesskeyid": mask_key_id,
    "token": _mask_token,
    "authorization": _mask_authorization,
    "credential": _mask_credential,
    "xosserr": _mask_base64,
}
