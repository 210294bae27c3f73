"""Paired accuracies drawn: kernel against network, residual against plain."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from skipbench.results.figures.style import COLORS, INK, drawn_name, figure_style, new_figure, percent_axis
from skipbench.results.statistics.comparisons import Comparison, kernel_against_network, residual_against_plain

MOST_ROWS = 30
_MARKS = "osD^vP*Xhd<>p8H"


def kernel_against_network_figure(frame: pd.DataFrame) -> Figure | None:
    """Accuracy of the network (up) against that of the kernel (right), one mark a split. None without a pair."""
    compared = kernel_against_network(frame)
    if not compared:
        return None
    with figure_style():
        figure, (axis,) = new_figure(6.4, 5.2)
        draw_kernel_against_network(axis, compared)
    return figure


def draw_kernel_against_network(axis: Axes, compared: Sequence[Comparison]) -> None:
    """One mark for each pair and split; colour says which kernel, shape which data set."""
    datasets = sorted({split.dataset for comparison in compared for split in comparison.splits})
    marks = {name: _MARKS[index % len(_MARKS)] for index, name in enumerate(datasets)}
    for comparison in compared:
        kernel = "nngp" if comparison.what.startswith("NNGP") else "ntk"
        for name in datasets:
            own = [split for split in comparison.splits if split.dataset == name]
            kernels, networks = [split.first for split in own], [split.second for split in own]
            axis.plot(kernels, networks, marks[name], color=COLORS[kernel], alpha=0.6, markersize=5)
    _draw_diagonal(axis, [value for comparison in compared for split in comparison.splits for value in (split.first, split.second)])
    for kernel in ("nngp", "ntk"):
        axis.plot([], [], "s", color=COLORS[kernel], label=kernel.upper())
    for name in datasets[:12]:
        axis.plot([], [], marks[name], color="none", markeredgecolor=INK, label=drawn_name(name, 24))
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
    axis.set_xlabel("kernel ridge regression, test accuracy in %")
    axis.set_ylabel("trained network, test accuracy in %")
    axis.set_title("Above the line the network is better")


def _draw_diagonal(axis: Axes, values: Sequence[float]) -> None:
    low, high = min(values), max(values)
    margin = max(0.02, 0.05 * (high - low))
    ends = (max(0.0, low - margin), min(1.0, high + margin) + 0.005)
    axis.plot(ends, ends, color=INK, linewidth=0.8, linestyle="--", alpha=0.6)
    axis.set(xlim=ends, ylim=ends)
    axis.set_aspect("equal")
    percent_axis(axis, "x")
    percent_axis(axis, "y")


def residual_against_plain_figure(frame: pd.DataFrame) -> Figure | None:
    """Accuracy with skip connections minus without, one row a pair: its mean, interval and data sets. None without a pair."""
    compared = residual_against_plain(frame)
    if not compared:
        return None
    with figure_style():
        figure, (axis,) = new_figure(8.0, 0.36 * min(len(compared), MOST_ROWS) + 1.1)
        draw_residual_against_plain(axis, compared)
    return figure


def draw_residual_against_plain(axis: Axes, compared: Sequence[Comparison], *, most: int = MOST_ROWS) -> None:
    """One row for each pair, in their order; right of the line skip connections help."""
    shown = list(compared)[:most]
    for row, comparison in enumerate(shown):
        color = COLORS["residual"] if comparison.difference >= 0 else COLORS["plain"]
        if comparison.interval is not None:
            axis.plot([100 * end for end in comparison.interval], [row, row], color=color, linewidth=2.5, alpha=0.4, solid_capstyle="round")
        if len(comparison.by_dataset) > 1:
            points = [100 * entry.difference for entry in comparison.by_dataset]
            axis.plot(points, [row] * len(points), "|", color=color, markersize=7, alpha=0.8)
        axis.plot([100 * comparison.difference], [row], "o", color=color, markersize=5.5)
    axis.axvline(0, color=INK, linewidth=0.8)
    reach = max(1.0, *(abs(100 * entry.difference) for comparison in shown for entry in comparison.by_dataset)) * 1.6
    axis.set_xlim(-reach, reach)  # an interval of two data sets may be far wider: it then runs out of the picture
    axis.set_yticks(range(len(shown)), [f"{drawn_name(c.first, 52)}\n{c.inputs}, {drawn_name(c.what, 40)}" for c in shown], fontsize=8)
    axis.set_ylim(len(shown) - 0.5, -0.5)
    axis.grid(visible=False, axis="y")
    axis.set_xlabel("accuracy gained by skip connections, points (bar: 95 %)")
    more = f"; {len(compared) - most} more pairs in the table" if len(compared) > most else ""
    axis.set_title(f"Right of the line skip connections help{more}")
