"""Faults on request, to see what the SDKs do with them: which they retry, and how often.

A fault waits for the next request to its service. ``throttling``, ``internal_error`` and
``service_unavailable`` are answers of the service, from its recordings. ``cut``: the connection
breaks before the request arrives. ``slow``: the request is carried out, and the answer comes later
than the caller waits; nothing sleeps. ``malformed``: half of the answer's body arrives.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from .message import Request, Response
from .parameters import ParameterError, one_of
from .trace import describe

SERVICES = ("ecs", "metadata", "oss", "ram", "sts")
KINDS = ("cut", "internal_error", "malformed", "service_unavailable", "slow", "throttling")
SLOW_SECONDS = 120.0  # longer than any time limit of the SDKs; ECS CreateInstance has 86 seconds
_CODES = {
    "internal_error": "InternalError",
    "service_unavailable": "ServiceUnavailable",
    "throttling": "Throttling",
}


class ConnectionCut(Exception):
    """The connection broke; each HTTP stack turns this into what it raises then."""


class AnswerTooLate(Exception):
    """The answer took longer than the caller waits; each HTTP stack has its own error for it."""


class Faults:
    """The faults that wait for their requests.

    ``refuse`` makes the answer of the service that a request addresses, for an error's code.
    """

    def __init__(self, refuse: Callable[[Request, str], Response]) -> None:
        self._refuse = refuse
        self._waiting: dict[str, deque[str]] = {service: deque() for service in SERVICES}

    def next(self, service: str, kind: str, times: int = 1) -> None:
        """Let the next ``times`` requests to ``service`` (see SERVICES) meet ``kind`` (see KINDS).

        Raises ParameterError for another service or kind, or for ``times`` below 1.
        """
        one_of(*SERVICES).check("service", service)
        one_of(*KINDS).check("kind", kind)
        if type(times) is not int or times < 1:
            raise ParameterError(f"times is {times!r}: it must be a whole number from 1.")
        self._waiting[service].extend([kind] * times)

    def meet(
        self, request: Request, read_timeout: float | None, answer: Callable[[], Response]
    ) -> Response:
        """The answer to ``request``, after the fault that waits for it, if any.

        ``read_timeout`` is what the caller waits, in seconds; None waits for ever. Raises
        ConnectionCut and AnswerTooLate.
        """
        kind = self._take(request)
        if kind == "cut":
            raise ConnectionCut("cut, as asked for, before the request arrived")
        if kind in _CODES:
            return self._refuse(request, _error_code(request, kind))
        response = answer()
        if kind == "slow" and read_timeout is not None and read_timeout < SLOW_SECONDS:
            raise AnswerTooLate(f"slow, as asked for: no answer within {read_timeout:g} s")
        return _cut_in_half(response) if kind == "malformed" else response

    def _take(self, request: Request) -> str:
        if not any(self._waiting.values()):
            return ""
        waiting = self._waiting.get(describe(request)[0])
        return waiting.popleft() if waiting else ""


def _error_code(request: Request, kind: str) -> str:
    """OSS has a name for each of its limits; the other services have one for all."""
    if kind == "throttling" and describe(request)[0] == "oss":
        return "TotalQpsLimitExceeded"
    return _CODES[kind]


def _cut_in_half(response: Response) -> Response:
    """Half of the body, framed as if it were whole: it is the parser that finds out."""
    headers = {n: v for n, v in response.headers.items() if n.lower() != "content-length"}
    return replace(response, headers=headers, body=response.body[: len(response.body) // 2])
