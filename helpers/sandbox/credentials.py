"""STS credentials: how one comes into being, for STS and for the metadata address alike.

They look like real ones, so that clients treat them so, and are throw-away: derived from the
account's counter. Expired ones stay in the account, since an expired token has its own refusal.
"""

from __future__ import annotations

import string
from datetime import datetime, timedelta

from .account import Account, Role, SessionCredential

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BASE64 = string.ascii_letters + string.digits + "+/"


def issue(
    account: Account,
    role: Role,
    session_name: str,
    issued_at: datetime,
    lifetime: timedelta,
    *,
    instance_id: str = "",
    session_policy: str = "",
) -> SessionCredential:
    """A new credential for ``role``, entered into the account; its times are whole seconds.

    One for an instance (``instance_id``) ends when the role is detached from it. A
    ``session_policy`` (JSON text) can only narrow what the role may do.
    """
    issued_at = issued_at.replace(microsecond=0)
    credential = SessionCredential(
        account.mint("STS.N", 24, BASE58),
        account.mint("", 44, BASE58),
        account.mint("CAIS", 320, BASE64),
        role.name,
        role.role_id,
        session_name,
        issued_at,
        issued_at + lifetime,
        instance_id,
        session_policy,
    )
    account.credentials[credential.access_key_id] = credential
    return credential
