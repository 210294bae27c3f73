"""What every registered method must do; one contract for ours, run by our tests, and for other people's, run by `check_method`."""

from __future__ import annotations

import math
import pickle
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, get_type_hints

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

from skipbench.architecture import CNN
from skipbench.checks import ContractError
from skipbench.results.record import Choice, Convergence, CurvePoint, KernelComparison, RidgePoint, Spectrum, TangentKernelTrack
from skipbench.trainers.method import INPUT_KINDS, InputKind, Measurements
from skipbench.trainers.registry import accepts, input_kinds, make_method, method_class, method_label, method_parameters

LABELS = ("bream", "perch", "roach")
SHAPES: dict[InputKind, tuple[int, ...]] = {"vectors": (7,), "images": (2, 5, 4)}

_SINGLE = {
    "spectrum": Spectrum,
    "convergence": Convergence,
    "tangent_kernel": TangentKernelTrack,
    "kernel_comparison": KernelComparison,
}
_SCIKIT_LEARN = "scikit-learn's own `check_estimator` passes."
_MANY = {"curve": CurvePoint, "ridge_path": RidgePoint, "choices": Choice}


@dataclass(frozen=True)
class Case:
    """One method with one set of parameters, and data of a kind that it takes: 3 classes of text labels, easy to tell apart."""

    name: str
    parameters: Mapping[str, Any]
    kind: InputKind
    X: NDArray[np.float32]
    y: NDArray[np.str_]
    X_val: NDArray[np.float32]
    y_val: NDArray[np.str_]

    def fitted(self) -> Any:
        """A new classifier, fitted with validation data."""
        return make_method(self.name, self.parameters).fit(self.X, self.y, X_val=self.X_val, y_val=self.y_val)

    @cached_property
    def once(self) -> Any:
        """One such classifier for all checks that leave it as it is: fitting is what takes the time."""
        return self.fitted()

    def expect(self, holds: bool, otherwise: str) -> None:
        """Raise ContractError unless it holds."""
        if not holds:
            raise ContractError(f"method {self.name} with {dict(self.parameters)!r} on {self.kind}: {otherwise}")


def check_method(name: str, parameters: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """Run the contract over a registered method: with these parameters or, without any, with every variant its class proposes.

    The contract: parameters are checked and labelled; where it takes vectors, scikit-learn's `check_estimator` passes; on every kind it
    takes, it fits with and without validation data, predicts labels, measures what a record can hold, leaves its parameters alone, clones,
    pickles, gives the same result for the same seed, refits what it says it chose, and refuses inputs of another shape, of another kind,
    or that are not finite. Returns what was checked, one sentence each.
    Raises ContractError at the first breach, SkipbenchError for an unknown method or parameter.
    """
    done: dict[str, int] = {}
    for variant in contract_variants(name) if parameters is None else (dict(parameters),):
        label = method_label(name, variant)
        if not label or not label.isprintable():
            raise ContractError(f"method {name} with {variant!r}: its label is {label!r}, but a table needs one line of text")
        taken = input_kinds(name, variant)
        if not taken:
            raise ContractError(f"method {name} with {variant!r}: it takes neither vectors nor images")
        for kind in taken:
            case = example_case(name, variant, kind)
            for check in CHECKS:
                _run(check, case)
                sentence = (check.__doc__ or check.__name__).partition("\n")[0]
                done[sentence] = done.get(sentence, 0) + 1
        if "vectors" in taken:
            _check_scikit_learn(name, variant)
            done[_SCIKIT_LEARN] = done.get(_SCIKIT_LEARN, 0) + 1
    return tuple(f"{sentence} ({cases} case{'' if cases == 1 else 's'})" for sentence, cases in done.items())


def contract_variants(name: str) -> tuple[Mapping[str, Any], ...]:
    """The class's own `contract_variants`; without it the defaults, and a small CNN where it has a parameter `architecture`."""
    proposed = getattr(method_class(name), "contract_variants", None)
    if callable(proposed):
        return tuple(proposed())
    images = ({"architecture": CNN(depth=1, readout="tr")},) if "architecture" in method_parameters(name) else ()
    return ({}, *images)


def example_case(name: str, parameters: Mapping[str, Any], kind: InputKind) -> Case:
    """24 training and 12 validation rows, each class around a pattern of its own."""
    rng = np.random.default_rng(20)
    patterns = 2 * rng.normal(size=(len(LABELS), *SHAPES[kind]))
    parts = []
    for rows in (24, 12):
        codes = np.arange(rows) % len(LABELS)
        parts += [(patterns[codes] + 0.3 * rng.normal(size=(rows, *SHAPES[kind]))).astype(np.float32), np.array(LABELS)[codes]]
    return Case(name, parameters, kind, *parts)


def check_predictions(case: Case) -> None:
    """`fit` returns the classifier itself, and `predict` one known label per row."""
    method = make_method(case.name, case.parameters)
    returned = method.fit(case.X, case.y, X_val=case.X_val, y_val=case.y_val)
    case.expect(returned is method, "fit returns something else than the classifier itself")
    predicted = np.asarray(method.predict(case.X_val))
    case.expect(predicted.shape == case.y_val.shape, f"predict gives shape {predicted.shape} for {len(case.X_val)} rows")
    case.expect(set(predicted.tolist()) <= set(LABELS), f"predict gives {sorted(set(predicted.tolist()))}, but the labels are {LABELS}")


def check_validation_is_optional(case: Case) -> None:
    """It also fits without validation data, as cross-validation does."""
    predicted = make_method(case.name, case.parameters).fit(case.X, case.y).predict(case.X_val)
    case.expect(len(predicted) == len(case.X_val), f"fitted without validation data, predict gives {len(predicted)} labels")


def check_measurements(case: Case) -> None:
    """`measurements_`, where there is one, holds what a record can hold."""
    measured = getattr(case.once, "measurements_", {})
    case.expect(isinstance(measured, dict), f"measurements_ is a {type(measured).__name__}, but it is a dictionary")
    for key, value in measured.items():
        case.expect(key in get_type_hints(Measurements), f"measurements_ has {key!r}; known are {', '.join(get_type_hints(Measurements))}")
        if key in _SINGLE:
            case.expect(isinstance(value, _SINGLE[key]), f"measurements_[{key!r}] is no {_SINGLE[key].__name__}")
        elif key in _MANY:
            fits = isinstance(value, tuple) and all(isinstance(entry, _MANY[key]) for entry in value)
            case.expect(fits, f"measurements_[{key!r}] is no tuple of {_MANY[key].__name__}")
        else:
            fits = isinstance(value, dict) and all(isinstance(phase, str) and 0 <= float(s) < math.inf for phase, s in value.items())
            case.expect(fits, f"measurements_[{key!r}] is {value!r}, but it is seconds by phase")


def check_parameters_are_kept(case: Case) -> None:
    """`fit` changes no parameter, and a clone has the same ones and no memory of the fit."""
    method = case.once
    for key, given in case.parameters.items():
        case.expect(method.get_params(deep=False)[key] is given, f"parameter {key} is no longer the object that was given")
    copy = clone(method)
    case.expect(not hasattr(copy, "classes_") and not hasattr(copy, "measurements_"), "a clone remembers the fit")
    case.expect(set(copy.get_params()) == set(method.get_params()), "a clone has other parameters")


def check_pickling(case: Case) -> None:
    """A pickled classifier predicts the same: worker processes send them home."""
    method = case.once
    again = pickle.loads(pickle.dumps(method))
    case.expect(np.array_equal(method.predict(case.X_val), again.predict(case.X_val)), "predictions differ after pickling")


def check_same_seed_same_result(case: Case) -> None:
    """Two fits of equal parameters agree to the last bit."""
    first, second = case.once, case.fitted()
    case.expect(np.array_equal(first.predict(case.X_val), second.predict(case.X_val)), "two fits of one seed predict different labels")
    for scores in ("decision_function", "predict_proba"):
        if hasattr(first, scores):
            same = np.array_equal(getattr(first, scores)(case.X_val), getattr(second, scores)(case.X_val))
            case.expect(same, f"two fits with the same seed have different {scores}")


def check_chosen_parameters(case: Case) -> None:
    """What it says it chose, given to a new instance without validation data, leaves nothing to choose and predicts the same."""
    first = case.once
    if not callable(getattr(first, "chosen_parameters", None)):
        return
    chosen = first.chosen_parameters()
    case.expect(isinstance(chosen, dict), f"chosen_parameters() is a {type(chosen).__name__}, but it is a dictionary")
    unknown = sorted(set(map(str, chosen)) - set(method_parameters(case.name)))
    case.expect(not unknown, f"chosen_parameters() has {unknown}, which the constructor does not take")
    again: Any = make_method(case.name, {**case.parameters, **chosen}).fit(case.X, case.y)
    for choice in getattr(again, "measurements_", {}).get("choices", ()):
        settled = choice.chosen_on == "fixed" and set(choice.candidates) <= {choice.value}
        case.expect(settled, f"with chosen_parameters() {chosen!r} it still chooses {choice.name} among {choice.candidates}")
    same = np.array_equal(first.predict(case.X_val), again.predict(case.X_val))
    case.expect(same, f"a new instance with chosen_parameters() {chosen!r}, fitted on the same rows, predicts other labels")


def check_refusals(case: Case) -> None:
    """Inputs of another kind, of another shape, or that are not finite are refused with a ValueError."""
    method = case.once
    broken = case.X.copy()
    broken.flat[0] = np.nan
    _expect_refusal(case, "NaN in X", partial(make_method(case.name, case.parameters).fit, broken, case.y))
    _expect_refusal(case, "inputs of another shape", partial(method.predict, case.X_val[..., 1:]))
    for kind in INPUT_KINDS:
        if not accepts(case.name, case.parameters, kind):
            other = example_case(case.name, case.parameters, kind)
            _expect_refusal(case, f"{kind} in fit", partial(make_method(case.name, case.parameters).fit, other.X, other.y))
            _expect_refusal(case, f"{kind} in predict", partial(method.predict, other.X_val))


CHECKS: tuple[Callable[[Case], None], ...] = (
    check_predictions,
    check_validation_is_optional,
    check_measurements,
    check_parameters_are_kept,
    check_pickling,
    check_same_seed_same_result,
    check_chosen_parameters,
    check_refusals,
)


def _run(check: Callable[[Case], None], case: Case) -> None:
    """A method that raises where it should not breaks the contract too, and the message says what was asked of it."""
    try:
        check(case)
    except ContractError:
        raise
    except Exception as error:
        raise ContractError(
            f"method {case.name} with {dict(case.parameters)!r} on {case.kind}: {type(error).__name__}: {error}, "
            f"while it was checked that: {check.__doc__}"
        ) from error


def _expect_refusal(case: Case, what: str, attempt: Callable[[], Any]) -> None:
    try:
        attempt()
    except ValueError:
        return
    raise ContractError(f"method {case.name} with {dict(case.parameters)!r} on {case.kind}: it takes {what} without a ValueError")


def _check_scikit_learn(name: str, parameters: Mapping[str, Any]) -> None:
    """scikit-learn's own contract; its checks meet data that warn, which is not the method's fault."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(make_method(name, parameters), on_skip=None, on_fail=None)
    failed = [f"{result['check_name']}: {result['exception']}" for result in results if result["status"] == "failed"]
    if failed:
        raise ContractError(f"method {name} with {dict(parameters)!r} fails scikit-learn's check_estimator: {'; '.join(failed)}")
