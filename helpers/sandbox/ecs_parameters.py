"""What ECS's parameters must look like: tables of patterns, and checks that a pattern cannot make.

Each refusal has the code that the operation's page gives; where the pages give none, it is the
general InvalidParameter, whose message names the parameter. Limits and codes:
https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-createinstance
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from ipaddress import IPv4Network

from ..message import Decided, ServiceError
from ..policy import PolicyError, parse
from .rpc import Call, whole_number

Rules = Mapping[str, tuple[str, str]]

STATES = ("Pending", "Running", "Starting", "Stopping", "Stopped")
SESSION_POLICY_CHARACTERS = 1024
USER_DATA_BYTES = 16 * 1024
PASSWORD = re.compile(r"[A-Za-z0-9()`~!@#$%^&*\-_+=|{}\[\]:;'<>,.?/]{8,30}")
PASSWORD_KINDS = ("[A-Z]", "[a-z]", "[0-9]", "[^A-Za-z0-9]")
HOST_NAME = r"(?=.{2,64}$)[A-Za-z0-9]+([.-][A-Za-z0-9]+)*"
WINDOWS_HOST_NAME = r"(?=.{2,15}$)(?![0-9]+$)[A-Za-z0-9]+(-[A-Za-z0-9]+)*"
INSTANCE_TYPE = r"ecs\.[a-z][a-z0-9-]*\.(nano|small|medium|(([1-9][0-9]{0,2})?x)?large)"

# Parameter: what it must match, and the code if it does not.
NAMING: Rules = {
    "InstanceName": (r"(?!https?://)[^\W\d_][\w:.\-]{1,127}", "InvalidInstanceName.Malformed"),
    "Description": (r"(?!https?://)(?s:.{2,256})", "InvalidDescription.Malformed"),
}
METADATA_OPTIONS: Rules = {
    "HttpEndpoint": ("enabled|disabled", "InvalidHttpEndpoint.NotSupported"),
    "HttpTokens": ("optional|required", "InvalidHttpTokens.NotSupported"),
}
CREATION: Rules = {
    "ClientToken": (r"[\x20-\x7e]{1,64}", "InvalidClientToken.ValueNotSupported"),
    "InstanceType": (INSTANCE_TYPE, "InvalidInstanceType.ValueNotSupported"),
    "InternetMaxBandwidthOut": ("[0-9]{1,2}|100", ""),
    "InternetChargeType": (
        "PayByTraffic|PayByBandwidth",
        "InvalidInternetChargeType.ValueNotSupported",
    ),
    "InstanceChargeType": ("PostPaid|PrePaid", "InvalidInstanceChargeType.NotFound"),
    "SystemDisk.Category": (
        "cloud_essd|cloud_efficiency|cloud_ssd|cloud",
        "InvalidSystemDiskCategory.ValueNotSupported",
    ),
    "SystemDisk.Size": ("[2-9][0-9]|[1-4][0-9]{2}|500", "InvalidSystemDiskSize"),
    **NAMING,
    **METADATA_OPTIONS,
}
STOPPING: Rules = {"StoppedMode": ("KeepCharging|StopCharging", "")}
FILTERS: Rules = {
    "Status": ("|".join(STATES), "InvalidStatus.NotFound"),
    "InstanceNetworkType": ("vpc|classic", "InvalidNetworkType.NotFound"),
}
SECURITY: Rules = {
    "IpProtocol": ("(?i:tcp|udp|icmp|gre|all)", "InvalidIpProtocol.ValueNotSupported"),
    "Policy": ("accept|drop", "InvalidPolicy.Malformed"),
    "Priority": ("[1-9][0-9]?|100", "InvalidPriority.Malformed"),
    "NicType": ("internet|intranet", "InvalidNicType.ValueNotSupported"),
    "Description": ("(?s:.{1,512})", "InvalidSecurityGroupDiscription.Malformed"),
}


def check(call: Call, rules: Rules) -> None:
    """Raises ServiceError for the first parameter that is given and breaks its rule."""
    for name, (pattern, code) in rules.items():
        if call[name] and not re.fullmatch(pattern, call[name]):
            raise invalid(name, f"is {call[name]!r} and must match {pattern}", code)


def invalid(name: str, reason: str, code: str = "") -> ServiceError:
    decided = Decided("parameter", f"{name} {reason}")
    if code:
        return ServiceError(code, decided)
    message = f'The specified parameter "{name}" is not valid.'
    return ServiceError("InvalidParameter", decided, Message=message)


def missing(name: str) -> ServiceError:
    return ServiceError(
        "MissingParameter",
        Decided("parameter", f"{name} is not given"),
        Message=f'The input parameter "{name}" that is mandatory for processing this request '
        "is not supplied.",
    )


def true(call: Call, name: str) -> bool:
    return call[name].lower() == "true"


def number(call: Call, name: str, default: int, largest: int) -> int:
    """A parameter from 1 to ``largest``."""
    found = whole_number(call, name, default)
    if not 1 <= found <= largest:
        raise invalid(name, f"is {found} and must be 1 to {largest}")
    return found


def instance_ids(call: Call) -> list[str]:
    """InstanceIds is a JSON array as text: 1 to 100 ids; as a filter it may be empty."""
    try:
        ids = json.loads(call["InstanceIds"])
    except (ValueError, RecursionError):
        ids = None
    fewest = 0 if call["Action"] == "DescribeInstances" else 1
    is_list = isinstance(ids, list) and all(isinstance(one, str) for one in ids)
    if not is_list or not fewest <= len(ids) <= 100:
        form = """must be a JSON array of at most 100 ids as text, like '["i-bXXXXXXXX"]'"""
        raise invalid("InstanceIds", form, "InvalidInstanceIds.Malformed")
    return list(dict.fromkeys(ids))


def check_login(call: Call, image_id: str) -> None:
    """HostName, Password and UserData, whose values are not repeated anywhere."""
    windows = image_id.startswith("win")
    host_name = WINDOWS_HOST_NAME if windows else HOST_NAME
    check(call, {"HostName": (host_name, "InvalidHostName.Malformed")})
    if call["Password"] and not _is_password(call["Password"], windows):
        rule = "needs 8 to 30 characters of three kinds: upper case, lower case, digits, special"
        raise invalid("Password", rule, "InvalidPassword.Malformed")
    _check_user_data(call["UserData"])


def _is_password(password: str, windows: bool) -> bool:
    kinds = [kind for kind in PASSWORD_KINDS if re.search(kind, password)]
    no_option = not (windows and password.startswith("/"))
    return PASSWORD.fullmatch(password) is not None and len(kinds) >= 3 and no_option


def _check_user_data(encoded: str) -> None:
    try:
        size = len(base64.b64decode(encoded, validate=True))
    except ValueError:
        raise invalid("UserData", "is not Base64") from None
    if size > USER_DATA_BYTES:
        reason = f"has {size} bytes; at most {USER_DATA_BYTES} are allowed"
        raise invalid("UserData", reason, "InvalidUserData.SizeExceeded")


def check_session_policy(call: Call) -> None:
    """AttachInstanceRamRole's Policy, which can only narrow what the role may do."""
    document = call["Policy"]
    if len(document) > SESSION_POLICY_CHARACTERS:
        limit = f"at most {SESSION_POLICY_CHARACTERS} are allowed"
        raise invalid("Policy", f"has {len(document)} characters; {limit}")
    try:
        if document:
            parse(document)
    except PolicyError as error:
        raise invalid("Policy", f"is no policy: {error}") from None


def check_ports(call: Call) -> None:
    """PortRange is ``from/to`` for tcp and udp, and ``-1/-1`` for the protocols without ports."""
    ports = call["PortRange"]
    has_ports = call["IpProtocol"].lower() in ("tcp", "udp")
    if has_ports == (ports == "-1/-1"):
        decided = Decided("parameter", f"{call['IpProtocol']} does not go with PortRange {ports}")
        raise ServiceError("OperationDenied", decided)
    found = re.fullmatch("([0-9]{1,5})/([0-9]{1,5})", ports)
    if has_ports and not (found and 1 <= int(found[1]) <= int(found[2]) <= 65535):
        raise invalid("PortRange", "must be like 22/22", "InvalidIpProtocol.Malformed")


def check_source(call: Call) -> None:
    if not call["SourceCidrIp"] and not call["SourceGroupId"]:
        decided = Decided("parameter", "neither SourceCidrIp nor SourceGroupId is given")
        raise ServiceError("MissingParameter.Source", decided)
    try:
        IPv4Network(call["SourceCidrIp"] or "0.0.0.0", strict=False)
    except ValueError:
        reason = "is no IPv4 address or CIDR block"
        raise invalid("SourceCidrIp", reason, "InvalidSourceCidrIp.Malformed") from None
