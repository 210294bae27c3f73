"""The ranking: methods over data sets, on what all of them finished, with spread, rank intervals and tie groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from skipbench.results.statistics.blocks import CommonBlock, common_blocks, completeness
from skipbench.results.statistics.cells import current_cells
from skipbench.results.statistics.resampling import (
    Array,
    Repeats,
    bootstrap_means,
    letters,
    position_intervals,
    separable_pairs,
    tie_groups,
)

DRAWS = 2000
SEED = 0


@dataclass(frozen=True, slots=True)
class DatasetScore:
    """Accuracy on one data set: the mean over splits and seeds and, from two cells on, their standard deviation."""

    dataset: str
    mean: float
    spread: float | None
    n_cells: int


@dataclass(frozen=True, slots=True)
class RankedMethod:
    """One row of a ranking. What needs repeats, or two data sets, is None without them."""

    label: str
    family: str
    position: float  # by mean accuracy; equal ones share the mean of their positions
    position_interval: tuple[int, int] | None
    groups: tuple[int, ...]
    mean_accuracy: float
    accuracy_interval: tuple[float, float] | None
    spread: float | None  # mean over data sets of the standard deviation over splits and seeds
    mean_rank: float | None  # Friedman: mean over data sets of the rank on each
    p90: float | None  # share of data sets on which it reaches 90 % of the best accuracy
    p95: float | None
    pma: float | None  # mean of accuracy / best accuracy
    scores: tuple[DatasetScore, ...]
    n_cells: int
    not_ok: dict[str, int]  # its other cells on these data sets, by status

    @property
    def group_letters(self) -> str:
        """The tie groups as letters; methods that share one cannot be told apart."""
        return letters(self.groups)


@dataclass(frozen=True, slots=True)
class LeftOutMethod:
    """A method that has records on the block's data sets but not enough finished ones to be ranked there."""

    label: str
    n_complete: int  # of the block's splits
    mean_accuracy: float | None  # over whatever finished: not comparable with the ranked ones
    statuses: dict[str, int]


@dataclass(frozen=True, slots=True)
class LeftOutSplit:
    """A split of one of the block's data sets that not every ranked method finished."""

    dataset: str
    split: int
    missing: tuple[str, ...]  # the ranked methods that lack it


@dataclass(frozen=True, slots=True)
class RankingBlock:
    """A ranking on one complete common block: every method has every cell."""

    suite: str
    setting: str  # the protocol, where the suite runs a data set by several
    inputs: str
    datasets: tuple[str, ...]
    n_splits: int  # (data set, split) pairs
    n_cells: int
    n_cells_left_out: int
    methods: tuple[RankedMethod, ...]
    left_out_methods: tuple[LeftOutMethod, ...]
    left_out_splits: tuple[LeftOutSplit, ...]
    note: str  # how far the intervals and groups can be trusted


@dataclass(frozen=True, slots=True)
class Ranking:
    """All blocks, and how many of the current cells ended how. `n_superseded` older runs of the same cells count nowhere."""

    blocks: tuple[RankingBlock, ...]
    statuses: dict[str, int]
    n_superseded: int

    @property
    def n_cells(self) -> int:
        """Current cells of any status."""
        return sum(self.statuses.values())


def rank_methods(frame: pd.DataFrame, *, draws: int = DRAWS, seed: int = SEED) -> Ranking:
    """Rank the methods of a records table (see `load_records`) in each suite and for each kind of input.

    Methods are ordered by their mean accuracy over data sets (each the mean over its splits and seeds) on the largest block of
    methods and splits that is complete; vector and image methods, which share no data, form blocks of their own. Rank intervals
    and tie groups come from a nested bootstrap over data sets, splits and seeds (`draws` draws, seeded): see `resampling`.
    """
    cells = current_cells(frame)
    blocks = tuple(_ranking_block(block, draws, seed) for block in common_blocks(cells))
    return Ranking(blocks, _counts(cells["status"]), len(frame) - len(cells))


def _ranking_block(block: CommonBlock, draws: int, seed: int) -> RankingBlock:
    repeats = [_repeats(block, dataset) for dataset in block.datasets]
    by_dataset = np.stack([entry.means for entry in repeats])  # (data sets, methods)
    means = by_dataset.mean(axis=0)
    order = np.array(sorted(range(len(means)), key=lambda row: (-round(float(means[row]), 12), block.methods[row])))
    repeats = [Repeats(tuple(entry.methods[row] for row in order)) for entry in repeats]
    methods = _ranked([block.methods[row] for row in order], repeats, block, draws, seed)
    return RankingBlock(
        suite=block.suite,
        setting=block.setting,
        inputs=block.inputs,
        datasets=block.datasets,
        n_splits=len(block.units),
        n_cells=len(block.cells),
        n_cells_left_out=len(block.considered) - len(block.cells),
        methods=methods,
        left_out_methods=_left_out_methods(block),
        left_out_splits=_left_out_splits(block),
        note=_note(repeats),
    )


def _repeats(block: CommonBlock, dataset: str) -> Repeats:
    """The block's accuracies on one data set, methods in the block's order. Complete: each split has all seeds of a method."""
    cells = block.cells[block.cells["dataset_label"] == dataset].sort_values(["split", "seed", "order_seed"])
    n_splits = cells["split"].nunique()
    values = [cells.loc[cells["method_label"] == method, "accuracy"].to_numpy(dtype=float) for method in block.methods]
    return Repeats(tuple(accuracies.reshape(n_splits, -1) for accuracies in values))


def _ranked(labels: list[str], repeats: list[Repeats], block: CommonBlock, draws: int, seed: int) -> tuple[RankedMethod, ...]:
    by_dataset = np.stack([entry.means for entry in repeats])
    means = by_dataset.mean(axis=0)
    positions = rankdata(-np.round(means, 12))
    sampled = bootstrap_means(repeats, draws, seed) if has_repeats(repeats) else None
    groups = _groups(means, sampled, repeats)
    many = len(repeats) > 1
    ranks = rankdata(-np.round(by_dataset, 12), axis=1).mean(axis=0)
    shares = _share_of_best(by_dataset)
    return tuple(
        RankedMethod(
            label=label,
            family=str(block.cells.loc[block.cells["method_label"] == label, "family"].iloc[0]),
            position=float(positions[row]),
            position_interval=None if sampled is None else position_intervals(sampled, positions)[row],
            groups=groups[row],
            mean_accuracy=float(means[row]),
            accuracy_interval=None if sampled is None else _interval(sampled[:, row]),
            spread=_mean_spread([entry.methods[row] for entry in repeats]),
            mean_rank=float(ranks[row]) if many else None,
            p90=float((shares[:, row] >= 0.90).mean()) if many else None,
            p95=float((shares[:, row] >= 0.95).mean()) if many else None,
            pma=float(shares[:, row].mean()) if many else None,
            scores=tuple(_score(name, entry.methods[row]) for name, entry in zip(block.datasets, repeats, strict=True)),
            n_cells=sum(entry.methods[row].size for entry in repeats),
            not_ok=_not_ok(block.considered, label),
        )
        for row, label in enumerate(labels)
    )


def has_repeats(repeats: Sequence[Repeats]) -> bool:
    """Whether anything can be drawn again: two data sets, two splits or two seeds."""
    return len(repeats) > 1 or any(values.size > 1 for values in repeats[0].methods)


def _groups(means: Array, sampled: Array | None, repeats: Sequence[Repeats]) -> list[tuple[int, ...]]:
    if sampled is None:
        return tie_groups(np.zeros((len(means), len(means)), dtype=bool))
    drawn_data = len(repeats) > 1 or repeats[0].n_splits > 1
    return tie_groups(separable_pairs(means, sampled, trust_constant=drawn_data))


def _note(repeats: Sequence[Repeats]) -> str:
    if not has_repeats(repeats):
        return "One split and one seed: nothing can be said about chance, so all methods share one tie group."
    if len(repeats) == 1 and repeats[0].n_splits == 1:
        return "One split only: intervals show the seeds of training, not another draw of the data."
    if len(repeats) == 1:
        return "One data set: intervals are over its splits and seeds. Splits share rows, so they are somewhat too narrow."
    if len(repeats) < 6:
        return f"Intervals are over {len(repeats)} data sets, their splits and seeds; with so few data sets they are a rough guide."
    return f"Intervals are over {len(repeats)} data sets, their splits and seeds."


def _share_of_best(by_dataset: Array) -> Array:
    best = by_dataset.max(axis=1, keepdims=True)
    shares: Array = np.divide(by_dataset, best, out=np.ones_like(by_dataset), where=best > 0)
    return shares


def _interval(sampled: Array, level: float = 0.95) -> tuple[float, float]:
    low, high = np.quantile(sampled, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _score(dataset: str, values: Array) -> DatasetScore:
    return DatasetScore(dataset, float(values.mean()), _deviation(values), values.size)


def _deviation(values: Array) -> float | None:
    return float(values.std(ddof=1)) if values.size > 1 else None


def _mean_spread(values: Sequence[Array]) -> float | None:
    spreads = [spread for spread in map(_deviation, values) if spread is not None]
    return float(np.mean(spreads)) if spreads else None


def _counts(statuses: pd.Series[str]) -> dict[str, int]:
    return {str(status): int(n) for status, n in statuses.value_counts().sort_index().items()}


def _not_ok(cells: pd.DataFrame, label: str) -> dict[str, int]:
    own = cells[cells["method_label"] == label]
    return _counts(own.loc[own["status"] != "ok", "status"])


def _left_out_methods(block: CommonBlock) -> tuple[LeftOutMethod, ...]:
    others = block.considered[~block.considered["method_label"].isin(block.methods)]
    complete = completeness(block.considered)
    left = []
    for label, own in others.groupby("method_label", sort=True):
        finished = [unit for unit in block.units if label in complete.index and complete.loc[label, unit]]
        accuracies = own.loc[own["status"] == "ok", "accuracy"].dropna()
        mean = float(accuracies.mean()) if len(accuracies) else None
        left.append(LeftOutMethod(str(label), len(finished), mean, _counts(own["status"])))
    return tuple(left)


def _left_out_splits(block: CommonBlock) -> tuple[LeftOutSplit, ...]:
    own = block.considered[block.considered["method_label"].isin(block.methods)]
    units = own[["dataset_label", "split"]].drop_duplicates().sort_values(["dataset_label", "split"])
    complete = completeness(block.considered)
    left = []
    for dataset, split in units.itertuples(index=False):
        if (dataset, split) not in block.units:
            there = complete[(dataset, split)] if (dataset, split) in complete.columns else pd.Series(dtype=bool)
            missing = tuple(label for label in block.methods if not there.get(label, False))
            left.append(LeftOutSplit(str(dataset), int(split), missing))
    return tuple(left)
