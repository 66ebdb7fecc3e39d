"""A stage for tests: one account behind the stand-in, real clients in this process, a still clock.

Time stands at ``NOW`` until a test moves it, for the clients and the stand-in alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

import time_machine

from helpers.message import Request, Response
from helpers.recordings import load
from helpers.sandbox.account import AccessKey
from helpers.sandbox.sandbox import Sandbox
from helpers.sandbox.scenario import Names, account_before
from helpers.trace import Trace
from helpers.transport import Interceptor

NOW = datetime(2026, 1, 15, 8, 0, 0, tzinfo=timezone.utc)
RECORDINGS = load()


class Stage:
    """``account`` is the one of ``Names()`` before ``step``; ``root`` is its own key."""

    def __init__(self, step: int, clock: Any) -> None:
        self.account = account_before(step, Names(), NOW)
        self.sandbox = Sandbox(self.account, RECORDINGS)
        self.now = NOW
        self._clock = clock

    @property
    def root(self) -> AccessKey:
        return next(iter(self.account.access_keys.values()))

    def advance(self, **duration: float) -> None:
        """Move the stand-in's time and the clients'; ``travel`` alone moves only the clients'."""
        self.now += timedelta(**duration)
        self._clock.move_to(self.now)

    def answer(self, request: Request) -> Response:
        return self.sandbox.handle(request, self.now)


@contextmanager
def staged(step: int) -> Iterator[Stage]:
    with time_machine.travel(NOW, tick=False) as clock:
        stage = Stage(step, clock)
        with Interceptor(lambda request, _: stage.answer(request), Trace(), offline=True):
            yield stage
