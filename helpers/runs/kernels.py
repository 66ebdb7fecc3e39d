"""Kernels that are forked from a process in which everything is imported already.

Most of a kernel's start is imports, the same in each. A process of this file makes them once; each
kernel is a new child of it, so that nothing one does is seen by another. Only on Linux: what the
frameworks of macOS do is not safe after a fork, and Windows has none. There kernels start as usual.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from multiprocessing import Pipe, set_start_method
from multiprocessing.connection import Connection
from threading import Lock
from typing import Any

_servers: list[_Server] = []
_lock = Lock()


def start_fork_server() -> None:
    """Let the imports begin now. Kernels that are asked for before they are made wait for them."""
    if sys.platform == "linux":
        with _lock:
            _server()


def copy_to_fork_server() -> None:
    """Let a copy of this process fork the kernels: it has made the imports, and has no threads."""
    if sys.platform == "linux":
        _servers.append(_Server(warm=True))


def _server() -> _Server:
    if not _servers or not _servers[-1].is_alive():
        _servers.append(_Server())
    return _servers[-1]


class _Server:
    """A process that forks kernels, and the connection to ask it by. It ends with this process."""

    def __init__(self, warm: bool = False) -> None:
        self.connection, theirs = Pipe()
        self.is_alive = self._copy(theirs) if warm else self._start(theirs.fileno())
        theirs.close()

    def _start(self, file_descriptor: int) -> Callable[[], bool]:
        code = f"from helpers.runs.kernels import main; main({file_descriptor})"
        line = [sys.executable, "-c", code]
        popen = subprocess.Popen(line, stdin=subprocess.DEVNULL, pass_fds=[file_descriptor])
        atexit.register(popen.wait)
        atexit.register(self.connection.close)  # ends it, and with it what is left of its kernels
        return lambda: popen.poll() is None

    def _copy(self, theirs: Connection) -> Callable[[], bool]:
        pid = os.fork()
        if not pid:
            try:
                self.connection.close()
                sys.path.insert(0, "")  # a kernel imports from its own folder first
                serve(theirs)
            finally:
                os._exit(0)
        return lambda: os.waitpid(pid, os.WNOHANG) == (0, 0)

    def fork(self, *arguments: Any) -> int:
        """The pid of a new kernel."""
        self.connection.send(arguments)
        pid: int = self.connection.recv()
        return pid


def fork(*arguments: Any) -> int:
    """The pid of a new kernel; see ``_become_kernel`` for what it takes."""
    with _lock:
        return _server().fork(*arguments)


def main(file_descriptor: int) -> None:
    """What a fork server runs; ``file_descriptor`` is its end of the connection."""
    import_module("helpers.runs.warm")
    serve(Connection(file_descriptor))


def serve(connection: Connection) -> None:
    """Fork a kernel for each message; its pid is the answer. Ends when there is no one to ask."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system buries kernels that have ended
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError):
        while True:
            arguments = connection.recv()
            if pid := os.fork():
                connection.send(pid)
            else:
                try:
                    _become_kernel(*arguments)
                finally:
                    os._exit(0)  # whatever happened: nothing here may go on as its parent does


def _become_kernel(arguments: list[str], environment: dict[str, str], folder: str) -> None:
    from ipykernel.kernelapp import IPKernelApp

    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    set_start_method(None, force=True)  # a cohort's workers have one
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    # A kernel ends by itself when the process of this number is no longer its parent.
    IPKernelApp.launch_instance(argv=[*arguments, f"--IPKernelApp.parent_handle={os.getppid()}"])
