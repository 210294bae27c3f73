"""The bundled sets: five seeded stratified 60/20/20 splits, subsets by n, values as they are documented."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.datasets

from skipbench.checks import SkipbenchError
from skipbench.datasets import load
from skipbench.datasets.bundled import SHA256

SHAPES = {"iris": (150, 4), "wine": (178, 13), "breast-cancer": (569, 30), "digits": (1797, 64), "digits-images": (1797, 1, 8, 8)}


@pytest.mark.parametrize("name", SHAPES)
def test_a_bundled_set_has_its_shape_and_checksum(name):
    dataset = load(name)
    assert dataset.inputs.shape == SHAPES[name]
    assert dataset.sha256 == SHA256[name]
    assert dataset.protocol == "stratified"
    assert "UCI" in dataset.provenance
    assert "CC BY 4.0" in dataset.licence


@pytest.mark.parametrize("name", SHAPES)
def test_five_splits_of_sixty_twenty_twenty_percent_are_stratified(name):
    dataset = load(name)
    n, shares = len(dataset), np.bincount(dataset.labels) / len(dataset)
    assert [split.name for split in dataset.splits] == ["split-1", "split-2", "split-3", "split-4", "split-5"]
    for split in dataset.splits:
        parts = (split.train, split.validation, split.test)
        assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(n))
        for rows, share in zip(parts, (0.6, 0.2, 0.2), strict=True):
            assert abs(len(rows) - share * n) <= 1
            assert np.abs(np.bincount(dataset.labels[rows]) - shares * share * n).max() <= 1
    assert len({split.test.tobytes() for split in dataset.splits}) == 5


def test_values_are_those_of_scikit_learn_and_pixels_lie_between_0_and_1():
    iris, digits, images = load("iris"), load("digits"), load("digits-images")
    assert np.array_equal(iris.inputs, sklearn.datasets.load_iris().data.astype(np.float32))
    assert iris.classes == ("setosa", "versicolor", "virginica")
    assert np.array_equal(digits.inputs * 16, sklearn.datasets.load_digits().data)  # sixteenths are exact in float32
    assert (digits.inputs.min(), digits.inputs.max()) == (0.0, 1.0)
    assert np.array_equal(images.inputs.reshape(1797, 64), digits.inputs)
    assert digits.classes == tuple("0123456789")


def test_the_seed_decides_the_splits_and_nothing_else():
    first, again, other = load("wine"), load("wine"), load("wine", seed=1)
    for split, same in zip(first.splits, again.splits, strict=True):
        assert np.array_equal(split.train, same.train)
        assert np.array_equal(split.validation, same.validation)
    assert first.sha256 == again.sha256 == other.sha256
    assert not np.array_equal(first.splits[0].train, other.splits[0].train)


def test_a_subset_is_balanced_seeded_and_split_again():
    subset = load("digits-images", n=300, seed=4)
    assert np.bincount(subset.labels).tolist() == [30] * 10
    assert [len(part) for part in (subset.splits[0].train, subset.splits[0].validation, subset.splits[0].test)] == [180, 60, 60]
    assert load("digits-images", n=300, seed=4).sha256 == subset.sha256
    assert load("digits-images", n=300, seed=5).sha256 != subset.sha256
    assert "300 rows, seed 4" in subset.provenance


def test_a_subset_holds_rows_of_the_whole_set_with_their_labels():
    whole, subset = load("wine"), load("wine", n=100)
    of_row = {row.tobytes(): label for row, label in zip(whole.inputs, whole.labels, strict=True)}
    assert [of_row[row.tobytes()] for row in subset.inputs] == subset.labels.tolist()
    # 48 rows of the rarest class are enough for a third of 100
    assert sorted(np.bincount(subset.labels).tolist()) == [33, 33, 34]


def test_n_may_be_the_whole_set():
    assert load("wine", n=178).sha256 == load("wine").sha256


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 151}, "iris: n=151, but the set has 150 rows"),
        ({"n": 14}, "iris: n=14 is too small for one row of each of 3 classes"),
        ({"n": 0}, "n=0, but it counts rows: use a whole number of at least 1"),
        ({"n": -3}, "n=-3"),
        ({"n": 20.5}, "n=20.5"),
        ({"n": True}, "n=True"),
        ({"seed": -1}, "seed=-1, but a seed is a whole number of at least 0"),
        ({"seed": "x"}, "seed='x'"),
        ({"n_test": 10}, "iris: n_test=10, but this set has no official test part"),
        ({"protocol": "nested"}, 'no protocol "nested" for iris.*Allowed: stratified'),
    ],
)
def test_what_cannot_be_had_is_named(options, message):
    with pytest.raises(SkipbenchError, match=message):
        load("iris", **options)


def test_numpy_integers_are_whole_numbers():
    assert load("iris", n=np.int64(30), seed=np.int32(2)).sha256 == load("iris", n=30, seed=2).sha256
