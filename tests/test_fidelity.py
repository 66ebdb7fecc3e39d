"""docs/fidelity.md says what the code has, and is not stale."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from helpers import fidelity
from helpers.__main__ import main
from helpers.policy import PolicyError, parse
from helpers.recordings import load
from helpers.sandbox.oss_gateway import OPERATIONS
from helpers.sandbox.sandbox import RPC_SERVICES
from helpers.sandbox.scenario import Names, account_before
from tests.sandbox.in_process import NOW

FILE = Path(__file__).parent.parent / "docs" / "fidelity.md"
CORE = Path(fidelity.__file__).parent / "sandbox"
RECORDINGS = load()


def test_the_file_is_what_the_command_prints() -> None:
    printed = CliRunner().invoke(main, ["recordings", "fidelity"]).output
    stale = f"docs/fidelity.md is stale: run `{fidelity.COMMAND}`"
    assert FILE.read_text("utf-8") == printed, stale


def test_every_operation_and_every_error_stands_in_it() -> None:
    text = FILE.read_text("utf-8")
    names = {name for service in RPC_SERVICES for name in service.operations}
    names |= {operation.name for operation in OPERATIONS.values()}
    assert names <= set(re.findall(r"^\| (\w+) \|", text, re.MULTILINE))
    rows = re.findall(r"^\| .*\]\(https://", text, re.MULTILINE)
    assert len(rows) == len(list(RECORDINGS))


def test_every_code_that_the_core_names_has_a_recording() -> None:
    recorded = {recording.code for recording in RECORDINGS}
    source = "".join(path.read_text("utf-8") for path in CORE.glob("*.py"))
    named = set(re.findall(r'ServiceError\(\s*"([\w.]+)"', source))
    assert len(named) > 40 and named <= recorded


@pytest.mark.parametrize(
    "statement",
    [
        {"NotResource": "*"},
        {"Resource": "*", "Condition": {"StringEqualsIfExists": {"acs:SourceIp": "1"}}},
        {"Resource": "*", "Condition": {"Null": {"acs:SourceIp": "true"}}},
        {"Resource": "acs:oss:*:*:${acs:Username}"},
    ],
)
def test_what_the_policy_language_lacks_is_refused_by_name(statement: dict[str, str]) -> None:
    whole = {"Effect": "Allow", "Action": "*", **statement}
    with pytest.raises(PolicyError, match=r"NotResource|IfExists|Null|\$\{"):
        parse(json.dumps({"Version": "1", "Statement": [whole]}))


def test_there_are_no_system_policies() -> None:
    assert {kind for kind, _ in account_before(4, Names(), NOW).policies} == {"Custom"}
