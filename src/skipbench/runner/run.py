"""Run a suite: plan it, compute what is missing, and write each record the moment it is there."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console

from skipbench.checks import SkipbenchError
from skipbench.environment import available_cores, current_environment
from skipbench.results.store import ResultStore
from skipbench.runner.plan import Plan, Selection, make_plan
from skipbench.runner.pool import Limits, WorkerPool
from skipbench.runner.progress import make_progress
from skipbench.suite import SuiteFile
from skipbench.trainers.devices import resolve_device

_MEMORY_SHARE = 0.9


@dataclass(frozen=True)
class RunOptions:
    """How a suite is run; none of it changes a result."""

    results: Path
    device: str = "cpu"
    jobs: int | None = None
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


def run_suite(suite_file: SuiteFile, selection: Selection, options: RunOptions, console: Console) -> RunSummary:
    """Compute every selected cell that the store does not hold, and write its record there.

    Raises SkipbenchError for bad input, before anything is computed; what goes wrong in a cell becomes its record.
    """
    device = str(resolve_device(options.device))
    store = ResultStore(options.results / suite_file.suite.name)
    store.check_writable()
    plan = make_plan(suite_file, selection, store, device=device, command=options.command, retry_failed=options.retry_failed)
    for name, reason in plan.missing.items():
        console.print(f"left out: {name}: {reason}", markup=False, soft_wrap=True)
    jobs = _jobs(options, plan, device)
    start = time.monotonic()
    outcomes = _compute(plan, store, jobs, _limits(suite_file, options, jobs), console)
    return RunSummary(
        computed=sum(outcomes.values()),
        reused=plan.reused,
        failed_before=plan.failed_before,
        outcomes=dict(outcomes),
        seconds=time.monotonic() - start,
        folder=store.folder,
    )


def _compute(plan: Plan, store: ResultStore, jobs: int, limits: Limits, console: Console) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    if not plan.pending:
        return outcomes
    pool = WorkerPool(jobs, threads=max(1, available_cores() // jobs), limits=limits, environment=current_environment())
    with make_progress(console, plan, jobs) as progress:
        for record in pool.run(plan.groups):
            if record is not None:
                store.write(record)
                outcomes[record.status] += 1
            progress.update(record, pool.running)
    return outcomes


def _jobs(options: RunOptions, plan: Plan, device: str) -> int:
    """Workers: one for each core, but one for a GPU, and never more than there are groups."""
    if options.jobs is not None:
        if options.jobs < 1:
            raise SkipbenchError(f"--jobs {options.jobs}: a run needs at least 1 worker")
        return options.jobs
    wanted = available_cores() if device == "cpu" else 1
    return max(1, min(wanted, len(plan.groups)))


def _limits(suite_file: SuiteFile, options: RunOptions, jobs: int) -> Limits:
    budget = suite_file.suite.budget
    seconds = options.timeout if options.timeout is not None else budget.seconds_per_cell
    if not seconds > 0:
        raise SkipbenchError(f"--timeout {seconds:g}: a cell needs more than 0 seconds")
    machine = psutil.virtual_memory().total * _MEMORY_SHARE / jobs
    gigabytes = budget.gigabytes_per_worker
    return Limits(seconds, int(machine if gigabytes is None else min(machine, gigabytes * 1e9)))
