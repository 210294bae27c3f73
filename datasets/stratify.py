"""Seeded, stratified splits and class-balanced subsets that stay the same on every machine and with every version of numpy.

Every row gets a random key; rows are ordered by class and key, and dealt out like cards. Only numpy's raw generator output is used,
because its stream is guaranteed to stay as it is, while `Generator.permutation` and scikit-learn's splitters are not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from skipbench.checks import SkipbenchError
from skipbench.datasets.dataset import Indices, Split

# Whoever is dealt which card: 60/20/20 and 80/20. Any two neighbours hold a training card, so a class of two rows always trains.
SIXTY_TWENTY_TWENTY = ("train", "validation", "train", "test", "train")
EIGHTY_TWENTY = ("train", "validation", "train", "train", "train")
NINETY_TEN = ("train",) * 4 + ("validation",) + ("train",) * 5
LEAST_ROWS_PER_CLASS = len(SIXTY_TWENTY_TWENTY)  # five neighbouring cards hold every part


def random_keys(n: int, seed: Sequence[int]) -> NDArray[np.uint64]:
    """n 64-bit keys that depend on nothing but the seed, a sequence of whole numbers."""
    return np.random.PCG64(np.random.SeedSequence(list(seed))).random_raw(n)


def deal(labels: Indices, pattern: Sequence[str], seed: Sequence[int]) -> dict[str, Indices]:
    """Rows of each part of `pattern`, ascending; each class is shared out as the pattern repeats, to within one row of its share.

    A class of a single row goes to training, since nothing could be learned of it otherwise.
    """
    counts = np.bincount(labels)
    dealt = np.flatnonzero(counts[labels] > 1)
    order = dealt[np.lexsort((random_keys(len(labels), seed)[dealt], labels[dealt]))]
    hands = {part: np.zeros(len(labels), dtype=bool) for part in pattern}
    hands["train"][counts[labels] == 1] = True
    for position, part in enumerate(pattern):
        hands[part][order[position :: len(pattern)]] = True
    return {part: np.flatnonzero(hand) for part, hand in hands.items()}


def stratified_splits(labels: Indices, classes: Sequence[str], *, n_splits: int, seed: int, where: str) -> tuple[Split, ...]:
    """`n_splits` seeded stratified 60/20/20 splits, named split-1, split-2, ...

    Raises SkipbenchError when a class has fewer than the 5 rows that give it one in each part.
    """
    counts = np.bincount(labels, minlength=len(classes))
    scarce = int(counts.argmin())
    if counts[scarce] < LEAST_ROWS_PER_CLASS:
        raise SkipbenchError(
            f'{where}: class "{classes[scarce]}" has {counts[scarce]} rows, but a 60/20/20 split needs {LEAST_ROWS_PER_CLASS} of every '
            f"class, so that each part holds one: use n of at least {LEAST_ROWS_PER_CLASS * len(classes)}"
        )
    splits = []
    for number in range(1, n_splits + 1):
        hands = deal(labels, SIXTY_TWENTY_TWENTY, (seed, number))
        splits.append(Split(f"split-{number}", hands["train"], hands["validation"], hands["test"]))
    return tuple(splits)


def random_splits(n: int, *, n_splits: int, seed: int) -> tuple[Split, ...]:
    """`n_splits` seeded 60/20/20 splits of n rows without classes, named split-1, split-2, ...; n of at least 5 gives each part a row."""
    splits = []
    for number in range(1, n_splits + 1):
        hands = deal(np.zeros(n, dtype=np.int64), SIXTY_TWENTY_TWENTY, (seed, number))
        splits.append(Split(f"split-{number}", hands["train"], hands["validation"], hands["test"]))
    return tuple(splits)


def class_order(labels: Indices, seed: Sequence[int]) -> list[Indices]:
    """For each class, its rows in seeded order. A larger subset takes more from the front, so it holds every smaller one."""
    keys = random_keys(len(labels), seed)
    order = np.lexsort((keys, labels))
    ends = np.cumsum(np.bincount(labels))
    return np.split(order, ends[:-1])


def balanced_quotas(available: Sequence[int], n: int, seed: Sequence[int]) -> Indices:
    """How many of n rows each class gives: equally many, up to one, unless a class has too few, when the others fill the gap.

    available: rows of each class, together at least n. Which classes give one more follows from the seed.
    """
    room = np.asarray(available, dtype=np.int64)
    quotas = np.zeros_like(room)
    while (left := n - int(quotas.sum())) >= (hungry := int((quotas < room).sum())) > 0:
        quotas = np.minimum(room, quotas + (quotas < room) * (left // hungry))
    turns = [int(label) for label in np.argsort(random_keys(len(room), seed), kind="stable") if quotas[label] < room[label]]
    quotas[turns[:left]] += 1
    return quotas


def balanced_rows(labels: Indices, n: int, n_classes: int, seed: int, where: str) -> Indices:
    """n rows, ascending, as equally many of each class as there are. Raises SkipbenchError where n is too large or too small."""
    if n > len(labels):
        raise SkipbenchError(f"{where}: n={n}, but the set has {len(labels)} rows: use n of at most {len(labels)}")
    least = LEAST_ROWS_PER_CLASS * n_classes
    if n < least:
        raise SkipbenchError(
            f"{where}: n={n} is too small for one row of each of {n_classes} classes in each part of a 60/20/20 split: "
            f"use n of at least {least}"
        )
    quotas = balanced_quotas([int(count) for count in np.bincount(labels, minlength=n_classes)], n, (seed, 0, 1))
    ordered = class_order(labels, (seed, 0))
    return np.sort(np.concatenate([rows[:quota] for rows, quota in zip(ordered, quotas, strict=True)]))
