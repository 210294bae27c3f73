"""What a method is: a scikit-learn classifier that may take validation data and say what it measured."""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypedDict, runtime_checkable

from skipbench.results.record import Choice, Convergence, CurvePoint, KernelComparison, RidgePoint, Spectrum, TangentKernelTrack

Family = Literal["kernel", "network", "baseline"]
InputKind = Literal["vectors", "images"]
INPUT_KINDS: tuple[InputKind, ...] = ("vectors", "images")


class Measurements(TypedDict, total=False):
    """What `measurements_` may hold after `fit`; each entry goes into the record as it is.

    spectrum: of the training Gram matrix. convergence: iterations to three loss reductions. curve: loss and accuracy along training.
    tangent_kernel: how a network's own tangent kernel moved. kernel_comparison: a trained twin beside its kernel.
    ridge_path: validation accuracy at every ridge. choices: hyper-parameters and how they were chosen. phases: seconds by phase.
    """

    spectrum: Spectrum
    convergence: Convergence
    curve: tuple[CurvePoint, ...]
    tangent_kernel: TangentKernelTrack
    kernel_comparison: KernelComparison
    ridge_path: tuple[RidgePoint, ...]
    choices: tuple[Choice, ...]
    phases: dict[str, float]


@runtime_checkable
class Method(Protocol):
    """The interface of every method: scikit-learn's conventions for a classifier, and validation data in `fit`.

    X: vectors (n, features) or images (n, channels, height, width). y: n labels. The constructor stores its keyword parameters as given;
    the seed of a method that draws random numbers is its parameter `seed`, and its device `device`.

    A class may add, and the registry then uses:
    `measurements_`, set by `fit`, a `Measurements`;
    `check_parameters(self) -> None`, which raises SkipbenchError for parameters that no data could make right; `fit` calls it first;
    `input_kinds(self) -> tuple[str, ...]`, which of "vectors" and "images" these parameters take (vectors, without it, or whatever its
    parameter `architecture` reads);
    `label(self) -> str`, a short name for tables;
    `chosen_parameters(self) -> dict[str, Any]`, of a method that chooses something: after `fit`, the constructor's parameters with which a
    new instance, fitted without validation data, uses exactly what was chosen; fitted on the same rows it predicts the same. What is
    derived from the training inputs alone (a median bandwidth, a stable step size) is no choice and is derived again. Empty where nothing
    was chosen;
    `contract_variants(cls) -> tuple[dict, ...]`, a class method: parameters, small enough to be quick, with which the contract runs.
    """

    def fit(self, X: Any, y: Any, X_val: Any = None, y_val: Any = None) -> Any:
        """Fit on X, y; choose hyper-parameters on X_val, y_val, never fit on them. Returns itself."""

    def predict(self, X: Any) -> Any:
        """The label of every row, (n,)."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's parameters by name."""
