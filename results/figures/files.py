"""All figures of a table of records as SVG files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from skipbench.results.curves import Curves
from skipbench.results.figures.comparisons import kernel_against_network_figure, residual_against_plain_figure
from skipbench.results.figures.conditioning import conditioning_figure, predictors_figure
from skipbench.results.figures.convergence import iterations_figure, run_times_figure
from skipbench.results.figures.overview import overview_figure
from skipbench.results.figures.ranking import ranking_figure
from skipbench.results.figures.style import save_svg
from skipbench.results.figures.sweeps import depth_figure, learning_curve_figure
from skipbench.results.figures.twins import laziness_figure, loss_curves_figure, width_study_figure

FIGURES: dict[str, Callable[[pd.DataFrame], Figure | None]] = {
    "overview": overview_figure,
    "ranking": ranking_figure,
    "kernel-against-network": kernel_against_network_figure,
    "residual-against-plain": residual_against_plain_figure,
    "iterations": iterations_figure,
    "run-times": run_times_figure,
    "depth": depth_figure,
    "conditioning": conditioning_figure,
    "predictors": predictors_figure,
    "learning-curve": learning_curve_figure,
    "width-study": width_study_figure,
}
CURVE_FIGURES: dict[str, Callable[[pd.DataFrame, Curves], Figure | None]] = {
    "loss-curves": loss_curves_figure,
    "laziness": laziness_figure,
}


def write_figures(frame: pd.DataFrame, folder: Path, curves: Curves | None = None) -> list[Path]:
    """Write each figure that has something to show as NAME.svg into the folder; returns their paths.

    curves: of the records in the frame; without them the figures of `CURVE_FIGURES` are left out.
    """
    drawn = {name: draw(frame) for name, draw in FIGURES.items()}
    drawn |= {} if curves is None else {name: draw(frame, curves) for name, draw in CURVE_FIGURES.items()}
    return [save_svg(figure, folder / f"{name}.svg") for name, figure in drawn.items() if figure is not None]
