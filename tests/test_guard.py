"""The guard lets this machine through and nothing else. 192.0.2.1 is reserved: RFC 5737."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from helpers.guard import guard, is_this_machine
from helpers.message import NotModelled

NAMES = ["connect", "connect_ex", "sendto", "sendmsg"]
LOOKUPS = ["getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo"]


@pytest.fixture
def guarded() -> Iterator[None]:
    with ExitStack() as undo:
        guard(undo)
        yield


@pytest.fixture
def echo() -> Iterator[int]:
    """A server on loopback that answers each line with itself; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection, connection.makefile("rwb", buffering=0) as lines:
                    lines.write(lines.readline())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def udp() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def tcp() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM)


async def open_connection() -> None:
    await asyncio.open_connection("ram.aliyuncs.com", 443)


@pytest.mark.parametrize(
    ("reach", "host"),
    [
        (lambda: tcp().connect(("192.0.2.1", 80)), "192.0.2.1"),
        (lambda: tcp().connect_ex(("192.0.2.1", 80)), "192.0.2.1"),
        (lambda: udp().sendto(b"", ("192.0.2.1", 53)), "192.0.2.1"),
        (lambda: udp().sendto(b"", 0, ("192.0.2.1", 53)), "192.0.2.1"),
        (lambda: udp().sendmsg([b""], [], 0, ("192.0.2.1", 53)), "192.0.2.1"),
        (lambda: udp().connect(("192.0.2.1", 53)), "192.0.2.1"),
        (
            lambda: socket.socket(socket.AF_INET6).connect(("2001:db8::1", 80, 0, 0)),
            "2001:db8::1",
        ),
        (lambda: socket.create_connection(("ram.aliyuncs.com", 443), 1), "ram.aliyuncs.com"),
        (lambda: socket.getaddrinfo("ram.aliyuncs.com", 443), "ram.aliyuncs.com"),
        (lambda: socket.getaddrinfo(host=b"ram.aliyuncs.com", port=443), "ram.aliyuncs.com"),
        (lambda: socket.gethostbyname("localhost.example"), "localhost.example"),
        (lambda: socket.gethostbyname_ex("ram.aliyuncs.com"), "ram.aliyuncs.com"),
        (lambda: socket.gethostbyaddr("192.0.2.1"), "192.0.2.1"),
        (lambda: socket.getnameinfo(("192.0.2.1", 80), 0), "192.0.2.1"),
        (lambda: asyncio.run(open_connection()), "ram.aliyuncs.com"),
    ],
)
def test_another_machine_is_refused_by_name(
    guarded: None, reach: Callable[[], object], host: str
) -> None:
    with pytest.raises(NotModelled) as refused:
        reach()
    assert f"{host} was not reached" in str(refused.value)
    assert 'mode="live"' in str(refused.value)
    assert not isinstance(refused.value, OSError)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", b"127.0.0.1"])
def test_a_server_on_this_machine_is_reached(guarded: None, echo: int, host: str | bytes) -> None:
    with socket.create_connection((host, echo), 5) as connection:
        connection.sendall(b"hello\n")
        assert connection.recv(10) == b"hello\n"


def test_asyncio_reaches_this_machine(guarded: None, echo: int) -> None:
    async def call() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", echo)
        writer.write(b"hello\n")
        line = await reader.readline()
        writer.close()
        return line

    assert asyncio.run(call()) == b"hello\n"


def test_datagrams_reach_this_machine(guarded: None) -> None:
    with udp() as receiver, udp() as sender:
        receiver.bind(("127.0.0.1", 0))
        sender.sendto(b"hello", receiver.getsockname())
        assert receiver.recv(10) == b"hello"


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs Unix sockets")
def test_unix_sockets_are_unaffected(guarded: None, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen()
        client.connect(path)
        client.sendall(b"hello")
        assert server.accept()[0].recv(10) == b"hello"


def test_undone_nothing_is_left() -> None:
    def state() -> list[object]:
        return [vars(socket.socket).get(name) for name in NAMES] + [
            getattr(socket, name) for name in LOOKUPS
        ]

    before = state()
    with ExitStack() as undo:
        guard(undo)
        assert not {*map(id, before)} & {*map(id, state())} - {id(None)}
    assert state() == before
    assert not {*NAMES} & {*vars(socket.socket)}


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost", "127.1.2.3", "::1", "0.0.0.0", "", None]
)
def test_this_machine(host: str | None) -> None:
    assert is_this_machine(host)


@pytest.mark.parametrize(
    "host", ["ram.aliyuncs.com", "100.100.100.200", "127.0.0.1.example", "127x0.0.1", "::2"]
)
def test_not_this_machine(host: str) -> None:
    assert not is_this_machine(host)
