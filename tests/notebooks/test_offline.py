"""The four notebooks run on a machine whose only network is its own loopback."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ALONE = ["unshare", "--user", "--map-root-user", "--net"]
LOOPBACK_UP = "ip link set lo up 2>/dev/null || ifconfig lo up 2>/dev/null || true"


def alone(command: str) -> subprocess.CompletedProcess[str]:
    """Run a shell command in a network namespace that holds nothing but ``lo``."""
    return subprocess.run(
        [*ALONE, "sh", "-c", f"{LOOPBACK_UP}; {command}"], cwd=ROOT, capture_output=True, text=True
    )


@pytest.fixture
def namespace() -> None:
    if not shutil.which("unshare") or alone("true").returncode:
        pytest.skip("this machine does not let this user make a network namespace")


@pytest.mark.usefixtures("namespace")
def test_the_notebooks_need_no_network(tmp_path: Path) -> None:
    connects = "import socket; socket.create_connection(('192.0.2.1', 80), 1)"
    assert "unreachable" in alone(f'{sys.executable} -c "{connects}"').stderr
    done = alone(f"{sys.executable} -m helpers run --out {tmp_path}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 of 4 ok" in done.stdout
