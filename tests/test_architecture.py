"""The README's map is true: each module has its floor, imports point down, the core has no I/O."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def dotted(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


MODULES = {
    dotted(path.relative_to(ROOT).as_posix()): path
    for path in (ROOT / "helpers").rglob("*.py")
    if path not in {ROOT / "helpers/__init__.py", ROOT / "helpers/sandbox/__init__.py"}
}
# `| 3 | [drawing](helpers/drawing.py) | duty | [test](tests/test_drawing.py) |`
ROW = re.compile(r"^\| (\d) \| \[[^]]+\]\((helpers/[^)]+)\) \| (.+?) \| (.*) \|$", re.MULTILINE)
MAP = [(int(n), path, tests) for n, path, _, tests in ROW.findall((ROOT / "README.md").read_text())]
FLOORS = {dotted(path): floor for floor, path, _ in MAP}
# What the core may use of Python: values in, values out.
PURE = [
    "__future__",
    "base64",
    "binascii",
    "collections",
    "contextlib",
    "crcmod",
    "dataclasses",
    "datetime",
    "decimal",
    "difflib",
    "email.utils",
    "enum",
    "fnmatch",
    "functools",
    "graphlib",
    "hashlib",
    "hmac",
    "importlib",
    "ipaddress",
    "itertools",
    "json",
    "math",
    "operator",
    "os.path",
    "re",
    "reprlib",
    "string",
    "types",
    "typing",
    "unicodedata",
    "urllib.parse",
    "xml.etree",
    "xml.sax.saxutils",
]


def imports(module: str) -> Iterator[str]:
    """The modules that ``module`` imports, anywhere in it, by their absolute names."""
    package = module.split(".")[: None if MODULES[module].name == "__init__.py" else -1]
    for node in ast.walk(ast.parse(MODULES[module].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *filter(None, [node.module])])
            inner = [f"{name}.{alias.name}" for alias in node.names]
            yield from [found for found in inner if found in MODULES] or [name]


def test_the_map_lists_every_module_once() -> None:
    assert sorted(FLOORS) == sorted(MODULES)
    assert len(MAP) == len(FLOORS)


@pytest.mark.parametrize("floor, path, tests", MAP, ids=[path for _, path, _ in MAP])
def test_the_map_points_at_files(floor: int, path: str, tests: str) -> None:
    linked = re.findall(r"\]\(([^)]+)\)", tests)
    assert linked, "no test"
    assert all((ROOT / link).exists() for link in [path, *linked])


def test_imports_point_down_without_circles() -> None:
    inside = {m: {i for i in imports(m) if i in MODULES} for m in MODULES}
    up = [f"{m} imports {i}" for m in inside for i in inside[m] if FLOORS[i] > FLOORS[m]]
    assert up == []
    TopologicalSorter(inside).prepare()  # raises CycleError


CORE = [m for m in MODULES if m.startswith("helpers.sandbox.")] + [
    "helpers.message",
    "helpers.policy",
]


@pytest.mark.parametrize("module", CORE)
def test_the_core_does_no_input_or_output(module: str) -> None:
    foreign = [
        name
        for name in imports(module)
        if not name.startswith("helpers.") and not any(f"{name}.".startswith(f"{p}.") for p in PURE)
    ]
    assert foreign == []
    source = MODULES[module].read_text("utf-8")
    assert not re.search(r"\b(open|print|input)\(|\.now\(|time\(\)|environ", source)
