"""What a run created, and whether it still bills.

The ledger reads the exchanges: a create is entered before it is sent and confirmed by its answer,
the matching delete marks it removed. It needs no cell to tell it anything, so nothing is forgotten.
For a real account each step is a line in a file, on the disk before the request leaves: a line
holds a whole entry, the last one of an entry counts, none is ever changed. A refusal leaves no
entry; after a lost answer the entry stays ``uncertain``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from .kinds import GONE, KINDS, Kind
from .message import Request, Response

UNCERTAIN, CREATED, REMOVED, REFUSED = "uncertain", "created", "removed", "refused"


class Entry(NamedTuple):
    """One thing that a run made. ``names`` are the parameters that its removal takes.

    ``at`` is when it was sent. An instance has no id before its answer; its ``client_token`` and
    ``tag`` (a key and a value) find it.
    """

    resource: str
    region: str
    bills: bool
    names: Mapping[str, str]
    state: str = UNCERTAIN
    account: str = ""
    at: str = ""
    client_token: str = ""
    tag: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return " ".join(self.names.values()) or f"(not known; ClientToken {self.client_token})"

    @property
    def removed(self) -> bool:
        return self.state == REMOVED

    @property
    def kind(self) -> Kind:
        return next(kind for kind in KINDS if kind.resource == self.resource)

    @property
    def key(self) -> tuple[str, ...]:
        own = (self.client_token,) if self.client_token else tuple(self.names.values())
        return (self.account, self.resource, self.region, *own)


@dataclass
class Ledger:
    """The entries of a run, in the order of their creation; with a ``file`` also earlier runs'.

    Of earlier runs only what is left is kept. ``account`` is the id of the account in use.
    """

    file: Path | None = None
    account: str = ""
    _entries: dict[tuple[str, ...], Entry] = field(default_factory=dict)
    _found: set[tuple[str, ...]] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.file and self.file.exists():
            for line in self.file.read_bytes().splitlines():
                self._read(line)

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    def __len__(self) -> int:
        return len(self._entries)

    def left(self) -> list[Entry]:
        """What is not removed, the newest first: the order in which it can be undone."""
        return [entry for entry in reversed(list(self)) if not entry.removed]

    def watch(self, request: Request, answer: Callable[[], Response]) -> Response:
        """``answer()``, which sends ``request``: entered before, settled after."""
        entry = self._intended(request)
        known = self._known(entry)
        if entry and not known and not _is_nameless(entry):
            self._write(entry)
        response = answer()
        if entry:
            self._settle(known or entry, known is None, response)
        elif response.status < 300 or GONE.fullmatch(str(_read_json(response).get("Code"))):
            self._note(request, response)
        return response

    def settle(self, entry: Entry, state: str) -> None:
        """Write what became of ``entry``, found out in another way."""
        self._write(entry._replace(state=state))

    def _intended(self, request: Request) -> Entry | None:
        """What ``request`` would make, if it makes something that was not there."""
        sent = request.parameters
        kind = next((kind for kind in KINDS if kind.made_by == sent.get("Action")), None)
        if kind is None or sent.get("DryRun", "").lower() == "true":
            return None
        entry = Entry(
            kind.resource,
            sent.get("RegionId", "") if kind.service == "ecs" else "",
            kind.bills,
            {name: sent[name] for name in kind.named_by if name in sent},
            account=self.account,
            at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            client_token=sent.get("ClientToken", "") if kind.bills else "",
            tag=(sent["Tag.1.Key"], sent.get("Tag.1.Value", "")) if "Tag.1.Key" in sent else (),
        )
        return None if entry.key in self._found else entry

    def _known(self, entry: Entry | None) -> Entry | None:
        known = self._entries.get(entry.key) if entry else None
        return None if known is None or known.removed else known

    def _settle(self, entry: Entry, is_new: bool, response: Response) -> None:
        if response.status < 300:
            body = _read_json(response)
            names = {name: body[name] for name in entry.kind.named_by if name in body}
            if (entry.names or names) and not body.get("FailCount"):
                self._write(entry._replace(names=entry.names or names, state=CREATED))
        elif response.status < 500 and is_new:
            self._write(entry._replace(state=REFUSED))

    def _note(self, request: Request, response: Response) -> None:
        """Mark what was removed or is gone; remember what was there without this run."""
        sent = request.parameters
        if sent.get("Action") == "DescribeInstanceRamRole" and response.status < 300:
            self._remember_roles(sent, _read_json(response))
        kind = next((kind for kind in KINDS if kind.undone_by == sent.get("Action")), None)
        if kind is None:
            return
        own = [entry for entry in self.left() if entry.kind == kind and _is_meant(entry, sent)]
        for entry in own:
            self._write(entry._replace(state=REMOVED))
        if not own and response.status < 300:
            self._found.add(self._key(kind, sent))

    def _remember_roles(self, sent: Mapping[str, str], body: Any) -> None:
        kind = next(kind for kind in KINDS if kind.made_by == "AttachInstanceRamRole")
        for each in body.get("InstanceRamRoleSets", {}).get("InstanceRamRoleSet", ()):
            names = {**sent, **each, "InstanceIds": json.dumps([each["InstanceId"]])}
            if (key := self._key(kind, names)) not in self._entries:
                self._found.add(key)

    def _key(self, kind: Kind, sent: Mapping[str, str]) -> tuple[str, ...]:
        region = sent.get("RegionId", "") if kind.service == "ecs" else ""
        names = (sent[name] for name in kind.named_by if name in sent)
        return (self.account, kind.resource, region, *names)

    def _read(self, line: bytes) -> None:
        """A line that a crash has cut short is no entry: its request was never sent."""
        with suppress(ValueError, TypeError):
            values = json.loads(line)
            entry = Entry(**{**values, "tag": tuple(values["tag"])})
            self._enter(entry)
            if entry.removed:
                del self._entries[entry.key]

    def _enter(self, entry: Entry) -> None:
        if entry.state in (UNCERTAIN, REFUSED):
            self._entries.pop(entry.key, None)
        if entry.state != REFUSED:
            self._entries[entry.key] = entry

    def _write(self, entry: Entry) -> None:
        self._enter(entry)
        if self.file:
            _append(self.file, json.dumps(entry._asdict()))


def ledger_file() -> Path:
    """``.ledger/ledger.jsonl`` in the project's folder, from wherever below it; else in this one.

    The project's folder is the nearest one above that has a ``.ledger`` or a ``pyproject.toml``.
    """
    here = Path.cwd()
    signs = (".ledger", "pyproject.toml")
    above = (
        each for each in (here, *here.parents) if any((each / sign).exists() for sign in signs)
    )
    return next(above, here) / ".ledger" / "ledger.jsonl"


def _read_json(response: Response) -> dict[str, Any]:
    """The body; one that is cut short counts as a failure, since nothing is certain then."""
    with suppress(ValueError):
        return dict(json.loads(response.body))
    return {"FailCount": 1}


def _is_nameless(entry: Entry) -> bool:
    return not (entry.names or entry.client_token)


def _is_meant(entry: Entry, sent: Mapping[str, str]) -> bool:
    """Whether a removal with these parameters is the removal of ``entry``."""
    in_region = entry.region in ("", sent.get("RegionId", ""))
    named = all(sent.get(name, value) == value for name, value in entry.names.items())
    return in_region and named and bool(entry.names)


def _append(file: Path, line: str) -> None:
    """Add a line and wait until it is on the disk, also where a crash left half a line."""
    file.parent.mkdir(exist_ok=True)
    with file.open("ab") as stream:
        stream.write(f"\n{line}\n".encode())
        stream.flush()
        os.fsync(stream.fileno())
