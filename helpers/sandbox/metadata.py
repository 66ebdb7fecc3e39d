"""The metadata address: what a program on an ECS instance can read about it, credentials included.

It answers by path, with plain text; errors are pages, not JSON. Who asks is ``account.here``, an
instance's id. A role's credential lives six hours; the next one is offered half an hour before the
end, and both work in between. Paths and rules:
https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata
Statuses of refusals are published nowhere; ``sources.json`` says which ones are modelled.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from ..message import Decided, NotModelled, Request, Response, ServiceError
from ..recordings import Recording, Recordings, fill
from .account import Account, Instance, Role, SessionCredential
from .credentials import BASE64, issue
from .rpc import time_text

HOSTS = re.compile(r"100\.100\.100\.200")
LIFETIME = timedelta(hours=6)
OVERLAP = timedelta(minutes=30)
LONGEST_TOKEN_LIFE = 21_600  # seconds

PATH = re.compile(r"/(?:latest|2016-01-01)/(?P<item>.+?)/?")
CREDENTIALS = re.compile(r"meta-data/[rR]am/security-credentials(?:/(?P<role_name>[^/]+))?")
# Documented, and not served here.
OTHERS = re.compile(
    r"/(latest|2016-01-01)/?|(maintenance|dynamic)(/.*)?|meta-data/[rR]am"
    r"|meta-data/(all|eipv4|image|instance|mac|network|dns-conf|ntp-conf|public-keys|serial-number"
    r"|source-address|sub-private-ipv4-list|vpc-cidr-block|vswitch-cidr-block)(/.*)?"
)

Values = Mapping[str, str | None]
Answer = tuple[str, Values]


def handle(account: Account, recordings: Recordings, request: Request, now: datetime) -> Response:
    """Answer one request from the instance ``account.here``.

    Raises NotModelled where no program could ask (no instance, or not a running one in a VPC, or
    https) and for the documented items that are not served here.
    """
    if request.scheme != "http":
        raise NotModelled(f"100.100.100.200 answers over plain http only, not {request.scheme}.")
    instance = _asking(account, now)
    try:
        item, values = _answer(account, instance, request, now)
    except ServiceError as error:
        return refuse(recordings, request, now, error)
    return _response(recordings.find("metadata", item), values, Decided("metadata", item))


def refuse(
    recordings: Recordings, request: Request, now: datetime, error: ServiceError
) -> Response:
    """The answer that says ``error``."""
    return _response(recordings.find("metadata", "", error.code), {}, error.decided)


def _asking(account: Account, now: datetime) -> Instance:
    instance = account.instances.get(account.here)
    if instance is None:
        fault = "this program does not run on an ECS instance"
    elif (status := instance.status_at(now)) != "Running":
        fault = f"{account.here} is {status}, so no program runs there; start it first"
    elif instance.network_type != "vpc":
        fault = f"{account.here} is of the {instance.network_type} network, not in a VPC"
    else:
        return instance
    raise NotModelled(
        f"100.100.100.200 answers only from inside a running instance in a VPC, and {fault}. "
        "In production the connection would time out."
    )


def _answer(account: Account, instance: Instance, request: Request, now: datetime) -> Answer:
    if instance.http_endpoint == "disabled":
        raise ServiceError("Forbidden", Decided("HttpEndpoint", "the address is switched off"))
    path = PATH.fullmatch(request.path)
    item = path["item"] if path else request.path
    if item == "api/token" and request.method == "PUT":
        return "token", {"text": _new_token(account, instance, request, now)}
    if item == "api/token" or request.method != "GET":
        raise ServiceError("MethodNotAllowed", Decided("method", request.method))
    _check_token(account, instance, request, now)
    return _read(account, instance, item, now)


def _read(account: Account, instance: Instance, item: str, now: datetime) -> Answer:
    items = _items(account, instance)
    if text := items.get(item):
        return item.rpartition("/")[2], {"text": text}
    if path := CREDENTIALS.fullmatch(item):
        return _credentials(account, instance, path["role_name"], now)
    if item == "meta-data":
        return item, {"text": _listing(account, instance)}
    if item == "/":
        return "versions", {}
    if item in items or OTHERS.fullmatch(item):
        raise NotModelled(
            f"The metadata item {item} of {instance.instance_id} is not modelled here."
        )
    raise ServiceError("NotFound", Decided("state", f"nothing is at {item}"))


def _items(account: Account, instance: Instance) -> dict[str, str | None]:
    attributes = instance.attributes
    v_switch = account.v_switches.get(attributes.get("VSwitchId", ""), {})
    return {
        "meta-data/hostname": attributes.get("HostName"),
        "meta-data/image-id": attributes.get("ImageId"),
        "meta-data/instance-id": instance.instance_id,
        "meta-data/instance/instance-type": attributes.get("InstanceType"),
        "meta-data/network-type": instance.network_type,
        "meta-data/owner-account-id": account.account_id,
        "meta-data/private-ipv4": attributes.get("PrivateIpAddress"),
        "meta-data/region-id": instance.region_id,
        "meta-data/vpc-id": v_switch.get("VpcId"),
        "meta-data/vswitch-id": attributes.get("VSwitchId"),
        "meta-data/zone-id": v_switch.get("ZoneId"),
    }


def _listing(account: Account, instance: Instance) -> str:
    """The names below ``meta-data/``, folders with a slash."""
    items = [name.removeprefix("meta-data/") for name in _items(account, instance)]
    names = {re.sub("/.*", "/", name) for name in items}
    if instance.role_name in account.roles:
        names.add("ram/")
    return "".join(f"{name}\n" for name in sorted(names))


def _credentials(
    account: Account, instance: Instance, role_name: str | None, now: datetime
) -> Answer:
    role = account.roles.get(instance.role_name)
    if role is None:
        raise ServiceError("NotFound", Decided("state", "no role is attached"))
    if role_name is None:
        return "ram-role-name", {"text": role.name}
    if role_name != role.name:
        raise ServiceError("NotFound", Decided("state", f"the attached role is {role.name}"))
    credential = _current(account, instance, role, now)
    return "ram-role-credentials", {
        "AccessKeyId": credential.access_key_id,
        "AccessKeySecret": credential.secret,
        "Expiration": time_text(credential.expires_at),
        "SecurityToken": credential.security_token,
        "LastUpdated": time_text(credential.issued_at),
    }


def _current(account: Account, instance: Instance, role: Role, now: datetime) -> SessionCredential:
    """The credential on offer: the first is issued when first asked for, the others on schedule.

    So what a program sees does not depend on how often it looks.
    """
    newest = _newest(account, instance, role)
    if newest is None:
        return _issue(account, instance, role, now)
    periods = (now - newest.issued_at) // (LIFETIME - OVERLAP)
    if periods < 1:
        return newest
    return _issue(account, instance, role, newest.issued_at + periods * (LIFETIME - OVERLAP))


def _newest(account: Account, instance: Instance, role: Role) -> SessionCredential | None:
    wanted = (role.role_id, instance.instance_id, instance.session_policy)
    for credential in reversed(account.credentials.values()):
        if (credential.role_id, credential.instance_id, credential.session_policy) == wanted:
            return credential
    return None


def _issue(
    account: Account, instance: Instance, role: Role, issued_at: datetime
) -> SessionCredential:
    """ECS names the session so: https://developer.hashicorp.com/vault/api-docs/auth/alicloud"""
    return issue(
        account,
        role,
        f"vm-ram-{instance.instance_id}",
        issued_at,
        LIFETIME,
        instance_id=instance.instance_id,
        session_policy=instance.session_policy,
    )


def _new_token(account: Account, instance: Instance, request: Request, now: datetime) -> str:
    if "x-forwarded-for" in request.headers:
        raise ServiceError("Forbidden", Decided("metadata token", "it came through a proxy"))
    life = request.headers.get("x-aliyun-ecs-metadata-token-ttl-seconds", "")
    if not re.fullmatch("[0-9]{1,5}", life) or not 1 <= int(life) <= LONGEST_TOKEN_LIFE:
        decided = Decided("metadata token", f"its life must be 1 to {LONGEST_TOKEN_LIFE} seconds")
        raise ServiceError("BadRequest", decided)
    token = account.mint("", 56, BASE64)
    account.metadata_tokens[instance.instance_id, token] = now + timedelta(seconds=int(life))
    return token


def _check_token(account: Account, instance: Instance, request: Request, now: datetime) -> None:
    token = request.headers.get("x-aliyun-ecs-metadata-token")
    if token is None:
        if instance.http_tokens == "required":
            raise ServiceError(
                "Unauthorized", Decided("metadata token", "none, and one is required")
            )
        return
    ends = account.metadata_tokens.get((instance.instance_id, token))
    if ends is None or now >= ends:
        fault = "it has expired" if ends else "it was not issued to this instance"
        raise ServiceError("Unauthorized", Decided("metadata token", fault))


def _response(recording: Recording, values: Values, decided: Decided | None) -> Response:
    body = fill(recording, values).encode()
    headers = {**recording.headers, "Content-Length": str(len(body))}
    return Response(recording.status, headers, body, decided)
