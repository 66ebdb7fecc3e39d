"""Faults on request look to each client as the real ones do, and the SDKs react to them."""

from __future__ import annotations

import json
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import oss2
import pytest
import requests
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.vendored import requests as vendored
from aliyunsdkecs.request.v20140526.DescribeInstancesRequest import DescribeInstancesRequest
from aliyunsdkram.request.v20150501.GetRoleRequest import GetRoleRequest

from helpers.faults import SERVICES, Faults
from helpers.message import Request, Response
from helpers.parameters import ParameterError
from helpers.trace import Trace
from helpers.transport import Interceptor

META = "http://100.100.100.200/latest/meta-data/instance-id"
STATUS = {"Throttling": 400, "TotalQpsLimitExceeded": 503, "ServiceUnavailable": 503}


def refuse(request: Request, code: str) -> Response:
    body = json.dumps({"Code": code, "Message": "no", "RequestId": "5F"}).encode()
    return Response(STATUS.get(code, 500), {"Content-Type": "application/json"}, body)


@pytest.fixture
def trace() -> Trace:
    return Trace()


@pytest.fixture
def faults(trace: Trace) -> Iterator[Faults]:
    faults = Faults(refuse)
    body = b'{"RequestId": "04F0F334"}'
    answer = Response(200, {"Content-Length": str(len(body))}, body)
    with Interceptor(lambda *_: answer, trace, faults, offline=True):
        yield faults


@pytest.fixture(params=["cut", "slow"])
def broken(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """A server that takes a request and closes the connection, or says nothing; and its port."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                if request.param == "slow":
                    done.wait(5)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield request.param, server.getsockname()[1]
        done.set()
        thread.join()


@pytest.mark.parametrize(
    "get",
    [
        lambda url: requests.get(url, timeout=(3, 0.2)),
        lambda url: requests.get(url, timeout=0.2),
        lambda url: vendored.get(url, timeout=(3, 0.2)),
        lambda url: urllib.request.urlopen(url, timeout=0.2),
    ],
    ids=["requests", "requests, one timeout", "the SDK's requests", "urllib"],
)
def test_a_fault_is_raised_as_each_stack_raises_the_real_one(
    get: Callable[[str], object], broken: tuple[str, int], faults: Faults, trace: Trace
) -> None:
    kind, port = broken
    with pytest.raises(Exception) as real:
        get(f"http://127.0.0.1:{port}/")
    faults.next("metadata", kind)
    with pytest.raises(Exception) as simulated:
        get(META)
    assert type(simulated.value) is type(real.value)
    host = f"host='127.0.0.1', port={port}"
    assert str(simulated.value).replace("host='100.100.100.200', port=80", host) == str(real.value)
    assert [exchange.error != "" for exchange in trace] == [True]
    assert requests.get(META).status_code == 200


def test_who_waits_long_enough_gets_a_slow_answer(faults: Faults) -> None:
    faults.next("metadata", "slow", times=4)
    assert requests.get(META).status_code == 200
    assert requests.get(META, timeout=121).status_code == 200
    assert requests.get(META, timeout=(1, None)).status_code == 200
    assert urllib.request.urlopen(META).status == 200


def test_a_slow_request_was_carried_out_and_a_cut_one_was_not() -> None:
    seen: list[str] = []

    def keep(request: Request, send_on: Callable[[], Response]) -> Response:
        seen.append(request.path)
        return Response(200)

    faults = Faults(refuse)
    with Interceptor(keep, Trace(), faults):
        for kind in ("cut", "slow"):
            faults.next("metadata", kind)
            with pytest.raises(requests.exceptions.RequestException):
                requests.get(f"http://100.100.100.200/{kind}", timeout=1)
    assert seen == ["/slow"]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("throttling", "Throttling"),
        ("internal_error", "InternalError"),
        ("service_unavailable", "ServiceUnavailable"),
    ],
)
def test_the_service_refuses_in_its_own_words(faults: Faults, kind: str, code: str) -> None:
    client = AcsClient("LTAI", "secret", "cn-hangzhou")
    request = GetRoleRequest()
    faults.next("ram", kind)
    with pytest.raises(ServerException) as refused:
        client.do_action_with_exception(request)
    assert refused.value.get_error_code() == code
    client.do_action_with_exception(request)


def test_oss_has_a_name_of_its_own_for_throttling(faults: Faults) -> None:
    bucket = oss2.Bucket(oss2.Auth("a", "b"), "https://oss-cn-hangzhou.aliyuncs.com", "abc")
    faults.next("oss", "throttling")
    with pytest.raises(oss2.exceptions.ServerError) as refused:
        bucket.get_object("k")
    assert (refused.value.status, b"TotalQpsLimitExceeded" in refused.value.body) == (503, True)


def test_the_ecs_sdk_sends_a_describe_call_again(faults: Faults, trace: Trace) -> None:
    faults.next("ecs", "throttling")
    faults.next("ecs", "cut")
    AcsClient("LTAI", "s", "cn-hangzhou").do_action_with_exception(DescribeInstancesRequest())
    assert [exchange.response.status if exchange.response else 0 for exchange in trace] == [
        400,
        0,
        200,
    ]


def test_half_of_a_malformed_body_arrives(faults: Faults) -> None:
    faults.next("metadata", "malformed", times=2)
    half = requests.get(META)
    assert (half.text, half.headers["Content-Length"]) == ('{"RequestId"', "12")
    with pytest.raises(requests.exceptions.JSONDecodeError):
        requests.get(META).json()
    assert requests.get(META).json()


def test_a_fault_waits_for_its_service_and_its_turn(faults: Faults, trace: Trace) -> None:
    faults.next("ram", "internal_error", times=2)
    faults.next("ram", "service_unavailable")
    assert requests.get(META).status_code == 200
    statuses = [requests.get("https://ram.aliyuncs.com/").status_code for _ in range(4)]
    assert statuses == [500, 500, 503, 200]
    assert len(trace) == 5


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("esc", "cut"), "service is 'esc', but must be 'ecs', .* did you mean 'ecs'"),
        (("ecs", "500"), "kind is '500', but must be 'cut', 'internal_error', .*"),
        (("ecs", "throtling"), "did you mean 'throttling'"),
        (("ecs", "cut", 0), "times is 0"),
        (("ecs", "cut", "two"), "times is 'two'"),
        (("ecs", "cut", True), "times is True"),
    ],
)
def test_a_fault_that_does_not_exist_is_refused(
    faults: Faults, arguments: tuple[Any, ...], sentence: str
) -> None:
    with pytest.raises(ParameterError, match=sentence):
        faults.next(*arguments)


def test_the_services_are_those_that_a_trace_names() -> None:
    from helpers.trace import describe

    hosts = ["ecs.aliyuncs.com", "ram.aliyuncs.com", "sts.aliyuncs.com", "oss-cn-x.aliyuncs.com"]
    named = {describe(Request("GET", f"https://{host}/"))[0] for host in hosts}
    assert named | {describe(Request("GET", META))[0]} == {*SERVICES}
