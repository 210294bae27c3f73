"""How fast twins approach their kernel as they get wider: distances fall as width^b, b fitted on logarithms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from skipbench.results.statistics.cells import current_cells
from skipbench.results.statistics.censored_fits import bootstrap_fit

FEWEST_WIDTHS = 3
DISTANCES = {
    "prediction_distance": "predictions, after training",
    "tangent_distance_start": "tangent kernel, before training",
    "tangent_distance_end": "tangent kernel, after training",
}


@dataclass(frozen=True, slots=True)
class WidthSlope:
    """b of distance ~ width^b for one method and architecture on one data set; interval: 95 %, from a bootstrap over seeds and splits."""

    dataset: str
    method: str
    architecture: str
    residual: bool
    quantity: str
    widths: tuple[int, ...]
    medians: tuple[float, ...]
    slope: float
    interval: tuple[float, float] | None
    n: int


def width_slopes(frame: pd.DataFrame) -> list[WidthSlope]:
    """One for each data set, method, architecture and distance that was measured at three widths or more."""
    cells = current_cells(frame)
    cells = cells[(cells["status"] == "ok") & cells["width"].notna() & cells["architecture"].notna()]
    keys = ["suite", "dataset_label", "method", "architecture_key"]
    found = [_slope(own, quantity) for _, own in cells.groupby(keys) for quantity in DISTANCES]
    return [slope for slope in found if slope is not None]


def _slope(cells: pd.DataFrame, quantity: str) -> WidthSlope | None:
    measured = cells[np.isfinite(cells[quantity].astype(float)) & (cells[quantity] > 0)]
    medians = measured.groupby("width")[quantity].median()
    if len(medians) < FEWEST_WIDTHS:
        return None
    repeats = [f"{seed}, {split}" for seed, split in zip(measured["seed"], measured["split"], strict=True)]
    x, y = np.log10(measured["width"].to_numpy(dtype=float)), np.log10(measured[quantity].to_numpy(dtype=float))
    fit = bootstrap_fit(x, y, np.zeros(len(x), dtype=bool), repeats)
    row = measured.iloc[0]
    alpha = f", α = {row['alpha']}" if row["residual"] is True or row["residual"] == True else ""  # noqa: E712 - pandas' own booleans
    return WidthSlope(
        dataset=str(row["dataset_label"]),
        method=str(row["method"]),
        architecture=f"{row['architecture']}({row['depth']}{alpha})",
        residual=bool(alpha),
        quantity=quantity,
        widths=tuple(int(width) for width in medians.index),
        medians=tuple(float(value) for value in medians),
        slope=fit.line.slope,
        interval=fit.slope_interval,
        n=len(measured),
    )
