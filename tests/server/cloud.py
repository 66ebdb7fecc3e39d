"""One account that clients reach in three ways: in this process, and over sockets by two addresses.

By name, a client keeps the services' own addresses; what a hosts file would do is done to the
look-up of names. By address, it is told 127.0.0.1 and the port. Time is the wall clock's.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from helpers.message import Request, Response
from helpers.recordings import load
from helpers.sandbox.account import SessionCredential
from helpers.sandbox.credentials import issue
from helpers.sandbox.sandbox import Sandbox
from helpers.sandbox.scenario import Names, account_before
from helpers.server import Served

NAMES = Names()
IN_PROCESS, BY_NAME, BY_ADDRESS = "in process", "by name", "by address"
READ_ONLY = ["oss:Get*", "oss:List*", "ram:Get*", "ram:List*"]
RECORDINGS = load()
# The five cases of every client, with what it gets.
OSS = {
    "list": ["ramroletest.txt", "test.shh"],
    "get": "hello world",
    "put denied": "403 AccessDenied",
    "expired token": "403 SecurityTokenExpired",
    "wrong secret": "403 SignatureDoesNotMatch",
}
RPC = {
    "list": [NAMES.role_name],
    "get": NAMES.role_name,
    "put denied": "403 NoPermission",
    "expired token": "400 InvalidSecurityToken.Expired",
    "wrong secret": "400 SignatureDoesNotMatch",
}


class Cloud:
    """The account before step 4; the role of its instance may read OSS and RAM.

    ``served`` is where it listens, for clients that are told an address.
    """

    def __init__(self, served: Served | None = None) -> None:
        self.account = account_before(4, NAMES, now())
        self.sandbox = Sandbox(self.account, RECORDINGS)
        self.served = served
        statement = {"Effect": "Allow", "Action": READ_ONLY, "Resource": "*"}
        document = json.dumps({"Version": "1", "Statement": [statement]})
        self.account.policies["Custom", NAMES.policy_name].versions[0].document = document

    def answer(self, request: Request) -> Response:
        return self.sandbox.handle(request, now())

    def key(self, case: str = "") -> SessionCredential:
        """A credential of the role, spoilt as ``case`` says."""
        role = self.account.roles[NAMES.role_name]
        return self.spoil(issue(self.account, role, "session", now(), timedelta(hours=6)), case)

    def spoil(self, key: SessionCredential, case: str) -> SessionCredential:
        if case == "expired token":
            self.account.credentials[key.access_key_id] = replace(key, expires_at=now())
        return replace(key, secret="wrong") if case == "wrong secret" else key

    @property
    def oss_endpoint(self) -> str:
        return self.served.https if self.served else f"https://{NAMES.endpoint}"

    @property
    def rpc_endpoint(self) -> str | None:
        return self.served and self.served.https.removeprefix("https://")

    @property
    def metadata(self) -> str:
        return self.served.http if self.served else "http://100.100.100.200"


def now() -> datetime:
    return datetime.now(timezone.utc)


class Switchboard:
    """One server for all tests, in front of the cloud of the test that runs."""

    cloud: Cloud
    served: Served

    def connect(self, by_address: bool) -> Cloud:
        self.cloud = Cloud(self.served if by_address else None)
        return self.cloud


def to(served: Served) -> Callable[..., Any]:
    """A look-up that finds every host on this machine, at the stand-in's ports."""
    original, ports = socket.getaddrinfo, {443: served.https_port, 80: served.http_port}

    def getaddrinfo(host: Any, port: int, *args: Any, **kwargs: Any) -> Any:
        return original("127.0.0.1", ports[port], *args, **kwargs)

    return getaddrinfo


def missing(reason: str) -> None:
    """Skip a test for want of a client; where CI is set, that is a failure."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
