"""Live and record mode, in a network and mount namespace where the cloud's names are this machine.

No packet leaves it: the namespace has no device but the loopback, with 100.100.100.200 on it for
the tests that are on an instance.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

INSIDE = Path(__file__).with_name("inside")
UNSHARE = ["unshare", "--user", "--map-root-user", "--net", "--mount"]


@pytest.fixture(scope="session", autouse=True)
def namespaces() -> None:
    try:
        subprocess.run([*UNSHARE, "ip", "link", "set", "lo", "up"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", b"") or str(error).encode()
        pytest.skip(f"namespaces are not permitted here: {said.decode().strip()}")


@pytest.mark.parametrize("path", sorted(INSIDE.glob("test_*.py")), ids=lambda path: path.stem)
def test_in_a_namespace(path: Path, tmp_path: Path) -> None:
    command = [*UNSHARE, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command += ["-q", "--override-ini=addopts=", "-p", "helpers.runs", f"--basetemp={tmp_path}/in"]
    environment = {**os.environ, "INSIDE_NAMESPACE": "1"}
    run = subprocess.run([*command, str(path)], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
