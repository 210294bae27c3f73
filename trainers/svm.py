"""Support vector machines on the kernels of the suite: scikit-learn's SVC on precomputed matrices, with C chosen on validation data."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import SVC
from sklearn.utils.validation import check_is_fitted

from skipbench.architecture import CNN, MLP, Architecture, DenseMLP, ResCNN
from skipbench.checks import SkipbenchError, shown
from skipbench.clock import Clock
from skipbench.kernels.spectra import measure_spectrum
from skipbench.results.record import Choice
from skipbench.trainers.inputs import Codes, LabelledInputs, training_inputs, validation_inputs
from skipbench.trainers.kernel_choice import RemembersKernels, mean_diagonal
from skipbench.trainers.kernel_classifier import KernelClassifier
from skipbench.trainers.method import Measurements

CS = (1e-2, 1e-1, 1.0, 10.0, 100.0, 1000.0, 10_000.0)
FOLDS = 5
FOLD_SEED = 0  # the folds are a part of the method, not of its randomness: every fit on the same rows has the same ones

Matrix = NDArray[np.float64]
ChosenOn = Literal["validation", "cross-validation", "fixed"]


class KernelSVM(KernelClassifier):
    """One-vs-one support vector machines, as scikit-learn's SVC, on the kernel matrix K / (tr(K)/n), tr(K)/n of the training points.

    Where pairwise machines tie in votes, their margins decide (SVC's break_ties), so that `predict` and `decision_function` agree.

    The scale makes the mean of k(x, x) 1, so that one C means the same for all kernels and depths: the unscaled NTK of a residual
    network grows like (1 + α²)^depth, and a fixed C would loosen with it. It is to the SVM what the ridge's unit tr(K)/n is to regression.

    architecture, kernel, bandwidth, dtype, device, engine, memory: as in `KernelRidge`, sums such as kernel="ntk+laplace" included.
    Cs: candidates, each above 0; a small one is a wide margin. The best on the validation data is chosen, the smallest of equally good
    ones. Without validation data: the best in 5-fold stratified cross-validation inside the training matrix (fewer folds where no class has
    5 rows; a row whose class only it has is in no fold's training part, and counts as wrong for every C). Where no class has two rows,
    the candidate nearest to 1, scikit-learn's default. Nothing is fitted on the validation data.

    After `fit`: `classes_`, `C_` (the chosen one), `C_accuracies_` (by candidate, on validation data or in cross-validation; empty where
    nothing was compared), `model_` (the fitted SVC), `scale_` (tr(K)/n), `bandwidth_`, `kernel_scales_`, and `measurements_`: spectrum of
    K, choices, seconds by phase ("warm-up", "kernel", "train", "evaluate", "spectrum"). `fit` raises SkipbenchError for bad input.
    """

    def __init__(
        self,
        architecture: Architecture | None = None,
        *,
        kernel: str = "ntk",
        Cs: Sequence[float] = CS,
        bandwidth: float | None = None,
        dtype: str = "float64",
        device: str = "cpu",
        engine: str = "auto",
        memory: RemembersKernels | None = None,
    ) -> None:
        self.architecture = architecture
        self.kernel = kernel
        self.Cs = Cs
        self.bandwidth = bandwidth
        self.dtype = dtype
        self.device = device
        self.engine = engine
        self.memory = memory

    def fit(self, X: Any, y: Any, X_val: Any = None, y_val: Any = None) -> KernelSVM:
        """Fit every candidate and keep the best. X: (n, features) or (n, channels, height, width). X_val, y_val: to choose on."""
        self.check_parameters()
        clock, choice = Clock(), self._choice()
        train = training_inputs(self, X, y, kinds=choice.input_kinds, taker=choice.taker)
        validation = validation_inputs(self, X_val, y_val, kinds=choice.input_kinds, taker=choice.taker)
        with clock.phase("warm-up"):
            choice.warm_up()
        with clock.phase("kernel"):
            gram = self._training_matrix(train.inputs)
            self.scale_ = mean_diagonal(gram, owner=choice.owner, kernel=choice.kernel)
            scaled: Matrix = (gram / self.scale_).cpu().numpy()
            cross: Matrix | None = None
            if validation is not None:
                cross = (self._kernel_matrix(validation.inputs, train.inputs) / self.scale_).cpu().numpy()
        chosen_on = self._choose(scaled, cross, train, validation, clock)
        choices = [Choice(name="C", value=self.C_, chosen_on=chosen_on, candidates=self._candidates())]
        if self.bandwidth_ is not None:
            choices.append(Choice(name="bandwidth", value=self.bandwidth_, chosen_on="fixed"))
        with clock.phase("spectrum"):
            spectrum = measure_spectrum(gram, dtype=self.dtype)
        self.measurements_ = Measurements(spectrum=spectrum, choices=tuple(choices), phases=dict(clock.seconds))
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """The label of every row, by the vote of the pairwise machines, ties broken by their margins as in `decision_function`, (n,)."""
        check_is_fitted(self)
        return np.asarray(self.classes_[self.model_.predict(self._scaled_cross(X))])

    def decision_function(self, X: Any) -> Matrix:
        """scikit-learn's one-vs-rest summary of the votes, (n, classes); for two classes the signed margin, (n,)."""
        check_is_fitted(self)
        return np.asarray(self.model_.decision_function(self._scaled_cross(X)))

    def chosen_parameters(self) -> dict[str, Any]:
        """After `fit`: the parameters with which a new instance uses the C that was chosen, without choosing again."""
        check_is_fitted(self)
        return {"Cs": (self.C_,)}

    def check_parameters(self) -> None:
        """Refuse parameters that no data could make right. Raises SkipbenchError."""
        self._choice()
        is_list = isinstance(self.Cs, (Sequence, np.ndarray)) and not isinstance(self.Cs, str) and len(self.Cs) > 0
        if not is_list or not all(_is_number(value) and 0 < value < math.inf for value in self.Cs):
            raise SkipbenchError(f"KernelSVM: Cs={shown(self.Cs)}, but it is a list of finite numbers above 0, such as [0.1, 1, 10]")
        if len(set(self._candidates())) < len(self.Cs):
            raise SkipbenchError(f"KernelSVM: Cs={shown(self.Cs)}, but a C stands there twice: name each once")

    def label(self) -> str:
        """A short name for tables, e.g. "NTK SVM, ResCNN(3, tr)", "Laplace SVM" or "NTK + Laplace SVM, ResMLP(3)"."""
        return self._choice().label("SVM")

    @classmethod
    def contract_variants(cls) -> tuple[dict[str, Any], ...]:
        """Parameters with which the contract runs."""
        networks = (MLP(depth=2), DenseMLP(depth=2), CNN(depth=1, readout="tr"), ResCNN(depth=1))
        return (
            {},
            {"kernel": "gaussian", "Cs": [10.0]},
            {"kernel": "ntk+laplace"},
            {"kernel": "nngp+gaussian", "architecture": CNN(depth=1, readout="tr")},
            *({"architecture": arch, "kernel": "nngp", "Cs": (0.1, 10.0)} for arch in networks),
        )

    def _candidates(self) -> tuple[float, ...]:
        return tuple(sorted(map(float, self.Cs)))

    def _choose(
        self, gram: Matrix, cross: Matrix | None, train: LabelledInputs, validation: LabelledInputs | None, clock: Clock
    ) -> ChosenOn:
        """Set `C_`, `C_accuracies_` and `model_`; returns what the choice was made on, as the record says it."""
        candidates = self._candidates()
        if cross is not None and validation is not None and len(candidates) > 1:
            with clock.phase("train"):
                models = {C: _machine(gram, train.codes, C) for C in candidates}
            with clock.phase("evaluate"):
                self.C_accuracies_ = {C: float(model.score(cross, validation.codes)) for C, model in models.items()}
            self.C_ = _best(self.C_accuracies_)
            self.model_ = models[self.C_]
            return "validation"
        with clock.phase("train"):
            folds = cross_validation_folds(train.codes) if len(candidates) > 1 else []
            self.C_accuracies_ = {C: _cross_validated(gram, train.codes, C, folds) for C in candidates} if folds else {}
            self.C_ = _best(self.C_accuracies_) if folds else min(candidates, key=lambda C: abs(math.log(C)))
            self.model_ = _machine(gram, train.codes, self.C_)
        return "cross-validation" if folds else "fixed"

    def _scaled_cross(self, X: Any) -> Matrix:
        return np.asarray((self._cross_matrix(X) / self.scale_).cpu().numpy())


def cross_validation_folds(codes: Codes, most: int = FOLDS) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Stratified folds as (rows to fit on, rows held out), the same for the same labels; none where no class has two rows.

    There are as many folds as the largest class has rows, `most` at most: a class with fewer rows is absent from some held-out parts, and
    a class of one row from the part that is fitted when that row is held out.
    """
    n_folds = min(most, int(np.bincount(codes).max()))
    if n_folds < 2:
        return []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class in y has only", category=UserWarning)
        return list(StratifiedKFold(n_folds, shuffle=True, random_state=FOLD_SEED).split(np.zeros(len(codes)), codes))


def _cross_validated(gram: Matrix, codes: Codes, C: float, folds: list[tuple[NDArray[np.intp], NDArray[np.intp]]]) -> float:
    """The share of rows that a machine fitted on the other folds gets right; one class alone needs no machine."""
    hits = 0
    for kept, held_out in folds:
        if len(np.unique(codes[kept])) == 1:
            predicted = np.full(len(held_out), codes[kept][0])
        else:
            predicted = _machine(gram[np.ix_(kept, kept)], codes[kept], C).predict(gram[np.ix_(held_out, kept)])
        hits += int(np.sum(predicted == codes[held_out]))
    return hits / len(codes)


def _machine(gram: Matrix, codes: Codes, C: float) -> SVC:
    return SVC(C=C, kernel="precomputed", break_ties=True).fit(gram, codes)


def _best(accuracies: dict[float, float]) -> float:
    """The C of the best accuracy; of equally good ones the smallest, which has the widest margin."""
    return min(accuracies, key=lambda C: (-accuracies[C], C))


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
