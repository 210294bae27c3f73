"""Run a suite: plan it, compute what is missing, and write each record the moment it is there."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rich.console import Console

from skipbench.checks import SkipbenchError
from skipbench.dask_clients import LOCAL, dask_client
from skipbench.results.record import CellRecord
from skipbench.results.store import ResultStore
from skipbench.runner.dask_cells import DaskCells
from skipbench.runner.messages import PlannedCell
from skipbench.runner.plan import Plan, Selection, make_plan
from skipbench.runner.pool import WorkerPool
from skipbench.runner.progress import Running, make_progress
from skipbench.runner.resources import Resources, cluster_resources, machine_resources
from skipbench.runner.worker_process import Limits
from skipbench.suite import SuiteFile
from skipbench.trainers.devices import resolve_device

if TYPE_CHECKING:
    from distributed import Client


CHECKPOINTS = ".checkpoints"  # beside the records: of the cells in flight when a run was killed


@dataclass(frozen=True)
class RunOptions:
    """How a suite is run; none of it changes a result.

    scheduler: None for worker processes of this run, "local" for those of a Dask cluster on this machine, or a Dask scheduler's address.
    """

    results: Path
    device: str = "cpu"
    jobs: int | None = None
    scheduler: str | None = None
    timeout: float | None = None
    retry_failed: bool = False
    command: str = "skipbench run"


@dataclass(frozen=True)
class RunSummary:
    """What a run did."""

    computed: int
    reused: int
    failed_before: int
    outcomes: dict[str, int]
    seconds: float
    folder: Path

    @property
    def sentence(self) -> str:
        """One line for the terminal."""
        bad = ", ".join(f"{count} {status}" for status, count in sorted(self.outcomes.items()) if status != "ok")
        parts = [f"computed {self.computed} cells in {self.seconds:.0f} s ({self.outcomes.get('ok', 0)} ok{', ' + bad if bad else ''})"]
        parts.append(f"reused {self.reused}")
        if self.failed_before:
            parts.append(f"left {self.failed_before} that failed before (--retry failed runs them again)")
        return "; ".join(parts)


class CellExecutor(Protocol):
    """Runs groups of cells somewhere."""

    @property
    def running(self) -> Running:
        """The cells in flight and their seconds so far."""

    def run(self, groups: Sequence[Sequence[PlannedCell]]) -> Iterator[CellRecord | None]:
        """Records in the order in which they end; None when nothing ended for a moment."""


def run_suite(suite_file: SuiteFile, selection: Selection, options: RunOptions, console: Console) -> RunSummary:
    """Compute every selected cell that the store does not hold, and write its record there.

    Raises SkipbenchError for bad input, before anything is computed; what goes wrong in a cell becomes its record.
    """
    _check_scheduler(options)
    store = ResultStore(options.results / suite_file.suite.name)
    store.check_writable()
    with _remote_client(options.scheduler) as client:
        cluster = None if client is None else cluster_resources(client, options.device)
        device = str(resolve_device(options.device)) if cluster is None else cluster.device
        plan = make_plan(
            suite_file,
            selection,
            store,
            device=device,
            command=options.command,
            retry_failed=options.retry_failed,
            checkpoints=store.folder.absolute() / CHECKPOINTS if cluster is None else None,  # another machine may not have the folder
        )
        for name, reason in plan.missing.items():
            console.print(f"left out: {name}: {reason}", markup=False, soft_wrap=True)
        resources = cluster or machine_resources(options.jobs, len(plan.groups), device)
        limits = _limits(suite_file, options, resources)
        start = time.monotonic()
        outcomes: Counter[str] = Counter()
        if plan.pending:
            with _executor(options.scheduler, client, resources, limits) as executor:
                outcomes = _compute(plan, store, executor, resources.jobs, console)
    return RunSummary(
        computed=outcomes.total(),
        reused=plan.reused,
        failed_before=plan.failed_before,
        outcomes=dict(outcomes),
        seconds=time.monotonic() - start,
        folder=store.folder,
    )


def _compute(plan: Plan, store: ResultStore, executor: CellExecutor, jobs: int, console: Console) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    with make_progress(console, plan, jobs) as progress:
        for record in executor.run(plan.groups):
            if record is not None:
                store.write(record)
                shutil.rmtree(store.folder / CHECKPOINTS / record.key, ignore_errors=True)  # a cell that ended does not go on
                outcomes[record.status] += 1
            progress.update(record, executor.running)
    with contextlib.suppress(OSError):  # not empty while another run keeps something there
        (store.folder / CHECKPOINTS).rmdir()
    return outcomes


@contextlib.contextmanager
def _remote_client(scheduler: str | None) -> Iterator[Client | None]:
    """A client where a scheduler's address is given: its workers decide what there is to plan with."""
    if scheduler is None or scheduler == LOCAL:
        yield None
        return
    with dask_client(scheduler) as client:
        yield client


@contextlib.contextmanager
def _executor(scheduler: str | None, client: Client | None, resources: Resources, limits: Limits) -> Iterator[CellExecutor]:
    if scheduler is None:
        yield WorkerPool(resources.jobs, threads=resources.threads, limits=limits)
    elif client is not None:
        yield DaskCells(client, threads=resources.threads, limits=limits)
    else:
        with dask_client(LOCAL, n_workers=resources.jobs) as own:  # its workers only watch: the cells' processes have the threads
            yield DaskCells(own, threads=resources.threads, limits=limits)


def _check_scheduler(options: RunOptions) -> None:
    if options.jobs is not None and options.scheduler not in (None, LOCAL):
        raise SkipbenchError(
            f"--jobs {options.jobs} with --scheduler {options.scheduler}: how many cells run at once is decided by the workers of that "
            "cluster (dask worker --nworkers N --nthreads M), so leave --jobs out"
        )


def _limits(suite_file: SuiteFile, options: RunOptions, resources: Resources) -> Limits:
    budget = suite_file.suite.budget
    seconds = options.timeout if options.timeout is not None else budget.seconds_per_cell
    if not seconds > 0:
        raise SkipbenchError(f"--timeout {seconds:g}: a cell needs more than 0 seconds")
    gigabytes = budget.gigabytes_per_worker
    return Limits(seconds, int(resources.bytes if gigabytes is None else min(resources.bytes, gigabytes * 1e9)))
