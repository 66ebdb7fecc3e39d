"""Cells run twice and out of order in one kernel: only the cloud may refuse, never the stand-in."""

from __future__ import annotations

import ast
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
import oss2
import pytest
from nbclient import NotebookClient

from helpers.runs import NOTEBOOKS, kernel_sockets

NAMES = [path.stem for path in sorted(NOTEBOOKS.glob("*.ipynb"))]
# What the SDKs raise when the cloud refuses; the metadata address then answers with a page of HTML.
REFUSALS = {"ServerException", "JSONDecodeError", *vars(oss2.exceptions)}


def code_cells(name: str) -> list[Any]:
    cells = nbformat.read(NOTEBOOKS / f"{name}.ipynb", 4).cells
    return [cell for cell in cells if cell.cell_type == "code"]


def execute(cells: Sequence[Any], folder: Path) -> list[Any]:
    """Run the cells in a new kernel, all of them, and return the error outputs in order."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell.source) for cell in cells]
    )
    resources = {"metadata": {"path": str(folder)}}
    with kernel_sockets() as config:
        NotebookClient(
            notebook, kernel_name="python3", allow_errors=True, resources=resources, config=config
        ).execute()
    outputs = [output for cell in notebook.cells for output in cell.outputs]
    return [output for output in outputs if output.output_type == "error"]


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_twice_in_one_kernel(name: str, tmp_path: Path) -> None:
    assert execute(code_cells(name) * 2, tmp_path) == []


def names(source: str) -> tuple[set[str], set[str]]:
    """The names that a cell reads and those that it assigns, or changes part of."""
    tree = ast.parse(source)
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    reads = {node.id for node in found if isinstance(node.ctx, ast.Load)}
    writes = {node.id for node in found if not isinstance(node.ctx, ast.Load)}
    defined = (ast.FunctionDef, ast.ClassDef)
    writes |= {node.name for node in ast.walk(tree) if isinstance(node, defined)}
    aliases = [
        a for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom) for a in n.names
    ]
    writes |= {(alias.asname or alias.name).partition(".")[0] for alias in aliases}
    parts = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute | ast.Subscript)]
    for part in parts:
        if not isinstance(part.ctx, ast.Load):
            writes |= {n.id for n in ast.walk(part) if isinstance(n, ast.Name)}
    return reads, writes


def shuffled(cells: Sequence[Any], seed: int) -> list[Any]:
    """A random order in which each cell finds the variables that it found in the given order."""
    rest = [(cell, *names(cell.source)) for cell in cells]
    order = []
    chance = random.Random(seed)
    while rest:
        free = [
            number
            for number, (_, reads, writes) in enumerate(rest)
            if not any((w & (reads | writes)) | (r & writes) for _, r, w in rest[:number])
        ]
        order.append(rest.pop(chance.choice(free))[0])
    return order


def ours(errors: Sequence[Any]) -> list[str]:
    """Errors that no refusal explains: raised in helpers, or before the cloud refused anything."""
    first = next((n for n, error in enumerate(errors) if error.ename in REFUSALS), len(errors))
    return [
        f"{error.ename}: {error.evalue}"
        for number, error in enumerate(errors)
        if number < first
        or "/helpers/" in "".join(error.traceback[-2:])
        or error.ename == "NotModelled"
    ]


@pytest.mark.parametrize("name", NAMES)
def test_cells_after_connect_run_in_any_order(name: str, tmp_path: Path) -> None:
    cells = code_cells(name)
    connect = next(n for n, cell in enumerate(cells) if "helpers.connect(" in cell.source)
    order = shuffled(cells[connect + 1 :], seed=2)
    assert order != cells[connect + 1 :]
    assert ours(execute([*cells[: connect + 1], *order], tmp_path)) == []
