"""The site and the slides in a browser, opened as files: complete, drawn, for everybody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.runs import find_notebooks
from helpers.site import write_site, write_slides
from tests.browser.conftest import MODULES, Screen, missing

NAMES = [path.stem for path in find_notebooks()]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built")
    write_site(out / "site")
    if not (MODULES / "reveal.js").is_dir():
        missing("needs reveal.js: npm ci --prefix tests/browser")
    write_slides(out / "slides", MODULES / "reveal.js")
    return out


@pytest.fixture(params=[f"site/{name}" for name in ["index", *NAMES]] + ["slides/" + NAMES[0]])
def page(screen: Screen, built: Path, request: pytest.FixtureRequest) -> Iterator[Screen]:
    screen.page.goto((built / f"{request.param}.html").as_uri())
    yield screen
    screen.save(request.param.replace("/", "-"))
    assert screen.elsewhere == []
    assert screen.errors == []


def test_pictures_are_drawn_and_nobody_is_kept_out(page: Screen) -> None:
    images = page.page.locator("img")
    assert images.evaluate_all("all => all.every(img => img.complete && img.naturalWidth > 0)")
    assert images.count() > 0 or page.page.url.endswith("index.html")
    assert page.violations("body") == []


def test_links_lead_from_the_index_to_the_last_page(screen: Screen, built: Path) -> None:
    screen.page.goto((built / "site" / "index.html").as_uri())
    screen.page.locator("ol a").first.click()
    for name in NAMES[1:]:
        screen.page.get_by_role("link", name=name[:2]).click()
        assert screen.page.url.endswith(f"{name}.html")
    screen.page.get_by_role("link", name="All notebooks").click()
    assert screen.page.url.endswith("index.html")


def test_a_solution_opens_by_keyboard(screen: Screen, built: Path) -> None:
    screen.page.goto((built / "site" / f"{NAMES[0]}.html").as_uri())
    solution = screen.page.locator("details", has_text="Solution").first
    solution.locator("summary").press("Enter")
    assert solution.locator("pre").is_visible()


def test_slides_turn_by_keyboard(screen: Screen, built: Path) -> None:
    screen.page.goto((built / "slides" / f"{NAMES[0]}.html").as_uri())
    shown = screen.page.locator(".slides > .present h1, .slides > .present h2")
    assert shown.first.text_content().startswith("Create a RAM role")
    screen.page.keyboard.press("ArrowRight")
    screen.page.wait_for_function("() => Reveal.getIndices().h == 1")
    assert shown.first.text_content().startswith("Why a role")
