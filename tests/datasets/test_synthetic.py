"""Generated sets: points on their spheres, targets of one frequency and variance 1, and the seed alone decides."""

from __future__ import annotations

import math

import numpy as np
import pytest

from skipbench.checks import SkipbenchError
from skipbench.datasets import dataset_kind, describe, fetch, load, preprocess, verify
from skipbench.datasets.harmonics import zonal_harmonic
from skipbench.datasets.registry import presence
from skipbench.datasets.synthetic import central_pixels


@pytest.mark.parametrize(("name", "kind", "shape"), [("sphere", "vectors", (3,)), ("multisphere", "images", (3, 4, 4))])
def test_a_generated_set_needs_no_files(name, kind, shape, tmp_path, monkeypatch):
    monkeypatch.setenv("SKIPBENCH_DATA", str(tmp_path / "nowhere"))
    dataset = load(name)
    assert (dataset.kind, dataset.task, dataset.input_shape) == (kind, "regression", shape)
    assert dataset.targets.shape == (500, 1)
    assert (dataset.classes, dataset.labels.any()) == ((), False)
    assert dataset_kind(name) == kind
    assert presence(name) == "bundled"
    assert fetch(name) is None
    assert verify(name) == []


@pytest.mark.parametrize("name", ["sphere", "multisphere"])
def test_five_splits_share_rows_out_60_20_20(name):
    dataset = load(name, n=53)
    for split in dataset.splits:
        sizes = [len(split.train), len(split.validation), len(split.test)]
        assert sum(sizes) == 53
        assert np.abs(np.array(sizes) - 53 * np.array([0.6, 0.2, 0.2])).max() <= 1
    assert len(dataset.splits) == 5
    assert not np.array_equal(dataset.splits[0].test, dataset.splits[1].test)


@pytest.mark.parametrize("dimension", [2, 3, 10])
def test_points_of_the_sphere_have_norm_1(dimension):
    dataset = load("sphere", dimension=dimension)
    assert dataset.inputs.shape == (500, dimension)
    assert np.abs(np.linalg.norm(dataset.inputs.astype(np.float64), axis=1) - 1).max() < 1e-6  # float32


def test_each_pixel_of_the_multisphere_has_norm_1():
    dataset = load("multisphere", channels=4, side=3, n=50)
    assert dataset.inputs.shape == (50, 4, 3, 3)
    assert np.abs(np.linalg.norm(dataset.inputs.astype(np.float64), axis=1) - 1).max() < 1e-6
    flat = np.moveaxis(dataset.inputs, 1, 3).reshape(-1, 4)
    assert len(np.unique(flat, axis=0)) == len(flat)  # every pixel is drawn for itself


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("sphere", {}), ("sphere", {"frequency": 5, "dimension": 4}), ("multisphere", {}), ("multisphere", {"frequency": 1, "pixels": 3})],
)
def test_targets_have_mean_0_and_variance_1_under_the_uniform_measure(name, parameters):
    targets = load(name, n=50_000, **parameters).targets[:, 0]
    n_errors = 5 / math.sqrt(len(targets))  # five standard errors
    assert abs(targets.mean()) < n_errors
    assert abs((targets**2).mean() - 1) < n_errors * (targets**2).std()


@pytest.mark.parametrize("frequency", [1, 2, 5])
def test_the_target_of_the_sphere_is_a_harmonic_of_the_chosen_frequency(frequency):
    dataset = load("sphere", n=100, frequency=frequency, dimension=3)
    # the 2k + 1 harmonics of frequency k span the target, and those of other frequencies do not
    for other in (1, 2, 3, 5):
        poles = load("sphere", n=4 * frequency + 23, seed=9).inputs[: 2 * other + 1]
        basis = np.stack([zonal_harmonic(dataset.inputs, pole, other) for pole in poles], axis=1)
        left = dataset.targets - basis @ np.linalg.lstsq(basis, dataset.targets, rcond=None)[0]
        assert (np.abs(left).max() < 1e-4) == (other == frequency)  # targets are rounded to 24 bits


def test_the_target_of_the_multisphere_depends_on_the_central_pixels_only():
    assert central_pixels(4, 3) == [(2, 2), (1, 2), (2, 1)]
    assert central_pixels(3, 9)[0] == (1, 1)
    assert sorted(central_pixels(3, 9)) == [(row, column) for row in range(3) for column in range(3)]
    dataset = load("multisphere", n=400, frequency=1, pixels=2, channels=3, side=4)
    # a product of two harmonics of frequency 1 is linear in x_p ⊗ x_q, and in no other pair of pixels
    for first, second, spans in [((2, 2), (1, 2), True), ((2, 2), (2, 1), False), ((0, 0), (1, 2), False)]:
        products = np.einsum("nc,nd->ncd", dataset.inputs[:, :, *first], dataset.inputs[:, :, *second]).reshape(400, 9).astype(np.float64)
        left = dataset.targets - products @ np.linalg.lstsq(products, dataset.targets, rcond=None)[0]
        assert (np.abs(left).max() < 1e-4) == spans


@pytest.mark.parametrize("name", ["sphere", "multisphere"])
def test_the_seed_decides_and_a_larger_n_only_adds_rows(name):
    first, again, other, longer = load(name, seed=3), load(name, seed=3), load(name, seed=4), load(name, seed=3, n=800)
    assert first.sha256 == again.sha256 != other.sha256
    assert np.array_equal(longer.inputs[:500], first.inputs)
    assert np.array_equal(longer.targets[:500], first.targets)
    assert "seed 3" in first.provenance


def test_parameters_left_out_are_the_defaults():
    assert describe("sphere").parameters == {"dimension": 3, "frequency": 2}
    assert describe("multisphere").parameters == {"channels": 3, "frequency": 2, "pixels": 2, "side": 4}
    for name in ("sphere", "multisphere"):
        assert load(name, **describe(name).parameters).sha256 == load(name).sha256
    assert load("sphere", frequency=4).sha256 != load("sphere").sha256
    assert "frequency 4" in load("sphere", frequency=4).provenance
    assert load("sphere", frequency=np.int64(4)).sha256 == load("sphere", frequency=4).sha256


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sphere", {"frequncy": 4}, r'no sphere: parameter "frequncy"\. Nearest: frequency\. Allowed: dimension, frequency'),
        ("sphere", {"side": 4}, 'parameter "side".*Allowed: dimension, frequency'),
        ("iris", {"frequency": 4}, 'iris: "frequency" was given, but this set has no parameters'),
        ("sphere", {"frequency": 0}, r"sphere: frequency=0, but it is 1 to 100 \(frequency 0 is a constant\)"),
        ("sphere", {"frequency": 101}, "sphere: frequency=101, but it is 1 to 100"),
        ("sphere", {"frequency": 2.0}, r"sphere: frequency=2\.0, but it is a whole number such as 2"),
        ("sphere", {"frequency": True}, "sphere: frequency=True, but it is a whole number"),
        ("sphere", {"frequency": "two"}, "sphere: frequency='two', but"),
        ("sphere", {"dimension": 1}, "sphere: dimension=1, but it is 2 to 1000"),
        (
            "multisphere",
            {"channels": 1},
            "multisphere: channels=1, but it is 2 to 100 .*with one channel the sphere of a pixel has two points",
        ),
        ("multisphere", {"side": 0}, "multisphere: side=0"),
        ("multisphere", {"pixels": 0}, "multisphere: pixels=0"),
        ("multisphere", {"side": 2, "pixels": 5}, "multisphere: pixels=5, but an image of side=2 has 4"),
        ("sphere", {"n": 4}, "sphere: n=4, but n is 5 .* to 100000"),
        ("sphere", {"n": 100_001}, "sphere: n=100001"),
        ("multisphere", {"n": 90_000, "side": 64}, "multisphere: n=90000 rows of 12288 values, but .* use n of at most 8138"),
        ("sphere", {"n_test": 5}, "sphere: n_test=5, but a generated set has no official test part"),
        ("sphere", {"protocol": "stratified"}, 'no protocol "stratified" for sphere'),
    ],
)
def test_what_cannot_be_generated_is_named(name, options, message):
    with pytest.raises(SkipbenchError, match=message):
        load(name, **options)


def test_a_prepared_split_holds_the_targets():
    dataset = load("multisphere", n=50)
    split = dataset.splits[1]
    prepared = preprocess(dataset, split, ["multi-sphere", "flatten"])
    for found, rows in ((prepared.y_train, split.train), (prepared.y_validation, split.validation), (prepared.y_test, split.test)):
        assert found.dtype == np.float64
        assert np.array_equal(found, dataset.targets[rows])
    assert np.allclose(prepared.x_test, dataset.inputs[split.test].reshape(len(split.test), -1), atol=1e-6)  # already on the multi-sphere


def test_the_classes_of_the_multisphere_are_the_signs_of_its_targets_on_the_same_images():
    parameters = {"frequency": 1, "pixels": 2, "side": 3, "channels": 4}
    targets, classes = (load(name, n=80, seed=3, **parameters) for name in ("multisphere", "multisphere-classes"))
    np.testing.assert_array_equal(classes.inputs, targets.inputs)
    assert classes.classes == ("negative", "positive")
    np.testing.assert_array_equal(classes.labels == 1, targets.targets[:, 0] > 0)
    assert classes.task == "classification"
    for split in classes.splits:
        assert abs(classes.labels[split.train].mean() - classes.labels.mean()) < 1 / len(split.train) + 1e-9  # stratified
    assert not np.array_equal(load("multisphere-classes", n=80, seed=4).inputs, load("multisphere-classes", n=80, seed=5).inputs)


def test_too_few_rows_of_a_sign_are_refused_by_its_name():
    with pytest.raises(SkipbenchError, match=r'multisphere-classes: class "(negative|positive)" has \d rows'):
        load("multisphere-classes", n=8)
