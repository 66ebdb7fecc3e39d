"""The instructor's page and the ways to set up a room: what they name exists, minutes add up."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import nbformat
import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from helpers import check
from helpers.__main__ import main
from helpers.exercises import EXERCISES
from helpers.runs import find_notebooks

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "workshop.md").read_text("utf-8")
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
SCHEDULES = re.findall(r"^### (\d+) minutes\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL)
ROWS = {
    int(total): re.findall(r"^\| (\d\d:\d\d) \| (\d+) \| (.+) \|$", text, re.MULTILINE)
    for total, text in SCHEDULES
}
PROSE = "\n".join(
    cell.source
    for path in find_notebooks()
    for cell in nbformat.read(path, 4).cells
    if cell.cell_type == "markdown"
)


@pytest.mark.parametrize("total", [60, 90, 180])
def test_the_clock_of_a_schedule_adds_up(total: int) -> None:
    clock = datetime(2000, 1, 1, 9)
    for start, minutes, _ in ROWS[total]:
        assert f"{clock:%H:%M}" == start
        clock += timedelta(minutes=int(minutes))
    assert clock - datetime(2000, 1, 1, 9) == timedelta(minutes=total)


def test_every_exercise_has_the_minutes_of_its_notebook() -> None:
    listed = re.findall(
        r"^\| (.+?) \| (\d+) \| .+ \|$", PAGE.split("## What stumbles")[1], re.MULTILINE
    )
    assert listed == [(each.title, str(each.minutes)) for each in EXERCISES]
    titles = {each.title: each.minutes for each in EXERCISES}
    for rows in ROWS.values():
        for _, minutes, what in rows:
            if what.startswith("Exercise: "):
                assert titles[what.removeprefix("Exercise: ")] == int(minutes)
            if what.startswith("Exercises of "):
                own = [each.minutes for each in EXERCISES if each.notebook == what[-2:]]
                assert sum(own) == int(minutes)


def test_what_the_page_quotes_is_in_the_notebooks() -> None:
    quoted = re.findall(r'"([A-Z][^"\n]+)"', PAGE)
    assert len(quoted) > 10
    assert [words for words in quoted if words not in PROSE] == []


def test_the_commands_of_the_page_exist() -> None:
    targets = re.findall(r"make ([a-z]+)", PAGE)
    assert {"run", "lab", "site", "slides"} <= set(targets)
    assert [name for name in targets if not re.search(f"^{name}:", MAKEFILE, re.MULTILINE)] == []
    assert [
        n for n in re.findall(r"python -m helpers ([\w-]+)", PAGE) if n not in main.commands
    ] == []


def test_correct_answers_can_be_counted_in_saved_notebooks(tmp_path: Path) -> None:
    pattern = re.search(r"grep -c '(.+?)'", PAGE)[1]
    policy = {"Service": ["ecs.aliyuncs.com"]}
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": policy}
    answers = [{"Version": "1", "Statement": [statement]}, ...]
    data = [check.trust_policy.judge(answer)._repr_mimebundle_() for answer in answers]
    outputs = [nbformat.v4.new_output("display_data", data=each) for each in data]
    cell = nbformat.v4.new_code_cell("check.trust_policy(mine)", outputs=outputs)
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "01.ipynb")
    done = subprocess.run(["grep", "-c", pattern, tmp_path / "01.ipynb"], capture_output=True)
    assert done.stdout == b"1\n"


def test_binder_installs_the_requirements_with_a_python_that_fits() -> None:
    binder = ROOT / ".binder"
    option, path = (binder / "requirements.txt").read_text().split()
    assert option == "-r" and (binder / path).resolve() == ROOT / "requirements.txt"
    python = (binder / "runtime.txt").read_text().strip().removeprefix("python-")
    assert Version(python) in requires_python()
    shown = subprocess.run(
        [binder / "start", "printenv", "JUPYTER_CONFIG_PATH"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (Path(shown.stdout.strip()) / "labconfig" / "page_config.json").is_file()


def test_the_container_sets_up_what_its_editor_opens() -> None:
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    image, python = container["image"].split(":")
    assert image == "python" and Version(python) in requires_python()
    target = container["postCreateCommand"].removeprefix("make ")
    assert f"READY := {target}" in MAKEFILE
    settings = container["customizations"]["vscode"]["settings"]
    assert settings["python.defaultInterpreterPath"].endswith("/.venv/bin/python")


def requires_python() -> SpecifierSet:
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    return SpecifierSet(re.search('^requires-python = "(.+)"$', project, re.MULTILINE)[1])
