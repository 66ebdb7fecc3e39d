"""Where HTTP leaves a notebook: the only module that touches HTTP libraries.

Three stacks meet in one notebook: ``requests`` (the reader's calls, oss2), the copy of ``requests``
inside aliyun-python-sdk-core, and ``urllib`` (that SDK's signer for instance roles). In each stack
every request passes one method. It is replaced on its class, as soon as a cell has imported it, so
that clients made before and after are caught alike: the request is turned into ours, ``exchange``
answers it, and the answer is turned into what the stack's caller expects. ``exchange`` may answer
itself (replay) or have the request sent (live, record). Requests to this machine pass untouched.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial, wraps
from http.client import HTTPResponse, RemoteDisconnected, responses
from importlib import import_module
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from .faults import AnswerTooLate, ConnectionCut, Faults
from .guard import guard, is_this_machine, replace
from .message import Exchange, Request, Response
from .on_import import on_import
from .trace import Trace

SendOn = Callable[[], Response]
_REQUESTS = (
    ("requests", "urllib3"),
    ("aliyunsdkcore.vendored.requests", "aliyunsdkcore.vendored.requests.packages.urllib3"),
)

_installed: list[Interceptor] = []
_patches = ExitStack()
_lock = Lock()


class Interceptor:
    """Hands every HTTP request of this process to ``exchange`` and keeps a trace of it.

    ``exchange(request, send_on)`` returns the answer; ``send_on()`` sends the request to its
    address and returns what came back. What ``exchange`` raises reaches the caller as it is.
    ``offline`` refuses every connection to another machine as well.
    """

    def __init__(
        self,
        exchange: Callable[[Request, SendOn], Response],
        trace: Trace,
        faults: Faults | None = None,
        offline: bool = False,
    ) -> None:
        self._exchange = exchange
        self._trace = trace
        self._faults = faults
        self.offline = offline

    def install(self) -> None:
        """Answer from now on, before any interceptor that is installed already."""
        with _lock:
            if self not in _installed:
                _installed.append(self)
                _patch()

    def close(self) -> None:
        """Step back; the one before answers again, and after the last nothing is replaced."""
        with _lock:
            if self in _installed:
                _installed.remove(self)
                _patch()

    def __enter__(self) -> Interceptor:
        self.install()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def answer(self, request: Request, send_on: SendOn, read_timeout: float | None) -> Response:
        """The answer to ``request``, traced. ``read_timeout``: the caller's, in seconds or None."""
        try:
            response = self._answer(request, send_on, read_timeout)
        except Exception as error:
            self._trace.append(Exchange(request, None, f"{type(error).__name__}: {error}"))
            raise
        self._trace.append(Exchange(request, response))
        return response

    def _answer(self, request: Request, send_on: SendOn, read_timeout: float | None) -> Response:
        if self._faults is None:
            return self._exchange(request, send_on)
        return self._faults.meet(request, read_timeout, lambda: self._exchange(request, send_on))


def _patch() -> None:
    """Put back what was replaced, then let the last interceptor in."""
    _patches.close()
    if _installed:
        interceptor = _installed[-1]
        for requests, urllib3 in _REQUESTS:
            patch = partial(_patch_requests, interceptor, requests, urllib3)
            on_import(_patches, f"{requests}.adapters", patch)
        on_import(_patches, "urllib.request", partial(_patch_urllib, interceptor))
        if interceptor.offline:
            guard(_patches)


class _Requests:
    """One copy of requests, with the copy of urllib3 below it: how it says things."""

    def __init__(self, requests: str, urllib3: str) -> None:
        self.adapter = import_module(f"{requests}.adapters").HTTPAdapter
        self.errors = import_module(f"{requests}.exceptions")
        self.urllib3 = import_module(urllib3)

    def raw(self, request: Request, answer: Response) -> Any:
        headers, body = _framed(request, answer)
        return self.urllib3.HTTPResponse(
            body=io.BytesIO(body),
            headers=headers,
            status=answer.status,
            reason=responses.get(answer.status, ""),
            preload_content=False,
            decode_content=False,
            request_method=request.method,
        )

    def cut(self, prepared: Any) -> Any:
        aborted = self.urllib3.exceptions.ProtocolError("Connection aborted.", _disconnected())
        return self.errors.ConnectionError(aborted, request=prepared)

    def too_late(self, prepared: Any, read_timeout: float | None) -> Any:
        url = urlsplit(prepared.url)
        port = url.port or {"http": 80}.get(url.scheme, 443)
        pool = f"{url.scheme.upper()}ConnectionPool(host={url.hostname!r}, port={port})"
        reason = f"Read timed out. (read timeout={read_timeout})"
        late = self.urllib3.exceptions.ReadTimeoutError(pool, prepared.url, reason)
        return self.errors.ReadTimeout(late, request=prepared)


def _patch_requests(interceptor: Interceptor, requests: str, urllib3: str) -> None:
    stack = _Requests(requests, urllib3)
    original = stack.adapter.send

    @wraps(original)
    def send(
        self: Any,
        request: Any,
        stream: bool = False,
        timeout: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        if is_this_machine(urlsplit(request.url).hostname):
            return original(self, request, stream, timeout, *args, **kwargs)

        def send_on() -> Response:
            return _read_requests(original(self, request, stream, timeout, *args, **kwargs))

        body, seconds = _take_body(request), _read_timeout(timeout)
        ours = Request(request.method, request.url, _text(request.headers), body)
        try:
            answer = interceptor.answer(ours, send_on, seconds)
        except ConnectionCut:
            raise stack.cut(request) from None
        except AnswerTooLate:
            raise stack.too_late(request, seconds) from None
        return self.build_response(request, stack.raw(ours, answer))

    replace(_patches, stack.adapter, "send", send)


def _take_body(prepared: Any) -> bytes:
    """The body's bytes. A stream can be read once only, so what was read takes its place."""
    body = _bytes(prepared.body)
    if not isinstance(prepared.body, bytes | str | None):
        framed = "Content-Length" in prepared.headers
        prepared.body = body if framed else iter([body])
    return body


def _read_requests(answer: Any) -> Response:
    # Keep the bytes as they came: whoever asked decodes them, by the header in ``answer.headers``.
    answer.raw.headers.pop("content-encoding", None)
    return Response(answer.status_code, dict(answer.headers), answer.content)


def _read_timeout(timeout: Any) -> float | None:
    """What requests waits for an answer: a number, (connect, read), urllib3's Timeout or None."""
    if isinstance(timeout, tuple):
        timeout = timeout[1]
    seconds = getattr(timeout, "read_timeout", timeout)
    return seconds if isinstance(seconds, int | float) else None


def _patch_urllib(interceptor: Interceptor) -> None:
    handler = import_module("urllib.request").AbstractHTTPHandler
    original = handler.do_open

    @wraps(original)
    def do_open(self: Any, http_class: Any, req: Any, **kwargs: Any) -> Any:
        if is_this_machine(urlsplit(req.full_url).hostname):
            return original(self, http_class, req, **kwargs)

        def send_on() -> Response:
            answer = original(self, http_class, req, **kwargs)
            return Response(answer.status, dict(answer.headers), answer.read())

        body = _bytes(req.data)
        if not isinstance(req.data, bytes | None):
            req.data = body
        headers = _text({**req.unredirected_hdrs, **req.headers})
        ours = Request(req.get_method(), req.full_url, headers, body)
        try:
            answer = interceptor.answer(ours, send_on, _read_timeout(req.timeout))
        except ConnectionCut:
            raise _disconnected() from None
        except AnswerTooLate:
            raise TimeoutError("timed out") from None
        return _urllib_response(ours, answer)

    replace(_patches, handler, "do_open", do_open)


def _urllib_response(request: Request, answer: Response) -> Any:
    """What ``do_open`` returns, read from the bytes that a server would have sent."""
    headers, body = _framed(request, answer)
    lines = [f"HTTP/1.1 {answer.status} {responses.get(answer.status, '')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    wire: Any = _Wire("\r\n".join([*lines, "", ""]).encode() + body)
    response: Any = HTTPResponse(wire, method=request.method)
    response.begin()
    response.url = request.url
    response.msg = response.reason  # as do_open does
    return response


class _Wire:
    """What ``http.client`` needs of a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_: Any) -> io.BytesIO:
        return io.BytesIO(self._data)


def _framed(request: Request, answer: Response) -> tuple[dict[str, str], bytes]:
    """Headers and body as HTTP frames them: no chunks, a length, nothing after a HEAD."""
    body = b"" if request.method == "HEAD" else answer.body
    headers = {n: v for n, v in answer.headers.items() if n.lower() != "transfer-encoding"}
    if not any(name.lower() == "content-length" for name in headers):
        headers["Content-Length"] = str(len(body))
    return headers, body


def _bytes(body: Any) -> bytes:
    """The bytes of a body, in each form that requests and urllib take."""
    if hasattr(body, "read"):
        body = body.read()
    if body is None or isinstance(body, bytes | bytearray):
        return bytes(body or b"")
    return body.encode() if isinstance(body, str) else b"".join(map(_bytes, body))


def _text(headers: Mapping[Any, Any]) -> dict[str, str]:
    """Headers as text; requests lets names and values be bytes."""
    return {_latin(name): _latin(value) for name, value in headers.items()}


def _latin(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _disconnected() -> RemoteDisconnected:
    return RemoteDisconnected("Remote end closed connection without response")
