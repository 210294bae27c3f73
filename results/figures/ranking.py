"""The ranking drawn: accuracy with its interval, one panel for each block."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from skipbench.results.figures.style import COLORS, INK, drawn_name, figure_style, new_figure, percent_axis
from skipbench.results.statistics.ranking import Ranking, RankingBlock, rank_methods

MOST_METHODS = 40
_ROW_INCHES = 0.24


def ranking_figure(frame: pd.DataFrame, ranking: Ranking | None = None) -> Figure | None:
    """Mean accuracy of every ranked method with its 95 % interval, its data sets as small marks. None if nothing is ranked."""
    blocks = (rank_methods(frame) if ranking is None else ranking).blocks
    if not blocks:
        return None
    with figure_style():
        heights = [min(len(block.methods), MOST_METHODS) * _ROW_INCHES + 1.2 for block in blocks]
        figure, axes = new_figure(8.0, sum(heights), rows=len(blocks), heights=heights)
        for axis, block in zip(axes, blocks, strict=True):
            draw_block(axis, block)
    return figure


def draw_block(axis: Axes, block: RankingBlock, *, most: int = MOST_METHODS) -> None:
    """One block on one axis, the best method on top."""
    shown = block.methods[:most]
    for row, method in enumerate(shown):
        color = COLORS[method.family]
        if method.accuracy_interval is not None:
            axis.plot(method.accuracy_interval, [row, row], color=color, linewidth=2.5, alpha=0.45, solid_capstyle="round")
        if len(method.scores) > 1:
            axis.plot([score.mean for score in method.scores], [row] * len(method.scores), "|", color=color, markersize=6, alpha=0.7)
        axis.plot([method.mean_accuracy], [row], "o", color=color, markersize=5.5)
    axis.set_yticks(range(len(shown)), [f"{drawn_name(method.label)}  {method.group_letters}" for method in shown])
    axis.set_ylim(len(shown) - 0.5, -0.5)
    axis.grid(visible=False, axis="y")
    percent_axis(axis, "x")
    left, right = axis.get_xlim()
    axis.set_xlim(max(left, -0.01), min(right, 1.01))
    legend = "dot: mean over data sets, ticks: each of them, bar: 95 %" if len(block.datasets) > 1 else "bar: 95 %"
    axis.set_xlabel(f"test accuracy in % ({legend})")
    many = len(block.datasets) > 4  # more names than fit
    names = f"{len(block.datasets)} data sets" if many else ", ".join(drawn_name(name, 24) for name in block.datasets)
    setting = f", {drawn_name(block.setting, 24)}" if block.setting else ""
    left_out = f"; {len(block.methods) - most} more below" if len(block.methods) > most else ""
    axis.set_title(f"{drawn_name(block.suite, 24)}{setting}: {names}{left_out}", pad=20)  # the legend stands below it
    families = [family for family in ("kernel", "network", "baseline") if any(method.family == family for method in shown)]
    for family in families:
        axis.plot([], [], "o", color=COLORS[family], label=family)
    axis.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.2, handletextpad=0.2, labelcolor=INK)
