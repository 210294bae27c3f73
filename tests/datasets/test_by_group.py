"""Splits by whole groups: none is parted, parts have their shares as far as groups allow, and the seed alone decides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skipbench.checks import SkipbenchError
from skipbench.datasets.by_group import group_splits, group_subset


@st.composite
def grouped_rows(draw):
    """Labels of 2 to 4 classes and groups of 1 to 6 rows, at least 20 groups."""
    n_classes = draw(st.integers(2, 4))
    sizes = draw(st.lists(st.integers(1, 6), min_size=20, max_size=60))
    groups = np.repeat(np.arange(len(sizes)) * 7 - 3, sizes)  # numbers need not begin at 0, nor follow each other
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = rng.integers(0, n_classes, size=len(groups))
    labels[:n_classes] = np.arange(n_classes)
    order = rng.permutation(len(groups))  # rows of a group need not be neighbours
    return labels[order], groups[order]


@given(rows=grouped_rows(), seed=st.integers(0, 1000))
def test_no_group_is_parted_and_every_row_is_used_once(rows, seed):
    labels, groups = rows
    for split in group_splits(labels, groups, n_splits=3, seed=seed):
        parts = [split.train, split.validation, split.test]
        assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))
        for one, other in ((0, 1), (0, 2), (1, 2)):
            assert not set(groups[parts[one]].tolist()) & set(groups[parts[other]].tolist())


@given(rows=grouped_rows(), seed=st.integers(0, 1000))
def test_moving_one_group_brings_no_split_nearer_to_its_shares(rows, seed):
    labels, groups = rows
    totals = np.bincount(labels)
    shares = np.array([0.6, 0.2, 0.2])[:, np.newaxis] * totals

    def distance(part_of_row):
        counts = np.array([np.bincount(labels[part_of_row == part], minlength=len(totals)) for part in range(3)])
        return float(((counts - shares) ** 2 / shares).sum())

    (split,) = group_splits(labels, groups, n_splits=1, seed=seed)
    part_of_row = np.zeros(len(labels), dtype=int)
    part_of_row[split.validation], part_of_row[split.test] = 1, 2
    best = distance(part_of_row)
    for group in np.unique(groups):
        for part in range(3):
            assert distance(np.where(groups == group, part, part_of_row)) >= best - 1e-9


def test_groups_of_one_row_are_split_as_rows_are():
    labels = np.arange(50) % 5
    for split in group_splits(labels, np.arange(50), n_splits=2, seed=3):
        assert [np.bincount(labels[part]).tolist() for part in (split.train, split.validation, split.test)] == [[6] * 5, [2] * 5, [2] * 5]


def test_the_only_group_of_a_class_trains():
    labels = np.array([0] * 40 + [1] * 2)
    groups = np.concatenate([np.arange(40), [99, 99]])
    for seed in range(20):
        for split in group_splits(labels, groups, n_splits=5, seed=seed):
            assert {40, 41} <= set(split.train.tolist())


def test_the_seed_and_the_number_decide_a_split():
    labels, groups = np.arange(60) % 3, np.arange(60) // 2
    first, again, other = (group_splits(labels, groups, n_splits=2, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first[0].test, again[0].test)
    assert not np.array_equal(first[0].test, other[0].test)
    assert not np.array_equal(first[0].test, first[1].test)
    # written down once: another version of numpy must not change it
    assert first[0].test.tolist() == [12, 13, 22, 23, 28, 29, 32, 33, 38, 39, 54, 55]


@given(rows=grouped_rows(), share=st.floats(0.3, 1.0))
def test_a_subset_takes_whole_groups_or_says_how_many_rows_they_add_up_to(rows, share):
    labels, groups = rows
    n_classes = int(labels.max()) + 1
    n = max(5 * n_classes, int(share * len(labels)))
    try:
        taken = group_subset(labels, groups, n, n_classes=n_classes, seed=0, where="toy")
    except SkipbenchError:
        with pytest.raises(SkipbenchError, match=f"toy: n={n}"):
            group_subset(labels, groups, n, n_classes=n_classes, seed=0, where="toy")
        return
    assert len(taken) == n
    assert set(groups[taken].tolist()).isdisjoint(np.delete(groups, taken).tolist())
    assert (np.diff(taken) > 0).all()


def test_a_subset_of_groups_of_one_row_is_balanced():
    labels = np.repeat([0, 1, 2], [30, 10, 20])
    taken = group_subset(labels, np.arange(60), 45, n_classes=3, seed=1, where="toy")
    assert np.bincount(labels[taken]).tolist() == [18, 10, 17] or np.bincount(labels[taken]).tolist() == [17, 10, 18]


def test_a_subset_that_groups_do_not_add_up_to_is_refused_with_the_nearest():
    labels, groups = np.arange(40) % 2, np.arange(40) // 4
    with pytest.raises(
        SkipbenchError, match=r"toy: n=18 rows cannot be had without parting a group: those of seed 0 add up to 16 whole ones"
    ):
        group_subset(labels, groups, 18, n_classes=2, seed=0, where="toy")
