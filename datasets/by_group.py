"""Seeded 60/20/20 splits and subsets by whole groups, such as the photographs that crops come from: no group is ever parted.

Groups differ in size and in classes, so parts cannot have exactly their shares. Each group goes where the parts then come nearest to
their shares of every class, large groups first, and afterwards groups move while that brings the parts nearer. All of it is counted in
whole numbers and fractions, so that a split stays the same on every machine and with every version of numpy.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from skipbench.checks import SkipbenchError
from skipbench.datasets.dataset import PARTS, Indices, Split
from skipbench.datasets.stratify import random_keys

FIFTHS = (3, 1, 1)  # of each class, for the training, validation and test parts
LEAST_ROWS_PER_CLASS = 5
_MOST_ROUNDS = 20  # of moves; a handful is enough, and each brings the parts nearer

Histogram = tuple[tuple[int, int], ...]  # class and rows of it, for the classes that a group has


def group_splits(labels: Indices, groups: Indices, *, n_splits: int, seed: int) -> tuple[Split, ...]:
    """`n_splits` seeded 60/20/20 splits by group, named split-1, split-2, ...; labels and groups: (n,), of every row."""
    numbers, place_of_row = np.unique(groups, return_inverse=True)
    histograms = _histograms(labels, place_of_row, len(numbers))
    splits = []
    for number in range(1, n_splits + 1):
        part_of_group = np.array(_dealt(histograms, np.bincount(labels).tolist(), (seed, number)))
        parts = [np.flatnonzero(part_of_group[place_of_row] == part) for part in range(len(PARTS))]
        splits.append(Split(f"split-{number}", *parts))
    return tuple(splits)


def group_subset(labels: Indices, groups: Indices, n: int, *, n_classes: int, seed: int, where: str, grouped_by: str = "group") -> Indices:
    """n rows, ascending, that are whole groups, as equally many of each class as the groups allow.

    One group after the other is taken that still fits and whose rows raise the sum of squared class counts least for their number, the
    first in seeded order of equal ones. Raises SkipbenchError for an n that is too small or too large, and for one that these groups do
    not add up to.
    """
    least = LEAST_ROWS_PER_CLASS * n_classes
    if not least <= n <= len(labels):
        raise SkipbenchError(
            f"{where}: n={n}, but the set has {len(labels)} rows, and a 60/20/20 split needs {LEAST_ROWS_PER_CLASS} of each of {n_classes} "
            f"classes: use n from {least} to {len(labels)}, or leave it out"
        )
    numbers, place_of_row = np.unique(groups, return_inverse=True)
    histograms = _histograms(labels, place_of_row, len(numbers))
    counts, taken = [0] * n_classes, []
    waiting = np.argsort(random_keys(len(numbers), (seed, 0)), kind="stable").tolist()
    while waiting := [group for group in waiting if sum(counts) + _size(histograms[group]) <= n]:
        chosen = min(waiting, key=lambda group: _rise_of_squares(counts, histograms[group]))
        waiting.remove(chosen)
        taken.append(chosen)
        for label, count in histograms[chosen]:
            counts[label] += count
    if sum(counts) != n:
        raise SkipbenchError(
            f"{where}: n={n} rows cannot be had without parting a {grouped_by}: those of seed {seed} add up to {sum(counts)} whole ones; "
            f"use n={sum(counts)} or another seed"
        )
    return np.flatnonzero(np.isin(place_of_row, taken))


def _size(histogram: Histogram) -> int:
    return sum(count for _, count in histogram)


def _rise_of_squares(counts: list[int], histogram: Histogram) -> Fraction:
    rise = sum((counts[label] + count) ** 2 - counts[label] ** 2 for label, count in histogram)
    return Fraction(rise, _size(histogram))


def _histograms(labels: Indices, place_of_row: Indices, n_groups: int) -> list[Histogram]:
    counted: list[dict[int, int]] = [{} for _ in range(n_groups)]
    for label, place in zip(labels.tolist(), place_of_row.tolist(), strict=True):
        counted[place][label] = counted[place].get(label, 0) + 1
    return [tuple(sorted(counts.items())) for counts in counted]


def _dealt(histograms: list[Histogram], totals: list[int], seed: tuple[int, int]) -> list[int]:
    """The part (0, 1, 2) of each group."""
    keys = random_keys(len(histograms), seed).tolist()
    order = sorted(range(len(histograms)), key=lambda group: (-_size(histograms[group]), keys[group]))
    balance = _Balance(totals)
    part_of_group = [0] * len(histograms)
    for group in order:
        part_of_group[group] = balance.best(histograms[group])
        balance.add(histograms[group], part_of_group[group])
    for _ in range(_MOST_ROUNDS):
        moved = False
        for group in order:
            here = part_of_group[group]
            balance.add(histograms[group], here, sign=-1)
            best = balance.best(histograms[group])
            # strictly nearer, so that it ends
            if balance.cost_of(histograms[group], best) < balance.cost_of(histograms[group], here):
                part_of_group[group], moved = best, True
            balance.add(histograms[group], part_of_group[group])
        if not moved:
            break
    return part_of_group


class _Balance:
    """How far parts are from their shares: the sum of (5 rows − fifths × total)² / (fifths × total) over parts and classes."""

    def __init__(self, totals: list[int]) -> None:
        self.totals = totals
        self.counts = [[0] * len(totals) for _ in PARTS]

    def add(self, histogram: Histogram, part: int, sign: int = 1) -> None:
        for label, count in histogram:
            self.counts[part][label] += sign * count

    def cost_of(self, histogram: Histogram, part: int) -> Fraction:
        """What the sum rises by when the group joins the part."""
        rise, fifths = Fraction(0), FIFTHS[part]
        for label, count in histogram:
            wanted, before = fifths * self.totals[label], 5 * self.counts[part][label]
            rise += Fraction((before + 5 * count - wanted) ** 2 - (before - wanted) ** 2, wanted)
        return rise

    def best(self, histogram: Histogram) -> int:
        """The part in which the group costs least, the first of equal ones."""
        return min(range(len(PARTS)), key=lambda part: (self.cost_of(histogram, part), part))
