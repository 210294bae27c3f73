"""`NetworkClassifier` as its users meet it: what it learns, chooses, measures and refuses."""

from __future__ import annotations

import copy
import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skipbench.architecture import CNN, MLP, DenseMLP, ResCNN, ResMLP
from skipbench.checks import SkipbenchError
from skipbench.trainers import NetworkClassifier
from skipbench.trainers.empirical_ntk import NetworkJacobian
from skipbench.trainers.networks import TrainingDiverged

IMAGE_NETWORKS = [CNN(depth=2, readout="tr"), ResCNN(depth=1, readout="gap"), ResCNN(depth=1, padding="circular", readout="eq")]


@pytest.fixture(scope="module")
def iris():
    """Training and validation part, standardised on the training part."""
    X, y = load_iris(return_X_y=True)
    X_train, X_val, y_train, y_val = train_test_split(X, y, test_size=0.4, stratify=y, random_state=0)
    scaler = StandardScaler().fit(X_train)
    return scaler.transform(X_train), y_train, scaler.transform(X_val), y_val


@pytest.fixture(scope="module")
def digit_images():
    """100 training and 60 validation images of 4 digits, (n, 1, 8, 8)."""
    X, y = load_digits(n_class=4, return_X_y=True)
    X = ((X - X.mean()) / X.std()).reshape(-1, 1, 8, 8).astype(np.float32)
    return X[:100], y[:100], X[100:160], y[100:160]


def weights(classifier: NetworkClassifier) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in classifier.network_.parameters()])


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("batch_size", [None, 16])
@pytest.mark.parametrize("arch", [MLP(depth=2, bias=0.3), ResMLP(depth=2, bias=0.3), DenseMLP(depth=2)])
def test_it_learns_iris(iris, arch, loss, batch_size):
    X, y, X_val, y_val = iris
    classifier = NetworkClassifier(arch, width=64, loss=loss, batch_size=batch_size, momentum=0.5, epochs=40).fit(X, y, X_val, y_val)
    assert classifier.score(X_val, y_val) > 0.85


@pytest.mark.parametrize("arch", IMAGE_NETWORKS)
def test_it_learns_images(digit_images, arch):
    X, y, X_val, y_val = digit_images
    classifier = NetworkClassifier(arch, width=16, loss="cross_entropy", momentum=0.9, epochs=120).fit(X, y, X_val, y_val)
    assert classifier.score(X_val, y_val) > 0.85
    assert classifier.decision_function(X_val).shape == (60, 4)


def test_labels_of_any_kind_come_back(iris):
    X, y, X_val, _ = iris
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    classifier = NetworkClassifier(width=16, epochs=10).fit(X, names)
    assert list(classifier.classes_) == ["setosa", "versicolor", "virginica"]
    assert set(classifier.predict(X_val)) <= set(classifier.classes_)
    assert classifier.n_features_in_ == 4


def test_one_small_step_moves_the_outputs_by_the_tangent_matrix_times_the_residual(iris):
    X, y, _, _ = iris
    rate = 1e-7
    classifier = NetworkClassifier(ResMLP(depth=1, bias=0.2), width=16, learning_rate=rate, epochs=1, dtype="float64").fit(X, y)
    blocks = NetworkJacobian(classifier.initial_network_).rows(torch.from_numpy(X), 0, 3)
    jacobian = torch.cat([block.reshape(3 * len(X), -1) for block in blocks], dim=1)
    targets = torch.nn.functional.one_hot(torch.from_numpy(y), 3).double() - 1 / 3
    expected = rate / len(X) * (jacobian @ (jacobian.T @ targets.flatten())).view(-1, 3)
    # the step is so small that curvature stays below 1e-4 of it, and so large that float64 resolves it to 1e-7
    np.testing.assert_allclose(classifier.decision_function(X), expected.numpy(), rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_outputs_start_at_0_and_the_first_loss_is_that_of_the_targets(iris):
    X, y, X_val, y_val = iris
    mse = NetworkClassifier(width=16, epochs=2).fit(X, y, X_val, y_val).measurements_["curve"][0]
    assert (mse.step, mse.seconds) == (0, pytest.approx(0.0, abs=0.1))
    assert mse.loss == pytest.approx((1 - 1 / 3) / 2, rel=1e-6)
    assert mse.validation_loss == pytest.approx((1 - 1 / 3) / 2, rel=1e-6)
    entropy = NetworkClassifier(width=16, epochs=2, loss="cross_entropy").fit(X, y).measurements_["curve"][0]
    assert entropy.loss == pytest.approx(np.log(3), rel=1e-6)


@pytest.mark.parametrize("batch_size", [None, 7])
def test_equal_seeds_give_equal_bits_and_another_seed_gives_others(iris, batch_size):
    X, y, X_val, y_val = iris
    settings = {"width": 16, "epochs": 5, "batch_size": batch_size}
    torch.manual_seed(1)
    first = NetworkClassifier(seed=4, **settings).fit(X, y, X_val, y_val)
    torch.manual_seed(2)
    same = NetworkClassifier(seed=4, **settings).fit(X, y, X_val, y_val)
    other = NetworkClassifier(seed=5, **settings).fit(X, y, X_val, y_val)
    assert torch.equal(weights(first), weights(same))
    assert np.array_equal(first.decision_function(X_val), same.decision_function(X_val))
    assert [p.loss for p in first.measurements_["curve"]] == [p.loss for p in same.measurements_["curve"]]
    assert not np.allclose(first.decision_function(X_val), other.decision_function(X_val))


def test_the_order_of_mini_batches_depends_on_the_seed_and_changes_from_epoch_to_epoch(iris, monkeypatch):
    from skipbench.trainers.networks.training import NetworkModule

    batches = []
    original = NetworkModule.training_step

    def watched(self, batch, batch_index):
        batches.append(batch.inputs)
        return original(self, batch, batch_index)

    monkeypatch.setattr(NetworkModule, "training_step", watched)
    for seed in (0, 0, 1):
        NetworkClassifier(width=8, epochs=2, batch_size=16, seed=seed).fit(iris[0], iris[1])
    assert [len(batch) for batch in batches] == [16, 16, 16, 16, 16, 10] * 6
    first, second, again, _, other, _ = (torch.cat(batches[step : step + 6]) for step in range(0, 36, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(first.sort(dim=0).values, second.sort(dim=0).values)  # every row once


def test_a_rows_outputs_do_not_depend_on_the_rows_beside_it(iris):
    classifier = NetworkClassifier(width=64, epochs=5).fit(iris[0], iris[1])
    together = classifier.decision_function(iris[2])
    alone = np.vstack([classifier.decision_function(row[None]) for row in iris[2]])
    np.testing.assert_allclose(together, alone, rtol=1e-10, atol=1e-12)


def test_two_classes_have_one_decision_value_and_cross_entropy_has_probabilities(iris):
    X, y = iris[0][iris[1] > 0], iris[1][iris[1] > 0]
    classifier = NetworkClassifier(width=32, epochs=40, loss="cross_entropy").fit(X, y)
    values, probabilities = classifier.decision_function(X), classifier.predict_proba(X)
    assert values.shape == (len(X),)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(np.log(probabilities[:, 1] / probabilities[:, 0]), values, rtol=1e-6, atol=1e-9)
    assert np.array_equal(classifier.predict(X) == 2, values > 0)
    assert not hasattr(NetworkClassifier(loss="mse"), "predict_proba")


def test_the_best_epoch_on_validation_is_kept_and_its_choice_recorded(iris):
    X, y, X_val, y_val = iris
    classifier = NetworkClassifier(MLP(depth=2), width=32, epochs=60, momentum=0.9, evaluate_every=1).fit(X, y, X_val, y_val)
    curve = classifier.measurements_["curve"]
    best = max(curve, key=lambda point: (point.validation_accuracy, -point.validation_loss))
    assert classifier.best_epoch_ == best.step < curve[-1].step
    assert classifier.score(X_val, y_val) == pytest.approx(best.validation_accuracy, abs=1e-6)
    assert classifier.score(X, y) == pytest.approx(best.accuracy, abs=1e-6)
    chosen = {choice.name: choice for choice in classifier.measurements_["choices"]}
    assert (chosen["epoch"].value, chosen["epoch"].chosen_on) == (best.step, "validation")
    assert (chosen["learning_rate"].value, chosen["learning_rate"].chosen_on) == (classifier.learning_rate_, "fixed")


def test_validation_data_choose_the_epoch_and_change_no_step(iris):
    X, y, X_val, y_val = iris
    alone = NetworkClassifier(width=16, epochs=10, batch_size=16).fit(X, y)
    beside = NetworkClassifier(width=16, epochs=10, batch_size=16).fit(X, y, X_val, y_val)
    assert [p.loss for p in alone.measurements_["curve"]] == [p.loss for p in beside.measurements_["curve"]]
    assert alone.best_epoch_ == alone.n_epochs_ == 10
    assert all(point.validation_loss is None for point in alone.measurements_["curve"])
    assert [choice.name for choice in alone.measurements_["choices"]] == ["learning_rate"]


def test_patience_ends_training_so_many_epochs_after_the_best(iris):
    X, y, X_val, y_val = iris
    rng = np.random.default_rng(0)
    settings = {"width": 32, "momentum": 0.9, "evaluate_every": 1}
    shuffled = rng.permutation(y_val)  # nothing to learn here, so that the best epoch comes early
    patient = NetworkClassifier(epochs=300, patience=8, **settings).fit(X, y, X_val, shuffled)
    assert patient.n_epochs_ < 300
    assert patient.n_epochs_ == patient.best_epoch_ + 8 + 1  # the step of the epoch that said stop is still taken
    assert NetworkClassifier(epochs=20, patience=8, **settings).fit(X, y).n_epochs_ == 20  # without validation it has no effect


def test_training_ends_once_the_target_reduction_is_reached(iris):
    X, y = iris[0][iris[1] < 2], iris[1][iris[1] < 2]
    classifier = NetworkClassifier(width=32, epochs=500, momentum=0.9, target_reduction=0.9).fit(X, y)
    convergence = classifier.measurements_["convergence"]
    assert convergence.iterations_90 is not None
    assert classifier.n_epochs_ == convergence.iterations_90 + 1 < 500


def test_full_batch_convergence_counts_every_step_even_where_the_curve_has_no_point(iris):
    X, y = iris[0][iris[1] < 2], iris[1][iris[1] < 2]
    classifier = NetworkClassifier(width=32, epochs=60, evaluate_every=50).fit(X, y)
    every = NetworkClassifier(width=32, epochs=60, evaluate_every=1).fit(X, y)
    assert [point.step for point in classifier.measurements_["curve"]] == [0, 50, 60]
    by_loss, by_loss_every = (
        one.measurements_["convergence"].model_copy(update={"accuracy_targets": ()})
        for one in (classifier, every)  # those are the curve's
    )
    assert by_loss == by_loss_every
    losses = {point.step: point.loss for point in every.measurements_["curve"]}
    reached = every.measurements_["convergence"].iterations_90
    assert losses[reached] <= 0.1 * losses[0] < losses[reached - 1]
    assert every.measurements_["convergence"].last_step == 60


def test_the_full_batch_loss_falls_at_every_step_of_the_default_rate_on_a_wide_network(iris):
    classifier = NetworkClassifier(MLP(depth=2, bias=0.3), width=512, epochs=15, evaluate_every=1).fit(iris[0], iris[1])
    losses = [point.loss for point in classifier.measurements_["curve"]]
    assert all(after < before for before, after in pairwise(losses))


def test_with_mini_batches_the_curve_has_the_full_training_loss_between_epochs(iris):
    X, y, X_val, y_val = iris
    classifier = NetworkClassifier(width=16, epochs=4, batch_size=16).fit(X, y, X_val, y_val)  # 90 rows: 6 steps a pass
    curve = classifier.measurements_["curve"]
    assert [point.step for point in curve] == [0, 6, 12, 18, 24]
    last_weights = NetworkClassifier(width=16, epochs=4, batch_size=16).fit(X, y)
    outputs = last_weights.decision_function(X)
    targets = np.eye(3)[y] - 1 / 3
    assert curve[-1].loss == pytest.approx(((outputs - targets) ** 2).sum() / (2 * len(X)), rel=1e-5)
    assert curve[-1].accuracy == pytest.approx(last_weights.score(X, y), abs=1e-6)
    assert classifier.measurements_["convergence"].batch_size == 16


def test_the_curve_gets_sparser_with_the_epoch_but_starts_and_ends_exactly(iris):
    classifier = NetworkClassifier(width=8, epochs=123).fit(iris[0], iris[1])
    steps = [point.step for point in classifier.measurements_["curve"]]
    assert steps[:22] == list(range(22))
    assert steps[-1] == 123
    assert len(steps) < 75
    assert steps == sorted(set(steps))


@pytest.mark.parametrize("batch_size", [None, 16])
def test_a_step_that_is_too_large_is_a_diverged_training_with_its_curve(iris, batch_size):
    with pytest.raises(TrainingDiverged, match=r"training diverged: the loss is .* at step \d+.*learning_rate=1e\+04") as caught:
        NetworkClassifier(width=16, learning_rate=1e4, batch_size=batch_size).fit(iris[0], iris[1])
    assert caught.value.learning_rate == 1e4
    assert caught.value.step >= 1
    assert caught.value.curve[0].loss == pytest.approx(1 / 3, rel=1e-6)
    assert all(np.isfinite(point.loss) for point in caught.value.curve)


def test_a_failed_fit_leaves_nothing_that_predicts(iris):
    classifier = NetworkClassifier(width=16, learning_rate=1e30)
    with pytest.raises(TrainingDiverged):
        classifier.fit(iris[0], iris[1])
    with pytest.raises(Exception, match="not fitted yet"):
        classifier.predict(iris[0])


def test_frozen_ends_stay_and_the_rest_moves(iris):
    classifier = NetworkClassifier(ResMLP(depth=1, bias=0.1, train_ends=False), width=16, epochs=3).fit(iris[0], iris[1])
    initial = dict(classifier.initial_network_.named_parameters())
    for name, parameter in classifier.network_.named_parameters():
        assert torch.equal(parameter, initial[name]) == name.startswith(("first", "readout"))


def test_float64_training_is_float64(iris):
    classifier = NetworkClassifier(width=16, epochs=30, dtype="float64").fit(iris[0], iris[1])
    single = NetworkClassifier(width=16, epochs=30).fit(iris[0], iris[1])
    assert {parameter.dtype for parameter in classifier.network_.parameters()} == {torch.float64}
    np.testing.assert_allclose(classifier.decision_function(iris[0]), single.decision_function(iris[0]), rtol=1e-3, atol=1e-4)


def test_it_clones_pickles_and_works_in_a_pipeline_and_a_grid_search(iris):
    X, y, X_val, _ = iris
    classifier = NetworkClassifier(ResMLP(depth=1), width=8, epochs=5)
    assert clone(classifier).get_params() == classifier.get_params()
    fitted = copy.deepcopy(classifier).fit(X, y)
    assert np.array_equal(pickle.loads(pickle.dumps(fitted)).predict(X_val), fitted.predict(X_val))
    search = GridSearchCV(make_pipeline(StandardScaler(), classifier), {"networkclassifier__architecture": [MLP(1), ResMLP(1)]}, cv=2)
    assert search.fit(X, y).best_score_ > 0.5


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"width": 0}, r"NetworkClassifier: width=0, but width counts"),
        ({"width": 12.5}, r"width=12\.5"),
        ({"loss": "hinge"}, r"loss='hinge', but the loss is one of: mse, cross_entropy"),
        ({"loss": ["mse"]}, r"loss=\['mse'\], but the loss is one of"),
        ({"learning_rate": 0.0}, r"learning_rate=0\.0, but a step size"),
        ({"learning_rate": float("nan")}, r"learning_rate=nan"),
        ({"learning_rate": "fast"}, r"learning_rate='fast'"),
        ({"momentum": 1.0}, r"momentum=1\.0, but momentum is at least 0 and below 1"),
        ({"momentum": -0.1}, r"momentum=-0\.1"),
        ({"batch_size": 0}, r"batch_size=0"),
        ({"batch_size": 2.5}, r"batch_size=2\.5"),
        ({"epochs": 0}, r"epochs=0, but an epoch is"),
        ({"epochs": 1.5}, r"epochs=1\.5"),
        ({"patience": 0}, r"patience=0"),
        ({"evaluate_every": 0}, r"evaluate_every=0"),
        ({"target_reduction": 1.0}, r"target_reduction=1\.0"),
        ({"seed": -1}, r"seed=-1, but a seed is"),
        ({"seed": None}, r"seed=None"),
        ({"dtype": "float16"}, r"dtype='float16', but networks are trained in one of: float32, float64"),
        ({"dtype": ["float32"]}, r"dtype=\['float32'\]"),
        ({"device": "cuda:99"}, r"device='cuda:99' is absent on this machine\. There is: cpu"),
        ({"device": "tpu"}, r"device='tpu' is no name of a device"),
        ({"architecture": "ResMLP"}, r"architecture='ResMLP', but it is an architecture such as ResMLP\(depth=3\)"),
        ({"progress_bar": "yes"}, r"progress_bar='yes'"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_named_before_anything_is_trained(iris, parameters, message):
    classifier = NetworkClassifier(**parameters)
    with pytest.raises(SkipbenchError, match=message):
        classifier.check_parameters()
    with pytest.raises(SkipbenchError, match=message):
        classifier.fit(iris[0], iris[1])


def test_inputs_of_the_wrong_kind_or_size_are_named(iris, digit_images):
    with pytest.raises(SkipbenchError, match=r"X holds images.*takes vectors"):
        NetworkClassifier(MLP(depth=1)).fit(digit_images[0], digit_images[1])
    with pytest.raises(SkipbenchError, match=r"X holds vectors.*CNN\(1, gap\) takes images"):
        NetworkClassifier(CNN(depth=1)).fit(iris[0], iris[1])
    with pytest.raises(SkipbenchError, match="X_val without y_val"):
        NetworkClassifier(width=4, epochs=1).fit(iris[0], iris[1], iris[2])
    with pytest.raises(SkipbenchError, match=r"y_val has the label .*9"):
        NetworkClassifier(width=4, epochs=1).fit(iris[0], iris[1], iris[2], np.full(len(iris[3]), 9))
    classifier = NetworkClassifier(CNN(depth=1), width=4, epochs=1).fit(digit_images[0], digit_images[1])
    with pytest.raises(SkipbenchError, match=r"shape \(1, 8, 7\).*fitted on \(1, 8, 8\)"):
        classifier.predict(digit_images[0][..., 1:])


def test_labels_of_one_class_are_refused(iris):
    with pytest.raises(SkipbenchError, match=r"NetworkClassifier: y has 1 class, .*0.*, but a classifier needs at least 2"):
        NetworkClassifier(width=4, epochs=1).fit(iris[0], np.zeros(len(iris[0]), dtype=int))


def test_the_label_says_what_differs():
    assert NetworkClassifier(width=64).label() == "network, ResMLP(2), width 64"
    label = NetworkClassifier(CNN(depth=3), width=8, loss="cross_entropy", momentum=0.9, batch_size=32).label()
    assert label == "network, CNN(3, gap), width 8, cross-entropy, momentum 0.9, batches of 32"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: compares training there with training on the CPU")
@pytest.mark.parametrize("batch_size", [None, 32])
def test_a_gpu_trains_the_same_network(digit_images, batch_size):
    X, y, X_val, y_val = digit_images
    settings = {"width": 16, "epochs": 10, "batch_size": batch_size, "dtype": "float64"}
    on_cpu, on_gpu = (NetworkClassifier(ResCNN(depth=1), device=device, **settings).fit(X, y, X_val, y_val) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(on_gpu.decision_function(X_val), on_cpu.decision_function(X_val), rtol=1e-6, atol=1e-8)
    assert {parameter.device.type for parameter in on_gpu.network_.parameters()} == {"cpu"}
