"""Kernel gradient descent in closed form, from one eigendecomposition of the Gram matrix.

Conventions: the loss is 1/(2n) Σ |f(x_i) - y_i|² with f = 0 at the start, one step is f ← f - (lr/n) K (f - y), and with momentum β the
last change of f, times β, is added (heavy ball, as torch.optim.SGD does it). It is stable for lr < 2 (1 + β) n/λ_max. Eigenvalues below
n eps λ_max count as 0: the residual in their directions stays for ever.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from skipbench.checks import SkipbenchError, shown
from skipbench.kernels.spectra.eigensystem import Eigensystem, eigensystem, null_tolerance
from skipbench.kernels.spectra.gram import GramLike
from skipbench.trainers.recurrence import Array, Mask, Recurrence

Steps = int | Sequence[int] | np.ndarray[Any, Any] | Tensor

_NEGATIVE_ALLOWED = 1e-3  # of λ_max: float32 kernels reach about -1e-6, an indefinite matrix is far beyond
_SCANNED_AT_ONCE = 64  # steps
_FARTHEST_STEP = 2**1000  # beyond it, steps leave the range of float64


class GradientDescentCurve:
    """Loss and predictions of kernel gradient descent after any number of steps. Made by `kernel_gradient_descent`.

    learning_rate, momentum: as used. stable: whether the loss stays bounded, lr < 2 (1 + β) n/λ_max.
    """

    def __init__(
        self,
        system: Eigensystem,
        targets: Tensor,
        *,
        learning_rate: float | None = None,
        momentum: float = 0.0,
        cross: Tensor | None = None,
    ) -> None:
        eigenvalues = positive_part(system.eigenvalues)
        self.momentum = _checked_momentum(momentum)
        self.learning_rate = _checked_learning_rate(learning_rate, system.n, float(eigenvalues[-1]))
        self._flat = targets.ndim == 1
        coordinates = system.eigenvectors.T @ (targets[:, None] if self._flat else targets)  # Uᵀ y
        rates = (self.learning_rate / system.n) * eigenvalues
        self.recurrence = Recurrence(rates.cpu().numpy(), self.momentum)
        self.weights: Array = ((coordinates**2).sum(dim=1) / (2 * system.n)).cpu().numpy()  # loss = Σ weight r²
        self.stable = bool(rates[-1] < 2 * (1 + self.momentum))
        self._coordinates = coordinates
        self._on_training_points = cross is None
        self._basis = system.eigenvectors if cross is None else (self.learning_rate / system.n) * (cross @ system.eigenvectors)

    @overload
    def loss(self, steps: int) -> float: ...

    @overload
    def loss(self, steps: Sequence[int] | np.ndarray[Any, Any] | Tensor) -> Tensor: ...

    def loss(self, steps: Steps) -> float | Tensor:
        """1/(2n) Σ |f_t(x_i) - y_i|² on the training points after `steps` steps.

        steps: whole numbers of at least 0, one or an array of them. Returns a float for one, a float64 tensor of the array's shape
        otherwise; infinite where a diverging run has left the range of float64. Raises SkipbenchError.
        """
        counts, odd, shape = _counted(steps)
        flat = np.empty(len(counts))
        for start in range(0, len(counts), _SCANNED_AT_ONCE):  # (steps, n) numbers at a time
            part = slice(start, start + _SCANNED_AT_ONCE)
            flat[part] = self.losses(counts[part], odd[part])
        return float(flat[0]) if shape is None else torch.from_numpy(flat.reshape(shape))

    def predict(self, steps: Steps) -> Tensor:
        """f_t after `steps` steps, on the training points or, where `cross` was given, on its points.

            training    f_t = U (1 - r_t) Uᵀ y
            elsewhere   f_t = (lr/n) K(test, train) U [(1 - r_t)/x] Uᵀ y      no inverse: at x = (lr/n) λ = 0 the bracket tends to t

        steps: as for `loss`. Returns (points, outputs), or (points,) for one-dimensional targets; for an array of steps, the array's
        shape comes first. float64, on the Gram matrix's device. Raises SkipbenchError.
        """
        counts, odd, shape = _counted(steps)
        points = [self._predicted(counts[at : at + 1], odd[at : at + 1]) for at in range(len(counts))]
        if shape is None:
            return points[0]
        empty = self._basis.new_empty((0, len(self._basis)) if self._flat else (0, len(self._basis), self._coordinates.shape[1]))
        stacked = torch.stack(points) if points else empty
        return stacked.reshape(*shape, *stacked.shape[1:])

    def dual_coefficients(self, steps: int) -> Tensor:
        """c after `steps` steps, f_t(x) = K(x, train) c = K(x, train) (lr/n) U [(1 - r_t)/x] Uᵀ y for any x.

        Returns (n, outputs), or (n,) for one-dimensional targets; not of a curve that was made with `cross`. Raises SkipbenchError.
        """
        if not self._on_training_points:
            raise SkipbenchError("dual_coefficients: this curve predicts other points: ask the one that was made without cross")
        count, odd, _ = _counted(steps)
        factors = (self.learning_rate / len(self._basis)) * self.recurrence.travelled(count, odd)[0]
        coefficients = self._basis @ (torch.from_numpy(factors).to(self._coordinates.device)[:, None] * self._coordinates)
        return coefficients[:, 0] if self._flat else coefficients

    def losses(self, counts: Array, odd: Mask) -> Array:
        """`loss` of steps that are counted already: as floats, and which of them are odd. Returns (len(counts),)."""
        return np.asarray(_weighted(self.weights, self.recurrence.residual(counts, odd)))

    def _predicted(self, count: Array, odd: Mask) -> Tensor:
        factors = self.recurrence.progress(count, odd) if self._on_training_points else self.recurrence.travelled(count, odd)
        moved = torch.from_numpy(factors[0]).to(self._coordinates.device)[:, None] * self._coordinates
        outputs = self._basis @ moved
        return outputs[:, 0] if self._flat else outputs


def kernel_gradient_descent(
    gram: GramLike,
    targets: GramLike,
    *,
    learning_rate: float | None = None,
    momentum: float = 0.0,
    cross: GramLike | None = None,
) -> GradientDescentCurve:
    """Full-batch gradient descent f ← f - (lr/n) K (f - y) from f = 0 on the loss 1/(2n) Σ |f(x_i) - y_i|², in closed form.

    gram: (n, n), symmetric, positive semidefinite. targets: (n, outputs) or (n,). cross: kernel matrix of (test, train), (m, n), where
    predictions are wanted there. learning_rate: above 0; None means n/λ_max. At 2 (1 + momentum) n/λ_max or more the descent is computed
    all the same, its loss grows, and `stable` is False. momentum: heavy ball, in [0, 1). numpy or torch; computed in float64 on gram's
    device. Raises SkipbenchError.
    """
    system = eigensystem(gram)
    target_values = checked_targets(targets, system.n, system.eigenvalues.device)
    cross_values = checked_cross(cross, system)
    return GradientDescentCurve(system, target_values, learning_rate=learning_rate, momentum=momentum, cross=cross_values)


def iterations_to(curve: GradientDescentCurve, reduction: float = 0.99) -> int | float:
    """The first step t with loss(t) <= (1 - reduction) loss(0), an int, or math.inf where there is none.

    reduction: between 0 and 1, both excluded. The first one in the strict sense, also where the loss oscillates (momentum) or grows
    later on (a learning rate beyond the stable range): a range of steps is skipped only where a lower bound of the loss lies above the
    target. Raises SkipbenchError.
    """
    target = (1 - checked_reduction(reduction, "iterations_to")) * float(curve.weights.sum())
    if float(curve.weights.sum()) <= target:
        return 0  # the targets are 0, so nothing is to be learned
    before, after = 0, 1
    while after <= _FARTHEST_STEP:
        found = _first_step(curve, target, before, after)
        if found is not None:
            return found
        if _weighted(curve.weights, curve.recurrence.never_below(float(after))) > target:
            return math.inf
        before, after = after, 2 * after
    return math.inf


def _first_step(curve: GradientDescentCurve, target: float, before: int, after: int) -> int | None:
    """The first step in (before, after] with a loss of at most `target`: halve, skip a half by its lower bound, scan what is short."""
    ranges = [(before, after)]
    while ranges:
        left, right = ranges.pop()
        if _weighted(curve.weights, curve.recurrence.least_between(float(left + 1), float(right))) > target:
            continue
        if right - left <= _SCANNED_AT_ONCE:
            counts, odd, _ = _counted(range(left + 1, right + 1))
            reached = np.flatnonzero(curve.losses(counts, odd) <= target)
            if len(reached):
                return left + 1 + int(reached[0])
        else:
            middle = (left + right) // 2
            ranges += [(middle, right), (left, middle)]
    return None


def _weighted(weights: Array, residuals: Array) -> Any:
    """Σ weight r² over directions; those without weight do not count, even where they have diverged to infinity."""
    with np.errstate(over="ignore"):
        kept = weights > 0
        return (residuals[..., kept] ** 2) @ weights[kept]


def checked_targets(targets: GramLike, n: int, device: torch.device) -> Tensor:
    """Targets of n training points as float64, (n, outputs) or (n,). Raises SkipbenchError."""
    values = _real_tensor(targets, "targets", device)
    if values.ndim not in (1, 2) or len(values) != n:
        raise SkipbenchError(f"targets: shape {tuple(values.shape)}, but gram has {n} rows: use ({n}, outputs) or ({n},)")
    return values


def checked_cross(cross: GramLike | None, system: Eigensystem) -> Tensor | None:
    """A kernel matrix of (test, train) as float64, (m, n); None stays None. Raises SkipbenchError."""
    if cross is None:
        return None
    values = _real_tensor(cross, "cross", system.eigenvalues.device)
    if values.ndim != 2 or values.shape[1] != system.n:
        raise SkipbenchError(f"cross: shape {tuple(values.shape)}, but gram has {system.n} rows: use (test points, {system.n})")
    return values


def checked_reduction(reduction: float, where: str) -> float:
    """A share of the first loss between 0 and 1, both excluded. Raises SkipbenchError."""
    is_number = isinstance(reduction, (int, float, np.number)) and not isinstance(reduction, bool)
    if not is_number or not 0 < reduction < 1:
        raise SkipbenchError(f"{where}: reduction={shown(reduction)}, but it is a share of the first loss between 0 and 1, such as 0.99")
    return float(reduction)


def positive_part(eigenvalues: Tensor) -> Tensor:
    """The eigenvalues, those below n eps λ_max set to 0. Raises SkipbenchError for a matrix that is clearly indefinite."""
    smallest, largest = float(eigenvalues[0]), float(eigenvalues[-1])
    if smallest < -_NEGATIVE_ALLOWED * max(largest, 0.0):
        raise SkipbenchError(
            f"gram: eigenvalues from {smallest:.6g} to {largest:.6g}, but a Gram matrix is positive semidefinite: check its inputs"
        )
    return torch.where(eigenvalues >= null_tolerance(eigenvalues), eigenvalues, 0.0)


def _checked_learning_rate(learning_rate: float | None, n: int, largest: float) -> float:
    if learning_rate is None:
        if largest <= 0:
            raise SkipbenchError("kernel_gradient_descent: gram is zero, so learning_rate=n/λ_max is undefined: give a learning rate")
        return n / largest
    is_number = isinstance(learning_rate, (int, float, np.number)) and not isinstance(learning_rate, bool)
    if not is_number or not 0 < float(learning_rate) < math.inf:
        raise SkipbenchError(f"learning_rate={shown(learning_rate)}, but it is a finite number above 0, or None for n/λ_max")
    return float(learning_rate)


def _checked_momentum(momentum: float) -> float:
    is_number = isinstance(momentum, (int, float, np.number)) and not isinstance(momentum, bool)
    if not is_number or not 0 <= float(momentum) < 1:
        raise SkipbenchError(f"momentum={shown(momentum)}, but momentum is a number of at least 0 and below 1, such as 0.9")
    return float(momentum)


def _counted(steps: Steps | range) -> tuple[Array, Mask, tuple[int, ...] | None]:
    """The steps as floats, which of them are odd, and their shape (None for a single one). Python integers, so that none overflows."""
    array = steps.detach().cpu().numpy() if isinstance(steps, Tensor) else np.asarray(steps, dtype=getattr(steps, "dtype", object))
    flat = array.reshape(-1).tolist()
    for step in flat:
        if isinstance(step, bool) or not isinstance(step, numbers.Integral) or not 0 <= int(step) <= _FARTHEST_STEP:
            raise SkipbenchError(f"steps: {shown(step)}, but gradient descent makes whole steps: use integers of at least 0")
    shape = None if array.ndim == 0 else array.shape
    return np.array([float(step) for step in flat]), np.array([step % 2 == 1 for step in flat], dtype=bool), shape


def _real_tensor(values: GramLike, where: str, device: torch.device) -> Tensor:
    array = values.detach() if isinstance(values, Tensor) else torch.from_numpy(np.array(values, dtype=np.float64))
    tensor = array.to(device=device, dtype=torch.float64)
    if not bool(torch.isfinite(tensor).all()):
        raise SkipbenchError(f"{where}: it has NaN or infinite entries: look at what it was computed from")
    return tensor
