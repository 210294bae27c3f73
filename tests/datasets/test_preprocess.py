"""Steps are fitted on the training part only, defined where they divide by nothing, and recorded by name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from skipbench.checks import SkipbenchError
from skipbench.datasets import STEPS, check_steps, fit_preprocessing, load, preprocess
from skipbench.datasets.preprocess import shape_after

numbers = st.floats(-100, 100, width=32)
vectors = hnp.arrays(np.float32, st.tuples(st.integers(1, 7), st.integers(1, 5)), elements=numbers)
images = hnp.arrays(np.float32, st.tuples(st.integers(1, 5), *[st.integers(1, 4)] * 3), elements=numbers)


def test_standardise_uses_the_training_part_only():
    train = np.array([[0.0, 10.0], [2.0, 30.0]], dtype=np.float32)
    test = np.array([[4.0, 20.0]], dtype=np.float32)
    fitted = fit_preprocessing(["standardise"], train)
    assert fitted.transform(train).tolist() == [[-1, -1], [1, 1]]
    assert fitted.transform(test).tolist() == [[3, 0]]


@given(train=vectors)
def test_standardised_features_have_mean_0_and_deviation_1_or_are_0(train):
    result = fit_preprocessing(["standardise"], train).transform(train).astype(np.float64)
    constant = train.max(axis=0) == train.min(axis=0)
    assert not result[:, constant].any()
    # results are of order 1 in float32, and a few of them are averaged: 1e-5 is far above their rounding
    varying = result[:, ~constant]
    assert np.abs(varying.mean(axis=0)).max(initial=0) < 1e-5
    assert np.abs(varying.std(axis=0) - 1).max(initial=0) < 1e-5


def test_a_feature_that_is_constant_in_training_is_0_in_the_test_part_too():
    train = np.array([[0.1, 1.0], [0.1, 2.0], [0.1, 4.0]], dtype=np.float32)
    test = np.array([[1e6, 1.0]], dtype=np.float32)
    assert fit_preprocessing(["standardise"], train).transform(test)[0, 0] == 0


def test_a_large_mean_does_not_hide_a_small_deviation():
    train = (10_000 + np.array([[0.0], [1.0], [2.0], [3.0]])).astype(np.float32)
    result = fit_preprocessing(["standardise"], train).transform(train)
    assert np.allclose(result[:, 0], [-1.5, -0.5, 0.5, 1.5] / np.sqrt(1.25), rtol=1e-6)


@given(inputs=st.one_of(vectors, images))
def test_unit_norm_brings_every_row_to_norm_1_and_leaves_zeros(inputs):
    result = fit_preprocessing(["unit-norm"], inputs).transform(inputs).reshape(len(inputs), -1)
    norms = np.linalg.norm(result.astype(np.float64), axis=1)
    is_zero = ~inputs.reshape(len(inputs), -1).any(axis=1)
    assert np.abs(norms[~is_zero] - 1).max(initial=0) < 1e-6
    assert not result[is_zero].any()


@given(inputs=images)
def test_multi_sphere_brings_every_pixel_to_norm_1_and_leaves_zero_pixels(inputs):
    result = fit_preprocessing(["multi-sphere"], inputs).transform(inputs)
    norms = np.linalg.norm(result.astype(np.float64), axis=1)
    is_zero = ~inputs.any(axis=1)
    assert np.abs(norms[~is_zero] - 1).max(initial=0) < 1e-6
    assert not norms[is_zero].any()
    assert (np.sign(result) == np.sign(inputs)).all() or np.abs(inputs[np.sign(result) != np.sign(inputs)]).max() < 1e-30


def test_multi_sphere_keeps_the_direction_of_each_pixel():
    inputs = np.zeros((1, 2, 1, 2), dtype=np.float32)
    inputs[0, :, 0, 0] = [3, 4]
    result = fit_preprocessing(["multi-sphere"], inputs).transform(inputs)
    assert np.allclose(result[0, :, 0, 0], [0.6, 0.8], atol=1e-7)
    assert result[0, :, 0, 1].tolist() == [0, 0]


@given(inputs=images)
def test_per_channel_takes_moments_over_images_and_pixels(inputs):
    result = fit_preprocessing(["per-channel"], inputs).transform(inputs).astype(np.float64)
    for channel in range(inputs.shape[1]):
        values, before = result[:, channel], inputs[:, channel]
        if before.max() == before.min():
            assert not values.any()
        else:
            assert abs(values.mean()) < 1e-5
            assert abs(values.std() - 1) < 1e-5


def test_per_channel_applies_training_moments_to_other_images():
    train = np.zeros((2, 2, 1, 2), dtype=np.float32)
    train[:, 0] = [[[0, 2]], [[4, 6]]]
    train[:, 1] = 7
    fitted = fit_preprocessing(["per-channel"], train)
    other = np.full((1, 2, 1, 2), 8, dtype=np.float32)
    assert np.allclose(fitted.transform(other)[0, 0], 5 / np.sqrt(5), rtol=1e-6)
    assert not fitted.transform(other)[0, 1].any()


def test_flatten_goes_channel_by_channel_and_row_by_row():
    inputs = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)
    assert np.array_equal(fit_preprocessing(["flatten"], inputs).transform(inputs), np.arange(24).reshape(2, 12))


def test_steps_are_fitted_in_turn_on_what_the_steps_before_leave():
    inputs = np.random.default_rng(0).normal(size=(9, 2, 3, 3)).astype(np.float32)
    fitted = fit_preprocessing(("multi-sphere", "flatten", "standardise"), inputs)
    by_hand = fit_preprocessing(["multi-sphere"], inputs).transform(inputs).reshape(9, -1)
    assert np.array_equal(fitted.transform(inputs), fit_preprocessing(["standardise"], by_hand).transform(by_hand))
    assert fitted.steps == ("multi-sphere", "flatten", "standardise")


@pytest.mark.parametrize("steps", [[], ["flatten"], ["unit-norm"]])
def test_the_result_is_a_new_writable_array_and_the_input_stays(steps):
    inputs = np.ones((2, 1, 2, 2), dtype=np.float32)
    result = fit_preprocessing(steps, inputs).transform(inputs)
    result[:] = 9
    assert (inputs == 1).all()
    assert result.dtype == np.float32


@pytest.mark.parametrize(
    ("steps", "shape", "message"),
    [
        (["standardize"], (3, 2), 'no preprocessing step "standardize". Nearest: standardise'),
        (["whiten"], (3, 2), "Allowed: flatten, multi-sphere, per-channel, pool-8x8, standardise, unit-norm, zca"),
        (["per-channel"], (3, 2), "the step per-channel expects images, but it is given vectors: use standardise"),
        (["multi-sphere"], (3, 2), "the step multi-sphere expects images, but it is given vectors: use unit-norm"),
        (["flatten"], (3, 2), "the step flatten expects images, but it is given vectors: leave it out"),
        (["standardise"], (3, 1, 2, 2), "the step standardise expects vectors, but it is given images: use per-channel, or flatten before"),
        (["flatten", "per-channel"], (3, 1, 2, 2), "the step per-channel expects images, but it is given vectors"),
        ("standardise", (3, 2), "steps is the text 'standardise', but it is a list of names"),
        ([3], (3, 2), 'no preprocessing step "3"'),
        ([], (3,), r"training inputs have shape \(3,\)"),
        ([], (0, 2), r"training inputs have shape \(0, 2\)"),
    ],
)
def test_a_step_that_cannot_be_taken_is_named(steps, shape, message):
    with pytest.raises(SkipbenchError, match=message):
        fit_preprocessing(steps, np.ones(shape, dtype=np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_training_inputs_that_are_not_finite_in_float32_are_named(bad):
    with pytest.raises(SkipbenchError, match=r"training part: inputs row 1, feature 0 is (nan|inf)"):
        fit_preprocessing(["standardise"], np.array([[0.0], [bad]]))


def test_rows_of_another_shape_are_refused():
    with pytest.raises(SkipbenchError, match=r"rows of shape \(3,\), but the steps were fitted on rows of shape \(2,\)"):
        fit_preprocessing(["unit-norm"], np.ones((4, 2))).transform(np.ones((4, 3)))


def test_text_is_no_input():
    with pytest.raises(SkipbenchError, match="inputs are no array of numbers"):
        fit_preprocessing([], [["a", "b"]])


def test_steps_can_be_checked_before_any_data_is_there():
    assert check_steps(["flatten", "standardise"], "images") == ("flatten", "standardise")
    assert set(STEPS) == {"standardise", "unit-norm", "multi-sphere", "per-channel", "pool-8x8", "zca", "flatten"}


def test_a_split_is_prepared_part_by_part():
    dataset = load("wine")
    split = dataset.splits[2]
    for prepared in (preprocess(dataset, split, ["standardise"]), preprocess(dataset, 2, ["standardise"])):
        assert prepared.steps == ("standardise",)
        assert np.array_equal(prepared.y_test, dataset.labels[split.test])
        raw = dataset.inputs.astype(np.float64)
        mean, deviation = raw[split.train].mean(axis=0), raw[split.train].std(axis=0)
        for rows, got in ((split.train, prepared.x_train), (split.validation, prepared.x_validation), (split.test, prepared.x_test)):
            assert np.allclose(got, (raw[rows] - mean) / deviation, atol=1e-5)  # float32 results up to about 5


def test_an_empty_part_stays_empty_with_its_shape(uci_set, tmp_path):
    uci_set(n=40, features=3)
    prepared = preprocess(load("uci/toy", tmp_path), 0, ["standardise", "unit-norm"])
    assert prepared.x_test.shape == (0, 3)
    assert prepared.y_test.shape == (0,)


def test_a_split_that_is_not_there_is_named():
    with pytest.raises(SkipbenchError, match="iris: split 5, but its splits are 0 to 4"):
        preprocess(load("iris"), 5, [])


@pytest.mark.parametrize("sides", [(8, 8), (16, 8), (32, 32), (24, 40)])
def test_pooling_takes_the_mean_of_every_square(sides):
    images = np.random.default_rng(0).normal(size=(3, 2, *sides)).astype(np.float32)
    pooled = fit_preprocessing(["pool-8x8"], images).transform(images)
    assert (pooled.shape, pooled.dtype) == ((3, 2, 8, 8), np.float32)
    rows, columns = sides[0] // 8, sides[1] // 8
    for place in [(0, 0), (3, 5), (7, 7)]:
        square = images[:, :, place[0] * rows : (place[0] + 1) * rows, place[1] * columns : (place[1] + 1) * columns]
        np.testing.assert_allclose(pooled[:, :, *place], square.astype(np.float64).mean(axis=(2, 3)), rtol=1e-6)


def test_pooling_refuses_sides_that_do_not_divide_and_vectors():
    with pytest.raises(SkipbenchError, match=r"pool-8x8 is given images of 8 x 12 pixels, but it takes sides that are multiples of 8"):
        fit_preprocessing(["pool-8x8"], np.ones((2, 1, 8, 12)))
    with pytest.raises(SkipbenchError, match="the step pool-8x8 expects images, but it is given vectors"):
        fit_preprocessing(["pool-8x8"], np.ones((2, 64)))


@pytest.mark.parametrize("steps", [(), ("pool-8x8",), ("per-channel", "pool-8x8", "flatten"), ("unit-norm", "flatten")])
def test_the_shape_after_the_steps_is_that_of_the_rows(steps):
    images = np.random.default_rng(0).normal(size=(5, 3, 16, 16)).astype(np.float32)
    assert shape_after(steps, (3, 16, 16)) == fit_preprocessing(steps, images).transform(images).shape[1:]
