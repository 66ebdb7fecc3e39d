"""The site and the slides as files: all there, linked among themselves, nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup

from helpers.runs import find_notebooks
from helpers.site import slides, write_site, write_slides

NOTEBOOKS = find_notebooks()
PAGES = ["index.html", *(f"{path.stem}.html" for path in NOTEBOOKS)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    write_site(out)
    return out


def parsed(page: Path) -> BeautifulSoup:
    return BeautifulSoup(page.read_text("utf-8"), "html.parser")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_loads_nothing_and_its_links_lead_somewhere(site: Path, name: str) -> None:
    page = parsed(site / name)
    assert page.find_all(["script", "link", "iframe"]) == []
    assert [i["src"][:30] for i in page.find_all("img") if not i["src"].startswith("data:")] == []
    links = [link["href"] for link in page.find_all("a")]
    assert links
    assert [link for link in links if "://" not in link and not (site / link).is_file()] == []


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_page_has_the_title_the_code_and_what_it_printed(site: Path, notebook: Path) -> None:
    cells = nbformat.read(notebook, 4).cells
    page = parsed(site / f"{notebook.stem}.html")
    title = cells[0].source.splitlines()[0].removeprefix("# ")
    assert page.title.string == page.h1.string == title
    text = page.get_text()
    code = [cell for cell in cells if cell.cell_type == "code"]
    printed = [o.text for cell in code for o in cell.outputs if o.output_type == "stream"]
    assert [each for each in [*(cell.source for cell in code), *printed] if each not in text] == []


def test_the_index_names_every_notebook_in_order(site: Path) -> None:
    assert [link["href"] for link in parsed(site / "index.html").find_all("a")] == PAGES[1:]


def test_headings_begin_slides_and_prose_with_its_code_comes_below() -> None:
    prose, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    cells = [
        prose("# Title\n\nText\n\n## First"),
        code("1"),
        prose("More"),
        code("2"),
        prose("End of it\n\n## Second\n\nText"),
        prose("### Below"),
    ]
    found = [
        (cell.source.strip(), cell.metadata.get("slideshow", {}).get("slide_type"))
        for cell in slides(cells)
    ]
    assert found == [
        ("# Title\n\nText", "-"),
        ("## First", "slide"),
        ("1", None),
        ("More", "subslide"),
        ("2", None),
        ("End of it", "-"),
        ("## Second\n\nText", "slide"),
        ("### Below", "subslide"),
    ]


def test_slides_hold_the_whole_notebook_and_bring_their_script(tmp_path: Path) -> None:
    (tmp_path / "reveal" / "dist").mkdir(parents=True)
    (tmp_path / "reveal" / "dist" / "reveal.js").write_text("")
    write_slides(tmp_path / "out", tmp_path / "reveal")
    for notebook in NOTEBOOKS:
        page = parsed(tmp_path / "out" / f"{notebook.stem}.html")
        loaded = [e.get("src") or e.get("href") for e in page.find_all(["script", "link"])]
        assert {name.partition("/")[0] for name in filter(None, loaded)} == {"reveal.js"}
        headings = sum(
            c.source.count("\n## ") + c.source.startswith("## ")
            for c in nbformat.read(notebook, 4).cells
        )
        assert len(page.select(".slides > section")) == headings + 1
