"""A trained twin beside gradient descent on the kernel of its architecture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skipbench.architecture import CNN, MLP, ResMLP
from skipbench.checks import SkipbenchError
from skipbench.kernels import KernelMemory, kernel_matrices
from skipbench.trainers import NetworkClassifier, kernel_gradient_descent
from skipbench.trainers.inputs import centred_one_hot
from skipbench.trainers.networks import kernel_partner
from skipbench.trainers.networks.kernel_partner import prediction_distance

rng = np.random.default_rng(0)
X, X_val = rng.normal(size=(30, 4)), rng.normal(size=(20, 4))
y, y_val = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5), (X_val[:, 0] > 0).astype(int) + (X_val[:, 1] > 0.5)


def compared(**parameters):
    settings = {"architecture": ResMLP(depth=1), "width": 16, "epochs": 40, "compare_with_kernel": True, **parameters}
    return NetworkClassifier(**settings).fit(X, y, X_val, y_val)


def test_the_kernel_s_side_is_kernel_gradient_descent_with_the_network_s_step_size_and_steps():
    classifier = compared(momentum=0.5, epochs=12)
    found = classifier.measurements_["kernel_comparison"]
    (_, gram), (_, cross) = kernel_matrices(ResMLP(depth=1), X), kernel_matrices(ResMLP(depth=1), X_val, X)
    targets = centred_one_hot(y, 3, torch.device("cpu"))
    curve = kernel_gradient_descent(gram, targets, learning_rate=classifier.learning_rate_, momentum=0.5, cross=cross)
    assert (found.step, found.n_validation) == (12, 20)
    assert found.kernel_loss == pytest.approx(curve.loss(12), rel=1e-12)
    assert found.kernel_accuracy == np.mean(curve.predict(12).argmax(dim=1).numpy() == y_val)
    assert found.network_loss == classifier.measurements_["curve"][-1].loss
    assert [point.step for point in found.curve] == [point.step for point in classifier.measurements_["curve"]]
    assert found.curve[3].loss == pytest.approx(curve.loss(3), rel=1e-12)
    assert found.curve[0].loss == pytest.approx(1 / 3, rel=1e-12)  # (1 - 1/3) / 2, as the network's
    assert found.predicted.learning_rate == classifier.learning_rate_
    assert {target.rows for target in found.predicted.accuracy_targets} == {"train", "validation"}


def test_it_is_the_last_step_s_network_that_is_compared_not_the_best_epoch_s():
    rows = np.random.default_rng(1).permutation(y_val)  # nothing to learn, so that an early epoch is the best
    settings = {"width": 16, "epochs": 40, "compare_with_kernel": True, "dtype": "float64"}
    chosen = NetworkClassifier(ResMLP(depth=1), **settings).fit(X, y, X_val, rows)
    last = NetworkClassifier(ResMLP(depth=1), **settings).fit(X, y)  # without validation the last weights are kept
    assert chosen.best_epoch_ < 40
    (_, gram), (_, cross) = kernel_matrices(ResMLP(depth=1), X), kernel_matrices(ResMLP(depth=1), X_val, X)
    targets = centred_one_hot(y, 3, torch.device("cpu"))
    kernel = kernel_gradient_descent(gram, targets, learning_rate=chosen.learning_rate_, cross=cross).predict(40)
    outputs = torch.from_numpy(last.decision_function(X_val))
    found = chosen.measurements_["kernel_comparison"]
    assert found.prediction_distance == pytest.approx(float((outputs - kernel).norm() / kernel.norm()), rel=1e-9)
    assert found.agreement == pytest.approx(float((outputs.argmax(1) == kernel.argmax(1)).double().mean()))


def test_network_and_kernel_come_closer_with_width():
    distances, losses = [], []
    for width in (8, 64, 512):
        found = [compared(width=width, seed=seed).measurements_["kernel_comparison"] for seed in range(3)]
        distances.append(np.mean([one.prediction_distance for one in found]))
        losses.append(np.mean([abs(one.network_loss / one.kernel_loss - 1) for one in found]))
    # each step is 8 times wider, which by 1/sqrt(width) is a factor 2.8; 3 seeds know it to some 40 %
    assert distances[0] > 1.5 * distances[1] > 2.25 * distances[2]
    assert losses[2] < losses[0] / 3


def test_predictions_of_the_iterations_meet_what_is_measured_with_width():
    limits, starts = [], []
    easy, easy_val = (X[:, 0] > 0).astype(int), (X_val[:, 0] > 0).astype(int)
    for width in (64, 512):
        settings = {"width": width, "epochs": 400, "target_reduction": 0.9, "compare_with_kernel": True}
        fitted = [NetworkClassifier(ResMLP(depth=1), seed=seed, **settings).fit(X, easy, X_val, easy_val) for seed in range(3)]
        found = [one.measurements_["kernel_comparison"] for one in fitted]
        measured = [one.measurements_["convergence"].iterations_90 for one in fitted]
        limits.append(np.mean([abs(np.log(m / one.predicted.iterations_90)) for m, one in zip(measured, found, strict=True)]))
        starts.append(np.mean([abs(np.log(m / one.predicted_at_start.iterations_90)) for m, one in zip(measured, found, strict=True)]))
    assert limits[1] < 0.7 * limits[0]  # 1/sqrt(8) = .35 in expectation
    assert limits[1] < 0.3
    assert starts[1] < 0.2
    assert starts[0] < limits[0]  # the own kernel knows more of a narrow network than the limit does


def test_images_and_data_without_validation_rows_are_compared_too():
    images = rng.normal(size=(12, 1, 4, 4))
    classifier = NetworkClassifier(CNN(depth=1), width=8, epochs=5, compare_with_kernel=True, tangent_rows=4).fit(images, np.arange(12) % 2)
    found, track = classifier.measurements_["kernel_comparison"], classifier.measurements_["tangent_kernel"]
    assert (found.prediction_distance, found.agreement, found.kernel_accuracy, found.n_validation) == (None, None, None, 0)
    assert found.kernel_loss < found.curve[0].loss
    assert track.points[0].distance_to_limit is not None


def test_comparing_changes_no_bit_of_training_and_its_seconds_are_not_training_s():
    with_kernel, plain = compared(), compared(compare_with_kernel=False)
    assert np.array_equal(with_kernel.decision_function(X), plain.decision_function(X))
    assert {"kernel", "compare"} <= set(with_kernel.measurements_["phases"])
    assert not {"kernel", "compare"} & set(plain.measurements_["phases"])
    assert "kernel_comparison" not in plain.measurements_


def test_a_memory_computes_the_kernel_once_for_all_widths_and_seeds():
    memory = KernelMemory()
    for seed in range(3):
        compared(memory=memory, seed=seed, epochs=1)
    assert (memory.misses, memory.hits) == (2, 4)  # the Gram matrix and the one of validation rows


def test_a_kernel_of_the_network_s_own_that_is_too_expensive_is_left_out(monkeypatch):
    monkeypatch.setattr(kernel_partner, "_MOST_PRODUCTS", 1e3)
    assert compared(epochs=1).measurements_["kernel_comparison"].predicted_at_start is None


def test_the_distance_is_relative_to_the_kernel_s_outputs():
    kernel = torch.tensor([[3.0, -3.0]], dtype=torch.float64)
    assert prediction_distance(1.1 * kernel, kernel) == pytest.approx(0.1)
    assert prediction_distance(kernel, 0 * kernel) is None


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"loss": "cross_entropy"}, r"loss='cross_entropy', but compare_with_kernel=True"),
        ({"batch_size": 16}, r"batch_size=16, but compare_with_kernel=True compares full-batch descent.*use batch_size=None"),
        ({"compare_with_kernel": 1}, r"compare_with_kernel=1, but it is either True or False"),
        ({"memory": "all of it"}, r"memory='all of it', but it is None or a skipbench\.kernels\.KernelMemory"),
    ],
)
def test_what_has_no_closed_form_is_refused(parameters, message):
    with pytest.raises(SkipbenchError, match=message):
        compared(**parameters)


def test_a_step_size_that_the_kernel_could_not_take_is_refused_with_the_largest_one():
    with pytest.raises(SkipbenchError, match=r"learning_rate=50 is not stable on the kernel at infinite width.*give a smaller"):
        compared(learning_rate=50.0)


def test_a_network_whose_own_step_size_is_not_stable_on_its_kernel_is_trained_without_the_comparison(monkeypatch):
    X, y = np.random.default_rng(0).normal(size=(12, 3)), np.arange(12) % 2
    monkeypatch.setattr("skipbench.trainers.networks.classifier.default_learning_rate", lambda *args, **given: 50.0)
    monkeypatch.setattr("skipbench.trainers.networks.recorder.DIVERGED_AT", np.inf)  # 50 is too large for the network, too
    measured = NetworkClassifier(MLP(depth=1), width=4, epochs=1, compare_with_kernel=True, tangent_rows=3).fit(X, y).measurements_
    assert "kernel_comparison" not in measured
    assert len(measured["tangent_kernel"].points) == 2
