"""The series of the asv benchmarks: one small panel a benchmark, one line for each combination of its parameters."""

from __future__ import annotations

import math
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from skipbench.results.figures.style import MARKERS, SERIES, drawn_name, figure_style, new_figure
from skipbench.results.performance.history import PerformanceHistory, Place, Series
from skipbench.results.performance.texts import value_text

MOST_COMMITS = 60
MOST_PANELS = 48
_COLUMNS, _PANEL_WIDTH, _PANEL_HEIGHT = 4, 2.6, 1.25
_NAMED_COMMITS, _MARGIN = 4, 1.5
_MARKS = (*MARKERS.values(), "D", "v")


def performance_figure(history: PerformanceHistory, place: Place) -> Figure | None:
    """Each series over the commits of one machine and environment, the last 60 of them. None without a number."""
    series = [entry for entry in history.series_at(place) if any(math.isfinite(value) for value in entry.numbers)]
    panels = [(name, list(own)) for name, own in groupby(series, key=lambda entry: entry.key.benchmark)][:MOST_PANELS]
    if not panels:
        return None
    commits = [run.commit[:7] for run in history.runs_at(place)][-MOST_COMMITS:]
    rows = math.ceil(len(panels) / _COLUMNS)
    with figure_style():
        figure, axes = new_figure(_COLUMNS * _PANEL_WIDTH, rows * _PANEL_HEIGHT + 0.3, rows=rows, columns=_COLUMNS)
        for axis, (name, own) in zip(axes, panels, strict=False):
            _draw_panel(axis, name, own, len(commits))
        for axis in axes[len(panels) :]:
            axis.set_axis_off()
        for axis in axes[max(0, len(panels) - _COLUMNS) : len(panels)]:  # the lowest panel of each column
            _name_commits(axis, commits)
    return figure


def _draw_panel(axis: Axes, name: str, series: list[Series], n_commits: int) -> None:
    """Lines where there are many commits, marks where there are few; the smallest and the largest value are written beside the axis."""
    colors = list(SERIES.values())
    shown = [[value if math.isfinite(value) else math.nan for value in entry.values[-n_commits:]] for entry in series]
    for number, values in enumerate(shown):
        marker = _MARKS[number % len(_MARKS)] if n_commits <= _NAMED_COMMITS else ""
        axis.plot(
            range(n_commits - len(values), n_commits),
            values,
            color=colors[number % len(colors)],
            linewidth=1.1,
            marker=marker,
            markersize=3.2,
            clip_on=False,
        )
    _scale(axis, [value for values in shown for value in values if not math.isnan(value)], series[0])
    axis.set_xlim(-0.5, max(n_commits - 0.5, 0.5))
    axis.set_xticks([])
    axis.grid(visible=False)
    question, _, method = name.rpartition(".")
    axis.set_title(f"{drawn_name(question, 34)}\n{drawn_name(method, 34)}", fontsize=8)


def _scale(axis: Axes, numbers: list[float], series: Series) -> None:
    low, high = min(numbers, default=0.0), max(numbers, default=0.0)
    if low > 0:
        axis.set_yscale("log")
        axis.set_ylim(low / _MARGIN, high * _MARGIN)
    ticks = [low, high] if low <= 0 or high > _MARGIN * low else [high]
    axis.yaxis.set_major_locator(FixedLocator(sorted(set(ticks))))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: value_text(value, series)))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.tick_params(axis="y", labelsize=7, length=2)


def _name_commits(axis: Axes, commits: list[str]) -> None:
    """All commits where there are few, else the first and the last."""
    which = list(range(len(commits))) if len(commits) <= _NAMED_COMMITS else [0, len(commits) - 1]
    axis.set_xticks(which, [drawn_name(commits[index], 10) for index in which], fontsize=6.5)
