"""A symmetric matrix from its upper tiles, and what is refused there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import gram_matrices

from skipbench.checks import SkipbenchError
from skipbench.trainers.solvers import solve_ridge
from skipbench.trainers.solvers.tiles import SymmetricTiles

METHODS = ["cholesky", "conjugate-gradient"]


@settings(deadline=None)
@given(gram=gram_matrices(max_n=17), tile=st.integers(1, 20), columns=st.integers(1, 3))
def test_products_diagonal_rows_and_sums_are_those_of_the_whole_matrix(gram, tile, columns):
    n = len(gram)
    vectors = np.random.default_rng(n).normal(size=(n, columns))
    tiles = SymmetricTiles(gram, tile)
    # the order of the sums differs: n roundings of the largest product
    np.testing.assert_allclose(tiles.multiply(vectors), gram @ vectors, atol=1e-13 * n * np.abs(gram).max() * np.abs(vectors).max())
    assert np.array_equal(tiles.diagonal, gram.diagonal())
    for index in range(n):
        assert np.array_equal(tiles.row(index), gram[index])
    assert tiles.largest_row_sum == pytest.approx(np.abs(gram).sum(axis=1).max())
    assert tiles.passes == 1


def test_a_pass_reads_each_pair_of_mirrored_tiles_once(counting_matrix):
    gram = np.eye(130)
    matrix = counting_matrix(gram, tile=32)
    tiles = SymmetricTiles(matrix)
    assert len(matrix.reads) == 5  # the diagonal ones, once
    matrix.reads.clear()
    tiles.multiply(np.ones((130, 1)))
    assert len(matrix.reads) == len(set(map(str, matrix.reads))) == 5 * 6 // 2
    assert matrix.largest_read == 32 * 32
    assert matrix.numbers_read <= 130 * (130 + 32) / 2


@pytest.mark.parametrize("method", METHODS)
def test_nothing_below_the_diagonal_tiles_is_read_of_what_is_not_in_memory(counting_matrix, tangent_kernel, method):
    gram = tangent_kernel(100)
    matrix = counting_matrix(gram, tile=30)
    rest = np.arange(100) // 30
    matrix.values = np.where(rest[:, None] > rest[None, :], np.nan, gram)
    targets = np.random.default_rng(0).normal(size=(100, 2))
    found = solve_ridge(matrix, targets, 1e-2, method=method)
    assert all(columns.stop > rows.start for rows, columns in matrix.reads)
    np.testing.assert_allclose(found.coefficients, solve_ridge(gram, targets, 1e-2, method=method).coefficients, rtol=1e-5)


def test_the_tile_is_the_one_asked_for_or_the_matrix_own_or_1024(counting_matrix, tmp_path):
    array = zarr.create_array(tmp_path / "gram", shape=(50, 50), chunks=(7, 7), dtype="float64")
    array[:, :] = np.eye(50)
    assert SymmetricTiles(array).tile == 7
    assert SymmetricTiles(array, 20).tile == 20
    assert SymmetricTiles(counting_matrix(np.eye(50), tile=9)).tile == 9
    assert SymmetricTiles(torch.eye(50)).tile == 50  # 1024, but no more than n; a tensor's `tile` is a method
    for wrong in (0, -3, 2.5, True, "8"):
        with pytest.raises(SkipbenchError, match="tile="):
            SymmetricTiles(np.eye(5), wrong)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("place", [(3, 3), (2, 40)])
def test_nan_in_a_tile_is_refused_with_its_place(counting_matrix, method, place):
    gram = np.eye(50)
    gram[place] = gram[place[::-1]] = np.nan
    for matrix in (gram, counting_matrix(gram, tile=20)):
        with pytest.raises(SkipbenchError, match=r"rows 0 to 19.*NaN or infinite|not symmetric"):
            solve_ridge(matrix, np.ones(50), 1e-2, method=method, tile=20)


def test_matrices_that_are_not_symmetric_are_refused(counting_matrix):
    gram = np.eye(30)
    gram[3, 25] = 0.5
    for matrix in (gram, torch.from_numpy(gram)):
        with pytest.raises(SkipbenchError, match=r"not symmetric: entries \(3, 25\) and \(25, 3\) are 0.5 and 0.0"):
            solve_ridge(matrix, np.ones(30), 1e-2, tile=10)
    inside = np.eye(30)
    inside[3, 5] = 0.5
    with pytest.raises(SkipbenchError, match=r"not symmetric: entries \(3, 5\)"):
        solve_ridge(counting_matrix(inside, tile=10), np.ones(30), 1e-2)


def test_float32_rounding_is_no_asymmetry():
    gram = np.eye(30, dtype=np.float32)
    gram[3, 25] = 1e-6
    assert solve_ridge(gram, np.ones(30), 1e-2).residual < 1e-8
    with pytest.raises(SkipbenchError, match="not symmetric"):
        solve_ridge(gram.astype(np.float64), np.ones(30), 1e-2)


@pytest.mark.parametrize(
    ("gram", "message"),
    [
        (np.ones((3, 4)), r"shape \(3, 4\), but a Gram matrix is square"),
        (np.ones((0, 0)), r"shape \(0, 0\), but a Gram matrix is square"),
        (np.ones(3), r"shape \(3,\), but a matrix has 2 dimensions"),
        (np.ones((2, 3, 3)), r"shape \(2, 3, 3\), but a matrix has 2 dimensions: select one matrix of the stack"),
        (np.eye(3).astype(complex), "numbers of complex128"),
        ([[1.0]], "a list, but a matrix has a shape"),
    ],
)
def test_what_is_no_gram_matrix_is_refused(gram, message):
    with pytest.raises(SkipbenchError, match=message):
        solve_ridge(gram, np.ones(3), 1e-2)


def test_slices_of_the_wrong_shape_are_refused(counting_matrix):
    matrix = counting_matrix(np.eye(8), tile=4)
    matrix.__class__ = type("Short", (type(matrix),), {"__getitem__": lambda self, key: self.values[key][:1]})
    with pytest.raises(SkipbenchError, match=r"a slice of \(4, 4\) came back as \(1, 4\)"):
        SymmetricTiles(matrix)
