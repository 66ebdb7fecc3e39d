"""Where a request goes that names this machine, what comes back for what is not modelled, and the
command, run as a reader runs it.
"""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import oss2
import pytest
import requests

from helpers.message import NotModelled, Request
from helpers.server import addressed
from tests.server.cloud import Switchboard

FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("/?Action=CreateRole&Version=2015-05-01", "ram.aliyuncs.com/?Action=CreateRole&Version="),
        ("/?Action=AssumeRole&Version=2015-04-01", "sts.aliyuncs.com/?Action=AssumeRole&Version="),
        ("/?Action=StartInstance&Version=2014-05-26", "ecs.aliyuncs.com/?Action=StartInstance&"),
        ("/latest/meta-data/", "100.100.100.200/latest/meta-data/"),
        ("/latest/api/token", "100.100.100.200/latest/api/token"),
        ("/", "oss-cn-hangzhou.aliyuncs.com/"),
        ("/bucket", "bucket.oss-cn-hangzhou.aliyuncs.com/"),
        ("/bucket/?prefix=a%2Fb", "bucket.oss-cn-hangzhou.aliyuncs.com/?prefix=a%2Fb"),
        ("/bucket/a%2Fb/c?x", "bucket.oss-cn-hangzhou.aliyuncs.com/a%2Fb/c?x"),
        ("/a@b:c/key", "a%40b%3Ac.oss-cn-hangzhou.aliyuncs.com/key"),
    ],
)
@pytest.mark.parametrize("machine", ["127.0.0.1:8080", "localhost"])
def test_a_request_to_this_machine_goes_where_its_content_points(
    machine: str, target: str, url: str
) -> None:
    headers = {"host": machine}
    sent = addressed(Request("GET", f"http://{machine}{target}", headers), "cn-hangzhou")
    assert sent.url.startswith(f"http://{url}")
    assert sent.headers == headers  # which a client may have signed


def test_an_action_may_stand_in_the_form_or_in_a_header() -> None:
    url = "http://127.0.0.1/"
    form = Request("POST", url, FORM, b"Action=GetRole&Version=2015-05-01")
    header = Request("POST", url, {"x-acs-action": "GetRole", "x-acs-version": "2015-05-01"})
    assert {addressed(each, "cn-hangzhou").host for each in (form, header)} == {"ram.aliyuncs.com"}


def test_another_version_is_not_served() -> None:
    with pytest.raises(NotModelled, match=r"DescribeVpcs of the API version 2016-04-28 .* 2014-05"):
        addressed(
            Request("GET", "http://127.0.0.1/?Action=DescribeVpcs&Version=2016-04-28"), "cn-beijing"
        )


@pytest.mark.parametrize(
    ("path", "headers", "said"),
    [
        ("/?Action=CreateUser&Version=2015-05-01", {}, "CreateUser of version 2015-05-01"),
        ("/ramroletest/?cors", {}, "cors"),
        ("/", {"Host": "example.com"}, "example.com is not served"),
        ("/", {"Host": "["}, "is not served"),
    ],
)
def test_what_is_not_modelled_is_said_in_one_line(
    switchboard: Switchboard, path: str, headers: dict[str, str], said: str
) -> None:
    switchboard.connect(by_address=True)
    answer = requests.get(switchboard.served.http + path, headers=headers, timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (
        501,
        "text/plain; charset=utf-8",
    )
    assert said in answer.text and answer.text.count("\n") == 1


def test_a_connection_is_kept_and_carries_a_head_and_a_body(switchboard: Switchboard) -> None:
    switchboard.connect(by_address=True)
    connection = http.client.HTTPConnection("127.0.0.1", switchboard.served.http_port, timeout=10)
    connection.connect()
    own = connection.sock.getsockname()
    for method, path, body in (
        ("HEAD", "/ramroletest/key", None),
        ("HEAD", "/latest/meta-data/", None),
        ("HEAD", "/ramroletest/?cors", None),
        ("PUT", "/ramroletest/key", b"x" * 1_000_000),
        ("GET", "/ramroletest/key", iter([b"a", b"b"])),
    ):
        connection.request(method, path, body)
        answer = connection.getresponse()
        assert (answer.status >= 400, bool(answer.read())) == (True, method != "HEAD")
        assert connection.sock.getsockname() == own


@contextmanager
def command(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    line = [sys.executable, "-m", "helpers", "serve", *arguments]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_command_prints_what_other_clients_need(monkeypatch: pytest.MonkeyPatch) -> None:
    with command("--port", "0", "--https-port", "0", "-p", "bucket_name", "my-own") as process:
        assert process.stdout is not None
        shown = "".join(iter(process.stdout.readline, "Ctrl-C ends it. The requests:\n"))
        for name, value in re.findall(r"(?:export| ) ?([A-Z_]+)=(\S+)", shown):
            monkeypatch.setenv(name, value)
        provider = oss2.credentials.EnvironmentVariableCredentialsProvider()
        https = re.search(r"https://\S+", shown)
        assert https is not None
        for endpoint in (os.environ["OSS_ENDPOINT"], https[0]):
            bucket = oss2.Bucket(
                oss2.ProviderAuthV4(provider), endpoint, "my-own", region=os.environ["OSS_REGION"]
            )
            bucket.put_object("key", b"value")
            assert bucket.get_object("key").read() == b"value"
        role = requests.get(os.environ["ALIBABA_CLOUD_CREDENTIALS_URI"], timeout=10).json()
        assert role["Code"] == "Success"
        authority = Path(os.environ["ALIBABA_CLOUD_CA_BUNDLE"])
        assert authority.exists()
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=20)
    assert (process.returncode, errors, authority.exists()) == (0, "", False)
    assert "oss PutObject: 200 (policy: " in rest
    assert not any(secret in rest for secret in (role["AccessKeySecret"], role["SecurityToken"]))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-p", "rolename", "x"], "no parameter rolename (did you mean role_name?)"),
        (["-p", "role_name", "x_y"], "role_name is 'x_y', but must be"),
        (["--step", "5"], "5 is not in the range"),
    ],
)
def test_a_wrong_option_is_one_sentence(arguments: list[str], said: str) -> None:
    with command(*arguments) as process:
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert said in errors and "Traceback" not in errors


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with command("--port", "0", "--https-port", port) as process:
            _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert port in errors and "0 for free ones" in errors and "Traceback" not in errors
