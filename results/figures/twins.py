"""Trained twins beside the kernels of their architectures: losses as predicted and measured, laziness, and what width does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from skipbench.results.curves import Curves
from skipbench.results.figures.style import COLORS, INK, drawn_name, figure_style, log_axis, new_figure
from skipbench.results.statistics.cells import current_cells
from skipbench.results.statistics.width_study import DISTANCES, width_slopes

MOST_SETS, MOST_COLUMNS = 4, 4
_WIDTH_COLORS = ("#9dbbe8", "#3b6fd4", "#17336e", "#0b1a3a", "#000000")
_LINES = ("-", "--", ":")


def loss_curves_figure(frame: pd.DataFrame, curves: Curves) -> Figure | None:
    """Training loss of twins against steps, a line for each seed, and of gradient descent on their kernel (dashed).

    For each data set the shallowest and the deepest plain and residual network (the first alpha). None where no twin was compared.
    """
    cells = _compared(frame)
    if cells.empty:
        return None
    sets = sorted(cells["dataset_label"].unique())[:MOST_SETS]
    chosen = _chosen_architectures(cells)
    with figure_style():
        figure, axes = new_figure(3.1 * len(chosen) + 0.6, 2.7 * len(sets) + 0.3, rows=len(sets), columns=len(chosen))
        for number, axis in enumerate(axes):
            row, column = divmod(number, len(chosen))
            own = cells[(cells["dataset_label"] == sets[row]) & (cells["architecture_name"] == chosen[column])]
            _draw_losses(axis, own, curves.losses)
            axis.set_title(drawn_name(f"{sets[row]}: {chosen[column]}", 44), fontsize=8.5)
        for axis in axes[:: len(chosen)]:
            axis.set_ylabel("training loss / at the start")
    return figure


def laziness_figure(frame: pd.DataFrame, curves: Curves) -> Figure | None:
    """How far the tangent kernel of twins moved, by step and width, and how much of the kernel's pace they keep.

    None where no twin's tangent kernel was followed.
    """
    cells = _compared(frame)
    cells = cells[cells["tangent_drift"].notna()]
    if cells.empty:
        return None
    with figure_style():
        figure, (first, second) = new_figure(10.5, 4.0, columns=2)
        _draw_drift(first, cells, curves.tangents)
        _draw_prediction(second, cells)
    return figure


def width_study_figure(frame: pd.DataFrame) -> Figure | None:
    """Distance of twins from their kernel against width: predictions, and tangent kernels before and after training, with fitted slopes.

    Medians over seeds, splits and draws; None where no architecture was trained at three widths.
    """
    slopes = width_slopes(frame)
    if not slopes:
        return None
    names = list(dict.fromkeys((slope.dataset, slope.architecture) for slope in slopes))
    with figure_style():
        figure, axes = new_figure(11.0, 3.6, columns=len(DISTANCES))
        for axis, (column, title) in zip(axes, DISTANCES.items(), strict=True):
            for slope in (slope for slope in slopes if slope.quantity == column):
                number = names.index((slope.dataset, slope.architecture))
                text = f"{slope.architecture}, {slope.dataset}: slope {slope.slope:.2f}"
                look: dict[str, Any] = {"color": COLORS["residual" if slope.residual else "plain"], "linestyle": _LINES[number % 3]}
                axis.plot(slope.widths, slope.medians, marker="os^D"[number % 4], markersize=4, label=drawn_name(text, 60), **look)
            log_axis(axis, "x")
            log_axis(axis, "y")
            axis.set_xlabel("width")
            axis.set_title(title, fontsize=9)
            axis.legend(fontsize=6.5, loc="lower left")
    return figure


def _compared(frame: pd.DataFrame) -> pd.DataFrame:
    """Finished twins that stand beside their kernel, with the name of their architecture."""
    cells = current_cells(frame)
    cells = cells[(cells["status"] == "ok") & cells["prediction_distance"].notna() & cells["depth"].notna()].copy()
    alphas = [f", α = {alpha}" if residual else "" for alpha, residual in zip(cells["alpha"], cells["residual"].fillna(False), strict=True)]
    cells["architecture_name"] = cells["architecture"] + "(" + cells["depth"].astype(str) + ")" + pd.Series(alphas, index=cells.index)
    return cells


def _chosen_architectures(cells: pd.DataFrame) -> list[str]:
    """The shallowest plain and residual one, then the deepest of both, those with the most cells first."""
    chosen = []
    for depth in sorted({cells["depth"].min(), cells["depth"].max()}):
        for residual in (False, True):
            own = cells[(cells["depth"] == depth) & (cells["residual"].fillna(False).astype(bool) == residual)]
            if len(own):
                chosen.append(str(own["architecture_name"].value_counts().sort_index().idxmax()))
    return chosen[:MOST_COLUMNS]


def _draw_losses(axis: Axes, cells: pd.DataFrame, curves: pd.DataFrame) -> None:
    if cells.empty:
        axis.set_axis_off()
        return
    for number, (width, own) in enumerate(cells.groupby("width")):
        for seed, key in enumerate(own["key"]):
            curve = curves[curves["key"] == key].sort_values("step")
            steps, first = np.maximum(curve["step"], 0.5), float(curve["loss"].iloc[0])
            label = f"width {width}" if seed == 0 else None
            axis.plot(steps, curve["loss"] / first, color=_WIDTH_COLORS[min(number, 4)], linewidth=0.8, alpha=0.8, label=label)
            predicted = curve["predicted_loss"] / first
            axis.plot(steps, predicted, "--", color=INK, linewidth=0.7, label="kernel" if (number, seed) == (0, 0) else None)
    log_axis(axis, "x")
    log_axis(axis, "y")
    axis.set_xlabel("step")
    axis.legend(fontsize=7, loc="lower left")


def _draw_drift(axis: Axes, cells: pd.DataFrame, tangents: pd.DataFrame) -> None:
    kinds = cells.assign(kind=np.where(cells["residual"].fillna(False).astype(bool), "residual", "plain"))
    points = kinds[["key", "width", "kind"]].merge(tangents, on="key")
    for number, ((width, kind), own) in enumerate(points[points["step"] > 0].groupby(["width", "kind"])):
        along = own.groupby("step")["drift"].median()
        line = _LINES[(number // 2) % len(_LINES)]
        axis.plot(along.index, along, line, color=COLORS[str(kind)], marker="o", markersize=3, label=f"width {width}, {kind}")
    log_axis(axis, "x")
    log_axis(axis, "y")
    axis.set_xlabel("step")
    axis.set_ylabel("drift |K_t − K_0| / |K_0|, median")
    axis.set_title("How far the tangent kernel moves")
    axis.legend(fontsize=7.5)


def _draw_prediction(axis: Axes, cells: pd.DataFrame) -> None:
    """Decades of loss that were lost, by those that the kernel predicts, against the drift. 1 is the kernel's pace."""
    pace = cells["kept_pace"].to_numpy(dtype=float)
    drift, kinds = cells["tangent_drift"].to_numpy(dtype=float), np.where(cells["residual"].fillna(False).astype(bool), "residual", "plain")
    for number, width in enumerate(sorted(cells["width"].dropna().unique())):
        for kind in ("plain", "residual"):
            own = np.isfinite(pace) & (drift > 0) & (kinds == kind) & (cells["width"] == width).to_numpy(dtype=bool)
            look: dict[str, Any] = {"linestyle": "none", "marker": "os^D"[number % 4], "markersize": 4.5, "alpha": 0.7}
            axis.plot(drift[own], pace[own], color=COLORS[kind], label=f"width {width}, {kind}", **look)
    axis.axhline(1.0, color=INK, linewidth=0.7, linestyle=":")
    log_axis(axis, "x")
    axis.set_xlabel("drift of the tangent kernel after the last step")
    axis.set_ylabel("decades of training loss, measured / predicted")
    axis.set_title("How much of the kernel's pace is kept")
    axis.legend(fontsize=7.5)
