"""A notebook's code cells, and commands, in processes that start at once and can be killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from helpers.message import Request, Response
from helpers.runs import code_cells, find_notebooks
from tests.live.inside.conftest import Cloud

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["aliyunsdkcore.client", "oss2", "IPython", "helpers.live.clean_up",
                              "helpers.session", "helpers.__main__", __name__])  # fmt: skip


def cells(only: str) -> list[str]:
    (path,) = find_notebooks(only=[only])
    return ["".join(cell["source"]) for cell in code_cells(path)]


for source in cells("02"):
    if source.startswith(("import", "from")):
        exec(source, {})  # so that no process has to import it


def run_cells(only: str, parameters: dict[str, Any], environment: dict[str, str]) -> None:
    """Run them as a kernel would; what they print goes to ``output``."""
    os.environ.update(environment)
    namespace: dict[str, Any] = {}
    with open("output", "a") as output, redirect_stdout(output), redirect_stderr(output):
        for number, source in enumerate(cells(only)):
            exec(compile(source, f"{only} cell {number}", "exec"), namespace)
            if number == 0:
                namespace.update(parameters)


def run_clean_up(environment: dict[str, str]) -> None:
    from helpers.__main__ import main

    os.environ.update(environment)
    with open("output", "a") as output, redirect_stdout(output), redirect_stderr(output):
        main(["clean-up", "--yes"])


def killed_at(cloud: Cloud, number: int, arrived: bool, target: Any, *arguments: Any) -> str:
    """Run ``target`` and kill it at its request of that ``number``, which has ``arrived`` or not.

    Returns the operation that it was, or "" if there are not so many requests.
    """
    process = FORKS.Process(target=target, args=arguments)
    at = ""

    def hook(request: Request, answer: Callable[[], Response]) -> Response:
        nonlocal at
        if len(cloud.requests) != number:
            return answer()
        at = cloud.requests[-1] + (" dry" if "DryRun=True" in request.url else "")
        response = answer() if arrived else Response(500)
        assert process.pid
        os.kill(process.pid, signal.SIGKILL)
        wait([process.sentinel])
        return response

    cloud.hook = hook
    process.start()
    process.join()
    cloud.hook = None
    assert process.exitcode == (-signal.SIGKILL if at else 0), Path("output").read_text()[-2000:]
    return at
