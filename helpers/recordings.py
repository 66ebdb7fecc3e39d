"""Recordings: one answer's body in a file of its own, as the service sends it.

Layout: ``recordings/<service>/<Operation>/<status>[.<Code>].<json|xml|txt>``. The file name says
what the answer is, so no code repeats a status. Errors that any operation of a service may give
stand in the folder ``Common``. ``sources.json`` beside the folders says for each file where it
comes from: ``recorded``, ``documented``, ``seen in the wild`` or ``modelled``.

``fill`` puts the values of a run into a body by the fields' names. The recording decides which
fields an answer has and in what order; the state decides their values. So bodies stay raw, and a
recording made from another account can replace them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol
from xml.etree import ElementTree

COMMON = "Common"
# What XML escapes, and what it cannot hold even so: https://www.w3.org/TR/xml/#charsets
_NOT_TEXT = re.compile("[&<>\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ESCAPED = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


class Folder(Protocol):
    """What ``load`` reads from: a ``pathlib.Path`` or a package's resources."""

    name: str

    def iterdir(self) -> Any: ...
    def joinpath(self, name: str, /) -> Any: ...


@dataclass(frozen=True)
class Recording:
    """One answer as it was received, and where it comes from."""

    service: str
    operation: str
    status: int
    code: str
    media: str
    body: str
    headers: Mapping[str, str]
    source: Mapping[str, str]

    @cached_property
    def tree(self) -> Any:
        """The parsed body: JSON values, an XML element, or the text itself."""
        if self.media == "json":
            return json.loads(self.body)
        return ElementTree.fromstring(self.body) if self.media == "xml" else self.body

    @cached_property
    def separators(self) -> tuple[str, str]:
        """How the service spaces its JSON: the metadata address puts one field a line."""
        return (",\n", " : ") if '" : ' in self.body else (",", ":")


class Recordings:
    """All recordings, indexed: the number of files does not slow an answer."""

    def __init__(self, recordings: Mapping[tuple[str, str, str], Recording]) -> None:
        self._index = dict(recordings)

    def __iter__(self) -> Any:
        return iter(self._index.values())

    def find(self, service: str, operation: str, code: str = "") -> Recording:
        """The recording of a success (no ``code``) or of an error, else the service's common one.

        Raises LookupError for an answer that nobody recorded: that is a fault of ours.
        """
        for folder in (operation, COMMON):
            if found := self._index.get((service, folder, code)):
                return found
        raise LookupError(f"no recording of {service} {operation} {code or 'success'}")


def load(folder: Folder | Path | None = None) -> Recordings:
    """Read every recording below ``folder`` (the package's own, unless another is named)."""
    root: Any = folder or files("helpers").joinpath("recordings")
    index = {}
    for service in root.iterdir():
        sources = json.loads(service.joinpath("sources.json").read_text("utf-8"))
        for name, source in sources["recordings"].items():
            headers = {**sources["headers"], **source.get("headers", {})}
            body = service.joinpath(name).read_text("utf-8")
            recording = _recording(service.name, name, body, headers, source)
            index[recording.service, recording.operation, recording.code] = recording
    return Recordings(index)


def _recording(
    service: str, name: str, body: str, headers: Mapping[str, str], source: Mapping[str, str]
) -> Recording:
    operation, _, file = name.partition("/")
    stem, _, media = file.rpartition(".")
    status, _, code = stem.partition(".")
    return Recording(service, operation, int(status), code, media, body, headers, source)


def fill(recording: Recording, values: Mapping[str, Any]) -> str:
    """The recording's body with ``values`` put into the fields of those names, at any depth.

    A dictionary reaches into the field of its name; a list repeats the field's first entry, once
    for each of its members; ``None`` leaves the field out. Names the body does not have are
    ignored.
    A text recording is replaced as a whole by the value named ``text``, if there is one.
    """
    if recording.media == "json":
        filled = _fill_json(recording.tree, recording.tree, values)
        text = json.dumps(filled, ensure_ascii=False, separators=recording.separators)
        return f"{{\n{text[1:-1]}\n}}" if "\n" in recording.separators[0] else text
    if recording.media == "xml":
        root = recording.tree
        text = _fill_xml(root, values.get(root.tag, root), values)
        return f'<?xml version="1.0" encoding="UTF-8"?>{text}\n'
    return str(values.get("text", recording.body))


# In both: `value` is what stands under the node's name, or the node itself where nothing does.


def _fill_json(node: Any, value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, list) and isinstance(node, list) and value is not node:
        return [_fill_json(node[0] if node else each, each, values) for each in value]
    if isinstance(value, dict) and value is not node:
        values = {**values, **value}
    elif value is not node:
        return value
    if isinstance(node, list):
        return [_fill_json(entry, entry, values) for entry in node]
    if not isinstance(node, dict):
        return node
    return {
        name: _fill_json(child, values.get(name, child), values)
        for name, child in node.items()
        if values.get(name, child) is not None
    }


def _fill_xml(
    node: ElementTree.Element, value: Any, values: Mapping[str, Any], line: str = "\n"
) -> str:
    """The element as text, led by ``line``: a line's end and the indentation."""
    if value is None:
        return ""
    if isinstance(value, list):
        return "".join(_fill_xml(node, each, values, line) for each in value)
    if value is not node and not isinstance(value, dict):
        return _xml_leaf(node.tag, str(value), line)
    if not len(node):
        return _xml_leaf(node.tag, node.text or "", line)
    inner = {**values, **value} if isinstance(value, dict) else values
    filled, seen = "", set[str]()
    for child in node:
        given = inner.get(child.tag, child)
        if not (isinstance(given, list) and child.tag in seen):
            filled += _fill_xml(child, given, inner, line + "  ")
        seen.add(child.tag)
    return f"{line}<{node.tag}>{filled}{filled and line}</{node.tag}>"


def _xml_leaf(tag: str, text: str, line: str) -> str:
    return f"{line}<{tag}>{xml_text(text)}</{tag}>"


def xml_text(text: str) -> str:
    """``text`` as XML holds it; U+FFFD stands for a character that it cannot hold."""
    return _NOT_TEXT.sub(lambda found: _ESCAPED.get(found[0], "\N{REPLACEMENT CHARACTER}"), text)
