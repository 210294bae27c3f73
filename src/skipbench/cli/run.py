"""`skipbench run` and `skipbench estimate`."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from skipbench.checks import SkipbenchError
from skipbench.cli.terminal import make_console
from skipbench.environment import available_cores
from skipbench.results.store import ResultStore
from skipbench.runner.estimate import Estimate, estimate_plan, total_seconds
from skipbench.runner.plan import Selection, make_plan
from skipbench.runner.progress import readable_seconds
from skipbench.runner.run import RunOptions, run_suite
from skipbench.suite import load_suite
from skipbench.trainers.devices import resolve_device

DEFAULT_RESULTS = Path("results") / "runs"


class Retry(StrEnum):
    """Which earlier outcomes to run again."""

    failed = "failed"


SuiteArgument = Annotated[str, typer.Argument(help="A suite's name (skipbench list), or the path of a .yaml file.", metavar="SUITE")]
DatasetOption = Annotated[list[str] | None, typer.Option("-d", "--dataset", help="Only this data set of the suite; may be repeated.")]
MethodOption = Annotated[list[str] | None, typer.Option("-m", "--method", help="Only this method of the suite; may be repeated.")]
SeedsOption = Annotated[int | None, typer.Option(min=1, help="How many seeds, instead of the suite's own number.")]
DeviceOption = Annotated[str, typer.Option(help="cpu, cuda, cuda:N or auto.")]
SkipMissingOption = Annotated[
    bool, typer.Option("--skip-missing", help="Leave out data sets whose files are not there, instead of stopping.")
]
JobsOption = Annotated[int | None, typer.Option(help="Worker processes; without it one for each core, or one for a GPU.")]
SchedulerOption = Annotated[
    str | None,
    typer.Option(
        help="Run the cells on Dask: local (--jobs processes on this machine), or the address of a running scheduler, e.g. tcp://host:8786.",
        metavar="local|ADDRESS",
    ),
]
ResultsOption = Annotated[Path, typer.Option(help="Records go to a folder with the suite's name in here.")]


def run(
    suite: SuiteArgument,
    dataset: DatasetOption = None,
    method: MethodOption = None,
    seeds: SeedsOption = None,
    device: DeviceOption = "cpu",
    jobs: JobsOption = None,
    scheduler: SchedulerOption = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds for one cell, instead of the suite's budget.")] = None,
    results: ResultsOption = DEFAULT_RESULTS,
    retry: Annotated[Retry | None, typer.Option(help="Run again what failed before.")] = None,
    skip_missing: SkipMissingOption = False,
) -> None:
    """Compute the cells of SUITE that the results do not hold yet, and write a record for each."""
    console = make_console()
    suite_file = load_suite(suite)
    selection = Selection(tuple(dataset or ()), tuple(method or ()), seeds, skip_missing)
    options = RunOptions(
        results=results,
        device=device,
        jobs=jobs,
        scheduler=scheduler,
        timeout=timeout,
        retry_failed=retry is Retry.failed,
        command=_command(suite, selection, device),
    )
    summary = run_suite(suite_file, selection, options, console)
    console.print(f"suite {suite_file.suite.name}: {summary.sentence}", markup=False, soft_wrap=True)
    console.print(f"records: {summary.folder}", markup=False, soft_wrap=True)


def estimate(
    suite: SuiteArgument,
    dataset: DatasetOption = None,
    method: MethodOption = None,
    seeds: SeedsOption = None,
    device: DeviceOption = "cpu",
    jobs: JobsOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
    skip_missing: SkipMissingOption = False,
) -> None:
    """Say what running SUITE will take: cells, time and memory of what is still to compute. Runs no cell."""
    console = make_console()
    suite_file = load_suite(suite)
    selection = Selection(tuple(dataset or ()), tuple(method or ()), seeds, skip_missing)
    where = str(resolve_device(device))
    plan = make_plan(suite_file, selection, ResultStore(results / suite_file.suite.name), device=where, command="")
    workers = _checked_jobs(jobs) or max(1, min(available_cores(), len(plan.groups)))
    with console.status("measuring the speed of this machine"):
        estimates = estimate_plan(plan, threads=max(1, available_cores() // workers))
    _print_estimates(console, estimates)
    total = readable_seconds(total_seconds(estimates, workers))
    memory = workers * max((row.bytes for row in estimates), default=0)
    counts = f"{len(plan.cells)} cells, {plan.pending} to compute"
    console.print(f"{counts}: about {total} with {workers} workers, at most {memory / 2**30:.1f} GiB")


def _print_estimates(console: Console, estimates: list[Estimate]) -> None:
    table = Table("data set", "method", "cells", "time on one worker", "memory", box=None)
    for column in table.columns[2:]:
        column.justify = "right"
    for row in estimates:
        table.add_row(row.dataset, row.method, str(row.cells), readable_seconds(row.seconds), f"{row.bytes / 2**20:.0f} MiB")
    console.print(table)


def _checked_jobs(jobs: int | None) -> int | None:
    if jobs is not None and jobs < 1:
        raise SkipbenchError(f"--jobs {jobs}: a run needs at least 1 worker")
    return jobs


def _command(suite: str, selection: Selection, device: str) -> str:
    """What reproduces the records, without folders."""
    words = ["skipbench", "run", Path(suite).name]
    words += [word for name in selection.datasets for word in ("-d", name)]
    words += [word for name in selection.methods for word in ("-m", name)]
    words += [] if selection.seeds is None else ["--seeds", str(selection.seeds)]
    words += [] if device == "cpu" else ["--device", device]
    words += ["--skip-missing"] if selection.skip_missing else []
    return shlex.join(words)
