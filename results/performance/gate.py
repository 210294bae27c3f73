"""What moved between the newest commit and those before it, and which of it is a regression.

Everything that is measured here is better when it is smaller. A tracked number (a count, bytes, an error, a condition number) is the
same on each run, so any rise beyond the last digits is one; rounding errors may double, since they move with a processor's instructions.
A ratio of seconds that were taken in turns may rise by half, since neighbours slow down both, but not to the same degree.
Seconds and peak memory are trends: only a rise far beyond the noise of a shared machine counts. What failed, or is no longer measured,
counts too.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from skipbench.results.performance.history import PerformanceHistory, PerformanceRun, Place, Series, SeriesKey
from skipbench.results.performance.texts import value_text

RELATIVE_TOLERANCE = 1e-6
ROUNDING_ERROR, ROUNDING_FACTOR = "rounding error", 2.0
SECONDS_RATIO, RATIO_FACTOR = "ratio of seconds", 1.5
SECONDS_FACTOR, NOTED_SECONDS_FACTOR, LEAST_SECONDS = 8.0, 3.0, 0.02  # 2 cores with 7 busy processes: up to 5 times as slow
MEMORY_FACTOR = 1.5
TREND_COMMITS = 5

What = Literal["rose", "much slower", "more memory", "vanished", "failed", "slower", "skipped", "fell"]
REGRESSIONS: tuple[What, ...] = ("rose", "much slower", "more memory", "vanished", "failed")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that moved. text: which series, from what to what."""

    what: What
    key: SeriesKey
    text: str

    @property
    def is_regression(self) -> bool:
        """Whether the gate stays shut."""
        return self.what in REGRESSIONS


def examine(history: PerformanceHistory, place: Place) -> list[Finding]:
    """What moved at the newest commit of one machine and environment: regressions first, by name."""
    runs = history.runs_at(place)
    findings = [*_failures(runs[-1]), *_losses(runs)]
    for series in history.series_at(place):
        moved = _moved(series)
        if moved is not None:
            findings.append(moved)
    return sorted(findings, key=lambda finding: (not finding.is_regression, finding.key))


def regressions(findings: Iterable[Finding]) -> list[Finding]:
    """Those for which the gate stays shut."""
    return [finding for finding in findings if finding.is_regression]


def _failures(run: PerformanceRun) -> list[Finding]:
    return [Finding("failed", key, f"{key.label}: failed") for key, value in run.values.items() if value is None]


def _losses(runs: tuple[PerformanceRun, ...]) -> list[Finding]:
    """What the commit before had and the newest lacks. A benchmark whose declared version changed starts anew and is not lost."""
    if len(runs) < 2:
        return []
    before, now = runs[-2], runs[-1]
    versions = {key.benchmark: key.version for key in (*now.values, *now.skipped)}
    findings = []
    for key in before.values:
        if key in now.skipped:
            findings.append(Finding("skipped", key, f"{key.label}: skipped, though measured at {before.commit[:8]}"))
        elif key not in now.values and versions.get(key.benchmark, key.version) == key.version:
            findings.append(Finding("vanished", key, f"{key.label}: vanished, though measured at {before.commit[:8]}"))
    return findings


def _moved(series: Series) -> Finding | None:
    """The finding for a series that has both a newest number and an earlier one."""
    last, previous = series.last, series.previous
    if last is None or previous is None:
        return None
    usual = statistics.median(series.numbers[:-1][-TREND_COMMITS:])
    if series.unit == SECONDS_RATIO:
        return _finding("rose", series, last, usual, "by more than half") if last > RATIO_FACTOR * usual else None
    if series.key.kind == "tracked":
        return _tracked(series, last, previous)
    if series.key.kind == "seconds":
        return _timed(series, last, usual)
    return _finding("more memory", series, last, usual, "beside the median of the commits before") if last > MEMORY_FACTOR * usual else None


def _timed(series: Series, last: float, usual: float) -> Finding | None:
    if last <= NOTED_SECONDS_FACTOR * usual or last - usual <= LEAST_SECONDS:
        return None
    what: What = "much slower" if last > SECONDS_FACTOR * usual else "slower"
    return _finding(what, series, last, usual, "beside the median of the commits before")


def _tracked(series: Series, last: float, previous: float) -> Finding | None:
    if series.unit == ROUNDING_ERROR:
        return _finding("rose", series, last, previous, "more than twice") if last > ROUNDING_FACTOR * previous else None
    if last > previous + RELATIVE_TOLERANCE * abs(previous):
        return _finding("rose", series, last, previous)
    if last < previous - RELATIVE_TOLERANCE * abs(previous):
        return _finding("fell", series, last, previous)
    return None


def _finding(what: What, series: Series, last: float, before: float, why: str = "") -> Finding:
    change = f"{value_text(before, series)} -> {value_text(last, series)}"
    return Finding(what, series.key, f"{series.key.label}: {what}, {change}{f' ({why})' if why else ''}")
