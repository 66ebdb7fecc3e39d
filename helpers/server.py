"""The stand-in behind loopback sockets, http and https, for curl, command-line tools, other SDKs.

A request that names a service in its Host header goes to that service. One that names this machine
goes where its content points: an Action to the service of its Version, ``/latest/…`` to the
metadata address, any other path to OSS, with the bucket as its first part. Headers stay as they
came, since they are signed. The certificate is made for each run; its authority's key is kept
nowhere.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from http.client import responses
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock, Thread
from typing import Any
from urllib.parse import quote, urlsplit

import trustme
from cheroot.ssl.builtin import BuiltinSSLAdapter
from cheroot.wsgi import Server

from .guard import is_this_machine
from .masking import mask_text
from .message import Decided, Exchange, NotModelled, Request, Response
from .parameters import REGIONS, check_all, check_names
from .recordings import load
from .sandbox.account import AccessKey
from .sandbox.sandbox import RPC_SERVICES, Sandbox
from .sandbox.scenario import Names, account_before, names_from
from .trace import METADATA_HOST, Trace

HOST = "127.0.0.1"
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}
ANNOUNCEMENT = """\
RAM, STS, ECS   {https}
OSS             {http} or {https}, with the bucket first in the path
Metadata        {http}/latest/meta-data/

# This AccessKey is the stand-in's own: it opens nothing else.
export ALIBABA_CLOUD_ACCESS_KEY_ID={id} OSS_ACCESS_KEY_ID={id}
export ALIBABA_CLOUD_ACCESS_KEY_SECRET={secret} OSS_ACCESS_KEY_SECRET={secret}
export OSS_REGION={region} OSS_ENDPOINT={http}
export ALIBABA_CLOUD_CA_BUNDLE={ca} REQUESTS_CA_BUNDLE={ca} CURL_CA_BUNDLE={ca}
export SSL_CERT_FILE={ca} NODE_EXTRA_CA_CERTS={ca}

# The services' own names work too:
curl --connect-to ::{host}:{port} https://{bucket}.oss-{region}.aliyuncs.com/
# To call as the role of the instance, unset the keys above:
export ALIBABA_CLOUD_CREDENTIALS_URI={http}/latest/meta-data/ram/security-credentials/{role}

Ctrl-C ends it. The requests:
"""
Answer = Callable[[Request], Response]


@dataclass(frozen=True)
class Served:
    """Where the stand-in listens, and the file with the authority that its clients must trust."""

    http_port: int
    https_port: int
    ca_file: Path

    @property
    def http(self) -> str:
        return f"http://{HOST}:{self.http_port}"

    @property
    def https(self) -> str:
        return f"https://{HOST}:{self.https_port}"


@contextmanager
def serve(
    answer: Answer, region_id: str, http_port: int = 0, https_port: int = 0
) -> Iterator[Served]:
    """Answer at two ports of this machine until the context ends; 0 takes a free port.

    ``answer`` is called for one request at a time. ``region_id`` is the region that OSS has at an
    address without a host name. Raises OSError for a port that is taken.
    """
    application = wsgi(answer, region_id)
    with ExitStack() as stack:
        ca_file = Path(stack.enter_context(TemporaryDirectory()), "ca.pem")
        http, https = (_Server((HOST, port), application) for port in (http_port, https_port))
        https.ssl_adapter = _certificate(ca_file)
        for server in (http, https):
            server.prepare()
            stack.callback(server.stop)
            Thread(target=server.serve, daemon=True).start()
        yield Served(http.bind_addr[1], https.bind_addr[1], ca_file)


class _Server(Server):
    def error_log(self, msg: str = "", level: int = 20, traceback: bool = False) -> None:
        print(msg, file=sys.stderr)


def _certificate(ca_file: Path) -> BuiltinSSLAdapter:
    """A certificate for this machine and for the services' own names."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(ca_file)
    names = [HOST, "localhost", METADATA_HOST, "*.aliyuncs.com"]
    for region in REGIONS:
        names += [f"*.{at}{region}.aliyuncs.com" for at in ("", "oss-")]
        names.append(f"*.oss-{region}-internal.aliyuncs.com")
    own = authority.issue_cert(*names)
    with own.private_key_and_cert_chain_pem.tempfile() as file:
        return BuiltinSSLAdapter(file, file)


def wsgi(answer: Answer, region_id: str) -> Callable[..., Iterable[bytes]]:
    """A WSGI application for a server that gives the target as it was sent, as REQUEST_URI."""
    lock = Lock()

    def application(environ: Mapping[str, Any], start_response: Any) -> Iterable[bytes]:
        request = _request(environ)
        try:
            with lock:
                response = answer(addressed(request, region_id))
        except NotModelled as error:
            response = _not_modelled(error)
        headers = [(n, v) for n, v in response.headers.items() if n.lower() not in HOP_BY_HOP]
        start_response(f"{response.status} {responses.get(response.status, '')}", headers)
        return [b"" if request.method == "HEAD" else response.body]

    return application


def _not_modelled(error: NotModelled) -> Response:
    text = f"{error}\n".encode()
    headers = {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(text))}
    return Response(501, headers, text)


def _request(environ: Mapping[str, Any]) -> Request:
    names = ((name.removeprefix("HTTP_"), name) for name in environ if name.startswith("HTTP_"))
    headers = {short.replace("_", "-"): environ[name] for short, name in names}
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.replace("_", "-")] = environ[name]
    host = quote(headers.get("HOST", HOST), safe=":")  # whatever it is, the path comes after it
    url = f"{environ['wsgi.url_scheme']}://{host}{environ['REQUEST_URI']}"
    body = environ["wsgi.input"].read()
    return Request(environ["REQUEST_METHOD"], url, headers, body, environ["REMOTE_ADDR"])


def addressed(request: Request, region_id: str) -> Request:
    """``request`` with the address of the service that it means; see the top of this file."""
    if not is_this_machine(request.host):
        return request
    action = request.headers.get("x-acs-action") or request.parameters.get("Action")
    if action:
        return _sent_to(request, _rpc_host(request, action))
    if request.path.startswith("/latest/"):
        return _sent_to(request, METADATA_HOST)
    bucket_name, _, key = urlsplit(request.url).path[1:].partition("/")
    endpoint = f"oss-{region_id}.aliyuncs.com"
    host = f"{quote(bucket_name, safe='')}.{endpoint}" if bucket_name else endpoint
    return _sent_to(request, host, f"/{key}")


def _rpc_host(request: Request, action: str) -> str:
    version = request.headers.get("x-acs-version") or request.parameters.get("Version")
    hosts = {service.version: f"{service.name}.aliyuncs.com" for service in RPC_SERVICES}
    if version in hosts:
        return hosts[version]
    served = ", ".join(f"{version} ({host})" for version, host in hosts.items())
    raise NotModelled(f"{action} of the API version {version} is not served here; {served} are.")


def _sent_to(request: Request, host: str, path: str | None = None) -> Request:
    url = urlsplit(request.url)
    path = url.path if path is None else path
    return replace(request, url=url._replace(netloc=host, path=path).geturl())


def run(
    step: int,
    parameters: Mapping[str, Any],
    ports: tuple[int, int],
    show: Callable[[str], None],
) -> None:
    """Serve the account before ``step`` (1 to 4) until Ctrl-C, and ``show`` each exchange.

    The caller of the metadata address is the account's instance. ``parameters`` are names as the
    notebooks have them; ``ports`` are for http and https. Raises ParameterError, and OSError for a
    port that is taken.
    """
    check_names(parameters, Names._fields)
    check_all(parameters)
    names = names_from(parameters)
    account = account_before(step, names, _now())
    account.here = names.instance_id
    sandbox = Sandbox(account, load())

    def answer(request: Request) -> Response:
        response = sandbox.handle(request, _now())
        show(_line(request, response))
        return response

    with serve(answer, names.bucket_region_id, *ports) as served:
        show(_announcement(served, next(iter(account.access_keys.values())), names))
        with suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _line(request: Request, response: Response) -> str:
    decided = response.decided or Decided("")
    outcome = f"{Trace([Exchange(request, response)])!r} ({decided.check}: {decided.reason})"
    return mask_text(outcome)


def _announcement(served: Served, key: AccessKey, names: Names) -> str:
    return ANNOUNCEMENT.format(
        host=HOST,
        port=served.https_port,
        http=served.http,
        https=served.https,
        ca=served.ca_file,
        id=key.access_key_id,
        secret=key.secret,
        region=names.bucket_region_id,
        bucket=names.bucket_name,
        role=names.role_name,
    )
