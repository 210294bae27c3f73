"""Which recipe trains a practical network best, by rows that neither train it nor test it, and what the methods beside it take.

A recipe is what a practitioner sets: step size, weight decay, length of the schedule, width, augmentation. It is chosen once, by the mean
validation accuracy over data sets, for networks with and without skips alike; the test accuracy has no part in it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from skipbench.results.statistics.cells import current_cells, joined, ok_cells
from skipbench.results.words import counted

METHOD = "practical-network"
COMPARED_UNDER_A_RECIPE = ("residual",)
_WITNESS = ["dataset_label", "split", "data_seed", "seed", "residual"]


@dataclass(frozen=True, slots=True)
class RecipeScore:
    """Validation accuracies of one recipe in [0, 1]: means over data sets, each the mean over its own splits and seeds.

    plain, residual: of networks without and with skips; mean: of these two. None where no such cell has finished. seconds: the median
    of a cell. unfinished: cells of another recipe that this one lacks, as they failed or did not run; recipes with such come last.
    """

    suite: str
    recipe: str
    plain: float | None
    residual: float | None
    mean: float | None
    seconds: float | None
    n_datasets: int
    n_cells: int
    unfinished: int


@dataclass(frozen=True, slots=True)
class AccuracyAndTime:
    """Test accuracy in [0, 1] of one method on one data set, its deviation over splits and seeds, and the seconds of a cell.

    deviation: None for a single cell. seconds: median, least and most of all phases but warm-up. machine: processors and threads.
    """

    suite: str
    dataset: str
    method: str
    accuracy: float
    deviation: float | None
    seconds: tuple[float, float, float]
    machine: str
    n: int


def recipe_scores(frame: pd.DataFrame) -> list[RecipeScore]:
    """All recipes of each suite that has two or more, the best first."""
    cells = _practical(frame)
    cells = cells[cells["status"] != "skipped"]
    scores: list[RecipeScore] = []
    for suite, own in cells.groupby("suite"):
        settings = [json.loads(text) for text in own["parameters"]]
        witnesses = joined(own, _WITNESS)
        recipes = pd.Series(_recipes(settings), index=own.index)
        found = [_score(str(suite), str(recipe), rows, witnesses.nunique()) for recipe, rows in own.groupby(recipes)]
        scores += sorted(found, key=_rank) if len(found) > 1 else []
    return scores


def accuracies_and_times(frame: pd.DataFrame) -> list[AccuracyAndTime]:
    """Of every method of the suites that have practical networks, the most accurate first; suites that search recipes are left out."""
    searching = {score.suite for score in recipe_scores(frame)}
    cells = ok_cells(current_cells(frame))
    suites = set(_practical(frame)["suite"]) - searching
    cells = cells[cells["suite"].isin(suites) & cells["seconds"].notna()]
    found = [_accuracy_and_time(rows) for _, rows in cells.groupby(["suite", "dataset_label", "method_key"])]
    return sorted(found, key=lambda each: (each.suite, each.dataset, -each.accuracy, each.method))


def _practical(frame: pd.DataFrame) -> pd.DataFrame:
    cells = current_cells(frame)
    return cells[cells["method"] == METHOD]


def _recipes(settings: list[dict[str, Any]]) -> list[str]:
    """What differs between recipes, by name; what one of them leaves out has its default there."""
    names = sorted({name for each in settings for name in each} - set(COMPARED_UNDER_A_RECIPE))
    varied = [name for name in names if len({json.dumps(each.get(name)) for each in settings}) > 1]
    return [", ".join(f"{name} {each.get(name, 'default')}" for name in varied) for each in settings]


def _score(suite: str, recipe: str, cells: pd.DataFrame, witnesses: int) -> RecipeScore:
    done = cells[(cells["status"] == "ok") & cells["validation_accuracy"].notna()]
    by_kind = {bool(kind): _mean_over_datasets(rows) for kind, rows in done.groupby(done["residual"].astype(bool))}
    return RecipeScore(
        suite=suite,
        recipe=recipe,
        plain=by_kind.get(False),
        residual=by_kind.get(True),
        mean=float(np.mean(list(by_kind.values()))) if by_kind else None,
        seconds=float(done["seconds"].median()) if len(done) else None,
        n_datasets=done["dataset_label"].nunique(),
        n_cells=len(done),
        unfinished=witnesses - len(done),
    )


def _mean_over_datasets(cells: pd.DataFrame) -> float:
    return float(cells.groupby("dataset_label")["validation_accuracy"].mean().mean())


def _rank(score: RecipeScore) -> tuple[bool, float, str]:
    return score.unfinished > 0, -(score.mean or 0.0), score.recipe


def _accuracy_and_time(cells: pd.DataFrame) -> AccuracyAndTime:
    seconds, first = cells["seconds"], cells.iloc[0]
    processors = cells["gpu"].fillna(cells["cpu"])
    machines = sorted({f"{processor}, {counted(n, 'thread')}" for processor, n in zip(processors, cells["threads"], strict=True)})
    return AccuracyAndTime(
        suite=str(first["suite"]),
        dataset=str(first["dataset_label"]),
        method=str(first["method_label"]),
        accuracy=float(cells["accuracy"].mean()),
        deviation=float(cells["accuracy"].std(ddof=1)) if len(cells) > 1 else None,
        seconds=(float(seconds.median()), float(seconds.min()), float(seconds.max())),
        machine="; ".join(machines),
        n=len(cells),
    )
