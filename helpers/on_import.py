"""Do something to a module as soon as it is there: now, or when a cell imports it.

So nothing is imported only to be changed: the SDKs take longer to import than all of this package.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


def on_import(undo: ExitStack, name: str, change: Callable[[], None]) -> None:
    """Call ``change`` if the module ``name`` is imported, else whenever it will have been.

    Closing ``undo`` ends the waiting; what ``change`` did is its own to undo.
    """
    if name in sys.modules:
        change()
    else:
        watcher = _Watcher(name, change)
        sys.meta_path.insert(0, watcher)
        undo.callback(sys.meta_path.remove, watcher)


class _Watcher(MetaPathFinder):
    """Finds one module as Python does by itself, and adds ``change`` to its execution."""

    def __init__(self, name: str, change: Callable[[], None]) -> None:
        self._name = name
        self._change = change

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname == self._name else None
        if spec and spec.loader:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                self._change()

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
