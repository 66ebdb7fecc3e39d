"""A change waits for its module, whichever way that comes to be imported, and for no other."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from helpers.on_import import on_import


@pytest.fixture
def late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path with a package ``late`` that has a module ``inner``."""
    package = tmp_path / "late"
    package.mkdir()
    (package / "__init__.py").write_text("from . import inner\n")
    (package / "inner.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = list(sys.meta_path)
    yield package
    assert sys.meta_path == before
    for name in ("late", "late.inner"):
        sys.modules.pop(name, None)


def raise_value() -> None:
    sys.modules["late.inner"].value += 1  # type: ignore[attr-defined]


def value() -> Any:
    return importlib.import_module("late.inner").value


def test_before_and_after_the_import(late: Path) -> None:
    with ExitStack() as undo:
        on_import(undo, "late.inner", raise_value)
        assert "late" not in sys.modules
        assert value() == 2, "not called after the module had run"
        assert value() == 2, "called for an import that runs nothing"
        on_import(undo, "late.inner", raise_value)
        assert value() == 3, "not called for a module that was there"


def test_what_runs_again_is_changed_again(late: Path) -> None:
    with ExitStack() as undo:
        on_import(undo, "late.inner", raise_value)
        assert value() == 2
        importlib.reload(sys.modules["late.inner"])
        assert value() == 2


def test_no_more_once_it_is_undone(late: Path) -> None:
    with ExitStack() as undo:
        on_import(undo, "late.inner", raise_value)
    assert value() == 1


def test_a_module_that_fails_is_not_changed_until_it_works(late: Path) -> None:
    (late / "inner.py").write_text("raise ZeroDivisionError")
    with ExitStack() as undo:
        on_import(undo, "late.inner", raise_value)
        with pytest.raises(ZeroDivisionError):
            value()
        (late / "inner.py").write_text("value = 10")
        importlib.invalidate_caches()
        assert value() == 11


def test_a_module_that_is_not_there_is_missed_as_ever(late: Path) -> None:
    with ExitStack() as undo:
        on_import(undo, "late.other", raise_value)
        with pytest.raises(ModuleNotFoundError, match=r"late\.other"):
            importlib.import_module("late.other")


def test_the_module_keeps_what_python_knows_of_it(late: Path) -> None:
    plain = facts(importlib.import_module("late.inner"))
    for name in ("late", "late.inner"):
        del sys.modules[name]
    with ExitStack() as undo:
        on_import(undo, "late.inner", raise_value)
        assert facts(importlib.import_module("late.inner")) == plain


def facts(module: ModuleType) -> tuple[Any, ...]:
    return (module.__name__, module.__file__, type(module.__loader__), inspect.getsource(module))


def test_connect_imports_no_sdk_and_close_changes_back_one_that_came_later() -> None:
    code = (
        "import sys, helpers\n"
        "cloud = helpers.connect(step=4)\n"
        "print([n for n in ('requests', 'oss2', 'aliyunsdkcore.client') if n in sys.modules])\n"
        "from aliyunsdkcore import request\n"
        "request.set_default_protocol_type('https')\n"
        "cloud.close()\n"
        "print(request.get_default_protocol_type())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["[]", "http"]
