"""Record mode: the notebooks write recordings, and replay passes with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.live.inside.conftest import Cloud
from tests.live.inside.test_notebooks import found_in, run


def test_record(cloud: Cloud, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    run(tmp_path, ["01", "02"], mode="record")
    request.getfixturevalue("on_the_instance")
    run(tmp_path, ["03", "04"], mode="record")
    recorded = tmp_path / "build" / "recordings"
    places = [
        f"{file.parent.name}/{place}"
        for file in recorded.glob("*/sources.json")
        for place, source in json.loads(file.read_text()).items()
        if source["provenance"] == "recorded" and source["sdk"]
    ]
    assert len(places) > 30
    assert {"ram/CreateRole/200.json", "ecs/CreateInstance/200.json", "oss/ListObjects/200.xml",
            "metadata/ram-role-credentials/200.json"} <= set(places)  # fmt: skip
    own = [cloud.sandbox.account.account_id, *cloud.left()["instances"]]
    assert found_in(recorded, [*cloud.secrets(), *own]) == []
    print(places)
