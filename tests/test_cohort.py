"""Rosters that are refused, and cohorts of tiny notebooks: failing, killed, resumed."""

from __future__ import annotations

import ast
import csv
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import click.testing
import nbformat
import pytest

from helpers.__main__ import main
from helpers.runs import Result, check_parameters, find_notebooks
from helpers.runs.cohort import Cohort
from helpers.runs.roster import RosterError, Row, read_roster

DEFAULTS = {"role_name": "R", "bucket_name": "b", "max_keys": 10, "clean_up": True}
PARAMETERS = 'role_name: str = "R"\nmax_keys: int = 10  # how many'


@pytest.fixture
def roster(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "roster.csv"
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        return path

    return write


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("", ["line 1: no column is called learner."]),
        ("\n\n", ["line 1: no column is called learner."]),
        ("learner,role_name\n", ["there is no row below"]),
        ("learner;role_name\nann;A\n", ["line 1: no column", "no parameter learner;role_name"]),
        ("name\nann\n", ["no column is called learner", "There is no parameter name"]),
        (
            "learner,rol_name\nann,A\n",
            ["line 1, column 2: There is no parameter rol_name (did you"],
        ),
        ("learner,learner\nann,bob\n", ["column 2: a column before it is called 'learner' too."]),
        ("learner,\nann,A\n", ["line 1, column 2 has no name."]),
        ("learner,secret\nann,LTAIkey\n", ["line 1, column 2: secret is no parameter"]),
        ("learner,max_keys\nann,5\nbob,\n", ["line 3, column 2 (max_keys): the cell is empty"]),
        ("learner,max_keys\nann,5\n ,5\n", ["line 3, column 1 (learner): the cell is empty"]),
        ("learner,max_keys\nann,five\n", ["column 2 (max_keys): max_keys is 'five', but must be"]),
        ("learner,max_keys\nann,1001\n", ["max_keys is 1001", "did you mean 1000?"]),
        ("learner,clean_up\nann,maybe\n", ["clean_up is 'maybe', but must be True or False"]),
        ("learner,role_name\nann, A\n", ["role_name is ' A'", "did you mean 'A'?"]),
        ("learner\nann\n\n../bob\n", ["line 4, column 1 (learner): '../bob' cannot name a folder"]),
        ("learner\n=1+2\n", ["'=1+2' cannot name a folder"]),
        ("learner\nann\nbob\nAnn\n", ["line 4: learner 'Ann' is on line 2 already."]),
        ("learner,role_name\nann\n", ["line 2, which has 1 cell; the line of column names has 2"]),
        ("learner\nann,A\n", ["line 2, which has 2 cells; the line of column names has 1 cell."]),
        ('learner\n"a\nb"\nbob,\n', ["line 2, column 1", "line 4, which has 2 cells"]),
        ('learner\nann\n"bob\n', ["line 3 is not CSV"]),
        ("learner\nann\n\udcff\n", ["line 3 is not UTF-8"]),
        ("learner,region_id\nann,x\n", ["There is no parameter region_id"]),
        ("learner,bucket_name\nann,b-1\n", ["column 2: bucket_name is given for all rows too"]),
        (
            "learner,max_keys\nann,0\nbob,\nann,7\nbad/name,8\n",
            ["line 2, column 2", "line 3, column 2", "line 4: learner", "line 5, column 1"],
        ),
    ],
)
def test_a_bad_roster_is_refused_with_line_and_column(
    roster: Any, text: str, faults: list[str]
) -> None:
    with pytest.raises(RosterError) as refused:
        read_roster(roster(text), DEFAULTS, shared=["bucket_name"])
    told = str(refused.value)
    assert [fault for fault in faults if fault not in told] == []
    assert all(line.startswith("roster.csv, ") for line in told.splitlines())
    assert "LTAIkey" not in told


def test_many_faults_are_counted_but_not_all_told(roster: Any) -> None:
    with pytest.raises(RosterError) as refused:
        read_roster(
            roster("learner,max_keys\n" + "".join(f"l{n},0\n" for n in range(500))), DEFAULTS
        )
    assert len(str(refused.value).splitlines()) == 21
    assert str(refused.value).endswith("\nand 480 more.")


def test_cells_take_the_type_of_the_default(roster: Any) -> None:
    text = "\ufefflearner,role_name,max_keys,clean_up\r\n"
    text += '"Müller Zoë",007,7,false\r\nbob,1e5,8,TRUE\r\n'
    rows = read_roster(roster(text), DEFAULTS)
    assert [(row.learner, *row.parameters.values()) for row in rows] == [
        ("Müller Zoë", "007", 7, False),
        ("bob", "1e5", 8, True),
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Write notebooks 01, 02, … each of a parameters cell and one of ``sources``."""

    def write(*sources: str) -> Path:
        path = tmp_path / "notebooks"
        path.mkdir(exist_ok=True)
        for number, source in enumerate(sources, 1):
            cells = [nbformat.v4.new_code_cell(PARAMETERS), nbformat.v4.new_code_cell(source)]
            cells[0].metadata["tags"] = ["parameters"]
            nbformat.write(nbformat.v4.new_notebook(cells=cells), path / f"{number:02}.ipynb")
        return path

    return write


def command(roster: Path, folder: Path, *options: str) -> list[str]:
    out = ["--out", str(roster.with_name("out")), "--workers", "2"]
    return ["cohort", str(roster), "--notebooks", str(folder), *out, *options]


def cohort(*arguments: Any) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "helpers", *command(*arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=120)


def results(roster: Path) -> dict[tuple[str, str], dict[str, str]]:
    text = (roster.parent / "out" / "results.csv").read_text("utf-8")
    return {(each["learner"], each["notebook"]): each for each in csv.DictReader(text.splitlines())}


FAILING = """
import helpers
from aliyunsdkcore.client import AcsClient
from aliyunsdkram.request.v20150501.GetRoleRequest import GetRoleRequest
cloud = helpers.connect(step=1, role_name=role_name)
request = GetRoleRequest()
request.set_RoleName(role_name)
if role_name != "R":
    client = AcsClient(region_id="cn-hangzhou", credential=cloud.credential)
    client.do_action_with_exception(request)
"""


def test_a_row_that_fails_stops_no_other(roster: Any, folder: Any) -> None:
    path = roster("learner,role_name\nann,R\nbob,Missing\ncarl,R\n")
    done = cohort(path, folder("role_name", FAILING))
    assert done.returncode == 1, done.stderr
    assert "2 of 3 finished every notebook" in done.stdout
    rows = results(path)
    failed = rows.pop(("bob", "02"))
    assert {row["status"] for row in rows.values()} == {"ok"}
    assert len(rows) == 5
    assert failed["code"] == "EntityNotExist.Role"
    assert failed["error"].startswith("In [")
    out = path.parent / "out"
    page = (out / "results.html").read_text("utf-8")
    assert len(failed["request_id"]) == 36
    assert all(f"<td>{failed[name]}" in page for name in ("code", "request_id"))
    assert all(f'learners/{who}/01.ipynb"' in page for who in ("ann", "bob", "carl"))
    assert (out / "learners" / "bob" / "02.ipynb").exists()


def test_a_kernel_of_a_cohort_is_like_any_other(roster: Any, folder: Any) -> None:
    source = (
        "import multiprocessing, os, signal, sys\n"
        "assert sys.path[0] == '' and os.path.basename(os.getcwd()) == 'ann'\n"
        "assert multiprocessing.get_start_method(allow_none=True) is None\n"
        "with multiprocessing.Pool(2) as pool:\n"
        "    assert pool.map(abs, [-1, -2]) == [1, 2]\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
    )
    path = roster("learner,role_name\nann,R\n")
    done = cohort(path, folder(source))
    assert done.returncode == 0, results(path)


def test_a_bad_roster_starts_nothing(roster: Any, folder: Any) -> None:
    path = roster("learner,max_keys\nann,5\nbob,0\n")
    done = click.testing.CliRunner().invoke(main, command(path, folder("1")))
    assert done.exit_code == 2
    assert "roster.csv, line 3, column 2 (max_keys): max_keys is 0" in done.output
    assert not (path.parent / "out").exists()


def wait_for_lines(path: Path, number: int) -> None:
    end = time.monotonic() + 60
    while not path.exists() or path.read_bytes().count(b"\n") < number:
        assert time.monotonic() < end, "no results yet"
        time.sleep(0.02)


def test_a_killed_cohort_goes_on_without_repeating_what_is_done(
    roster: Any, folder: Any, tmp_path: Path
) -> None:
    """Each notebook logs its run. After the kill, the file is also cut as a crash would cut it."""
    log = tmp_path / "log"
    learners = [f"learner{n}" for n in range(6)]
    path = roster("learner,role_name\n" + "".join(f"{name},{name}\n" for name in learners))
    notebooks = folder(*[f"with open({str(log)!r}, 'a') as f: f.write(role_name + '\\n')"] * 2)
    line = [sys.executable, "-m", "helpers", *command(path, notebooks)]
    saved = path.parent / "out" / "results.csv"
    with subprocess.Popen(line, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        wait_for_lines(saved, 5)
        process.kill()
    text = saved.read_bytes()
    done = {learner for learner, _ in results(path)}
    assert 2 <= len(done) < 6
    last = text.splitlines()[-1].split(b",")[0].decode()
    saved.write_bytes(text.rstrip()[:-3])
    time.sleep(1.5)  # what was running when it was killed ends by itself
    before = Counter(log.read_text().split())
    assert cohort(path, notebooks, "--resume").returncode == 0
    again = Counter(log.read_text().split()) - before
    assert again == Counter({name: 2 for name in learners if name not in done - {last}})
    assert set(results(path)) == {(name, n) for name in learners for n in ("01", "02")}
    assert cohort(path, notebooks).returncode == 2  # results are not overwritten


def test_resuming_trusts_only_whole_rows_of_the_same_run(roster: Any, folder: Any) -> None:
    notebooks = sorted(folder("1", "2").glob("*.ipynb"))
    out = roster("").parent / "out"

    def job(**parameters: str) -> Cohort:
        rows = [Row(learner, parameters) for learner in ("ann", "bob")]
        return Cohort(rows, {}, notebooks, out)

    def left(job: Cohort) -> list[str]:
        return [row.learner for row in job.left(resume=True)]

    first = job()
    assert left(first) == ["ann", "bob"]
    for _ in first.run(first.rows, finish, window=1):
        pass
    saved = first.results.read_bytes()
    assert left(job()) == []
    first.results.write_bytes(saved[:-1])  # the last line's end is missing
    assert left(job()) == ["bob"]
    first.results.write_bytes(saved)
    changed = job(role_name="Other")
    assert (left(changed), changed.outdated) == (["ann", "bob"], 2)
    first.results.write_bytes(saved)
    notebooks[0].write_text(notebooks[0].read_text().replace("how many", "how few"))
    assert left(job()) == ["ann", "bob"]


def finish(_: Any, learner: str, __: Any, notebooks: list[str], *___: Any) -> Any:
    """What an executor's submit does, for notebooks that go well."""
    future: Future[list[Result]] = Future()
    future.set_result([Result(learner, Path(name).stem, "ok") for name in notebooks])
    return future


def test_no_more_rows_are_handed_out_than_the_window_holds(roster: Any, folder: Any) -> None:
    notebooks, handed = list(folder("1").glob("*.ipynb")), []
    job = Cohort([Row(f"l{n}", {}) for n in range(100)], {}, notebooks, roster("").parent / "out")

    def submit(*task: Any) -> Any:
        handed.append(task)
        return finish(*task)

    ahead = [len(handed) - done for done, _ in enumerate(job.run(job.left(False), submit, 5))]
    assert len(ahead) == 100
    assert max(ahead) == 5


DYING = """
import os, pathlib, signal
server = pathlib.Path(f"/proc/{os.getppid()}/stat").read_text()  # which forked the kernel
worker = int(server.rpartition(")")[2].split()[1])
died = pathlib.Path("died")
if role_name == "always" or (role_name == "once" and not died.exists()):
    died.touch()
    os.kill(worker, signal.SIGKILL)
    input()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the process is found in /proc")
def test_a_process_that_dies_loses_no_row(roster: Any, folder: Any) -> None:
    path = roster("learner,role_name\nann,once\nbob,always\ncarl,R\ndora,R\n")
    done = cohort(path, folder(DYING))
    assert "3 of 4 finished" in done.stdout, done.stderr
    failed = [row for row in results(path).values() if row["status"] != "ok"]
    assert [(row["learner"], row["error"]) for row in failed] == [
        ("bob", "RuntimeError: its process died, 3 times")
    ]


def test_an_absent_cluster_is_one_sentence(roster: Any, folder: Any) -> None:
    options = ("--dask", "tcp://127.0.0.1:9")
    done = cohort(roster("learner\nann\n"), folder("1"), *options)
    assert done.returncode == 2
    assert "--dask tcp://127.0.0.1:9: no scheduler with a worker answers" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_airflow_example_names_the_notebooks_and_their_parameters() -> None:
    """Airflow itself is not installed for this: the file is parsed, its table of names is read."""
    tree = ast.parse(
        Path(__file__).parent.parent.joinpath("docs", "airflow_dag.py").read_text("utf-8")
    )
    (table,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "NOTEBOOKS"
    )
    paths = {path.stem: path for path in find_notebooks()}
    assert table.keys() == paths.keys()
    for name, parameters in table.items():
        check_parameters(parameters, [paths[name]])
