"""Kernel ridge regression at many ridges from one eigendecomposition."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from skipbench.checks import SkipbenchError
from skipbench.kernels.spectra.eigensystem import EPSILON, Eigensystem, eigensystem, null_tolerance
from skipbench.kernels.spectra.gram import checked_ridge


class SingularGramError(SkipbenchError):
    """K + ridge tr(K)/n I cannot be solved in float64.

    s_min, s_max: the extreme eigenvalues of K. smallest_usable_ridge: relative to tr(K)/n; infinite where no ridge helps.
    """

    def __init__(self, message: str, *, s_min: float, s_max: float, smallest_usable_ridge: float) -> None:
        super().__init__(message)
        self.s_min, self.s_max, self.smallest_usable_ridge = s_min, s_max, smallest_usable_ridge

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuilt, (str(self), self.s_min, self.s_max, self.smallest_usable_ridge)


def ridge_path(gram: Tensor, targets: Tensor, ridges: Sequence[float]) -> Tensor:
    """Dual coefficients of kernel ridge regression, c(λ) = (K + λ tr(K)/n I)⁻¹ y, for every ridge from one eigendecomposition.

    gram: (n, n), symmetric, float64 (float32 keeps no digit once the condition number passes 1e7). targets: (n, outputs).
    ridges: relative to tr(K)/n, without unit, each above 0. Returns (len(ridges), n, outputs), on gram's device.
    Raises SingularGramError when a shifted eigenvalue is below n eps s_max; it gives s_min, s_max and the smallest usable ridge.
    """
    ridges = [checked_ridge(ridge, where="ridge_path", zero_allowed=False) for ridge in ridges]
    system = eigensystem(gram)
    if targets.ndim != 2 or len(targets) != system.n:
        raise SkipbenchError(
            f"ridge_path: targets of shape {tuple(targets.shape)}, but gram has {system.n} rows: use ({system.n}, outputs)"
        )
    for ridge in ridges:
        check_usable(system, ridge)
    return solve_path(system, targets.to(device=system.eigenvalues.device, dtype=torch.float64), ridges)


def solve_path(system: Eigensystem, targets: Tensor, ridges: Sequence[float]) -> Tensor:
    """c(λ) = U (s + λ tr(K)/n)⁻¹ Uᵀ y for every ridge, all of them usable. targets: (n, outputs), float64. Returns (ridges, n, outputs)."""
    coordinates = system.eigenvectors.T @ targets
    shifts = torch.tensor(list(ridges), dtype=torch.float64, device=targets.device) * system.mean_diagonal
    return system.eigenvectors @ (coordinates / (system.eigenvalues + shifts[:, None])[:, :, None])


def leave_one_out(system: Eigensystem, targets: Tensor, coefficients: Tensor, ridge: float) -> Tensor:
    """What a fit without the i-th row predicts for it, for every i, in closed form: f_i = y_i - c_i / [(K + λ tr(K)/n I)⁻¹]_ii.

    targets: (n, outputs). coefficients: c(λ) of this ridge, (n, outputs). The shift λ tr(K)/n stays that of all rows. Returns (n, outputs).
    """
    inverse_diagonal = (system.eigenvectors**2) @ (1 / (system.eigenvalues + ridge * system.mean_diagonal))
    return targets - coefficients / inverse_diagonal[:, None]


def smallest_usable_ridge(system: Eigensystem) -> float:
    """The ridge from which on no shifted eigenvalue is below n eps s_max; relative to tr(K)/n, infinite where that is not positive."""
    if system.mean_diagonal <= 0:
        return float("inf")
    missing = null_tolerance(system.eigenvalues) - float(system.eigenvalues[0])
    return max(0.0, missing / system.mean_diagonal) * (1 + 4 * EPSILON)  # rounded up, so that it is usable itself


def check_usable(system: Eigensystem, ridge: float) -> None:
    """Raise SingularGramError where a shifted eigenvalue is below n eps s_max, or where the matrix has no positive eigenvalue at all."""
    smallest, largest = float(system.eigenvalues[0]), float(system.eigenvalues[-1])
    least = smallest_usable_ridge(system)
    if largest > 0 and ridge >= least:
        return
    advice = f"use a ridge of at least {least:.3g}" if least < float("inf") else "no ridge helps, as the trace is not positive"
    raise SingularGramError(
        f"gram is singular at ridge={ridge:g}: its eigenvalues run from s_min={smallest:.6g} to s_max={largest:.6g} (n={system.n}), "
        f"and s_min + ridge*trace/n is below n*eps*s_max={null_tolerance(system.eigenvalues):.3g}: {advice}",
        s_min=smallest,
        s_max=largest,
        smallest_usable_ridge=least,
    )


def _rebuilt(message: str, s_min: float, s_max: float, least: float) -> SingularGramError:
    """Unpickle: a worker process sends its errors home."""
    return SingularGramError(message, s_min=s_min, s_max=s_max, smallest_usable_ridge=least)
