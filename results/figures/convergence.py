"""Iterations of gradient descent against the condition number, and where the time goes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from skipbench.results.figures.style import COLORS, INK, MARKERS, drawn_name, figure_style, log_axis, new_figure
from skipbench.results.statistics.cells import current_cells, ok_cells

REDUCTIONS = {"iterations_90": "90 %", "iterations_99": "99 %", "iterations_99_9": "99.9 %"}
MOST_METHODS = 40


def iterations_figure(frame: pd.DataFrame) -> Figure | None:
    """Iterations to 90, 99 and 99.9 % loss reduction against the condition number, both logarithmic. None without a kernel's."""
    cells = conditioned_cells(frame)
    if cells.empty:
        return None
    with figure_style():
        figure, axes = new_figure(9.6, 3.8, columns=3)
        for axis, column in zip(axes, REDUCTIONS, strict=True):
            draw_iterations(axis, cells, column)
        axes[0].set_ylabel("iterations of gradient descent")
        axes[-1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
    return figure


def conditioned_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """The finished cells that have a condition number and iterations."""
    cells = ok_cells(current_cells(frame))
    return cells[cells["condition_number"].notna() & cells["iterations_99"].notna()]


def draw_iterations(axis: Axes, cells: pd.DataFrame, column: str) -> None:
    """One mark a cell. What was never reached stands as an open mark on the upper edge, what is singular on the right edge."""
    log_axis(axis, "x")
    log_axis(axis, "y")
    right, top = _edge(cells["condition_number"]), _edge(cells[column])
    for (kernel, skips), own in cells.groupby([cells["kernel"], cells["residual"].fillna(False).astype(bool)]):
        kind = "residual" if skips else "plain"
        condition, iterations = own["condition_number"].to_numpy(), np.maximum(own[column].to_numpy(), 1)  # 0 has no logarithm
        exact = np.isfinite(condition) & np.isfinite(iterations)
        look: dict[str, Any] = {
            "marker": MARKERS.get(str(kernel), "D"),
            "linestyle": "none",
            "color": COLORS[kind],
            "markersize": 4.5,
            "alpha": 0.65,
        }
        axis.plot(condition[exact], iterations[exact], label=f"{drawn_name(str(kernel).upper(), 12)}, {kind}", **look)
        missed_x, missed_y = np.minimum(condition, right)[~exact], np.minimum(iterations, top)[~exact]
        axis.plot(missed_x, missed_y, **(look | {"markerfacecolor": "none", "alpha": 0.9}))
    _mark_edges(axis, cells, column, right, top)
    axis.set_xlabel("condition number")
    axis.set_title(f"to {REDUCTIONS[column]} loss reduction")


def _edge(values: pd.Series) -> float:
    """Where an infinite value is drawn: some way beyond the largest finite one."""
    finite = values[np.isfinite(values)]
    return 8.0 * max(float(finite.max()), 1.0) if len(finite) else 10.0


def _mark_edges(axis: Axes, cells: pd.DataFrame, column: str, right: float, top: float) -> None:
    missed, singular = int(np.isinf(cells[column]).sum()), int(np.isinf(cells["condition_number"]).sum())
    if missed:
        axis.axhline(top, color=INK, linewidth=0.6, linestyle=":")
        axis.set_ylim(top=top * 6)
        axis.text(0.02, 0.985, f"{missed} never reached (open)", transform=axis.transAxes, va="top", fontsize=7.5)
    if singular:
        axis.axvline(right, color=INK, linewidth=0.6, linestyle=":")
        axis.text(right, 0.02, f"{singular} singular ", transform=axis.get_xaxis_transform(), ha="right", fontsize=7.5, rotation=90)


def run_times_figure(frame: pd.DataFrame) -> Figure | None:
    """Seconds of one cell for each method, on the machines that ran most cells. None without any time."""
    cells, _ = timed_cells(frame)
    if cells.empty:
        return None
    medians = cells.groupby("method_label")["seconds"].median().sort_values()
    with figure_style():
        figure, (axis,) = new_figure(8.0, 0.24 * min(len(medians), MOST_METHODS) + 1.1)
        shown = list(medians.index[-MOST_METHODS:])
        for row, label in enumerate(shown):
            own = cells[cells["method_label"] == label]
            color = COLORS[str(own["family"].iloc[0])]
            axis.plot(own["seconds"], [row] * len(own), "|", color=color, markersize=7, alpha=0.45)
            axis.plot([medians[label]], [row], "o", color=color, markersize=5.5)
        log_axis(axis, "x")
        axis.set_yticks(range(len(shown)), [drawn_name(str(label)) for label in shown])
        axis.set_ylim(-0.5, len(shown) - 0.5)
        axis.grid(visible=False, axis="y")
        axis.set_xlabel("seconds of one cell (dot: median, ticks: every cell)")
        axis.set_title("Run time")
    return figure


def timed_cells(frame: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The finished cells of the machine class that ran most of them, and how many of other machines are left out."""
    cells = ok_cells(current_cells(frame))
    cells = cells[cells["seconds"] > 0]
    if cells.empty:
        return cells, 0
    most = cells["machine_class"].value_counts().sort_index(kind="stable").idxmax()
    own = cells[cells["machine_class"] == most]
    return own, len(cells) - len(own)
