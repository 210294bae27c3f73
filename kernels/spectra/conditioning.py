"""How well conditioned a Gram matrix is: condition number, numerical rank, effective dimension, and a bound from its mean alone.

The bound: the unit-diagonal matrix with all off-diagonal entries b has eigenvalues 1 + (n - 1) b once and 1 - b otherwise, so its
condition number is 1 + n b/(1 - b). Any unit-diagonal matrix of mean off-diagonal b has a condition number at least as large: the
vector of ones gives λ_max >= 1 + (n - 1) b, and the trace left for the other directions gives λ_min <= 1 - b. It comes from the
double-constant matrices of Barzilai et al. 2022, arXiv 2211.14810, to which deep kernels tend.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from skipbench.checks import SkipbenchError
from skipbench.kernels.spectra.eigensystem import condition_of, dimension_of, rank_of
from skipbench.kernels.spectra.gram import GramLike, checked_gram, checked_ridge

_UNIT_TOLERANCE = 1e-6  # a diagonal divided by itself in float32 is within 2e-7 of 1


def condition_number(gram: GramLike) -> float:
    """λ_max / λ_min in float64; infinite where λ_min < n eps λ_max, below which float64 cannot tell λ_min from 0.

    gram: (n, n), symmetric, numpy or torch; float32 input is converted, and its own error stays in λ_min.
    Raises SkipbenchError unless gram is square, finite and symmetric.
    """
    return condition_of(torch.linalg.eigvalsh(checked_gram(gram)))


def numerical_rank(gram: GramLike) -> int:
    """The number of eigenvalues of at least n eps λ_max in float64; n exactly where the condition number is finite.

    gram: (n, n), symmetric, numpy or torch. Raises SkipbenchError unless it is square, finite and symmetric.
    """
    return rank_of(torch.linalg.eigvalsh(checked_gram(gram)))


def effective_dimension(gram: GramLike, ridge: float) -> float:
    """tr K (K + ridge tr(K)/n I)⁻¹, the degrees of freedom of kernel ridge regression; at ridge 0 the numerical rank.

    gram: (n, n), symmetric, positive semidefinite, numpy or torch. ridge: relative to tr(K)/n, without unit, at least 0.
    Returns a number in [0, n]. Raises SkipbenchError.
    """
    ridge = checked_ridge(ridge, where="effective_dimension", zero_allowed=True)
    tensor = checked_gram(gram)
    return dimension_of(torch.linalg.eigvalsh(tensor), ridge * float(tensor.diagonal().mean()))


def mean_off_diagonal(gram: GramLike) -> float:
    """The mean of the n (n - 1) entries off the diagonal; 0 for a single row, which has none.

    gram: (n, n), symmetric, numpy or torch. Raises SkipbenchError unless it is square, finite and symmetric.
    """
    tensor = checked_gram(gram)
    n = tensor.shape[0]
    return float((tensor.sum() - tensor.diagonal().sum()) / (n * (n - 1))) if n > 1 else 0.0


def double_constant_bound(gram: GramLike) -> float:
    """1 + n b/(1 - b), b the mean off-diagonal of a unit-diagonal matrix: a lower bound of its condition number.

    gram: (n, n), symmetric, unit diagonal (to 1e-6), numpy or torch. Infinite where b >= 1; below 1, so true but empty, where b < 0.
    Raises SkipbenchError where the diagonal is not 1.
    """
    tensor = checked_gram(gram)
    _check_unit_diagonal(tensor)
    return bound_of(mean_off_diagonal(tensor), tensor.shape[0])


def bound_of(b: float, n: int) -> float:
    """The bound for n rows whose mean off-diagonal is b."""
    return 1.0 + n * b / (1.0 - b) if b < 1.0 else math.inf


def _check_unit_diagonal(tensor: Tensor) -> None:
    deviation = (tensor.diagonal() - 1.0).abs()
    row = int(deviation.argmax())
    if float(deviation[row]) > _UNIT_TOLERANCE:
        raise SkipbenchError(
            f"double_constant_bound: entry ({row}, {row}) of gram is {float(tensor[row, row])!r}, but the bound holds for matrices whose "
            "diagonal is 1: give unit_diagonal(gram)"
        )
