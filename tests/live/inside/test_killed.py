"""SIGKILL at every request of notebook 02, before it arrives and after: clean-up finds all."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.live.clean_up import Remover
from tests.live.inside.conftest import Cloud
from tests.live.inside.in_process import cells, killed_at, run_cells, run_clean_up

PARAMETERS = {"mode": "live", "accept_charge": True}
IS_TAGGED = any("set_Tags" in source for source in cells("02"))


def clean_up(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What clean-up could not remove."""
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    remover = Remover()
    return list(filter(None, map(remover.remove, remover.left())))


@pytest.mark.parametrize("arrived", [False, True], ids=["before it arrives", "before its answer"])
def test_killed_anywhere(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arrived: bool
) -> None:
    met = []
    for number in range(1, 100):
        cloud.reset(step=2)
        cloud.pace = 30
        before = cloud.left()
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.chdir(folder)
        at = killed_at(cloud, number, arrived, run_cells, "02", PARAMETERS, cloud.environment)
        if at == "CreateInstance" and not IS_TAGGED:
            continue  # nothing else finds it
        problems = clean_up(cloud, monkeypatch)
        assert cloud.left() == before, (at, problems)
        # An instance that was not made may still come to light: its entry stays for five minutes.
        assert len(problems) == (at == "CreateInstance" and not arrived), (at, problems)
        if not at:
            break
        met.append(at)
    assert len(met) >= 20
    assert {"AttachInstanceRamRole", "CreateRole", "DeleteInstance"} <= set(met)


def test_clean_up_killed_anywhere(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 20):
        cloud.reset(step=2)
        cloud.pace = 30
        before = cloud.left()
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.chdir(folder)
        killed_at(cloud, 18, False, run_cells, "02", PARAMETERS, cloud.environment)
        assert len(cloud.left()["roles"]) > len(before["roles"])
        cloud.requests.clear()
        at = killed_at(cloud, number, True, run_clean_up, cloud.environment)
        assert clean_up(cloud, monkeypatch) == []
        assert cloud.left() == before, at
        if not at:
            return
