"""The commands, ``python -m helpers COMMAND``: each reads its options, calls its module, prints.

Modules are imported inside the commands, so that no command waits for another's libraries.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from helpers.ledger import Entry
    from helpers.live.clean_up import Remover
    from helpers.runs import Result
    from helpers.runs.cohort import Cohort
    from helpers.runs.roster import Row


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Run the notebooks on ECS instance RAM roles."""


def _parameter_options(command: Any) -> Any:
    """The options of parameters, as papermill has them, and where the notebooks are."""
    options = (
        click.option("-p", "typed", nargs=2, multiple=True, metavar="NAME VALUE", help="A value."),
        click.option(
            "-r", "raw", nargs=2, multiple=True, metavar="NAME TEXT", help="A value taken as text."
        ),
        click.option(
            "-f",
            "files",
            multiple=True,
            type=click.Path(exists=True, dir_okay=False),
            help="A YAML file of parameters.",
        ),
        click.option("-y", "yamls", multiple=True, metavar="YAML", help="Parameters as YAML text."),
        click.option(
            "--notebooks",
            "folder",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            help="Folder of the notebooks, if not this repository's.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@main.command()
@_parameter_options
@click.option("--only", multiple=True, metavar="NUMBER", help="Run this notebook, such as 03.")
@click.option(
    "--out",
    default="build/run",
    show_default=True,
    type=click.Path(file_okay=False),
    help="Folder for the executed copies and summary.json.",
)
@click.option("--report", is_flag=True, help="Write an HTML page of each executed notebook too.")
@click.option("--hide-code", is_flag=True, help="Write these pages without the code.")
def run(
    typed: Sequence[tuple[str, str]],
    raw: Sequence[tuple[str, str]],
    files: Sequence[str],
    yamls: Sequence[str],
    only: Sequence[str],
    out: str,
    folder: Path | None,
    report: bool,
    hide_code: bool,
) -> None:
    """Run the notebooks with papermill.

    Values of -p are typed as papermill does it: 007 becomes 7, True a boolean. Exits with 1 if a
    notebook fails, with 2 if a parameter is wrong; then no notebook has been started.
    """
    from helpers import runs

    started = time.perf_counter()
    try:
        parameters = runs.read_parameters(files, yamls, typed, raw)
        available = runs.find_notebooks(folder or runs.NOTEBOOKS)
        runs.check_parameters(parameters, available)
        chosen = runs.find_notebooks(folder or runs.NOTEBOOKS, only)
        _check_output_folder(out, chosen[0].parent)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    results = _run_with_progress(parameters, chosen, out)
    if report or hide_code:
        from helpers.site import write_report

        for executed in filter(Path.exists, (Path(out, path.name) for path in chosen)):
            write_report(executed, hide_code)
    _finish(results, parameters, Path(out), time.perf_counter() - started)


def _check_output_folder(out: str, notebooks: Path) -> None:
    if Path(out).resolve() == notebooks.resolve():
        raise ValueError(f"--out {out} holds the notebooks themselves; name another folder.")
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"--out {out} cannot be made: {error.strerror}.") from None


def _run_with_progress(
    parameters: dict[str, Any], notebooks: Sequence[Path], out: str
) -> list[Result]:
    import os

    from tqdm import tqdm

    from helpers.runs import code_cells, run_suite

    total = sum(len(code_cells(path)) for path in notebooks)
    workers = 2 * (os.cpu_count() or 1)
    with tqdm(total=total, unit="cell") as bar:

        def count(cell: dict[str, Any], cell_index: int) -> None:
            bar.update("injected-parameters" not in cell["metadata"].get("tags", []))

        return run_suite("", parameters, [str(path) for path in notebooks], out, workers, count)


def _finish(
    results: Sequence[Result], parameters: dict[str, Any], out: Path, seconds: float
) -> None:
    """Print the table, write summary.json, exit."""
    for result in results:
        click.echo(f"{result.notebook:<32} {result.status:<8} {result.seconds:>6.1f} s")
        if result.error:
            click.echo(f"    {result.error}")
    failed = sum(result.status != "ok" for result in results)
    click.echo(f"{len(results) - failed} of {len(results)} ok in {seconds:.1f} s, see {out}")
    summary = {
        "parameters": parameters,
        "seconds": round(seconds, 3),
        "notebooks": [asdict(result) for result in results],
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", "utf-8")
    raise SystemExit(int(failed > 0))


@main.command()
@click.argument("roster", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_parameter_options
@click.option(
    "--out",
    default="build/cohort",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for results.csv, results.html and a folder for each learner.",
)
@click.option(
    "--workers", type=click.IntRange(1), help="Rows at once; one for each core if left out."
)
@click.option("--resume", is_flag=True, help="Go on with a run that was stopped.")
@click.option("--dask", "scheduler", metavar="ADDRESS", help="Run on a cluster: tcp://host:8786.")
def cohort(
    roster: Path,
    typed: Sequence[tuple[str, str]],
    raw: Sequence[tuple[str, str]],
    files: Sequence[str],
    yamls: Sequence[str],
    folder: Path | None,
    out: Path,
    workers: int | None,
    resume: bool,
    scheduler: str | None,
) -> None:
    """Run the notebooks for each row of ROSTER, a CSV file.

    Its column "learner" names the row and its folder; any other column is a parameter. A row that
    fails stops no other. With --resume rows that are done are kept, and failed ones run again.
    Exits with 1 if a notebook failed, with 2 if the roster is wrong; then nothing has been started.
    """
    from helpers import runs
    from helpers.runs import cohort
    from helpers.runs import roster as rosters

    try:
        shared = runs.read_parameters(files, yamls, typed, raw)
        notebooks = runs.find_notebooks(folder or runs.NOTEBOOKS)
        runs.check_parameters(shared, notebooks)
        defaults = {n: v for path in notebooks for n, v in runs.parameter_defaults(path).items()}
        rows = rosters.read_roster(roster, defaults, shared)
        job = cohort.Cohort(rows, shared, notebooks, out)
        place = cohort.dask(scheduler) if scheduler else cohort.processes(workers)
        _run_cohort(job, job.left(resume), place)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _run_cohort(job: Cohort, rows: Sequence[Row], place: AbstractContextManager[Any]) -> None:
    from tqdm import tqdm

    done = len(job.rows) - len(rows)
    if job.outdated:
        click.echo(f"{job.outdated} rows ran before with other parameters or other notebooks.")
    with place as (submit, window), tqdm(total=len(job.rows), initial=done, unit="row") as bar:
        for _ in job.run(rows, submit, window):
            bar.update()
    page, counts = job.write_page(), job.counts()
    click.echo(f"{counts['finished']} of {counts['learners']} finished every notebook, see {page}")
    raise SystemExit(int(counts["finished"] < counts["learners"]))


@main.command()
@click.option("-p", "typed", nargs=2, multiple=True, metavar="NAME VALUE", help="A parameter.")
@click.option("--step", type=click.IntRange(1, 4), default=4, show_default=True)
@click.option("--port", default=8080, show_default=True, help="For http; 0 takes a free one.")
@click.option("--https-port", default=8443, show_default=True, help="For https.")
def serve(typed: Sequence[tuple[str, str]], step: int, port: int, https_port: int) -> None:
    """Answer curl, other SDKs and tools on this machine, until Ctrl-C.

    The account is in the state before notebook STEP; -p gives it other names.
    """
    from helpers import server

    try:
        server.run(step, dict(typed), (port, https_port), click.echo)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        raise click.UsageError(f"{error}; name other ports, or 0 for free ones.") from None


@main.command()
def ledger() -> None:
    """List what runs in live mode have left, and whether it bills."""
    from helpers.ledger import Ledger, ledger_file

    file = ledger_file()
    left = Ledger(file).left()
    for entry in left:
        click.echo(_entry_line(entry))
    click.echo(f"{len(left)} left in {file}")


def _entry_line(entry: Entry) -> str:
    cost = "BILLS" if entry.bills else "free"
    where = " ".join(filter(None, (entry.account, entry.region)))
    return f"{cost:<5}  {entry.resource} {entry.id}  [{where}]  {entry.state} {entry.at}"


@main.command()
@click.option("--yes", is_flag=True, help="Remove without asking.")
def clean_up(yes: bool) -> None:
    """Remove what runs in live mode have left, the newest first.

    Only what the ledger lists for the account whose key is in the environment. Exits with 1 if
    something is left.
    """
    from helpers import parameters
    from helpers.live import clean_up

    try:
        remover = clean_up.Remover()
    except parameters.OneSentence as error:
        raise click.UsageError(str(error)) from None
    left = remover.left()
    for entry in left:
        click.echo(_entry_line(entry))
    if left and not yes:
        click.confirm(f"Remove these {len(left)}?", abort=True)
    problems = [_remove(remover, entry) for entry in left]
    click.echo(f"{sum(problems)} left")
    raise SystemExit(int(any(problems)))


def _remove(remover: Remover, entry: Entry) -> bool:
    problem = remover.remove(entry)
    click.echo(f"{entry.resource} {entry.id}: {problem or 'removed'}")
    return bool(problem)


@main.command()
@click.option("-p", "typed", nargs=2, multiple=True, metavar="NAME VALUE", help="A parameter.")
def policy(typed: Sequence[tuple[str, str]]) -> None:
    """Print the RAM policy of a user who runs notebooks 01 and 02 live and cleans up.

    It names what the parameters name: give the values that you will run with.
    """
    from helpers.live import permissions

    try:
        click.echo(permissions.as_text(permissions.minimal_policy(dict(typed))))
    except ValueError as error:
        raise click.UsageError(str(error)) from None


@main.group()
def recordings() -> None:
    """Check recordings, compare what record mode wrote with them, adopt it."""


FOLDER = click.argument(
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default="build/recordings",
)


@recordings.command()
@click.argument(
    "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), required=False
)
def check(folder: Path | None) -> None:
    """Whether each recording (of the package, or of FOLDER) parses, has a source, holds no secret.

    Exits with 1 if one does not.
    """
    from helpers.live import recordings_care as care

    problems = care.check(folder or care.SHIPPED)
    for line in [*problems, *care.ages(folder or care.SHIPPED)]:
        click.echo(line)
    click.echo(f"{len(problems)} problems")
    raise SystemExit(int(bool(problems)))


@recordings.command()
@FOLDER
def diff(folder: Path) -> None:
    """What the recordings in FOLDER change in shape: fields added, gone, retyped."""
    from helpers.live import recordings_care as care

    for line in care.diff(folder) or ["Every field is as it was."]:
        click.echo(line)


@recordings.command()
@FOLDER
def adopt(folder: Path) -> None:
    """Put the recordings in FOLDER in the place of the package's."""
    from helpers.live import recordings_care as care

    click.echo(f"{care.adopt(folder)} adopted into {care.SHIPPED}")


@recordings.command()
def fidelity() -> None:
    """Print docs/fidelity.md: each operation and each error, and where it comes from."""
    from helpers.fidelity import document

    click.echo(document(), nl=False)


if __name__ == "__main__":
    main(prog_name="python -m helpers")
