"""The clients that the notebooks use, unchanged, answered by a function or sent to a server.

Where the original code path matters, the same client meets a real server on loopback with and
without an interceptor: through a proxy's address, so that the URL keeps the cloud's host name.
"""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import oss2
import pytest
import requests
from aliyunsdkcore.auth.credentials import EcsRamRoleCredential
from aliyunsdkcore.auth.signers.ecs_ram_role_signer import EcsRamRoleSigner
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.vendored import requests as vendored
from aliyunsdkecs.request.v20140526.DescribeInstancesRequest import DescribeInstancesRequest
from aliyunsdkram.request.v20150501.CreateRoleRequest import CreateRoleRequest

from helpers.message import NotModelled, Request, Response
from helpers.trace import Trace, describe
from helpers.transport import Interceptor

METADATA = "http://100.100.100.200/latest/meta-data/ram/security-credentials/EcsRamRoleTest"
CREDENTIAL = {
    "Code": "Success",
    "AccessKeyId": "STS.a",
    "AccessKeySecret": "b",
    "SecurityToken": "c",
}
LISTING = """<ListBucketResult><Name>ramroletest</Name><IsTruncated>false</IsTruncated><Contents>
<Key>test.shh</Key><LastModified>2017-06-09T03:17:18.000Z</LastModified><ETag>"E"</ETag>
<Type>Normal</Type><Size>3</Size><StorageClass>Standard</StorageClass></Contents>
</ListBucketResult>"""
OSS = "http://oss-cn-hangzhou.aliyuncs.com"
OBJECT = "http://ramroletest.oss-cn-hangzhou.aliyuncs.com/test.shh"


def cloud(request: Request, send_on: Callable[[], Response]) -> Response:
    """A cloud in a few lines: every service answers one call."""
    service, operation = describe(request)
    if service == "oss" and operation == "ListObjects":
        return Response(200, {"Content-Type": "application/xml"}, LISTING.encode())
    if operation == "HeadObject":
        return Response(200, {"Content-Length": "287", "ETag": '"E"'}, b"." * 287)
    if operation == "GetObject":
        return Response(200, {"x-oss-request-id": "5F"}, b"0123456789")
    if operation == "PutObject":
        return Response(200, {"ETag": '"E"'})
    if service == "metadata" and request.path.endswith("EcsRamRoleTest"):
        return Response(200, {}, json.dumps(CREDENTIAL).encode())
    if service == "metadata":
        return Response(404, {"Content-Type": "text/html"}, b"<h1>404</h1>")
    if operation == "CreateRole":
        name = request.parameters["RoleName"]
        return Response(200, {}, json.dumps({"Role": {"RoleName": name}}).encode())
    raise NotModelled(f"{operation} is not modelled")


def create_role(client: AcsClient | None = None, name: str = "EcsRamRoleTest") -> str:
    request = CreateRoleRequest()
    request.set_RoleName(name)
    answer = (client or AcsClient("LTAI", "secret", "cn-hangzhou")).do_action_with_exception(
        request
    )
    return json.loads(answer)["Role"]["RoleName"]


def get_metadata(session: Any = requests) -> str:
    return session.get(METADATA, timeout=2).json()["AccessKeyId"]


def urlopen_metadata(opener: Any = None) -> str:
    with (opener.open if opener else urllib.request.urlopen)(METADATA, timeout=2) as answer:
        return json.load(answer)["AccessKeyId"]


def sign_as_instance(signer: EcsRamRoleSigner | None = None) -> str:
    signer = signer or EcsRamRoleSigner(EcsRamRoleCredential("EcsRamRoleTest"))
    signer._refresh_session_ak_and_sk()
    return str(signer._session_credential[0])


def bucket(session: Any = None) -> oss2.Bucket:
    return oss2.Bucket(oss2.StsAuth("STS.a", "b", "c"), OSS, "ramroletest", session=session)


def list_objects(of: oss2.Bucket | None = None) -> list[str]:
    return [item.key for item in oss2.ObjectIterator(of or bucket())]


CALLS: dict[str, tuple[Callable[..., Any], Callable[[], Any], Any]] = {
    # name: (a call, what makes its client, its result)
    "core SDK": (create_role, lambda: AcsClient("LTAI", "secret", "cn-hangzhou"), "EcsRamRoleTest"),
    "requests": (get_metadata, requests.Session, "STS.a"),
    "urllib": (urlopen_metadata, urllib.request.build_opener, "STS.a"),
    "role signer": (
        sign_as_instance,
        lambda: EcsRamRoleSigner(EcsRamRoleCredential("EcsRamRoleTest")),
        "STS.a",
    ),
    "oss2": (list_objects, bucket, ["test.shh"]),
}
calls = pytest.mark.parametrize(("call", "make_client", "result"), CALLS.values(), ids=CALLS)


@pytest.fixture
def trace() -> Trace:
    return Trace()


@pytest.fixture
def replay(trace: Trace) -> Iterator[Interceptor]:
    with Interceptor(cloud, trace, offline=True) as interceptor:
        yield interceptor


@calls
def test_a_new_client_is_answered(
    call: Callable[..., Any], make_client: Any, result: Any, replay: Interceptor, trace: Trace
) -> None:
    assert call() == result
    assert len(trace) == 1
    assert trace[0].response is not None and trace[0].response.status == 200


@calls
def test_a_client_from_before_is_answered_by_whoever_is_installed(
    call: Callable[..., Any], make_client: Any, result: Any
) -> None:
    client = make_client()
    for _ in range(2):
        trace = Trace()
        with Interceptor(cloud, trace, offline=True):
            assert call(client) == result
        assert len(trace) == 1


def test_a_request_arrives_as_it_was_signed(replay: Interceptor) -> None:
    seen: list[Request] = []

    def keep(request: Request, send_on: Callable[[], Response]) -> Response:
        seen.append(request)
        return cloud(request, send_on)

    with Interceptor(keep, Trace()):
        create_role(name="Ecs-Ram")
        bucket().put_object("a b/ü", "text")
        urllib.request.urlopen(urllib.request.Request(METADATA, b"x=1", {"X-Note": "n"})).close()
    role, put, post = seen
    assert (role.method, role.scheme, role.host, role.body) == (
        "POST",
        "https",
        "ram.aliyuncs.com",
        b"",
    )
    assert role.parameters["RoleName"] == "Ecs-Ram"
    assert role.parameters["Signature"]
    assert role.headers["x-acs-action"] == "CreateRole"
    assert (put.method, put.path, put.body) == ("PUT", "/a b/ü", b"text")
    assert put.url.endswith("/a%20b%2F%C3%BC")
    assert put.headers["authorization"].startswith("OSS STS.a:")
    assert put.headers["x-oss-security-token"] == "c"
    assert (post.method, post.body, post.headers["x-note"]) == ("POST", b"x=1", "n")


@pytest.mark.parametrize(
    "order",
    ["install requests oss2 sdk", "requests oss2 install sdk", "sdk oss2 requests install"],
)
def test_the_order_of_imports_does_not_matter(order: str) -> None:
    steps = {
        "install": "from helpers.transport import Interceptor; from helpers.trace import Trace\n"
        "from helpers.message import Response\n"
        "import json; trace = Trace()\n"
        "body = json.dumps({'Code': 'Success', 'AccessKeyId': 'a', 'AccessKeySecret': 'b',"
        " 'SecurityToken': 'c'}).encode()\n"
        "Interceptor(lambda *_: Response(200, {}, body), trace, offline=True).install()",
        "requests": "import requests; session = requests.Session()",
        "oss2": "import oss2\n"
        "bucket = oss2.Bucket(oss2.Auth('a', 'b'), 'http://oss.example', 'abc')",
        "sdk": "from aliyunsdkcore.client import AcsClient\n"
        "from aliyunsdkcore.request import CommonRequest\n"
        "from aliyunsdkcore.auth.credentials import EcsRamRoleCredential\n"
        "client = AcsClient('a', 'b', 'cn-hangzhou')\n"
        "role_client = AcsClient(region_id='cn-hangzhou', credential=EcsRamRoleCredential('r'))",
    }
    use = (
        "request = CommonRequest(domain='ram.aliyuncs.com', version='2015-05-01',"
        " action_name='ListRoles')\n"
        "assert client.do_action_with_exception(request) == body\n"
        "assert role_client.do_action_with_exception(request) == body\n"
        "assert session.get('https://ram.aliyuncs.com/').content == body\n"
        "assert bucket.get_object('k').read() == body\n"
        "print([exchange.request.host for exchange in trace])"
    )
    code = "\n".join([*(steps[step] for step in order.split()), use])
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    hosts = ["ram.aliyuncs.com", "100.100.100.200", "ram.aliyuncs.com", "ram.aliyuncs.com"]
    assert run.stdout.strip() == str([*hosts, "abc.oss.example"]), run.stderr


@pytest.mark.parametrize(
    "ask",
    [
        lambda: requests.get("https://ram.aliyuncs.com/?Action=X"),
        lambda: vendored.get("https://ram.aliyuncs.com/?Action=X"),
        lambda: urllib.request.urlopen("https://ram.aliyuncs.com/?Action=X"),
        lambda: bucket().delete_object("k"),
        lambda: AcsClient("LTAI", "s", "cn-hangzhou").do_action_with_exception(
            describe_instances()
        ),
    ],
)
def test_what_is_not_modelled_reaches_the_reader_as_it_is(
    ask: Callable[[], object], replay: Interceptor, trace: Trace
) -> None:
    with pytest.raises(NotModelled, match="is not modelled"):
        ask()
    assert [exchange.error.partition(":")[0] for exchange in trace] == ["NotModelled"]
    assert trace[0].response is None


def describe_instances() -> Any:
    """The SDK sends this one again after most errors."""
    client = AcsClient("LTAI", "secret", "cn-hangzhou")
    return json.loads(client.do_action_with_exception(DescribeInstancesRequest()))


def test_a_head_request_has_a_length_and_no_body(replay: Interceptor) -> None:
    head = requests.head(OBJECT)
    assert (head.headers["Content-Length"], head.content) == ("287", b"")
    assert bucket().head_object("test.shh").content_length == 287
    request = urllib.request.Request(OBJECT, method="HEAD")
    with urllib.request.urlopen(request) as answer:
        assert (answer.headers["Content-Length"], answer.read()) == ("287", b"")


def test_an_answer_has_a_length_even_if_nobody_gave_it_one(replay: Interceptor) -> None:
    assert requests.get(OBJECT).headers["Content-Length"] == "10"
    assert bucket().get_object("test.shh").content_length == 10


def test_an_answer_can_be_read_in_pieces(replay: Interceptor) -> None:
    for client in (requests, vendored):
        streamed = client.get(OBJECT, stream=True)
        assert [*streamed.iter_content(4)] == [b"0123", b"4567", b"89"]
        assert client.get(OBJECT, stream=True).raw.read(3) == b"012"
    answer = bucket().get_object("test.shh")
    assert [answer.read(6), answer.read(6), answer.read(6)] == [b"012345", b"6789", b""]
    with urllib.request.urlopen(OBJECT) as answer:
        assert (answer.url, answer.reason, answer.getheader("Content-Length")) == (
            OBJECT,
            "OK",
            "10",
        )
        assert [answer.read(6), answer.read(6), answer.read()] == [b"012345", b"6789", b""]


def test_urllib_makes_its_own_error_of_a_404(replay: Interceptor) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen("http://100.100.100.200/latest/none")
    error = refused.value
    assert (error.code, error.reason, error.read()) == (404, "Not Found", b"<h1>404</h1>")
    assert error.headers["Content-Type"] == "text/html"
    error.close()


def test_installing_and_closing_twice_is_the_same_as_once() -> None:
    before = patched()
    outer, inner = Interceptor(cloud, Trace(), offline=True), Interceptor(say("inner"), Trace())
    outer.install()
    outer.install()
    assert get_metadata() == "STS.a"
    inner.install()
    assert requests.get(METADATA).text == "inner"
    outer.close()
    assert requests.get(METADATA).text == "inner"
    inner.close()
    inner.close()
    assert patched() == before
    with outer:
        assert get_metadata() == "STS.a"
        with inner:
            assert requests.get(METADATA).text == "inner"
        assert get_metadata() == "STS.a"
        assert patched() != before
    assert patched() == before


def say(text: str) -> Callable[[Request, Callable[[], Response]], Response]:
    return lambda request, send_on: Response(200, {}, text.encode())


def patched() -> list[object]:
    import socket

    return [
        vars(requests.adapters.HTTPAdapter)["send"],
        vars(vendored.adapters.HTTPAdapter)["send"],
        vars(urllib.request.AbstractHTTPHandler)["do_open"],
        vars(socket.socket).get("connect"),
        socket.getaddrinfo,
    ]


def test_threads_get_their_own_answers(replay: Interceptor, trace: Trace) -> None:
    names = [f"role-{number}" for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        assert [*pool.map(lambda name: create_role(name=name), names)] == names
    assert sorted(e.request.parameters["RoleName"] for e in trace) == sorted(names)


class Server(BaseHTTPRequestHandler):
    """Says what it got; as a proxy it is reached under any host's name over http."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one write an answer: two would wait for each other's acknowledgement

    def answer(self) -> None:
        body = self.body()
        got = {
            "method": self.command,
            "path": self.path,
            "length": len(body),
            "body": body.decode(),
        }
        kind = self.path.rpartition("/")[2]
        content = json.dumps(got).encode()
        self.send_response(404 if kind == "missing" else 200)
        self.send_header("X-Kind", kind)
        if kind == "gzip":
            content = gzip.compress(content, mtime=0)
            self.send_header("Content-Encoding", "gzip")
        if kind == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
            content = b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content)
        else:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = b""
        while size := int(self.rfile.readline(), 16):
            chunks += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return chunks

    do_GET = do_POST = do_PUT = do_HEAD = answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def proxy(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")


def by_requests(client: Any) -> Callable[..., tuple[object, ...]]:
    def ask(path: str, data: Any = None, method: str = "POST") -> tuple[object, ...]:
        url = f"http://ram.aliyuncs.com/{path}"
        answer = client.request(method, url, data=data, stream=True, timeout=5)
        pieces = [*answer.iter_content(7)]
        return answer.status_code, answer.reason, answer.headers["X-Kind"], pieces

    return ask


def by_urllib(path: str, data: Any = None, method: str = "POST") -> tuple[object, ...]:
    if isinstance(data, str):
        data = data.encode()
    url = f"http://ram.aliyuncs.com/{path}"
    request = urllib.request.Request(url, data, {"Content-Type": "text/plain"}, method=method)
    try:  # a new opener, which reads the proxy anew
        answer = urllib.request.build_opener().open(request, timeout=5)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return answer.status, answer.reason, answer.headers["X-Kind"], answer.read()


def by_oss2(path: str, data: Any = None, method: str = "POST") -> tuple[object, ...]:
    auth = oss2.Auth("a", "b")
    of = oss2.Bucket(auth, OSS, "ramroletest", enable_crc=False, connect_timeout=5)
    try:
        if data is None:
            answer = of.get_object(path)
            return (answer.status, answer.headers["X-Kind"], answer.read())
        answer = of.put_object(path, data)
        return (answer.status, answer.headers["X-Kind"], answer.resp.read())
    except oss2.exceptions.OssError as error:
        return (error.status, error.body)


CLIENTS = {
    "requests": by_requests(requests.Session()),
    "the SDK's requests": by_requests(vendored.Session()),
    "urllib": by_urllib,
    "oss2": by_oss2,
}
BODIES: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "bytes": lambda: b"0123",
    "text": lambda: "0123",
    "file": lambda: io.BytesIO(b"0123"),
    "generator": lambda: iter([b"01", b"23"]),
}


@pytest.mark.parametrize("make_body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("ask", CLIENTS.values(), ids=CLIENTS)
def test_sent_on_a_request_arrives_as_without_us(
    ask: Callable[..., object], make_body: Callable[[], Any], proxy: None, trace: Trace
) -> None:
    without = [ask("plain", make_body()), ask("plain")]
    with Interceptor(lambda request, send_on: send_on(), trace):
        assert [ask("plain", make_body()), ask("plain")] == without
    assert trace[0].request.body == b"".join(iter_body(make_body()))


def iter_body(body: Any) -> Iterator[bytes]:
    if isinstance(body, str):
        body = body.encode()
    yield from [body] if isinstance(body, bytes) else body or []


@pytest.mark.parametrize("kind", ["plain", "chunked", "gzip", "missing"])
@pytest.mark.parametrize("ask", CLIENTS.values(), ids=CLIENTS)
def test_sent_on_an_answer_comes_back_as_without_us(
    ask: Callable[..., object], kind: str, proxy: None, trace: Trace
) -> None:
    without = ask(kind)
    with Interceptor(lambda request, send_on: send_on(), trace):
        assert ask(kind) == without
    assert trace[0].response is not None
    assert trace[0].response.status == (404 if kind == "missing" else 200)


@pytest.mark.parametrize("name", ["requests", "the SDK's requests", "urllib"])
def test_sent_on_a_head_request_comes_back_as_without_us(name: str, proxy: None) -> None:
    without = CLIENTS[name]("plain", method="HEAD")
    with Interceptor(lambda request, send_on: send_on(), Trace()):
        assert CLIENTS[name]("plain", method="HEAD") == without


def test_an_error_on_the_way_is_traced_and_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    trace = Trace()
    with (
        Interceptor(lambda request, send_on: send_on(), trace),
        pytest.raises(requests.exceptions.ConnectionError),
    ):
        requests.get("http://ram.aliyuncs.com/?Signature=canary")
    assert trace[0].error.startswith("ProxyError: ")
    assert "canary" not in repr(trace)


@pytest.mark.parametrize("client", [requests, vendored])
def test_a_server_on_this_machine_is_reached(
    client: Any, port: int, replay: Interceptor, trace: Trace
) -> None:
    url = f"http://127.0.0.1:{port}/plain"
    assert client.get(url).json()["path"] == "/plain"
    with urllib.request.urlopen(url) as answer:
        assert json.load(answer)["path"] == "/plain"
    assert len(trace) == 0


def test_offline_other_ways_out_are_closed(replay: Interceptor) -> None:
    import http.client

    with pytest.raises(NotModelled, match=r"ram\.aliyuncs\.com was not reached"):
        http.client.HTTPConnection("ram.aliyuncs.com").request("GET", "/")
