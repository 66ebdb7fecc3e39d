"""While replaying, nothing connects to another machine and no name is looked up.

The functions of ``socket`` through which Python code connects and resolves refuse every address but
this machine's. Unix sockets and Jupyter's own sockets (zmq, which is C) never pass here. What they
raise is no ``OSError``: callers would take that for a fault of the network and try again.
"""

from __future__ import annotations

import re
import socket
from contextlib import ExitStack
from functools import wraps
from typing import Any

from .message import NotModelled

# The position of the address among a method's arguments.
_METHODS = {"connect": 0, "connect_ex": 0, "sendto": -1, "sendmsg": 3}
_LOOKUPS = ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo")
_THIS_MACHINE = re.compile(r"(localhost|127(\.\d{1,3}){3}|0\.0\.0\.0|::1?)?", re.IGNORECASE)
_INTERNET = (socket.AF_INET, socket.AF_INET6)


def guard(undo: ExitStack) -> None:
    """Refuse connections and look-ups until ``undo`` is closed. They raise ``NotModelled``."""
    for name, position in _METHODS.items():
        if hasattr(socket.socket, name):  # Windows has no sendmsg
            replace(undo, socket.socket, name, _guarded_method(name, position))
    for name in _LOOKUPS:
        replace(undo, socket, name, _guarded_lookup(getattr(socket, name)))


def replace(undo: ExitStack, owner: Any, name: str, new: Any) -> None:
    """Set an attribute of a class or module; closing ``undo`` puts back exactly what was there."""
    if name in vars(owner):
        undo.callback(setattr, owner, name, vars(owner)[name])
    else:
        undo.callback(delattr, owner, name)
    setattr(owner, name, new)


def is_this_machine(host: str | bytes | None) -> bool:
    """Whether ``host`` is a loopback address, ``localhost``, or no host at all."""
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host or ""
    return _THIS_MACHINE.fullmatch(name) is not None


def _guarded_method(name: str, position: int) -> Any:
    original = getattr(socket.socket, name)

    @wraps(original)
    def method(self: socket.socket, *args: Any) -> Any:
        if self.family in _INTERNET and len(args) > position:
            _refuse_others(args[position][0])
        return original(self, *args)

    return method


def _guarded_lookup(original: Any) -> Any:
    @wraps(original)
    def lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        _refuse_others(host[0] if isinstance(host, tuple) else host)
        return original(host, *args, **kwargs)

    return lookup


def _refuse_others(host: str | bytes | None) -> None:
    if not is_this_machine(host):
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        raise NotModelled(
            f'Replay opens no connection, so {name} was not reached; mode="live" would try to.'
        )
