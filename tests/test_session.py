"""What connect takes, what a session gives, and that closing one leaves nothing behind."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from types import FrameType
from typing import Any

import oss2
import pytest
import requests
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import get_default_protocol_type, set_default_protocol_type
from aliyunsdkram.request.v20150501.GetRoleRequest import GetRoleRequest
from IPython.core.interactiveshell import InteractiveShell

import helpers
from helpers import session as sessions
from helpers import transport
from helpers.live.gate import Stopped
from helpers.parameters import ParameterError
from helpers.policy import PolicyError
from helpers.session import Session, SessionClosed

ROLES = "http://100.100.100.200/latest/meta-data/ram/security-credentials/"
MAY_READ_ROLES = {
    "Version": "1",
    "Statement": [{"Effect": "Allow", "Action": "ram:GetRole", "Resource": "*"}],
}
MAY_USE_OSS = {
    "Version": "1",
    "Statement": [{"Effect": "Allow", "Action": "oss:*", "Resource": "*"}],
}


@pytest.fixture
def cloud() -> Iterator[Session]:
    with helpers.connect(step=4) as session:
        yield session


def role_name(credential: Any) -> bytes:
    request = GetRoleRequest()
    request.set_RoleName("EcsRamRoleTest")
    answer: bytes = AcsClient("cn-hangzhou", credential=credential).do_action_with_exception(
        request
    )
    return answer


@pytest.mark.parametrize("step", [0, 5, -1, True, 2.0, None, "x", "1", [1]])
def test_another_step_is_one_sentence(step: Any) -> None:
    with pytest.raises(ParameterError) as caught:
        helpers.connect(step=step)
    assert str(caught.value).startswith(f"step is {step!r}, but must be 1, 2, 3 or 4")
    assert ("did you mean 1?" in str(caught.value)) == (step == "1")


@pytest.mark.parametrize("wrong", [{"step": 0}, {"step": 1, "mode": "offline"}])
def test_a_connect_that_fails_leaves_the_session_before_it_open(cloud: Session, wrong: Any) -> None:
    with pytest.raises(ParameterError):
        helpers.connect(**wrong)
    assert b"EcsRamRoleTest" in role_name(cloud.credential)


def test_keys_in_the_environment_are_not_used_and_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The SDK prefers the first two to the credential of a client.
    names = "ALIYUN_ACCESS_KEY_ID", "ALIYUN_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_ACCESS_KEY_ID"
    for name in names:
        monkeypatch.setenv(name, f"canary of {name}")
    with helpers.connect(step=4) as cloud:
        assert b"EcsRamRoleTest" in role_name(cloud.credential)
        assert "canary" not in repr([vars(each.request) for each in cloud.trace._exchanges])
        assert "canary" not in repr(vars(cloud))
    assert [os.environ[name] for name in names] == [f"canary of {name}" for name in names]


@pytest.mark.parametrize("stop", range(1, 40))
def test_an_interrupted_connect_leaves_nothing_behind(stop: int) -> None:
    steps = itertools.count(1)

    def interrupt(frame: FrameType, event: str, _: object) -> Any:
        """The Stop button, at the line number ``stop`` that connect comes to."""
        if frame.f_code.co_name not in ("connect", "_replay", "_install"):
            return None
        if event == "line" and next(steps) == stop:
            raise KeyboardInterrupt
        return interrupt

    tracing = sys.gettrace()
    sys.settrace(interrupt)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            helpers.connect(step=4)
    finally:
        sys.settrace(tracing)
    helpers.connect(step=4).close()
    assert transport._installed == []
    assert sessions._current == []


def test_keys_come_back_when_connect_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIYUN_ACCESS_KEY_ID", "canary")
    monkeypatch.delenv("ALIBABA_CLOUD_ACCESS_KEY_ID", raising=False)
    with pytest.raises(Stopped):
        helpers.connect(step=1, mode="live", role_name="EcsRamRoleTest")
    assert os.environ["ALIYUN_ACCESS_KEY_ID"] == "canary"


def test_what_a_closed_session_cannot_do(cloud: Session) -> None:
    before = datetime.now(timezone.utc)
    cloud.clock.advance(hours=5)
    helpers.connect(step=3).close()
    assert repr(cloud).startswith("Closed")
    for use in (
        lambda: cloud.clock.advance(hours=1),
        lambda: cloud.sign_in_as("colleague", [MAY_USE_OSS]),
        lambda: cloud.faults.next("oss", "cut"),
    ):
        with pytest.raises(SessionClosed, match=r"this session is closed: run helpers\.connect"):
            use()
    cloud.close()
    assert datetime.now(timezone.utc) - before < timedelta(hours=1)
    assert sessions._current == []


@pytest.mark.parametrize("unit", ["hours", "minutes", "seconds"])
@pytest.mark.parametrize("value", [-1, "5", None, float("nan"), 1e12])
def test_the_clock_moves_forward_by_a_number(cloud: Session, unit: str, value: Any) -> None:
    before = datetime.now(timezone.utc)
    with pytest.raises(ParameterError, match=f"{unit} is .*, but must be a number from 0"):
        cloud.clock.advance(**{unit: value})
    assert datetime.now(timezone.utc) - before < timedelta(minutes=1)
    cloud.clock.advance(**{unit: 90})
    assert datetime.now(timezone.utc) - before > timedelta(seconds=89)


@pytest.mark.parametrize(
    "cell",
    [
        "helpers.connect(step=7)",
        "requests.get('https://example.com/')",
        "cloud.sign_in_as('colleague', [{}])",
        "cloud.clock.advance(hours=-1)",
    ],
)
def test_a_mistake_in_a_cell_shows_as_one_line(
    cloud: Session, cell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = InteractiveShell()
    shell.push({"helpers": helpers, "requests": requests, "cloud": cloud})
    result = shell.run_cell(cell)
    error = result.error_in_exec
    assert capsys.readouterr().out == f"{type(error).__name__}: {error}\n"


def test_an_error_in_the_block_closes_the_session() -> None:
    with pytest.raises(ZeroDivisionError), helpers.connect(step=3) as cloud:
        assert requests.get(ROLES, timeout=2).text == "EcsRamRoleTest"
        1 / 0  # noqa: B018
    assert repr(cloud).startswith("Closed")


def test_the_policies_of_a_user_are_those_it_was_given_last(cloud: Session) -> None:
    first = cloud.sign_in_as("colleague", [MAY_READ_ROLES])
    assert b"EcsRamRoleTest" in role_name(first)
    second = cloud.sign_in_as("colleague", [MAY_USE_OSS])
    for credential in (first, second):
        with pytest.raises(ServerException, match="NoPermission"):
            role_name(credential)


@pytest.mark.parametrize("name", ["", None, 7, "a b", "x" * 65, "../root"])
def test_a_user_has_a_name_that_ram_takes(cloud: Session, name: Any) -> None:
    with pytest.raises(ParameterError, match=r"user_name is .*, but must be 1 to 64 letters"):
        cloud.sign_in_as(name, [])


@pytest.mark.parametrize("policies", [None, MAY_USE_OSS, [None], ["{}"], 7, "{}"])
def test_policies_are_a_list_of_documents(cloud: Session, policies: Any) -> None:
    with pytest.raises(ParameterError, match=r"policies is .*, but must be a list of policy doc"):
        cloud.sign_in_as("colleague", policies)


@pytest.mark.parametrize("action", [..., {"oss:Get*"}, "GetObject", 7])
def test_a_document_that_is_no_policy_is_named(cloud: Session, action: Any) -> None:
    statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
    with pytest.raises(PolicyError, match="colleague-2: "):
        cloud.sign_in_as("colleague", [MAY_USE_OSS, {"Version": "1", "Statement": [statement]}])


def test_a_user_without_policies_may_do_nothing(cloud: Session) -> None:
    with pytest.raises(ServerException, match="NoPermission"):
        role_name(cloud.sign_in_as("colleague", []))


def test_the_names_of_what_belongs_to_the_scenario_can_be_the_callers() -> None:
    names = {"instance_id": "i-bYYYYYYYY", "bucket_name": "examplebucket"}
    with helpers.connect(step=4, **names):
        got = requests.get(ROLES + "EcsRamRoleTest", timeout=2).json()
        auth = oss2.StsAuth(got["AccessKeyId"], got["AccessKeySecret"], got["SecurityToken"])
        bucket = oss2.Bucket(auth, "https://oss-cn-hangzhou.aliyuncs.com", "examplebucket")
        assert [each.key for each in oss2.ObjectIterator(bucket)] == ["ramroletest.txt", "test.shh"]


def test_close_gives_the_sdk_its_protocol_back() -> None:
    before = get_default_protocol_type()
    with helpers.connect(step=2):
        set_default_protocol_type("https")
    assert get_default_protocol_type() == before == "http"
