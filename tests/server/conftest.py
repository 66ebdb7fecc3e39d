"""The three ways to reach the stand-in: in this process, and over sockets by two addresses."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from helpers.server import serve
from helpers.trace import Trace
from helpers.transport import Interceptor
from tests.server.cloud import BY_ADDRESS, BY_NAME, IN_PROCESS, NAMES, Cloud, Switchboard, to


@pytest.fixture(scope="session")
def switchboard() -> Iterator[Switchboard]:
    board = Switchboard()
    with serve(lambda request: board.cloud.answer(request), NAMES.region_id) as board.served:
        yield board


@pytest.fixture
def trusting(switchboard: Switchboard, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a reader sets to trust the throw-away authority."""
    for name in ("ALIBABA_CLOUD_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(switchboard.served.ca_file))


@pytest.fixture(params=[IN_PROCESS, BY_NAME, BY_ADDRESS])
def cloud(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    if request.param == IN_PROCESS:
        cloud = Cloud()
        with Interceptor(lambda sent, _: cloud.answer(sent), Trace(), offline=True):
            yield cloud
        return
    request.getfixturevalue("trusting")
    switchboard: Switchboard = request.getfixturevalue("switchboard")
    if request.param == BY_NAME:
        monkeypatch.setattr(socket, "getaddrinfo", to(switchboard.served))
    yield switchboard.connect(by_address=request.param == BY_ADDRESS)
