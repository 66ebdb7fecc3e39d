"""What makes a notebook readable, as far as one can count it: anatomy, rhythm, links, no secret."""

from __future__ import annotations

import ast
import re
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import unquote

import nbformat
import pytest

from helpers.drawing import journey_alt
from helpers.exercises import EXERCISES
from helpers.masking import mask_text
from helpers.runs import find_notebooks

ROOT = Path(__file__).parents[2]
NOTEBOOKS = find_notebooks()
CELLS = {path: nbformat.read(path, 4).cells for path in NOTEBOOKS}
EACH = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
SECTIONS = [
    "Set the parameters",
    "Import and connect",
    "On the wire",
    "Try to break it",
    "Your turn",
    "Clean up",
    "Recap",
]


def code(*notebooks: Path) -> list[Any]:
    return [c for path in notebooks for c in CELLS[path] if c.cell_type == "code"]


def prose(*notebooks: Path) -> str:
    """All Markdown, without what stands in code fences."""
    cells = [c.source for path in notebooks for c in CELLS[path] if c.cell_type == "markdown"]
    return re.sub(r"^```.*?^```", "", "\n\n".join(cells), flags=re.MULTILINE | re.DOTALL)


def headings(notebook: Path) -> list[tuple[int, str]]:
    found = re.findall(r"^(#+) (.+)$", prose(notebook), re.MULTILINE)
    return [(len(marks), text) for marks, text in found]


def shown(notebook: Path) -> list[str]:
    """The outputs as text, in every form in which they are stored."""
    outputs = [output for cell in code(notebook) for output in cell.outputs]
    return [text for o in outputs for text in (o.get("text", ""), *o.get("data", {}).values())]


@EACH
def test_one_title_comes_first_and_no_level_is_skipped(notebook: Path) -> None:
    levels = [level for level, _ in headings(notebook)]
    assert CELLS[notebook][0].source.startswith("# ")
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


@EACH
def test_the_sections_come_in_their_order(notebook: Path) -> None:
    titles = [text for level, text in headings(notebook) if level == 2]
    assert [title for title in titles if title in SECTIONS] == SECTIONS
    assert titles[-1] == SECTIONS[-1]


@EACH
def test_it_opens_with_outcome_journey_and_facts(notebook: Path) -> None:
    _, outcome, image, words = CELLS[notebook][0].source.split("\n\n")
    step = NOTEBOOKS.index(notebook) + 1
    assert outcome.startswith("By the end")
    assert image == f"![{journey_alt(step)}](images/journey-{step}.svg)"
    assert words.startswith("**In words:** ") and "(you are here)" in words
    facts = re.findall(r"^\| \*\*(.+?)\*\* \|", CELLS[notebook][1].source, re.MULTILINE)
    assert facts == ["Time", "Cost", "Necessary", "Helpful", "Tested with"]


@EACH
def test_prose_comes_before_each_cell_of_code(notebook: Path) -> None:
    cells = CELLS[notebook]
    bare = [
        after.source
        for before, after in pairwise(cells)
        if before.cell_type == after.cell_type == "code"
    ]
    assert bare == []


def test_cells_are_short_and_prose_goes_with_them() -> None:
    lengths = sorted(sum(map(bool, cell.source.split("\n"))) for cell in code(*NOTEBOOKS))
    assert lengths[-1] <= 20
    assert lengths[int(0.9 * len(lengths))] <= 10
    assert median(lengths) <= 5
    assert 30 <= len(prose(*NOTEBOOKS).split()) / len(lengths) <= 110


@EACH
def test_every_parameter_has_a_type_and_a_comment(notebook: Path) -> None:
    (cell,) = [c for c in code(notebook) if "parameters" in c.metadata.get("tags", [])]
    # With a second equals sign papermill's --help-notebook loses the line.
    line = re.compile(r"[a-z_]+: (str|int|bool) = [^=]+?  # [^=]+")
    assert [text for text in cell.source.splitlines() if not line.fullmatch(text)] == []


@EACH
def test_imports_stand_between_parameters_and_connect(notebook: Path) -> None:
    kinds = [set(map(type, ast.walk(ast.parse(cell.source)))) for cell in code(notebook)]
    importing = [bool(kind & {ast.Import, ast.ImportFrom}) for kind in kinds]
    connect = next(n for n, cell in enumerate(code(notebook)) if "helpers.connect(" in cell.source)
    assert importing == [0 < n < connect for n in range(len(kinds))]


@EACH
def test_no_secret_is_stored(notebook: Path) -> None:
    # A solution gives a header, whose value is to be masked, these words as a value.
    outputs = [text.replace("the token", "****") for text in shown(notebook)]
    assert [text for text in outputs if mask_text(text) != text] == []
    runs = re.findall(r"[A-Za-z0-9+]{24,}", unquote(notebook.read_text("utf-8")))
    kinds = ("[a-z]", "[A-Z]", r"\d")
    assert [run for run in runs if all(re.search(kind, run) for kind in kinds)] == []


@pytest.mark.parametrize(
    "file",
    [*NOTEBOOKS, ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))],
    ids=lambda path: path.name,
)
def test_links_inside_the_repository_lead_somewhere(file: Path) -> None:
    text = prose(file) if file in CELLS else file.read_text("utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    missing = [to for to in targets if "://" not in to and not (file.parent / to).exists()]
    assert missing == []


@EACH
def test_every_picture_is_described(notebook: Path) -> None:
    described = r"<img alt=\"[^\"]{20,}\""
    for text in [prose(notebook), *shown(notebook)]:
        assert len(re.findall("<img", text)) == len(re.findall(described, text))
        assert "![](" not in text


@EACH
def test_exercises_are_those_of_the_one_source(notebook: Path) -> None:
    mine = [each for each in EXERCISES if each.notebook == notebook.stem[:2]]
    cells = CELLS[notebook]
    at = [n for n, cell in enumerate(cells) if "exercise" in cell.metadata.get("tags", [])]
    assert len(mine) == len(at) >= 3
    for exercise, n in zip(mine, at, strict=True):
        assert exercise.title in cells[n - 1].source and exercise.prompt in cells[n - 1].source
        assert ast.dump(ast.parse(cells[n].source)) == ast.dump(ast.parse(exercise.starter))
        name = f"check.{exercise.name}"
        assert cells[n + 2].source == f"{name}.hint()\n{name}.solution()"


@EACH
def test_readers_predict_before_they_see(notebook: Path) -> None:
    assert 2 <= prose(notebook).count("Predict first:") <= 4


def test_sixteen_refusals_are_shown() -> None:
    refused = [
        text
        for path in NOTEBOOKS
        for text in shown(path)
        if re.search("^HTTP status +4", text, re.MULTILINE)
    ]
    assert len(refused) >= 16
