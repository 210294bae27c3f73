"""Figures: each a function from the table of records to a matplotlib figure, or to None where there is nothing to draw."""

from skipbench.results.figures.comparisons import kernel_against_network_figure, residual_against_plain_figure
from skipbench.results.figures.conditioning import conditioning_figure, predictors_figure
from skipbench.results.figures.convergence import iterations_figure, run_times_figure
from skipbench.results.figures.files import CURVE_FIGURES, FIGURES, write_figures
from skipbench.results.figures.overview import overview_figure
from skipbench.results.figures.ranking import ranking_figure
from skipbench.results.figures.style import save_svg, svg_text
from skipbench.results.figures.sweeps import depth_figure, learning_curve_figure
from skipbench.results.figures.twins import laziness_figure, loss_curves_figure, width_study_figure

__all__ = [
    "CURVE_FIGURES",
    "FIGURES",
    "conditioning_figure",
    "depth_figure",
    "iterations_figure",
    "kernel_against_network_figure",
    "laziness_figure",
    "learning_curve_figure",
    "loss_curves_figure",
    "overview_figure",
    "predictors_figure",
    "ranking_figure",
    "residual_against_plain_figure",
    "run_times_figure",
    "save_svg",
    "svg_text",
    "width_study_figure",
    "write_figures",
]
