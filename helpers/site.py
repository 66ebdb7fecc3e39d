"""The notebooks as a web site, as slides and as reports, that need no network and no server.

nbconvert makes the pages from the notebooks as they are stored, with their outputs. Its templates
load scripts from other machines, for formulas and diagrams that these notebooks do not have; the
blocks below leave them out. Pictures are in the pages, links between notebooks lead to pages.

``python -m helpers.site FOLDER`` writes the site; with the folder of the npm package reveal.js as
a second argument it writes slides. No cell has to say what it is on a slide: each heading begins a
slide, and each further piece of prose, with the code that follows it, comes below that.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from helpers.runs import find_notebooks

_NOTHING_FROM_ELSEWHERE = """\
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
"""
_PAGE = f"""\
{{%- extends 'lab/index.html.j2' -%}}
{_NOTHING_FROM_ELSEWHERE}
{{%- block html_head_css -%}}
<style>
  main {{ max-width: 60rem; margin: auto; }}
  nav {{ padding: 1rem; font-family: var(--jp-ui-font-family); }}
  nav a {{ color: var(--jp-content-link-color); text-decoration: underline; }}
  :root {{ /* the theme's own are too pale to read on grey */
    --jp-mirror-editor-comment-color: #2b6b6b;
    --jp-mirror-editor-number-color: #006000;
    --jp-mirror-editor-operator-color: #7928a1;
  }}
</style>
{{%- endblock -%}}
{{%- block body_header -%}}
{{{{ super() }}}}<nav><a href="index.html">All notebooks</a></nav>
{{%- endblock -%}}
"""
_SLIDES = f"""\
{{%- extends 'reveal/index.html.j2' -%}}
{_NOTHING_FROM_ELSEWHERE}
{{%- block html_head_css -%}}
<style>
  .reveal {{ --r-heading-text-transform: none; }}
  .reveal .slides section section {{ height: 100%; overflow-y: auto; }}
</style>
{{%- endblock -%}}
{{%- block footer_js -%}}
<script src="reveal.js/dist/reveal.js"></script>
<script>Reveal.initialize({{hash: true, center: false, width: 1280, height: 800}});</script>
{{%- endblock -%}}
"""
_INDEX = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>ECS instance RAM roles, hands on</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 45rem; margin: auto; padding: 1rem; }
</style>
</head>
<body>
<main>
<h1>ECS instance RAM roles, hands on</h1>
<p>Four notebooks, as executed in replay mode: no account, nothing left the machine.</p>
<ol>
{%- for name, title, outcome in pages %}
<li><a href="{{ name }}">{{ title }}</a>. {{ outcome }}</li>
{%- endfor %}
</ol>
</main>
</body>
</html>
"""


def write_report(executed: Path, hide_code: bool = False) -> None:
    """Write an executed notebook as an HTML page beside it, with or without its code."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        raw_template=f"{{%- extends 'lab/index.html.j2' -%}}{_NOTHING_FROM_ELSEWHERE}",
        exclude_input=hide_code,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    page, _ = exporter.from_filename(str(executed))
    executed.with_suffix(".html").write_text(page, "utf-8")


def write_site(out: Path) -> None:
    """Write one page for each notebook and ``index.html`` into the folder ``out``."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        raw_template=_PAGE,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        embed_images=True,
        exclude_anchor_links=True,
    )
    _write(out, exporter, list)


def write_slides(out: Path, reveal: Path) -> None:
    """Write one set of slides for each notebook, and reveal.js itself, into the folder ``out``.

    ``reveal`` is the folder of the npm package reveal.js, version 4 or 5.
    """
    from nbconvert import SlidesExporter

    exporter = SlidesExporter(  # type: ignore[no-untyped-call]
        raw_template=_SLIDES,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        embed_images=True,
        exclude_anchor_links=True,
        reveal_url_prefix="reveal.js",
        reveal_theme="white",  # most other themes load their fonts from elsewhere
    )
    shutil.copytree(reveal / "dist", out / "reveal.js" / "dist", dirs_exist_ok=True)
    _write(out, exporter, slides)


def _write(out: Path, exporter: Any, arrange: Callable[[list[Any]], Iterable[Any]]) -> None:
    import jinja2
    import nbformat

    out.mkdir(parents=True, exist_ok=True)
    pages = []
    for path in find_notebooks():
        notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
        title, outcome, *_ = notebook.cells[0].source.removeprefix("# ").split("\n\n")
        notebook.metadata.title = title
        notebook.cells = list(arrange(notebook.cells))
        about = {"metadata": {"name": path.stem, "path": str(path.parent)}}
        page, _ = exporter.from_notebook_node(notebook, about)
        page = re.sub(r'href="(\w+)\.ipynb', r'href="\1.html', page)
        (out / f"{path.stem}.html").write_text(page, "utf-8")
        pages.append((f"{path.stem}.html", title, outcome))
    index = jinja2.Environment(autoescape=True).from_string(_INDEX).render(pages=pages)
    (out / "index.html").write_text(index, "utf-8")


def slides(cells: Iterable[Any]) -> Iterator[Any]:
    """The cells of a notebook, cut before each heading, each told where on the slides it goes."""
    for cell in cells:
        if cell.cell_type != "markdown":
            yield cell
            continue
        *ends, last = re.split(r"^(?=## )", cell.source, flags=re.MULTILINE)
        for text in filter(None, ends):  # what stands before a heading ends the slide above it
            yield _prose(text, "-")
        yield _prose(last, "slide" if re.match("##? ", last) else "subslide")


def _prose(text: str, slide_type: str) -> Any:
    from nbformat import v4

    return v4.new_markdown_cell(  # type: ignore[no-untyped-call]
        text, metadata={"slideshow": {"slide_type": slide_type}}
    )


if __name__ == "__main__":
    if len(sys.argv) > 2:
        write_slides(*map(Path, sys.argv[1:]))
    else:
        write_site(Path(sys.argv[1]))
