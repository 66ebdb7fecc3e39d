"""Verify what the SDKs sign: RPC 1.0 and ACS3 for RAM, STS and ECS; V1 and V4 for OSS.

Each scheme takes the same four steps, kept apart: canonicalise the request, build the string to
sign, sign it with a secret, compare. All of it is computed from the request as it arrived, so that
whatever changed on the way no longer matches. Whose key it is, whether its token lives and what
the policy says is decided elsewhere.

RPC   https://www.alibabacloud.com/help/en/sdk/product-overview/rpc-mechanism
ACS3  https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature
V1    https://www.alibabacloud.com/help/en/oss/developer-reference/include-signatures-in-the-authorization-header
V4    https://www.alibabacloud.com/help/en/oss/developer-reference/recommend-to-use-signature-version-4
EC    a refusal's number: https://www.alibabacloud.com/help/en/oss/support/ and the number
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Literal
from urllib.parse import quote

from ..masking import MASK
from ..message import Decided, NotModelled, Request, ServiceError

MAX_SKEW = timedelta(minutes=15)
MAX_URL_LIFE = timedelta(days=7)  # EC 0002-00000232
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
RPC_METHODS = {"HMAC-SHA1": "sha1", "HMAC-SHA256": "sha256"}
ACS3 = "ACS3-HMAC-SHA256"
ACS3_HEADERS = {
    "Action": "x-acs-action",
    "Version": "x-acs-version",
    "Timestamp": "x-acs-date",
    "SignatureNonce": "x-acs-signature-nonce",
    "SecurityToken": "x-acs-security-token",
}
OSS4 = "OSS4-HMAC-SHA256"
OTHER_OSS_SCHEMES = {"OSS2", "AWS", "AWS4-HMAC-SHA256", "AWSAccessKeyId", "X-Amz-Algorithm"}
# The only query parameters that V1 signs: the page's list joined with both Python SDKs' lists.
_SUB_RESOURCES = (
    "accessPoint accessPointPolicy acl append asyncFetch bucketArchiveDirectRead bucketInfo"
    " callback callback-var cloudboxes cname comp continuation-token cors delete encryption"
    " endTime group httpsConfig img inventory inventoryId lifecycle link live location logging"
    " metaQuery objectInfo objectMeta partNumber policy position publicAccessBlock qos qosInfo"
    " qosRequester redundancyTransition referer regionList replication replicationLocation"
    " replicationProgress requestPayment requesterQosInfo resourceGroup resourcePool"
    " resourcePoolBuckets resourcePoolInfo response-cache-control response-content-disposition"
    " response-content-encoding response-content-language response-content-type response-expires"
    " restore security-token sequential startTime stat status style styleName symlink tagging"
    " transferAcceleration uploadId uploads versionId versioning versions vod website worm"
    " wormExtend wormId x-oss-ac-forward-allow x-oss-ac-source-ip x-oss-ac-subnet-mask"
    " x-oss-ac-vpc-id x-oss-access-point-name x-oss-async-process x-oss-process"
    " x-oss-redundancy-transition-taskid x-oss-request-payer x-oss-target-redundancy-type"
    " x-oss-traffic-limit x-oss-write-get-object-response"
)
SUB_RESOURCES = frozenset(_SUB_RESOURCES.split())
# As V4 of OSS and as the RPC services write a time: 20170609T031718Z, 2017-06-09T03:17:18Z.
_BASIC_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z", re.ASCII)
ISO_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z", re.ASCII)


def too_skewed(signed_at: datetime, now: datetime) -> bool:
    """Whether two aware times are more than 15 minutes (900 s) apart, in either direction."""
    return abs(now - signed_at) > MAX_SKEW


def rpc_string_to_sign(method: str, parameters: Mapping[str, str]) -> str:
    """What signature version 1.0 signs: every parameter but ``Signature``, the empty ones too.

    ``parameters`` joins the query with the fields of a form body.
    """
    pairs = sorted((name, value) for name, value in parameters.items() if name != "Signature")
    query = "&".join(f"{_percent(name)}={_percent(value)}" for name, value in pairs)
    # Of what is escaped once, these three are all that a second time escapes.
    twice = query.replace("%", "%25").replace("&", "%26").replace("=", "%3D")
    return f"{method}&%2F&{twice}"


def rpc_signature(string_to_sign: str, secret: str, method: str = "HMAC-SHA1") -> str:
    """The signature in base64. ``method`` is SignatureMethod: HMAC-SHA1 or HMAC-SHA256.

    Raises NotModelled for another method.
    """
    if method not in RPC_METHODS:
        modelled = " and ".join(RPC_METHODS)
        raise NotModelled(f"SignatureMethod {method} is not modelled here; {modelled} are")
    return _base64(_mac(_bytes(secret + "&"), string_to_sign, RPC_METHODS[method]))


def rpc_matches(method: str, parameters: Mapping[str, str], secret: str) -> bool:
    """Whether ``secret`` gives the ``Signature``. Raises NotModelled for a scheme but 1.0."""
    for name, modelled in (("SignatureVersion", "1.0"), ("SignatureType", "")):
        if (value := parameters.get(name, modelled)) != modelled:
            raise NotModelled(f"{name}={value} is not modelled here; {name}={modelled} is")
    text = rpc_string_to_sign(method, parameters)
    expected = rpc_signature(text, secret, parameters.get("SignatureMethod", "HMAC-SHA1"))
    return _same(expected, parameters.get("Signature", ""))


def acs3_parameters(request: Request) -> Mapping[str, str] | None:
    """A request's parameters under their names of 1.0, if it carries the common ones in headers.

    The newer clients do (``alibabacloud_*`` for Python). None: its Authorization is no ``ACS3-…``.

    Raises ServiceError IncompleteSignature if the header is malformed or a common header is not
    signed, NotModelled for another algorithm of the family.
    """
    if not request.headers.get("authorization", "").upper().startswith("ACS"):
        return None
    fields = _acs3_fields(request)
    headers = request.headers
    common = {name for name in headers if name == "host" or name.startswith("x-acs-")}
    if unsigned := common.difference(fields["SignedHeaders"].split(";")):
        decided = Decided("signature", f"not signed: {', '.join(sorted(unsigned))}")
        raise ServiceError("IncompleteSignature", decided)
    named = {name: headers[header] for name, header in ACS3_HEADERS.items() if header in headers}
    named |= {"AccessKeyId": fields["Credential"], "Signature": fields["Signature"]}
    return {**request.parameters, **named, "SignatureMethod": ACS3, "Format": "JSON"}


def acs3_string_to_sign(request: Request, signed_headers: str) -> str:
    """``signed_headers``: the lower-case names as the client lists them, with semicolons."""
    pairs = sorted((_percent(name), _percent(value)) for name, value in request.query)
    canonical_request = [
        request.method,
        _percent(request.path, safe="/") or "/",
        "&".join(f"{name}={value}" for name, value in pairs),
        _header_lines(request, signed_headers.split(";")),
        signed_headers,
        # Of the body that came: the header x-acs-content-sha256 only says what it should be.
        hashlib.sha256(request.body).hexdigest(),
    ]
    return f"{ACS3}\n{_sha256(canonical_request)}"


def acs3_matches(request: Request, secret: str) -> bool:
    """Whether ``secret`` signed a request that ``acs3_parameters`` has read."""
    fields = _acs3_fields(request)
    text = acs3_string_to_sign(request, fields["SignedHeaders"])
    return _same(_mac(_bytes(secret), text, "sha256").hex(), fields["Signature"])


def _acs3_fields(request: Request) -> dict[str, str]:
    scheme, _, text = request.headers["authorization"].partition(" ")
    if scheme != ACS3:
        raise NotModelled(f"the signature algorithm {scheme} is not modelled here; {ACS3} is")
    fields = _fields(text, {"Credential", "SignedHeaders", "Signature"})
    if fields is None:
        raise ServiceError("IncompleteSignature", Decided("signature", "malformed Authorization"))
    return fields


@dataclass
class OssSignature:
    """What an OSS request says about its signer, and the string that it should have signed.

    ``signed_at`` is not known of a signed URL of V1; ``expires_at`` is set for signed URLs only.
    ``region`` comes from the scope of V4 and lacks the prefix ``oss-``. Times are aware, in UTC.
    """

    version: Literal["V1", "V4"]
    access_key_id: str
    signature: str = field(repr=False)
    string_to_sign: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)
    signed_at: datetime | None = None
    expires_at: datetime | None = None
    region: str | None = None

    def matches(self, secret: str) -> bool:
        """Whether ``secret`` gives this signature."""
        sign = oss_v1_signature if self.version == "V1" else oss_v4_signature
        return _same(sign(self.string_to_sign, secret), self.signature)

    def mismatch(self) -> dict[str, str]:
        """The fields of SignatureDoesNotMatch.

        The service repeats a security token inside StringToSign. No answer of ours carries a
        secret, so it is masked there.
        """
        token = re.escape((self.security_token or "").strip())
        shown = re.sub(f"(security-token[:=]){token}", rf"\1{MASK}", self.string_to_sign)
        return {
            "OSSAccessKeyId": self.access_key_id,
            "SignatureProvided": self.signature,
            "StringToSign": shown,
            "StringToSignBytes": "".join(f"{byte:02X} " for byte in _bytes(shown)),
            "EC": "0002-00000040" if self.version == "V1" else "0002-00000201",
        }


def read_oss_signature(request: Request, bucket: str, key: str) -> OssSignature | None:
    """The signature in a request's Authorization header or URL; None for an anonymous request.

    ``bucket`` and ``key`` (decoded) may be empty. The caller names them, because what is signed is
    ``/bucket/key`` whether the bucket stands in the host or in the path.

    Raises ServiceError (InvalidArgument, AccessDenied) for what OSS refuses to read, NotModelled
    for the schemes OSS V2 and S3.
    """
    query = dict(reversed(request.query))  # of a repeated parameter the first one counts
    authorization = request.headers.get("authorization")
    _refuse_other_schemes(authorization or "", query)
    in_url = {"x-oss-signature-version", "OSSAccessKeyId", "Signature"} & query.keys()
    if authorization is not None and in_url:
        raise _invalid("a signature in the header and one in the URL", "0002-00000039")
    url_token = query.get("security-token") or query.get("x-oss-security-token")
    token = request.headers.get("x-oss-security-token")
    if token and url_token:
        raise _invalid("a security token in the header and one in the URL", "0002-00000010")
    if authorization is not None:
        found = _from_header(request, bucket, key, authorization)
    elif in_url:
        read = _v4_url if "x-oss-signature-version" in query else _v1_url
        found = read(request, bucket, key, query)
    else:
        return None
    found.security_token = token or url_token
    return found


def oss_v1_string_to_sign(request: Request, bucket: str, key: str, date: str) -> str:
    """``date``: the value of x-oss-date or Date; in a signed URL that of ``Expires``."""
    headers = request.headers
    subs = _query(sorted(pair for pair in request.query if pair[0] in SUB_RESOURCES))
    resource = _resource(bucket, key) + (f"?{subs}" if subs else "")
    own = sorted(name for name in headers if name.startswith("x-oss-"))
    first = [request.method, headers.get("content-md5", ""), headers.get("content-type", ""), date]
    return "\n".join([*first, _header_lines(request, own) + resource])


def oss_v1_signature(string_to_sign: str, secret: str) -> str:
    """The signature in base64."""
    return _base64(_mac(_bytes(secret), string_to_sign, "sha1"))


def oss_v4_string_to_sign(
    request: Request, bucket: str, key: str, signed_at: datetime, scope: str, more: Set[str]
) -> str:
    """``scope``: date/region/oss/aliyun_v4_request. ``more``: the AdditionalHeaders, lower case."""
    always = {"content-type", "content-md5", *more}
    signed = sorted(n for n in request.headers if n in always or n.startswith("x-oss-"))
    pairs = [(_percent(n), _percent(v)) for n, v in request.query if n != "x-oss-signature"]
    canonical_request = [
        request.method,
        _percent(_resource(bucket, key), safe="/"),
        _query(sorted(pairs)),
        _header_lines(request, signed),
        ";".join(sorted(more)),
        request.headers.get("x-oss-content-sha256", "UNSIGNED-PAYLOAD"),
    ]
    return f"{OSS4}\n{signed_at:%Y%m%dT%H%M%SZ}\n{scope}\n{_sha256(canonical_request)}"


def oss_v4_signature(string_to_sign: str, secret: str) -> str:
    """The signature in hexadecimal. Its key is derived over the parts of the scope, in line 3."""
    key = _oss_v4_key(secret, string_to_sign.split("\n")[2])
    return _mac(key, string_to_sign, "sha256").hex()


@lru_cache  # the same for a day
def _oss_v4_key(secret: str, scope: str) -> bytes:
    key = _bytes("aliyun_v4" + secret)
    for part in scope.split("/"):
        key = _mac(key, part, "sha256")
    return key


def _from_header(request: Request, bucket: str, key: str, authorization: str) -> OssSignature:
    scheme, _, text = authorization.partition(" ")
    date = request.headers.get("x-oss-date") or request.headers.get("date", "")
    if scheme == "OSS":
        if not (found := re.fullmatch(r"([^:\s]+):(\S+)", text)):
            raise _invalid("not of the form OSS AccessKeyId:Signature", "0002-00000062")
        text = oss_v1_string_to_sign(request, bucket, key, date)
        return OssSignature("V1", found[1], found[2], text, signed_at=_moment(date))
    if scheme != OSS4:
        raise _invalid(f"begins with neither OSS nor {OSS4}", "0002-00000061")
    fields = _fields(text, {"Credential", "Signature"}, {"AdditionalHeaders"})
    if fields is None:
        raise _invalid(f"not of the form {OSS4} Credential=…,Signature=…", "0002-00000203")
    claims = {
        "x-oss-credential": fields["Credential"],
        "x-oss-additional-headers": fields.get("AdditionalHeaders", ""),
        "x-oss-date": date,
        "x-oss-signature": fields["Signature"],
    }
    return _v4(request, bucket, key, claims)


def _v1_url(request: Request, bucket: str, key: str, query: Mapping[str, str]) -> OssSignature:
    wanted = ("Signature", "Expires", "OSSAccessKeyId")
    if not query.keys() >= set(wanted):
        names = "{}, {} and {}".format(*wanted)
        raise _denied(f"Query string authentication requires the {names} parameters.")
    signature, expires, key_id = (query[name] for name in wanted)
    if not (expires_at := _after(EPOCH, expires)):
        raise _denied("Invalid date (should be seconds since epoch).")
    text = oss_v1_string_to_sign(request, bucket, key, expires)
    return OssSignature("V1", key_id, signature, text, expires_at=expires_at)


def _v4_url(request: Request, bucket: str, key: str, query: Mapping[str, str]) -> OssSignature:
    wanted = {"x-oss-credential", "x-oss-date", "x-oss-expires", "x-oss-signature"}
    if query["x-oss-signature-version"] != OSS4 or not query.keys() >= wanted:
        raise _invalid(f"the URL lacks one of {sorted(wanted)}, or is not signed by {OSS4}")
    signed_at = _moment(query["x-oss-date"])
    expires_at = _after(signed_at, query["x-oss-expires"])
    if not expires_at or not timedelta(0) < expires_at - signed_at <= MAX_URL_LIFE:
        raise _invalid("x-oss-expires is not 1 to 604800 seconds", "0002-00000232")
    found = _v4(request, bucket, key, query)
    found.expires_at = expires_at
    return found


def _v4(request: Request, bucket: str, key: str, claims: Mapping[str, str]) -> OssSignature:
    """``claims`` are named as the parameters of a signed URL, wherever they came from."""
    pattern = r"([^/\s]+)/(\d{8}/([^/\s]*)/oss/aliyun_v4_request)"
    if not (found := re.fullmatch(pattern, claims["x-oss-credential"], re.ASCII)):
        text = "Invalid credential in Authorization header."
        raise _invalid("malformed Credential", "0002-00000213", text)
    key_id, scope, region = found.groups()
    if not region:
        raise _invalid("no region in the Credential")
    signed_at = _moment(claims["x-oss-date"])
    more = set(claims.get("x-oss-additional-headers", "").lower().split(";")) - {""}
    text = oss_v4_string_to_sign(request, bucket, key, signed_at, scope, more)
    signature = claims["x-oss-signature"]
    return OssSignature("V4", key_id, signature, text, signed_at=signed_at, region=region)


def _refuse_other_schemes(authorization: str, query: Mapping[str, str]) -> None:
    named = {authorization.partition(" ")[0], query.get("x-oss-signature-version"), *query}
    if other := named & OTHER_OSS_SCHEMES:
        raise NotModelled(f"signing by {other.pop()} is not modelled here; OSS V1 and V4 are")


def _moment(text: str) -> datetime:
    try:
        if text.endswith("GMT"):
            return parsedate_to_datetime(text).astimezone(timezone.utc)
        return read_time(text, _BASIC_TIME)
    except (TypeError, ValueError, IndexError, OverflowError):
        # 403 as seen in the wild; the page on 400 lists the same text under InvalidArgument.
        ec = "0002-00000502" if text else "0002-00000503"
        raise _denied("OSS authentication requires a valid Date.", ec) from None


def read_time(text: str, form: re.Pattern[str]) -> datetime:
    """The time, in UTC, that ``form`` finds in ``text``. Raises ValueError. strptime is slower."""
    if not (found := form.fullmatch(text)):
        raise ValueError(text)
    year, month, day, hour, minute, second = map(int, found.groups())
    return datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)


def _after(start: datetime, seconds: str) -> datetime | None:
    try:
        return start + timedelta(seconds=int(seconds))
    except (ValueError, OverflowError):
        return None


def _fields(text: str, needed: Set[str], optional: Set[str] = frozenset()) -> dict[str, str] | None:
    """``a=1, b=2`` as a mapping, or None if a name or a value is missing or not known."""
    items = (item.partition("=") for item in text.split(","))
    fields = {name.strip(): value.strip() for name, _, value in items}
    complete = needed <= fields.keys() <= needed | optional
    return fields if complete and all(fields.values()) else None


def _resource(bucket: str, key: str) -> str:
    return f"/{bucket}/{key}" if bucket else "/"


def _query(pairs: Iterable[tuple[str, str]]) -> str:
    """OSS leaves the equals sign out where there is no value."""
    return "&".join(f"{name}={value}" if value else name for name, value in pairs)


def _header_lines(request: Request, names: Iterable[str]) -> str:
    return "".join(f"{name}:{request.headers.get(name, '').strip()}\n" for name in names)


@lru_cache(maxsize=1024)  # names and most values come again in the next request
def _percent(text: str, safe: str = "") -> str:
    return quote(text, safe=safe, errors="replace")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _mac(key: bytes, text: str, digest: str) -> bytes:
    return hmac.digest(key, _bytes(text), digest)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _sha256(lines: Iterable[str]) -> str:
    return hashlib.sha256(_bytes("\n".join(lines))).hexdigest()


def _same(expected: str, provided: str) -> bool:
    return hmac.compare_digest(_bytes(expected), _bytes(provided))


def _invalid(reason: str, EC: str | None = None, Message: str = "") -> ServiceError:
    message = Message or "Authorization header is invalid."
    return ServiceError("InvalidArgument", Decided("signature", reason), Message=message, EC=EC)


def _denied(message: str, EC: str | None = None) -> ServiceError:
    return ServiceError("AccessDenied", Decided("signature", message), Message=message, EC=EC)
