"""Kernel gradient flow, the limit of gradient descent for small steps, in closed form: df/dt = −(1/n) K (f − y) from f = 0.

Conventions as in `gradient_descent`: the loss is 1/(2n) Σ |f(x_i) − y_i|², and t steps of size lr without momentum stand for the time lr t.
In the direction of the eigenvalue λ the share exp(−λ t / n) of the first residual is left after time t.
"""

from __future__ import annotations

import math
import numbers
from typing import Any

import torch
from torch import Tensor

from skipbench.checks import SkipbenchError, shown
from skipbench.kernels.spectra.eigensystem import eigensystem
from skipbench.kernels.spectra.gram import GramLike
from skipbench.trainers.gradient_descent import checked_cross, checked_reduction, checked_targets, positive_part

_HALVINGS = 200  # of an interval of times: down to the last bit


class GradientFlowCurve:
    """Loss and predictions of kernel gradient flow after any time. Made by `kernel_gradient_flow`."""

    def __init__(self, eigenvalues: Tensor, eigenvectors: Tensor, targets: Tensor, cross: Tensor | None) -> None:
        self._n = len(eigenvalues)
        self._rates = eigenvalues / self._n
        self._flat = targets.ndim == 1
        self._coordinates = eigenvectors.T @ (targets[:, None] if self._flat else targets)  # Uᵀ y
        self._energies = self._coordinates.square().sum(dim=1) / (2 * self._n)
        self._on_training_points = cross is None
        self._basis = eigenvectors if cross is None else cross @ eigenvectors / self._n

    @property
    def unit(self) -> float:
        """n / λ_max, the time of one step of gradient descent at its usual step size; infinite for a kernel that is 0."""
        largest = float(self._rates[-1])
        return 1 / largest if largest > 0 else math.inf

    def loss(self, time: float) -> float:
        """1/(2n) Σ |f_t(x_i) − y_i|² on the training points after `time` of at least 0. Raises SkipbenchError."""
        left = torch.exp(-2 * self._rates * _checked_time(time))
        return float((self._energies * left).sum())

    def predict(self, time: float) -> Tensor:
        """f_t on the training points or, where `cross` was given, on its points.

            training    f_t = U (1 − e^(−λt/n)) Uᵀ y
            elsewhere   f_t = K(test, train)/n U [(1 − e^(−λt/n)) n/λ] Uᵀ y        the bracket is t where λ = 0

        Returns (points, outputs), or (points,) for one-dimensional targets. Raises SkipbenchError.
        """
        time = _checked_time(time)
        gone = -torch.expm1(-self._rates * time)
        moved = gone if self._on_training_points else torch.where(self._rates > 0, gone / self._rates, time)
        outputs = self._basis @ (moved[:, None] * self._coordinates)
        return outputs[:, 0] if self._flat else outputs

    def least_loss(self) -> float:
        """What is never reached: the loss in the directions whose eigenvalue is numerically 0."""
        return float(self._energies[self._rates == 0].sum())


def kernel_gradient_flow(gram: GramLike, targets: GramLike, *, cross: GramLike | None = None) -> GradientFlowCurve:
    """Gradient flow df/dt = −(1/n) K (f − y) from f = 0 on the loss 1/(2n) Σ |f(x_i) − y_i|², in closed form.

    gram: (n, n), symmetric, positive semidefinite. targets: (n, outputs) or (n,). cross: kernel matrix of (test, train), (m, n), where
    predictions are wanted there. numpy or torch; computed in float64 on gram's device. Eigenvalues below n eps λ_max count as 0.
    Raises SkipbenchError.
    """
    system = eigensystem(gram)
    target_values = checked_targets(targets, system.n, system.eigenvalues.device)
    return GradientFlowCurve(positive_part(system.eigenvalues), system.eigenvectors, target_values, checked_cross(cross, system))


def time_to(curve: GradientFlowCurve, reduction: float = 0.99) -> float:
    """The time at which the loss has fallen by this share of its first value, in the unit of a step size; math.inf where it never does.

    reduction: between 0 and 1, both excluded. The loss falls monotonically, so its time is found by halving. Raises SkipbenchError.
    """
    target = (1 - checked_reduction(reduction, "time_to")) * curve.loss(0)
    if curve.loss(0) <= target:
        return 0.0
    if curve.least_loss() > target:
        return math.inf
    before, after = 0.0, curve.unit
    while curve.loss(after) > target:
        before, after = after, 2 * after
        if math.isinf(after):
            return math.inf
    for _ in range(_HALVINGS):
        middle = (before + after) / 2
        if middle in (before, after):
            break
        before, after = (before, middle) if curve.loss(middle) <= target else (middle, after)
    return after


def _checked_time(time: Any) -> float:
    if isinstance(time, bool) or not isinstance(time, numbers.Real) or not 0 <= float(time) < math.inf:
        raise SkipbenchError(f"time={shown(time)}, but gradient flow has run for a finite time of at least 0")
    return float(time)
