"""Both solvers against an eigendecomposition and against each other, whatever the matrix is kept in."""

from __future__ import annotations

import numpy as np
import psutil
import pytest
import torch
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import gram_matrices

from skipbench.architecture import ResMLP
from skipbench.kernels import stored_kernel_matrices
from skipbench.trainers.ridge_path import ridge_path
from skipbench.trainers.solvers import solve_ridge, solve_ridge_path

METHODS = ["cholesky", "conjugate-gradient"]
PRECONDITIONERS = ["nystrom", "pivoted-cholesky", "none"]


def reference(gram, targets, ridges):
    return ridge_path(torch.from_numpy(gram), torch.from_numpy(targets), ridges).numpy()


def relative_difference(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@settings(deadline=None)
@given(
    gram=gram_matrices(max_n=23),
    tile=st.integers(1, 25),
    outputs=st.integers(1, 3),
    method=st.sampled_from(METHODS),
    preconditioner=st.sampled_from(PRECONDITIONERS),
    rank=st.sampled_from([None, 1, 4]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_matrix_is_solved_as_by_its_eigendecomposition(gram, tile, outputs, method, preconditioner, rank, seed):
    targets = np.random.default_rng(seed).normal(size=(len(gram), outputs))
    ridges = [1e-1, 10.0, 1e-3]
    solutions = solve_ridge_path(gram, targets, ridges, method=method, tile=tile, preconditioner=preconditioner, rank=rank, seed=seed)
    for solution, ridge, expected in zip(solutions, ridges, reference(gram, targets, ridges), strict=True):
        assert solution.ridge == ridge
        assert solution.shift == pytest.approx(ridge * np.trace(gram) / len(gram))
        assert solution.coefficients.shape == expected.shape
        # a residual of 1e-8 |y| lies 1e-8 |y| / shift from the solution at most, and |c| is at least |y| / (s_max + shift)
        assert np.linalg.norm(solution.coefficients - expected) <= 2e-8 * np.linalg.norm(targets) / solution.shift
        rest = targets - gram @ solution.coefficients - solution.shift * solution.coefficients
        lengths = np.linalg.norm(targets, axis=0)
        np.testing.assert_allclose(solution.residuals, np.linalg.norm(rest, axis=0) / lengths, atol=1e-12)
        assert solution.residual <= 1e-8
        assert solution.residual == solution.residuals.max()


def test_cholesky_and_conjugate_gradients_agree_on_4000_points(tangent_kernel):
    gram = tangent_kernel(4000)
    rng = np.random.default_rng(0)
    targets = np.eye(3)[rng.integers(0, 3, size=4000)] - 1 / 3  # labels of noise have weight on every eigenvector
    ridges = [1e-1, 1e-3, 1e-6]
    direct = solve_ridge_path(gram, targets, ridges, method="cholesky")
    iterative = solve_ridge_path(gram, targets, ridges, method="conjugate-gradient")
    for one, other in zip(direct, iterative, strict=True):
        assert (one.method, other.method) == ("cholesky", "conjugate-gradient")
        assert relative_difference(other.coefficients, one.coefficients) < 1e-6
        assert relative_difference(gram @ other.coefficients, gram @ one.coefficients) < 1e-6
        assert one.residual < 1e-11
        assert other.residual <= 1e-8
        assert 5 < other.iterations < 300
        assert other.condition_estimate == pytest.approx(one.condition_estimate, rel=0.2)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arrays_tensors_zarr_and_tiles_of_their_own_give_the_same(tangent_kernel, counting_matrix, tmp_path, method, dtype):
    gram = tangent_kernel(93).astype(dtype)
    gram = (gram + gram.T) / 2
    targets = np.random.default_rng(1).normal(size=(93, 2))
    array = zarr.create_array(tmp_path / "gram", shape=gram.shape, chunks=(32, 32), dtype=dtype)
    array[:, :] = gram
    mapped = np.memmap(tmp_path / "mapped", dtype=dtype, mode="w+", shape=gram.shape)
    mapped[:, :] = gram
    expected = reference(gram.astype(np.float64), targets, [1e-3])[0]
    for matrix in (gram, torch.from_numpy(gram), array, mapped, counting_matrix(gram, tile=13)):
        found = solve_ridge(matrix, targets, 1e-3, method=method).coefficients
        assert found.dtype == np.float64
        assert relative_difference(found, expected) < 1e-6


@pytest.mark.parametrize("method", METHODS)
def test_a_stored_kernel_matrix_is_solved_where_it_lies(tmp_path, method):
    x = np.random.default_rng(2).normal(size=(50, 6))
    ntk = stored_kernel_matrices(ResMLP(depth=2), x, store=tmp_path / "store", tile=16)[1]
    targets = np.random.default_rng(3).normal(size=(50, 1))
    found = solve_ridge(ntk, targets, 1e-2, method=method)
    assert relative_difference(found.coefficients, reference(np.asarray(ntk), targets, [1e-2])[0]) < 1e-7


@pytest.mark.parametrize("method", METHODS)
def test_a_ridge_of_a_path_is_solved_as_it_would_be_alone(tangent_kernel, method):
    gram, targets = tangent_kernel(150), np.random.default_rng(4).normal(size=(150, 2))
    ridges = [1e-4, 1.0, 1e-2]
    for ridge, solution in zip(ridges, solve_ridge_path(gram, targets, ridges, method=method), strict=True):
        alone = solve_ridge(gram, targets, ridge, method=method)
        assert relative_difference(solution.coefficients, alone.coefficients) < 1e-6
        assert solution.condition_estimate == pytest.approx(alone.condition_estimate, rel=0.1)


def test_targets_may_be_one_column_a_tensor_or_partly_zero(tangent_kernel):
    gram = tangent_kernel(40)
    column = np.random.default_rng(5).normal(size=40)
    for method in METHODS:
        alone = solve_ridge(gram, column, 1e-2, method=method)
        assert alone.coefficients.shape == (40, 1)
        with_zero = solve_ridge(gram, torch.from_numpy(np.stack([np.zeros(40), column], axis=1)), 1e-2, method=method)
        assert not with_zero.coefficients[:, 0].any()
        assert with_zero.residuals[0] == 0
        np.testing.assert_allclose(with_zero.coefficients[:, 1:], alone.coefficients, rtol=1e-6)


def test_targets_of_zeros_need_no_iteration(tangent_kernel):
    for method in METHODS:
        solution = solve_ridge(tangent_kernel(20), np.zeros((20, 2)), 1e-2, method=method)
        assert not solution.coefficients.any()
        assert (solution.iterations, solution.residual) == (0, 0.0)


def test_auto_takes_cholesky_exactly_where_its_memory_is_there(tangent_kernel, monkeypatch):
    gram, targets = tangent_kernel(300), np.ones((300, 1))
    needed = solve_ridge(gram, targets, 1e-2, method="cholesky", tile=50).memory_bytes
    assert needed >= 8 * 300**2
    options = {"tile": 50, "rank": 5}
    assert solve_ridge(gram, targets, 1e-2, memory_bytes=needed, **options).method == "cholesky"
    assert solve_ridge(gram, targets, 1e-2, memory_bytes=needed - 1, **options).method == "conjugate-gradient"
    memory = type(psutil.virtual_memory())
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory(*([needed - 1] * len(memory._fields))))
    assert solve_ridge(gram, targets, 1e-2, **options).method == "conjugate-gradient"


def test_a_preconditioner_spares_iterations(tangent_kernel):
    gram, targets = tangent_kernel(500, dimension=3), np.random.default_rng(6).normal(size=(500, 1))
    iterations = {}
    for name in PRECONDITIONERS:
        solution = solve_ridge(gram, targets, 1e-3, method="conjugate-gradient", preconditioner=name)
        iterations[name] = solution.iterations
        assert solution.preconditioner == (None if name == "none" else name)
        assert (solution.rank > 0) == (name != "none")
    assert iterations["nystrom"] < iterations["none"] / 2
    assert iterations["pivoted-cholesky"] < iterations["none"] / 2


def test_a_full_rank_preconditioner_solves_at_once(tangent_kernel):
    gram, targets = tangent_kernel(60), np.random.default_rng(8).normal(size=(60, 3))
    for name in ("nystrom", "pivoted-cholesky"):
        solution = solve_ridge(gram, targets, 1e-3, method="conjugate-gradient", preconditioner=name, rank=60)
        assert solution.iterations <= 3
        assert solution.preconditioned_condition == pytest.approx(1.0, abs=1e-6)


def test_the_same_seed_gives_the_same_bits(tangent_kernel):
    gram, targets = tangent_kernel(100), np.random.default_rng(9).normal(size=(100, 1))
    found = [solve_ridge(gram, targets, 1e-3, method="conjugate-gradient", seed=3) for _ in range(2)]
    assert np.array_equal(found[0].coefficients, found[1].coefficients)
    assert found[0].condition == found[1].condition


def test_progress_goes_up_to_its_total(tangent_kernel):
    gram, targets = tangent_kernel(90), np.random.default_rng(10).normal(size=(90, 1))
    for method in METHODS:
        calls = []
        solve_ridge_path(gram, targets, [1e-1, 1e-3], method=method, progress=lambda done, total, calls=calls: calls.append((done, total)))
        assert len(calls) >= 3
        assert [done for done, _ in calls] == sorted(done for done, _ in calls)
        assert all(done <= total for done, total in calls)
        assert calls[-1][0] == calls[-1][1]
