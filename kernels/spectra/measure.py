"""The spectrum of a training Gram matrix as it goes into the record: raw and at unit diagonal, with and without the ridge."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from skipbench.kernels.spectra.conditioning import bound_of, mean_off_diagonal
from skipbench.kernels.spectra.eigensystem import condition_of, dimension_of, rank_of
from skipbench.kernels.spectra.gram import GramLike, checked_gram, checked_ridge, unit_diagonal
from skipbench.results.record import MatrixSpectrum, Spectrum

Scaling = Literal["raw", "unit_diagonal"]


def measure_spectrum(gram: GramLike, *, dtype: str, ridge: float | None = None, eigenvalues: Tensor | None = None) -> Spectrum:
    """Extreme eigenvalues, condition numbers, ranks, effective dimension and double-constant bound of one Gram matrix.

    gram: (n, n), symmetric, numpy or torch. dtype: in which it was computed, "float32" or "float64"; it is recorded, the spectrum is
    always taken in float64. ridge: relative to tr(K)/n; None or 0 leaves out the matrices with ridge and the effective dimension.
    eigenvalues: of gram, (n,) ascending in float64, where they are known already; they are computed otherwise.
    The unit-diagonal matrices and the bound are left out where an entry of the diagonal is not positive. Raises SkipbenchError.
    """
    tensor = checked_gram(gram)
    ridge = checked_ridge(0.0 if ridge is None else ridge, where="measure_spectrum", zero_allowed=True)
    if eigenvalues is None:
        eigenvalues = torch.linalg.eigvalsh(tensor)
    mean_diagonal = float(tensor.diagonal().mean())
    matrices = _matrices("raw", eigenvalues, mean_diagonal, ridge)
    b = None
    if bool((tensor.diagonal() > 0).all()):
        scaled = unit_diagonal(tensor)
        b = mean_off_diagonal(scaled)
        matrices += _matrices("unit_diagonal", torch.linalg.eigvalsh(scaled), 1.0, ridge)
    return Spectrum(
        n=tensor.shape[0],
        dtype=dtype,
        matrices=matrices,
        effective_dimension=dimension_of(eigenvalues, ridge * mean_diagonal) if ridge > 0 else None,
        effective_dimension_ridge=ridge if ridge > 0 else None,
        mean_off_diagonal=b,
        double_constant_bound=bound_of(b, tensor.shape[0]) if b is not None and 0.0 <= b < 1.0 else None,
    )


def _matrices(scaling: Scaling, eigenvalues: Tensor, mean_diagonal: float, ridge: float) -> tuple[MatrixSpectrum, ...]:
    """The matrix itself and, for a ridge above 0, the shifted one, whose eigenvalues are s + ridge tr(K)/n."""
    ridges = (0.0, ridge) if ridge > 0 else (0.0,)
    return tuple(_matrix(scaling, eigenvalues + value * mean_diagonal, value) for value in ridges)


def _matrix(scaling: Scaling, eigenvalues: Tensor, ridge: float) -> MatrixSpectrum:
    condition = condition_of(eigenvalues)
    return MatrixSpectrum(
        scaling=scaling,
        ridge=ridge,
        lambda_max=float(eigenvalues[-1]),
        lambda_min=float(eigenvalues[0]),
        condition_number=condition if math.isfinite(condition) else None,
        numerical_rank=rank_of(eigenvalues),
    )
