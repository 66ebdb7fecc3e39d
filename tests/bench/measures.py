"""What is measured: pairs of functions that each return seconds, ours and what it is held against.

Each ratio belongs to one machine at one moment, so the two of a pair take turns.
"""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from helpers.recordings import Recordings, load
from helpers.runs import NOTEBOOKS, find_notebooks, kernel_sockets

SDKS = "import requests, oss2, aliyunsdkcore.client, aliyunsdkram, aliyunsdkecs"
METADATA = "http://100.100.100.200/latest/meta-data/ram/security-credentials/"
CALLS = 100
Seconds = Callable[[], float]


class Pair(NamedTuple):
    """``goal``: what the ratio of the medians, ours to the other, should not exceed."""

    name: str
    ours: Seconds
    other: Seconds
    goal: float


def timed(function: Callable[[], object], clock: Seconds = time.perf_counter) -> float:
    started = clock()
    function()
    return clock() - started


def command(*arguments: str) -> float:
    line = [sys.executable, "-m", *arguments]
    return timed(lambda: subprocess.run(line, check=True, capture_output=True))


def suites(folder: Path) -> list[Pair]:
    def ours() -> float:
        return command("helpers", "run", "--out", str(folder / "ours"))

    plain, floor = lambda: plain_suite(folder), four_kernels
    return [
        Pair("suite: helpers run / papermill four times", ours, plain, 0.2),
        Pair("suite: helpers run / four kernels that import the SDKs", ours, floor, 1.3),
    ]


def plain_suite(folder: Path) -> float:
    return sum(
        command("papermill", str(path), str(folder / path.name), "--no-progress-bar")
        for path in find_notebooks(NOTEBOOKS)
    )


def four_kernels() -> float:
    """Stock kernels at once, each running one cell; without the time to import the client."""
    from nbclient import NotebookClient
    from nbformat.v4 import new_code_cell, new_notebook

    def run(_: int) -> None:
        with kernel_sockets() as config:
            notebook = new_notebook(cells=[new_code_cell(SDKS)])
            NotebookClient(
                notebook, kernel_name="python3", shutdown_kernel="immediate", config=config
            ).execute()

    with ThreadPoolExecutor(4) as pool:
        return timed(lambda: list(pool.map(run, range(4))))


def connecting() -> list[Pair]:
    code = (
        "import time, ipykernel.kernelapp, ipykernel.ipkernel, ipykernel.zmqshell\n"
        "started = time.perf_counter()\n"
        "import helpers; helpers.connect(step=4)\n"
        "print(time.perf_counter() - started)"
    )

    def ours() -> float:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        return float(done.stdout)

    return [Pair("import helpers and connect() / a kernel's start", ours, kernel_start, 0.1)]


def kernel_start() -> float:
    from jupyter_client.manager import KernelManager

    with kernel_sockets() as config:
        manager = KernelManager(config=config)
        started = time.perf_counter()
        manager.start_kernel()
        client = manager.client()
        client.start_channels()
        client.wait_for_ready()
        seconds = time.perf_counter() - started
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return seconds


def calls() -> list[Pair]:
    """Replayed calls against the same answer, ready made, in the same adapter; and against
    themselves with a thousand recordings more."""
    import requests
    import urllib3
    from aliyunsdkcore.client import AcsClient
    from aliyunsdkcore.vendored.requests import adapters
    from aliyunsdkcore.vendored.requests.packages import urllib3 as vendored
    from aliyunsdkram.request.v20150501.GetRoleRequest import GetRoleRequest

    import helpers

    cloud = helpers.connect(step=4)
    client = AcsClient(region_id="cn-hangzhou", credential=cloud.credential)

    def get_role() -> None:
        request = GetRoleRequest()  # a new one: the SDK makes its User-Agent longer at each use
        request.set_RoleName("EcsRamRoleTest")
        client.do_action_with_exception(request)

    bucket = bucket_of_the_role()
    own, sdks = (requests.adapters.HTTPAdapter, urllib3), (adapters.HTTPAdapter, vendored)
    answers = {
        "metadata, requests": (lambda: requests.get(METADATA + "EcsRamRoleTest"), own),
        "RAM GetRole, SDK": (get_role, sdks),
        "OSS list, oss2": (lambda: bucket.list_objects(), own),
    }
    return [
        pair
        for name, (call, stack) in answers.items()
        for pair in (
            Pair(f"call: {name} / ready made", a_call(call), ready_made(call, *stack), 1.1),
            Pair(
                f"call: {name} / with 1,000 fewer recordings", more(cloud, call), a_call(call), 1.1
            ),
        )
    ]


def bucket_of_the_role() -> Any:
    import oss2
    import requests

    key = requests.get(METADATA + "EcsRamRoleTest").json()
    values = (key["AccessKeyId"], key["AccessKeySecret"], key["SecurityToken"])
    auth = oss2.StsAuth(*values, auth_version="v4")
    endpoint = "https://oss-cn-hangzhou.aliyuncs.com"
    return oss2.Bucket(auth, endpoint, "ramroletest", region="cn-hangzhou")


def a_call(call: Callable[[], object]) -> Seconds:
    """The median of the processor's time, which other programs do not lengthen."""
    return lambda: median(timed(call, time.process_time) for _ in range(CALLS))


def ready_made(call: Callable[[], object], adapter: Any, urllib3: Any) -> Seconds:
    kept: list[Any] = []
    replayed = adapter.send

    def keep(*arguments: Any, **options: Any) -> Any:
        answer = replayed(*arguments, **options)
        kept.append((answer.status_code, dict(answer.headers), answer.content))
        return answer

    def send(self: Any, request: Any, **_: Any) -> Any:
        status, headers, body = kept[0]
        raw = urllib3.HTTPResponse(io.BytesIO(body), headers, status, preload_content=False)
        return self.build_response(request, raw)

    def seconds() -> float:
        adapter.send = keep
        call()
        adapter.send = send
        try:
            return a_call(call)()
        finally:
            adapter.send = replayed

    return seconds


def more(cloud: Any, call: Callable[[], object]) -> Seconds:
    index = {(each.service, each.operation, each.code): each for each in load()}
    example = index["ram", "GetRole", ""]
    full = Recordings(index | {("ram", f"Other{n}", ""): example for n in range(1000)})

    def seconds() -> float:
        few = cloud._sandbox.recordings
        cloud._sandbox.recordings = full
        try:
            return a_call(call)()
        finally:
            cloud._sandbox.recordings = few

    return seconds


def lab() -> list[Pair]:
    ours = ["-c", "import helpers.runs, jupyterlab.labapp as lab; lab.main()"]
    stock = ["-m", "jupyterlab"]
    return [Pair("JupyterLab's first page: make lab / jupyter lab", page(ours), page(stock), 1.0)]


def page(start: list[str]) -> Seconds:
    def seconds() -> float:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = ["--no-browser", "--allow-root", f"--ServerApp.port={port}"]
        line = [sys.executable, *start, *options, "--IdentityProvider.token="]
        with subprocess.Popen(line, stderr=subprocess.DEVNULL) as process:
            try:
                return timed(lambda: wait_for(f"http://127.0.0.1:{port}/lab"))
            finally:
                process.terminate()

    return seconds


def wait_for(url: str) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with suppress(OSError):
            urllib.request.urlopen(url, timeout=30).read()
            return
        time.sleep(0.01)
    raise TimeoutError(url)


def cohort(folder: Path, rows: int, workers: int) -> dict[str, float]:
    """Seconds a row, in all and after the first; the most memory, in MB, of the command and below.

    What it takes to start is in the first row's, and shows the more the fewer rows there are. As
    many rows as there are workers end with it.
    """
    roster, out = folder / "roster.csv", folder / f"{rows}-{workers}"
    lines = (f"learner{n},Role{n}" for n in range(rows))
    roster.write_text("\n".join(["learner,role_name", *lines]))
    line = [sys.executable, "-m", "helpers", "cohort", str(roster), "--out", str(out)]
    line += ["--workers", str(workers)]
    quiet = subprocess.DEVNULL
    started, first, most, most_below = time.perf_counter(), 0.0, 0.0, 0.0
    with subprocess.Popen(line, stdout=quiet, stderr=quiet) as process:
        while process.poll() is None:
            if not first and is_one_saved(out / "results.csv"):
                first = time.perf_counter() - started
            most = max(most, resident(process.pid))
            most_below = max(most_below, *map(resident, descendants(process.pid)), 0.0)
            time.sleep(0.1)
    seconds = time.perf_counter() - started
    if process.returncode:
        raise RuntimeError(f"a row failed: see {out / 'results.csv'}")
    return {
        "seconds a row": seconds / rows,
        "seconds for the first": first,
        "for each further": (seconds - first) / (rows - workers),
        "MB, command": most,
        "MB, a process below": most_below,
    }


def is_one_saved(results: Path) -> bool:
    return results.exists() and results.read_bytes().count(b"\n") > 1


def descendants(pid: int) -> Iterator[int]:
    with suppress(OSError):  # it has ended, or there is no /proc
        for children in Path(f"/proc/{pid}/task").glob("*/children"):  # of each thread
            for child in children.read_text().split():
                yield int(child)
                yield from descendants(int(child))


def resident(pid: int) -> float:
    """MB of memory; 0 for a process that has ended, or where there is no /proc."""
    with suppress(OSError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return 0.0
