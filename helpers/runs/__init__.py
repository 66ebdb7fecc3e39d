"""Run the notebooks with papermill: one suite of them under one set of parameters.

Parameters are checked before any kernel starts: names against the notebooks' parameter cells,
values by ``helpers.parameters``. ``run_suite`` takes and returns plain values and does not raise,
so that a process pool or a Dask cluster can map it over many learners. In replay mode each notebook
can start on its own, so they run side by side; against a real account they run in order and stop at
the first failure.
"""

from __future__ import annotations

import ast
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from . import kernels

# Where rfc3987_syntax is installed, importing nbformat builds its grammar for a second, in every
# process. No schema of Jupyter uses it: https://github.com/jupyter-server/jupyter_server/issues/1559
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"

# Python 3.11 counts the parser's depth for all threads together and raises if they take turns:
# https://github.com/python/cpython/issues/106905
_parsing = Lock()
_LONGEST_SOCKET_FOLDER = 90  # a Unix socket's path has 104 bytes on macOS, 108 on Linux


@dataclass(frozen=True)
class Result:
    """What became of a notebook: ``status`` is "ok", "failed" or "not run"."""

    learner: str
    notebook: str
    status: str
    seconds: float = 0.0
    error: str = ""


def find_notebooks(folder: Path = NOTEBOOKS, only: Sequence[str] = ()) -> list[Path]:
    """The notebooks of ``folder`` in order, or those whose names start with one of ``only``.

    Raises ``ValueError`` if there are none, or if one of ``only`` names none.
    """
    found = sorted(folder.absolute().glob("*.ipynb"))
    if not found:
        raise ValueError(f"There is no notebook in {folder}.")
    names = ", ".join(path.stem for path in found)
    for start in only:
        if not any(path.stem.startswith(start) for path in found):
            raise ValueError(f"No notebook in {folder} starts with {start!r}; there are: {names}.")
    return [path for path in found if path.stem.startswith(tuple(only) or "")]


def code_cells(notebook: Path) -> list[dict[str, Any]]:
    """The code cells of a notebook file, blank ones left out as no kernel runs them."""
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    return [c for c in cells if c["cell_type"] == "code" and "".join(c["source"]).strip()]


def parameter_defaults(notebook: Path) -> dict[str, Any]:
    """The names that the cell tagged ``parameters`` assigns, with their values if literal.

    Parsed, since papermill's own inspection loses a line with a second ``=``:
    https://github.com/nteract/papermill/issues/721
    """
    tagged = (c for c in code_cells(notebook) if "parameters" in c["metadata"].get("tags", []))
    source = "".join(next(tagged, {"source": ""})["source"])
    with _parsing:
        statements = ast.parse(source).body
    assignments = (n for n in statements if isinstance(n, ast.Assign | ast.AnnAssign))
    pairs = (
        (n.targets[0] if isinstance(n, ast.Assign) else n.target, n.value) for n in assignments
    )
    return {name.id: _literal(value) for name, value in pairs if isinstance(name, ast.Name)}


def _literal(value: ast.expr | None) -> Any:
    try:
        return ast.literal_eval(value or "None")
    except ValueError:
        return None


def read_parameters(
    files: Sequence[str] = (),
    yamls: Sequence[str] = (),
    typed: Sequence[tuple[str, str]] = (),
    raw: Sequence[tuple[str, str]] = (),
) -> dict[str, Any]:
    """Parameters as papermill's ``-f``, ``-y``, ``-p`` and ``-r`` read them; later kinds win.

    Raises ``ValueError`` for text that is not a YAML mapping.
    """
    texts = {f"the file {name}": Path(name).read_text("utf-8") for name in files}
    texts |= {f"the text {text!r}": text for text in yamls}
    parameters: dict[str, Any] = {}
    for where, text in texts.items():
        parameters |= _yaml_mapping(where, text)
    return parameters | _typed(typed) | dict(raw)


def _typed(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    if not pairs:
        return {}  # without papermill, whose import takes a while
    from papermill.cli import _resolve_type

    return {name: _resolve_type(value) for name, value in pairs}


def _yaml_mapping(where: str, text: str) -> dict[str, Any]:
    import yaml
    from papermill.iorw import NoDatesSafeLoader

    try:
        mapping = yaml.load(text, NoDatesSafeLoader) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"{where} is not YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(mapping, dict):
        raise ValueError(f"{where} is not a YAML mapping, such as 'region_id: cn-hangzhou'.")
    return {str(name): value for name, value in mapping.items()}


def check_parameters(values: Mapping[str, Any], notebooks: Sequence[Path]) -> None:
    """Raise ``ValueError`` with one sentence for the first parameter that is wrong.

    A name is wrong if no notebook has it, or if it could hold a secret: papermill saves parameters
    in the executed notebook.
    """
    from .. import parameters

    known = sorted(set[str]().union(*map(parameter_defaults, notebooks)))
    parameters.check_names(values, known)
    parameters.check_all(values)


def run_suite(
    learner: str,
    parameters: Mapping[str, Any],
    notebooks: Sequence[str],
    out: str,
    workers: int = 1,
    on_cell: Callable[..., None] | None = None,
) -> list[Result]:
    """Run ``notebooks`` (paths) with those of ``parameters`` that each one has.

    The executed copies go to the folder ``out``/``learner``, which is also where their kernels run.
    At most ``workers`` notebooks run at once, and only in replay mode. ``on_cell`` is called after
    each cell. Whatever happens in a notebook is in its ``Result``.
    """
    kernels.start_fork_server()
    folder = Path(out, learner).absolute()

    def run(notebook: str) -> Result:
        return _run_notebook(learner, parameters, Path(notebook), folder, on_cell)

    if any(_mode(Path(notebook), parameters) != "replay" for notebook in notebooks):
        return list(_until_failure(run, learner, notebooks))
    _compile_schema()
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(run, notebooks))


@cache
def _compile_schema() -> None:
    """Once: threads that each meet the first notebook would each compile the notebooks' schema."""
    import nbformat

    nbformat.validate(nbformat.v4.new_notebook())  # type: ignore[no-untyped-call]


def _mode(notebook: Path, parameters: Mapping[str, Any]) -> Any:
    """The mode a notebook will run in; a file that cannot be read fails later, on its own."""
    with suppress(Exception):
        return {**parameter_defaults(notebook), **parameters}["mode"]
    return "replay"


def _until_failure(
    run: Callable[[str], Result], learner: str, notebooks: Sequence[str]
) -> Iterator[Result]:
    failed = False
    for notebook in notebooks:
        result = Result(learner, Path(notebook).stem, "not run") if failed else run(notebook)
        failed = failed or result.status != "ok"
        yield result


def _run_notebook(
    learner: str,
    parameters: Mapping[str, Any],
    notebook: Path,
    folder: Path,
    on_cell: Callable[..., None] | None,
) -> Result:
    started = time.perf_counter()
    try:
        own = {
            name: parameters[name] for name in parameter_defaults(notebook) if name in parameters
        }
        _execute(notebook, folder / notebook.name, own, on_cell)
    except Exception as error:
        status, text = "failed", _error_text(error)
    else:
        status, text = "ok", ""
    seconds = round(time.perf_counter() - started, 3)
    return Result(learner, notebook.stem, status, seconds, text)


def _execute(
    notebook: Path,
    output: Path,
    parameters: dict[str, Any],
    on_cell: Callable[..., None] | None,
) -> None:
    import papermill

    output.parent.mkdir(parents=True, exist_ok=True)
    output.unlink(missing_ok=True)  # a run that dies must not leave an earlier one's copy
    with kernel_sockets() as config:
        papermill.execute_notebook(
            _no_format(notebook),
            _no_format(output),
            parameters,
            kernel_name="python3",  # this environment's kernel, whatever the file names
            language="python",
            progress_bar=False,
            # Saving takes longer than most cells in replay; what was done live must not be lost.
            request_save_on_cell_execute=_mode(notebook, parameters) != "replay",
            # papermill's cwd= changes the whole process's folder, other threads' too:
            # https://github.com/nteract/papermill/issues/473
            resources={"metadata": {"path": str(output.parent)}},
            shutdown_kernel="immediate",
            **_forked_kernels(),
            on_cell_complete=on_cell,
            config=config,
        )


def _forked_kernels() -> dict[str, Any]:
    """The option that has a kernel forked, where that can be done."""
    if sys.platform != "linux":
        return {}
    from .manager import ForkedKernelManager

    return {"kernel_manager_class": ForkedKernelManager}


def _no_format(path: Path) -> str:
    """Papermill takes paths as format strings."""
    return str(path).replace("{", "{{").replace("}", "}}")


@contextmanager
def kernel_sockets() -> Iterator[Any]:
    """Settings for a kernel that is reached by Unix sockets in a folder of its own.

    Kernels that start at once on TCP race for ports, and relative socket names collide:
    https://github.com/jupyter/jupyter_client/issues/487
    """
    from traitlets.config import Config

    with tempfile.TemporaryDirectory(prefix="k", ignore_cleanup_errors=True) as folder:
        if os.name == "posix" and len(folder) < _LONGEST_SOCKET_FOLDER:
            yield Config({"KernelManager": {"transport": "ipc", "ip": f"{folder}/s"}})
        else:
            yield Config()


def _error_text(error: Exception) -> str:
    from papermill import PapermillExecutionError

    if isinstance(error, PapermillExecutionError):
        return f"In [{error.exec_count}] {error.ename}: {error.evalue}"
    return f"{type(error).__name__}: {error}"
