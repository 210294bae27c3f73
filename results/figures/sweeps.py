"""What changes along one axis: conditioning and convergence with depth, accuracy with the number of training rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from skipbench.results.figures.style import COLORS, drawn_name, figure_style, log_axis, new_figure, percent_axis
from skipbench.results.statistics.cells import current_cells, ok_cells, without_size

FEWEST_STEPS = 3  # of depth or of size: two points are no curve
DEPTH_PANELS = {
    "condition_number": "condition number",
    "double_constant_bound": "its bound 1 + n b/(1 − b)",
    "iterations_99": "iterations to 99 %",
    "accuracy": "test accuracy (%)",
}
MOST_ROWS, MOST_CURVES = 8, 12
_SKIPS = (COLORS["residual"], "#e08a3c", "#7b4fb0", "#3b6fd4", "#2a9d8f")
_LINES = ("-", "--", "-.", ":")


def depth_figure(frame: pd.DataFrame) -> Figure | None:
    """Condition number, its bound, iterations and accuracy of kernels against depth, one row for each data set and kernel.

    Lines are medians over splits and draws, bands reach from the smallest to the largest. None where no kernel has three depths.
    """
    groups = list(_deep_groups(frame))[:MOST_ROWS]
    if not groups:
        return None
    with figure_style():
        figure, axes = new_figure(13.0, 2.7 * len(groups) + 0.4, rows=len(groups), columns=len(DEPTH_PANELS))
        for row, (title, cells) in enumerate(groups):
            panels = axes[row * len(DEPTH_PANELS) : (row + 1) * len(DEPTH_PANELS)]
            for axis, column in zip(panels, DEPTH_PANELS, strict=True):
                _draw_depths(axis, cells, column)
            panels[0].set_title(title)
            panels[-1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
    return figure


def swept_depths(frame: pd.DataFrame) -> pd.DataFrame:
    """The finished kernel cells of every suite, data set and kernel in which some family comes in three depths, with their `variant`."""
    cells = ok_cells(current_cells(frame))
    cells = cells[cells["condition_number"].notna() & cells["depth"].notna()].copy()
    skips = cells["architecture"] + ", α = " + cells["alpha"].fillna("")
    cells["variant"] = skips.where(cells["residual"].fillna(False).astype(bool), cells["architecture"])
    keys = ["suite", "dataset_label", "kernel", "readout", "variant"]
    depths = cells.groupby([cells[key].fillna("") for key in keys])["depth"].transform("nunique")
    return cells[depths >= FEWEST_STEPS]


def _deep_groups(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    cells = swept_depths(frame)
    for (_, dataset, kernel, readout), own in cells.groupby(["suite", "dataset_label", "kernel", cells["readout"].fillna("")]):
        kind = ", ".join(drawn_name(part, 12) for part in (str(kernel).upper(), str(readout)) if part)
        yield f"{drawn_name(str(dataset), 30)}: {kind}", own


def _draw_depths(axis: Axes, cells: pd.DataFrame, column: str) -> None:
    looks = variant_looks(cells["variant"])
    if not np.isfinite(cells[column].astype(float)).any():  # no bound where rows are less alike than not at all, b < 0
        axis.set_axis_off()
        return
    for variant, own in cells.groupby("variant", sort=True):
        finite = own[np.isfinite(own[column].astype(float))]
        along = finite.groupby("depth")[column].agg(["median", "min", "max"])
        look = looks[str(variant)]
        axis.plot(along.index, along["median"], marker="o", markersize=3.5, label=drawn_name(str(variant), 30), **look)
        axis.fill_between(along.index.astype(float), along["min"], along["max"], alpha=0.15, linewidth=0, color=look["color"])
    depth_axis(axis, cells["depth"])
    if column == "accuracy":
        percent_axis(axis, "y")
    else:
        log_axis(axis, "y")
    axis.set_ylabel(DEPTH_PANELS[column])


def variant_looks(variants: pd.Series) -> dict[str, dict[str, Any]]:
    """Colour and line of each variant of `swept_depths`: plain ones solid in one colour, residual ones each their own."""
    looks: dict[str, dict[str, Any]] = {}
    for number, variant in enumerate(sorted(set(map(str, variants)))):
        plain = "α =" not in variant
        looks[variant] = {
            "color": COLORS["plain"] if plain else _SKIPS[number % len(_SKIPS)],
            "linestyle": "-" if plain else _LINES[number % len(_LINES)],
        }
    return looks


def depth_axis(axis: Axes, depths: pd.Series) -> None:
    """Depth along x, on a logarithmic axis of base 2."""
    _size_axis(axis, sorted(depths.unique()), "depth (residual: blocks)")


def learning_curve_figure(frame: pd.DataFrame) -> Figure | None:
    """Test accuracy against the number of training rows, one panel for each data set that comes in three sizes; None without one.

    Marks are means over draws, splits and seeds, bars their standard deviation.
    """
    panels = [panel for panel in _sized_sets(frame) if len(panel[1]["method_label"].unique())][:MOST_ROWS]
    if not panels:
        return None
    with figure_style():
        figure, axes = new_figure(8.6, 4.2 * len(panels), rows=len(panels))
        for axis, (title, cells) in zip(axes, panels, strict=True):
            _draw_sizes(axis, cells)
            axis.set_title(title)
    return figure


def sized_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """The finished cells of every data set that a suite runs in three sizes, with its name without the size as `sized_name`."""
    cells = ok_cells(current_cells(frame)).copy()
    cells["sized_name"] = without_size(cells["dataset"])
    sizes = cells.groupby(["suite", "setting", "inputs", "sized_name"])["n_train"].transform("nunique")
    return cells[sizes >= FEWEST_STEPS]


def _sized_sets(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for (suite, _, _, name), own in sized_cells(frame).groupby(["suite", "setting", "inputs", "sized_name"]):
        yield f"{drawn_name(str(name), 40)} (suite {drawn_name(str(suite), 40)})", own


def _draw_sizes(axis: Axes, cells: pd.DataFrame) -> None:
    best = cells[cells["n_train"] == cells["n_train"].max()].groupby("method_label")["accuracy"].mean().sort_values(ascending=False)
    shown = [*best.index, *sorted(set(cells["method_label"]) - set(best.index))][:MOST_CURVES]
    for number, label in enumerate(shown):
        own = cells[cells["method_label"] == label]
        along = own.groupby("n_train")["accuracy"].agg(["mean", "std"])
        family, skips = str(own["family"].iloc[0]), bool(own["residual"].fillna(False).astype(bool).iloc[0])
        nudge = 1.0 + 0.012 * (number - len(shown) / 2)  # so that bars do not hide each other
        axis.errorbar(
            along.index * nudge,
            along["mean"],
            yerr=along["std"].fillna(0.0),
            label=drawn_name(label),
            color=COLORS["nngp"] if own["kernel"].iloc[0] == "nngp" else COLORS[family],
            linestyle="-" if skips else "--",
            marker="os^Dv<>P*Xhd"[number % 12],
            markersize=4,
            linewidth=1.2,
            elinewidth=0.7,
        )
    _size_axis(axis, sorted(cells["n_train"].unique()), "training rows")
    percent_axis(axis, "y")
    axis.set_ylabel("test accuracy (%), mean ± standard deviation")
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, title="by accuracy at the largest size; solid: skips")


def _size_axis(axis: Axes, values: list[Any], name: str) -> None:
    axis.set_xscale("log", base=2)
    axis.set_xticks([float(value) for value in values])
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel(name)
