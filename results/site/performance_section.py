"""The page's section on performance: the newest commit's numbers beside those before, and what moved."""

from __future__ import annotations

from typing import Any

from skipbench.results.figures.performance import performance_figure
from skipbench.results.performance.gate import examine
from skipbench.results.performance.history import PerformanceHistory, Place
from skipbench.results.performance.tables import heading, verdict
from skipbench.results.performance.texts import change_text, value_text
from skipbench.results.site.embedding import inline_svg
from skipbench.results.words import counted, printable

MOST_ROWS = 500


def performance_section(history: PerformanceHistory | None) -> list[dict[str, Any]]:
    """One entry for each machine and environment that measured the newest commit; none without a history."""
    if history is None:
        return []
    return [_place(history, place, number) for number, place in enumerate(history.newest_places, start=1)]


def _place(history: PerformanceHistory, place: Place, number: int) -> dict[str, Any]:
    findings = examine(history, place)
    n_commits = len(history.runs_at(place))
    title = f"Seconds, bytes, counts and errors over {counted(n_commits, 'commit')}"
    return {
        "heading": heading(history, place),
        "verdict": verdict(history, place, findings),
        "n_commits": n_commits,
        "findings": [{"text": printable(finding.text, 300), "bad": finding.is_regression} for finding in findings],
        "rows": _rows(history, place)[:MOST_ROWS],
        "figure": inline_svg(performance_figure(history, place), f"performance-{number}", title),
    }


def _rows(history: PerformanceHistory, place: Place) -> list[dict[str, str]]:
    now = history.runs_at(place)[-1]
    return [
        {
            "benchmark": printable(series.key.benchmark),
            "parameters": printable(series.key.parameters_text, 60),
            "unit": printable(series.unit, 60),
            "previous": value_text(series.previous, series),
            "last": "failed" if now.values[series.key] is None else value_text(series.last, series),
            "change": change_text(series.last, series.previous),
        }
        for series in history.series_at(place)
        if series.key in now.values
    ]
