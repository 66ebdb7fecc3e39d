"""A stage for tests: one account behind the stand-in, real clients in this process, a still clock.

What the clients send is caught at the classes that send it. Time stands at ``NOW`` until a test
moves it, for the clients and the stand-in alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from email.message import Message
from io import BytesIO
from typing import Any
from unittest.mock import patch
from urllib.request import AbstractHTTPHandler
from urllib.response import addinfourl

import requests
import time_machine
from aliyunsdkcore.vendored import requests as vendored
from aliyunsdkcore.vendored.requests.packages import urllib3 as vendored_urllib3
from urllib3 import HTTPResponse

from helpers.message import Request, Response
from helpers.recordings import load
from helpers.sandbox.account import AccessKey
from helpers.sandbox.sandbox import Sandbox
from helpers.sandbox.scenario import Names, account_before

NOW = datetime(2026, 1, 15, 8, 0, 0, tzinfo=timezone.utc)
RECORDINGS = load()


class Stage:
    """``account`` is the one of ``Names()`` before ``step``; ``root`` is its own key."""

    def __init__(self, step: int, clock: Any) -> None:
        self.account = account_before(step, Names(), NOW)
        self.sandbox = Sandbox(self.account, RECORDINGS)
        self.now = NOW
        self._clock = clock

    @property
    def root(self) -> AccessKey:
        return next(iter(self.account.access_keys.values()))

    def advance(self, **duration: float) -> None:
        """Move the stand-in's time and the clients'; ``travel`` alone moves only the clients'."""
        self.now += timedelta(**duration)
        self._clock.move_to(self.now)

    def answer(self, request: Request) -> Response:
        return self.sandbox.handle(request, self.now)


@contextmanager
def staged(step: int) -> Iterator[Stage]:
    with time_machine.travel(NOW, tick=False) as clock:
        stage = Stage(step, clock)

        def send(adapter: Any, request: Any, **_: Any) -> Any:
            body = request.body or b""
            sent = Request(
                request.method,
                request.url,
                dict(request.headers),
                body.encode() if isinstance(body, str) else body,
            )
            answer = stage.answer(sent)
            is_vendored = isinstance(adapter, vendored.adapters.HTTPAdapter)
            kind: Any = vendored_urllib3.response.HTTPResponse if is_vendored else HTTPResponse
            raw = kind(
                BytesIO(answer.body), dict(answer.headers), answer.status, preload_content=False
            )
            return adapter.build_response(request, raw)

        def do_open(handler: Any, http_class: Any, request: Any, **_: Any) -> Any:
            sent = Request(request.get_method(), request.full_url, dict(request.header_items()))
            answer = stage.answer(sent)
            headers = Message()
            for name, value in answer.headers.items():
                headers[name] = value
            response: Any = addinfourl(
                BytesIO(answer.body), headers, request.full_url, answer.status
            )
            response.msg = ""
            return response

        with (
            patch.object(requests.adapters.HTTPAdapter, "send", send),
            patch.object(vendored.adapters.HTTPAdapter, "send", send),
            patch.object(AbstractHTTPHandler, "do_open", do_open),
        ):
            yield stage
