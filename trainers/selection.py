"""Choosing among candidates on validation rows, and fitting again what was chosen where the protocol wants that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skipbench.results.record import Choice, RidgePoint

Make = Callable[[Mapping[str, Any]], Any]  # parameters in, unfitted method out


@dataclass(frozen=True)
class Selected:
    """The candidate that was best on the validation rows, fitted. number: its place among the candidates; parameters: all of its own.

    choices, ridge_path: what `measurements_` says of the choice.
    """

    method: Any
    number: int
    parameters: Mapping[str, Any]
    validation_accuracy: float
    choices: tuple[Choice, ...]
    ridge_path: tuple[RidgePoint, ...]


def select(make: Make, candidates: Sequence[Mapping[str, Any]], labels: Sequence[str], X: Any, y: Any, X_val: Any, y_val: Any) -> Selected:
    """Fit every candidate on X, y and keep the one with the best accuracy on X_val, y_val; of equally good ones the first.

    candidates: full parameters of each; labels: what the record calls them. A candidate chooses its own hyper-parameters on the same
    validation rows. Nothing is fitted on them.
    """
    best: tuple[float, int, Any] | None = None
    for number, parameters in enumerate(candidates):
        method = make(parameters).fit(X, y, X_val, y_val)
        accuracy = float(np.mean(method.predict(X_val) == y_val))
        if best is None or accuracy > best[0]:
            best = (accuracy, number, method)
    if best is None:
        raise ValueError("select: no candidates")
    accuracy, number, method = best
    measured = getattr(method, "measurements_", {})
    choices = tuple(measured.get("choices", ()))
    if len(candidates) > 1:
        choices = (Choice(name="candidate", value=labels[number], chosen_on="validation", candidates=tuple(labels)), *choices)
    return Selected(method, number, candidates[number], accuracy, choices, tuple(measured.get("ridge_path", ())))


def fit_chosen(make: Make, selected: Selected, X: Any, y: Any) -> Any:
    """A new method with everything as chosen, fitted on X, y without validation rows: a fold of the UCI protocol `collection`.

    What a method chose it says by `chosen_parameters`; one without that method chooses nothing.
    """
    chosen = selected.method.chosen_parameters() if callable(getattr(selected.method, "chosen_parameters", None)) else {}
    return make({**selected.parameters, **chosen}).fit(X, y)
