"""What the run time of cells is by one engine and by another, where a suite computed the same cells by both."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pandas as pd

from skipbench.results.statistics.cells import current_cells, joined, ok_cells

BEFORE = "reference"
_PLACE = ["suite", "dataset_label", "split", "seed", "data_seed", "method", "device", "dtype"]


@dataclass(frozen=True, slots=True)
class EngineTimes:
    """Seconds of the cells of one data set by `BEFORE` and by another engine, summed over the n cells that both finished.

    own: what the run spent, where a kernel that serves several cells counts once. alone: what the cells take each by itself.
    accuracy_difference: the largest between the two engines on one cell, in [0, 1].
    """

    suite: str
    dataset: str
    engine: str
    n: int
    own_before: float
    own: float
    alone_before: float
    alone: float
    accuracy_difference: float


def engine_times(frame: pd.DataFrame) -> list[EngineTimes]:
    """One for each suite, data set and engine that computed cells which the reference engine computed, too."""
    cells = _placed(ok_cells(current_cells(frame))).dropna(subset=["engine", "own_seconds"])
    before = cells[cells["engine"] == BEFORE]
    pairs = before.merge(cells[cells["engine"] != BEFORE], on="place", suffixes=("_before", ""))
    return [_times(own) for _, own in pairs.groupby(["suite", "dataset_label", "engine"])]


def by_one_engine(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells without those of the reference engine that another engine computed, too: they would count every kernel twice."""
    placed = _placed(cells)
    elsewhere = set(placed.loc[placed["engine"] != BEFORE, "place"])
    return cells[~((placed["engine"] == BEFORE) & placed["place"].isin(elsewhere))]


def _placed(cells: pd.DataFrame) -> pd.DataFrame:
    """With the columns `engine`, None where the parameters name none, and `place`, equal for cells that differ in it alone."""
    settings = [json.loads(text) for text in cells["parameters"].fillna("{}")]
    cells = cells.assign(engine=[each.pop("engine", None) for each in settings])
    cells = cells.assign(rest=[json.dumps(each, sort_keys=True) for each in settings])
    return cells.assign(place=joined(cells, [*_PLACE, "rest", "architecture_key"]))


def _times(pairs: pd.DataFrame) -> EngineTimes:
    first, sums = pairs.iloc[0], pairs[["own_seconds_before", "own_seconds", "seconds_before", "seconds"]].sum()
    return EngineTimes(
        suite=str(first["suite"]),
        dataset=str(first["dataset_label"]),
        engine=str(first["engine"]),
        n=len(pairs),
        own_before=float(sums["own_seconds_before"]),
        own=float(sums["own_seconds"]),
        alone_before=float(sums["seconds_before"]),
        alone=float(sums["seconds"]),
        accuracy_difference=float((pairs["accuracy"] - pairs["accuracy_before"]).abs().max()),
    )
