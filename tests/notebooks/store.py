"""Execute the notebooks in place and store their outputs, so that a second run changes no byte.

Only times differ from run to run. Where new outputs differ from the stored ones in nothing else, by
the very patterns with which nbval compares, the stored ones stay. Run it with ``make notebooks``.
"""

from __future__ import annotations

import json
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import Any

from helpers.runs import find_notebooks, kernel_sockets

SANITIZE = Path(__file__).with_name("sanitize.cfg")
ENVIRONMENT = {"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C.UTF-8", "COLUMNS": "80"}
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {
        "codemirror_mode": {"name": "ipython", "version": 3},
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "nbconvert_exporter": "python",
        "pygments_lexer": "ipython3",
    },
}
KEPT_CELL_METADATA = ("jupyter", "tags")


def store(path: Path) -> None:
    """Execute one notebook and write it, unless a cell fails: then the file stays as it is."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    executed = deepcopy(notebook)
    with kernel_sockets() as config:
        NotebookClient(
            executed,
            kernel_name="python3",
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": str(path.parent)}},
            config=config,
        ).execute()
    if compared(executed) != compared(notebook):
        notebook.cells = executed.cells
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        kept = {key: cell.metadata[key] for key in KEPT_CELL_METADATA if key in cell.metadata}
        cell.metadata = nbformat.from_dict(kept)
    path.write_text(nbformat.writes(notebook) + "\n", "utf-8")


def compared(notebook: Any) -> str:
    """The outputs and execution counts as text, its times normalised."""
    from nbval.plugin import get_sanitize_patterns

    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    text = json.dumps([(cell.execution_count, cell.outputs) for cell in cells], sort_keys=True)
    for pattern, replacement in get_sanitize_patterns(SANITIZE.read_text("utf-8")):
        text = re.sub(pattern, replacement, text)
    return text


if __name__ == "__main__":
    os.environ.update(ENVIRONMENT)
    folder = [Path(name) for name in sys.argv[1:2]]
    with ThreadPoolExecutor() as pool:
        list(pool.map(store, find_notebooks(*folder)))
