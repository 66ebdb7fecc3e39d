"""One page of a listing: which keys and which common prefixes, and where the next page begins.

An object whose key has the delimiter after the prefix is not listed; the key as far as that
delimiter is, once, as a common prefix. Both kinds count towards the page's size, and both can end
it. So the next page begins after the last entry of this one, and passes over whatever a common
prefix that was listed already stands for.
https://www.alibabacloud.com/help/en/oss/developer-reference/listobjects
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Page(NamedTuple):
    """``last`` is the entry that the next page begins after, or empty if there is none."""

    keys: tuple[str, ...]
    prefixes: tuple[str, ...]
    last: str = ""


def page(keys: Iterable[str], prefix: str, delimiter: str, after: str, size: int) -> Page:
    """The first ``size`` entries (0 to 1000) after ``after``, which need not exist."""
    entries: list[tuple[str, bool]] = []
    for entry in _entries(keys, prefix, delimiter, after):
        if len(entries) == size:
            last = entries[-1][0] if entries else ""
            return Page(*_split(entries), last)
        entries.append(entry)
    return Page(*_split(entries))


def _entries(
    keys: Iterable[str], prefix: str, delimiter: str, after: str
) -> Iterator[tuple[str, bool]]:
    """Each entry in order, with whether it is a common prefix."""
    passed = after
    # Python compares by code point, which is the order of the UTF-8 bytes.
    for key in sorted(key for key in keys if key.startswith(prefix) and key > after):
        head, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
        name = prefix + head + found if found else key
        if name != passed or not found:
            yield name, bool(found)
        passed = name if found else passed


def _split(entries: list[tuple[str, bool]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    keys = tuple(name for name, is_prefix in entries if not is_prefix)
    return keys, tuple(name for name, is_prefix in entries if is_prefix)


def token_after(last: str) -> str:
    """A continuation token in the form that the documented ones have: ``CgJiYw--`` is ``bc``.

    It is base64 with ``-`` for the padding, of a message whose field 1 is the page's last entry.
    https://www.alibabacloud.com/help/en/oss/developer-reference/listobjectsv2
    """
    text = last.encode()
    return base64.b64encode(b"\n" + _varint(len(text)) + text).decode().replace("=", "-")


def read_token(token: str) -> str:
    """The entry that ``token`` continues after. Raises ValueError for what is no token."""
    try:
        message = base64.b64decode(token.replace("-", "="), validate=True)
        last = message[1 + (2 if message[1] > 0x7F else 1) :].decode()
    except (binascii.Error, IndexError, UnicodeDecodeError):
        raise ValueError(token) from None
    if token_after(last) != token:
        raise ValueError(token)
    return last


def _varint(number: int) -> bytes:
    # A key has at most 1,023 bytes: two groups of seven bits hold its length.
    if number < 0x80:
        return bytes([number])
    return bytes([number & 0x7F | 0x80, number >> 7])
