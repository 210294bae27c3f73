"""What the classifiers on a kernel matrix share: parameters, the matrices of training and of new points, and their scales."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skipbench.architecture import Architecture
from skipbench.trainers.inputs import Inputs, new_inputs
from skipbench.trainers.kernel_choice import KernelChoice, RemembersKernels, mean_diagonal
from skipbench.trainers.method import InputKind

PARAMETERS = ("architecture", "kernel", "bandwidth", "dtype", "device", "engine", "memory")


class KernelClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """The base of classifiers with a kernel; a subclass has `PARAMETERS` among those of its constructor.

    `fit` of a subclass calls `_training_matrix`, which sets `X_fit_`, `bandwidth_` (of the classical kernels in it, or None), and
    `kernel_scales_`: the mean diagonal of each summand on the training points, by which it is divided; None where it is no sum.
    """

    architecture: Architecture | None
    kernel: str
    bandwidth: float | None
    dtype: str
    device: str
    engine: str
    memory: RemembersKernels | None

    def input_kinds(self) -> tuple[InputKind, ...]:
        """What these parameters take: images for a convolutional architecture, vectors otherwise."""
        return self._choice().input_kinds

    def _choice(self) -> KernelChoice:
        """The parameters, checked."""
        return KernelChoice(type(self).__name__, **{name: getattr(self, name) for name in PARAMETERS})

    def _training_matrix(self, inputs: Inputs) -> Tensor:
        """The Gram matrix of the training points, (n, n), float64, on the device."""
        choice = self._choice()
        self.X_fit_ = inputs
        self.bandwidth_ = choice.training_bandwidth(inputs)
        self.kernel_scales_: tuple[float, ...] | None = None
        if len(choice.names) == 1:
            return self._kernel_matrix(inputs, None)
        parts = choice.matrices(inputs, None, self.bandwidth_)
        named = zip(choice.names, parts, strict=True)
        self.kernel_scales_ = tuple(mean_diagonal(part, owner=choice.owner, kernel=name) for name, part in named)
        return _weighted_sum(parts, self.kernel_scales_)

    def _kernel_matrix(self, x: Inputs, z: Inputs | None) -> Tensor:
        """The kernel matrix with the bandwidth and the scales of the training points, (n, m), float64, on the device. z=None means x."""
        parts = self._choice().matrices(x, z, self.bandwidth_)
        return parts[0] if self.kernel_scales_ is None else _weighted_sum(parts, self.kernel_scales_)

    def _cross_matrix(self, X: Any) -> Tensor:
        """The kernel matrix of new inputs, checked, with the training points: (n, n_train)."""
        check_is_fitted(self)
        choice = self._choice()
        inputs = new_inputs(self, X, kinds=choice.input_kinds, taker=choice.taker)
        # on the training points it is the Gram matrix: half the work, and a memory still holds it
        return self._kernel_matrix(inputs, None if np.array_equal(inputs, self.X_fit_) else self.X_fit_)


def _weighted_sum(parts: list[Tensor], scales: tuple[float, ...]) -> Tensor:
    """Σ_i K_i / s_i. A memory shares what it returns, so nothing is written into the parts."""
    total = parts[0] / scales[0]
    for part, scale in zip(parts[1:], scales[1:], strict=True):
        total += part / scale
    return total
