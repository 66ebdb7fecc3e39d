"""A browser and a JupyterLab, each started once, for what only a reader's screen can show.

The browser is the machine's Chromium, driven by Playwright. It finds no address but this machine's,
and whatever it asks for and complains about is written down. JupyterLab runs as ``make lab`` runs
it, on a copy of the notebooks, with the settings of somebody who opens it for the first time.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.runs import NOTEBOOKS

ROOT = NOTEBOOKS.parent
MODULES = Path(__file__).with_name("node_modules")
SCREENSHOTS = ROOT / "build" / "screenshots"
FLAGS = [
    *["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"],
    *["--disable-background-networking", "--disable-component-update"],
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


def missing(reason: str) -> None:
    """Skip for want of a tool; where CI is set, that is a failure."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


class Screen:
    """A page of the browser, what it asked for elsewhere, and the errors on its console."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.elsewhere: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self._note(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda said: self._hear(said))

    def _note(self, url: str) -> None:
        if not re.match(r"(https?|wss?)://127\.0\.0\.1:|file:|data:|blob:", url):
            self.elsewhere.append(url)

    def _hear(self, said: Any) -> None:
        if said.type == "error":
            self.errors.append(f"{said.text} {said.location['url']}")

    def violations(self, selector: str, *but: str) -> list[str]:
        """What axe finds inside ``selector`` that keeps readers out, by all rules ``but`` these."""
        if not (MODULES / "axe-core").is_dir():
            missing("needs axe-core: npm ci --prefix tests/browser")
        if not self.page.evaluate("() => 'axe' in window"):
            self.page.evaluate((MODULES / "axe-core" / "axe.min.js").read_text("utf-8"))
        found = self.page.evaluate("selector => axe.run(selector, {preload: false})", selector)
        return [
            f"{each['id']}: {node['html'][:200]}"
            for each in found["violations"]
            if each["impact"] in ("serious", "critical") and each["id"] not in but
            for node in each["nodes"]
        ]

    def save(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.jpg", full_page=True, quality=80)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if not found:
        missing(f"needs one of {', '.join(names)}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=found, args=FLAGS)


@pytest.fixture(scope="module")
def screen(browser: Any) -> Iterator[Screen]:
    with browser.new_page(viewport={"width": 1280, "height": 900}) as page:
        page.set_default_timeout(60_000)
        yield Screen(page)


@pytest.fixture(scope="session")
def jupyterlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address that opens JupyterLab on a copy of the notebooks."""
    home = tmp_path_factory.mktemp("home")
    copy = shutil.copytree(NOTEBOOKS, home / "notebooks", ignore=shutil.ignore_patterns(".*"))
    environment = {
        f"JUPYTER_{kind}_DIR": str(home / kind) for kind in ("CONFIG", "DATA", "RUNTIME")
    }
    environment["IPYTHONDIR"] = str(home)
    server = subprocess.Popen(
        [*make_lab(), str(copy), "--no-browser", "--allow-root", "--port=0"],
        env={**os.environ, **environment},
        stderr=(home / "log").open("w"),
    )
    try:
        info = wait_for_server(server, home)
        yield f"http://127.0.0.1:{info['port']}/lab?token={info['token']}"
    finally:
        server.terminate()
        server.wait()


def make_lab() -> list[str]:
    """What ``make lab`` runs, with this Python, but for the folder at the end."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    recipe = re.search(r"^lab:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)[1]
    for written, meant in {
        "\\\n": "",
        "$(CURDIR)": str(ROOT),
        "$(BIN)/python": sys.executable,
    }.items():
        recipe = recipe.replace(written, meant)
    return ["env", *shlex.split(recipe)[:-1]]


def wait_for_server(server: subprocess.Popen[bytes], home: Path) -> dict[str, Any]:
    """What the server writes into its runtime folder once it listens."""
    while server.poll() is None:
        for written in home.glob("RUNTIME/jpserver-*.json"):
            return json.loads(written.read_text("utf-8"))
        time.sleep(0.05)
    raise RuntimeError((home / "log").read_text("utf-8"))
