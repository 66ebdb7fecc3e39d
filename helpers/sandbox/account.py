"""The state of one Alibaba Cloud account: what exists, and who may ask.

Plain dataclasses, no behaviour beyond looking up and minting ids. The service modules change
them; nothing here knows an API. Ids and keys are derived from the account's id and a counter, so
that two runs give the same ones; they are throw-away values that no real account has.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

# Instances live in one of these; durations of the transitory ones are documented nowhere, so
# these are ours (helpers/recordings/ecs/sources.json says `modelled`).
TRANSITIONS = {
    "Pending": ("Stopped", timedelta(seconds=5)),
    "Starting": ("Running", timedelta(seconds=20)),
    "Stopping": ("Stopped", timedelta(seconds=10)),
}


@dataclass
class AccessKey:
    """A long-term key pair; ``user_name`` is empty for the account's own key."""

    access_key_id: str
    secret: str = field(repr=False)
    user_name: str = ""
    active: bool = True


@dataclass
class Policy:
    """A custom or system policy with its versions, oldest first."""

    name: str
    policy_type: str
    created: datetime
    versions: list[PolicyVersion] = field(default_factory=list)
    default_version: str = "v1"
    description: str = ""
    updated: datetime | None = None

    @property
    def document(self) -> str:
        """The document of the default version: the one that decides."""
        return next(v.document for v in self.versions if v.version_id == self.default_version)


@dataclass
class PolicyVersion:
    version_id: str
    document: str
    created: datetime


@dataclass
class Role:
    """A RAM role. ``attached`` maps (policy type, policy name) to the time of attaching."""

    name: str
    role_id: str
    assume_role_policy_document: str
    created: datetime
    description: str = ""
    max_session_duration: int = 3600
    attached: dict[tuple[str, str], datetime] = field(default_factory=dict)


@dataclass
class User:
    """A RAM user and the documents of the policies that it has, by policy name."""

    name: str
    user_id: str
    documents: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SessionCredential:
    """One STS credential. It belongs to a role by id: a new role of the same name is another."""

    access_key_id: str
    secret: str = field(repr=False)
    security_token: str = field(repr=False)
    role_name: str
    role_id: str
    session_name: str
    issued_at: datetime
    expires_at: datetime
    instance_id: str = ""
    session_policy: str = ""


@dataclass
class Instance:
    """An ECS instance. ``since`` is when ``status`` began; see ``status_at``.

    ``attributes`` are by the API's names: what CreateInstance was told (``ImageId``,
    ``InstanceType``, ``VSwitchId``, ``Tag.1.Key`` …) and its addresses.
    """

    instance_id: str
    region_id: str
    created: datetime
    status: str = "Running"
    since: datetime | None = None
    network_type: str = "vpc"
    role_name: str = ""
    session_policy: str = ""
    http_endpoint: str = "enabled"
    http_tokens: str = "optional"
    attributes: dict[str, str] = field(default_factory=dict, repr=False)  # UserData may hold any

    def status_at(self, now: datetime) -> str:
        """The state at ``now``: a transitory state ends by itself as the clock advances."""
        following, duration = TRANSITIONS.get(self.status, (self.status, timedelta()))
        if self.since is not None and now - self.since >= duration:
            self.status, self.since = following, None
        return self.status

    def enter(self, status: str, now: datetime) -> None:
        self.status, self.since = status, now


@dataclass
class StoredObject:
    key: str
    body: bytes
    modified: datetime
    content_type: str = "application/octet-stream"
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass
class Bucket:
    name: str
    region_id: str
    created: datetime
    objects: dict[str, StoredObject] = field(default_factory=dict)


@dataclass
class Account:
    """Everything that one account holds."""

    account_id: str
    region_id: str = "cn-hangzhou"
    access_keys: dict[str, AccessKey] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)
    policies: dict[tuple[str, str], Policy] = field(default_factory=dict)
    credentials: dict[str, SessionCredential] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)
    images: set[str] = field(default_factory=set)
    # ClientToken to (digest of the call's parameters, id of the instance that it created).
    client_tokens: dict[str, tuple[str, str]] = field(default_factory=dict)
    security_groups: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    v_switches: dict[str, dict[str, str]] = field(default_factory=dict)
    buckets: dict[str, Bucket] = field(default_factory=dict)
    foreign_buckets: set[str] = field(default_factory=set)
    nonces: dict[str, datetime] = field(default_factory=dict)
    # (instance id, token) to the time when the token ends.
    metadata_tokens: dict[tuple[str, str], datetime] = field(default_factory=dict, repr=False)
    # Where the caller of the metadata address runs: the instance of this id.
    here: str = ""
    _counter: Iterator[int] = field(default_factory=lambda: itertools.count(1), repr=False)

    def mint(self, prefix: str, length: int, alphabet: str = "0123456789") -> str:
        """A new id: ``prefix`` and then ``length`` characters of ``alphabet``."""
        seed = f"{self.account_id}/{prefix}/{next(self._counter)}".encode()
        number = int.from_bytes(hashlib.shake_256(seed).digest(length * 2), "big")
        characters = []
        for _ in range(length):
            number, place = divmod(number, len(alphabet))
            characters.append(alphabet[place])
        return prefix + "".join(characters)

    def role_arn(self, role_name: str) -> str:
        return f"acs:ram::{self.account_id}:role/{role_name}"

    def documents_of(self, role: Role) -> list[tuple[str, str]]:
        """The (name, document) pairs of the policies attached to ``role``."""
        return [(name, self.policies[kind, name].document) for kind, name in role.attached]
