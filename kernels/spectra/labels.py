"""The label-weighted spectrum: how much of the labels' energy lies in which eigen-directions of a Gram matrix.

With K = U diag(λ) Uᵀ, direction k holds the share e_k = |u_kᵀ y|² / |y|² of the labels' energy. Gradient descent from f = 0 has the loss
Σ e_k (1 − lr λ_k / n)^2t of its first one, so these shares, not the smallest eigenvalue, decide how long it takes; labels that lie in the
leading directions are learned fast whatever the condition number is (Arora et al. 2019, arXiv 1901.08584).
"""

from __future__ import annotations

import torch
from torch import Tensor

from skipbench.checks import SkipbenchError, shown
from skipbench.kernels.spectra.eigensystem import Eigensystem, null_tolerance
from skipbench.results.record import LabelEnergy


def label_energies(system: Eigensystem, targets: Tensor) -> Tensor:
    """e_k of every direction, from the largest eigenvalue on: (n,), float64, with the sum 1; zeros for targets that are 0.

    targets: (n, outputs) or (n,); centre them first (one-hot minus 1/classes), as the energy of a constant is no label's.
    Raises SkipbenchError.
    """
    values = (targets[:, None] if targets.ndim == 1 else targets).to(system.eigenvectors)
    if values.ndim != 2 or len(values) != system.n:
        raise SkipbenchError(f"targets: shape {tuple(targets.shape)}, but the Gram matrix has {system.n} rows: use ({system.n}, outputs)")
    energies = (system.eigenvectors.T @ values).square().sum(dim=1).flip(0)
    total = float(energies.sum())
    return energies / total if total > 0 else energies


def label_condition(system: Eigensystem, energies: Tensor, share: float) -> float:
    """λ_max / λ_k, the k leading directions being the fewest that hold this share of the labels' energy.

    energies: of `label_energies`. share: above 0, at most 1. Infinite where λ_k is numerically 0; 1 for labels without energy.
    Raises SkipbenchError.
    """
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share <= 1:
        raise SkipbenchError(f"label_condition: share={shown(share)}, but it is a share of the labels' energy above 0 and at most 1")
    gathered = torch.cumsum(energies, dim=0)
    if float(gathered[-1]) <= 0:
        return 1.0
    needed = min(int((gathered < share * float(gathered[-1]) * (1 - 1e-12)).sum()), system.n - 1)  # a sum of shares may miss 1 by rounding
    largest, smallest = float(system.eigenvalues[-1]), float(system.eigenvalues[system.n - 1 - needed])
    if largest <= 0 or smallest < null_tolerance(system.eigenvalues):
        return float("inf")
    return largest / smallest


def label_energy_points(system: Eigensystem, energies: Tensor) -> tuple[LabelEnergy, ...]:
    """The energy in the leading 1, 2, 5, 10, 20, 50, ... directions and in all, as a record has it."""
    gathered = torch.cumsum(energies, dim=0)
    steps, decade = [], 1
    while decade < system.n:
        steps += [factor * decade for factor in (1, 2, 5) if factor * decade < system.n]
        decade *= 10
    return tuple(
        LabelEnergy(directions=count, eigenvalue=float(system.eigenvalues[-count]), energy=float(gathered[count - 1]))
        for count in (*steps, system.n)
    )
