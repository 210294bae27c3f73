"""ZCA whitening: the rotation-free linear map after which the training features are uncorrelated, regularised.

    C = (1/n) sum (x − m)(x − m)ᵀ = U diag(λ) Uᵀ        m, C of the training rows
    x ← U diag((λ + ε λ̄)^−½) Uᵀ (x − m)                 λ̄ = tr(C)/d, the mean eigenvalue, and ε = 0.1

ε is relative to the mean eigenvalue, as in Lee et al. 2020 (arXiv 2007.15801), so that it does not depend on the scale of the pixels.
A direction of variance λ is left with λ / (λ + ε λ̄), not 1: ε keeps the noise in directions of little variance from being blown up.
With n rows at most n − 1 directions have variance; all others are multiplied by (ε λ̄)^−½, so only U's columns with variance are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from skipbench.datasets.dataset import Inputs, Kind

EPSILON = 0.1
_NEGLIGIBLE = 1e-9  # of the mean eigenvalue: leaving such a direction out changes a result by half of this over ε, below float32
_VALUES_AT_ONCE = 2**22  # float64 blocks of 32 MB


@dataclass(frozen=True, eq=False)
class Zca:
    """x ← factor (x − mean) + U diag(excess) Uᵀ (x − mean), the map above with its common factor split off.

    mean: (d,). directions: U, (d, r), those with variance. excess: (r,), (λ + ε λ̄)^−½ − factor. factor: (ε λ̄)^−½; 0 where the training
    rows are all equal, which then become 0, as do all others. All float64.
    """

    mean: NDArray[np.float64]
    directions: NDArray[np.float64]
    excess: NDArray[np.float64]
    factor: float
    takes: ClassVar[tuple[Kind, ...]] = ("vectors", "images")
    advice: ClassVar[str] = ""

    @classmethod
    def fit(cls, inputs: Inputs) -> Zca:
        rows = inputs.reshape(len(inputs), -1)
        n, dimension = rows.shape
        mean = rows.sum(axis=0, dtype=np.float64) / n
        eigenvalues, directions = _from_gram(rows, mean) if n < dimension else _from_covariance(rows, mean)
        mean_eigenvalue = float(eigenvalues.sum()) / dimension
        if not mean_eigenvalue > 0 or bool((rows == rows[0]).all()):
            return cls(mean, np.empty((dimension, 0)), np.empty(0), 0.0)
        factor = (EPSILON * mean_eigenvalue) ** -0.5
        return cls(mean, directions, (eigenvalues + EPSILON * mean_eigenvalue) ** -0.5 - factor, factor)

    def transform(self, inputs: Inputs) -> Inputs:
        rows = inputs.reshape(len(inputs), len(self.mean))
        result = np.empty(rows.shape, dtype=np.float32)
        for block in _blocks(rows):
            centred = rows[block] - self.mean
            result[block] = self.factor * centred + ((centred @ self.directions) * self.excess) @ self.directions.T
        return result.reshape(inputs.shape)


def _from_covariance(rows: Inputs, mean: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues and directions of C, (r,) and (d, r), where there are as many rows as features or more."""
    covariance = np.zeros((rows.shape[1], rows.shape[1]))
    for block in _blocks(rows):
        centred = rows[block] - mean
        covariance += centred.T @ centred
    eigenvalues, directions = np.linalg.eigh(covariance / len(rows))
    kept = _kept(eigenvalues, rows.shape[1])
    return eigenvalues[kept], directions[:, kept]


def _from_gram(rows: Inputs, mean: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same from the smaller matrix of inner products between rows: C has its eigenvalues, and Xᵀ v / sqrt(n λ) for directions."""
    centred = rows - mean
    eigenvalues, vectors = np.linalg.eigh(centred @ centred.T / len(rows))
    kept = _kept(eigenvalues, rows.shape[1])
    return eigenvalues[kept], (centred.T @ vectors[:, kept]) / np.sqrt(len(rows) * eigenvalues[kept])


def _kept(eigenvalues: NDArray[np.float64], dimension: int) -> NDArray[np.bool_]:
    return np.asarray(eigenvalues > _NEGLIGIBLE * max(float(eigenvalues.sum()), 0.0) / dimension)


def _blocks(rows: Inputs) -> Iterator[slice]:
    n_rows = max(1, _VALUES_AT_ONCE // max(1, rows.shape[1]))
    return (slice(start, start + n_rows) for start in range(0, len(rows), n_rows))
