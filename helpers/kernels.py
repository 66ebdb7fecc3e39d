"""Kernels that are forked from a process in which everything is imported already.

Most of a kernel's start is imports, the same in each. A process of this file makes them once; each
kernel is a new child of it, so that nothing one does is seen by another. Only on Linux: what the
frameworks of macOS do is not safe after a fork, and Windows has none. There kernels start as usual.
"""

from __future__ import annotations

import atexit
import gc
import json
import math
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from importlib import import_module
from queue import Empty
from threading import Lock
from typing import Any

# What every kernel imports, and what the notebooks do.
_PRELOADED = (
    "ipykernel.ipkernel",
    "ipykernel.kernelapp",
    "ipykernel.zmqshell",
    "ipykernel.debugger",
    "tornado.platform.asyncio",
    "IPython.core.completerlib",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "aliyunsdkcore.client",
    "aliyunsdkcore.vendored.requests",
    "requests",
    "oss2",
    "aliyunsdkecs.request",
    "aliyunsdkram.request",
    "helpers.session",
    "helpers.exercises",
    "helpers.sandbox.sandbox",
    "helpers.sandbox.scenario",
    "time_machine",
)
_servers: list[subprocess.Popen[str]] = []
_lock = Lock()


def start_fork_server() -> None:
    """Let the imports begin now. Kernels that are asked for before they are made wait for them."""
    if sys.platform == "linux":
        with _lock:
            _server()


def _server() -> subprocess.Popen[str]:
    if not _servers or _servers[-1].poll() is not None:
        line = [sys.executable, "-c", "from helpers.kernels import serve; serve()"]
        server = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        atexit.register(server.communicate)  # ends it, and with it what is left of its kernels
        _servers.append(server)
    return _servers[-1]


@cache
def kernel_manager_class() -> Any:
    """The class that nbclient starts kernels with."""
    from jupyter_client.asynchronous.client import AsyncKernelClient
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    class PromptClient(AsyncKernelClient):
        async def wait_for_ready(self, timeout: float | None = None) -> None:
            """Until a kernel answers and publishes.

            The stock client then waits 0.2 s for messages of the start, which nbclient skips.
            """
            end = time.monotonic() + (timeout or math.inf)
            while not await self._answers():
                if not await self._async_is_alive():
                    raise RuntimeError("The kernel died before it answered.")
                if time.monotonic() > end:
                    raise RuntimeError(f"The kernel did not answer in {timeout} s.")

        async def _answers(self) -> bool:
            self.kernel_info()
            with suppress(Empty):
                await self.get_shell_msg(timeout=1)
                await self.get_iopub_msg(timeout=0.2)
                return True
            return False

    class ForkedKernelManager(AsyncKernelManager):
        client_factory = PromptClient
        kernel_spec = KernelSpec(argv=["-f", "{connection_file}"], language="python")

        async def _async_launch_kernel(self, kernel_cmd: list[str], **options: Any) -> None:
            process = _Forked(kernel_cmd, options["env"], options["cwd"])
            provisioner: Any = self.provisioner
            provisioner.process, provisioner.pid, provisioner.pgid = process, process.pid, None
            self._reconcile_connection_info(provisioner.connection_info)

    return ForkedKernelManager if sys.platform == "linux" else AsyncKernelManager


class _Forked:
    """A forked kernel, with what its provisioner uses of a ``subprocess.Popen``."""

    stdin = stdout = stderr = None

    def __init__(self, arguments: list[str], environment: dict[str, str], folder: str) -> None:
        with _lock:
            server: Any = _server()
            print(json.dumps([arguments, environment, folder]), file=server.stdin, flush=True)
            self.pid = int(server.stdout.readline())

    def poll(self) -> int | None:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return 0
        return None

    def wait(self) -> int | None:
        return self.poll()  # the provisioner has waited: it polls until there is nothing

    def send_signal(self, signum: int) -> None:
        """To the kernel and to what it has started, which are a session of their own."""
        os.killpg(self.pid, signum)
        end = time.monotonic() + 1
        while signum == signal.SIGKILL and self.poll() is None and time.monotonic() < end:
            time.sleep(0.002)  # the provisioner, if it still finds the kernel, sleeps for longer

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


def serve() -> None:
    """Fork a kernel for each line of the standard input; its pid is the answer."""
    sys.modules["debugpy"] = None  # type: ignore[assignment]  # 50 ms, and no one debugs a run
    for name in _PRELOADED:
        import_module(name)
    gc.freeze()  # else each kernel's first collection copies all these pages
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system buries kernels that have ended
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin:
        if pid := os.fork():
            print(pid, flush=True)
        else:
            _become_kernel(*json.loads(line))


def _become_kernel(arguments: list[str], environment: dict[str, str], folder: str) -> None:
    from ipykernel.kernelapp import IPKernelApp

    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    # A kernel ends by itself when the process of this number is no longer its parent.
    IPKernelApp.launch_instance(argv=[*arguments, f"--IPKernelApp.parent_handle={os.getppid()}"])
    os._exit(0)
