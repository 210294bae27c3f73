"""What recipes, methods and engines cost and what they give, in Markdown tables."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from skipbench.results.statistics.engine_times import BEFORE, EngineTimes, engine_times
from skipbench.results.statistics.markdown import table
from skipbench.results.statistics.recipes import AccuracyAndTime, RecipeScore, accuracies_and_times, recipe_scores
from skipbench.results.words import accuracy_text, printable, seconds_text


def cost_sections(frame: pd.DataFrame) -> list[str]:
    """The tables that have rows."""
    tables = (_recipes(recipe_scores(frame)), _times(accuracies_and_times(frame)), _engines(engine_times(frame)))
    return [each for each in tables if each]


def _recipes(scores: Sequence[RecipeScore]) -> str:
    rows = [
        (
            printable(each.suite),
            each.recipe,
            accuracy_text(each.plain),
            accuracy_text(each.residual),
            accuracy_text(each.mean),
            "-" if each.seconds is None else seconds_text(each.seconds),
            str(each.n_datasets),
            str(each.n_cells),
            str(each.unfinished),
        )
        for each in scores
    ]
    header = ("suite", "recipe", "without skips", "with skips", "mean", "seconds a cell", "data sets", "cells", "unfinished")
    return "## Recipes by accuracy on validation rows, in %\n\n" + table(header, rows, words=2) if rows else ""


def _times(found: Sequence[AccuracyAndTime]) -> str:
    rows = [
        (
            printable(each.suite),
            each.dataset,
            each.method,
            each.machine,
            accuracy_text(each.accuracy, each.deviation),
            _range(each.seconds),
            str(each.n),
        )
        for each in found
    ]
    header = ("suite", "data set", "method", "machine", "test accuracy in %", "seconds a cell: median (range)", "cells")
    return "## Accuracy and time\n\n" + table(header, rows, words=4) if rows else ""


def _range(seconds: tuple[float, float, float]) -> str:
    median, least, most = map(seconds_text, seconds)
    return median if least == most else f"{median} ({least} to {most})"


def _engines(found: Sequence[EngineTimes]) -> str:
    rows = [
        (
            printable(each.suite),
            each.dataset,
            each.engine,
            str(each.n),
            f"{seconds_text(each.own_before)} → {seconds_text(each.own)}",
            f"{each.own_before / each.own:.3g}",
            f"{seconds_text(each.alone_before)} → {seconds_text(each.alone)}",
            f"{each.alone_before / each.alone:.3g}",
            f"{100 * each.accuracy_difference:.2g}",
        )
        for each in found
    ]
    header = (
        "suite",
        "data set",
        f"from {BEFORE} to",
        "cells",
        "spent by the run, kernels shared",
        "ratio",
        "each cell by itself",
        "ratio",
        "largest difference in accuracy, points",
    )
    return "## What an engine changes: seconds of the same cells in one run\n\n" + table(header, rows, words=3) if rows else ""
