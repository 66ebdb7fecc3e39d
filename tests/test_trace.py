"""What a trace shows of the exchanges of a session: each by its name, none with a secret."""

from __future__ import annotations

import pytest

from helpers.message import Decided, Exchange, Request, Response
from helpers.trace import Trace, describe

META = "http://100.100.100.200/latest"
OSS = "https://ramroletest.oss-cn-hangzhou.aliyuncs.com"
OSS_INTERNAL = "https://ramroletest.oss-cn-hangzhou-internal.aliyuncs.com"


@pytest.mark.parametrize(
    ("method", "url", "expected"),
    [
        ("POST", "https://ram.aliyuncs.com/?RoleName=x&Action=CreateRole", "ram CreateRole"),
        ("GET", "https://ram.vpc-proxy.aliyuncs.com/?Action=GetRole", "ram GetRole"),
        ("POST", "http://ecs-cn-hangzhou.aliyuncs.com/?Action=StartInstance", "ecs StartInstance"),
        ("POST", "https://ecs.cn-beijing.aliyuncs.com/?Action=StopInstance", "ecs StopInstance"),
        ("POST", "https://vpc.aliyuncs.com/?Action=DescribeVSwitches", "vpc DescribeVSwitches"),
        ("POST", "https://sts.cn-hangzhou.aliyuncs.com/?Action=AssumeRole", "sts AssumeRole"),
        ("GET", "https://ram.aliyuncs.com/", "ram GET /"),
        ("GET", f"{META}/meta-data/region-id", "metadata GET /latest/meta-data/region-id"),
        ("PUT", f"{META}/api/token", "metadata PUT /latest/api/token"),
        ("GET", "https://oss-cn-hangzhou.aliyuncs.com/", "oss ListBuckets"),
        ("GET", f"{OSS}/?prefix=&max-keys=100&encoding-type=url", "oss ListObjects"),
        ("GET", f"{OSS_INTERNAL}/?list-type=2", "oss ListObjectsV2"),
        ("GET", f"{OSS}/?location", "oss GetBucketLocation"),
        ("GET", f"{OSS}/?bucketInfo", "oss GetBucketInfo"),
        ("GET", f"{OSS}/?encoding-type=url&list-type=2&prefix=", "oss ListObjectsV2"),
        ("GET", f"{OSS}/", "oss ListObjects"),
        ("GET", f"{OSS}/?lifecycle", "oss GET /"),
        ("PUT", f"{OSS}/", "oss PutBucket"),
        ("DELETE", f"{OSS}/", "oss DeleteBucket"),
        ("POST", f"{OSS}/?delete", "oss DeleteMultipleObjects"),
        ("GET", f"{OSS}/a%2Fb.txt", "oss GetObject"),
        ("GET", f"{OSS}/test.shh?versionId=1", "oss GetObject"),
        ("HEAD", f"{OSS}/test.shh", "oss HeadObject"),
        ("HEAD", f"{OSS}/test.shh?objectMeta", "oss GetObjectMeta"),
        ("PUT", f"{OSS}/test.shh", "oss PutObject"),
        ("DELETE", f"{OSS}/test.shh", "oss DeleteObject"),
        ("POST", f"{OSS}/test.shh", "oss POST /test.shh"),
        ("GET", "https://oss-cn-hangzhou.aliyuncs.com/ramroletest/", "oss ListObjects"),
        ("GET", "https://oss-cn-hangzhou.aliyuncs.com/ramroletest/k", "oss GetObject"),
        ("GET", "https://example.com/a", "example.com GET /a"),
    ],
)
def test_a_request_is_named_as_the_api_reference_names_it(
    method: str, url: str, expected: str
) -> None:
    assert " ".join(describe(Request(method, url))) == expected


def test_an_operation_is_found_in_a_form_and_in_a_header() -> None:
    url = "https://sts.aliyuncs.com/"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert describe(Request("POST", url, form, b"Action=AssumeRole"))[1] == "AssumeRole"
    assert describe(Request("POST", url, {"x-acs-action": "GetRole"})) == ("sts", "GetRole")
    copy = Request("PUT", f"{OSS}/k", {"x-oss-copy-source": "/ramroletest/j"})
    assert describe(copy) == ("oss", "CopyObject")


def canaries() -> Trace:
    trace = Trace()
    request = Request(
        "POST",
        "https://ram.aliyuncs.com/?Action=GetRole&AccessKeyId=LTAI5tcanary1&Signature=canary",
        {"Authorization": "OSS LTAI5tcanary1:canary", "Cookie": "canary"},
        b"Password=canary",
    )
    body = b'{"AccessKeySecret" : "canary"}'
    decided = Decided("signature", "SecurityToken=canary is of another key")
    trace.append(Exchange(request, Response(403, {"Set-Cookie": "canary"}, body, decided)))
    trace.append(Exchange(request, None, "ConnectionError: url: /?Signature=canary"))
    token = Request("PUT", f"{META}/api/token", {"X-aliyun-ecs-metadata-token": "canary"})
    trace.append(Exchange(token, Response(200, {}, b"canary")))
    return trace


def test_nothing_that_a_trace_hands_out_holds_a_secret() -> None:
    trace = canaries()
    for shown in (repr(trace), repr(list(trace)), repr(trace[:]), repr(trace[1:][0])):
        assert "canary" not in shown
    assert trace[0].response is not None
    assert trace[0].response.body == b'{"AccessKeySecret" : "****"}'
    assert trace[0].request.parameters["Action"] == "GetRole"


def test_a_refusal_of_the_metadata_token_can_be_read() -> None:
    refused = Exchange(Request("PUT", f"{META}/api/token"), Response(403, {}, b"Forbidden"))
    response = Trace([refused])[0].response
    assert response is not None and response.body == b"Forbidden"


def test_a_trace_reads_line_by_line() -> None:
    assert repr(canaries()).splitlines() == [
        "ram GetRole: 403",
        "ram GetRole: ConnectionError: url: /?Signature=****",
        "metadata PUT /latest/api/token: 200",
    ]
    assert repr(Trace()) == "no exchanges"


def test_since_counts_from_the_mark() -> None:
    trace = canaries()
    assert len(trace.since()) == 3
    trace.mark()
    assert len(trace.since()) == 0
    trace.append(trace[0])
    assert [describe(exchange.request)[1] for exchange in trace.since()] == ["GetRole"]
    assert len(trace.since()) == 1
