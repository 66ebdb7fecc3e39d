"""Find a secret in whatever form it left: plain, percent-encoded, in base64, in hexadecimal."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote


def leaked(secrets: Iterable[str], text: str) -> list[str]:
    """Those of ``secrets`` that ``text`` holds."""
    views = list(_views(text))
    return [secret for secret in secrets if any(secret in view for view in views)]


def _views(text: str) -> Iterator[str]:
    decoded = [text, *map(_base64, re.findall("[A-Za-z0-9+/]{24,}={0,2}", text))]
    decoded += [_hexadecimal(run) for run in re.findall("(?:[0-9A-Fa-f]{2} ?){8,}", text)]
    for each in decoded:
        yield from (each, unquote(each), unquote(unquote(each)))


def _base64(run: str) -> str:
    try:
        return base64.b64decode(run).decode("latin-1")
    except binascii.Error:
        return ""


def _hexadecimal(run: str) -> str:
    try:
        return bytes.fromhex(run).decode("latin-1")
    except ValueError:
        return ""
