"""Kernels that are forked from a process in which everything is imported already.

Most of a kernel's start is imports, the same in each. Python's own fork server makes them once;
each kernel is a new child of it, so that nothing one does is seen by another. Only on Linux: what
macOS's frameworks do is not safe after a fork, and Windows has none. There, and where a process may
have no children, kernels start as usual.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from multiprocessing import current_process, forkserver, get_context, parent_process
from threading import Thread
from typing import Any

# What every kernel imports, and what the notebooks do.
_PRELOADED = (
    "ipykernel.ipkernel",
    "ipykernel.kernelapp",
    "ipykernel.zmqshell",
    "aliyunsdkcore.client",
    "aliyunsdkcore.vendored.requests",
    "requests",
    "oss2",
    "helpers.kernels",
    "helpers.session",
    "helpers.exercises",
    "helpers.sandbox.scenario",
)


def start_fork_server() -> None:
    """Let the imports begin now, in their own process. Kernels that come too early wait for it."""
    if _can_fork():
        get_context("forkserver").set_forkserver_preload(list(_PRELOADED))
        forkserver.ensure_running()


def _can_fork() -> bool:
    return sys.platform == "linux" and not current_process().daemon


@cache
def kernel_manager_class() -> Any:
    """The class that nbclient starts kernels with."""
    from jupyter_client.manager import AsyncKernelManager

    class ForkedKernelManager(AsyncKernelManager):
        async def _async_launch_kernel(self, kernel_cmd: list[str], **options: Any) -> None:
            process = _Forked(kernel_cmd[kernel_cmd.index("-f") :], options["env"], options["cwd"])
            provisioner: Any = self.provisioner
            provisioner.process, provisioner.pid, provisioner.pgid = (
                process,
                process.pid,
                process.pid,
            )
            self._reconcile_connection_info(provisioner.connection_info)

    return ForkedKernelManager if _can_fork() else AsyncKernelManager


class _Forked:
    """A forked kernel, with what its provisioner uses of a ``subprocess.Popen``."""

    stdin = stdout = stderr = None

    def __init__(self, arguments: list[str], environment: dict[str, str], folder: str) -> None:
        start_fork_server()
        task = (arguments, environment, folder)
        self._process = get_context("forkserver").Process(target=_become_kernel, args=task)
        self._process.start()
        self.pid = self._process.pid
        self.kill = self._process.kill
        self.terminate = self._process.terminate

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self) -> int | None:
        self._process.join()
        return self._process.exitcode

    def send_signal(self, signum: int) -> None:
        if self.pid and self.poll() is None:
            os.kill(self.pid, signum)


def _become_kernel(arguments: list[str], environment: dict[str, str], folder: str) -> None:
    from ipykernel.kernelapp import IPKernelApp

    end_with_parent()
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment, JPY_PARENT_PID=str(os.getppid()))  # the fork server
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    IPKernelApp.launch_instance(argv=arguments)


def end_with_parent() -> None:
    """End this process when the one that asked for it has ended, even if that was killed."""
    parent = parent_process()

    def follow() -> None:
        if parent:
            parent.join()
            os._exit(1)

    Thread(target=follow, daemon=True).start()
