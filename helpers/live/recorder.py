"""Record mode: the account's own answers as recordings, without anything that is the account's.

Masking is by allow-list. Each field of a body must have been judged: it is harmless and stays; or
its value becomes the one that documentation has, the same for the same value everywhere; or it is
text, in which known values are replaced. A body with any other field, or with something left that
looks like an id, an address or a secret, is held back and named. A recording's file is that of the
shipped recording which it resembles most, so that what is adopted takes its place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ..message import Request, Response
from ..recordings import COMMON, Recording, load
from ..sandbox.scenario import Names
from ..trace import METADATA_HOST, describe
from .allow_list import HARMLESS, METADATA_FIELDS, NUMBERED, REPLACED, SUFFIXES, TEXT, telling


class Recorder:
    """Writes recordings below ``folder``; ``held_back`` says which answers it did not, and why.

    ``parameters`` are the notebook's: their values are replaced by the documented names.
    ``source`` is what is known of each recording: date, region, versions.
    """

    def __init__(
        self, folder: Path, parameters: Mapping[str, Any], account: str, source: Mapping[str, str]
    ) -> None:
        self.held_back: dict[str, str] = {}
        self._folder = folder
        self._source = source
        self._shipped = list(load())
        self._samples = dict(pair for each in self._shipped for pair in leaves(each.tree))
        self._replaced = {account: "123456789012****"} if account else {}
        for name, documented in Names()._asdict().items():
            if own := parameters.get(name):
                for suffix in SUFFIXES:
                    self._replaced[f"{own}{suffix}"] = f"{documented}{suffix}"

    def keep(self, request: Request, response: Response) -> None:
        """Write the recording of an answer, or note why it is held back."""
        service, operation = describe(request)
        if request.host == METADATA_HOST:
            operation = _metadata_item(request.path)
        if service not in {each.service for each in self._shipped}:
            return
        media, tree = _parsed(response)
        place = self._place(service, operation, response, media, tree)
        try:
            if media == "txt":
                body = self._text_body(service, operation, response)
            else:
                body = _written(self._masked("", tree), response)
        except ValueError as error:
            if f"{service}/{place}" not in self.held_back:
                print(f"Held back, not recorded: {service}/{place}, since {error}.")
            self.held_back[f"{service}/{place}"] = str(error)
            return
        self._write(service, place, body)

    def _place(
        self, service: str, operation: str, response: Response, media: str, tree: Any
    ) -> str:
        code = dict(leaves(tree)).get("Code", "") if response.status >= 300 else ""
        like = [
            each
            for each in self._shipped
            if (each.service, each.media) == (service, media)
            and each.operation in (operation, COMMON)
            and _is_of(each, code, response.status)
        ]
        if like:
            text = response.body.decode("utf-8", "replace")
            best = max(like, key=lambda each: SequenceMatcher(None, each.body, text).ratio())
            operation, code = best.operation, best.code
        return f"{operation}/{'.'.join(filter(None, (str(response.status), code, media)))}"

    def _text_body(self, service: str, operation: str, response: Response) -> str:
        if service != "metadata":
            raise ValueError("its body is the account's own content")
        name = METADATA_FIELDS.get(operation, "") if response.status < 300 else "Message"
        return str(self._masked(name, response.body.decode()))

    def _masked(self, name: str, node: Any) -> Any:
        """The body without what is the account's. Raises ValueError for what nobody has judged."""
        if isinstance(node, dict):
            return {key: self._masked(key, child) for key, child in node.items()}
        if isinstance(node, list):
            return [self._masked(name, child) for child in node]
        if isinstance(node, ElementTree.Element):
            masked = ElementTree.Element(node.tag)
            masked.extend(self._masked(child.tag, child) for child in node)
            masked.text = None if len(node) else self._masked(node.tag, node.text or "")
            return masked
        if node in ("", None, True, False) or (name in HARMLESS and isinstance(node, int)):
            return node
        return self._leaf(name, str(node))

    def _leaf(self, name: str, value: str) -> str:
        if name in REPLACED:
            return self._replaced.setdefault(value, self._sample(name))
        if name not in HARMLESS | TEXT:
            raise ValueError(f"nobody has judged the field {name or '(text)'}")
        for own in sorted(self._replaced, key=len, reverse=True):
            value = value.replace(own, self._replaced[own]) if len(own) > 3 else value
        rest = value
        for documented in self._replaced.values():
            rest = rest.replace(documented, "")
        if problem := telling(rest):
            raise ValueError(f"its field {name} still holds {problem}")
        return value

    def _sample(self, name: str) -> str:
        """A documentation value that no other value of the account has got."""
        sample = self._samples.get(name, "****")
        taken = set(self._replaced.values()) if name in NUMBERED else set[str]()
        more = (f"{sample}-{number}" for number in range(2, 10_000))
        return sample if sample not in taken else next(each for each in more if each not in taken)

    def _write(self, service: str, place: str, body: str) -> None:
        file = self._folder / service / place
        if file.exists() and file.read_text("utf-8").count("\n") >= body.count("\n"):
            return  # the answer with more in it stays
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(body, "utf-8")
        sources_file = self._folder / service / "sources.json"
        sources = json.loads(sources_file.read_text("utf-8")) if sources_file.exists() else {}
        recorded = sources.setdefault("recordings", {})
        recorded[place] = {"provenance": "recorded", **self._source}
        sources_file.write_text(json.dumps(sources, indent=2) + "\n", "utf-8")


def _is_of(recording: Recording, code: str, status: int) -> bool:
    """Whether a recording has this code, or a variant of it; without a code, this status."""
    if code or status < 300:
        return recording.code == code or bool(code and recording.code.startswith(f"{code}."))
    return recording.status == status


def leaves(node: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """The fields of a body that hold a value, with it; in XML and JSON alike."""
    children: Any = ()
    if isinstance(node, dict):
        children = node.items()
    elif isinstance(node, list):
        children = ((name, child) for child in node)
    elif isinstance(node, ElementTree.Element):
        children = [(child.tag, child) for child in node]
        if not children:
            yield node.tag, node.text or ""
    else:
        yield name, str(node)
    for key, child in children:
        yield from leaves(child, key)


def _parsed(response: Response) -> tuple[str, Any]:
    text = response.body.decode("utf-8", "replace")
    if text.lstrip().startswith("{"):
        return "json", json.loads(text)
    if text.startswith("<?xml") and "<!DOCTYPE" not in text:
        return "xml", ElementTree.fromstring(text)
    return "txt", text


def _written(tree: Any, response: Response) -> str:
    if isinstance(tree, ElementTree.Element):
        ElementTree.indent(tree)
        text = ElementTree.tostring(tree, encoding="unicode", short_empty_elements=False)
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'
    layout: Any = {"indent": 2}
    if b'" : ' in response.body:  # as the metadata address writes it
        layout = {"indent": 0, "separators": (",", " : ")}
    return json.dumps(tree, ensure_ascii=False, **layout) + "\n"


def _metadata_item(path: str) -> str:
    before, _, role_name = path.partition("/security-credentials/")
    if before != path.rstrip("/"):
        return "ram-role-credentials" if role_name else "ram-role-name"
    return path.rstrip("/").rpartition("/")[2]
