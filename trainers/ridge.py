"""Kernel ridge regression as a scikit-learn classifier: one eigendecomposition serves every ridge, the spectrum and gradient descent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted, column_or_1d
from torch import Tensor

from skipbench.architecture import CNN, MLP, Architecture, DenseMLP, ResCNN
from skipbench.checks import SkipbenchError, shown
from skipbench.clock import Clock
from skipbench.kernels.spectra import Eigensystem, eigensystem, measure_spectrum
from skipbench.kernels.spectra.gram import checked_ridge
from skipbench.results.record import Choice, RidgePoint
from skipbench.trainers.convergence import closed_form_convergence, closed_form_points
from skipbench.trainers.gradient_descent import GradientDescentCurve
from skipbench.trainers.inputs import LabelledInputs, centred_one_hot, training_inputs, validation_inputs
from skipbench.trainers.kernel_choice import RemembersKernels
from skipbench.trainers.kernel_classifier import KernelClassifier
from skipbench.trainers.method import Measurements
from skipbench.trainers.ridge_path import SingularGramError, check_usable, leave_one_out, smallest_usable_ridge, solve_path

RIDGES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


class KernelRidge(KernelClassifier):
    """One-vs-all kernel ridge regression, f(x) = k(x, X) (K + ridge tr(K)/n I)⁻¹ Y, Y one-hot minus 1/classes.

    architecture: whose infinite-width kernel it is; None means ResMLP(depth=3), or no architecture for a classical kernel. Convolutional
    ones take images (n, channels, height, width), the others vectors (n, features).
    kernel: "ntk", "nngp", a classical one, "gaussian" or "laplace", or a sum of different ones such as "ntk+laplace", each divided by the
    mean of its diagonal on the training points; in a sum with a convolutional kernel the classical ones see the images flattened.
    ridges: the path, relative to tr(K)/n. The best on the validation data is chosen, the larger of equally good ones; without validation
    data the best by leave-one-out accuracy, in closed form. Nothing is fitted again on the validation data.
    bandwidth: of the classical kernels, in the unit of the inputs; None means the median distance of the training points.
    dtype: "float64" or "float32", of the kernel; what follows is float64 always. device: "cpu", "cuda", "cuda:N" or "auto".
    engine: as in `kernel_matrices`. memory: None, or an object whose `kernel_matrices` remembers what other fits need too.

    After `fit`: `classes_`, `ridge_` (the chosen one), `ridges_` (those at which the matrix could be solved, in the given order),
    `unusable_ridges_` (the others, each with the reason and its numbers), `dual_coef_` (len(ridges_), n, classes), `bandwidth_`,
    `kernel_scales_` (what the summands were divided by; None where it is no sum), and `measurements_`: spectrum, convergence and curve of
    gradient descent, ridge_path, choices, seconds by phase.
    `fit` raises SingularGramError where no ridge is usable, and SkipbenchError for other bad input.
    """

    def __init__(
        self,
        architecture: Architecture | None = None,
        *,
        kernel: str = "ntk",
        ridges: Sequence[float] = RIDGES,
        bandwidth: float | None = None,
        dtype: str = "float64",
        device: str = "cpu",
        engine: str = "auto",
        memory: RemembersKernels | None = None,
    ) -> None:
        self.architecture = architecture
        self.kernel = kernel
        self.ridges = ridges
        self.bandwidth = bandwidth
        self.dtype = dtype
        self.device = device
        self.engine = engine
        self.memory = memory

    def fit(self, X: Any, y: Any, X_val: Any = None, y_val: Any = None) -> KernelRidge:
        """Fit every ridge and choose one. X: (n, features) or (n, channels, height, width). y: n labels. X_val, y_val: to choose on."""
        self.check_parameters()
        clock = Clock()
        choice = self._choice()
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
        with clock.phase("solve"):
            self._solve(system, targets)
            accuracies = self._path_accuracies(system, targets, train, cross, validation)
            self._choose(accuracies)
        measured = self._path_measurements(accuracies, chosen_on="leave-one-out" if validation is None else "validation")
        with clock.phase("spectrum"):
            measured["spectrum"] = measure_spectrum(gram, dtype=self.dtype, ridge=self.ridge_, system=system, targets=targets)
        with clock.phase("gradient descent"):
            curve = GradientDescentCurve(system, targets)
            elsewhere = None if cross is None else GradientDescentCurve(system, targets, cross=cross)
            measured["convergence"] = closed_form_convergence(curve, system.eigenvalues)
            measured["curve"] = closed_form_points(curve, train.codes, elsewhere, None if validation is None else validation.codes)
        measured["phases"] = dict(clock.seconds)
        self.measurements_: Measurements = measured
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """The label of every row, at the chosen ridge, (n,)."""
        outputs = self._outputs(X, [self._chosen()])[0]
        return np.asarray(self.classes_[outputs.argmax(axis=1)])

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Outputs at the chosen ridge, (n, classes); for two classes that of the second minus that of the first, (n,)."""
        outputs = self._outputs(X, [self._chosen()])[0]
        return np.asarray(outputs[:, 1] - outputs[:, 0]) if len(self.classes_) == 2 else outputs

    def predict_path(self, X: Any) -> NDArray[Any]:
        """The label of every row at every ridge in `ridges_`, (len(ridges_), n)."""
        check_is_fitted(self)
        outputs = self._outputs(X, list(range(len(self.ridges_))))
        return np.asarray(self.classes_[outputs.argmax(axis=2)])

    def score_path(self, X: Any, y: Any) -> dict[float, float]:
        """Accuracy at every ridge in `ridges_`. It chooses nothing: `ridge_` stays."""
        predicted, labels = self.predict_path(X), column_or_1d(y)
        if len(labels) != predicted.shape[1]:
            raise SkipbenchError(f"KernelRidge: X has {predicted.shape[1]} rows and y {len(labels)}: they must agree")
        return {ridge: float(np.mean(row == labels)) for ridge, row in zip(self.ridges_, predicted, strict=True)}

    def chosen_parameters(self) -> dict[str, Any]:
        """After `fit`: the parameters with which a new instance uses the ridge that was chosen, without choosing again."""
        check_is_fitted(self)
        return {"ridges": (self.ridge_,)}

    def check_parameters(self) -> None:
        """Refuse parameters that no data could make right. Raises SkipbenchError."""
        self._choice()
        self._check_ridges()

    def label(self) -> str:
        """A short name for tables, e.g. "NTK ridge, ResCNN(3, tr)", "Laplace ridge" or "NTK + Laplace ridge, ResMLP(3)"."""
        return self._choice().label("ridge")

    @classmethod
    def contract_variants(cls) -> tuple[dict[str, Any], ...]:
        """Parameters with which the contract runs."""
        networks = (MLP(depth=2), DenseMLP(depth=2), CNN(depth=1, readout="tr"), ResCNN(depth=1))
        return (
            {},
            {"kernel": "laplace"},
            {"kernel": "gaussian", "ridges": [1e-2]},
            {"kernel": "ntk+laplace"},
            {"kernel": "nngp+gaussian", "architecture": CNN(depth=1, readout="tr")},
            *({"architecture": arch, "kernel": "nngp"} for arch in networks),
        )

    def _check_ridges(self) -> None:
        if not isinstance(self.ridges, (Sequence, np.ndarray)) or isinstance(self.ridges, str) or len(self.ridges) == 0:
            raise SkipbenchError(
                f"KernelRidge: ridges={shown(self.ridges)}, but it is a list of at least one ridge, such as [1e-4, 1e-2, 1]"
            )
        values = [checked_ridge(ridge, where=f"KernelRidge: ridges={shown(self.ridges)}", zero_allowed=False) for ridge in self.ridges]
        if len(set(values)) < len(values):
            raise SkipbenchError(f"KernelRidge: ridges={shown(self.ridges)}, but a ridge stands there twice: name each once")

    def _solve(self, system: Eigensystem, targets: Tensor) -> None:
        """Dual coefficients at every ridge where the matrix can be solved; an error only where there is none."""
        self.ridges_, self.unusable_ridges_ = [], {}
        for ridge in map(float, self.ridges):
            try:
                check_usable(system, ridge)
                self.ridges_.append(ridge)
            except SingularGramError as error:
                self.unusable_ridges_[ridge] = str(error)
        if not self.ridges_:
            check_usable(system, max(map(float, self.ridges)))
        self.smallest_usable_ridge_ = smallest_usable_ridge(system)
        self.dual_coef_ = solve_path(system, targets, self.ridges_).cpu().numpy()

    def _path_accuracies(
        self, system: Eigensystem, targets: Tensor, train: LabelledInputs, cross: Tensor | None, validation: LabelledInputs | None
    ) -> list[float]:
        """Accuracy of every usable ridge on the validation data or, without any, leaving one training row out at a time."""
        coefficients = torch.from_numpy(self.dual_coef_).to(targets.device)
        if cross is not None and validation is not None:
            outputs, codes = cross @ coefficients, validation.codes
        else:
            left_out = [leave_one_out(system, targets, rows, ridge) for ridge, rows in zip(self.ridges_, coefficients, strict=True)]
            outputs, codes = torch.stack(left_out), train.codes
        return [float(value) for value in (outputs.argmax(dim=2).cpu().numpy() == codes).mean(axis=1)]

    def _choose(self, accuracies: list[float]) -> None:
        """The ridge of the best accuracy; of equally good ones the largest, which fits the training labels the least closely."""
        self.ridge_ = max(zip(accuracies, self.ridges_, strict=True))[1]

    def _path_measurements(self, accuracies: list[float], chosen_on: Any) -> Measurements:
        reached = dict(zip(self.ridges_, accuracies, strict=True))
        ridges = tuple(map(float, self.ridges))
        choices = [Choice(name="ridge", value=self.ridge_, chosen_on=chosen_on if len(ridges) > 1 else "fixed", candidates=ridges)]
        if self.bandwidth_ is not None:
            choices.append(Choice(name="bandwidth", value=self.bandwidth_, chosen_on="fixed"))
        path = tuple(RidgePoint(ridge=ridge, validation_accuracy=reached.get(ridge)) for ridge in ridges)
        return Measurements(ridge_path=path, choices=tuple(choices))

    def _chosen(self) -> int:
        check_is_fitted(self)
        return int(self.ridges_.index(self.ridge_))

    def _outputs(self, X: Any, which: list[int]) -> NDArray[np.float64]:
        """Outputs of new rows at some of the ridges, (len(which), n, classes)."""
        cross = self._cross_matrix(X)
        outputs = cross @ torch.from_numpy(self.dual_coef_[which]).to(cross.device)
        return np.asarray(outputs.cpu().numpy())
