"""The history in the terminal: one line a series, then what moved, then the verdict."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from skipbench.results.performance.gate import Finding, examine, regressions
from skipbench.results.performance.history import PerformanceHistory, Place
from skipbench.results.performance.texts import change_text, value_text
from skipbench.results.words import counted, printable


def print_performance(console: Console, history: PerformanceHistory) -> list[Finding]:
    """Print every machine and environment that measured the newest commit; returns what moved there."""
    found = []
    for place in history.newest_places:
        findings = examine(history, place)
        console.print(heading(history, place), markup=False, soft_wrap=True)
        console.print(_table(history, place))
        for finding in findings:
            mark = "REGRESSION" if finding.is_regression else "note"
            console.print(f"{mark}: {printable(finding.text, 300)}", markup=False, soft_wrap=True)
        console.print(verdict(history, place, findings), markup=False, soft_wrap=True)
        found += findings
    return found


def heading(history: PerformanceHistory, place: Place) -> str:
    """`Machine ci, existing-py3.11: 3 commits, newest 0123abcd of 2026-01-02`."""
    runs = history.runs_at(place)
    machine, environment = (printable(part, 60) for part in place)
    newest = f"newest {printable(runs[-1].commit[:8])} of {runs[-1].date:%Y-%m-%d}"
    return f"Machine {machine}, {environment}: {counted(len(runs), 'commit')}, {newest}"


def verdict(history: PerformanceHistory, place: Place, findings: list[Finding]) -> str:
    """One sentence: how many series were compared with what, and how many regressed."""
    runs = history.runs_at(place)
    bad = regressions(findings)
    if len(runs) == 1:
        sentence = f"{counted(len(runs[-1].values), 'series', 'series')} of one commit: there is nothing to compare with yet"
    else:
        sentence = (
            f"{counted(len(runs[-1].values), 'series', 'series')} at {runs[-1].commit[:8]}, compared with {runs[-2].commit[:8]} and before"
        )
    if not bad:
        return f"{sentence}: no regression."
    return f"{sentence}: {counted(len(bad), 'regression')}. Where one is meant, commit this result: the next one is compared with it."


def _table(history: PerformanceHistory, place: Place) -> Table:
    table = Table("benchmark", "parameters", "unit", "previous", "last", "change", box=None)
    for column in table.columns[3:]:
        column.justify = "right"
    now = history.runs_at(place)[-1]
    for series in history.series_at(place):
        if series.key in now.values:
            values = (value_text(series.previous, series), value_text(series.last, series), change_text(series.last, series.previous))
            texts = (printable(series.key.benchmark), printable(series.key.parameters_text, 40), printable(series.unit, 40), *values)
            table.add_row(*(Text(text) for text in texts))
    return table
