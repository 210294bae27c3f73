"""K + shift I = Uᵀ U in the memory of one matrix, for one shift after another, from one pass over the tiles.

LAPACK's dpotrf is blocked and works in place, so nothing of it is written again here. It reads and writes the upper triangle only: the
strict lower one keeps K, from which the next shift starts and from which the residual is computed, and the diagonal is kept apart. So n²
float64 numbers and a few tiles are all there is, for a whole path of ridges.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy.linalg import blas, lapack

from skipbench.kernels.spectra.lanczos import EPSILON, ExtremeEigenvalues, Lanczos, random_start
from skipbench.trainers.solvers.tiles import Array, SymmetricTiles

REFINEMENTS = 5
_LARGEST_TRIAL = 1e3  # of s_max: the largest shift that is tried after one was too small, each ten times the last


class InPlaceCholesky:
    """K in the lower triangle and a factor of K + shift I in the upper one of the same (n, n) array."""

    def __init__(self, tiles: SymmetricTiles) -> None:
        """Reads the tiles, in one pass."""
        self.n, self._tile = tiles.n, tiles.tile
        self._buffer = np.empty((tiles.n, tiles.n), order="F")
        for rows, columns, block in tiles.upper():
            self._buffer[columns, rows] = block.T
        self._diagonal = tiles.diagonal
        self._shift = 0.0

    @staticmethod
    def bytes_needed(n: int, tile: int) -> int:
        """Bound on the memory, the tiles as they are read left out."""
        return 8 * n * n + 2 * 8 * min(tile, n) ** 2

    def factorise(self, shift: float) -> bool:
        """Whether K + shift I is positive definite in float64. If not, `solve` must not be called."""
        self._restore()
        self._shift = shift
        self._set_diagonal(self._diagonal + shift)
        factor, stopped_at = lapack.dpotrf(self._buffer, lower=0, clean=0, overwrite_a=1)
        if not np.shares_memory(factor, self._buffer):
            raise AssertionError("LAPACK's Cholesky factorisation was not done in place")
        self._factor_diagonal = self._buffer.diagonal().copy()
        return bool(stopped_at == 0)

    def solve(self, columns: Array) -> Array:
        """(K + shift I)⁻¹ @ columns, (n, c)."""
        self._set_diagonal(self._factor_diagonal)
        solution: Array = lapack.dpotrs(self._buffer, columns, lower=0)[0]
        return solution

    def multiply(self, columns: Array) -> Array:
        """K @ columns, (n, c), from the lower triangle."""
        self._set_diagonal(self._diagonal)
        product: Array = blas.dsymm(1.0, self._buffer, columns, lower=1)
        return product

    def refined(self, targets: Array, tolerance: float) -> tuple[Array, Array, int]:
        """Solution, residuals as columns, and steps of iterative refinement: while a residual is too large, and still halves."""
        solution = self.solve(targets)
        rest = targets - self.multiply(solution) - self._shift * solution
        goals = tolerance * np.linalg.norm(targets, axis=0)
        for step in range(REFINEMENTS):
            lengths = np.linalg.norm(rest, axis=0)
            if (lengths <= goals).all():
                return solution, rest, step
            better = solution + self.solve(rest)
            rest_after = targets - self.multiply(better) - self._shift * better
            if not (np.linalg.norm(rest_after, axis=0) <= lengths / 2)[lengths > goals].any():
                return solution, rest, step
            solution, rest = better, rest_after
        return solution, rest, REFINEMENTS

    def seen_eigenvalues(self, rng: np.random.Generator, row_sum: float) -> ExtremeEigenvalues:
        """Bounds for those of K, by products with it alone: good ones for s_max. row_sum: max_i Σ_j |K_ij|."""
        lanczos = Lanczos(random_start(self.n, rng))
        while not lanczos.is_done:
            lanczos.advance(self.multiply(lanczos.vector))
        return lanczos.extremes(row_sum)

    def extreme_eigenvalues(self, rng: np.random.Generator, seen: ExtremeEigenvalues) -> ExtremeEigenvalues:
        """Of K, after a successful `factorise`: s_max as it was seen, s_min from the inverse of K + shift I."""
        lanczos = Lanczos(random_start(self.n, rng))
        while not lanczos.is_done:
            lanczos.advance(self.solve(lanczos.vector))
        low, high = lanczos.largest_bounds()
        rounding = self.n * EPSILON * (seen.largest_high + self._shift)
        smallest = 1 / low - self._shift
        return replace(seen, smallest=smallest, smallest_low=1 / high - rounding - self._shift, smallest_high=smallest + rounding)

    def after_failure(self, rng: np.random.Generator, seen: ExtremeEigenvalues) -> ExtremeEigenvalues:
        """Eigenvalues of K where the last shift was too small, found at the first of larger and larger shifts that is not."""
        shift = max(self._shift, self.n * EPSILON * seen.largest)
        while 0 < shift < _LARGEST_TRIAL * seen.largest:
            shift *= 10
            if self.factorise(shift):
                return self.extreme_eigenvalues(rng, seen)
        return seen

    def _set_diagonal(self, values: Array) -> None:
        np.einsum("ii->i", self._buffer)[...] = values

    def _restore(self) -> None:
        """Copy the lower triangle over the upper one, tile by tile; the diagonal is left to the caller."""
        for rows in self._spans():
            for columns in self._spans(rows.start + self._tile):
                self._buffer[rows, columns] = self._buffer[columns, rows].T
            block = np.tril(self._buffer[rows, rows], -1)
            self._buffer[rows, rows] = block + block.T

    def _spans(self, start: int = 0) -> Iterator[slice]:
        for begin in range(start, self.n, self._tile):
            yield slice(begin, min(begin + self._tile, self.n))
