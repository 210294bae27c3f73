"""What a method says it chose: a new instance with exactly that, fitted without validation data, is the same classifier."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import NotFittedError

from skipbench.architecture import CNN, ResMLP
from skipbench.trainers import KernelRidge, KernelSVM, LogisticRegressionBaseline, NetworkClassifier, PracticalClassifier
from skipbench.trainers.registry import METHODS, make_method, method_parameters

METHODS_ON_VECTORS = [
    ("ridge", {}),
    ("ridge", {"kernel": "laplace", "bandwidth": 0.8}),
    ("ridge", {"kernel": "ntk+laplace"}),
    ("svm", {}),
    ("svm", {"kernel": "gaussian"}),
    ("logistic-regression", {}),
    ("network", {"width": 16, "epochs": 12, "patience": 3}),
    ("network", {"width": 16, "epochs": 8, "batch_size": 16, "loss": "cross_entropy"}),
    ("practical-network", {"width": 8, "epochs": 8, "batch_size": 16}),
    ("practical-network", {"width": 8, "epochs": 8, "batch_size": 16, "residual": False}),
]


@pytest.fixture(scope="module")
def iris():
    """Rows in random order, labels of which a tenth is wrong: then no method is best at the end of its grid or training."""
    x, y = load_iris(return_X_y=True)
    rng = np.random.default_rng(3)
    order = rng.permutation(len(x))
    x, y = ((x - x.mean(axis=0)) / x.std(axis=0))[order], y[order]
    y = np.where(rng.random(len(y)) < 0.1, rng.integers(0, 3, len(y)), y)
    return {"X": x[:60], "y": y[:60], "X_val": x[60:110], "y_val": y[60:110], "X_test": x[110:]}


@pytest.mark.parametrize(("name", "parameters"), METHODS_ON_VECTORS)
def test_a_new_instance_with_what_was_chosen_is_the_same_classifier_to_the_last_bit(iris, name, parameters):
    method = make_method(name, parameters).fit(iris["X"], iris["y"], iris["X_val"], iris["y_val"])
    chosen = method.chosen_parameters()
    assert set(chosen) <= set(method_parameters(name))
    again = make_method(name, {**parameters, **chosen}).fit(iris["X"], iris["y"])
    assert np.array_equal(again.decision_function(iris["X_test"]), method.decision_function(iris["X_test"]))
    assert not {choice.chosen_on for choice in again.measurements_["choices"]} - {"fixed"}


def test_images_too():
    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 1, 8, 8).astype(np.float32) / 16
    settings = {"width": 4, "epochs": 3, "batch_size": 20, "augment": True}
    for made, parameters in ((KernelSVM, {"architecture": CNN(depth=1, readout="tr")}), (PracticalClassifier, settings)):
        method = made(**parameters).fit(images[:60], labels[:60], images[60:90], labels[60:90])
        again = made(**{**parameters, **method.chosen_parameters()}).fit(images[:60], labels[:60])
        assert np.array_equal(again.decision_function(images[90:99]), method.decision_function(images[90:99]))


def test_each_says_what_it_chose_by_name(iris):
    data = (iris["X"], iris["y"], iris["X_val"], iris["y_val"])
    ridge = KernelRidge().fit(*data)
    assert ridge.chosen_parameters() == {"ridges": (ridge.ridge_,)}
    machine = KernelSVM().fit(*data)
    assert machine.chosen_parameters() == {"Cs": (machine.C_,)}
    regression = LogisticRegressionBaseline().fit(*data)
    assert regression.chosen_parameters() == {"Cs": (regression.C_,)}
    twin = NetworkClassifier(width=16, epochs=12, patience=4).fit(*data)
    assert 0 < twin.best_epoch_ < 12  # otherwise nothing was left out
    assert twin.chosen_parameters() == {"epochs": twin.best_epoch_, "patience": None}
    practical = PracticalClassifier(width=8, epochs=8, batch_size=16).fit(*data)
    assert 0 < practical.best_epoch_ < 8
    assert practical.chosen_parameters() == {"stop_after": practical.best_epoch_}


def test_a_median_bandwidth_and_a_stable_step_size_are_no_choices_but_derived_again(iris):
    kernel = KernelRidge(kernel="laplace").fit(iris["X"], iris["y"], iris["X_val"], iris["y_val"])
    assert "bandwidth" not in kernel.chosen_parameters()
    twin = NetworkClassifier(width=16, epochs=3).fit(iris["X"], iris["y"], iris["X_val"], iris["y_val"])
    assert "learning_rate" not in twin.chosen_parameters()


def test_a_ridge_chosen_by_leaving_one_out_is_chosen_too(iris):
    method = KernelRidge().fit(iris["X"], iris["y"])
    assert method.chosen_parameters() == {"ridges": (method.ridge_,)}


def test_a_network_without_validation_data_chose_nothing(iris):
    for method in (NetworkClassifier(width=8, epochs=2), PracticalClassifier(width=8, epochs=2)):
        assert method.fit(iris["X"], iris["y"]).chosen_parameters() == {}


def test_an_untrained_network_that_was_best_becomes_one_epoch(iris):
    """Labels of one class on validation: the twin at initialisation, f = 0, predicts the first class for all, which cannot be beaten."""
    data = (iris["X"], iris["y"], iris["X_val"], np.zeros(50, dtype=int))
    twin = NetworkClassifier(ResMLP(depth=1), width=8, epochs=3).fit(*data)
    assert twin.best_epoch_ == 0
    assert twin.chosen_parameters() == {"epochs": 1, "patience": None}


@pytest.mark.parametrize("name", sorted(name for name in METHODS if name != "random-forest"))
def test_before_fit_nothing_is_chosen(name):
    with pytest.raises(NotFittedError):
        make_method(name, {}).chosen_parameters()
