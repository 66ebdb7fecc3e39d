"""The stand-in's one entrance: ``handle`` routes a request to the service of its host.

No sockets, files, threads or clock in here: recordings and the account's state are handed in, the
time is an argument. So the same object answers in a kernel, behind a server and in a test.
"""

from __future__ import annotations

from datetime import datetime

from ..message import NotModelled, Request, Response
from ..recordings import Recordings
from . import ecs, metadata, oss, ram, sts
from .account import Account

RPC_SERVICES = (ram.SERVICE, sts.SERVICE, ecs.SERVICE)
SERVED = (
    "ram.aliyuncs.com, sts.aliyuncs.com, ecs.<region>.aliyuncs.com, 100.100.100.200, "
    "<bucket>.oss-<region>.aliyuncs.com"
)


class Sandbox:
    """One account behind the four services' addresses."""

    def __init__(self, account: Account, recordings: Recordings) -> None:
        self.account = account
        self.recordings = recordings

    def handle(self, request: Request, now: datetime) -> Response:
        """The answer of the service that ``request`` addresses, as of ``now`` (UTC, aware).

        Raises NotModelled for a host, an operation or a parameter that has no model here.
        """
        host = request.host
        for service in RPC_SERVICES:
            if service.hosts.fullmatch(host):
                return service.handle(self.account, self.recordings, request, now)
        for module in (metadata, oss):
            if module.HOSTS.fullmatch(host):
                return module.handle(self.account, self.recordings, request, now)
        raise NotModelled(
            f"{request.method} {host} is not served in replay, which serves {SERVED}. "
            'mode="live" would send it.'
        )
