"""Runs of tiny notebooks with real kernels, and the command line in front of them."""

from __future__ import annotations

import gc
import json
import os
import pickle
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click.testing
import nbformat
import pytest

from helpers import runs
from helpers.__main__ import main

PARAMETERS = 'mode: str = "replay"  # how\nrole_name: str = "EcsRamRoleTest"  # whose'


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Write a notebook of code cells, the first of them tagged ``parameters``."""

    def write(name: str, *sources: str) -> Path:
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        cells[0].metadata["tags"] = ["parameters"]
        path = tmp_path / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
        return path

    return write


def run(*arguments: str) -> click.testing.Result:
    return click.testing.CliRunner().invoke(main, ["run", *arguments])


def printed(path: Path) -> list[str]:
    """What the cells of an executed notebook printed."""
    outputs = [o for cell in nbformat.read(path, 4).cells for o in cell.get("outputs", [])]
    return [output.text.strip() for output in outputs if output.output_type == "stream"]


@pytest.mark.parametrize(
    ("source", "defaults"),
    [
        ('role_name: str = "a"  # the role, e.g. role_name=b', {"role_name": "a"}),
        ('query = "a=b"\nregion_id: "str" = None', {"query": "a=b", "region_id": None}),
        ("keys: list[str] = [\n    'a',\n]\n# count = 1", {"keys": ["a"]}),
        ("import os\nfirst.second = 1\nhome = os.sep\nbare: int", {"home": None, "bare": None}),
    ],
)
def test_parameter_defaults(write: Any, source: str, defaults: dict[str, Any]) -> None:
    assert runs.parameter_defaults(write("01", source)) == defaults


def test_a_notebook_without_parameters_cell_has_no_parameters(tmp_path: Path) -> None:
    path = tmp_path / "plain.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("a = 1")]), path)
    assert runs.parameter_defaults(path) == {}


class Cycle:
    """Garbage that only the collector finds, and that lets other threads run when it does."""

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        time.sleep(1e-5)


def test_parameter_defaults_in_threads(write: Any) -> None:
    """Where a collection lets threads parse in turns, Python 3.11 loses count of its depth."""
    path = write("01", "".join(f"a{number}: str = 'x'\n" for number in range(12)))
    expected = {f"a{number}": "x" for number in range(12)}

    def read(_: int) -> Any:
        _ = [Cycle() for _ in range(3)]
        return runs.parameter_defaults(path)

    before = gc.get_threshold()
    gc.set_threshold(5)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert all(found == expected for found in pool.map(read, range(1600)))
    finally:
        gc.set_threshold(*before)


def test_parameters_are_read_as_papermill_reads_them(write: Any, tmp_path: Path) -> None:
    file = tmp_path / "parameters.yaml"
    file.write_text("a: from file\nb: from file\nday: 2026-01-01\nid: '0012'\n")
    text = "{b: from text, c: 1.50, d: [1, x]}"
    typed = [("c", "1e5"), ("n", "007"), ("f", "True"), ("g", "true"), ("h", "None")]
    raw = [("n", "007")]
    options = ["-f", str(file), "-y", text]
    options += [word for name, value in typed for word in ("-p", name, value)]
    options += [word for name, value in raw for word in ("-r", name, value)]
    output = tmp_path / "prepared.ipynb"
    notebook = write("01", "a = 1")
    papermill = [sys.executable, "-m", "papermill", "--prepare-only", "-k", "python3"]
    papermill += ["-l", "python", str(notebook), str(output), *options]
    subprocess.run(papermill, check=True, capture_output=True)
    papermills = nbformat.read(output, 4).metadata.papermill.parameters
    assert runs.read_parameters([str(file)], [text], typed, raw) == papermills


@pytest.mark.parametrize("text", ["a: b: c", "- a\n- b", "just words"])
def test_a_parameter_file_that_is_no_mapping_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"wrong\.yaml is not (YAML:|a YAML mapping)"):
        runs.read_parameters([str(file)])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["-p", "role_nam", "Other"],
            "no parameter role_nam (did you mean role_name?)",
        ),
        (["-p", "zzz", "1"], "no parameter zzz; there are mode, role_name."),
        (["-p", "mode", "dry"], "dry"),
        (["-p", "role_name", "no spaces"], "no spaces"),
        (["--only", "07"], "starts with '07'; there are: 01, 02."),
        (["-f", "missing.yaml"], "missing.yaml"),
        (["-y", "[1"], "is not YAML"),
    ],
)
def test_bad_input_stops_before_any_notebook(
    write: Any, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    folder = write("01", PARAMETERS).parent
    write("02", PARAMETERS)
    out = tmp_path / "out"
    done = run("--notebooks", str(folder), "--out", str(out), *arguments)
    assert done.exit_code == 2
    assert sentence in " ".join(done.output.split())
    assert not out.exists()


@pytest.mark.parametrize(
    "name", ["access_key_secret", "AccessKeyId", "security_token", "ecs_password", "client_secret"]
)
def test_secrets_are_refused_and_not_repeated(write: Any, tmp_path: Path, name: str) -> None:
    folder = write("01", PARAMETERS).parent
    done = run("--notebooks", str(folder), "-p", name, "LTAIsecretvalue")
    assert done.exit_code == 2
    assert "ALIBABA_CLOUD_ACCESS_KEY_ID" in done.output
    assert "LTAIsecretvalue" not in done.output


def test_the_notebooks_are_never_overwritten(write: Any) -> None:
    notebook = write("01", PARAMETERS)
    before = notebook.read_bytes()
    done = run("--notebooks", str(notebook.parent), "--out", str(notebook.parent))
    assert done.exit_code == 2
    assert notebook.read_bytes() == before


def test_a_folder_that_cannot_be_made_is_refused_before_anything_runs(
    write: Any, tmp_path: Path
) -> None:
    notebook = write("01", PARAMETERS)
    (tmp_path / "file").write_text("")
    done = run("--notebooks", str(notebook.parent), "--out", str(tmp_path / "file" / "out"))
    assert done.exit_code == 2
    assert "cannot be made: Not a directory." in " ".join(done.output.split())


def test_each_notebook_gets_its_own_parameters(write: Any, tmp_path: Path) -> None:
    """The folder's name has braces, which papermill would take for a format string."""
    out = tmp_path / "{out}"
    folder = write("01", PARAMETERS, "print(role_name)", "open('here', 'w').close()").parent
    write("02", "count = 1", "print(count, 'role_name' in globals())")
    done = run("--notebooks", str(folder), "--out", str(out), "-p", "role_name", "Other")
    assert done.exit_code == 0, done.output
    assert printed(out / "01.ipynb") == ["Other"]
    assert printed(out / "02.ipynb") == ["1 False"]
    assert (out / "here").exists()
    tags = [cell.metadata.tags for cell in nbformat.read(out / "01.ipynb", 4).cells]
    assert tags[:2] == [["parameters"], ["injected-parameters"]]


def test_replay_runs_the_others_when_one_fails(write: Any, tmp_path: Path) -> None:
    folder = write("01", PARAMETERS, "raise KeyError('gone')").parent
    write("02", PARAMETERS)
    out = tmp_path / "out"
    done = run("--notebooks", str(folder), "--out", str(out))
    assert done.exit_code == 1
    summary = json.loads((out / "summary.json").read_text())
    results = [(n["notebook"], n["status"], n["error"]) for n in summary["notebooks"]]
    assert results == [("01", "failed", "In [2] KeyError: 'gone'"), ("02", "ok", "")]
    assert "In [2] KeyError: 'gone'" in done.output
    assert "papermill-error-cell-tag" in (out / "01.ipynb").read_text()


LIVE = PARAMETERS.replace("replay", "live")


@pytest.mark.parametrize(
    ("cell", "parameters"), [(PARAMETERS, {"mode": "live"}), (LIVE, {})], ids=["given", "set"]
)
def test_live_runs_in_order_and_stops_at_the_first_failure(
    write: Any, tmp_path: Path, cell: str, parameters: dict[str, str]
) -> None:
    names = [
        str(write("01", cell, "open('first', 'w').close()")),
        str(write("02", cell, "open('first'); 1 / 0")),
        str(write("03", cell, "open('third', 'w').close()")),
    ]
    results = runs.run_suite("ann", parameters, names, str(tmp_path / "out"), workers=4)
    assert [r.status for r in results] == ["ok", "failed", "not run"]
    assert results[1].error.endswith("] ZeroDivisionError: division by zero")
    assert not (tmp_path / "out" / "ann" / "third").exists()


def test_what_was_done_live_is_saved_though_the_kernel_dies(write: Any, tmp_path: Path) -> None:
    path = write("01", LIVE, "print('created')", "import os; os._exit(1)")
    (result,) = runs.run_suite("", {}, [str(path)], str(tmp_path / "out"))
    assert "DeadKernelError" in result.error
    assert printed(tmp_path / "out" / "01.ipynb") == ["created"]


def test_a_suite_never_raises(tmp_path: Path) -> None:
    broken = tmp_path / "01.ipynb"
    broken.write_text("{")
    (result,) = runs.run_suite("", {}, [str(broken)], str(tmp_path / "out"))
    assert (result.status, result.notebook) == ("failed", "01")
    assert "JSONDecodeError" in result.error


def test_a_failed_start_leaves_no_copy_of_an_earlier_run(write: Any, tmp_path: Path) -> None:
    notebook, out = write("01", PARAMETERS), tmp_path / "out"
    runs.run_suite("", {}, [str(notebook)], str(out))
    assert (out / "01.ipynb").exists()
    notebook.write_text(notebook.read_text().replace('"nbformat": 4', '"nbformat": 99'))
    (result,) = runs.run_suite("", {}, [str(notebook)], str(out))
    assert result.status == "failed"
    assert not (out / "01.ipynb").exists()


def test_a_suite_can_be_sent_to_another_process() -> None:
    result = runs.Result("ann", "01", "ok", 1.5)
    assert pickle.loads(pickle.dumps((runs.run_suite, result))) == (runs.run_suite, result)


def test_reports_show_or_hide_the_code(write: Any, tmp_path: Path) -> None:
    folder = write("01", PARAMETERS, "print('to' + 'gether')").parent
    options = ["--notebooks", str(folder), "--out", str(tmp_path / "out")]
    pages = []
    for flag in ("--report", "--hide-code"):
        assert run(*options, flag).exit_code == 0
        pages.append((tmp_path / "out" / "01.html").read_text())
    assert all("together" in page for page in pages)
    assert ['class="nb">print' in page for page in pages] == [True, False]
    assert not any("<script" in page for page in pages), "a page that asks other machines"


def test_only_runs_what_it_names(write: Any, tmp_path: Path) -> None:
    folder = write("01", PARAMETERS).parent
    write("02", PARAMETERS)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "helpers", "run", "--notebooks", str(folder)]
    done = subprocess.run(
        [*command, "--out", str(out), "--only", "02"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(out)) == ["02.ipynb", "summary.json"]
    assert "1 of 1 ok" in done.stdout
