"""The picture of the README: the ranking, kernel against network, what skips change, and the speed of convergence."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from skipbench.results.figures.comparisons import draw_kernel_against_network, draw_residual_against_plain
from skipbench.results.figures.convergence import conditioned_cells, draw_iterations
from skipbench.results.figures.ranking import draw_block
from skipbench.results.figures.style import figure_style, new_figure
from skipbench.results.statistics.comparisons import kernel_against_network, residual_against_plain
from skipbench.results.statistics.ranking import rank_methods

_METHODS, _PAIRS = 14, 12


def overview_figure(frame: pd.DataFrame) -> Figure | None:
    """Four panels from one table of records; a panel without data says so. None where no cell finished."""
    blocks = rank_methods(frame).blocks
    if not blocks:
        return None
    largest = max(blocks, key=lambda block: (block.n_cells, block.inputs))
    with figure_style():
        figure, (first, second, third, fourth) = new_figure(13.0, 9.0, rows=2, columns=2)
        draw_block(first, largest, most=_METHODS)
        compared = kernel_against_network(frame)
        if compared:
            draw_kernel_against_network(second, compared)
        pairs = residual_against_plain(frame)
        if pairs:
            draw_residual_against_plain(third, pairs, most=_PAIRS)
        cells = conditioned_cells(frame)
        if len(cells):
            draw_iterations(fourth, cells, "iterations_99")
            fourth.set_ylabel("iterations of gradient descent")
            fourth.set_title("Iterations to 99 % loss reduction, kernels")
            fourth.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
        for axis, drawn in ((second, compared), (third, pairs), (fourth, len(cells))):
            if not drawn:
                axis.set_axis_off()
                axis.text(0.5, 0.5, "no cells for this panel", ha="center", transform=axis.transAxes)
    return figure
