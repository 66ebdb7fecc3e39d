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


class Clock:
    """Wall time, plus what was advanced. ``decline`` may raise instead of letting time move."""

    def __init__(self, decline: Callable[[], None] = lambda: None) -> None:
        self._decline = decline
        self._travel: Any = None

    def now(self) -> datetime:
        """The current time in UTC, aware."""
        return datetime.now(timezone.utc)

    def advance(self, **duration: float) -> datetime:
        """Move on by ``hours=``, ``minutes=`` or ``seconds=`` and return the new time.

        Raises ValueError for a negative duration: credentials do not become younger.
        """
        self._decline()
        step = timedelta(**duration)
        if step < timedelta():
            raise ValueError(f"the clock only moves forward; {step} is negative")
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
