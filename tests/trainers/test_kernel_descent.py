"""Gradient descent on a kernel as a classifier: against explicit iteration, stopped on validation, and refused where it diverges."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris

from skipbench.architecture import MLP
from skipbench.checks import SkipbenchError
from skipbench.kernels import kernel_matrices
from skipbench.trainers.convergence import iterations_to_accuracy
from skipbench.trainers.gradient_descent import kernel_gradient_descent
from skipbench.trainers.kernel_descent import KernelDescent
from skipbench.trainers.networks import TrainingDiverged


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    X = (X - X.mean(0)) / X.std(0)
    order = np.random.default_rng(0).permutation(len(X))
    return {"train": (X[order[:60]], y[order[:60]]), "validation": (X[order[60:100]], y[order[60:100]]), "test": X[order[100:]]}


@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_outputs_are_those_of_iterated_gradient_descent(iris, momentum):
    (X, y), X_test, steps = iris["train"], iris["test"], 25
    arch = MLP(depth=2, bias=0.1)
    method = KernelDescent(arch, momentum=momentum, steps=steps).fit(X, y)
    gram, cross = (kernel_matrices(arch, X)[1].numpy(), kernel_matrices(arch, X_test, X)[1].numpy())
    targets = np.eye(3)[y] - 1 / 3
    rate = 1 / np.linalg.eigvalsh(gram)[-1]
    train, test = np.zeros((60, 3)), np.zeros((len(X_test), 3))
    change, change_test = np.zeros_like(train), np.zeros_like(test)
    for _ in range(steps):
        residual = targets - train
        change, change_test = rate * gram @ residual + momentum * change, rate * cross @ residual + momentum * change_test
        train, test = train + change, test + change_test
    np.testing.assert_allclose(method.decision_function(X_test), test, atol=1e-9)
    assert method.measurements_["convergence"].momentum == momentum


def test_it_stops_where_validation_is_best_and_of_equally_good_steps_at_the_fewest(iris):
    method = KernelDescent(MLP(depth=2)).fit(*iris["train"], *iris["validation"])
    points = [point for point in method.measurements_["curve"] if point.step > 0]
    best = max(point.validation_accuracy for point in points)
    assert method.steps_ == next(point.step for point in points if point.validation_accuracy == best)
    assert method.score(*iris["validation"]) == best


def test_an_unstable_step_size_is_news_with_step_rate_and_the_curve_until_then(iris):
    with pytest.raises(
        TrainingDiverged, match=r"relative_rate=2.5 with momentum=0 is not stable.*less than 2 \(1 \+ momentum\) = 2"
    ) as news:
        KernelDescent(MLP(depth=2), relative_rate=2.5).fit(*iris["train"])
    assert news.value.step > 0
    assert news.value.learning_rate == pytest.approx(2.5 * KernelDescent(MLP(depth=2)).fit(*iris["train"]).learning_rate_)
    assert [point.step for point in news.value.curve][:3] == [0, 1, 2]
    assert news.value.curve[-1].loss <= 1e4 * news.value.curve[0].loss
    KernelDescent(MLP(depth=2), relative_rate=2.5, momentum=0.5).fit(*iris["train"])  # stable up to 3 with this momentum


def test_accuracies_are_reached_at_a_step_that_has_them_after_one_that_has_not(iris):
    X, y = iris["train"]
    method = KernelDescent(MLP(depth=2)).fit(*iris["train"], *iris["validation"])
    gram = kernel_matrices(MLP(depth=2), X)[1]
    curve = kernel_gradient_descent(gram, np.eye(3)[y] - 1 / 3)
    targets = {(target.rows, target.accuracy): target.iterations for target in method.measurements_["convergence"].accuracy_targets}
    assert len(targets) == 6
    for accuracy in (0.9, 0.99):
        step = targets["train", accuracy]
        assert np.mean(curve.predict(step).argmax(dim=1).numpy() == y) >= accuracy
        assert np.mean(curve.predict(step - 1).argmax(dim=1).numpy() == y) < accuracy


def test_an_accuracy_that_is_never_reached_is_infinite():
    curve = kernel_gradient_descent(torch.ones(2, 2), np.array([[1.0, 0.0], [0.0, 1.0]]))  # the two rows cannot be told apart
    assert iterations_to_accuracy(curve, np.array([0, 1]), 0.9) == float("inf")
    with pytest.raises(SkipbenchError, match=r"accuracy=1\.5"):
        iterations_to_accuracy(curve, np.array([0, 1]), 1.5)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"relative_rate": 0}, "relative_rate=0, but it is a finite number above 0"),
        ({"relative_rate": True}, "relative_rate=True"),
        ({"momentum": 1.0}, "momentum=1.0, but momentum is at least 0 and below 1"),
        ({"steps": 0}, "steps=0, but it counts steps from 1"),
    ],
)
def test_bad_parameters_are_refused_by_name(iris, parameters, message):
    with pytest.raises(SkipbenchError, match=message):
        KernelDescent(**parameters).fit(*iris["train"])
