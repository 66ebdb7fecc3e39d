"""``make bench``: how fast things are, as ratios of medians of rounds in which both take turns.

Prints a table and writes build/bench.json. Seconds depend on the machine and on what else it does;
ratios less so.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import click

from tests.bench import measures

LAYERS = (
    *("tests/test_*.py", "tests/sandbox", "tests/fuzz", "tests/server", "tests/live"),
    *("tests/notebooks", "tests/browser", "notebooks"),
)
WORKERS = ((10, 1), (10, 2), (10, 4), (100, 2))  # rows, workers
PARTS: dict[str, Callable[[Path], list[measures.Pair]]] = {
    "calls": lambda _: measures.calls(),
    "connect": lambda _: measures.connecting(),
    "suite": measures.suites,
    "lab": lambda _: measures.lab(),
}


@click.command()
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
@click.option("--only", multiple=True, type=click.Choice([*PARTS, "cohort"]))
@click.option("--full", is_flag=True, help="A cohort of 1,000 rows too.")
@click.option("--tests", is_flag=True, help="The tests too, layer by layer.")
@click.option("--out", default="build/bench.json", show_default=True, type=Path)
def main(rounds: int, only: tuple[str, ...], full: bool, tests: bool, out: Path) -> None:
    """Measure and print."""
    results: list[dict[str, Any]] = []
    with TemporaryDirectory() as folder:
        for measure in measured(Path(folder), rounds, only, full, tests):
            click.echo(told(measure))
            results.append(measure)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(results, indent=2) + "\n", "utf-8")


def measured(
    folder: Path, rounds: int, only: tuple[str, ...], full: bool, tests: bool
) -> Iterator[dict[str, Any]]:
    for name, pairs in PARTS.items():
        if name in (only or PARTS):
            yield from (compared(pair, rounds) for pair in pairs(folder))
    if not only or "cohort" in only:
        plain = measures.plain_suite(folder)
        for rows, workers in (*WORKERS, *[(1000, 2)] * full):
            found = measures.cohort(folder, rows, workers)
            times = plain / found["seconds a row"]
            name = f"cohort: {rows} rows, {workers} workers"
            yield {"name": name, **found, "times plain papermill": times}
    for layer in LAYERS if tests else ():
        yield {"name": f"tests: {layer}", "seconds": tested(layer)}


def compared(pair: measures.Pair, rounds: int) -> dict[str, Any]:
    both = [(pair.ours(), pair.other()) for _ in range(rounds)]
    ours, other = (median(seconds) for seconds in zip(*both, strict=True))
    found = {"ours": ours, "other": other, "ratio": ours / other, "goal": pair.goal}
    return {"name": pair.name, **found}


def tested(layer: str) -> float:
    names = [str(path) for path in sorted(Path().glob(layer))]
    line = [sys.executable, "-m", "pytest", "-q", "-n", "auto", *names]
    return measures.timed(lambda: subprocess.run(line, capture_output=True))


def told(measure: dict[str, Any]) -> str:
    figures = "  ".join(
        f"{name} {shown(value)}" for name, value in measure.items() if name != "name"
    )
    return f"{measure['name']:<60} {figures}"


def shown(value: float) -> str:
    return f"{value:.6f}" if value < 0.01 else f"{value:.2f}"


if __name__ == "__main__":
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else every process compiles helpers again
    main()
