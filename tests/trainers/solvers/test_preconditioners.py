"""What a preconditioner of low rank is, and where its columns come from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import gram_matrices

from skipbench.trainers.solvers.preconditioners import no_preconditioner, nystrom_preconditioner, pivoted_cholesky_preconditioner
from skipbench.trainers.solvers.tiles import SymmetricTiles

EPS = np.finfo(np.float64).eps


def made(name, tiles, rank):
    if name == "pivoted-cholesky":
        return pivoted_cholesky_preconditioner(tiles, rank)
    return nystrom_preconditioner(tiles, rank, np.random.default_rng(0), noise=EPS)


@pytest.mark.parametrize("name", ["nystrom", "pivoted-cholesky"])
@settings(deadline=None)
@given(gram=gram_matrices(max_n=15), rank=st.integers(1, 15), tile=st.integers(1, 16))
def test_it_approximates_from_below_and_applies_the_inverse_of_its_formula(name, gram, rank, tile):
    n = len(gram)
    low_rank = made(name, SymmetricTiles(gram, tile), min(rank, n))
    assert low_rank.rank <= min(rank, n)
    np.testing.assert_allclose(low_rank.vectors.T @ low_rank.vectors, np.eye(low_rank.rank), atol=1e-10)
    approximation = (low_rank.vectors * low_rank.values) @ low_rank.vectors.T
    scale = np.linalg.eigvalsh(gram)[-1]
    assert np.linalg.eigvalsh(gram - approximation)[0] >= -1e-6 * scale  # square roots of rounding errors in a singular core
    shifts = np.array([0.1, 2.0]) * scale
    columns = np.random.default_rng(1).normal(size=(n, 2))
    applied = low_rank.apply(columns, shifts)
    rest = np.eye(n) - low_rank.vectors @ low_rank.vectors.T
    for shift, column, found in zip(shifts, columns.T, applied.T, strict=True):
        weights = (low_rank.values + shift) / (low_rank.values[-1] + shift)
        matrix = (low_rank.vectors * weights) @ low_rank.vectors.T + rest
        np.testing.assert_allclose(matrix @ found, column, atol=1e-8)


@pytest.mark.parametrize("name", ["nystrom", "pivoted-cholesky"])
def test_a_matrix_of_that_rank_is_found_exactly(name):
    factor = np.random.default_rng(2).normal(size=(80, 6))
    gram = factor @ factor.T
    gram = (gram + gram.T) / 2
    low_rank = made(name, SymmetricTiles(gram, 32), 20)
    assert low_rank.rank == 6
    np.testing.assert_allclose(low_rank.values, np.linalg.eigvalsh(gram)[:-7:-1], rtol=1e-9)


def test_a_sketch_costs_one_pass_and_pivoted_cholesky_rows(counting_matrix):
    gram = np.exp(-np.abs(np.subtract.outer(np.arange(100.0), np.arange(100.0))) / 30)
    matrix = counting_matrix(gram, tile=20)
    tiles = SymmetricTiles(matrix)
    made("nystrom", tiles, 10)
    assert tiles.passes == 1
    matrix.reads.clear()
    made("pivoted-cholesky", tiles, 10)
    assert tiles.passes == 1
    assert matrix.numbers_read <= 10 * 100
    assert all(rows.start <= columns.start for rows, columns in matrix.reads)


def test_a_float32_matrix_with_negative_eigenvalues_still_gets_a_definite_one(tangent_kernel):
    noise = np.random.default_rng(3).normal(size=(200, 200)) * 1e-5
    gram = (tangent_kernel(200, dimension=1) + noise + noise.T).astype(np.float32)
    gram = np.tril(gram) + np.tril(gram, -1).T
    assert np.linalg.eigvalsh(gram.astype(np.float64))[0] < 0
    low_rank = nystrom_preconditioner(SymmetricTiles(gram), 60, np.random.default_rng(0), noise=float(np.finfo(np.float32).eps))
    assert (low_rank.values > 0).all()
    assert low_rank.values[0] == pytest.approx(np.linalg.eigvalsh(gram.astype(np.float64))[-1], rel=1e-3)


def test_a_matrix_of_zeros_gets_none(counting_matrix):
    tiles = SymmetricTiles(np.zeros((9, 9)))
    columns = np.random.default_rng(4).normal(size=(9, 2))
    for name in ("nystrom", "pivoted-cholesky"):
        assert made(name, tiles, 3).rank == 0
    assert np.array_equal(no_preconditioner(9).apply(columns, np.ones(2)), columns)
