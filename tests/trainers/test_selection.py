"""Choosing on validation rows, and fitting again what was chosen."""

from __future__ import annotations

import numpy as np
import pytest

from skipbench.architecture import MLP
from skipbench.datasets import load, preprocess
from skipbench.trainers.registry import make_method
from skipbench.trainers.selection import fit_chosen, select


class Recording:
    """A method whose validation accuracy is given, and that remembers on what it was fitted."""

    def __init__(self, right: int, choice: int = 0) -> None:
        self.right, self.choice = right, choice

    def fit(self, X, y, X_val=None, y_val=None):
        self.fitted_on = (len(X), X_val)
        return self

    def predict(self, X):
        return np.where(np.arange(len(X)) < self.right, 1, 0)

    def chosen_parameters(self):
        return {"choice": 7}


@pytest.fixture
def rows():
    return np.zeros((5, 2)), np.ones(5, dtype=int), np.zeros((10, 2)), np.ones(10, dtype=int)


def test_the_best_candidate_on_the_validation_rows_is_kept_the_first_of_equals(rows):
    candidates = [{"right": 3}, {"right": 8}, {"right": 8, "choice": 1}, {"right": 2}]
    selected = select(lambda parameters: Recording(**parameters), candidates, ["a", "b", "c", "d"], *rows)
    assert (selected.number, selected.validation_accuracy) == (1, 0.8)
    (choice,) = selected.choices
    assert (choice.name, choice.value, choice.chosen_on, choice.candidates) == ("candidate", "b", "validation", ("a", "b", "c", "d"))


def test_one_candidate_is_no_choice(rows):
    assert select(lambda parameters: Recording(**parameters), [{"right": 3}], ["a"], *rows).choices == ()


def test_what_was_chosen_is_fitted_again_without_validation_rows(rows):
    selected = select(lambda parameters: Recording(**parameters), [{"right": 3}], ["a"], *rows)
    again = fit_chosen(lambda parameters: Recording(**parameters), selected, np.zeros((8, 2)), np.ones(8))
    assert (again.right, again.choice, again.fitted_on) == (3, 7, (8, None))
    assert again is not selected.method


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("ridge", {"architecture": MLP(depth=2), "kernel": "nngp"}),
        ("ridge", {"kernel": "laplace"}),
        ("svm", {"architecture": MLP(depth=2)}),
        ("logistic-regression", {}),
        ("random-forest", {"trees": 20}),
        ("network", {"architecture": MLP(depth=1), "width": 16, "epochs": 5}),
    ],
)
def test_a_registered_method_is_fitted_again_with_what_it_chose(name, parameters):
    data = preprocess(load("iris"), 0, ["standardise"])
    fitted = (data.x_train, data.y_train, data.x_validation, data.y_validation)
    selected = select(lambda given: make_method(name, given), [parameters], [name], *fitted)
    again = fit_chosen(lambda given: make_method(name, given), selected, data.x_train, data.y_train)
    chosen = {choice.name: choice.value for choice in selected.choices}
    for choice in again.measurements_["choices"]:
        if choice.name in ("ridge", "C"):
            assert (choice.value, choice.chosen_on) == (chosen[choice.name], "fixed")
    same_fit = np.mean(again.predict(data.x_test) == selected.method.predict(data.x_test))
    assert same_fit >= 0.9  # the same rows and settings; a network ends where its best epoch was
