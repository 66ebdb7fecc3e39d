"""This process's clock, which a lesson may move forward.

``advance`` moves the time that the whole process sees, so that the SDKs sign with it and refresh
their credentials by it, just as the stand-in expires them by it. It exists for replay: a real
service keeps its own time.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from .parameters import Rule

_NUMBER = Rule(
    "a number from 0 to 100,000, since the clock only moves forward",
    lambda value: isinstance(value, int | float) and 0 <= value <= 100_000,
    lambda value: (),
)


class Clock:
    """Wall time, plus what was advanced. ``decline`` may raise instead of letting time move."""

    def __init__(self, decline: Callable[[], None] = lambda: None) -> None:
        self._decline = decline
        self._travel: Any = None

    def now(self) -> datetime:
        """The current time in UTC, aware."""
        return datetime.now(timezone.utc)

    def advance(self, *, hours: float = 0, minutes: float = 0, seconds: float = 0) -> datetime:
        """Move on and return the new time.

        Raises ParameterError for a negative number: credentials do not become younger.
        """
        self._decline()
        for name, value in (("hours", hours), ("minutes", minutes), ("seconds", seconds)):
            _NUMBER.check(name, value)
        step = timedelta(hours=hours, minutes=minutes, seconds=seconds)
        destination = self.now() + step
        self.reset()
        self._travel = _time_machine().travel(destination, tick=True)
        self._travel.start()
        return destination

    def reset(self) -> None:
        """Back to wall time."""
        if self._travel is not None:
            self._travel.stop()
            self._travel = None


def _time_machine() -> Any:
    """The library, without its fixture for pytest: importing pytest takes a quarter of a second."""
    absent = sys.modules.setdefault("pytest", None) is None  # type: ignore[arg-type]
    try:
        return importlib.import_module("time_machine")
    finally:
        if absent:
            del sys.modules["pytest"]
