"""Baselines that every other method should be seen beside: logistic regression and a random forest, scikit-learn's own.

Both take vectors (n, features), and images (n, channels, height, width), which they see flattened.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted

from skipbench.checks import SkipbenchError, shown
from skipbench.clock import Clock
from skipbench.results.record import Choice
from skipbench.trainers.inputs import Inputs, new_inputs, training_inputs, validation_inputs
from skipbench.trainers.method import INPUT_KINDS, InputKind, Measurements

INVERSE_PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0, 1000.0)
MAX_ITERATIONS = 10_000


class LogisticRegressionBaseline(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Multinomial logistic regression with an L2 penalty, scikit-learn's C chosen on the validation data.

    Cs: candidates, each above 0; a small one is a strong penalty. The best accuracy wins, the smallest of equally good ones; without
    validation data the candidate nearest to 1, scikit-learn's default, is used.
    After `fit`: `classes_`, `C_`, `model_` (the fitted LogisticRegression), `measurements_` (choices, seconds by phase).
    Raises SkipbenchError for bad input; images are flattened.
    """

    def __init__(self, *, Cs: Sequence[float] = INVERSE_PENALTIES) -> None:
        self.Cs = Cs

    def fit(self, X: Any, y: Any, X_val: Any = None, y_val: Any = None) -> LogisticRegressionBaseline:
        """Fit every candidate and keep the best. X: vectors or images. y: n labels. X_val, y_val: to choose on."""
        self.check_parameters()
        clock = Clock()
        train = training_inputs(self, X, y, kinds=INPUT_KINDS, taker="logistic regression")
        validation = validation_inputs(self, X_val, y_val, kinds=INPUT_KINDS, taker="logistic regression")
        candidates = tuple(sorted(float(value) for value in self.Cs))
        nearest_default = min(candidates, key=lambda value: abs(math.log(value)))
        tried = (nearest_default,) if validation is None else candidates
        models = []
        with clock.phase("train"):
            for value in tried:
                models.append(LogisticRegression(C=value, max_iter=MAX_ITERATIONS).fit(_flat(train.inputs), train.codes))
        with clock.phase("evaluate"):
            best = 0
            if validation is not None:
                scores = [model.score(_flat(validation.inputs), validation.codes) for model in models]
                best = int(np.argmax(scores))  # the first of equally good ones: the strongest penalty
        self.C_, self.model_ = tried[best], models[best]
        choice = Choice(name="C", value=self.C_, chosen_on="validation" if len(tried) > 1 else "fixed", candidates=candidates)
        self.measurements_ = Measurements(choices=(choice,), phases=dict(clock.seconds))
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """The label of every row, (n,)."""
        check_is_fitted(self)
        return np.asarray(self.classes_[self.model_.predict(_asked(self, X, "logistic regression"))])

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probability of every class, (n, classes)."""
        check_is_fitted(self)
        return np.asarray(self.model_.predict_proba(_asked(self, X, "logistic regression")))

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Logits, (n, classes); for two classes that of the second, (n,)."""
        check_is_fitted(self)
        return np.asarray(self.model_.decision_function(_asked(self, X, "logistic regression")))

    def chosen_parameters(self) -> dict[str, Any]:
        """After `fit`: the parameters with which a new instance uses the C that was chosen, without choosing again."""
        check_is_fitted(self)
        return {"Cs": (self.C_,)}

    def check_parameters(self) -> None:
        """Refuse parameters that no data could make right. Raises SkipbenchError."""
        is_list = isinstance(self.Cs, (Sequence, np.ndarray)) and not isinstance(self.Cs, str) and len(self.Cs) > 0
        if not is_list or not all(_is_number(value) and 0 < value < math.inf for value in self.Cs):
            raise SkipbenchError(
                f"LogisticRegressionBaseline: Cs={shown(self.Cs)}, but it is a list of finite numbers above 0, such as [0.1, 1, 10]"
            )

    def input_kinds(self) -> tuple[InputKind, ...]:
        """Vectors, and images, flattened."""
        return INPUT_KINDS

    def label(self) -> str:
        """The name in tables."""
        return "logistic regression"


class RandomForestBaseline(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A random forest by scikit-learn's own recipe, `trees` trees; nothing is chosen, so validation data is checked and not used.

    After `fit`: `classes_`, `model_` (the fitted RandomForestClassifier), `measurements_` (choices, seconds by phase).
    Same seed, same forest. Raises SkipbenchError for bad input; images are flattened.
    """

    def __init__(self, *, trees: int = 300, seed: int = 0) -> None:
        self.trees = trees
        self.seed = seed

    def fit(self, X: Any, y: Any, X_val: Any = None, y_val: Any = None) -> RandomForestBaseline:
        """Grow the forest. X: vectors or images. y: n labels. X_val, y_val: not used."""
        self.check_parameters()
        clock = Clock()
        train = training_inputs(self, X, y, kinds=INPUT_KINDS, taker="a random forest")
        validation_inputs(self, X_val, y_val, kinds=INPUT_KINDS, taker="a random forest")
        with clock.phase("train"):
            forest = RandomForestClassifier(n_estimators=int(self.trees), random_state=int(self.seed))
            self.model_ = forest.fit(_flat(train.inputs), train.codes)
        choice = Choice(name="trees", value=float(self.trees), chosen_on="fixed")
        self.measurements_ = Measurements(choices=(choice,), phases=dict(clock.seconds))
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """The label of every row, (n,)."""
        check_is_fitted(self)
        return np.asarray(self.classes_[self.model_.predict(_asked(self, X, "a random forest"))])

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probability of every class, the mean over the trees, (n, classes)."""
        check_is_fitted(self)
        return np.asarray(self.model_.predict_proba(_asked(self, X, "a random forest")))

    def check_parameters(self) -> None:
        """Refuse parameters that no data could make right. Raises SkipbenchError."""
        if not _is_whole(self.trees) or self.trees < 1:
            raise SkipbenchError(f"RandomForestBaseline: trees={shown(self.trees)}, but a forest has a whole number of trees, at least 1")
        if not _is_whole(self.seed) or not 0 <= self.seed < 2**32:
            raise SkipbenchError(f"RandomForestBaseline: seed={shown(self.seed)}, but a seed is a whole number from 0 to 4294967295")

    def input_kinds(self) -> tuple[InputKind, ...]:
        """Vectors, and images, flattened."""
        return INPUT_KINDS

    def label(self) -> str:
        """The name in tables."""
        return "random forest"

    @classmethod
    def contract_variants(cls) -> tuple[dict[str, Any], ...]:
        """Parameters with which the contract runs: few trees, which is quick."""
        return ({"trees": 10},)


def _flat(inputs: Inputs) -> Inputs:
    return inputs.reshape(len(inputs), -1)


def _asked(estimator: Any, X: Any, taker: str) -> Inputs:
    return _flat(new_inputs(estimator, X, kinds=INPUT_KINDS, taker=taker))


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)
