"""Run a roster: each row's suite in a process of this machine or on a Dask cluster.

``run_suite`` goes to the workers and plain results come back, only so many rows at a time, so that
memory does not grow with the roster. The results of a row are appended to a CSV file, on the disk
before the next: that file is all that resuming needs and all that the page for people shows.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import groupby
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, cast

from ..masking import mask_text
from . import Result, kernels, run_suite
from .roster import Row

COLUMNS = ("learner", "notebook", "status", "seconds", "code", "request_id", "error", "row")
_ATTEMPTS = 3  # for a row whose worker dies: then it is the row's own doing
_LONGEST_ERROR = 500
# How aliyunsdkcore, oss2 and alibabacloud_oss_v2 word them.
_CODE = re.compile(r"(?:Error:|'Code': '|Error Code: )([A-Za-z][\w.]*\w)")
_REQUEST_ID = re.compile(r"(?:RequestID: |'x-oss-request-id': '|Request Id: )([\w-]+)")

Submit = Callable[..., "Future[list[Result]]"]


class CohortError(ValueError):
    """Why a cohort cannot start, in one sentence."""


class Cohort:
    """A roster's run in the folder ``out``: executed copies, ``results.csv``, ``results.html``.

    ``shared`` are parameters that every row gets.
    """

    def __init__(
        self, rows: Sequence[Row], shared: Mapping[str, Any], notebooks: Sequence[Path], out: Path
    ) -> None:
        self.rows = rows
        self.shared = shared
        self.notebooks = [str(path) for path in notebooks]
        self.out = out
        self.results = out / "results.csv"
        self.outdated = 0  # rows that were done, but with other parameters or notebooks
        self._content = hashlib.sha256(b"".join(path.read_bytes() for path in notebooks))

    def left(self, resume: bool) -> list[Row]:
        """The rows to run. With ``resume``, not those that the results say are done.

        Done is a row whose every notebook went well, with these parameters and these notebooks.
        Raises CohortError if there are results but they are not to be resumed.
        """
        if not resume and self.results.exists():
            raise CohortError(
                f"{self.out} holds results; go on with --resume, or name another folder with --out."
            )
        done = self._keep_done()
        return [row for row in self.rows if row.learner not in done]

    def run(self, rows: Iterable[Row], submit: Submit, window: int) -> Iterator[list[Result]]:
        """Run ``rows``, at most ``window`` handed out at once; yield results once they are saved.

        ``submit`` is that of an executor.
        """
        waiting: dict[Future[list[Result]], Row] = {}
        with self.results.open("a", encoding="utf-8", newline="") as file:
            for row in rows:
                waiting[self._start(row, submit)] = row
                if len(waiting) >= window:
                    yield from self._finished(waiting, file)
            while waiting:
                yield from self._finished(waiting, file)

    def write_page(self) -> Path:
        """Write ``results.html`` from the results, without holding them all."""
        from jinja2 import Environment, PackageLoader

        page = self.out / "results.html"
        template = Environment(
            loader=PackageLoader("helpers.runs", "."), autoescape=True, trim_blocks=True
        ).get_template("cohort.html")
        with page.open("w", encoding="utf-8") as file:
            file.writelines(
                template.generate(
                    notebooks=[Path(name).stem for name in self.notebooks],
                    counts=self.counts(),
                    failures=(r for r in _read(self.results) if r["status"] != "ok"),
                    learners=groupby(_read(self.results), lambda record: record["learner"]),
                )
            )
        return page

    def counts(self) -> dict[str, int]:
        """How many learners there are, and how many of them finished every notebook."""
        records = groupby(_read(self.results), lambda record: record["learner"])
        finished = sum(all(r["status"] == "ok" for r in group) for _, group in records)
        return {"learners": len(self.rows), "finished": finished}

    def _start(self, row: Row, submit: Submit) -> Future[list[Result]]:
        parameters = {**self.shared, **row.parameters}
        folder = str(self.out.absolute() / "learners")
        return submit(run_suite, row.learner, parameters, self.notebooks, folder, 2)

    def _finished(
        self, waiting: dict[Future[list[Result]], Row], file: Any
    ) -> Iterator[list[Result]]:
        for future in wait(waiting, return_when=FIRST_COMPLETED).done:
            row = waiting.pop(future)
            results = self._outcome(future, row)
            csv.writer(file).writerows(_record(result, self._key(row)) for result in results)
            file.flush()
            os.fsync(file.fileno())
            yield results

    def _outcome(self, future: Future[list[Result]], row: Row) -> list[Result]:
        try:
            return future.result()
        except Exception as error:  # not of the suite, which never raises: of what carries it
            text = f"{type(error).__name__}: {error}"
            return [Result(row.learner, Path(n).stem, "failed", error=text) for n in self.notebooks]

    def _key(self, row: Row) -> str:
        """Changes with the row's parameters and with the notebooks."""
        content = self._content.copy()
        content.update(json.dumps({**self.shared, **row.parameters}, sort_keys=True).encode())
        return content.hexdigest()[:12]

    def _keep_done(self) -> set[str]:
        """Rewrite the results with only the rows that are done, and name them.

        A killed run may leave half a line, or some of a row's lines.
        """
        wanted = {(row.learner, self._key(row)) for row in self.rows}
        names = sorted(Path(name).stem for name in self.notebooks)
        done: set[str] = set()
        self.out.mkdir(parents=True, exist_ok=True)
        kept = self.results.with_suffix(".kept")
        with kept.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            for key, group in groupby(_read(self.results), lambda r: (r["learner"], r["row"])):
                records = [record for record in group if record["status"] == "ok"]
                if sorted(r["notebook"] for r in records) != names:
                    continue
                if key in wanted:
                    writer.writerows(records)
                    done.add(key[0])
                else:
                    self.outdated += 1
        kept.replace(self.results)
        return done


def _read(results: Path) -> Iterator[dict[str, str]]:
    """The records of a results file. A line that a kill has cut short is none."""
    if not results.exists():
        return
    with results.open(encoding="utf-8", newline="") as file:
        whole = (line for line in file if line.endswith("\n"))
        for record in csv.DictReader(whole):
            if None not in record.values() and None not in record:
                yield record


def _record(result: Result, key: str) -> list[object]:
    text = " ".join(result.error.split())
    code, request_id = (_found(pattern, text) for pattern in (_CODE, _REQUEST_ID))
    shown = mask_text(text)[:_LONGEST_ERROR]
    seconds = f"{result.seconds:.2f}"
    return [result.learner, result.notebook, result.status, seconds, code, request_id, shown, key]


def _found(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""


@contextmanager
def processes(count: int | None = None) -> Iterator[tuple[Submit, int]]:
    """``submit`` to ``count`` processes of this machine, and how many rows to hand out at once.

    Without ``count`` there is one for each core. A process runs one suite at a time, two notebooks
    of it at once. If it dies, another takes its row, three times at most.
    """
    count = count or os.cpu_count() or 1
    context = get_context("forkserver" if sys.platform == "linux" else "spawn")
    context.set_forkserver_preload(["helpers.runs", "papermill", "helpers.runs.warm"])
    own = threading.local()
    pools: list[ProcessPoolExecutor] = []

    def pool() -> ProcessPoolExecutor:
        if getattr(own, "pool", None) not in pools:
            own.pool = ProcessPoolExecutor(1, context, _prepare_worker)
            pools.append(own.pool)
        return cast(ProcessPoolExecutor, own.pool)

    def run(*task: Any) -> Any:
        for _ in range(_ATTEMPTS):
            try:
                return pool().submit(*task).result()
            except BrokenProcessPool:
                pools.remove(own.pool)
        raise RuntimeError(f"its process died, {_ATTEMPTS} times")

    with ThreadPoolExecutor(count) as threads:
        try:
            yield lambda *task: threads.submit(run, *task), 2 * count
        finally:
            threads.shutdown(cancel_futures=True)
            for each in pools:
                each.shutdown()


def _prepare_worker() -> None:
    """Leave Ctrl-C to the parent, and end when it ends, even if it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    kernels.copy_to_fork_server()
    parent = parent_process()

    def follow() -> None:
        if parent:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


@contextmanager
def dask(address: str) -> Iterator[tuple[Submit, int]]:
    """``submit`` to the workers of a Dask scheduler, and how many rows to hand out at once.

    The workers need this package and must see the notebooks and the output folder under the same
    paths. The row of a worker that dies runs on another. Raises CohortError.
    """
    try:
        from distributed import Client
    except ImportError:
        raise CohortError("--dask needs distributed: pip install 'distributed>=2025.1'.") from None
    try:
        client = Client(address, timeout="5s")
        client.wait_for_workers(1, timeout=5)
    except (OSError, TimeoutError, ValueError) as error:
        raise CohortError(
            f"--dask {address}: no scheduler with a worker answers ({error})."
        ) from None
    with client, client.get_executor(pure=False, retries=_ATTEMPTS) as executor:
        yield executor.submit, 2 * sum(client.nthreads().values())
