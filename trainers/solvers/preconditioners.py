"""Preconditioners of low rank: eigenvectors U, (n, rank), and eigenvalues Λ of an approximation of K, for every shift at once.

    P⁻¹ = U (λ_rank + shift) (Λ + shift)⁻¹ Uᵀ + (I - U Uᵀ)

(Frangella, Tropp & Udell 2021, arXiv 2110.02820, equation 5.3). λ_rank, the smallest of Λ, stands for everything that U leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import linalg

from skipbench.kernels.spectra.lanczos import EPSILON
from skipbench.trainers.solvers.tiles import Array, SymmetricTiles


@dataclass(frozen=True, slots=True, eq=False)
class LowRankPreconditioner:
    """U and Λ, descending. A rank of 0 is no preconditioner at all."""

    vectors: Array
    values: Array

    @property
    def rank(self) -> int:
        """Columns of U."""
        return len(self.values)

    def apply(self, columns: Array, shifts: Array) -> Array:
        """P⁻¹ of its own shift times every column. columns: (n, c). shifts: (c,)."""
        if self.rank == 0:
            return columns.copy()
        weights = (self.values[-1] + shifts) / (self.values[:, None] + shifts) - 1
        applied: Array = columns + self.vectors @ (weights * (self.vectors.T @ columns))
        return applied


def no_preconditioner(n: int) -> LowRankPreconditioner:
    """P = I."""
    return LowRankPreconditioner(np.empty((n, 0)), np.empty(0))


def nystrom_preconditioner(tiles: SymmetricTiles, rank: int, rng: np.random.Generator, *, noise: float) -> LowRankPreconditioner:
    """Randomised Nyström approximation from one pass over the tiles, K ≈ (K Ω) (Ωᵀ K Ω)⁺ (K Ω)ᵀ, Ω an orthonormal random (n, rank).

    Where the paper shifts K a little and takes a Cholesky factor of the core Ωᵀ K Ω, we leave out eigenvectors of the core below
    noise λ_max: a kernel matrix computed in float32 has negative eigenvalues, which no shift of the size of a float64 rounding mends.
    noise: of the numbers in the tiles, relative; eps of their dtype.
    """
    sketch: Array = linalg.qr(rng.normal(size=(tiles.n, rank)), mode="economic", overwrite_a=True, check_finite=False)[0]
    product = tiles.multiply(sketch)
    core = sketch.T @ product
    values, vectors = linalg.eigh((core + core.T) / 2, overwrite_a=True, check_finite=False)
    kept = values > max(noise, tiles.n * EPSILON) * max(float(values[-1]), 0.0)
    return _from_factor(product @ (vectors[:, kept] / np.sqrt(values[kept])))


def pivoted_cholesky_preconditioner(tiles: SymmetricTiles, rank: int) -> LowRankPreconditioner:
    """linear_operator's pivoted Cholesky factor, K ≈ L Lᵀ, from the diagonal and `rank` rows (Harbrecht, Peters & Schneider 2012)."""
    from skipbench.trainers.solvers.row_operator import row_operator

    tolerance = tiles.n * rank * EPSILON  # what rounding leaves of the diagonal of a matrix of lower rank
    with torch.no_grad():
        factor = row_operator(tiles).pivoted_cholesky(rank, error_tol=tolerance)
    columns: Array = factor.numpy()
    return _from_factor(columns[:, np.isfinite(columns).all(axis=0)])


def _from_factor(factor: Array) -> LowRankPreconditioner:
    """From B with K ≈ B Bᵀ: U and Λ are its left singular vectors and squared singular values, those of a zero matrix left out."""
    if factor.shape[1] == 0:
        return no_preconditioner(factor.shape[0])
    vectors, roots, _ = linalg.svd(factor, full_matrices=False, overwrite_a=True, check_finite=False)
    kept = roots > len(roots) * EPSILON * roots[0]
    return LowRankPreconditioner(np.ascontiguousarray(vectors[:, kept]), roots[kept] ** 2)
