"""Look after recordings: check them, say what new ones change in shape, adopt them.

A folder of recordings is the shipped one or what record mode has written; the latter has only the
files that were recorded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ..recordings import COMMON
from ..sandbox.sandbox import RPC_SERVICES
from ..trace import _BUCKET_OPERATIONS, _OBJECT_OPERATIONS
from .allow_list import telling
from .recorder import leaves

SHIPPED = Path(__file__).parent.with_name("recordings")
OSS_OPERATIONS = {
    "CopyObject",
    "ListBuckets",
    *_BUCKET_OPERATIONS.values(),
    *_OBJECT_OPERATIONS.values(),
}
PROVENANCES = ("recorded", "documented", "seen in the wild", "modelled")
OLD = 365  # days
# Values that documentation has made unreadable, and addresses that anybody may know.
_UNREADABLE = re.compile(r"\*\*|X{3}|x{3}|oss@service\.aliyun\.com|172\.16\.0\.0|3Dtestid$")


def check(folder: Path = SHIPPED) -> list[str]:
    """A sentence for each thing that is wrong with the recordings of ``folder``."""
    return [problem for service in _services(folder) for problem in _check_service(service)]


def ages(folder: Path = SHIPPED) -> list[str]:
    """A sentence for each recording of an account that is older than a year."""
    return [
        f"{service.name}/{place} was recorded {days} days ago"
        for service in _services(folder)
        for place, source in _sources(service).items()
        if (days := _days(source.get("date"))) > OLD
    ]


def diff(new: Path, old: Path = SHIPPED) -> list[str]:
    """What the recordings of ``new`` change in shape, field by field, in words."""
    return [
        f"{service.name}/{place}: {change}"
        for service in _services(new)
        for place in _sources(service)
        for change in _changes(old / service.name / place, service / place)
    ]


def adopt(new: Path, old: Path = SHIPPED) -> int:
    """Put the recordings of ``new`` in the place of those in ``old``; return how many."""
    count = 0
    for service in _services(new):
        file = old / service.name / "sources.json"
        sources = json.loads(file.read_text("utf-8"))
        for place, source in _sources(service).items():
            kept = (
                {"headers": h} if (h := sources["recordings"].get(place, {}).get("headers")) else {}
            )
            (old / service.name / place).parent.mkdir(exist_ok=True)
            (old / service.name / place).write_bytes((service / place).read_bytes())
            sources["recordings"][place] = {**source, **kept}
            count += 1
        file.write_text(json.dumps(sources, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return count


def _services(folder: Path) -> list[Path]:
    return sorted(file.parent for file in folder.glob("*/sources.json"))


def _sources(service: Path) -> dict[str, dict[str, Any]]:
    sources: dict[str, dict[str, Any]] = json.loads((service / "sources.json").read_text("utf-8"))[
        "recordings"
    ]
    return sources


def _days(recorded: str | None) -> int:
    return (date.today() - date.fromisoformat(recorded)).days if recorded else 0


def _check_service(service: Path) -> Iterator[str]:
    sources = _sources(service)
    files = {str(file.relative_to(service)) for file in service.glob("*/*")}
    for place in sorted(files ^ set(sources)):
        yield f"{service.name}/{place} has no {'entry' if place in files else 'file'}."
    for place in sorted(files & set(sources)):
        for problem in _check_file(service, place, sources[place]):
            yield f"{service.name}/{place} {problem}."


def _check_file(service: Path, place: str, source: dict[str, Any]) -> Iterator[str]:
    if source.get("provenance") not in PROVENANCES or not source.get("source"):
        yield "has no provenance or no source"
    operations = _operations(service.name)
    if operations and place.partition("/")[0] not in {*operations, COMMON}:
        yield "is used by no operation"
    try:
        tree = _tree(service / place)
    except (ValueError, ElementTree.ParseError) as error:
        yield f"does not parse: {error}"
        return
    for name, value in leaves(tree):
        if (problem := telling(value)) and not _UNREADABLE.search(value):
            yield f"has in {name or 'its text'} {problem}"


def _operations(service: str) -> set[str]:
    if service == "oss":
        return OSS_OPERATIONS
    return {name for each in RPC_SERVICES if each.name == service for name in each.operations}


def _tree(file: Path) -> Any:
    text = file.read_text("utf-8")
    if file.suffix == ".json":
        return json.loads(text)
    return ElementTree.fromstring(text) if file.suffix == ".xml" else text


def _changes(old: Path, new: Path) -> Iterator[str]:
    if not old.exists():
        yield "is new"
        return
    before, after = _shape(_tree(old)), _shape(_tree(new))
    for field in sorted(before.keys() | after.keys()):
        if field not in before:
            yield f"the field {field} was added"
        elif field not in after:
            yield f"the field {field} is gone"
        elif before[field] != after[field]:
            yield f"the field {field} was {before[field]} and is {after[field]}"


def _shape(node: Any, path: str = "") -> dict[str, str]:
    """Each field's path to what it is, in words; the members of a list count as one."""
    shape: dict[str, str] = {}
    children: Any = ()
    if isinstance(node, dict):
        children = [(f"{path}.{name}".lstrip("."), child) for name, child in node.items()]
    elif isinstance(node, list):
        children = [(f"{path}[]", child) for child in node]
    elif isinstance(node, ElementTree.Element):
        children = [(f"{path}.{child.tag}".lstrip("."), child) for child in node]
    elif path:
        shape[path] = {"str": "text", "int": "a number", "bool": "true or false"}.get(
            type(node).__name__, type(node).__name__
        )
    if isinstance(node, ElementTree.Element) and not len(node):
        shape[path] = "text"
    for name, child in children:
        shape |= _shape(child, name)
    return shape
