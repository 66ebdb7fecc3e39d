"""Papermill reads and writes oss:// paths: its own command, against the stand-in's sockets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import nbformat
import pytest

from helpers import papermill_oss
from helpers.message import Request, Response
from helpers.papermill_oss import OssError, OssHandler
from helpers.recordings import load
from helpers.runs import NOTEBOOKS
from helpers.sandbox.sandbox import Sandbox
from helpers.sandbox.scenario import Names, account_before
from helpers.server import Served, serve

NAMES = Names()
NOTEBOOK = NOTEBOOKS / "04_access_oss.ipynb"
ROLE_MAY = ["oss:GetObject", "oss:ListObjects", "oss:PutObject"]
VARIABLES = {
    *(f"ALIBABA_CLOUD_{name}" for name in ("ACCESS_KEY_ID", "ACCESS_KEY_SECRET", "SECURITY_TOKEN")),
    *("OSS_ENDPOINT", "OSS_REGION", "REQUESTS_CA_BUNDLE"),
}
# In a process of its own, what a hosts file would do: each name is found at the stand-in's ports.
HOSTS = """
import json, os, socket
look_up, ports = socket.getaddrinfo, json.loads(os.environ["PORTS"])
socket.getaddrinfo = lambda host, port, *a, **k: look_up("127.0.0.1", ports[str(port)], *a, **k)
"""


class Cloud:
    """The account before step 4, on sockets; the role of its instance may also write."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.account = account_before(4, NAMES, now())
        self.account.here = NAMES.instance_id
        statement = {"Effect": "Allow", "Action": ROLE_MAY, "Resource": "*"}
        document = json.dumps({"Version": "1", "Statement": [statement]})
        self.account.policies["Custom", NAMES.policy_name].versions[0].document = document
        self.sandbox = Sandbox(self.account, load())
        self.requests: list[Request] = []

    def answer(self, request: Request) -> Response:
        self.requests.append(request)
        return self.sandbox.handle(request, now())

    def keys(self) -> dict[str, str]:
        """What a program outside of an instance sets."""
        key = next(iter(self.account.access_keys.values()))
        return {
            "ALIBABA_CLOUD_ACCESS_KEY_ID": key.access_key_id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": key.secret,
            "OSS_ENDPOINT": self.served.https,
            "OSS_REGION": NAMES.bucket_region_id,
            "REQUESTS_CA_BUNDLE": str(self.served.ca_file),
        }


def now() -> datetime:
    return datetime.now(timezone.utc)


@pytest.fixture(scope="module")
def sockets() -> Iterator[Any]:
    """Ports that stay, and a list whose last member answers there."""
    clouds: list[Cloud] = []
    with serve(lambda request: clouds[-1].answer(request), NAMES.bucket_region_id) as served:
        yield served, clouds


@pytest.fixture
def cloud(sockets: Any) -> Cloud:
    served, clouds = sockets
    clouds.append(Cloud(served))
    return clouds[-1]


@pytest.fixture
def outside(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """This process has the account's keys in its environment."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in cloud.keys().items():
        monkeypatch.setenv(name, value)
    papermill_oss._bucket.cache_clear()
    yield cloud
    papermill_oss._bucket.cache_clear()


def papermill(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return subprocess.run(
        [sys.executable, "-m", "papermill", "--no-progress-bar", *arguments],
        env={**own, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_papermill_writes_a_run_to_oss_with_keys(cloud: Cloud) -> None:
    done = papermill(str(NOTEBOOK), "oss://ramroletest/runs/04.ipynb", **cloud.keys())
    assert done.returncode == 0, done.stderr
    saved = cloud.account.buckets["ramroletest"].objects["runs/04.ipynb"]
    executed = nbformat.reads(saved.body.decode(), 4)
    assert executed.metadata.papermill.exception is None
    assert executed.metadata.papermill.output_path == "oss://ramroletest/runs/04.ipynb"
    assert {request.scheme for request in cloud.requests} == {"https"}


def test_papermill_reads_and_writes_with_the_role_of_the_instance(
    cloud: Cloud, tmp_path: Path
) -> None:
    """No variable is set: the endpoint is the region's internal one, and metadata need a token."""
    cell = nbformat.v4.new_code_cell("print(1 + 1)")
    source = nbformat.v4.new_notebook(cells=[cell])
    source.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "P"}
    bucket = cloud.account.buckets["ramroletest"]
    body = nbformat.writes(source).encode()
    bucket.objects["in.ipynb"] = replace(bucket.objects["test.shh"], body=body)
    (tmp_path / "sitecustomize.py").write_text(HOSTS)
    cloud.account.instances[NAMES.instance_id].http_tokens = "required"
    environment = {
        "PYTHONPATH": str(tmp_path),
        "PORTS": json.dumps({80: cloud.served.http_port, 443: cloud.served.https_port}),
        "REQUESTS_CA_BUNDLE": str(cloud.served.ca_file),
    }
    done = papermill("oss://ramroletest/in.ipynb", "oss://ramroletest/out.ipynb", **environment)
    assert done.returncode == 0, done.stderr
    executed = nbformat.reads(bucket.objects["out.ipynb"].body.decode(), 4)
    assert executed.cells[0].outputs[0].text == "2\n"
    sent = [request for request in cloud.requests if "ramroletest" in request.host]
    assert {(request.scheme, request.host) for request in sent} == {
        ("https", "ramroletest.oss-cn-hangzhou-internal.aliyuncs.com")
    }
    assert all(request.headers["x-oss-security-token"] for request in sent)


def test_a_text_is_the_same_after_writing_and_reading(outside: Cloud) -> None:
    path, text = "oss://ramroletest/folder/a b%20ü.ipynb", '{"text": "zoë\\n€"}\r\n'
    OssHandler.write(text, path)
    assert OssHandler.read(path) == text
    assert OssHandler.pretty_path(path) == path


def test_a_folder_s_objects_are_listed_by_their_paths(outside: Cloud) -> None:
    for key in ("runs/1.ipynb", "runs/2.ipynb", "runs/old/3.ipynb", "runs2/4.ipynb"):
        OssHandler.write("{}", f"oss://ramroletest/{key}")
    expected = ["oss://ramroletest/runs/1.ipynb", "oss://ramroletest/runs/2.ipynb"]
    assert OssHandler.listdir("oss://ramroletest/runs") == expected
    assert OssHandler.listdir("oss://ramroletest/runs/") == expected
    top = OssHandler.listdir("oss://ramroletest")
    assert top == ["oss://ramroletest/ramroletest.txt", "oss://ramroletest/test.shh"]


@pytest.mark.parametrize(
    ("path", "changed", "sentence"),
    [
        ("oss://ramroletest/none.ipynb", {}, "none.ipynb: NoSuchKey The specified key does not"),
        ("oss://no-such-bucket/a.ipynb", {}, "oss://no-such-bucket/a.ipynb: NoSuchBucket "),
        ("oss://Bad_Name/a.ipynb", {}, "oss://Bad_Name/a.ipynb: ClientError: The bucket_name is"),
        ("oss://ramroletest", {}, "oss://ramroletest: "),
        ("oss:///a.ipynb", {}, "oss:///a.ipynb is no path in OSS: oss://<bucket>/<key>."),
        (
            "oss://ramroletest/a",
            {"ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAI1234none"},
            "InvalidAccessKey",
        ),
        ("oss://ramroletest/a", {"OSS_ENDPOINT": "http://oss-cn-beijing.aliyuncs.com"}, "in clear"),
        (
            "oss://ramroletest/a",
            {"OSS_ENDPOINT": "https://files.example.com", "OSS_REGION": ""},
            "No region is in OSS_ENDPOINT https://files.example.com; set OSS_REGION",
        ),
        ("oss://ramroletest/a", {"OSS_ENDPOINT": "https://127.0.0.1:9"}, "oss://ramroletest/a: "),
    ],
)
def test_a_failure_is_one_sentence(
    outside: Cloud,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    changed: dict[str, str],
    sentence: str,
) -> None:
    for name, value in changed.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(OssError) as failed:
        OssHandler.read(path)
    assert sentence in str(failed.value)
    assert "\n" not in str(failed.value)
    assert failed.value.__suppress_context__ or failed.value.__context__ is None


def test_an_expired_token_is_not_repeated(outside: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIBABA_CLOUD_SECURITY_TOKEN", "CAISplantedsecuritytokenofnobody1234")
    with pytest.raises(OssError) as failed:
        OssHandler.read("oss://ramroletest/ramroletest.txt")
    assert "planted" not in str(failed.value)
    assert "RequestId" in str(failed.value)


def test_without_keys_and_without_an_instance_the_sentence_says_what_to_set(
    outside: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(papermill_oss, "METADATA", "http://127.0.0.1:9/latest")
    with pytest.raises(
        OssError, match=r"region-id: no answer\. Run on an ECS .* or set OSS_ENDPOI"
    ):
        OssHandler.read("oss://ramroletest/a")
    monkeypatch.setenv("OSS_REGION", "cn-hangzhou")
    with pytest.raises(OssError, match=r"or set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_AC"):
        OssHandler.read("oss://ramroletest/a")


def test_the_role_s_credentials_are_asked_for_again_before_they_expire(
    outside: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(papermill_oss, "METADATA", f"{outside.served.http}/latest")
    role = papermill_oss.InstanceRole()
    first = role.get_credentials()
    asked = len(outside.requests)
    assert role.get_credentials() is first
    assert len(outside.requests) == asked
    monkeypatch.setattr(papermill_oss, "_FRESH_SECONDS", 6 * 3600 + 1)
    role.get_credentials()
    assert len(outside.requests) > asked


def test_what_may_not_write_leaves_nothing(outside: Cloud, monkeypatch: Any) -> None:
    for name in ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"):
        monkeypatch.delenv(name)
    monkeypatch.setattr(papermill_oss, "METADATA", f"{outside.served.http}/latest")
    policy = outside.account.policies["Custom", NAMES.policy_name].versions[0]
    policy.document = policy.document.replace("oss:PutObject", "oss:GetObjectAcl")
    with pytest.raises(OssError, match=r"oss://ramroletest/new\.ipynb: AccessDenied"):
        OssHandler.write("{}", "oss://ramroletest/new.ipynb")
    assert "new.ipynb" not in outside.account.buckets["ramroletest"].objects
