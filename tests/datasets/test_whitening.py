"""ZCA whitening is the symmetric map of the training covariance, whichever way it is computed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from skipbench.datasets import check_steps, fit_preprocessing
from skipbench.datasets.whitening import EPSILON, Zca

rows_strategy = hnp.arrays(np.float32, st.tuples(st.integers(2, 9), st.integers(1, 7)), elements=st.floats(-100, 100, width=32))


def map_by_definition(train):
    """Mean, eigenvalues of C, and U diag((λ + ε λ̄)^−½) Uᵀ, straight from the equation."""
    x = train.reshape(len(train), -1).astype(np.float64)
    eigenvalues, directions = np.linalg.eigh(np.atleast_2d(np.cov(x.T, bias=True)))
    eigenvalues = np.maximum(eigenvalues, 0)
    return x.mean(axis=0), eigenvalues, directions @ np.diag((eigenvalues + EPSILON * eigenvalues.mean()) ** -0.5) @ directions.T


@pytest.mark.parametrize(("n", "dimension"), [(40, 5), (6, 5), (5, 5), (4, 5), (2, 13), (13, 1)])
def test_the_map_is_the_one_of_the_equation_with_more_rows_than_features_and_with_fewer(n, dimension):
    rng = np.random.default_rng(n)
    train, test = ((rng.normal(size=(size, dimension)) @ rng.normal(size=(dimension, dimension)) + 5).astype(np.float32) for size in (n, 7))
    mean, _, matrix = map_by_definition(train)
    fitted = fit_preprocessing(["zca"], train)
    for rows in (train, test):
        expected = (rows.astype(np.float64) - mean) @ matrix
        assert np.abs(fitted.transform(rows) - expected).max() < 1e-5 * max(1, np.abs(expected).max())  # float32 in and out


@given(train=rows_strategy)
def test_training_rows_get_mean_0_and_covariance_1_up_to_the_regularisation(train):
    result = fit_preprocessing(["zca"], train).transform(train).astype(np.float64)
    if (train == train[0]).all():
        assert not result.any()
        return
    _, eigenvalues, _ = map_by_definition(train)
    left = eigenvalues / (eigenvalues + EPSILON * eigenvalues.mean())
    # results are at most sqrt(n d / ε) of order 10 in float32; inputs of 100 lose 1e-5 of their deviation at most where that is 1e-2
    scale = np.abs(train).max() / np.sqrt(eigenvalues.mean())
    tolerance = 1e-5 * (1 + scale)
    assert np.abs(result.mean(axis=0)).max() < tolerance
    covariance = np.atleast_2d(np.cov(result.T, bias=True))
    assert np.abs(np.linalg.eigvalsh(covariance) - np.sort(left)).max() < tolerance


def test_with_little_regularisation_the_covariance_is_the_identity(monkeypatch):
    monkeypatch.setattr("skipbench.datasets.whitening.EPSILON", 1e-6)
    rng = np.random.default_rng(0)
    train = (rng.normal(size=(500, 6)) @ (np.eye(6) + 0.3 * rng.normal(size=(6, 6)))).astype(np.float32)
    covariance = np.cov(fit_preprocessing(["zca"], train).transform(train).T, bias=True)
    # a variance is λ / (λ + ε λ̄) = 1 − ε λ̄ / λ, and λ̄ / λ is below 300 for this spectrum
    assert np.abs(covariance - np.eye(6)).max() < 3e-4


@given(train=rows_strategy, factor=st.sampled_from([1e-3, 0.5, 64.0]))
def test_the_scale_of_the_features_does_not_matter(train, factor):
    if (train == train[0]).all() or map_by_definition(train)[1].mean() < 1e-2:
        return
    before = fit_preprocessing(["zca"], train).transform(train)
    after = fit_preprocessing(["zca"], train * np.float32(factor)).transform(train * np.float32(factor))
    assert np.abs(after - before).max() < 1e-3  # inputs up to 100 of deviation 0.1 or more, rounded to float32


def test_images_keep_their_shape_and_are_whitened_over_all_channels_and_pixels():
    images = np.random.default_rng(1).normal(size=(30, 2, 3, 4)).astype(np.float32)
    whitened = fit_preprocessing(["zca"], images).transform(images)
    assert whitened.shape == images.shape
    flat = fit_preprocessing(["flatten", "zca"], images).transform(images)
    assert np.array_equal(whitened.reshape(30, -1), flat)


def test_only_training_rows_are_used():
    rng = np.random.default_rng(2)
    train, test = rng.normal(size=(20, 4)).astype(np.float32), rng.normal(size=(6, 4)).astype(np.float32)
    alone = fit_preprocessing(["zca"], train).transform(test)
    with_another = fit_preprocessing(["zca"], train).transform(np.concatenate([test, 1000 * test]))
    assert np.allclose(with_another[:6], alone, rtol=1e-6, atol=1e-6)


def test_rows_that_are_all_equal_become_0_and_so_does_what_is_tested():
    train = np.full((5, 3), 0.1, dtype=np.float32)
    fitted = fit_preprocessing(["zca"], train)
    assert not fitted.transform(train).any()
    assert not fitted.transform(np.ones((2, 3), dtype=np.float32)).any()
    assert not fit_preprocessing(["zca"], train[:1]).transform(train).any()


def test_a_direction_without_variance_is_multiplied_as_the_equation_says():
    train = np.array([[1, 0], [-1, 0], [2, 0], [-2, 0]], dtype=np.float32)
    result = fit_preprocessing(["zca"], train).transform(np.array([[0, 1]], dtype=np.float32))
    mean_eigenvalue = 2.5 / 2
    assert np.allclose(result, [[0, (EPSILON * mean_eigenvalue) ** -0.5]], rtol=1e-6)


def test_few_large_images_need_no_matrix_of_all_features():
    images = np.random.default_rng(3).normal(size=(8, 3, 64, 64)).astype(np.float32)
    fitted = Zca.fit(images)
    assert fitted.directions.shape == (3 * 64 * 64, 7)
    assert np.abs(fitted.directions.T @ fitted.directions - np.eye(7)).max() < 1e-10
    assert fitted.transform(images).dtype == np.float32


def test_blocks_do_not_change_the_result(monkeypatch):
    rows = np.random.default_rng(4).normal(size=(50, 6)).astype(np.float32)
    whole = fit_preprocessing(["zca"], rows).transform(rows)
    monkeypatch.setattr("skipbench.datasets.whitening._VALUES_AT_ONCE", 20)
    assert np.allclose(fit_preprocessing(["zca"], rows).transform(rows), whole, atol=1e-5)


@pytest.mark.parametrize("kind", ["vectors", "images"])
def test_it_takes_both_kinds(kind):
    assert check_steps(["zca"], kind) == ("zca",)
