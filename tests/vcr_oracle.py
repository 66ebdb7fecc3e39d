"""Run one notebook's cells three times and print what the SDKs got each time, as JSON.

``core``: answered in this process, as in replay. ``wire``: sent by the SDKs' own HTTP stacks to the
stand-in behind sockets, while VCR.py records. ``cassette``: answered by VCR.py from that record,
with no server and every look-up of a name refused.
"""

from __future__ import annotations

import io
import json
import os
import re
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree

import aliyunsdkcore.vendored.requests.packages.urllib3.connection as vendored
import aliyunsdkcore.vendored.requests.packages.urllib3.connectionpool as pools
import vcr
from IPython.core.interactiveshell import InteractiveShell
from vcr.stubs import VCRHTTPConnection, VCRHTTPSConnection

import helpers
from helpers import transport
from helpers.message import Exchange, Request, Response
from helpers.runs import code_cells
from helpers.server import Served, serve
from helpers.trace import describe

REGION = "cn-hangzhou"
# What is new in each request.
VOLATILE = {
    *("Timestamp", "SignatureNonce", "Signature", "SecurityToken", "AccessKeyId", "ClientToken"),
    "Tag.1.Value",  # the notebook writes the ClientToken into it
    *("Expires", "Password", "x-oss-signature", "x-oss-date", "x-oss-credential"),
}
TIME = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(\.000)?Z|\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"
)


class HttpOfTheSdk(VCRHTTPConnection, vendored.HTTPConnection):
    """VCR.py's connection for the copy of requests that the SDK brings with it."""

    _baseclass = vendored.HTTPConnection


class HttpsOfTheSdk(VCRHTTPSConnection, vendored.VerifiedHTTPSConnection):
    """The same with TLS."""

    _baseclass = vendored.VerifiedHTTPSConnection


def fresh_connections() -> None:
    """A pool of the SDK hands out no connection that another cassette, or none, has made."""
    original = pools.HTTPConnectionPool._get_conn

    def get(self: Any, timeout: Any = None) -> Any:
        connection = original(self, timeout)
        while type(connection) is not self.ConnectionCls:
            connection.close()
            connection = original(self, timeout)
        return connection

    pools.HTTPConnectionPool._get_conn = get


def recorder() -> Any:
    tape = vcr.VCR(
        custom_patches=(
            (pools.HTTPConnectionPool, "ConnectionCls", HttpOfTheSdk),
            (pools.HTTPSConnectionPool, "ConnectionCls", HttpsOfTheSdk),
        )
    )
    tape.register_matcher("asked", same_question)
    tape.match_on = ["method", "scheme", "host", "path", "asked"]
    return tape


def same_question(one: Any, other: Any) -> None:
    """As matchers of VCR.py do: an assertion fails where two requests ask for other things."""
    assert question(one.uri) == question(other.uri)


def question(uri: str) -> list[tuple[str, str]]:
    pairs = parse_qsl(urlsplit(uri).query, keep_blank_values=True)
    return sorted(pair for pair in pairs if pair[0] not in VOLATILE)


def run(notebook: Path, to_the_wire: bool, on_connect: Callable[[Any], None]) -> list[Any]:
    """Execute the cells; what each exchange was and what a client reads in its answer."""
    sessions, original = [], helpers.connect

    def connect(*args: Any, **kwargs: Any) -> Any:
        session = original(*args, **kwargs)
        sessions.append(session)
        on_connect(session)
        if to_the_wire:
            send_on(session)
        return session

    helpers.connect = connect
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    try:
        for cell in code_cells(notebook):
            with redirect_stdout(io.StringIO()) as output:
                done = shell.run_cell("".join(cell["source"]))
            assert done.success, output.getvalue()
    finally:
        helpers.connect = original
        for session in sessions:
            session.close()
    return [facts(exchange) for session in sessions for exchange in session.trace]


def send_on(session: Any) -> None:
    """Let the requests of a replay leave: by their own stacks, watched by the ledger as before."""
    interceptor = transport._installed[-1]
    interceptor._exchange = lambda request, send: session.ledger.watch(request, send)
    interceptor.offline = False
    transport._patch()


def facts(exchange: Exchange) -> list[Any]:
    if exchange.response is None:
        return [*describe(exchange.request), exchange.error]
    body = TIME.sub("(time)", exchange.response.body.decode())
    return [*describe(exchange.request), exchange.response.status, parsed(body)]


def parsed(body: str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return _tree(ElementTree.fromstring(body)) if body.startswith("<?xml") else body


def _tree(node: ElementTree.Element) -> Any:
    return [node.tag, [_tree(child) for child in node] or (node.text or "").strip()]


@contextmanager
def lookups(served: Served | None) -> Iterator[None]:
    """Every name leads to the stand-in, or nowhere."""
    original = socket.getaddrinfo

    def getaddrinfo(host: Any, port: int, *args: Any, **kwargs: Any) -> Any:
        assert served, f"{host} was looked up"
        here = {443: served.https_port, 80: served.http_port}[port]
        return original("127.0.0.1", here, *args, **kwargs)

    socket.getaddrinfo = getaddrinfo
    try:
        yield
    finally:
        socket.getaddrinfo = original


def main(notebook: Path, cassette: Path) -> None:
    core = run(notebook, False, lambda session: None)
    fresh_connections()
    tape, current = recorder(), []

    def answer(request: Request) -> Response:
        return current[-1]._sandbox.handle(request, current[-1].clock.now())

    with serve(answer, REGION) as served:
        for name in ("ALIBABA_CLOUD_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
            os.environ[name] = str(served.ca_file)
        with lookups(served), tape.use_cassette(str(cassette), record_mode="all"):
            wire = run(notebook, True, current.append)
        with lookups(None), tape.use_cassette(str(cassette), record_mode="none") as played:
            replayed = run(notebook, True, lambda session: None)
    left = len(played) - played.play_count
    print(json.dumps({"core": core, "wire": wire, "cassette": replayed, "left": left}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
