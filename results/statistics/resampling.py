"""What another draw of data sets, splits and seeds might have shown: a nested bootstrap, and which methods it can tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Array = NDArray[np.float64]
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Repeats:
    """Accuracies of each method on one data set: an array (splits, seeds) for each method; seeds may differ between methods."""

    methods: tuple[Array, ...]

    @property
    def means(self) -> Array:
        """(methods,): the mean over splits and seeds."""
        return np.array([values.mean() for values in self.methods])

    @property
    def n_splits(self) -> int:
        """How many splits there are, the same for all methods."""
        return len(self.methods[0])


def bootstrap_means(datasets: Sequence[Repeats], draws: int, seed: int) -> Array:
    """(draws, methods): mean accuracy over data sets, each time with other data sets, splits and seeds.

    Data sets are drawn with replacement; inside each drawn one its splits, the same for all methods; inside each split the
    method's own seeds. A level with one entry contributes nothing, so one data set alone is judged by its splits and seeds.
    """
    generator = np.random.default_rng(seed)
    inner = np.stack([_draw_splits_and_seeds(repeats, draws, generator) for repeats in datasets])
    chosen = generator.integers(len(datasets), size=(draws, len(datasets)))
    rows = generator.integers(draws, size=(draws, len(datasets)))
    total = np.zeros((draws, inner.shape[2]))
    for position in range(len(datasets)):
        total += inner[chosen[:, position], rows[:, position]]
    return total / len(datasets)


def _draw_splits_and_seeds(repeats: Repeats, draws: int, generator: np.random.Generator) -> Array:
    splits = generator.integers(repeats.n_splits, size=(draws, repeats.n_splits, 1))
    columns = []
    for values in repeats.methods:
        seeds = generator.integers(values.shape[1], size=(draws, repeats.n_splits, values.shape[1]))
        columns.append(values[splits, seeds].mean(axis=(1, 2)))
    return np.stack(columns, axis=1)


def position_intervals(sampled: Array, positions: Array, level: float = LEVEL) -> list[tuple[int, int]]:
    """The central interval of each method's position (1 is best) over the draws, widened to hold the measured position."""
    ranks = rankdata(-np.round(sampled, 12), axis=1)
    tail = (1 - level) / 2
    low = np.minimum(np.floor(np.quantile(ranks, tail, axis=0)), np.floor(positions))
    high = np.maximum(np.ceil(np.quantile(ranks, 1 - tail, axis=0)), np.ceil(positions))
    return [(int(first), int(last)) for first, last in zip(low, high, strict=True)]


def separable_pairs(means: Array, sampled: Array, *, trust_constant: bool, level: float = LEVEL) -> NDArray[np.bool_]:
    """(methods, methods): whether the paired difference of two means is further from 0 than resampling explains.

    Simultaneous over all pairs: a difference d counts if |d| > c se(d), where c is the quantile over the draws of the largest
    |d* - d| / se(d) of any pair, so that one false separation anywhere has a probability of about 1 - level. With few data sets
    or splits this is a rough guide. trust_constant: whether a difference that no draw changes counts; not where it was seen once.
    """
    n = len(means)
    differences = means[:, None] - means[None, :]
    errors = np.zeros((n, n))
    largest = np.zeros(len(sampled))
    for row in range(n):
        drawn = sampled[:, [row]] - sampled
        errors[row] = drawn.std(axis=0)
        varied = errors[row] > 1e-12  # below that the draws differ by rounding alone
        if varied.any():
            ratios = np.abs(drawn[:, varied] - differences[row, varied]) / errors[row, varied]
            largest = np.maximum(largest, ratios.max(axis=1))
    critical = float(np.quantile(largest, level))
    constant = (errors <= 1e-12) & trust_constant & (np.abs(differences) > 1e-12)
    separable: NDArray[np.bool_] = ((errors > 1e-12) & (np.abs(differences) > critical * errors)) | constant
    return separable


def tie_groups(separable: NDArray[np.bool_]) -> list[tuple[int, ...]]:
    """The groups (1, 2, ...) of each method, given in the order of the ranking.

    A group is a longest run of neighbours in which no pair is separable, like a bar of a critical-difference diagram: methods that
    share a group cannot be told apart by these data.
    """
    n = len(separable)
    groups: list[list[int]] = [[] for _ in range(n)]
    number, reached = 0, 0
    for start in range(n):
        end = start + 1
        while end < n and not separable[start : end + 1, start : end + 1].any():
            end += 1
        if end > reached:
            number, reached = number + 1, end
            for member in range(start, end):
                groups[member].append(number)
    return [tuple(numbers) for numbers in groups]


def letters(groups: tuple[int, ...]) -> str:
    """Groups as letters: (1, 2) is "ab"; after z come a2, b2, ..."""
    return "".join(chr(ord("a") + (number - 1) % 26) + (str((number - 1) // 26 + 1) if number > 26 else "") for number in groups)
