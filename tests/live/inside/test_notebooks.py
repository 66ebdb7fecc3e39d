"""The four notebooks, unmodified, against an account: 01 and 02 on a laptop, 03 and 04 on its
instance."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.runs import find_notebooks, run_suite
from tests.live.inside.conftest import NOTHING, Cloud

LIVE = {"mode": "live", "accept_charge": True, "clean_up": False}


def run(out: Path, only: list[str], **parameters: Any) -> None:
    notebooks = [str(path) for path in find_notebooks(only=only)]
    results = run_suite("", {**LIVE, **parameters}, notebooks, str(out))
    assert [(each.notebook, each.error) for each in results if each.status != "ok"] == []


def helpers(*command: str) -> str:
    command = (sys.executable, "-m", "helpers", *command)
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_live(cloud: Cloud, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    run(tmp_path, ["01", "02"])
    assert cloud.left()["instances"] and cloud.left()["attached"]
    assert "BILLS  ECS instance i-" in helpers("ledger")
    request.getfixturevalue("on_the_instance")
    run(tmp_path, ["03", "04"])


def test_clean_up(cloud: Cloud, tmp_path: Path) -> None:
    run(tmp_path, ["01", "02"])
    assert "0 left" in helpers("clean-up", "--yes")
    assert cloud.left() == NOTHING
    assert "0 left" in helpers("ledger")
    assert "0 left" in helpers("clean-up", "--yes")
