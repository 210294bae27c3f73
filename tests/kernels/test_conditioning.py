"""Condition number, rank, effective dimension and the double-constant bound, and how they stand in a record."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_iris
from strategies import dense_architectures, gram_matrices, vectors

from skipbench.architecture import ResMLP
from skipbench.checks import SkipbenchError
from skipbench.kernels import kernel_matrices
from skipbench.kernels.spectra import (
    Eigensystem,
    condition_number,
    double_constant_bound,
    effective_dimension,
    mean_off_diagonal,
    measure_spectrum,
    numerical_rank,
    unit_diagonal,
)

EPSILON = np.finfo(np.float64).eps


def double_constant(n: int, b: float) -> np.ndarray:
    return np.full((n, n), b) + (1 - b) * np.eye(n)


def assert_bounded(scaled: torch.Tensor) -> None:
    condition = condition_number(scaled)
    rounding = 4 * len(scaled) * EPSILON * condition if math.isfinite(condition) else 0.0  # λ_min is only known to n eps λ_max
    assert condition * (1 + rounding) >= double_constant_bound(scaled)


@pytest.mark.parametrize("correlation", [0.0, 0.5, -0.9, 0.999])
def test_two_by_two_matrices_have_the_condition_number_of_their_closed_form(correlation):
    gram = np.array([[1.0, correlation], [correlation, 1.0]])
    assert condition_number(gram) == pytest.approx((1 + abs(correlation)) / (1 - abs(correlation)), rel=1e-12)  # rounding only


@pytest.mark.parametrize("n", [2, 7, 13])
@pytest.mark.parametrize("b", [0.0, 0.25, 0.9])
def test_the_bound_is_the_condition_number_of_a_double_constant_matrix(n, b):
    gram = double_constant(n, b)
    assert double_constant_bound(gram) == pytest.approx(1 + n * b / (1 - b), rel=1e-12)
    assert condition_number(gram) == pytest.approx(double_constant_bound(gram), rel=1e-12)


@given(gram=gram_matrices())
def test_no_unit_diagonal_matrix_has_a_condition_number_below_its_double_constant_bound(gram):
    assert_bounded(unit_diagonal(gram))


@given(arch=dense_architectures(), x=vectors(n=6))
def test_network_kernels_keep_the_double_constant_bound(arch, x):
    for gram in kernel_matrices(arch, x):
        if bool((gram.diagonal() > 0).all()):
            assert_bounded(unit_diagonal(gram))


@given(gram=gram_matrices())
def test_full_rank_and_a_finite_condition_number_go_together(gram):
    assert (numerical_rank(gram) == len(gram)) == math.isfinite(condition_number(gram))


@given(gram=gram_matrices(), factor=st.sampled_from([2.0**-20, 4.0, 2.0**30]))
def test_scaling_a_matrix_changes_neither_rank_nor_effective_dimension(gram, factor):
    assert numerical_rank(gram * factor) == numerical_rank(gram)  # powers of two scale without rounding
    assert effective_dimension(gram * factor, 1e-3) == pytest.approx(effective_dimension(gram, 1e-3), rel=1e-9)


def test_duplicate_rows_of_iris_make_the_condition_number_infinite_and_the_rank_says_how_many():
    x, _ = load_iris(return_X_y=True)
    duplicates = len(x) - len(np.unique(x, axis=0))
    assert duplicates > 0
    _, ntk = kernel_matrices(ResMLP(depth=3, bias=0.1), (x - x.mean(axis=0)) / x.std(axis=0))
    assert condition_number(ntk) == math.inf
    assert numerical_rank(ntk) == len(x) - duplicates


def test_the_smallest_eigenvalue_counts_as_zero_just_below_n_eps_times_the_largest():
    n, largest = 4, 8.0
    threshold = n * EPSILON * largest
    for factor, finite in [(0.5, False), (2.0, True)]:
        gram = np.diag([largest, largest, 1.0, factor * threshold])
        assert math.isfinite(condition_number(gram)) == finite
        assert numerical_rank(gram) == (n if finite else n - 1)


@pytest.mark.parametrize("gram", [np.zeros((3, 3)), np.zeros((1, 1)), -np.eye(2)])
def test_a_matrix_without_positive_eigenvalue_has_infinite_condition_number_and_rank_zero(gram):
    assert condition_number(gram) == math.inf
    assert numerical_rank(gram) == 0


@pytest.mark.parametrize("ridge", [0.0, 1e-6, 0.1, 10.0])
def test_effective_dimension_is_the_trace_of_the_smoother(ridge):
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(7, 7))
    gram = factor @ factor.T
    smoother = gram @ np.linalg.inv(gram + ridge * np.trace(gram) / 7 * np.eye(7))
    assert effective_dimension(gram, ridge) == pytest.approx(np.trace(smoother), rel=1e-8)  # the inverse loses digits at ridge 0


def test_effective_dimension_at_ridge_zero_is_the_numerical_rank():
    factor = np.random.default_rng(1).normal(size=(7, 3))
    assert effective_dimension(factor @ factor.T, 0.0) == 3.0


def test_effective_dimension_falls_as_the_ridge_grows():
    factor = np.random.default_rng(2).normal(size=(6, 6))
    dimensions = [effective_dimension(factor @ factor.T, ridge) for ridge in (0.0, 1e-4, 1e-2, 1.0, 100.0)]
    assert dimensions == sorted(dimensions, reverse=True)
    assert dimensions[0] == 6.0
    assert dimensions[-1] < 0.1


@given(gram=gram_matrices())
def test_unit_diagonal_is_exactly_one_on_the_diagonal_symmetric_and_bounded(gram):
    scaled = unit_diagonal(gram)
    assert torch.equal(scaled.diagonal(), torch.ones(len(gram), dtype=torch.float64))
    assert torch.equal(scaled, scaled.T)
    assert float(scaled.abs().max()) <= 1 + 1e-12  # Cauchy-Schwarz, up to rounding


def test_unit_diagonal_does_not_write_into_what_it_was_given():
    gram = torch.tensor([[4.0, 1.0], [1.0, 9.0]], dtype=torch.float64)
    kept = gram.clone()
    assert float(unit_diagonal(gram)[0, 1]) == pytest.approx(1 / 6, rel=1e-15)
    assert torch.equal(gram, kept)


def test_numpy_and_torch_and_float32_give_the_same_numbers():
    factor = np.random.default_rng(3).normal(size=(5, 9)).astype(np.float32)
    gram = (factor @ factor.T).astype(np.float32)
    gram = (gram + gram.T) / 2
    exact = condition_number(gram.astype(np.float64))
    assert condition_number(gram) == exact
    assert condition_number(torch.from_numpy(gram)) == exact


def test_a_matrix_of_one_row_has_no_off_diagonal_and_bound_one():
    assert mean_off_diagonal(np.ones((1, 1))) == 0.0
    assert double_constant_bound(np.ones((1, 1))) == 1.0
    assert condition_number(np.ones((1, 1))) == 1.0


def test_the_bound_of_all_ones_is_infinite():
    assert double_constant_bound(np.ones((3, 3))) == math.inf


def test_asymmetry_of_rounding_size_is_allowed_and_averaged():
    gram = np.array([[2.0, 1.0], [1.0 + 1e-12, 2.0]])
    assert condition_number(gram) == pytest.approx(3.0, rel=1e-11)


@pytest.mark.parametrize(
    ("gram", "message"),
    [
        (np.ones((2, 3)), r"shape \(2, 3\), but a Gram matrix is square"),
        (np.ones(4), r"shape \(4,\), but a Gram matrix is square"),
        (np.ones((0, 0)), r"shape \(0, 0\), but a Gram matrix is square"),
        (np.array([[1.0, 0.5], [0.2, 1.0]]), r"not symmetric: entries \(0, 1\) and \(1, 0\) are 0.5 and 0.2"),
        (np.array([[1.0, np.nan], [np.nan, 1.0]]), "2 of 4 entries are NaN or infinite"),
        (torch.tensor([[math.inf]]), "1 of 1 entries are NaN or infinite"),
        (np.eye(2, dtype=complex), "an array of complex128, but a Gram matrix is a numpy array or torch tensor of real numbers"),
        (torch.eye(2, dtype=torch.complex64), "complex64, but a Gram matrix holds real numbers"),
        (np.array([["a"]]), "a Gram matrix is a numpy array or torch tensor of real numbers"),
        ([[1.0]], "a list, but a Gram matrix is a numpy array or torch tensor"),
    ],
)
@pytest.mark.parametrize("function", [condition_number, numerical_rank, unit_diagonal, double_constant_bound, mean_off_diagonal])
def test_bad_matrices_are_refused_by_name(function, gram, message):
    with pytest.raises(SkipbenchError, match=message):
        function(gram)


def test_a_zero_on_the_diagonal_is_refused_with_its_place():
    with pytest.raises(SkipbenchError, match=r"entry \(1, 1\) of gram is 0.0, but only a positive diagonal can be scaled to 1"):
        unit_diagonal(np.diag([1.0, 0.0, 2.0]))


def test_the_bound_refuses_a_matrix_that_is_not_unit_diagonal_and_says_what_to_do():
    with pytest.raises(SkipbenchError, match=r"entry \(1, 1\) of gram is 2.0.*give unit_diagonal\(gram\)"):
        double_constant_bound(np.diag([1.0, 2.0]))


@pytest.mark.parametrize("ridge", [-1e-9, math.nan, math.inf, "1e-4", True, None])
def test_effective_dimension_refuses_a_bad_ridge(ridge):
    with pytest.raises(SkipbenchError, match="a ridge is a finite number of at least 0, relative to trace/n"):
        effective_dimension(np.eye(2), ridge)


def test_a_spectrum_holds_the_raw_and_the_unit_diagonal_matrix_with_and_without_ridge():
    gram = np.array([[4.0, 1.0], [1.0, 9.0]])
    spectrum = measure_spectrum(gram, dtype="float32", ridge=0.1)
    assert spectrum.n == 2
    assert spectrum.dtype == "float32"
    raw = np.linalg.eigvalsh(gram)
    unit = np.array([5 / 6, 7 / 6])
    expected = [("raw", 0.0, raw), ("raw", 0.1, raw + 0.65), ("unit_diagonal", 0.0, unit), ("unit_diagonal", 0.1, unit + 0.1)]
    assert len(spectrum.matrices) == len(expected)
    for matrix, (scaling, ridge, eigenvalues) in zip(spectrum.matrices, expected, strict=True):
        assert (matrix.scaling, matrix.ridge, matrix.numerical_rank) == (scaling, ridge, 2)
        assert matrix.lambda_min == pytest.approx(eigenvalues[0], rel=1e-12)
        assert matrix.lambda_max == pytest.approx(eigenvalues[1], rel=1e-12)
        assert matrix.condition_number == pytest.approx(eigenvalues[1] / eigenvalues[0], rel=1e-12)
    assert spectrum.effective_dimension == pytest.approx(effective_dimension(gram, 0.1), rel=1e-12)
    assert spectrum.effective_dimension_ridge == 0.1
    assert spectrum.mean_off_diagonal == pytest.approx(1 / 6, rel=1e-12)
    assert spectrum.double_constant_bound == pytest.approx(1 + 2 * (1 / 6) / (5 / 6), rel=1e-12)


def test_a_spectrum_without_ridge_leaves_out_the_shifted_matrices():
    spectrum = measure_spectrum(np.eye(3), dtype="float64")
    assert [(matrix.scaling, matrix.ridge) for matrix in spectrum.matrices] == [("raw", 0.0), ("unit_diagonal", 0.0)]
    assert spectrum.effective_dimension is None


def test_a_singular_matrix_stands_in_the_record_with_its_rank_and_no_condition_number_until_the_ridge():
    spectrum = measure_spectrum(np.ones((3, 3)), dtype="float64", ridge=0.5)
    without, with_ridge = spectrum.matrices[:2]
    assert (without.condition_number, without.numerical_rank) == (None, 1)
    assert (with_ridge.condition_number, with_ridge.numerical_rank) == (pytest.approx(7.0, rel=1e-12), 3)
    assert spectrum.double_constant_bound is None


def test_a_known_decomposition_is_used_and_not_computed_again():
    claimed = Eigensystem(torch.tensor([2.0, 6.0], dtype=torch.float64), torch.eye(2, dtype=torch.float64), 4.0)
    spectrum = measure_spectrum(np.eye(2), dtype="float64", system=claimed)
    assert spectrum.matrices[0].condition_number == 3.0


def test_a_zero_diagonal_leaves_the_unit_diagonal_matrix_out_of_the_spectrum():
    spectrum = measure_spectrum(np.diag([1.0, 0.0]), dtype="float64", ridge=0.1)
    assert {matrix.scaling for matrix in spectrum.matrices} == {"raw"}
    assert spectrum.mean_off_diagonal is None
