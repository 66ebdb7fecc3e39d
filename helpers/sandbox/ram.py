"""RAM: roles, policies and what ties them together.

State is three tables of the account: ``roles``, ``policies`` and each role's ``attached``. Every
function checks what the service checks and then changes the state; the answer's body is a
recording. Rules and error codes:
https://www.alibabacloud.com/help/en/ram/developer-reference/api-ram-2015-05-01-overview
"""

from __future__ import annotations

import re
from typing import Any

from ..message import Decided, NotModelled, ServiceError
from ..policy import PolicyError, UnsupportedPolicy, parse
from .account import Policy, PolicyVersion, Role
from .rpc import Call, Service, Values, missing_parameter, time_text, whole_number

ROLE_NAME = re.compile(r"[a-zA-Z0-9.\-]+")
POLICY_NAME = re.compile(r"[a-zA-Z0-9\-]+")
NAMES = {"RoleName": (ROLE_NAME, 64), "PolicyName": (POLICY_NAME, 128)}
VERSIONS_OF_A_POLICY = 5
POLICIES_OF_A_ROLE = {"Custom": 5, "System": 20}
DESCRIPTION_LENGTH = 1024
SESSION_DURATIONS = range(3600, 43_200 + 1)  # seconds
PAGE_SIZES = range(1, 1000 + 1)


def _denied(call: Call, action: str, resource: str) -> ServiceError:
    return ServiceError(
        "NoPermission",
        Decided("policy", call.decide(action, resource).reason),
        Message=f"You are not authorized to do this action. Resource: {resource} Action: {action}",
    )


SERVICE = Service(
    "ram",
    "2015-05-01",
    re.compile(r"ram(\.vpc-proxy)?\.aliyuncs\.com"),
    missing_parameter,
    _denied,
)


def _role_resource(call: Call) -> list[str]:
    return [f"acs:ram:*:{call.account.account_id}:role/{call['RoleName'] or '*'}"]


def _any_role(call: Call) -> list[str]:
    return [f"acs:ram:*:{call.account.account_id}:role/*"]


def _policy_resource(call: Call) -> list[str]:
    owner = "system" if call["PolicyType"] == "System" else call.account.account_id
    return [f"acs:ram:*:{owner}:policy/{call['PolicyName'] or '*'}"]


def _any_policy(call: Call) -> list[str]:
    return [f"acs:ram:*:{call.account.account_id}:policy/*"]


def _both(call: Call) -> list[str]:
    return _role_resource(call) + _policy_resource(call)


@SERVICE.operation(
    "CreateRole",
    "RoleName",
    "AssumeRolePolicyDocument",
    optional="Description MaxSessionDuration Tag Tag.N.Key Tag.N.Value",
    on=_any_role,
)
def create_role(call: Call) -> Values:
    name = _checked_name(call, "RoleName")
    _check_description(call)
    _check_document(call["AssumeRolePolicyDocument"], "trust")
    duration = _within(call, "MaxSessionDuration", 3600, SESSION_DURATIONS)
    if name in call.account.roles:
        raise ServiceError(
            "EntityAlreadyExists.Role",
            Decided("state", f"the role {name} exists"),
            Message=f"The role already exists:{name}",
        )
    role = Role(
        name,
        call.account.mint("3", 16),
        call["AssumeRolePolicyDocument"],
        call.now,
        call["Description"],
        duration,
    )
    call.account.roles[name] = role
    return {"Role": _role_values(call, role)}


@SERVICE.operation("GetRole", "RoleName", on=_role_resource)
def get_role(call: Call) -> Values:
    return {"Role": _role_values(call, _role(call))}


@SERVICE.operation("ListRoles", optional="Marker MaxItems", on=_any_role)
def list_roles(call: Call) -> Values:
    roles = [role for name, role in sorted(call.account.roles.items()) if name > call["Marker"]]
    page = roles[: _within(call, "MaxItems", 100, PAGE_SIZES)]
    truncated = len(page) < len(roles)
    return {
        "Role": [_role_values(call, role) for role in page],
        "IsTruncated": truncated,
        "Marker": page[-1].name if truncated else None,
    }


@SERVICE.operation("DeleteRole", "RoleName", on=_role_resource)
def delete_role(call: Call) -> Values:
    role = _role(call)
    if role.attached:
        attached = ", ".join(name for _, name in role.attached)
        raise ServiceError(
            "DeleteConflict.Role.Policy", Decided("state", f"still attached: {attached}")
        )
    del call.account.roles[role.name]
    return {}


@SERVICE.operation(
    "CreatePolicy",
    "PolicyName",
    "PolicyDocument",
    optional="Description Tag Tag.N.Key Tag.N.Value",
    on=_any_policy,
)
def create_policy(call: Call) -> Values:
    name = _checked_name(call, "PolicyName")
    _check_description(call)
    _check_document(call["PolicyDocument"], "identity")
    if ("Custom", name) in call.account.policies:
        raise ServiceError(
            "EntityAlreadyExists.Policy", Decided("state", f"the policy {name} exists")
        )
    policy = Policy(name, "Custom", call.now, description=call["Description"])
    policy.versions.append(PolicyVersion("v1", call["PolicyDocument"], call.now))
    call.account.policies["Custom", name] = policy
    return {"Policy": _policy_values(call, policy)}


@SERVICE.operation("GetPolicy", "PolicyType", "PolicyName", on=_policy_resource)
def get_policy(call: Call) -> Values:
    policy = _policy(call)
    version = next(v for v in policy.versions if v.version_id == policy.default_version)
    return {
        "Policy": _policy_values(call, policy),
        "DefaultPolicyVersion": {
            "VersionId": version.version_id,
            "PolicyDocument": version.document,
            "CreateDate": time_text(version.created),
        },
    }


@SERVICE.operation(
    "CreatePolicyVersion",
    "PolicyName",
    "PolicyDocument",
    optional="SetAsDefault RotateStrategy",
    on=_policy_resource,
)
def create_policy_version(call: Call) -> Values:
    policy = _policy(call)
    _check_document(call["PolicyDocument"], "identity")
    if len(policy.versions) >= VERSIONS_OF_A_POLICY:
        _make_room(call, policy)
    number = 1 + max(int(version.version_id[1:]) for version in policy.versions)
    version = PolicyVersion(f"v{number}", call["PolicyDocument"], call.now)
    policy.versions.append(version)
    default = call["SetAsDefault"].lower() == "true"
    if default:
        policy.default_version, policy.updated = version.version_id, call.now
    return {
        "PolicyVersion": {
            "VersionId": version.version_id,
            "IsDefaultVersion": default,
            "PolicyDocument": version.document,
            "CreateDate": time_text(call.now),
        }
    }


@SERVICE.operation("DeletePolicy", "PolicyName", optional="CascadingDelete", on=_policy_resource)
def delete_policy(call: Call) -> Values:
    policy = _policy(call)
    roles = [role.name for role in _roles_with(call, policy)]
    cascading = call["CascadingDelete"].lower() == "true"
    if roles and not cascading:
        decided = Decided("state", f"still attached to {', '.join(roles)}")
        raise ServiceError("DeleteConflict.Role.Policy", decided)
    if len(policy.versions) > 1 and not cascading:
        decided = Decided("state", f"{len(policy.versions)} versions exist")
        raise ServiceError("DeleteConflict.Policy.Version", decided)
    for role in _roles_with(call, policy):
        del role.attached["Custom", policy.name]
    del call.account.policies["Custom", policy.name]
    return {}


@SERVICE.operation("AttachPolicyToRole", "PolicyType", "PolicyName", "RoleName", on=_both)
def attach_policy_to_role(call: Call) -> Values:
    role, policy = _role(call), _policy(call)
    key = policy.policy_type, policy.name
    if key in role.attached:
        raise ServiceError(
            "EntityAlreadyExists.Role.Policy",
            Decided("state", f"{policy.name} is attached to {role.name}"),
        )
    kind = policy.policy_type
    if sum(other == kind for other, _ in role.attached) >= POLICIES_OF_A_ROLE[kind]:
        decided = Decided("limit", f"{POLICIES_OF_A_ROLE[kind]} {kind} policies a role")
        raise ServiceError("LimitExceeded.Role.Policy", decided)
    role.attached[key] = call.now
    return {}


@SERVICE.operation("DetachPolicyFromRole", "PolicyType", "PolicyName", "RoleName", on=_both)
def detach_policy_from_role(call: Call) -> Values:
    role, policy = _role(call), _policy(call)
    if role.attached.pop((policy.policy_type, policy.name), None) is None:
        raise ServiceError(
            "EntityNotExist.Role.Policy",
            Decided("state", f"{policy.name} is not attached to {role.name}"),
        )
    return {}


@SERVICE.operation("ListPoliciesForRole", "RoleName", on=_role_resource)
def list_policies_for_role(call: Call) -> Values:
    role = _role(call)
    attached = [
        {**_policy_values(call, call.account.policies[key]), "AttachDate": time_text(since)}
        for key, since in role.attached.items()
    ]
    return {"Policies": {"Policy": attached}}


def _make_room(call: Call, policy: Policy) -> None:
    """RotateStrategy decides whether a sixth version replaces the oldest that is not the default.

    https://www.alibabacloud.com/help/en/ram/developer-reference/api-ram-2015-05-01-createpolicyversion
    """
    if call["RotateStrategy"] != "DeleteOldestNonDefaultVersionWhenLimitExceeded":
        decided = Decided("limit", f"{VERSIONS_OF_A_POLICY} versions a policy")
        raise ServiceError("LimitExceeded.Policy.Version", decided)
    oldest = next(v for v in policy.versions if v.version_id != policy.default_version)
    policy.versions.remove(oldest)


def _checked_name(call: Call, parameter: str) -> str:
    pattern, length = NAMES[parameter]
    name = call[parameter]
    if len(name) > length:
        decided = Decided("parameter", f"{len(name)} characters, at most {length}")
        raise ServiceError(f"InvalidParameter.{parameter}.Length", decided)
    if not pattern.fullmatch(name):
        decided = Decided("parameter", f"{name!r} must match {pattern.pattern}")
        raise ServiceError(f"InvalidParameter.{parameter}.InvalidChars", decided)
    return name


def _check_description(call: Call) -> None:
    if len(call["Description"]) > DESCRIPTION_LENGTH:
        decided = Decided("parameter", f"at most {DESCRIPTION_LENGTH} characters")
        raise ServiceError("InvalidParameter.Description.Length", decided)


def _within(call: Call, parameter: str, default: int, allowed: range) -> int:
    number = whole_number(call, parameter, default)
    if number not in allowed:
        decided = Decided("parameter", f"{number} is not within {allowed[0]} to {allowed[-1]}")
        raise ServiceError(f"InvalidParameter.{parameter}", decided)
    return number


def _check_document(document: str, kind: Any) -> None:
    parameter = "AssumeRolePolicyDocument" if kind == "trust" else "PolicyDocument"
    try:
        parse(document, kind)
    except UnsupportedPolicy as error:
        raise NotModelled(f"{parameter} is not modelled here: {error}") from None
    except PolicyError as error:
        decided = Decided("policy grammar", str(error))
        if error.too_long:
            raise ServiceError(f"InvalidParameter.{parameter}.Length", decided) from None
        raise ServiceError("MalformedPolicyDocument", decided, Message=error.fault) from None


def _role(call: Call) -> Role:
    name = _checked_name(call, "RoleName")
    if name not in call.account.roles:
        raise ServiceError("EntityNotExist.Role", Decided("state", f"there is no role {name}"))
    return call.account.roles[name]


def _policy(call: Call) -> Policy:
    kind = call["PolicyType"] or "Custom"
    if kind not in POLICIES_OF_A_ROLE:
        decided = Decided("parameter", f"{kind!r} is neither System nor Custom")
        raise ServiceError("InvalidParameter.PolicyType", decided)
    name = _checked_name(call, "PolicyName")
    if (kind, name) not in call.account.policies:
        decided = Decided("state", f"there is no {kind} policy {name}")
        raise ServiceError("EntityNotExist.Policy", decided)
    return call.account.policies[kind, name]


def _roles_with(call: Call, policy: Policy) -> list[Role]:
    key = policy.policy_type, policy.name
    return [role for role in call.account.roles.values() if key in role.attached]


def _role_values(call: Call, role: Role) -> dict[str, Any]:
    return {
        "RoleName": role.name,
        "RoleId": role.role_id,
        "Arn": call.account.role_arn(role.name),
        "Description": role.description or None,
        "AssumeRolePolicyDocument": role.assume_role_policy_document,
        "MaxSessionDuration": role.max_session_duration,
        "CreateDate": time_text(role.created),
        "UpdateDate": time_text(role.created),
    }


def _policy_values(call: Call, policy: Policy) -> dict[str, Any]:
    return {
        "PolicyName": policy.name,
        "PolicyType": policy.policy_type,
        "Description": policy.description,
        "DefaultVersion": policy.default_version,
        "AttachmentCount": len(_roles_with(call, policy)),
        "CreateDate": time_text(policy.created),
        "UpdateDate": time_text(policy.updated or policy.created),
    }
