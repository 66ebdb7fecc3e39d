"""STS: who calls, and a role's temporary credential for a RAM user or another role.

AssumeRole asks two policies, and both must allow: the caller's own, before the operation runs, and
the role's trust policy. Rules and error texts:
https://www.alibabacloud.com/help/en/ram/developer-reference/api-sts-2015-04-01-assumerole
"""

from __future__ import annotations

import re
from datetime import timedelta

from ..message import Decided, NotModelled, ServiceError
from ..policy import PolicyError, UnsupportedPolicy, parse, trusts
from .access import Principal
from .account import Role
from .credentials import issue
from .rpc import Call, Service, Values, missing_parameter, time_text, whole_number

ROLE_ARN = re.compile(r"acs:ram::(?P<account_id>[^:/]+):role/(?P<role_name>[^:/]+)")
ROLE_SESSION_NAME = re.compile(r"[a-zA-Z0-9.@\-_]{2,64}")
SHORTEST = 900  # seconds
DEFAULT = 3600
POLICY_CHARACTERS = 2048


def _denied(call: Call, action: str, resource: str) -> ServiceError:
    return ServiceError("NoPermission", Decided("policy", call.decide(action, resource).reason))


SERVICE = Service(
    "sts",
    "2015-04-01",
    re.compile(r"sts(-vpc)?(\.[a-z0-9-]+)?\.aliyuncs\.com"),
    missing_parameter,
    _denied,
)


def _nothing(call: Call) -> list[str]:
    return []


def _role_resource(call: Call) -> list[str]:
    arn = ROLE_ARN.fullmatch(call["RoleArn"])
    if arn is None:
        raise ServiceError("InvalidParameter.RoleArn", Decided("parameter", "no ARN of a role"))
    return [f"acs:ram:*:{arn['account_id']}:role/{arn['role_name']}"]


@SERVICE.operation("GetCallerIdentity", on=_nothing)
def get_caller_identity(call: Call) -> Values:
    """It needs no permission, so that no Deny stops it either.

    https://www.alibabacloud.com/help/en/ram/developer-reference/api-sts-2015-04-01-getcalleridentity
    """
    caller = call.principal
    id_, of_a_role = caller.principal_id.partition(":")[0], caller.kind == "AssumedRoleUser"
    return {
        "IdentityType": caller.kind,
        "AccountId": call.account.account_id,
        "PrincipalId": caller.principal_id,
        "Arn": caller.arn,
        "UserId": None if of_a_role else id_,
        "RoleId": id_ if of_a_role else None,
    }


@SERVICE.operation(
    "AssumeRole",
    "RoleArn",
    "RoleSessionName",
    optional="DurationSeconds Policy",
    on=_role_resource,
)
def assume_role(call: Call) -> Values:
    _refuse_root(call)
    role = _role(call)
    session_name = _session_name(call)
    lifetime = _lifetime(call, role)
    _check_session_policy(call["Policy"])
    _check_trust(call, role)
    credential = issue(
        call.account, role, session_name, call.now, lifetime, session_policy=call["Policy"]
    )
    return {
        "AccessKeyId": credential.access_key_id,
        "AccessKeySecret": credential.secret,
        "SecurityToken": credential.security_token,
        "Expiration": time_text(credential.expires_at),
        "Arn": f"{call.account.role_arn(role.name)}/{session_name}",
        "AssumedRoleId": f"{role.role_id}:{session_name}",
    }


def _refuse_root(call: Call) -> None:
    """https://www.alibabacloud.com/help/doc-detail/42775.htm"""
    if call.principal.kind == "Account":
        raise ServiceError(
            "NoPermission",
            Decided("principal", "the account's own key may not assume a role"),
            Message="Roles may not be assumed by root accounts.",
        )


def _role(call: Call) -> Role:
    arn = re.fullmatch(ROLE_ARN, call["RoleArn"])
    assert arn is not None  # _role_resource has checked it
    if arn["account_id"] != call.account.account_id:
        raise NotModelled(
            f"AssumeRole on {call['RoleArn']} is not modelled here: the only account is "
            f'{call.account.account_id}. mode="live" would send it.'
        )
    role = call.account.roles.get(arn["role_name"])
    if role is None:
        raise ServiceError(
            "EntityNotExist.Role",
            Decided("state", f"there is no role {arn['role_name']}"),
            Message=f"The role not exists: {call['RoleArn'].lower()}.",
        )
    return role


def _session_name(call: Call) -> str:
    if not ROLE_SESSION_NAME.fullmatch(call["RoleSessionName"]):
        decided = Decided("parameter", f"it must match {ROLE_SESSION_NAME.pattern}")
        raise ServiceError("InvalidParameter.RoleSessionName", decided)
    return call["RoleSessionName"]


def _lifetime(call: Call, role: Role) -> timedelta:
    seconds = whole_number(call, "DurationSeconds", DEFAULT)
    longest = role.max_session_duration
    if not SHORTEST <= seconds <= longest:
        raise ServiceError(
            "InvalidParameter.DurationSeconds",
            Decided("parameter", f"{seconds} is not within {SHORTEST} to {longest} seconds"),
            Message=f"The Min/Max value of DurationSeconds is 15min/{longest / 3600:g}hr.",
        )
    return timedelta(seconds=seconds)


def _check_session_policy(document: str) -> None:
    if len(document) > POLICY_CHARACTERS:
        raise ServiceError(
            "InvalidParameter.PolicySize",
            Decided("parameter", f"{len(document)} characters, at most {POLICY_CHARACTERS}"),
            Message=f"The size of Policy must be smaller than {POLICY_CHARACTERS} bytes.",
        )
    try:
        if document:
            parse(document)
    except UnsupportedPolicy as error:
        raise NotModelled(f"Policy is not modelled here: {error}") from None
    except PolicyError as error:
        decided = Decided("policy grammar", str(error))
        raise ServiceError("InvalidParameter.PolicyGrammar", decided) from None


def _check_trust(call: Call, role: Role) -> None:
    decision = trusts(
        role.assume_role_policy_document, "RAM", _trustee(call, call.principal), call.context
    )
    if not decision.allowed:
        raise ServiceError("NoPermission", Decided("trust policy", decision.reason))


def _trustee(call: Call, caller: Principal) -> str:
    """How a trust policy names the caller: a RAM user, or the role behind a session."""
    if caller.kind == "AssumedRoleUser":
        return call.account.role_arn(caller.name.partition("/")[0])
    return caller.arn
