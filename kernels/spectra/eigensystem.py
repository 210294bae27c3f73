"""One eigendecomposition of a Gram matrix, from which the ridge path, gradient descent and the spectrum are all read."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from skipbench.kernels.spectra.gram import GramLike, checked_gram

EPSILON = torch.finfo(torch.float64).eps


@dataclass(frozen=True, slots=True, eq=False)
class Eigensystem:
    """K = U diag(s) Uᵀ in float64.

    eigenvalues: (n,), ascending. eigenvectors: (n, n), the i-th column belongs to the i-th eigenvalue. mean_diagonal: tr(K)/n.
    """

    eigenvalues: Tensor
    eigenvectors: Tensor
    mean_diagonal: float

    @property
    def n(self) -> int:
        """Number of rows of the Gram matrix."""
        return self.eigenvalues.shape[0]


def eigensystem(gram: GramLike) -> Eigensystem:
    """Decompose a symmetric matrix with torch.linalg.eigh in float64, on its own device.

    gram: (n, n), numpy or torch. Raises SkipbenchError unless it is square, finite and symmetric.
    """
    tensor = checked_gram(gram)
    eigenvalues, eigenvectors = torch.linalg.eigh(tensor)
    return Eigensystem(eigenvalues, eigenvectors, float(tensor.diagonal().mean()))


def null_tolerance(eigenvalues: Tensor) -> float:
    """n eps s_max: eigenvalues below it are indistinguishable from 0 in float64. 0 for a matrix without positive eigenvalue."""
    return max(0.0, len(eigenvalues) * EPSILON * float(eigenvalues[-1]))


def condition_of(eigenvalues: Tensor) -> float:
    """s_max / s_min of ascending eigenvalues, infinite where s_min < n eps s_max or s_max is not positive."""
    largest, smallest = float(eigenvalues[-1]), float(eigenvalues[0])
    if largest <= 0 or smallest < null_tolerance(eigenvalues):
        return float("inf")
    return largest / smallest


def rank_of(eigenvalues: Tensor) -> int:
    """How many eigenvalues are positive and not below n eps s_max, so that full rank and a finite condition number go together."""
    return int(((eigenvalues > 0) & (eigenvalues >= null_tolerance(eigenvalues))).sum())


def dimension_of(eigenvalues: Tensor, shift: float) -> float:
    """Σ s / (s + shift) over the positive eigenvalues; at shift 0 its limit, the numerical rank."""
    if shift == 0:
        return float(rank_of(eigenvalues))
    positive = eigenvalues.clamp_min(0.0)  # rounding leaves null directions slightly negative, and s = -shift would divide by 0
    return float((positive / (positive + shift)).sum())
