"""What goes in and out of the stand-in: values without any HTTP library's types.

``Request`` and ``Response`` are frozen, so whatever looks at an exchange later sees what was sent.
There are two ways not to answer with a success, and they say whose fault it is:

``ServiceError``
    The cloud would refuse. It becomes a response, whose body is a recording.
``NotModelled``
    We lack something: a host, an operation, a parameter. It reaches the reader as it is. It is no
    ``OSError``, because the SDKs swallow those and try again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from .parameters import OneSentence


@dataclass(frozen=True, repr=False)
class Request:
    """One HTTP request. Header names are lower case; ``url`` is absolute, as it was sent.

    Query, headers and body may hold a secret, so that they are left out where it is printed.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    source_ip: str = "127.0.0.1"
    scheme: str = field(init=False)
    host: str = field(init=False)  # the URL's; a header ``Host`` only says what the client signed
    path: str = field(init=False)  # percent-decoded

    def __post_init__(self) -> None:
        address = _split(self.url)
        derived = {
            "headers": MappingProxyType({n.lower(): v for n, v in self.headers.items()}),
            "scheme": address.scheme,
            "host": address.hostname or "",
            "path": unquote(address.path),
        }
        self.__dict__.update(derived)

    def __repr__(self) -> str:
        return f"Request({self.method} {self.scheme}://{self.host}{_split(self.url).path})"

    @cached_property
    def query(self) -> tuple[tuple[str, str], ...]:
        """The query's pairs in the order they were sent, decoded, empty values kept."""
        return tuple(parse_qsl(_split(self.url).query, keep_blank_values=True))

    @cached_property
    def parameters(self) -> Mapping[str, str]:
        """The query and, for a form, the body's fields, as the RPC services read them."""
        pairs = list(self.query)
        if self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            pairs += parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)
        return MappingProxyType(dict(pairs))


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # brackets that hold no IPv6 address: nothing is there
        return urlsplit("")


class Decided(NamedTuple):
    """Which check decided an answer, in words for the reader; never sent on the wire."""

    check: str
    reason: str = ""


@dataclass(frozen=True)
class Response:
    """One HTTP response; ``decided`` is known only where the stand-in answered."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    decided: Decided | None = None


class Exchange(NamedTuple):
    """A request and its answer, or the ``error`` that was raised instead of one."""

    request: Request
    response: Response | None
    error: str = ""


class ServiceError(Exception):
    """The cloud would refuse: ``code`` names the recording, ``values`` fill its fields."""

    def __init__(self, code: str, decided: Decided | None = None, **values: Any) -> None:
        super().__init__(code)
        self.code = code
        self.decided = decided
        self.values = values


class NotModelled(OneSentence):
    """The stand-in has no answer, and does not guess one."""
