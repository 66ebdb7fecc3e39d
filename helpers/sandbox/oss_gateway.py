"""The gateway in front of OSS: which operation is asked for, who asks, may they, the answer's form.

OSS has no operation names on the wire: method, bucket, key and sub-resource say what is meant, and
the table is keyed on these. Admission follows the service's order: identity, then time, then
signature, then the bucket and its endpoint, then the policies.
https://www.alibabacloud.com/help/en/oss/user-guide/authentication
Bodies are recordings; an error's ``EC`` names its page,
https://www.alibabacloud.com/help/en/oss/support/ and the number.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import format_datetime
from typing import Any, NamedTuple
from xml.etree import ElementTree

from ..masking import MASK, mask_text
from ..message import Decided, NotModelled, Request, Response, ServiceError
from ..recordings import COMMON, Recording, Recordings, fill
from .access import Fault, KeyRefused, Principal, authorise, identify, session_refusal
from .account import Account, Bucket
from .signatures import MAX_SKEW, SUB_RESOURCES, OssSignature, read_oss_signature, too_skewed

HOSTS = re.compile(
    r"((?P<bucket>.+)\.)?oss(-(?P<region>[a-z]{2}-[a-z0-9-]+?))?(-internal)?\.aliyuncs\.com"
)
BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
MAX_NAME = 1023  # bytes of an object's key, of a prefix, of a marker
# What signs a request, in the URL and in the headers; every operation takes these.
SIGNING_PARAMETERS = {"OSSAccessKeyId", "Signature", "Expires", "security-token"} | {
    f"x-oss-{name}"
    for name in (
        *("signature-version", "credential", "date", "expires", "signature"),
        *("additional-headers", "security-token"),
    )
}
SIGNING_HEADERS = {"x-oss-date", "x-oss-security-token", "x-oss-content-sha256"}
# A header that changes what the service does.
SEMANTIC_HEADER = re.compile(r"x-oss-(?!meta-)|if-")
# What tells one operation from another: all sub-resources, also those of operations not served.
SELECTORS = (SUB_RESOURCES | {"list-type", "x-oss-copy-source"}) - {
    "security-token",
    "continuation-token",
}
FAULT_CODES = {
    Fault.UNKNOWN_KEY: "InvalidAccessKeyId",
    Fault.DISABLED_KEY: "InvalidAccessKeyId.Disabled",
    Fault.TOKEN_MISSING: "InvalidAccessKeyId.TokenMissing",
    Fault.TOKEN_MISMATCH: "AccessKeyIdAndSecurityTokenNotMatch",
    Fault.TOKEN_MALFORMED: "InvalidSecurityToken",
    Fault.TOKEN_EXPIRED: "SecurityTokenExpired",
    # What OSS says of a deleted role's token is published nowhere, only that it is invalid then.
    Fault.ROLE_GONE: "InvalidSecurityToken",
}
PRINCIPAL_TYPES = {"RAMUser": "SubUser", "AssumedRoleUser": "AssumedRoleUser"}


@dataclass
class Call:
    """One call, as an operation sees it. Nobody's call, while ``principal`` is None."""

    account: Account
    request: Request
    now: datetime
    region_id: str
    bucket_name: str
    key: str
    parameters: Mapping[str, str] = field(repr=False)
    principal: Principal | None = None

    def __getitem__(self, name: str) -> str:
        return self.parameters.get(name, "")

    def header(self, name: str) -> str:
        return self.request.headers.get(name, "")

    @property
    def bucket(self) -> Bucket:
        """The bucket that the host names; the gateway has seen that it is there."""
        return self.account.buckets[self.bucket_name]

    @property
    def resource(self) -> str:
        return self.arn(self.bucket_name, self.key) if self.bucket_name else self.arn("*")

    def arn(self, bucket_name: str, key: str = "") -> str:
        path = f"{bucket_name}/{key}" if key else bucket_name
        return f"acs:oss:*:{self.account.account_id}:{path}"

    @property
    def context(self) -> dict[str, str]:
        """The condition keys that this request has.

        What ``oss:Prefix`` is when no prefix was sent is published nowhere; here it is absent.
        """
        request = self.request
        listing = ("prefix", "delimiter") if self.bucket_name else ()
        return {
            "acs:SourceIp": request.source_ip,
            "acs:SecureTransport": str(request.scheme == "https").lower(),
            "acs:CurrentTime": self.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "acs:UserAgent": request.headers.get("user-agent", ""),
            **{f"oss:{n.title()}": self[n] for n in listing if n in self.parameters},
        }

    def locate(self, bucket_name: str) -> Bucket:
        """The bucket of this name, if it is the account's own and in the endpoint's region."""
        if bucket_name in self.account.foreign_buckets:
            decided = Decided("owner", f"{bucket_name} belongs to another account")
            raise ServiceError("AccessDenied.ImplicitDeny", decided, AccessDeniedDetail=None)
        bucket = self.account.buckets.get(bucket_name)
        if bucket is None:
            decided = Decided("state", f"there is no bucket {bucket_name}")
            raise ServiceError("NoSuchBucket", decided, BucketName=bucket_name)
        if bucket.region_id != self.region_id:
            decided = Decided("endpoint", f"{bucket_name} is in {bucket.region_id}")
            endpoint = f"oss-{bucket.region_id}.aliyuncs.com"
            raise ServiceError(
                "AccessDenied.Endpoint", decided, Bucket=bucket_name, Endpoint=endpoint
            )
        return bucket


@dataclass(frozen=True)
class Answer:
    """What an operation answers: ``values`` fill its recording, ``headers`` those of its headers.

    ``body`` stands in for the recording's, ``code`` tells a second form of success from the first.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    code: str = ""


Permissions = Callable[[Call], Sequence[tuple[str, str]]]


class Operation(NamedTuple):
    """``permissions`` gives the (action, resource) pairs that a policy must allow, every one."""

    name: str
    run: Callable[[Call], Answer]
    parameters: frozenset[str]
    headers: frozenset[str]
    permissions: Permissions
    needs_bucket: bool


OPERATIONS: dict[tuple[str, str, str], Operation] = {}


def operation(
    name: str,
    method: str,
    scope: str,
    sub_resource: str = "",
    parameters: str = "",
    headers: str = "",
    permissions: Permissions | None = None,
    needs_bucket: bool = True,
) -> Callable[[Callable[[Call], Answer]], Callable[[Call], Answer]]:
    """Enter a function into the table. ``scope``: service, bucket or object.

    ``sub_resource`` is the parameter or header that tells the operation from its neighbours.
    """

    def enter(run: Callable[[Call], Answer]) -> Callable[[Call], Answer]:
        may = permissions or (lambda call: [(f"oss:{name}", call.resource)])
        own = frozenset([sub_resource, *parameters.split()])
        heads = frozenset([sub_resource, *headers.split()])
        entry = Operation(name, run, own, heads, may, needs_bucket)
        OPERATIONS[method, scope, sub_resource] = entry
        return run

    return enter


def handle(account: Account, recordings: Recordings, request: Request, now: datetime) -> Response:
    """Answer one request to a bucket or to the service, as of ``now`` (UTC, aware).

    Raises NotModelled for an operation, a parameter or a header that has no model here.
    """
    call = _call(account, request, now)
    name = COMMON
    try:
        _check_address(call)
        operation = _operation(call)
        name = operation.name
        call.principal = _principal(call)
        if call.bucket_name and operation.needs_bucket:
            call.locate(call.bucket_name)
        decided = _authorise(call, operation)
        answer = operation.run(call)
    except ServiceError as error:
        return refuse(recordings, request, now, error, name)
    return _success(recordings.find("oss", name, answer.code), call, answer, decided)


def _call(account: Account, request: Request, now: datetime) -> Call:
    host = HOSTS.fullmatch(request.host)
    if host is None:
        raise NotModelled(f"{request.host} is no address of OSS")
    parameters = dict(reversed(request.query))  # of a repeated parameter the first one counts
    key = request.path.removeprefix("/")
    # oss.aliyuncs.com is Hangzhou:
    # https://www.alibabacloud.com/help/en/object-storage-service/latest/regions-and-endpoints
    region_id = host["region"] or "cn-hangzhou"
    return Call(account, request, now, region_id, host["bucket"] or "", key, parameters)


def _check_address(call: Call) -> None:
    if call.key and not call.bucket_name:
        decided = Decided("endpoint", "the bucket stands in the path, not in the host")
        raise ServiceError("SecondLevelDomainForbidden", decided)
    if call.bucket_name and not BUCKET_NAME.fullmatch(call.bucket_name):
        decided = Decided("parameter", f"{call.bucket_name!r} is no bucket name")
        raise ServiceError("InvalidBucketName", decided, BucketName=call.bucket_name)
    size = len(call.key.encode())
    if size > MAX_NAME or call.key.startswith(("/", "\\")):
        too_long = "The Length of Object name must be less than 1024."
        message = too_long if size > MAX_NAME else "The specified object is not valid."
        decided = Decided("parameter", f"a name of {size} bytes: too long, or led by a slash")
        raise ServiceError("InvalidObjectName", decided, Message=message, ObjectName=call.key)


def _operation(call: Call) -> Operation:
    scope = "object" if call.key else "bucket" if call.bucket_name else "service"
    headers = call.request.headers.keys()
    subs = sorted(SELECTORS & (call.parameters.keys() | headers))
    found = OPERATIONS.get((call.request.method, scope, subs[0] if subs else ""))
    if found is None:
        served = ", ".join(sorted(each.name for each in OPERATIONS.values()))
        what = " ".join([f"OSS {call.request.method} on the {scope}", *subs[:1]])
        raise _not_modelled(what, served)
    _check_known(found, "parameter", call.parameters.keys() - SIGNING_PARAMETERS, found.parameters)
    own = {name for name in headers - SIGNING_HEADERS if SEMANTIC_HEADER.match(name)}
    _check_known(found, "header", own, found.headers)
    return found


def _check_known(operation: Operation, kind: str, sent: Set[str], known: Set[str]) -> None:
    if unknown := sorted(sent - known):
        takes = ", ".join(sorted(known - {""})) or "none of its own"
        raise _not_modelled(f"OSS {operation.name} with the {kind} {', '.join(unknown)}", takes)


def _not_modelled(what: str, served: str) -> NotModelled:
    text = f'{what} is not modelled here; served: {served}. mode="live" would send it.'
    return NotModelled(mask_text(text))


def _principal(call: Call) -> Principal | None:
    signature = read_oss_signature(call.request, call.bucket_name, call.key)
    if signature is None:
        return None
    principal = _identify(call, signature)
    _check_time(call, signature)
    if not signature.matches(principal.secret):
        decided = Decided("signature", "the secret that signed is not this key's")
        raise ServiceError("SignatureDoesNotMatch", decided, **signature.mismatch())
    if signature.region not in (None, call.region_id):
        decided = Decided("signature", f"signed for {signature.region}, sent to {call.region_id}")
        raise ServiceError("InvalidArgument.SigningRegion", decided)
    return principal


def _identify(call: Call, signature: OssSignature) -> Principal:
    key_id, token = signature.access_key_id, signature.security_token
    try:
        return identify(call.account, key_id, token, call.now)
    except KeyRefused as refused:
        fault = refused.fault
    if fault is Fault.UNKNOWN_KEY and key_id.startswith("STS.") and not token:
        fault = Fault.TOKEN_MISSING
    values = {"OSSAccessKeyId": key_id, "SecurityToken": MASK}
    if fault is Fault.UNKNOWN_KEY and token:
        values["EC"] = "0002-00000002"
    raise ServiceError(FAULT_CODES[fault], Decided("access key", fault.value), **values)


def _check_time(call: Call, signature: OssSignature) -> None:
    ends, sent = signature.expires_at, signature.signed_at
    server_time = time_text(call.now)
    if ends is not None and call.now >= ends:
        raise ServiceError(
            "AccessDenied.Expired",
            Decided("time", f"the signed URL ended at {time_text(ends)}"),
            Expires=time_text(ends),
            ServerTime=server_time,
        )
    if ends is None and sent is not None and too_skewed(sent, call.now):
        raise ServiceError(
            "RequestTimeTooSkewed",
            Decided("time", f"signed at {time_text(sent)}, more than 15 minutes off"),
            MaxAllowedSkewMilliseconds=int(MAX_SKEW.total_seconds() * 1000),
            RequestTime=time_text(sent),
            ServerTime=server_time,
        )


def _authorise(call: Call, operation: Operation) -> Decided:
    if call.principal is None:
        what = "object" if call.key else "bucket"
        raise ServiceError(
            "AccessDenied.Anonymous",
            Decided("policy", "the request is not signed, and nothing here is public"),
            **{"Message": f"Anonymous user has no right to access this {what}."}
            if call.key
            else {},
        )
    reason = "needs no permission"
    for action, resource in operation.permissions(call):
        reason = _permitted(call, call.principal, action, resource)
    return Decided("policy", reason)


def _permitted(call: Call, principal: Principal, action: str, resource: str) -> str:
    asked = (principal, action, resource, call.context)
    if refusal := session_refusal(*asked):
        raise ServiceError("AccessDenied.SessionPolicy", Decided("policy", refusal.reason))
    decision = authorise(*asked)
    if decision.allowed:
        return decision.reason
    raise ServiceError(
        f"AccessDenied.{decision.effect}",
        Decided("policy", decision.reason),
        AuthPrincipalOwnerId=call.account.account_id,
        AuthPrincipalType=PRINCIPAL_TYPES[principal.kind],
        AuthPrincipalDisplayName=principal.principal_id,
        AuthAction=action,
        Bucket=call.bucket_name or None,
        User=principal.principal_id,
    )


def _success(recording: Recording, call: Call, answer: Answer, decided: Decided) -> Response:
    body = fill(recording, answer.values).encode() if answer.body is None else answer.body
    own: dict[str, str | None] = {"Content-Length": str(len(body))}
    if not body:
        own["Content-Type"] = None
    headers = _headers(recording, call.now, {**own, **answer.headers})
    return Response(recording.status, headers, body, decided)


def refuse(
    recordings: Recordings, request: Request, now: datetime, error: ServiceError, name: str = COMMON
) -> Response:
    """The answer that says ``error``; ``name`` is the operation's, where one was recognised."""
    recording = recordings.find("oss", name, error.code)
    values = {"HostId": request.host, **error.values}
    if "EC" in values:
        ec = values["EC"]
        values["RecommendDoc"] = ec and f"https://api.aliyun.com/troubleshoot?q={ec}"
    text = fill(recording, values)
    root, body = ElementTree.fromstring(text), text.encode()
    own = {"Content-Length": str(len(body)), "x-oss-request-id": root.findtext("RequestId")}
    headers = _headers(recording, now, {**own, "x-oss-ec": root.findtext("EC")})
    if request.method == "HEAD":
        headers["x-oss-err"] = base64.b64encode(body).decode()
        body = b""
    return Response(recording.status, headers, body, error.decided)


def _headers(recording: Recording, now: datetime, own: Mapping[str, str | None]) -> dict[str, str]:
    """The recording's headers in their order, with this answer's values; None leaves one out."""
    filled = {**recording.headers, "Date": date_text(now), **own}
    return {name: value for name, value in filled.items() if value is not None}


def time_text(moment: datetime) -> str:
    """A time as OSS writes it in XML: UTC, to the second, with three zeros."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def date_text(moment: datetime) -> str:
    """A time as a header has it."""
    return format_datetime(moment.astimezone(timezone.utc), usegmt=True)
