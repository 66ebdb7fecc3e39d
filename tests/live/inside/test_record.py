"""Record mode: the notebooks write recordings, and replay passes with them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from helpers.runs import NOTEBOOKS
from tests.live.inside.conftest import Cloud, on_the_instance
from tests.live.inside.test_notebooks import found_in, helpers, run


def test_record(cloud: Cloud, tmp_path: Path) -> None:
    run(tmp_path, ["01", "02"], mode="record")
    with on_the_instance(cloud):
        run(tmp_path, ["03", "04"], mode="record")
    recorded = tmp_path / "build" / "recordings"
    places = [
        f"{file.parent.name}/{place}"
        for file in recorded.glob("*/sources.json")
        for place, source in json.loads(file.read_text())["recordings"].items()
        if source["provenance"] == "recorded" and source["sdk"]
    ]
    assert len(places) > 30
    assert {"ram/CreateRole/200.json", "ecs/CreateInstance/200.json", "oss/ListObjects/200.xml",
            "metadata/ram-role-credentials/200.json"} <= set(places)  # fmt: skip
    own = [cloud.sandbox.account.account_id, *cloud.left()["instances"]]
    assert found_in(recorded, [*cloud.secrets(), *own]) == []
    assert helpers("recordings", "check", "build/recordings").endswith("0 problems\n")
    replay_with(tmp_path / "copy")


def replay_with(copy: Path) -> None:
    """A copy of the package adopts what was recorded, and replays with it."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("helpers", "notebooks"):
        shutil.copytree(NOTEBOOKS.parent / name, copy / name, ignore=ignored)
    for command in ("recordings diff ../build/recordings", "recordings adopt ../build/recordings",
                    "recordings check", "run"):  # fmt: skip
        words = [sys.executable, "-m", "helpers", *command.split()]
        environment = {**os.environ, "PYTHONPATH": str(copy)}  # for the kernels too
        done = subprocess.run(words, cwd=copy, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        if "diff" in command:
            assert "the field" in done.stdout
    assert "4 of 4 ok" in done.stdout
