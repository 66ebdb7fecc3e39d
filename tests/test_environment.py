"""What ``check_environment`` says, with real metadata of packages on a path of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import ExitStack
from importlib.metadata import requires
from pathlib import Path

import pytest

from helpers.environment import (
    NEEDED,
    OVERWRITES,
    UnsuitableEnvironment,
    check_environment,
    set_aside_keys,
)


def install(folder: Path, name: str, version: str) -> None:
    """Leave what an installer leaves: metadata, before that of the real package."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_this_environment_is_suitable() -> None:
    check_environment()


@pytest.mark.parametrize("python", [(3, 10), (3, 11, 7), (3, 13, 9)])
def test_each_python_that_is_supported_passes(python: tuple[int, ...]) -> None:
    check_environment(python)


@pytest.mark.parametrize("python", [(2, 7), (3, 9), (3, 14), (4, 0)])
def test_another_python_is_told_which_to_use(python: tuple[int, ...]) -> None:
    with pytest.raises(UnsuitableEnvironment, match=r"run on 3\.10 to 3\.13: make a virtual"):
        check_environment(python)


@pytest.mark.parametrize("found", ["2.18.6", "2.18", "2.9", "1.99.99"])
def test_a_package_that_is_too_old_is_named_with_the_command(site: Path, found: str) -> None:
    install(site, "oss2", found)
    with pytest.raises(UnsuitableEnvironment) as error:
        check_environment()
    assert str(error.value) == (
        f'Missing or too old: oss2 ({found}); run `python -m pip install "oss2>=2.19"` and restart '
        "the kernel."
    )


@pytest.mark.parametrize("found", ["2.19", "2.19.1", "2.20.0rc1", "3.0.post1", "10.0"])
def test_a_package_that_is_new_enough_passes(site: Path, found: str) -> None:
    install(site, "oss2", found)
    check_environment()


def test_packages_that_are_missing_are_named_together() -> None:
    code = "from helpers.environment import check_environment as c; import sys; sys.path = []; c()"
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
    )
    sentence = run.stderr.splitlines()[-1]
    assert all(f"{name} (not installed)" in sentence for name in NEEDED)
    assert all(f'"{name}>={version}"' in sentence for name, version in NEEDED.items())


def test_the_package_that_overwrites_the_core_is_found(site: Path) -> None:
    install(site, OVERWRITES, "2.13.33")
    with pytest.raises(UnsuitableEnvironment, match="pip uninstall -y aliyun-python-sdk-core-v3"):
        check_environment()


def test_the_versions_are_those_of_the_package() -> None:
    found = dict(
        match.groups()
        for line in requires("ecs-instance-ram-roles") or []
        if (match := re.fullmatch(r"([\w-]+)>=([\d.]+)", line))
    )
    assert {name: found[name] for name in NEEDED} == NEEDED


def test_keys_that_would_win_are_set_aside_and_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIYUN_ACCESS_KEY_ID", "another account's")
    monkeypatch.delenv("ALIYUN_ACCESS_KEY_SECRET", raising=False)
    with ExitStack() as undo:
        set_aside_keys(undo)
        assert "ALIYUN_ACCESS_KEY_ID" not in os.environ
    assert os.environ["ALIYUN_ACCESS_KEY_ID"] == "another account's"
    assert "ALIYUN_ACCESS_KEY_SECRET" not in os.environ
