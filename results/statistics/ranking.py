"""Rankings that say how far they can be trusted: on the complete common block, with rank intervals and groups of ties.

A unit is one split of one data set; a method's score on it is its mean test accuracy over seeds. Methods are compared only on the units
that all of them finished. Vectors and images are ranked apart, since the methods that read them differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

DRAWS = 2000
LEVEL = 0.95
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class RankedMethod:
    """One line of a ranking. Accuracies are shares; ranks count from 1.

    accuracy: mean over data sets of the mean over splits and seeds. spread: standard deviation over splits and seeds, mean over data sets.
    rank: mean over data sets; rank_low..rank_high: bootstrap interval of the rank by accuracy. group: methods with the same letter cannot
    be told apart from the first of the group. p90, p95: share of data sets where it reaches 90 / 95 % of the best. pma: mean of accuracy/best.
    """

    label: str
    family: str
    accuracy: float
    spread: float
    rank: float
    rank_low: int
    rank_high: int
    group: str
    p90: float
    p95: float
    pma: float
    by_dataset: dict[str, float]
    not_ok: int


@dataclass(frozen=True)
class Ranking:
    """Methods on one kind of input, best first, and what they were compared on."""

    inputs: str
    methods: tuple[RankedMethod, ...]
    datasets: tuple[str, ...]
    units: int
    units_left_out: int
    left_out: tuple[str, ...]


def rank_methods(frame: pd.DataFrame, *, seed: int = 0) -> list[Ranking]:
    """One ranking for each kind of input in a table of cell records, the kind with most data sets first. seed: of the bootstrap."""
    if not len(frame) or "inputs" not in frame:
        return []
    rankings = [_ranking(str(inputs), part, seed) for inputs, part in frame.groupby("inputs")]
    return sorted((ranking for ranking in rankings if ranking.methods), key=lambda ranking: -len(ranking.datasets))


def _ranking(inputs: str, frame: pd.DataFrame, seed: int) -> Ranking:
    finished = frame[frame["status"] == "ok"]
    table = finished.pivot_table(index=["dataset", "split"], columns="label", values="accuracy", aggfunc="mean")
    planned = frame.groupby(["dataset", "split"]).ngroups
    common = table.dropna()
    never = tuple(sorted(set(frame["label"]) - set(table.columns)))
    if not len(common):
        return Ranking(inputs, (), (), 0, planned, tuple(sorted(set(frame["label"]))))
    datasets = tuple(dict.fromkeys(common.index.get_level_values("dataset")))
    units = [common.loc[[name]].to_numpy() for name in datasets]  # for each data set (splits, methods)
    labels = [str(label) for label in common.columns]
    methods = _ranked(labels, datasets, units, frame, np.random.default_rng(seed))
    return Ranking(inputs, methods, datasets, len(common), planned - len(common), never)


def _ranked(
    labels: list[str], datasets: tuple[str, ...], units: list[Scores], frame: pd.DataFrame, generator: np.random.Generator
) -> tuple[RankedMethod, ...]:
    by_dataset = np.stack([scores.mean(axis=0) for scores in units])  # (data sets, methods)
    accuracy = by_dataset.mean(axis=0)
    draws = _bootstrap(units, generator)
    low, high = _rank_intervals(draws)
    ranks = rankdata(-by_dataset, axis=1).mean(axis=0)
    best = by_dataset.max(axis=1, keepdims=True)
    share = np.divide(by_dataset, best, out=np.ones_like(by_dataset), where=best > 0)
    order = sorted(range(len(labels)), key=lambda index: (-accuracy[index], labels[index]))
    groups = _tie_groups(order, draws)
    spreads, families, failures = _by_label(frame)
    return tuple(
        RankedMethod(
            label=labels[index],
            family=families[labels[index]],
            accuracy=float(accuracy[index]),
            spread=spreads[labels[index]],
            rank=float(ranks[index]),
            rank_low=int(low[index]),
            rank_high=int(high[index]),
            group=groups[index],
            p90=float((share[:, index] >= 0.9).mean()),
            p95=float((share[:, index] >= 0.95).mean()),
            pma=float(share[:, index].mean()),
            by_dataset=dict(zip(datasets, by_dataset[:, index].tolist(), strict=True)),
            not_ok=failures[labels[index]],
        )
        for index in order
    )


def _bootstrap(units: list[Scores], generator: np.random.Generator) -> Scores:
    """Mean accuracies (draws, methods): data sets drawn with replacement, then the splits of each."""
    result = np.empty((DRAWS, units[0].shape[1]))
    for draw in range(DRAWS):
        chosen = generator.integers(len(units), size=len(units))
        result[draw] = np.mean([_resampled_mean(units[index], generator) for index in chosen], axis=0)
    return result


def _resampled_mean(scores: Scores, generator: np.random.Generator) -> Scores:
    mean: Scores = scores[generator.integers(len(scores), size=len(scores))].mean(axis=0)
    return mean


def _rank_intervals(draws: Scores) -> tuple[Scores, Scores]:
    """The narrowest whole ranks that hold 95 % of the draws at either end; ties within a draw take their mean rank."""
    ranks = rankdata(-draws, axis=1)
    tail = 100 * (1 - LEVEL) / 2
    return np.floor(np.percentile(ranks, tail, axis=0)), np.ceil(np.percentile(ranks, 100 - tail, axis=0))


def _tie_groups(order: list[int], draws: Scores) -> dict[int, str]:
    """Letters from the best down: a new group begins where the paired interval of the difference to the group's first leaves out 0."""
    groups: dict[int, str] = {}
    leader, letter = order[0], 0
    for index in order:
        difference = draws[:, leader] - draws[:, index]
        if np.percentile(difference, 100 * (1 - LEVEL) / 2) > 0:
            leader, letter = index, letter + 1
        groups[index] = chr(ord("A") + letter) if letter < 26 else f"Z{letter - 25}"
    return groups


def _by_label(frame: pd.DataFrame) -> tuple[dict[str, float], dict[str, str], dict[str, int]]:
    finished = frame[frame["status"] == "ok"]
    deviations = finished.groupby(["label", "dataset"])["accuracy"].std(ddof=1).groupby("label").mean().fillna(0.0)
    families = frame.groupby("label")["family"].first()
    failures = (frame["status"] != "ok").groupby(frame["label"]).sum()
    return (
        {str(label): float(value) for label, value in deviations.items()},
        {str(label): str(value) for label, value in families.items()},
        {str(label): int(value) for label, value in failures.items()},
    )
