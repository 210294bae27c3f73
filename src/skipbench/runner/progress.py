"""How a run shows where it is: a live table in a terminal, plain lines where output is none."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from skipbench.results.record import CellRecord
from skipbench.runner.messages import PlannedCell
from skipbench.runner.plan import Plan

Running = Sequence[tuple[PlannedCell, float]]


class RunProgress(Protocol):
    """A display that is told what ended and what is in flight."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

    def update(self, record: CellRecord | None, running: Running) -> None:
        """A record that just ended, or None; and the cells in flight."""


def make_progress(console: Console, plan: Plan, jobs: int) -> RunProgress:
    """The live table in a terminal, plain lines elsewhere."""
    return LiveProgress(console, plan, jobs) if console.is_terminal else LineProgress(console, plan, jobs)


class RemainingTime:
    """Seconds left, from the mean time of the finished cells of each method, and of all where a method has none yet."""

    def __init__(self, plan: Plan, jobs: int) -> None:
        self._left = [item.cell.method_label for group in plan.groups for item in group]
        self._spent: dict[str, list[float]] = {}
        self._jobs = max(1, min(jobs, len(plan.groups)))

    def ended(self, record: CellRecord) -> None:
        """Count a finished cell."""
        label = record.method.label
        if label in self._left:
            self._left.remove(label)
        self._spent.setdefault(label, []).append(seconds_spent(record))

    def seconds(self) -> float | None:
        """None as long as no cell has ended."""
        every = [seconds for spent in self._spent.values() for seconds in spent]
        if not every:
            return None
        overall = sum(every) / len(every)
        means = {label: sum(spent) / len(spent) for label, spent in self._spent.items()}
        return sum(means.get(label, overall) for label in self._left) / self._jobs


def seconds_spent(record: CellRecord) -> float:
    """What the cell itself took: phases that another cell paid for are left out."""
    return sum(seconds for name, seconds in record.phases.items() if name not in record.shared_phases)


def readable_seconds(seconds: float) -> str:
    """`42 s`, `3 min 20 s` or `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def outcome(record: CellRecord) -> str:
    """The test accuracy, or the status with its reason."""
    if record.status != "ok":
        return f"{record.status}: {record.reason[:160]}"
    accuracy = next((metric.value for metric in record.metrics if metric.name == "accuracy"), float("nan"))
    return f"accuracy {accuracy:.3f}"


class LineProgress:
    """One line for each finished cell."""

    def __init__(self, console: Console, plan: Plan, jobs: int) -> None:
        self._console, self._remaining = console, RemainingTime(plan, jobs)
        self._labels = {item.key: item.cell.label for item in plan.cells}
        self._done, self._total = 0, plan.pending

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None

    def update(self, record: CellRecord | None, running: Running) -> None:
        """Print the record's line."""
        if record is None:
            return
        self._done += 1
        self._remaining.ended(record)
        left = self._remaining.seconds() or 0.0
        count = f"[{self._done:{len(str(self._total))}}/{self._total}]"
        line = f"{count} {self._labels[record.key]}: {outcome(record)} ({seconds_spent(record):.1f} s), {readable_seconds(left)} left"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class LiveProgress:
    """A table of data sets (done, failed, best so far), the cells in flight, and a bar with the remaining time."""

    def __init__(self, console: Console, plan: Plan, jobs: int) -> None:
        self._remaining, self._start = RemainingTime(plan, jobs), time.monotonic()
        self._labels = {item.key: item.cell.data.label for item in plan.cells}
        self._counts: dict[str, dict[str, float]] = {}
        for group in plan.groups:
            for item in group:
                self._row(item.cell.data.label)["total"] += 1
        self._bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[left]}"))
        self._task = self._bar.add_task("cells", total=plan.pending, left="")
        self._live = Live(console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._live.__exit__(kind, error, trace)

    def update(self, record: CellRecord | None, running: Running) -> None:
        """Count the record and draw again."""
        if record is not None:
            self._count(record)
            self._bar.advance(self._task)
        left = self._remaining.seconds()
        elapsed = readable_seconds(time.monotonic() - self._start)
        self._bar.update(self._task, left=f"{elapsed} so far" + ("" if left is None else f", {readable_seconds(left)} left"))
        self._live.update(Group(self._table(), *_running_lines(running), self._bar))

    def _row(self, dataset: str) -> dict[str, float]:
        return self._counts.setdefault(dataset, {"total": 0, "done": 0, "failed": 0})

    def _count(self, record: CellRecord) -> None:
        self._remaining.ended(record)
        row = self._row(self._labels[record.key])
        row["done"] += 1
        row["failed"] += record.status != "ok"

    def _table(self) -> Table:
        table = Table("data set", *("done", "of", "not ok"), box=None)
        for column in table.columns[1:]:
            column.justify = "right"
        for dataset, row in self._counts.items():
            table.add_row(Text(dataset), f"{row['done']:.0f}", f"{row['total']:.0f}", f"{row['failed']:.0f}")
        return table


def _running_lines(running: Running) -> list[Text]:
    return [Text(f"  {seconds:5.1f} s  {planned.cell.label}", no_wrap=True, overflow="ellipsis") for planned, seconds in running]
