"""How nbclient starts, meets and ends a kernel that ``kernels`` forks."""

from __future__ import annotations

import math
import os
import signal
import time
from contextlib import suppress
from queue import Empty
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from . import kernels


class PromptClient(AsyncKernelClient):
    """The stock client without its 0.2 s for messages of the start, which nbclient skips."""

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Until the kernel answers and publishes. Raises RuntimeError if it does not."""
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
    """The stock manager, but for what launches the kernel."""

    client_factory = PromptClient
    kernel_spec = KernelSpec(argv=["-f", "{connection_file}"], language="python")

    async def _async_launch_kernel(self, kernel_cmd: list[str], **options: Any) -> None:
        process = _Forked(kernels.fork(kernel_cmd, options["env"], options["cwd"]))
        provisioner: Any = self.provisioner
        provisioner.process, provisioner.pid, provisioner.pgid = process, process.pid, None
        self._reconcile_connection_info(provisioner.connection_info)


class _Forked:
    """A forked kernel, with what its provisioner uses of a ``subprocess.Popen``."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid = pid

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
