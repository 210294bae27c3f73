"""A data set is checked when it is made, and nobody can change it afterwards."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from skipbench.checks import SkipbenchError, TamperedDataError
from skipbench.datasets import Dataset, Split
from skipbench.datasets.dataset import array_sha256

EMPTY = np.empty(0, dtype=np.int64)


def toy(**changes):
    fields = {
        "name": "toy",
        "inputs": np.arange(12, dtype=np.float32).reshape(6, 2),
        "labels": np.array([0, 1, 0, 1, 0, 1]),
        "classes": ("even", "odd"),
        "splits": (Split("only", np.array([0, 1]), np.array([2, 3]), np.array([4, 5])),),
    }
    return Dataset(**(fields | changes))


def test_a_data_set_knows_its_kind_and_shapes():
    vectors = toy()
    images = toy(inputs=np.zeros((6, 3, 5, 7), dtype=np.float32))
    assert (vectors.kind, vectors.input_shape, len(vectors)) == ("vectors", (2,), 6)
    assert (images.kind, images.input_shape, len(images)) == ("images", (3, 5, 7), 6)


def test_no_array_of_a_data_set_can_be_written():
    dataset = toy()
    split = dataset.splits[0]
    for array in (dataset.inputs, dataset.labels, split.train, split.validation, split.test):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        dataset.name = "other"


def test_changing_the_array_it_was_made_from_does_not_change_the_data_set():
    inputs = np.ones((6, 2), dtype=np.float32)
    labels = np.array([0, 1, 0, 1, 0, 1])
    dataset = toy(inputs=inputs, labels=labels)
    inputs[:] = 5
    labels[:] = 0
    assert dataset.inputs.max() == 1
    assert dataset.labels.sum() == 3
    assert dataset.sha256 == array_sha256(dataset.inputs, dataset.labels)


def test_the_checksum_is_of_dtype_shape_and_bytes_of_inputs_and_labels():
    dataset = toy()
    digest = hashlib.sha256()
    digest.update(b'["float32", [6, 2]]' + dataset.inputs.astype("<f4").tobytes())
    digest.update(b'["int64", [6]]' + dataset.labels.astype("<i8").tobytes())
    assert dataset.sha256 == digest.hexdigest()


@given(inputs=hnp.arrays(np.float32, st.tuples(st.just(6), st.integers(1, 4)), elements=st.floats(-1e3, 1e3, width=32)), place=st.data())
def test_the_checksum_changes_with_every_value_and_with_the_shape(inputs, place):
    before = toy(inputs=inputs).sha256
    assert toy(inputs=inputs.copy()).sha256 == before
    changed = inputs.copy()
    spot = tuple(place.draw(st.integers(0, side - 1)) for side in inputs.shape)
    changed[spot] = np.nextafter(changed[spot], np.float32(1e9))
    assert toy(inputs=changed).sha256 != before
    assert toy(inputs=inputs.reshape(6, 1, 1, -1)).sha256 != before


def test_memory_order_and_byte_order_do_not_change_the_checksum():
    inputs, labels = toy().inputs, toy().labels
    expected = toy().sha256
    assert array_sha256(np.asfortranarray(inputs), labels) == expected
    assert array_sha256(inputs.astype(">f4"), labels) == expected


def test_a_promised_checksum_that_the_arrays_do_not_have_is_refused():
    assert toy(sha256=toy().sha256).sha256 == toy().sha256
    with pytest.raises(TamperedDataError, match="was promised"):
        toy(sha256="0" * 64)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_input_that_is_not_finite_is_named_by_its_place(bad):
    inputs = np.zeros((6, 2), dtype=np.float32)
    inputs[3, 1] = bad
    with pytest.raises(SkipbenchError, match=rf'data set "toy": inputs row 3, feature 1 is {bad}, but every input must be a finite number'):
        toy(inputs=inputs)


def test_a_pixel_that_is_not_finite_is_named_by_channel_row_and_column():
    inputs = np.zeros((6, 2, 3, 4), dtype=np.float32)
    inputs[5, 1, 2, 3] = np.nan
    with pytest.raises(SkipbenchError, match="inputs row 5, channel 1, row 2, column 3 is nan"):
        toy(inputs=inputs)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": np.zeros(6, dtype=np.float32)}, r"inputs have shape \(6,\)"),
        ({"inputs": np.zeros((6, 2, 2), dtype=np.float32)}, r"\(n, d\) vectors or \(n, channels, height, width\) images"),
        ({"inputs": np.zeros((6, 2))}, r"inputs are float64, but they must be float32"),
        ({"inputs": np.zeros((6, 0), dtype=np.float32)}, "is empty"),
        ({"labels": np.array([0, 1, 0, 1, 0])}, "5 labels for 6 rows"),
        ({"labels": np.array([0, 1, 0, 1, 0, 2])}, "row 5 has label 2, but with 2 classes a label is 0 to 1"),
        ({"labels": np.array([0, -1, 0, 1, 0, 1])}, "row 1 has label -1"),
        ({"labels": np.array([0.0, 1, 0, 1, 0, 1])}, "labels holds float64, but it must hold whole numbers"),
        ({"labels": np.zeros((6, 1), dtype=int)}, r"labels has shape \(6, 1\)"),
        ({"classes": ("one",)}, "classification needs at least 2"),
        ({"classes": ("same", "same")}, "two classes have the same name"),
        ({"classes": ("even", "odd", "rare")}, 'split "only": class "rare" is absent from its training part'),
        ({"splits": ()}, "splits is empty"),
    ],
)
def test_what_a_data_set_may_not_be_is_named(changes, message):
    with pytest.raises(SkipbenchError, match=f'data set "toy".*{message}'):
        toy(**changes)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (([0, 6], [2], [4]), "its train part names row 6, but rows are 0 to 5"),
        (([0, 1], [-1], [4]), "its validation part names row -1"),
        (([0, 1], [2], [1]), "row 1 is in its test part and in another"),
        (([0, 1, 1], [2], [4]), "its train part names row 1 twice"),
        (([0, 1], [2, 3, 3], [4]), "its validation part names row 3 twice"),
        (([], [2], [4]), "its training part is empty"),
        (([0, 2], [1], [3]), 'class "odd" is absent from its training part'),
    ],
)
def test_what_a_split_may_not_be_is_named(parts, message):
    split = Split("bad", *(np.array(rows, dtype=np.int64) for rows in parts))
    with pytest.raises(SkipbenchError, match=f'data set "toy": split "bad": {message}'):
        toy(splits=(split,))


def test_validation_and_test_parts_may_be_empty():
    dataset = toy(splits=(Split("all", np.arange(6), EMPTY, []),))
    assert dataset.splits[0].test.dtype == np.int64
    assert len(dataset.splits[0].test) == 0


def test_fractional_row_numbers_are_refused():
    with pytest.raises(SkipbenchError, match='split "half": its train part holds float64'):
        Split("half", np.array([0.5]), EMPTY, EMPTY)


def regression(**changes):
    fields = {"labels": np.zeros(6, dtype=np.int64), "classes": (), "targets": np.linspace(-1, 1, 12).reshape(6, 2)}
    return toy(**(fields | changes))


def test_a_set_with_targets_is_a_regression_set():
    dataset = regression()
    assert (toy().task, dataset.task) == ("classification", "regression")
    assert dataset.targets.dtype == np.float64
    assert "targets=(6, 2)" in repr(dataset)
    with pytest.raises(ValueError, match="read-only"):
        dataset.targets[0, 0] = 1


def test_the_checksum_of_a_regression_set_covers_its_targets_and_others_keep_theirs():
    dataset, targets = regression(), np.linspace(-1, 1, 12).reshape(6, 2)
    assert dataset.sha256 == array_sha256(dataset.inputs, dataset.labels, targets)
    targets[3, 1] = np.nextafter(targets[3, 1], 2)
    assert regression(targets=targets).sha256 != dataset.sha256
    assert toy().sha256 == array_sha256(toy().inputs, toy().labels)
    # as computed before there were targets
    assert toy().sha256 == "515671609147ec6402e56d00b4782d4fc420ec63f9a5705320738ca536dbb3d9"


def test_changing_the_targets_it_was_made_from_does_not_change_the_data_set():
    targets = np.ones((6, 1))
    dataset = regression(targets=targets)
    targets[:] = 5
    assert dataset.targets.max() == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"targets": np.zeros(6)},
            r"targets have shape \(6,\), but with 6 rows of inputs it is \(6, outputs\): use targets\[:, numpy.newaxis\]",
        ),
        ({"targets": np.zeros((5, 1))}, r"targets have shape \(5, 1\)"),
        ({"targets": np.zeros((6, 0))}, r"targets have shape \(6, 0\)"),
        ({"targets": np.zeros((6, 1), dtype=np.float32)}, r"targets are float32, but they must be float64"),
        ({"targets": np.array([[0.0], [1], [np.nan], [0], [0], [0]])}, "targets row 2, output 0 is nan, but a target is a finite number"),
        ({"targets": np.full((6, 1), np.inf)}, "targets row 0, output 0 is inf"),
        ({"classes": ("even", "odd")}, r"classes is .* beside targets, but a regression set has no classes: use \(\)"),
        ({"labels": np.array([0, 1, 0, 0, 0, 0])}, "labels beside targets, but a regression set has 6 zeros there"),
        ({"labels": np.zeros(5, dtype=int)}, "labels beside targets"),
    ],
)
def test_what_a_regression_set_may_not_be_is_named(changes, message):
    with pytest.raises(SkipbenchError, match=f'data set "toy": {message}'):
        regression(**changes)


def test_a_split_of_a_regression_set_is_checked_too():
    with pytest.raises(SkipbenchError, match='split "bad": row 1 is in its test part and in another'):
        regression(splits=(Split("bad", np.array([0, 1]), EMPTY, np.array([1])),))


def test_a_split_that_parts_no_group_is_accepted():
    dataset = toy(groups=np.array([9, 9, -4, -4, 7, 7]), grouped_by="house")
    assert dataset.groups.tolist() == [9, 9, -4, -4, 7, 7]
    assert dataset.sha256 == toy().sha256
    with pytest.raises(ValueError, match="read-only"):
        dataset.groups[0] = 1


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([1, 2, 2, 3, 4, 4], "house 2 lies in two parts, train and validation, but all rows of a house belong in one part: split by house"),
        ([1, 2, 3, 3, 4, 1], "house 1 lies in two parts, train and test"),
        ([1, 2, 3, 5, 5, 4], "house 5 lies in two parts, validation and test"),
    ],
)
def test_a_split_that_parts_a_group_is_refused_with_the_group_and_both_parts(groups, message):
    with pytest.raises(SkipbenchError, match=f'data set "toy": split "only": {message}'):
        toy(groups=np.array(groups), grouped_by="house")


@pytest.mark.parametrize(
    ("groups", "message"),
    [([1, 2, 3], "3 groups for 6 rows of inputs"), ([0.5] * 6, "groups holds float64"), ([[1]] * 6, r"groups has shape \(6, 1\)")],
)
def test_groups_that_do_not_fit_the_rows_are_refused(groups, message):
    with pytest.raises(SkipbenchError, match=f'data set "toy": {message}'):
        toy(groups=np.array(groups))
