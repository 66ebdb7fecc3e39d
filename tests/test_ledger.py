"""The ledger in memory and on disk: real requests, answered by the stand-in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click.testing
import pytest

from helpers.__main__ import main
from helpers.ledger import CREATED, REMOVED, UNCERTAIN, Ledger, ledger_file
from helpers.message import Request, Response

INSTANCE = {"RegionId": "cn-hangzhou", "ClientToken": "token", "Tag.1.Key": "k", "Tag.1.Value": "v"}
ATTACH = {"RegionId": "cn-hangzhou", "RamRoleName": "Test", "InstanceIds": '["i-1"]'}
OK = Response(200, body=b"{}")
LISTED = {
    "InstanceRamRoleSets": {"InstanceRamRoleSet": [{"InstanceId": "i-1", "RamRoleName": "Test"}]}
}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / ".ledger" / "ledger.jsonl", "1")


def send(ledger: Ledger, action: str, answer: Response | Exception, **parameters: str) -> None:
    def answered() -> Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    query = urlencode({"Action": action, **parameters})
    ledger.watch(Request("POST", f"https://ecs.aliyuncs.com/?{query}"), answered)


def again(ledger: Ledger) -> Ledger:
    """The ledger as another process reads it."""
    return Ledger(ledger.file, ledger.account)


def states(ledger: Ledger) -> list[tuple[str, str]]:
    return [(entry.id, entry.state) for entry in ledger]


def test_an_entry_is_on_the_disk_before_the_request_is_sent(ledger: Ledger) -> None:
    def answered() -> Response:
        assert states(again(ledger)) == [("Test", UNCERTAIN)]
        return OK

    ledger.watch(
        Request("POST", "https://ram.aliyuncs.com/?Action=CreateRole&RoleName=Test"), answered
    )
    assert states(again(ledger)) == [("Test", CREATED)]
    send(ledger, "DeleteRole", OK, RoleName="Test")
    assert states(again(ledger)) == []
    assert states(ledger) == [("Test", REMOVED)]


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        (Response(409), []),
        (Response(500), [("Test", UNCERTAIN)]),
        (ConnectionError("cut"), [("Test", UNCERTAIN)]),
    ],
)
def test_a_refusal_leaves_nothing_and_a_lost_answer_a_doubt(
    ledger: Ledger, answer: Any, left: list[tuple[str, str]]
) -> None:
    try:
        send(ledger, "CreateRole", answer, RoleName="Test")
    except ConnectionError as error:
        assert error is answer
    assert states(ledger) == states(again(ledger)) == left
    send(ledger, "CreateRole", Response(409), RoleName="Test")  # a doubt outlives a refusal
    assert states(again(ledger)) == left


def test_an_instance_is_one_entry_from_token_to_id(ledger: Ledger) -> None:
    send(ledger, "CreateInstance", Response(400), **INSTANCE, DryRun="True")
    assert states(again(ledger)) == []
    send(ledger, "CreateInstance", Response(503), **INSTANCE)
    (doubt,) = again(ledger)
    assert (doubt.client_token, doubt.tag, doubt.names, doubt.bills) == (
        "token",
        ("k", "v"),
        {},
        True,
    )
    send(ledger, "CreateInstance", Response(200, body=b'{"InstanceId": "i-1"}'), **INSTANCE)
    assert states(again(ledger)) == [("i-1", CREATED)]
    gone = {"RegionId": "cn-hangzhou", "InstanceId": "i-1"}
    unknown_key = Response(404, body=b'{"Code": "InvalidAccessKeyId.NotFound"}')
    not_there = Response(404, body=b'{"Code": "InvalidInstanceId.NotFound"}')
    send(ledger, "DeleteInstance", unknown_key, **gone)
    send(ledger, "DeleteInstance", not_there, **{**gone, "RegionId": "cn-beijing"})
    assert states(again(ledger)) == [("i-1", CREATED)]  # it is elsewhere that it is not
    send(ledger, "DeleteInstance", not_there, **gone)
    assert states(again(ledger)) == []


@pytest.mark.parametrize(
    ("before", "answer"),
    [
        ("DetachInstanceRamRole", OK),
        ("DescribeInstanceRamRole", Response(200, body=json.dumps(LISTED).encode())),
    ],
)
def test_an_attachment_that_was_there_is_not_the_runs(
    ledger: Ledger, before: str, answer: Response
) -> None:
    send(ledger, before, answer, **ATTACH)
    send(ledger, "AttachInstanceRamRole", OK, **ATTACH)
    assert states(again(ledger)) == []


def test_what_a_run_attached_is_still_its_own_when_it_looks(ledger: Ledger) -> None:
    send(ledger, "AttachInstanceRamRole", OK, **ATTACH)
    send(
        ledger, "DescribeInstanceRamRole", Response(200, body=json.dumps(LISTED).encode()), **ATTACH
    )
    send(ledger, "AttachInstanceRamRole", OK, **ATTACH)
    assert [entry.state for entry in again(ledger)] == [CREATED]
    send(ledger, "DetachInstanceRamRole", OK, **ATTACH)
    assert states(again(ledger)) == []


@pytest.mark.parametrize("body", [b'{"FailCount": 1}', b'{"FailCount"'])
def test_a_partial_failure_and_half_an_answer_stay_in_doubt(ledger: Ledger, body: bytes) -> None:
    send(ledger, "AttachInstanceRamRole", Response(200, body=body), **ATTACH)
    assert [entry.state for entry in again(ledger)] == [UNCERTAIN]


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_half_a_line_hides_no_other(ledger: Ledger, cut: int) -> None:
    send(ledger, "CreateRole", OK, RoleName="First")
    assert ledger.file
    ledger.file.write_bytes(ledger.file.read_bytes() + ledger.file.read_bytes()[:cut])
    send(again(ledger), "CreateRole", OK, RoleName="Second")
    assert states(again(ledger)) == [("First", CREATED), ("Second", CREATED)]


def test_the_newest_is_removed_first(ledger: Ledger) -> None:
    for name in ("First", "Second"):
        send(ledger, "CreateRole", OK, RoleName=name)
    send(ledger, "DeleteRole", OK, RoleName="First")
    send(ledger, "CreateRole", OK, RoleName="First")
    assert [entry.id for entry in again(ledger).left()] == ["First", "Second"]


@pytest.mark.parametrize("sign", [".ledger", "pyproject.toml"])
def test_the_file_is_found_from_every_folder_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sign: str
) -> None:
    below = tmp_path / "project" / "build" / "run"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert ledger_file() == below / ".ledger" / "ledger.jsonl"
    (tmp_path / "project" / sign).mkdir()
    assert ledger_file() == tmp_path / "project" / ".ledger" / "ledger.jsonl"


@pytest.mark.parametrize(
    ("prepare", "printed"),
    [
        (lambda ledger: None, "0 left in"),
        (lambda ledger: send(ledger, "CreateInstance", Response(500), **INSTANCE), "BILLS  ECS"),
        (lambda ledger: send(ledger, "CreateRole", OK, RoleName="Test"), "free   RAM role Test"),
    ],
)
def test_the_command_lists_what_is_left(
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    prepare: Callable[[Ledger], None],
    printed: str,
) -> None:
    assert ledger.file
    ledger.file.parent.mkdir()
    prepare(ledger)
    monkeypatch.chdir(ledger.file.parent)
    assert printed in click.testing.CliRunner().invoke(main, ["ledger"]).output


def test_clean_up_without_a_key_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"):
        monkeypatch.delenv(name, raising=False)
    result = click.testing.CliRunner().invoke(main, ["clean-up"])
    assert result.exit_code == 2
    assert (
        "ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET must be" in result.output
    )
