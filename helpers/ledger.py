"""What a run created, and whether it still bills.

The ledger reads the exchanges: a create that succeeded adds an entry, the matching delete marks it
removed. It needs no cell to tell it anything, so nothing is forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from .message import Request, Response


class Kind(NamedTuple):
    """A kind of resource: its name for the reader, where its id stands, and whether it bills."""

    resource: str
    id_field: str
    bills: bool = False


ROLE = Kind("RAM role", "RoleName")
POLICY = Kind("RAM policy", "PolicyName")
INSTANCE = Kind("ECS instance", "InstanceId", bills=True)
CREATES = {"CreateRole": ROLE, "CreatePolicy": POLICY, "CreateInstance": INSTANCE}
DELETES = {"DeleteRole": ROLE, "DeletePolicy": POLICY, "DeleteInstance": INSTANCE}


@dataclass(frozen=True)
class Entry:
    """One resource that a run created."""

    resource: str
    id: str
    region: str
    bills: bool
    removed: bool = False


class Ledger:
    """The entries of a run, in the order of their creation."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], Entry] = {}

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    def __len__(self) -> int:
        return len(self._entries)

    def before(self, request: Request) -> None:
        """Called before ``request`` is sent."""

    def after(self, request: Request, response: Response) -> None:
        """Called with the answer: enter what was created, mark what was removed."""
        action = request.parameters.get("Action", "")
        if response.status >= 300 or action not in {*CREATES, *DELETES}:
            return
        kind = CREATES.get(action) or DELETES[action]
        name = request.parameters.get(kind.id_field) or json.loads(response.body)[kind.id_field]
        key = kind.resource, name
        if action in CREATES:
            region = request.parameters.get("RegionId", "") if kind.bills else ""
            self._entries[key] = Entry(kind.resource, name, region, kind.bills)
        elif key in self._entries:
            self._entries[key] = replace(self._entries[key], removed=True)
