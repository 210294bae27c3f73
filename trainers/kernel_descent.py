"""Gradient descent on a kernel as a scikit-learn classifier, in closed form: what an infinitely wide network does, stopped early."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skipbench.architecture import CNN, MLP, Architecture
from skipbench.checks import SkipbenchError, shown
from skipbench.clock import Clock
from skipbench.kernels.spectra import Eigensystem, eigensystem, measure_spectrum
from skipbench.results.record import Choice, CurvePoint
from skipbench.trainers.convergence import closed_form_convergence, closed_form_points, reached_accuracies
from skipbench.trainers.gradient_descent import GradientDescentCurve
from skipbench.trainers.inputs import LabelledInputs, centred_one_hot, training_inputs, validation_inputs
from skipbench.trainers.kernel_choice import RemembersKernels
from skipbench.trainers.kernel_classifier import KernelClassifier
from skipbench.trainers.method import Measurements
from skipbench.trainers.networks.outcome import TrainingDiverged

DIVERGED_AT = 1e4  # times the first loss, as for networks
SPECTRUM_RIDGE = 1e-3  # relative to tr(K)/n: at which the spectrum's effective dimension is taken; the descent itself has none


class KernelDescent(KernelClassifier):
    """Full-batch gradient descent f ← f − (lr/n) K (f − Y) from f = 0, Y one-hot minus 1/classes, with or without momentum.

    Nothing is iterated: one eigendecomposition gives the outputs after any number of steps (see `gradient_descent`).

    architecture, kernel, bandwidth, dtype, device, engine, memory: as in `KernelRidge`.
    relative_rate: the step size in units of n/λ_max, 1 by default; the descent is stable below 2 (1 + momentum).
    momentum: heavy ball, in [0, 1). steps: after how many the outputs are used. None means those of the curve's points with the best
    validation accuracy, of equally good ones the fewest; without validation data the last point, 99.9 % of the loss gone or 10^6 steps.

    After `fit`: `classes_`, `steps_`, `learning_rate_`, `dual_coef_` (n, classes), `bandwidth_`, `kernel_scales_`, and `measurements_`:
    spectrum (with and without a ridge of 1e-3, and label-weighted), convergence (to loss reductions and to accuracies), curve, choices,
    seconds by phase.
    `fit` raises TrainingDiverged, with the curve until then, where the step size is not stable, and SkipbenchError for bad input.
    """

    def __init__(
        self,
        architecture: Architecture | None = None,
        *,
        kernel: str = "ntk",
        relative_rate: float = 1.0,
        momentum: float = 0.0,
        steps: int | None = None,
        bandwidth: float | None = None,
        dtype: str = "float64",
        device: str = "cpu",
        engine: str = "auto",
        memory: RemembersKernels | None = None,
    ) -> None:
        self.architecture = architecture
        self.kernel = kernel
        self.relative_rate = relative_rate
        self.momentum = momentum
        self.steps = steps
        self.bandwidth = bandwidth
        self.dtype = dtype
        self.device = device
        self.engine = engine
        self.memory = memory

    def fit(self, X: Any, y: Any, X_val: Any = None, y_val: Any = None) -> KernelDescent:
        """Descend, and choose where to stop. X: (n, features) or (n, channels, height, width). X_val, y_val: to choose on."""
        self.check_parameters()
        choice, clock = self._choice(), Clock()
        train = training_inputs(self, X, y, kinds=choice.input_kinds, taker=choice.taker)
        validation = validation_inputs(self, X_val, y_val, kinds=choice.input_kinds, taker=choice.taker)
        with clock.phase("warm-up"):
            choice.warm_up()
        with clock.phase("kernel"):
            gram = self._training_matrix(train.inputs)
            cross = None if validation is None else self._kernel_matrix(validation.inputs, train.inputs)
        with clock.phase("factor"):
            system = eigensystem(gram)
        targets = centred_one_hot(train.codes, len(self.classes_), system.eigenvalues.device)
        measured = Measurements()
        with clock.phase("spectrum"):
            measured["spectrum"] = measure_spectrum(gram, dtype=self.dtype, ridge=SPECTRUM_RIDGE, system=system, targets=targets)
        with clock.phase("gradient descent"):
            self._descend(system, targets, cross, train, validation, measured)
        measured["phases"] = dict(clock.seconds)
        self.measurements_ = measured
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """The label of every row after `steps_` steps, (n,)."""
        check_is_fitted(self)
        return np.asarray(self.classes_[self._outputs(X).argmax(axis=1)])

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Outputs after `steps_` steps, (n, classes); for two classes that of the second minus that of the first, (n,)."""
        check_is_fitted(self)
        outputs = self._outputs(X)
        return np.asarray(outputs[:, 1] - outputs[:, 0]) if len(self.classes_) == 2 else outputs

    def chosen_parameters(self) -> dict[str, Any]:
        """After `fit`: the parameters with which a new instance stops where this one did."""
        check_is_fitted(self)
        return {"steps": self.steps_}

    def check_parameters(self) -> None:
        """Refuse parameters that no data could make right. Raises SkipbenchError."""
        self._choice()
        rate, momentum, steps = self.relative_rate, self.momentum, self.steps
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 < rate < math.inf:
            raise SkipbenchError(f"KernelDescent: relative_rate={shown(rate)}, but it is a finite number above 0, in units of n/λ_max")
        if isinstance(momentum, bool) or not isinstance(momentum, (int, float)) or not 0 <= momentum < 1:
            raise SkipbenchError(f"KernelDescent: momentum={shown(momentum)}, but momentum is at least 0 and below 1")
        if steps is not None and (isinstance(steps, bool) or not isinstance(steps, int) or steps < 1):
            raise SkipbenchError(f"KernelDescent: steps={shown(steps)}, but it counts steps from 1, or is None")

    def label(self) -> str:
        """A short name for tables, e.g. "NTK descent, ResCNN(3, tr), momentum 0.9"."""
        parts = [self._choice().label("descent")]
        parts += [] if self.relative_rate == 1 else [f"{self.relative_rate:g} n/λ"]
        parts += [f"momentum {self.momentum:g}"] if self.momentum else []
        return ", ".join(parts)

    @classmethod
    def contract_variants(cls) -> tuple[dict[str, Any], ...]:
        """Parameters with which the contract runs."""
        return (
            {"architecture": MLP(depth=2), "momentum": 0.9, "relative_rate": 0.5},
            {"architecture": CNN(depth=1, readout="tr"), "kernel": "nngp"},
            {"kernel": "laplace", "steps": 20},
        )

    def _descend(
        self,
        system: Eigensystem,
        targets: Tensor,
        cross: Tensor | None,
        train: LabelledInputs,
        validation: LabelledInputs | None,
        measured: Measurements,
    ) -> None:
        """The curve, what it reaches when, and the coefficients where it is stopped. Raises TrainingDiverged."""
        usual = GradientDescentCurve(system, targets)
        self.learning_rate_ = float(self.relative_rate) * usual.learning_rate
        settings: dict[str, Any] = {"learning_rate": self.learning_rate_, "momentum": float(self.momentum)}
        curve = GradientDescentCurve(system, targets, **settings)
        elsewhere = None if cross is None else GradientDescentCurve(system, targets, cross=cross, **settings)
        codes = None if validation is None else validation.codes
        points = closed_form_points(curve, train.codes, elsewhere, codes)
        if not curve.stable:
            raise self._diverged(points)
        reached = reached_accuracies(curve, train.codes, "train")
        if elsewhere is not None and codes is not None:
            reached += reached_accuracies(elsewhere, codes, "validation")
        measured["convergence"] = closed_form_convergence(curve, system.eigenvalues, reached)
        measured["curve"] = points
        self.steps_, candidates = self._stopping(points)
        measured["choices"] = (
            Choice(name="steps", value=self.steps_, chosen_on="validation" if len(candidates) > 1 else "fixed", candidates=candidates),
            Choice(name="learning_rate", value=self.learning_rate_, chosen_on="fixed"),
        )
        self.dual_coef_ = curve.dual_coefficients(self.steps_).cpu().numpy()

    def _stopping(self, points: tuple[CurvePoint, ...]) -> tuple[int, tuple[float, ...]]:
        """After how many steps to stop, and the candidates for it: the points of the curve, if there is validation data."""
        if self.steps is not None:
            return self.steps, ()
        after_one = [point for point in points if point.step > 0]
        if any(point.validation_accuracy is None for point in after_one):
            return after_one[-1].step, ()
        best = max(after_one, key=lambda point: (point.validation_accuracy or 0.0, -point.step))
        return best.step, tuple(float(point.step) for point in after_one)

    def _diverged(self, points: tuple[CurvePoint, ...]) -> TrainingDiverged:
        """The news, with the curve up to the point where the loss is many times its first value."""
        first = points[0].loss
        kept = [point for point in points if point.loss <= DIVERGED_AT * first]
        beyond = points[len(kept)] if len(kept) < len(points) else points[-1]
        return TrainingDiverged(
            f"KernelDescent: relative_rate={self.relative_rate:g} with momentum={self.momentum:g} is not stable: the loss is "
            f"{beyond.loss:.3g} at step {beyond.step}, after {first:.3g} at the start, with learning_rate={self.learning_rate_:.3g}: use "
            f"less than 2 (1 + momentum) = {2 * (1 + self.momentum):g}",
            step=beyond.step,
            learning_rate=self.learning_rate_,
            curve=tuple(kept),
        )

    def _outputs(self, X: Any) -> NDArray[np.float64]:
        cross = self._cross_matrix(X)
        return np.asarray((cross @ torch.from_numpy(self.dual_coef_).to(cross.device)).cpu().numpy())
