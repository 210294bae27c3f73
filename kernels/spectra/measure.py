"""The spectrum of a training Gram matrix as it goes into the record: raw and at unit diagonal, with and without the ridge."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor

from skipbench.kernels.spectra.conditioning import bound_of, mean_off_diagonal
from skipbench.kernels.spectra.decay import eigenvalue_decay
from skipbench.kernels.spectra.eigensystem import Eigensystem, condition_of, dimension_of, eigensystem, rank_of
from skipbench.kernels.spectra.gram import GramLike, checked_gram, checked_ridge, unit_diagonal
from skipbench.kernels.spectra.labels import label_condition, label_energies, label_energy_points
from skipbench.results.record import MatrixSpectrum, Spectrum

Scaling = Literal["raw", "unit_diagonal"]
LABEL_SHARES = {"90": 0.9, "99": 0.99, "99_9": 0.999}


def measure_spectrum(
    gram: GramLike, *, dtype: str, ridge: float | None = None, system: Eigensystem | None = None, targets: Tensor | None = None
) -> Spectrum:
    """Extreme eigenvalues, condition numbers, ranks, decay, effective dimension and double-constant bound of one Gram matrix.

    gram: (n, n), symmetric, numpy or torch. dtype: in which it was computed, "float32" or "float64"; it is recorded, the spectrum is
    always taken in float64. ridge: relative to tr(K)/n; None or 0 leaves out the matrices with ridge and the effective dimension.
    system: of gram, where it is known already. targets: (n, outputs), the centred labels, for the label-weighted spectrum.
    The unit-diagonal matrices and the bound are left out where an entry of the diagonal is not positive. Raises SkipbenchError.
    """
    tensor = checked_gram(gram)
    ridge = checked_ridge(0.0 if ridge is None else ridge, where="measure_spectrum", zero_allowed=True)
    if system is None and targets is not None:
        system = eigensystem(tensor)
    eigenvalues = torch.linalg.eigvalsh(tensor) if system is None else system.eigenvalues
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
        decay=eigenvalue_decay(eigenvalues),
        **({} if system is None or targets is None else _labelled(system, targets)),
    )


def _labelled(system: Eigensystem, targets: Tensor) -> dict[str, Any]:
    """The label-weighted part of a spectrum."""
    energies = label_energies(system, targets)
    conditions = {name: label_condition(system, energies, share) for name, share in LABEL_SHARES.items()}
    finite = {f"label_condition_{name}": value if math.isfinite(value) else None for name, value in conditions.items()}
    return {"label_energy": label_energy_points(system, energies), **finite}


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
