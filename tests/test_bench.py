"""``make bench`` measures and writes what it says. How fast anything is, no test asserts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_bench_prints_ratios_and_writes_them(tmp_path: Path) -> None:
    out = tmp_path / "build" / "bench.json"
    command = [sys.executable, "-m", "tests.bench", "--rounds", "1", "--out", str(out)]
    options = ["--only", "calls", "--only", "connect"]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    measured = json.loads(out.read_text())
    assert len(measured) == 7
    assert all(each["ratio"] == each["ours"] / each["other"] > 0 for each in measured)
    assert [each["name"] in done.stdout for each in measured] == [True] * 7
