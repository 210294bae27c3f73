"""Splits and subsets are seeded, stratified and balanced, and stay what they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skipbench.checks import SkipbenchError
from skipbench.datasets.stratify import (
    EIGHTY_TWENTY,
    NINETY_TEN,
    SIXTY_TWENTY_TWENTY,
    balanced_quotas,
    balanced_rows,
    deal,
    stratified_splits,
)

PATTERNS = [SIXTY_TWENTY_TWENTY, EIGHTY_TWENTY, NINETY_TEN]
many_labels = st.lists(st.integers(0, 5), min_size=1, max_size=150).map(np.array)


@given(labels=many_labels, pattern=st.sampled_from(PATTERNS), seed=st.integers(0, 2**32))
def test_every_row_is_dealt_once(labels, pattern, seed):
    hands = deal(labels, pattern, (seed,))
    assert set(hands) == set(pattern)
    assert np.array_equal(np.sort(np.concatenate(list(hands.values()))), np.arange(len(labels)))


@given(labels=many_labels, pattern=st.sampled_from(PATTERNS), seed=st.integers(0, 2**32))
def test_each_class_is_shared_out_to_within_one_row(labels, pattern, seed):
    for part, rows in deal(labels, pattern, (seed,)).items():
        share = pattern.count(part) / len(pattern)
        for label, count in enumerate(np.bincount(labels)):
            if count > 1:
                assert abs((labels[rows] == label).sum() - share * count) <= 1


@given(labels=many_labels, pattern=st.sampled_from(PATTERNS), seed=st.integers(0, 2**32))
def test_every_class_trains(labels, pattern, seed):
    assert set(labels[deal(labels, pattern, (seed,))["train"]]) == set(labels)


def test_what_a_seed_deals_is_the_same_on_every_machine():
    hands = deal(np.arange(20) % 2, SIXTY_TWENTY_TWENTY, (0, 1))
    # Written down once: whatever changes these rows changes every result that was ever recorded.
    assert hands["train"].tolist() == [2, 3, 4, 7, 8, 9, 10, 14, 15, 16, 17, 19]
    assert hands["validation"].tolist() == [1, 6, 11, 18]
    assert hands["test"].tolist() == [0, 5, 12, 13]


def test_another_seed_deals_other_rows():
    labels = np.arange(200) % 4
    hands = [deal(labels, SIXTY_TWENTY_TWENTY, (seed,))["train"] for seed in range(3)]
    assert not np.array_equal(hands[0], hands[1])
    assert not np.array_equal(hands[1], hands[2])


def test_rows_are_not_dealt_by_their_place():
    # 300 rows of one class: with 60 % drawn at random, the mean place of a training row is 149.5 with a deviation of about 4
    hands = deal(np.zeros(300, dtype=int), SIXTY_TWENTY_TWENTY, (1,))
    assert abs(hands["train"].mean() - 149.5) < 20
    assert len(set(hands["train"].tolist()) & set(range(0, 300, 2))) not in (0, 150)


@given(available=st.lists(st.integers(0, 30), min_size=1, max_size=8), seed=st.integers(0, 2**32), share=st.floats(0, 1))
def test_quotas_differ_by_one_at_most_unless_a_class_is_used_up(available, seed, share):
    n = int(share * sum(available))
    quotas = balanced_quotas(available, n, (seed,))
    assert quotas.sum() == n
    assert (quotas >= 0).all()
    assert (quotas <= available).all()
    for quota, room in zip(quotas, available, strict=True):
        assert quota == room or quota >= quotas.max() - 1


def test_a_small_class_gives_all_it_has_and_the_others_fill_the_gap():
    assert balanced_quotas([3, 50, 50], 43, (0,)).tolist() == [3, 20, 20]


@given(seed=st.integers(0, 1000), small=st.integers(15, 40), more=st.integers(0, 20))
def test_a_larger_subset_of_the_same_seed_holds_the_smaller_one(seed, small, more):
    labels = np.arange(90) % 3
    assert set(balanced_rows(labels, small, 3, seed, "toy")) <= set(balanced_rows(labels, small + more, 3, seed, "toy"))


def test_too_many_or_too_few_rows_are_refused():
    labels = np.arange(30) % 3
    with pytest.raises(SkipbenchError, match="toy: n=31, but the set has 30 rows: use n of at most 30"):
        balanced_rows(labels, 31, 3, 0, "toy")
    with pytest.raises(SkipbenchError, match=r"toy: n=14 is too small for one row of each of 3 classes .* use n of at least 15"):
        balanced_rows(labels, 14, 3, 0, "toy")
    with pytest.raises(SkipbenchError, match='toy: class "b" has 4 rows, but a 60/20/20 split needs 5 of every class'):
        stratified_splits(np.array([0] * 9 + [1] * 4), ("a", "b"), n_splits=5, seed=0, where="toy")
