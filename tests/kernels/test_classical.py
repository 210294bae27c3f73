"""Gaussian and Laplace kernels and the median heuristic."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics.pairwise import laplacian_kernel, rbf_kernel
from strategies import vectors

from skipbench.checks import SkipbenchError
from skipbench.kernels.classical import CLASSICAL_KERNELS, classical_kernel, median_distance


@pytest.mark.parametrize(("name", "expected"), [("gaussian", math.exp(-0.5 * 2.5**2)), ("laplace", math.exp(-2.5))])
def test_two_points_five_apart_have_the_kernel_value_of_the_formula(name, expected):
    value = classical_kernel(name, np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]]), bandwidth=2.0)
    assert value.shape == (1, 1)
    assert float(value) == pytest.approx(expected, rel=1e-14)


@given(x=vectors(n=5), z=st.integers(0, 2**32 - 1))
def test_the_gaussian_kernel_agrees_with_scikit_learn(x, z):
    other = np.random.default_rng(z).normal(size=(3, x.shape[1]))
    expected = rbf_kernel(x, other, gamma=1 / (2 * 1.7**2))
    np.testing.assert_allclose(classical_kernel("gaussian", x, other, bandwidth=1.7), expected, rtol=1e-10)  # theirs goes through <x, z>


def test_the_laplace_kernel_takes_the_euclidean_distance_where_scikit_learn_takes_the_sum_of_absolute_differences():
    x, z = np.array([[0.0]]), np.array([[1.3]])  # in one dimension both distances agree
    np.testing.assert_allclose(classical_kernel("laplace", x, z, bandwidth=0.5), laplacian_kernel(x, z, gamma=2.0), rtol=1e-14)
    far = classical_kernel("laplace", np.zeros((1, 2)), np.ones((1, 2)), bandwidth=1.0)
    assert float(far) == pytest.approx(math.exp(-math.sqrt(2)), rel=1e-14)


@given(x=vectors(n=6), name=st.sampled_from(CLASSICAL_KERNELS), bandwidth=st.sampled_from([0.1, 1.0, 30.0]))
def test_gram_matrices_are_exactly_symmetric_with_unit_diagonal_and_positive_semidefinite(x, name, bandwidth):
    gram = classical_kernel(name, x, bandwidth=bandwidth)
    assert torch.equal(gram, gram.T)
    assert torch.equal(gram.diagonal(), torch.ones(6, dtype=torch.float64))
    assert torch.linalg.eigvalsh(gram)[0] >= -1e-12  # rounding, of a matrix with trace 6


def test_equal_rows_far_from_the_origin_have_kernel_value_exactly_one():
    x = np.full((2, 3), 1e6) + np.array([[0.0], [1e-3]])
    assert float(classical_kernel("laplace", x, x.copy(), bandwidth=1e-3)[0, 0]) == 1.0
    # distances through |x|² + |z|² - 2<x, z> would lose all digits of a difference of 1e-3 here
    assert float(classical_kernel("laplace", x, bandwidth=1e-3)[0, 1]) == pytest.approx(math.exp(-math.sqrt(3)), rel=1e-6)


def test_the_result_has_the_dtype_that_was_asked_for():
    assert classical_kernel("gaussian", np.zeros((2, 3)), bandwidth=1.0, dtype=torch.float32).dtype == torch.float32


def test_the_median_distance_is_that_of_pairs_that_differ():
    assert median_distance(np.array([[0.0], [1.0], [4.0]])) == 3.0  # distances 1, 3, 4
    assert median_distance(np.array([[0.0], [0.0], [0.0], [0.0], [2.0]])) == 2.0


def test_the_median_distance_of_many_rows_comes_from_evenly_spaced_ones():
    x = np.random.default_rng(0).normal(size=(5001, 3))
    sample = x[np.linspace(0, 5000, 2000).round().astype(int)]
    assert median_distance(x) == median_distance(sample)
    assert median_distance(x) == pytest.approx(2.18, abs=0.05)  # sqrt(2) times the median of a chi variable with 3 degrees of freedom


@pytest.mark.parametrize("bandwidth", [0.0, -1.0, math.inf, math.nan, "1", None, True])
def test_a_bad_bandwidth_is_refused(bandwidth):
    with pytest.raises(SkipbenchError, match="a bandwidth is a finite number above 0"):
        classical_kernel("gaussian", np.zeros((2, 2)), bandwidth=bandwidth)


def test_an_unknown_kernel_is_refused_with_the_nearest_name():
    with pytest.raises(SkipbenchError, match=r'no classical kernel "gausian"\. Nearest: gaussian'):
        classical_kernel("gausian", np.zeros((2, 2)), bandwidth=1.0)


def test_images_are_refused_by_name():
    with pytest.raises(SkipbenchError, match=r"images of shape \(1, 4, 4\), but the classical kernels compare vectors"):
        classical_kernel("laplace", np.zeros((2, 1, 4, 4)), bandwidth=1.0)


def test_inputs_of_different_dimension_are_refused():
    with pytest.raises(SkipbenchError, match="x has 2 features and z has 3"):
        classical_kernel("laplace", np.zeros((2, 2)), np.zeros((2, 3)), bandwidth=1.0)


def test_rows_that_are_all_equal_have_no_median_distance():
    with pytest.raises(SkipbenchError, match="no two of them differ: give a bandwidth"):
        median_distance(np.ones((4, 2)))
