"""A forked kernel is a kernel like any other: its own folder, environment, modules, and end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.runs import kernel_sockets, manager

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux only")


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Any]:
    """A function that runs code in a new kernel and returns what it prints."""
    from nbclient import NotebookClient
    from nbformat.v4 import new_code_cell, new_notebook

    def ask(code: str, **options: Any) -> str:
        notebook = new_notebook(cells=[new_code_cell(code)])
        with kernel_sockets() as config:
            NotebookClient(
                notebook,
                kernel_manager_class=manager.ForkedKernelManager,
                config=config,
                **{"resources": {"metadata": {"path": str(tmp_path)}}, **options},
            ).execute()
        return "".join(output.get("text", "") for output in notebook.cells[0].outputs).strip()

    yield ask


def test_it_has_its_folder_and_environment(ask: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("SET_AFTER_THE_SERVER_STARTED", "here")
    code = "import os; print(os.getcwd(), os.environ['SET_AFTER_THE_SERVER_STARTED'])"
    assert ask(code) == f"{tmp_path} here"


def test_what_one_changes_the_next_does_not_see(ask: Any) -> None:
    """Modules are imported before the fork, so they are where a leak would be."""
    change = "import helpers, os; helpers.changed = 1; os.environ['CHANGED'] = '1'; mine = 1"
    look = "import helpers, os; print(hasattr(helpers, 'changed'), os.environ.get('CHANGED'))"
    ask(change)
    assert ask(look) == "False None"
    assert ask("print('mine' in globals(), __name__)") == "False __main__"


def test_random_numbers_differ(ask: Any) -> None:
    code = "import random, uuid; print(random.random(), uuid.uuid4())"
    assert ask(code) != ask(code)


def test_a_cell_that_takes_too_long_is_interrupted(ask: Any) -> None:
    from nbclient.exceptions import CellTimeoutError

    with pytest.raises(CellTimeoutError):
        ask("import time; time.sleep(60)", timeout=1, interrupt_on_timeout=False)
    code = "import time\ntry: time.sleep(60)\nexcept KeyboardInterrupt: print('interrupted')"
    assert ask(code, timeout=1, interrupt_on_timeout=True) == "interrupted"


def test_one_that_cannot_start_is_told_and_the_next_one_starts(ask: Any, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="The kernel died before it answered"):
        ask("1", resources={"metadata": {"path": str(tmp_path / "missing")}})
    assert ask("print(1)") == "1"


def test_it_ends_with_the_process_that_asked_for_it(tmp_path: Path) -> None:
    script = f"""
import nbformat
from pathlib import Path
from nbformat.v4 import new_code_cell, new_notebook
from helpers.runs import run_suite
source = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(60)"
nbformat.write(new_notebook(cells=[new_code_cell(source)]), {str(tmp_path / "01.ipynb")!r})
run_suite("ann", {{}}, [{str(tmp_path / "01.ipynb")!r}], {str(tmp_path)!r})
"""
    pid = tmp_path / "ann" / "pid"
    (tmp_path / "script.py").write_text(script)  # without a guard of its main part
    with subprocess.Popen([sys.executable, tmp_path / "script.py"]) as process:
        wait(lambda: pid.exists() and pid.read_text())
        process.send_signal(signal.SIGKILL)
    wait(lambda: not is_running(int(pid.read_text())))


def wait(done: Any) -> None:
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return " Z " not in Path(f"/proc/{pid}/stat").read_text()
