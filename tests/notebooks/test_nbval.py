"""The comparison compares, and what `make notebooks` stores stays the same when nothing changed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from helpers.runs import find_notebooks
from tests.notebooks.store import compared, store

ROOT = Path(__file__).parent.parent.parent


def failed_cells(path: Path) -> list[str]:
    """The cells of a notebook that fail strict nbval, as this repository configures it."""
    options = ["-c", "pyproject.toml", "-p", "conftest", "-p", "no:cacheprovider", "-q", "-rf"]
    command = [sys.executable, "-m", "pytest", *options, "--tb=no", "--color=no", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert re.search(r"\d+ (passed|failed)", done.stdout), done.stdout + done.stderr
    return re.findall(r"^FAILED \S*::(Cell \d+)", done.stdout, re.MULTILINE)


def write(path: Path, *sources: str) -> Path:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def change_one_letter(notebook: Any) -> int:
    """Change a stored output by one letter that is in no time; the number of its code cell."""
    before = compared(notebook)
    for number, cell in enumerate(c for c in notebook.cells if c.cell_type == "code"):
        for output in cell.outputs:
            text = output.get("text", "")
            for letter in re.finditer("[a-z]", text):
                output["text"] = text[: letter.start()] + "Q" + text[letter.end() :]
                if compared(notebook) != before:
                    return number
    raise AssertionError("no cell prints a letter")


def test_one_changed_letter_in_a_stored_output_fails(tmp_path: Path) -> None:
    notebook = nbformat.read(find_notebooks()[0], 4)
    number = change_one_letter(notebook)
    copy = tmp_path / "changed.ipynb"
    nbformat.write(notebook, copy)
    assert failed_cells(copy) == [f"Cell {number}"]


def test_only_times_may_differ_and_every_cell_is_compared(tmp_path: Path) -> None:
    clock = "from datetime import datetime; print(datetime.now().isoformat())"
    path = write(tmp_path / "a.ipynb", clock, "import os; print(os.urandom(8).hex())", "print(1)")
    store(path)
    notebook = nbformat.read(path, 4)
    notebook.cells[2].update(outputs=[], execution_count=None)
    nbformat.write(notebook, path)
    assert failed_cells(path) == ["Cell 1", "Cell 2"]


def test_storing_again_changes_no_byte_though_times_move(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ipynb", "import time; print(time.strftime('%Y-%m-%dT%H:%M:%SZ'))")
    store(path)
    stored = path.read_text("utf-8").replace("2", "1")  # a time long ago, the same otherwise
    path.write_text(stored, "utf-8")
    store(path)
    assert path.read_text("utf-8") == stored


def test_storing_keeps_tags_and_drops_what_changes_from_run_to_run(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ipynb", "print(1)")
    notebook = nbformat.read(path, 4)
    notebook.cells[0].metadata.update(tags=["parameters"], execution={"iopub.status.idle": "now"})
    notebook.metadata.update(papermill={"duration": 1}, language_info={"version": "3.11.7"})
    nbformat.write(notebook, path)
    store(path)
    stored = nbformat.read(path, 4)
    assert stored.cells[0].metadata == {"tags": ["parameters"]}
    assert stored.cells[0].execution_count == 1
    assert stored.metadata.keys() == {"kernelspec", "language_info"}
    assert "version" not in stored.metadata.language_info


def test_a_cell_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ipynb", "1 / 0")
    before = path.read_bytes()
    with pytest.raises(CellExecutionError):
        store(path)
    assert path.read_bytes() == before
