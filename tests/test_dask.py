"""A cohort on a Dask scheduler with two workers, of which one is killed while it runs a row."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nbformat
import pytest

pytest.importorskip("distributed", reason="the extra dask is not installed")

PARAMETERS = 'role_name: str = "R"'
# Says in which process it runs, and takes long enough to be killed.
CELL = """
import os, time
from pathlib import Path
server = Path(f"/proc/{os.getppid()}/stat").read_text()  # which forked the kernel
Path("worker").write_text(server.rpartition(")")[2].split()[1])
time.sleep(0.5)
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    """Start one of Dask's commands in a process of its own, which ends with the test."""
    with ExitStack() as stack:

        def start(*command: str) -> subprocess.Popen[bytes]:
            line = [sys.executable, "-m", "dask", *command, "--scheduler-file", "scheduler.json"]
            with (tmp_path / f"{command[0]}.log").open("ab") as log:
                process = subprocess.Popen(line, cwd=tmp_path, stdout=log, stderr=log)
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


@pytest.fixture
def scheduler(start: Any, tmp_path: Path) -> str:
    start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    wait(lambda: (tmp_path / "scheduler.json").exists())
    return str((tmp_path / "scheduler.json").read_text().split('"address": "')[1].split('"')[0])


def worker(start: Any) -> int:
    process = start("worker", "--nthreads", "1", "--no-nanny", "--no-dashboard")
    return int(process.pid)


def wait(done: Any) -> Any:
    end = time.monotonic() + 60
    while not (found := done()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="the worker is found in /proc")
def test_the_rows_of_a_killed_worker_run_elsewhere(
    start: Any, scheduler: str, tmp_path: Path
) -> None:
    workers = {worker(start), worker(start)}
    cells = [nbformat.v4.new_code_cell(PARAMETERS), nbformat.v4.new_code_cell(CELL)]
    cells[0].metadata["tags"] = ["parameters"]
    (tmp_path / "notebooks").mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "notebooks" / "01.ipynb")
    learners = [f"learner{n}" for n in range(6)]
    (tmp_path / "roster.csv").write_text("\n".join(["learner", *learners]))
    command = [sys.executable, "-m", "helpers", "cohort", "roster.csv", "--notebooks", "notebooks"]
    command += ["--out", "out", "--dask", scheduler]
    run = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    seen = wait(lambda: list((tmp_path / "out").glob("learners/*/worker")))
    victim = int(wait(seen[0].read_text))
    assert victim in workers
    os.kill(victim, signal.SIGKILL)
    output, errors = run.communicate(timeout=120)
    assert run.returncode == 0, errors.decode()
    assert b"6 of 6 finished every notebook" in output
    with (tmp_path / "out" / "results.csv").open(newline="") as file:
        assert sorted(record["learner"] for record in csv.DictReader(file)) == learners
    ran_on = {int(path.read_text()) for path in (tmp_path / "out").glob("learners/*/worker")}
    assert ran_on == workers - {victim}
