"""Recipes of practical networks, and accuracy and time, in Markdown tables."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from skipbench.results.statistics.markdown import table
from skipbench.results.statistics.recipes import AccuracyAndTime, RecipeScore, accuracies_and_times, recipe_scores
from skipbench.results.words import accuracy_text, printable, seconds_text


def recipe_sections(frame: pd.DataFrame) -> list[str]:
    """The tables that have rows."""
    return [section for section in (_recipes(recipe_scores(frame)), _times(accuracies_and_times(frame))) if section]


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
