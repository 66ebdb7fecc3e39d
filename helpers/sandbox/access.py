"""Who calls, and may they: the two questions that every service asks before it acts.

``identify`` finds the principal behind an access key. What is wrong with a key or a token is named
here once, as a ``Fault``; each service answers it with its own code. ``authorise`` asks the policy
evaluator; the account's own key needs no policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from ..policy import Decision, decide
from .account import Account, SessionCredential


class Fault(Enum):
    """What can be wrong with the key and the token of a request."""

    UNKNOWN_KEY = "no such access key"
    DISABLED_KEY = "the access key is disabled"
    TOKEN_MISSING = "an STS key came without its security token"
    TOKEN_MISMATCH = "the security token belongs to another key"
    TOKEN_MALFORMED = "the security token is not one that was issued"
    TOKEN_EXPIRED = "the security token has expired"
    ROLE_GONE = "the role of the security token was deleted or detached"


class KeyRefused(Exception):
    """``fault`` says why the key or the token is no good."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.value)
        self.fault = fault


@dataclass(frozen=True)
class Principal:
    """A caller. ``kind`` is spelled as GetCallerIdentity spells its IdentityType."""

    kind: str
    name: str
    principal_id: str
    arn: str
    secret: str = field(repr=False)
    documents: tuple[tuple[str, str], ...] = ()
    session_policy: str = ""


def identify(
    account: Account, access_key_id: str, security_token: str | None, now: datetime
) -> Principal:
    """The principal that ``access_key_id`` belongs to. Raises KeyRefused."""
    if credential := account.credentials.get(access_key_id):
        return _role_session(account, credential, security_token, now)
    key = account.access_keys.get(access_key_id)
    if key is None:
        raise KeyRefused(Fault.UNKNOWN_KEY)
    if not key.active:
        raise KeyRefused(Fault.DISABLED_KEY)
    if security_token:
        raise KeyRefused(Fault.TOKEN_MISMATCH)
    if not key.user_name:
        root = f"acs:ram::{account.account_id}:root"
        return Principal("Account", "root", account.account_id, root, key.secret)
    user = account.users[key.user_name]
    arn = f"acs:ram::{account.account_id}:user/{user.name}"
    return Principal(
        "RAMUser", user.name, user.user_id, arn, key.secret, tuple(user.documents.items())
    )


def _role_session(
    account: Account, credential: SessionCredential, security_token: str | None, now: datetime
) -> Principal:
    if not security_token:
        raise KeyRefused(Fault.TOKEN_MISSING)
    if security_token != credential.security_token:
        issued = {other.security_token for other in account.credentials.values()}
        mismatch = security_token in issued
        raise KeyRefused(Fault.TOKEN_MISMATCH if mismatch else Fault.TOKEN_MALFORMED)
    if now >= credential.expires_at:
        raise KeyRefused(Fault.TOKEN_EXPIRED)
    role = account.roles.get(credential.role_name)
    if role is None or role.role_id != credential.role_id or _detached(account, credential):
        raise KeyRefused(Fault.ROLE_GONE)
    session = credential.session_name
    return Principal(
        "AssumedRoleUser",
        f"{role.name}/{session}",
        f"{role.role_id}:{session}",
        # STS writes a role's name in lower case here:
        # https://github.com/aliyun/terraform-provider-alicloud/issues/149
        f"acs:ram::{account.account_id}:assumed-role/{role.name.lower()}/{session}",
        credential.secret,
        tuple(account.documents_of(role)),
        credential.session_policy,
    )


def _detached(account: Account, credential: SessionCredential) -> bool:
    if not credential.instance_id:
        return False
    instance = account.instances.get(credential.instance_id)
    return instance is None or instance.role_name != credential.role_name


def authorise(
    principal: Principal, action: str, resource: str, context: Mapping[str, str]
) -> Decision:
    """What the principal's policies say. A session policy can only take rights away.

    https://www.alibabacloud.com/help/en/ram/policy-structure-and-syntax
    """
    if principal.kind == "Account":
        return Decision.of_the_account()
    if refusal := session_refusal(principal, action, resource, context):
        return refusal
    return decide(principal.documents, action, resource, context)


def session_refusal(
    principal: Principal, action: str, resource: str, context: Mapping[str, str]
) -> Decision | None:
    """What the session policy says, if there is one and it does not allow: it ends the decision."""
    if not principal.session_policy:
        return None
    documents = [("session policy", principal.session_policy)]
    decision = decide(documents, action, resource, context)
    return None if decision.allowed else decision
