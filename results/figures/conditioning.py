"""Conditioning against depth, and which predictor gradient descent follows: the two pictures of the suite `convergence`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from skipbench.results.figures.style import COLORS, INK, MARKERS, drawn_name, figure_style, log_axis, new_figure
from skipbench.results.figures.sweeps import depth_axis, swept_depths, variant_looks
from skipbench.results.statistics.cells import without_size
from skipbench.results.statistics.censored_fits import CensoredLine
from skipbench.results.statistics.convergence_study import CONDITION, LABELS, study_cells, study_line

MOST_SETS, MOST_KERNELS = 5, 4
_PREDICTORS = {CONDITION: "condition_number", LABELS: "label_condition_99"}
_TITLES = {CONDITION: "condition number", LABELS: "λ_max / λ_k, 99 % of the labels' energy in λ_1..λ_k"}


def conditioning_figure(frame: pd.DataFrame) -> Figure | None:
    """Condition number (solid) and double-constant bound (dotted) against depth, a row for each kernel and readout, a column a data set.

    Of each data set the largest size; medians over draws and splits. None where no kernel has three depths on some images.
    """
    cells = swept_depths(frame)
    cells = cells[cells["readout"].notna() & (cells["momentum"].fillna(0) == 0)]
    if cells.empty:
        return None
    cells = _largest(cells)
    kernels = sorted(set(zip(cells["readout"], cells["kernel"], strict=True)), reverse=True)[:MOST_KERNELS]
    looks = variant_looks(cells["variant"])
    panels = [[cells[_is(cells, kernel, readout) & (cells["base"] == base)] for base in _bases(cells)] for readout, kernel in kernels]
    with figure_style():
        columns = len(_bases(cells))
        figure, axes = new_figure(3.1 * columns + 1.8, 2.5 * len(kernels) + 0.6, rows=len(kernels), columns=columns)
        for number, axis in enumerate(axes):
            row, column = divmod(number, columns)
            _draw_conditioning(axis, panels[row][column], looks)
            readout, kernel = kernels[row]
            names = sorted(panels[row][column]["dataset_label"].unique())
            axis.set_title(drawn_name(f"{names[0]}: {kernel.upper()}, {readout}", 46) if names else "")
        handles = [Line2D([], [], label=drawn_name(name, 30), **look) for name, look in looks.items()]
        handles += [Line2D([], [], color=INK, linestyle=":", label="its bound 1 + n b/(1 − b)")]
        axes[columns - 1].legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
    return figure


def predictors_figure(frame: pd.DataFrame) -> Figure | None:
    """Iterations to 99 % against the condition number and against the label-weighted one, a row for each kernel, with the fitted line.

    What was never reached stands open on the upper edge. None without cells that have both predictors.
    """
    cells = study_cells(frame)
    cells = cells[(cells["family"] == "kernel") & cells["label_condition_99"].notna() & (cells["momentum"].fillna(0) == 0)]
    kernels = sorted(cells["kernel"].dropna().unique())[:MOST_KERNELS]
    if not kernels:
        return None
    with figure_style():
        figure, axes = new_figure(9.6, 3.7 * len(kernels), rows=len(kernels), columns=len(_PREDICTORS))
        for number, axis in enumerate(axes):
            row, column = divmod(number, len(_PREDICTORS))
            own, predictor = cells[cells["kernel"] == kernels[row]], list(_PREDICTORS)[column]
            _draw_predictor(axis, own, predictor, study_line(own, "99", predictor))
            axis.set_title(drawn_name(f"{kernels[row].upper()}", 20))
            axis.set_xlabel(_TITLES[predictor])
        for axis in axes[:: len(_PREDICTORS)]:
            axis.set_ylabel("iterations to 99 % loss reduction")
    return figure


def _is(cells: pd.DataFrame, kernel: str, readout: str) -> Any:
    return (cells["kernel"] == kernel) & (cells["readout"] == readout)


def _largest(cells: pd.DataFrame) -> pd.DataFrame:
    """Of each data set the largest size that has this kernel and readout at three depths; `base`: its name without the size."""
    cells = cells.assign(base=without_size(cells["dataset"]))
    return cells[cells["n_train"] == cells.groupby(["base", "kernel", "readout"])["n_train"].transform("max")]


def _bases(cells: pd.DataFrame) -> list[str]:
    return sorted(cells["base"].unique())[:MOST_SETS]


def _draw_conditioning(axis: Axes, cells: pd.DataFrame, looks: dict[str, dict[str, Any]]) -> None:
    numbers = cells[["condition_number", "double_constant_bound"]].to_numpy(dtype=float)
    if not np.isfinite(numbers).any():
        axis.set_axis_off()
        return
    for variant, own in cells.groupby("variant", sort=True):
        for column, style in (("condition_number", "-"), ("double_constant_bound", ":")):
            along = own[np.isfinite(own[column].astype(float))].groupby("depth")[column].median()
            axis.plot(
                along.index, along, **(looks[str(variant)] | {"linestyle": style, "marker": "o" if style == "-" else "", "markersize": 3})
            )
    depth_axis(axis, cells["depth"])
    log_axis(axis, "y")


def _draw_predictor(axis: Axes, cells: pd.DataFrame, predictor: str, line: CensoredLine | None) -> None:
    log_axis(axis, "x")
    log_axis(axis, "y")
    x, y = cells[_PREDICTORS[predictor]].to_numpy(dtype=float), np.maximum(cells["iterations_99"].to_numpy(dtype=float), 1)
    reached, top = np.isfinite(y) & np.isfinite(x), 8 * max(1.0, float(y[np.isfinite(y)].max(initial=1.0)))
    for kind in ("plain", "residual"):
        for readout in sorted(cells["readout"].fillna("").unique()):
            own = (cells["kind"] == kind).to_numpy() & (cells["readout"].fillna("") == readout).to_numpy()
            look: dict[str, Any] = {"linestyle": "none", "color": COLORS[kind], "markersize": 4, "alpha": 0.55}
            look["marker"] = MARKERS["ntk"] if readout == "tr" else MARKERS["nngp"]
            name = ", ".join(part for part in (kind, str(readout)) if part)
            axis.plot(x[own & reached], y[own & reached], label=name, **look)
            missed = own & ~np.isfinite(y) & np.isfinite(x)
            axis.plot(x[missed], np.full(int(missed.sum()), top), **(look | {"markerfacecolor": "none"}))
    if line is not None:
        ends = np.array([x[reached].min(), x[reached].max()])
        text = f"slope {line.slope:.2f}, deviation {line.deviation:.2f} decades"
        axis.plot(ends, 10 ** (line.intercept + line.slope * np.log10(ends)), "-", color=INK, linewidth=1.0, label=text)
    axis.legend(loc="upper left", fontsize=7.5)
