"""Many ridges from one eigendecomposition, against solving each; what a singular matrix says."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.kernel_ridge import KernelRidge as ScikitLearnKernelRidge
from strategies import gram_matrices

from skipbench.checks import SkipbenchError
from skipbench.kernels.spectra import eigensystem
from skipbench.trainers.ridge_path import SingularGramError, leave_one_out, ridge_path, smallest_usable_ridge, solve_path

RIDGES = [10.0, 1e-3, 1e-1]


@given(gram=gram_matrices(), seed=st.integers(0, 2**32 - 1))
def test_every_ridge_agrees_with_scikit_learn(gram, seed):
    targets = np.random.default_rng(seed).normal(size=(len(gram), 3))
    path = ridge_path(torch.from_numpy(gram), torch.from_numpy(targets), RIDGES)
    assert path.shape == (len(RIDGES), len(gram), 3)
    for ridge, coefficients in zip(RIDGES, path, strict=True):
        shift = ridge * np.trace(gram) / len(gram)
        expected = ScikitLearnKernelRidge(kernel="precomputed", alpha=shift).fit(gram, targets).dual_coef_
        # condition numbers up to 1e4 n at the smallest ridge; the coefficients scale with 1/shift
        np.testing.assert_allclose(coefficients.numpy(), expected, atol=1e-9 / shift)


def test_a_two_by_two_matrix_has_the_coefficients_of_its_closed_form():
    gram = torch.tensor([[2.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
    targets = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)  # the eigenvector of eigenvalue 1
    path = ridge_path(gram, targets, [0.5])  # shifted by half of trace/n = 2
    np.testing.assert_allclose(path[0], [[0.5], [-0.5]], rtol=1e-14)


@given(gram=gram_matrices())
def test_leaving_one_out_in_closed_form_is_fitting_without_the_row(gram):
    n = len(gram)
    targets = np.random.default_rng(n).normal(size=(n, 2))
    system = eigensystem(gram)
    coefficients = solve_path(system, torch.from_numpy(targets), [0.1])[0]
    left_out = leave_one_out(system, torch.from_numpy(targets), coefficients, 0.1).numpy()
    shift = 0.1 * np.trace(gram) / n
    for row in range(n):
        rest = np.arange(n) != row
        fitted = np.linalg.solve(gram[np.ix_(rest, rest)] + shift * np.eye(n - 1), targets[rest])
        np.testing.assert_allclose(left_out[row], gram[row, rest] @ fitted, atol=1e-9 * (1 + np.abs(targets).max()))


def test_a_singular_matrix_says_its_numbers_and_the_smallest_usable_ridge():
    # float32 rounding leaves such negative eigenvalues in a kernel matrix
    gram = torch.diag(torch.tensor([3.0, 1.0, -1e-4], dtype=torch.float64))
    targets = torch.ones(3, 1, dtype=torch.float64)
    with pytest.raises(
        SingularGramError, match=r"singular at ridge=1e-05: its eigenvalues run from s_min=-0.0001 to s_max=3 \(n=3\)"
    ) as caught:
        ridge_path(gram, targets, [1.0, 1e-5])
    assert (caught.value.s_min, caught.value.s_max) == (pytest.approx(-1e-4), pytest.approx(3.0))
    least = caught.value.smallest_usable_ridge
    assert least == pytest.approx(1e-4 / ((4 - 1e-4) / 3), rel=1e-9)
    assert bool(torch.isfinite(ridge_path(gram, targets, [least])).all())
    with pytest.raises(SingularGramError, match=r"use a ridge of at least 7\.5e-05"):
        ridge_path(gram, targets, [least * 0.999])


def test_the_error_survives_the_way_home_from_a_worker_process():
    with pytest.raises(SingularGramError) as caught:
        ridge_path(torch.diag(torch.tensor([1.0, -0.1], dtype=torch.float64)), torch.ones(2, 1, dtype=torch.float64), [1e-3])
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.smallest_usable_ridge == caught.value.smallest_usable_ridge


def test_duplicate_rows_are_solved_at_any_ridge_that_float64_can_tell_from_zero():
    gram = torch.ones(4, 4, dtype=torch.float64)
    targets = torch.ones(4, 1, dtype=torch.float64)
    for ridge, coefficients in zip((1e-2, 1e-8), ridge_path(gram, targets, [1e-2, 1e-8]), strict=True):
        np.testing.assert_allclose(coefficients, 1 / (4 + ridge), rtol=1e-6)  # rounding of 1e-15, blown up by 4/ridge
    with pytest.raises(SingularGramError, match="gram is singular at ridge=1e-17"):
        ridge_path(gram, targets, [1e-17])


def test_no_ridge_helps_a_matrix_of_zeros():
    with pytest.raises(SingularGramError, match="no ridge helps, as the trace is not positive") as caught:
        ridge_path(torch.zeros(2, 2, dtype=torch.float64), torch.ones(2, 1, dtype=torch.float64), [10.0])
    assert caught.value.smallest_usable_ridge == math.inf


@given(gram=gram_matrices())
def test_the_smallest_usable_ridge_of_a_semidefinite_matrix_is_of_rounding_size(gram):
    assert 0 <= smallest_usable_ridge(eigensystem(gram)) < 1e-13 * len(gram) ** 2


@pytest.mark.parametrize("ridge", [0.0, -1.0, math.nan, math.inf, "1"])
def test_ridges_that_are_not_above_zero_are_refused(ridge):
    with pytest.raises(SkipbenchError, match="a ridge is a finite number above 0, relative to trace/n"):
        ridge_path(torch.eye(2, dtype=torch.float64), torch.ones(2, 1, dtype=torch.float64), [1.0, ridge])


def test_targets_of_another_length_are_refused():
    with pytest.raises(SkipbenchError, match=r"targets of shape \(3, 1\), but gram has 2 rows"):
        ridge_path(torch.eye(2, dtype=torch.float64), torch.ones(3, 1, dtype=torch.float64), [1.0])
