"""The four notebooks, unmodified, against an account: 01 and 02 on a laptop, 03 and 04 on its
instance."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

from helpers.runs import code_cells, find_notebooks, run_suite
from tests.live.inside.conftest import NOTHING, Cloud, on_the_instance

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


def test_live(cloud: Cloud, tmp_path: Path) -> None:
    run(tmp_path, ["01", "02"])
    assert cloud.left()["instances"] and cloud.left()["attached"]
    assert "DryRunOperation" in (shown := outputs(tmp_path))
    assert not any(code in shown for code in ("Forbidden.RAM", "NoPermission"))
    assert "BILLS  ECS instance i-" in helpers("ledger")
    with on_the_instance(cloud):
        run(tmp_path, ["03", "04"])
    assert len(cloud.secrets()) > 6 and cloud.passwords
    assert found_in(tmp_path, cloud.secrets()) == []
    assert "0 left" in helpers("clean-up", "--yes")
    assert cloud.left() == NOTHING
    assert "0 left" in helpers("ledger")
    assert "0 left" in helpers("clean-up", "--yes")


def outputs(folder: Path) -> str:
    """What the cells of the executed notebooks show; their prose names refusals too."""
    cells = (cell for path in folder.rglob("*.ipynb") for cell in code_cells(path))
    return json.dumps([cell["outputs"] for cell in cells])


def found_in(folder: Path, secrets: list[str]) -> list[tuple[str, str]]:
    """Which files hold which secrets, as they are or percent-encoded."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    forms = [form for secret in secrets for form in (secret, quote(secret, safe=""))]
    texts = [(path.name, path.read_bytes().decode("utf-8", "replace")) for path in files]
    return [(name, form) for name, text in texts for form in forms if form in text]
