"""The notebooks in JupyterLab, as a reader meets them: run them all, look, open, type."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from helpers.exercises import EXERCISES, Exercise, filled
from helpers.runs import code_cells, find_notebooks
from tests.browser.conftest import Screen
from tests.test_check import WRONG

NOTEBOOKS = find_notebooks()
SHOWN = ".jp-NotebookPanel:not(.lm-mod-hidden)"
# JupyterLab's own box scrolls a table that is too wide; browsers give such boxes the focus.
SCROLLS = "scrollable-region-focusable"
OURS = f"{SHOWN} .jp-RenderedMarkdown, {SHOWN} .jp-OutputArea-output"


@pytest.fixture(scope="module")
def lab(screen: Screen, jupyterlab: str) -> Screen:
    screen.page.goto(jupyterlab)
    return screen


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(lab: Screen, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A notebook that was opened by double click and run from the menu."""
    lab.page.get_by_role("listitem", name=request.param.name).dblclick()
    lab.page.get_by_text("(ipykernel) | Idle").wait_for()
    choose(lab, "Edit", "Clear Outputs of All Cells")
    choose(lab, "Run", "Run All Cells")
    wait_until_all_ran(lab, len(code_cells(request.param)))
    show_whole(lab)
    yield lab.page.locator(SHOWN)
    show_whole(lab)
    lab.save(request.param.stem)
    lab.page.set_viewport_size({"width": 1280, "height": 900})


def choose(lab: Screen, menu: str, *items: str) -> None:
    lab.page.get_by_role("menuitem", name=menu, exact=True).click()
    for item in items:
        lab.page.locator(".lm-Menu-itemLabel").get_by_text(item, exact=True).click()


def wait_until_all_ran(lab: Screen, number: int) -> None:
    """JupyterLab adds cells to a page while it runs others, so their number is waited for too."""
    lab.page.wait_for_function(
        """([prompts, number]) => number == [...document.querySelectorAll(prompts)].filter(
            prompt => /[0-9]/.test(prompt.textContent)).length""",
        arg=[f"{SHOWN} .jp-CodeCell .jp-InputPrompt", number],
    )


def show_whole(lab: Screen) -> None:
    """Make the window as tall as the notebook: what is out of sight is not drawn."""
    height = lab.page.locator(f"{SHOWN} .jp-WindowedPanel-inner").bounding_box()["height"]
    lab.page.set_viewport_size({"width": 1280, "height": int(height) + 120})
    lab.page.locator(f"{SHOWN} .jp-WindowedPanel-outer").evaluate("box => box.scrollTo(0, 0)")


def test_no_cell_errs(notebook: Any) -> None:
    assert notebook.locator("[data-mime-type*=error], [data-mime-type*=stderr]").count() == 0


def test_tables_and_pictures_are_drawn(notebook: Any) -> None:
    assert notebook.locator(".jp-OutputArea-output table").count() >= 3
    assert notebook.locator(".jp-OutputArea-output img").count() >= 1
    for drawn in notebook.locator("img, .jp-OutputArea-output table").all():
        drawn.scroll_into_view_if_needed()
        assert drawn.bounding_box()["height"] > 30
        assert drawn.evaluate("it => it.tagName != 'IMG' || it.complete && it.naturalWidth > 0")


def test_what_is_shown_keeps_nobody_out(notebook: Any, lab: Screen) -> None:
    assert lab.violations(OURS, SCROLLS) == []


def test_a_solution_opens_by_keyboard(notebook: Any, lab: Screen) -> None:
    cell = notebook.locator(".jp-CodeCell", has_text=".solution()").first
    cell.locator(".jp-InputPrompt").click()
    for _ in range(5):
        lab.page.keyboard.press("Tab")
        if cell.locator("summary:focus").count():
            break
    lab.page.keyboard.press("Enter")
    assert cell.locator("details[open] pre").is_visible()


def test_keys_alone_run_a_cell(notebook: Any, lab: Screen) -> None:
    notebook.locator(".jp-Cell").first.click()
    lab.page.keyboard.press("Escape")
    parameters = notebook.locator(".jp-CodeCell").first
    while not parameters.evaluate("cell => cell.classList.contains('jp-mod-active')"):
        lab.page.keyboard.press("ArrowDown")
    before = parameters.locator(".jp-InputPrompt").text_content()
    lab.page.keyboard.press("Shift+Enter")
    lab.page.wait_for_function(
        "([cell, before]) => ![before, '[*]:'].includes(cell.textContent)",
        arg=[parameters.locator(".jp-InputPrompt").element_handle(), before],
    )


def test_exercises_answer_to_wrong_and_right(notebook: Any, lab: Screen) -> None:
    cells, code = notebook.locator(".jp-CodeCell"), lab.page.locator(".cm-content")
    found = [
        (each, cells.filter(has=code.filter(has_text=f"check.{each.name}("))) for each in EXERCISES
    ]
    here = [(exercise, cell) for exercise, cell in found if cell.count()]
    assert len(here) >= 3
    for exercise, cell in here:
        blanks, misconception = first_wrong_answer(exercise)
        answer(lab, cell, filled(exercise.starter, blanks))
        says(cell, f"Not yet. {exercise.misconceptions[misconception]}")
        answer(lab, cell, exercise.solution)
        says(cell, f"Correct. {exercise.lesson}")


def first_wrong_answer(exercise: Exercise) -> tuple[list[str], str]:
    return next((blanks, shown) for name, blanks, shown in WRONG if name == exercise.name)


def answer(lab: Screen, cell: Any, code: str) -> None:
    cell.locator(".cm-content").click()
    lab.page.keyboard.press("Control+a")
    lab.page.keyboard.insert_text(code)
    lab.page.keyboard.press("Shift+Enter")


def says(cell: Any, sentence: str) -> None:
    cell.locator(".jp-OutputArea-output", has_text=sentence).wait_for()


def test_nothing_was_asked_elsewhere_nor_of_the_reader(notebook: Any, lab: Screen) -> None:
    assert lab.elsewhere == []
    assert lab.errors == []
    assert lab.page.locator(".Toastify__toast, .jp-Dialog").count() == 0


def test_the_dark_theme_keeps_nobody_out(lab: Screen) -> None:
    choose(lab, "Settings", "Theme", "JupyterLab Dark")
    lab.page.locator('body[data-jp-theme-light="false"]').wait_for(state="attached")
    assert lab.page.locator(f"{SHOWN} .jp-OutputArea-output").count() > 10
    show_whole(lab)
    assert lab.violations(OURS, SCROLLS) == []
    lab.save("dark")
