"""VCR.py, a replay tool that we did not write, gives the notebooks the same answers.

Each runs in a process of its own, as VCR.py's patches and the moved clock hold for a whole process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.runs import NOTEBOOKS, find_notebooks
from tests import vcr_oracle

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="VCR.py 9 needs it; version 8 makes another kind of response"
)
ROOT = Path(vcr_oracle.__file__).parent.parent


@pytest.mark.parametrize("notebook", find_notebooks(NOTEBOOKS), ids=lambda path: path.stem)
def test_a_cassette_gives_the_same_answers(notebook: Path, tmp_path: Path) -> None:
    cassette = tmp_path / "cassette.yaml"
    done = subprocess.run(
        [sys.executable, "-m", vcr_oracle.__name__, str(notebook), str(cassette)],
        cwd=ROOT,
        env=os.environ | {"IPYTHONDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout)
    assert len(seen["core"]) > 10 and seen["left"] == 0
    assert seen["wire"] == seen["core"]
    assert seen["cassette"] == seen["core"]
    assert cassette.read_text().count("- request:") == len(seen["core"])
