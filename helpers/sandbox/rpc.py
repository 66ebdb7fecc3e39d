"""The RPC gateway in front of RAM, STS and ECS: admit a call, run its operation, form its answer.

A service is a table of operations. Each operation is a short function from a ``Call`` to the
values that fill its recording; the table says which parameters it takes and on which resources a
policy must allow it. Admission follows the gateway's error table: key, token, time, nonce,
signature, policy. https://www.alibabacloud.com/help/en/sdk/product-overview/rpc-mechanism
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from ..message import Decided, NotModelled, Request, Response, ServiceError
from ..policy import Decision
from ..recordings import Recording, Recordings, fill, xml_text
from .access import Fault, KeyRefused, Principal, authorise, identify
from .account import Account
from .signatures import (
    ACS3,
    ISO_TIME,
    acs3_matches,
    acs3_parameters,
    read_time,
    rpc_matches,
    rpc_string_to_sign,
    too_skewed,
)

Values = Mapping[str, Any]
Resources = Callable[["Call"], Sequence[str]]

GATEWAY_PARAMETERS = frozenset(
    [
        "AccessKeyId",
        "Action",
        "Format",
        "RegionId",
        "SecurityToken",
        "Signature",
        "SignatureMethod",
        "SignatureNonce",
        "SignatureType",
        "SignatureVersion",
        "Timestamp",
        "Version",
    ]
)
FAULT_CODES = {
    Fault.UNKNOWN_KEY: "InvalidAccessKeyId.NotFound",
    Fault.DISABLED_KEY: "InvalidAccessKeyId.Inactive",
    Fault.TOKEN_MISSING: "MissingSecurityToken",
    Fault.TOKEN_MISMATCH: "InvalidSecurityToken.MismatchWithAccessKey",
    Fault.TOKEN_MALFORMED: "InvalidSecurityToken.Malformed",
    Fault.TOKEN_EXPIRED: "InvalidSecurityToken.Expired",
    Fault.ROLE_GONE: "InvalidSecurityToken.Malformed",
}
NONCE_LIFETIME = timedelta(minutes=15)


@dataclass(frozen=True)
class Call:
    """One admitted call, as an operation sees it."""

    account: Account
    principal: Principal
    parameters: Mapping[str, str] = field(repr=False)
    context: Mapping[str, str]
    now: datetime

    def __getitem__(self, name: str) -> str:
        return self.parameters.get(name, "")

    @property
    def region_id(self) -> str:
        return self["RegionId"] or self.account.region_id

    def listed(self, name: str) -> list[str]:
        """The values of ``Name.1``, ``Name.2`` … in their order."""
        found = ((re.fullmatch(rf"{name}\.(\d+)", key), value) for key, value in self)
        return [value for _, value in sorted((int(m[1]), v) for m, v in found if m)]

    def __iter__(self) -> Any:
        return iter(self.parameters.items())

    def decide(self, action: str, resource: str, **context: str) -> Decision:
        """What the caller's policies say; context keys are written ``acs_Service``."""
        extra = {name.replace("_", ":", 1): value for name, value in context.items()}
        return authorise(self.principal, action, resource, {**self.context, **extra})


class Operation(NamedTuple):
    run: Callable[[Call], Values]
    required: tuple[str, ...]
    known: frozenset[str]
    resources: Resources


@dataclass(frozen=True)
class Service:
    """One RPC service: its hosts, its API version and its operations.

    ``missing`` and ``denied`` make the service's own error for an absent parameter and for a
    refused action.
    """

    name: str
    version: str
    hosts: re.Pattern[str]
    missing: Callable[[str], ServiceError]
    denied: Callable[[Call, str, str], ServiceError]
    operations: dict[str, Operation] = field(default_factory=dict)

    def operation(
        self, name: str, *required: str, optional: str = "", on: Resources
    ) -> Callable[[Callable[[Call], Values]], Callable[[Call], Values]]:
        """Enter a function into the table. ``on`` gives the resources it acts on."""

        def enter(run: Callable[[Call], Values]) -> Callable[[Call], Values]:
            known = GATEWAY_PARAMETERS | {*required, *optional.split()}
            self.operations[name] = Operation(run, required, known, on)
            return run

        return enter

    def handle(
        self, account: Account, recordings: Recordings, request: Request, now: datetime
    ) -> Response:
        """Answer one request as the service would."""
        action = ""
        try:
            parameters = acs3_parameters(request) or request.parameters
            action = parameters.get("Action", "")
            operation = self._operation(action, parameters)
            call = self._admit(account, request, parameters, now)
            decided = self._authorise(call, action, operation)
            values = operation.run(call)
        except ServiceError as error:
            return self.refuse(recordings, request, now, error, action)
        return _answer(recordings.find(self.name, action), values, request, decided)

    def refuse(
        self,
        recordings: Recordings,
        request: Request,
        now: datetime,
        error: ServiceError,
        action: str = "",
    ) -> Response:
        """The answer that says ``error``."""
        recording = recordings.find(self.name, action, error.code)
        return _answer(recording, error.values, request, error.decided)

    def _operation(self, action: str, parameters: Mapping[str, str]) -> Operation:
        version = parameters.get("Version", self.version)
        operation = self.operations.get(action)
        if operation is None or version != self.version:
            raise NotModelled(
                f"{self.name} {action or '(no Action)'} of version {version} is not modelled here; "
                f"version {self.version} serves {', '.join(sorted(self.operations))}. "
                'mode="live" would send it.'
            )
        unknown = sorted(
            name
            for name in parameters.keys() - operation.known
            if re.sub(r"\.\d+", ".N", name) not in operation.known
        )
        if unknown:
            known = ", ".join(sorted(operation.known - GATEWAY_PARAMETERS)) or "none of its own"
            raise NotModelled(
                f"{self.name} {action} with the parameter {', '.join(unknown)} is not modelled "
                f'here; its parameters are {known}. mode="live" would send it.'
            )
        return operation

    def _admit(
        self, account: Account, request: Request, parameters: Mapping[str, str], now: datetime
    ) -> Call:
        if request.scheme == "http" and self.name != "ecs":
            raise ServiceError("InvalidProtocol.NeedSsl", Decided("protocol", "http, not https"))
        for name in ("AccessKeyId", "Timestamp", "SignatureNonce", "Signature"):
            if not parameters.get(name):
                raise self.missing(name)
        principal = _principal(account, parameters, now)
        _check_time(parameters["Timestamp"], now)
        _check_nonce(account, parameters["SignatureNonce"], now)
        _check_signature(request, parameters, principal)
        return Call(account, principal, parameters, _context(request, now), now)

    def _authorise(self, call: Call, action: str, operation: Operation) -> Decided:
        for name in operation.required:
            if not call[name]:
                raise self.missing(name)
        decision = None
        for resource in operation.resources(call):
            decision = call.decide(f"{self.name}:{action}", resource)
            if not decision.allowed:
                raise self.denied(call, f"{self.name}:{action}", resource)
        return Decided("policy", decision.reason if decision else "needs no permission")


def _principal(account: Account, parameters: Mapping[str, str], now: datetime) -> Principal:
    token = parameters.get("SecurityToken")
    try:
        return identify(account, parameters["AccessKeyId"], token, now)
    except KeyRefused as refused:
        decided = Decided("access key", refused.fault.value)
        raise ServiceError(FAULT_CODES[refused.fault], decided) from None


def _check_time(timestamp: str, now: datetime) -> None:
    try:
        sent = read_time(timestamp, ISO_TIME)
    except ValueError:
        raise ServiceError("InvalidTimeStamp.Format", Decided("time", timestamp)) from None
    if too_skewed(sent, now):
        decided = Decided("time", f"sent at {timestamp}, more than 15 minutes off")
        raise ServiceError("InvalidTimeStamp.Expired", decided)


def _check_nonce(account: Account, nonce: str, now: datetime) -> None:
    seen = account.nonces.get(nonce)
    if seen is not None and now - seen < NONCE_LIFETIME:
        raise ServiceError("SignatureNonceUsed", Decided("nonce", "this nonce was used before"))
    account.nonces[nonce] = now


def _check_signature(request: Request, parameters: Mapping[str, str], principal: Principal) -> None:
    decided = Decided("signature", "the secret that signed is not this key's")
    if parameters.get("SignatureMethod") == ACS3:
        if not acs3_matches(request, principal.secret):
            text = "Specified signature does not match our calculation."
            raise ServiceError("SignatureDoesNotMatch", decided, Message=text)
    elif not rpc_matches(request.method, parameters, principal.secret):
        # The SDK compares this with its own string, and then says that the secret is wrong. A
        # token inside it is masked: no answer of ours carries a secret.
        text = rpc_string_to_sign(request.method, parameters)
        text = re.sub(r"(SecurityToken%3D).*?(?=%26|$)", r"\1****", text)
        raise ServiceError(
            "SignatureDoesNotMatch",
            decided,
            Message="Specified signature is not matched with our calculation. "
            f"server string to sign is:{text}",
        )


def _context(request: Request, now: datetime) -> dict[str, str]:
    return {
        "acs:SourceIp": request.source_ip,
        "acs:SecureTransport": str(request.scheme == "https").lower(),
        "acs:CurrentTime": time_text(now),
        "acs:UserAgent": request.headers.get("user-agent", ""),
    }


def _answer(
    recording: Recording, values: Values, request: Request, decided: Decided | None
) -> Response:
    body = fill(recording, {"HostId": request.host, **values})
    headers = dict(recording.headers)
    # STS prefers JSON, and so do the newer clients, which sign in headers and send no Format.
    json_by_default = recording.service == "sts" or "authorization" in request.headers
    default = "JSON" if json_by_default else "XML"
    if request.parameters.get("Format", default).upper() == "XML":
        root = "Error" if recording.code else f"{recording.operation}Response"
        body = '<?xml version="1.0" encoding="UTF-8"?>' + _xml(root, json.loads(body))
        headers["Content-Type"] = "text/xml;charset=utf-8"
    encoded = body.encode()
    headers["Content-Length"] = str(len(encoded))
    return Response(recording.status, headers, encoded, decided)


def _xml(name: str, value: Any) -> str:
    if isinstance(value, list):
        return "".join(_xml(name, entry) for entry in value)
    if isinstance(value, dict):
        inner = "".join(_xml(key, child) for key, child in value.items())
        return f"<{name}>{inner}</{name}>"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"<{name}>{xml_text(text)}</{name}>"


def missing_parameter(name: str) -> ServiceError:
    """The gateway's error for a parameter that is not given, as RAM and STS pass it on."""
    return ServiceError(
        "MissingParameter",
        Decided("parameter", f"{name} is not given"),
        Code=f"Missing{name}",
        Message=f"{name} is mandatory for this action.",
    )


def whole_number(call: Call, name: str, default: int) -> int:
    """The parameter as a number, ``default`` without it. Raises InvalidParameter.Format."""
    if not re.fullmatch(r"[0-9]{0,9}", call[name]):
        decided = Decided("parameter", f"{name} must be a whole number")
        raise ServiceError("InvalidParameter.Format", decided)
    return int(call[name] or default)


def time_text(moment: datetime) -> str:
    """A time as RAM writes it: UTC, to the second."""
    return f"{moment.isoformat(timespec='seconds')[:19]}Z"
