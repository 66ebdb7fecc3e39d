"""What a recording may hold, and how recordings are looked after."""

from __future__ import annotations

import json
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import click.testing
import pytest

from helpers.__main__ import main
from helpers.live import recordings_care as care
from helpers.live.recorder import Recorder
from helpers.message import Request, Response

OWN = {
    "role_name": "acme-billing",
    "bucket_name": "acme-secrets",
    "instance_id": "i-2ze8acmeacme8acme8ac",
}
ACCOUNT = "5498217365402198"
SOURCE = {"source": "an account", "date": "2026-01-01"}


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path, OWN, ACCOUNT, SOURCE)


def keep(recorder: Recorder, action: str, body: Any, status: int = 200) -> None:
    service = "ecs" if "Instance" in action else "ram"
    request = Request("POST", f"https://{service}.aliyuncs.com/?Action={action}")
    recorder.keep(request, Response(status, body=json.dumps(body).encode()))


def test_what_is_the_accounts_becomes_documentation(recorder: Recorder, tmp_path: Path) -> None:
    role = {
        "RoleName": "acme-billing",
        "Arn": f"acs:ram::{ACCOUNT}:role/acme-billing",
        "RoleId": "331122334455667788",
        "MaxSessionDuration": 3600,
        "CreateDate": "2026-01-02T03:04:05Z",
    }
    keep(
        recorder, "CreateRole", {"RequestId": "8E6B0AD3-1C1B-4D2B-A9E9-9B1B6E0C0F11", "Role": role}
    )
    text = (tmp_path / "ram/CreateRole/200.json").read_text()
    assert json.loads(text)["Role"]["RoleName"] == "EcsRamRoleTest"
    assert json.loads(text)["Role"]["Arn"] == "acs:ram::123456789012****:role/EcsRamRoleTest"
    assert json.loads(text)["Role"]["MaxSessionDuration"] == 3600
    for own in ("acme", ACCOUNT, "3311", "8E6B", "2026-01-02"):
        assert own not in text
    sources = json.loads((tmp_path / "ram/sources.json").read_text())["recordings"]
    assert sources == {"CreateRole/200.json": {"provenance": "recorded", **SOURCE}}
    assert recorder.held_back == {}


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("Owner", "somebody", "nobody has judged the field Owner"),
        ("InstanceOwnerId", 1234, "nobody has judged the field InstanceOwnerId"),
        ("Message", "ask ops@acme.example", "an id or an address"),
        ("Message", "from 47.96.12.3", "an id or an address"),
        ("Message", "account 6612345678901234", "an id or an address"),
        ("Message", "see i-2ze9s8d7f6g5h4j3k2l1", "an id or an address"),
        ("Message", "key LTAI5tQnKjWbZyC3mFgH8dRa", "a secret"),
        ("Message", "q8Zr2LkV0xT7nB4yJm9wPcHs6UdEa1Fg", "a secret"),
    ],
)
def test_what_nobody_has_judged_is_held_back_and_named(
    recorder: Recorder, tmp_path: Path, capsys: Any, field: str, value: Any, reason: str
) -> None:
    keep(recorder, "StartInstance", {"RequestId": "8E6B", field: value})
    ((place, why),) = recorder.held_back.items()
    assert place == "ecs/StartInstance/200.json" and reason in why
    assert list(tmp_path.rglob("*")) == []
    said = capsys.readouterr().out
    assert place in said and str(value) not in said


def test_the_same_value_becomes_the_same_everywhere(recorder: Recorder, tmp_path: Path) -> None:
    pair = [{"InstanceId": name, "Status": "Running"} for name in ("i-one", "i-two")]
    keep(recorder, "DescribeInstanceStatus", {"InstanceStatuses": {"InstanceStatus": pair}})
    keep(recorder, "CreateInstance", {"InstanceId": "i-two"})
    seen = json.loads((tmp_path / "ecs/DescribeInstanceStatus/200.json").read_text())
    first, second = (row["InstanceId"] for row in seen["InstanceStatuses"]["InstanceStatus"])
    assert first != second
    assert (
        json.loads((tmp_path / "ecs/CreateInstance/200.json").read_text())["InstanceId"] == second
    )


def test_the_content_of_an_object_is_never_recorded(recorder: Recorder, tmp_path: Path) -> None:
    request = Request("GET", "https://acme-secrets.oss-cn-hangzhou.aliyuncs.com/plan.txt")
    recorder.keep(request, Response(200, body=b"our plan"))
    assert "own content" in recorder.held_back["oss/GetObject/200.txt"]
    assert list(tmp_path.rglob("*")) == []


def test_a_refusal_takes_the_place_of_the_one_it_resembles(
    recorder: Recorder, tmp_path: Path
) -> None:
    body = {
        "Code": "EntityNotExist.Policy",
        "Message": "The policy does not exist.",
        "RequestId": "1",
    }
    keep(recorder, "AttachPolicyToRole", body, 404)
    assert (tmp_path / "ram/Common/404.EntityNotExist.Policy.json").exists()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(care.SHIPPED, tmp_path / "recordings"))


def edit_source(folder: Path, service: str, place: str, **values: Any) -> None:
    file = folder / service / "sources.json"
    sources = json.loads(file.read_text())
    sources["recordings"].setdefault(place, {}).update(values)
    file.write_text(json.dumps(sources))


def test_what_ships_passes_the_check() -> None:
    result = click.testing.CliRunner().invoke(main, ["recordings", "check"])
    assert (result.exit_code, result.output) == (0, "0 problems\n")


ROLE = "GetRole/200.json"


@pytest.mark.parametrize(
    ("write", "problem"),
    [
        (lambda folder: (folder / "ram" / ROLE).unlink(), "has no file"),
        (lambda folder: (folder / "ram/GetRole/201.json").write_text("{}"), "has no entry"),
        (lambda folder: (folder / "ram" / ROLE).write_text("{"), "does not parse"),
        (lambda folder: edit_source(folder, "ram", ROLE, provenance="heard"), "has no provenance"),
        (lambda folder: edit_source(folder, "ram", ROLE, source=""), "no source"),
        (
            lambda folder: (folder / "ram" / ROLE).write_text('{"RoleId": "6612345678901234"}'),
            "has in RoleId what looks like an id",
        ),
        (
            lambda folder: shutil.move(folder / "ram/GetRole", folder / "ram/GetRoles"),
            "GetRoles/200.json has no entry",
        ),
    ],
)
def test_the_check_names_what_is_wrong(copy: Path, write: Any, problem: str) -> None:
    write(copy)
    result = click.testing.CliRunner().invoke(main, ["recordings", "check", str(copy)])
    assert result.exit_code == 1
    assert problem in result.output


def test_an_operation_that_nobody_models_is_named(copy: Path) -> None:
    (copy / "ram/GetUser").mkdir()
    (copy / "ram/GetUser/200.json").write_text("{}")
    edit_source(copy, "ram", "GetUser/200.json", provenance="modelled", source="none")
    assert care.check(copy) == ["ram/GetUser/200.json is used by no operation."]


def test_an_old_recording_is_named(copy: Path) -> None:
    then = (date.today() - timedelta(days=400)).isoformat()
    edit_source(copy, "ram", ROLE, provenance="recorded", date=then)
    assert care.ages(copy) == ["ram/GetRole/200.json was recorded 400 days ago"]


def test_a_change_of_shape_is_said_in_words(copy: Path, tmp_path: Path) -> None:
    file = copy / "ram" / ROLE
    tree = json.loads(file.read_text())
    tree["Role"]["Tags"] = {"Tag": [{"TagKey": "a"}]}
    tree["Role"]["MaxSessionDuration"] = "3600"
    del tree["Role"]["RoleId"]
    tree["Role"]["Arn"] = "another value of the same kind"
    file.write_text(json.dumps(tree))
    assert care.diff(copy) == [
        "ram/GetRole/200.json: the field Role.MaxSessionDuration was a number and is text",
        "ram/GetRole/200.json: the field Role.RoleId is gone",
        "ram/GetRole/200.json: the field Role.Tags.Tag[].TagKey was added",
    ]
    assert care.diff(care.SHIPPED, copy / "none")[0].endswith(": is new")


def test_what_is_adopted_is_a_recording_of_the_account(recorder: Recorder, copy: Path) -> None:
    recorder._folder = copy.parent / "new"
    keep(recorder, "CreateRole", {"RequestId": "1", "Role": {"RoleName": "acme-billing"}})
    assert care.adopt(copy.parent / "new", copy) == 1
    assert care.check(copy) == []
    sources = json.loads((copy / "ram/sources.json").read_text())["recordings"]
    assert sources["CreateRole/200.json"]["provenance"] == "recorded"
    assert json.loads((copy / "ram/CreateRole/200.json").read_text())["Role"] == {
        "RoleName": "EcsRamRoleTest"
    }
