"""The stand-in's one entrance: ``handle`` routes a request to the service of its host.

No sockets, files, threads or clock in here: recordings and the account's state are handed in, the
time is an argument. So the same object answers in a kernel, behind a server and in a test.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ..message import Decided, NotModelled, Request, Response, ServiceError
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
        answer: Response = _service(request).handle(self.account, self.recordings, request, now)
        return answer

    def refuse(self, request: Request, now: datetime, code: str) -> Response:
        """The refusal ``code`` of the service that ``request`` addresses, whatever the state."""
        error = ServiceError(code, Decided("fault", "asked for"))
        answer: Response = _service(request).refuse(self.recordings, request, now, error)
        return answer


def _service(request: Request) -> Any:
    """What answers for the request's host: an RPC service, or one of the two modules."""
    for service in RPC_SERVICES:
        if service.hosts.fullmatch(request.host):
            return service
    for module in (metadata, oss):
        if module.HOSTS.fullmatch(request.host):
            return module
    raise NotModelled(
        f"{request.method} {request.host} is not served in replay, which serves {SERVED}. "
        'mode="live" would send it.'
    )
