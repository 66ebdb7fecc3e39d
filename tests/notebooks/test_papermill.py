"""The notebooks under papermill: its plain command with the defaults, and with other parameters."""

from __future__ import annotations

import json
from pathlib import Path

import click.testing
import nbformat
import pytest
from papermill import inspect_notebook
from papermill.cli import papermill as papermill_command

from helpers.runs import NOTEBOOKS, find_notebooks, parameter_defaults, run_suite

NAMES = [path.stem for path in sorted(NOTEBOOKS.glob("*.ipynb"))]
OTHER_VALUES = {
    "region_id": "ap-southeast-1",
    "role_name": "ReportReader",
    "policy_name": "ReportReaderPolicy",
    "instance_id": "i-t4n0reportreader01",
    "image_id": "ubuntu_22_04_x64_20G_alibase_20240101.vhd",
    "instance_type": "ecs.c7.large",
    "v_switch_id": "vsw-t4nreportreader0001",
    "security_group_id": "sg-t4nreportreader0001",
    "bucket_name": "report-reader-bucket",
    "endpoint": "oss-ap-southeast-1-internal.aliyuncs.com",
}


def papermill(*arguments: str) -> click.testing.Result:
    """Papermill's command line, in this process: starting it anew costs two seconds."""
    return click.testing.CliRunner().invoke(papermill_command, ["--no-progress-bar", *arguments])


def errors(notebook: Path) -> list[str]:
    outputs = [o for cell in nbformat.read(notebook, 4).cells for o in cell.get("outputs", [])]
    return [output.evalue for output in outputs if output.output_type == "error"]


def code_cells_run(notebook: Path) -> int:
    return sum(bool(cell.get("execution_count")) for cell in nbformat.read(notebook, 4).cells)


@pytest.mark.parametrize("name", NAMES)
def test_papermills_own_command_runs_the_defaults(name: str, tmp_path: Path) -> None:
    done = papermill(str(NOTEBOOKS / f"{name}.ipynb"), str(tmp_path / "out.ipynb"))
    assert done.exit_code == 0, done.exception


@pytest.mark.parametrize("name", NAMES)
def test_papermill_can_describe_every_parameter(name: str) -> None:
    """Its inspection is by pattern; what it cannot read is missing from --help-notebook."""
    path = NOTEBOOKS / f"{name}.ipynb"
    described = inspect_notebook(path)
    assert described.keys() == parameter_defaults(path).keys()
    assert all(value["help"] for value in described.values())
    assert all(value["inferred_type_name"] != "None" for value in described.values())


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("changed")
    notebooks = [str(path) for path in find_notebooks()]
    results = run_suite("", OTHER_VALUES, notebooks, str(out), workers=4)
    assert [result.error for result in results] == [""] * len(NAMES)
    return out


@pytest.mark.parametrize("name", NAMES)
def test_with_other_parameters_no_default_is_shown(name: str, changed: Path) -> None:
    cells = nbformat.read(changed / f"{name}.ipynb", 4).cells
    shown = json.dumps([cell.outputs for cell in cells if cell.cell_type == "code"])
    shown = shown.replace("ramroletest.txt", "")  # an object; ramroletest is the default bucket
    given = {
        key: value
        for key, value in parameter_defaults(NOTEBOOKS / f"{name}.ipynb").items()
        if key in OTHER_VALUES
    }
    assert [value for value in given.values() if value in shown] == []
    assert any(OTHER_VALUES[key] in shown for key in given)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("role_nam", "Other", ["role_nam", "role_name"]),
        ("mode", "reply", ["mode", "reply", "replay"]),
        ("role_name", "no spaces", ["role_name", "no spaces"]),
    ],
)
def test_a_wrong_parameter_stops_the_first_cells_with_one_sentence(
    name: str, value: str, words: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out.ipynb"
    done = papermill(str(NOTEBOOKS / f"{NAMES[0]}.ipynb"), str(out), "-p", name, value)
    assert done.exit_code == 1
    (sentence,) = errors(out)
    assert all(word in sentence for word in words), sentence
    assert "\n" not in sentence
    assert code_cells_run(out) <= 4  # parameters, injected parameters, imports, connect
