"""A trained twin beside gradient descent on the kernel of its own architecture: same data, step size, momentum and number of steps.

The kernel at infinite width needs no scale factor: with standard normal weights and the factors in the forward pass, the twin's own
tangent kernel tends to it (see `build_network`), and one step of either is f ← f - (lr/n) K (f - y).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from skipbench.architecture import Architecture
from skipbench.checks import SkipbenchError
from skipbench.clock import Clock
from skipbench.kernels.kernel_matrices import kernel_matrices, warm_up
from skipbench.kernels.spectra.eigensystem import eigensystem
from skipbench.results.record import Convergence, CurvePoint, KernelComparison
from skipbench.trainers.convergence import closed_form_convergence, reached_accuracies
from skipbench.trainers.gradient_descent import GradientDescentCurve
from skipbench.trainers.inputs import Codes, LabelledInputs, centred_one_hot
from skipbench.trainers.kernel_choice import RemembersKernels
from skipbench.trainers.networks.layer_kernels import kernel_products, tangent_kernel

_MOST_PRODUCTS = 2e12  # multiplications for a tangent kernel: a few minutes on one core


class UnstableOnKernelError(SkipbenchError):
    """A step size that a network can take, and gradient descent on its kernel cannot."""


class LimitKernel:
    """The tangent kernel of an architecture at infinite width, on the training rows and between the validation and the training rows.

    gram: (n, n). cross: (m, n), or None without validation rows. Both float64, on `device`. memory: keeps what several fits need. clock:
    counts the phases "warm-up" and "kernel".
    """

    def __init__(
        self,
        architecture: Architecture,
        train: LabelledInputs,
        validation: LabelledInputs | None,
        *,
        device: torch.device,
        memory: RemembersKernels | None,
        clock: Clock,
    ) -> None:
        self.train, self.validation = train, validation
        with clock.phase("warm-up"):
            warm_up(architecture, dtype=torch.float64, device=device)
        compute = kernel_matrices if memory is None else memory.kernel_matrices
        with clock.phase("kernel"):
            self.gram = compute(architecture, train.inputs, None, dtype=torch.float64, device=device, engine="auto")[1]
            self.cross: Tensor | None = None
            if validation is not None:
                self.cross = compute(architecture, validation.inputs, train.inputs, dtype=torch.float64, device=device, engine="auto")[1]


class KernelPartner:
    """Closed-form gradient descent on `limit` with a twin's step size and momentum, ready before the twin is trained.

    predicted_at_start: what the twin's own tangent kernel predicts, for the record (see `predicted_by_own_kernel`). Raises
    UnstableOnKernelError where the step size is not stable on this kernel.
    """

    def __init__(
        self,
        limit: LimitKernel,
        *,
        classes: int,
        learning_rate: float,
        momentum: float,
        predicted_at_start: Convergence | None = None,
    ) -> None:
        system = eigensystem(limit.gram)
        targets = centred_one_hot(limit.train.codes, classes, system.eigenvalues.device)
        self._limit, self._predicted_at_start = limit, predicted_at_start
        self._curve = GradientDescentCurve(system, targets, learning_rate=learning_rate, momentum=momentum)
        if not self._curve.stable:
            raise UnstableOnKernelError(
                f"compare_with_kernel=True: learning_rate={learning_rate:.4g} is not stable on the kernel at infinite width, where it has "
                f"to be below 2 (1 + momentum) n/λ_max = {2 * (1 + momentum) * system.n / float(system.eigenvalues[-1]):.4g}: give a "
                "smaller learning_rate"
            )
        self._elsewhere: GradientDescentCurve | None = None
        reached = reached_accuracies(self._curve, limit.train.codes, "train")
        if limit.cross is not None and limit.validation is not None:
            self._elsewhere = GradientDescentCurve(
                system, targets, learning_rate=learning_rate, momentum=momentum, cross=limit.cross.to(torch.float64)
            )
            reached += reached_accuracies(self._elsewhere, limit.validation.codes, "validation")
        self._predicted = closed_form_convergence(self._curve, system.eigenvalues, reached)

    def comparison(self, curve: Sequence[CurvePoint], validation_outputs: Tensor | None) -> KernelComparison:
        """The twin after its last step beside the kernel after as many.

        curve: the twin's, up to its last step. validation_outputs: f - f at initialisation after that step on the validation rows,
        (m, classes); None without such rows. prediction_distance is None too where the kernel's outputs are all 0.
        """
        step = curve[-1].step
        distance, agreement, accuracy = None, None, None
        if self._elsewhere is not None and self._limit.validation is not None and validation_outputs is not None:
            outputs = self._elsewhere.predict(step).cpu()
            distance, agreement = prediction_distance(validation_outputs, outputs), _agreement(validation_outputs, outputs)
            accuracy = _accuracy(outputs, self._limit.validation.codes)
        return KernelComparison(
            step=step,
            n_validation=0 if self._limit.validation is None else len(self._limit.validation.codes),
            prediction_distance=distance,
            agreement=agreement,
            network_loss=curve[-1].loss,
            kernel_loss=self._curve.loss(step),
            kernel_accuracy=accuracy,
            predicted=self._predicted,
            curve=tuple(self._point(point.step) for point in curve),
            predicted_at_start=self._predicted_at_start,
        )

    def _point(self, step: int) -> CurvePoint:
        """The kernel's loss and accuracies at a step of the twin's curve."""
        point = CurvePoint(step=step, loss=self._curve.loss(step), accuracy=_accuracy(self._curve.predict(step), self._limit.train.codes))
        if self._elsewhere is None or self._limit.validation is None:
            return point
        share = _accuracy(self._elsewhere.predict(step), self._limit.validation.codes)
        return point.model_copy(update={"validation_accuracy": share})


def predicted_by_own_kernel(
    network: nn.Module, inputs: Tensor, codes: Codes, *, classes: int, learning_rate: float, momentum: float
) -> Convergence | None:
    """What the network's own tangent kernel at its present weights predicts, in closed form: computed in float64, averaged over outputs.

    inputs: (n, ...), all training rows, on the network's device. codes: their labels, (n,). None where that kernel takes more
    than 2e12 multiplications, since a wide network's is close to the limit anyway, or where it is 0.
    """
    if kernel_products(network, len(inputs), classes) > _MOST_PRODUCTS:
        return None
    gram = tangent_kernel(network, inputs)
    if not bool(gram.any()):
        return None
    system = eigensystem(gram)
    targets = centred_one_hot(codes, classes, gram.device)
    curve = GradientDescentCurve(system, targets, learning_rate=learning_rate, momentum=momentum)
    return closed_form_convergence(curve, system.eigenvalues, reached_accuracies(curve, codes, "train"))


def prediction_distance(outputs: Tensor, of_kernel: Tensor) -> float | None:
    """sqrt(mean |f - f_kernel|²) / sqrt(mean |f_kernel|²) over rows and outputs; None where f_kernel is 0."""
    size = float(of_kernel.square().mean().sqrt())
    return float((outputs - of_kernel).square().mean().sqrt()) / size if size > 0.0 and math.isfinite(size) else None


def _agreement(outputs: Tensor, of_kernel: Tensor) -> float:
    return float((outputs.argmax(dim=1) == of_kernel.argmax(dim=1)).double().mean())


def _accuracy(outputs: Tensor, codes: Codes) -> float:
    return float(np.mean(outputs.argmax(dim=1).cpu().numpy() == codes))
