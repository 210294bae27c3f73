"""Practical networks as a classifier: learning, the best epoch, batches, determinism, refusals."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skipbench.checks import SkipbenchError
from skipbench.trainers import NetworkClassifier, PracticalClassifier, TrainingDiverged
from skipbench.trainers.networks import recorder
from skipbench.trainers.networks.schedule import one_cycle
from skipbench.trainers.networks.slices import Samples, SlicingLoader
from skipbench.trainers.registry import accepts, family_of, method_label

SMALL = {"width": 8, "epochs": 6, "batch_size": 16}


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    X, y = ((X - X.mean(axis=0)) / X.std(axis=0))[order], y[order]
    return X[:90], y[:90], X[90:], y[90:]


@pytest.fixture(scope="module")
def digits():
    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 1, 8, 8).astype(np.float32) / 16
    return images[:500], labels[:500], images[500:700], labels[500:700]


def weights(classifier):
    return torch.cat([value.flatten().double() for value in classifier.network_.state_dict().values()])


@pytest.mark.parametrize("residual", [True, False])
def test_digits_are_learned_in_a_few_epochs(digits, residual):
    classifier = PracticalClassifier(residual=residual, width=8, epochs=8, batch_size=32).fit(*digits)
    assert classifier.score(digits[2], digits[3]) > 0.85  # ten classes
    assert classifier.network_.blocks[0].first[0].weight.ndim == 4


@pytest.mark.parametrize("residual", [True, False])
def test_vectors_are_learned_by_dense_layers(iris, residual):
    classifier = PracticalClassifier(residual=residual, width=16, epochs=15, batch_size=16).fit(*iris)
    assert classifier.score(iris[2], iris[3]) > 0.85
    assert classifier.network_.blocks[0].first[0].weight.shape == (16, 16)


def test_images_of_cifars_size_and_odd_ones_are_trained():
    rng = np.random.default_rng(0)
    for shape in ((3, 32, 32), (2, 7, 13), (1, 1, 1)):
        X, y = rng.normal(size=(12, *shape)).astype(np.float32), np.arange(12) % 3
        classifier = PracticalClassifier(width=2, epochs=1, batch_size=6, augment=True).fit(X, y)
        assert classifier.decision_function(X).shape == (12, 3)


@pytest.mark.parametrize("parameters", [{}, {"residual": False, "label_smoothing": 0.1}])
def test_equal_seeds_give_equal_bits_and_another_seed_gives_others(iris, parameters):
    torch.manual_seed(1)
    first = PracticalClassifier(seed=4, **SMALL, **parameters).fit(*iris)
    torch.manual_seed(2)
    same = PracticalClassifier(seed=4, **SMALL, **parameters).fit(*iris)
    other = PracticalClassifier(seed=5, **SMALL, **parameters).fit(*iris)
    assert torch.equal(weights(first), weights(same))
    assert [point.loss for point in first.measurements_["curve"]] == [point.loss for point in same.measurements_["curve"]]
    assert not torch.allclose(weights(first), weights(other))


def test_augmentation_is_seeded_too_and_changes_the_training(digits):
    X, y = digits[0][:100], digits[1][:100]
    first, same, without = (PracticalClassifier(augment=augment, **SMALL).fit(X, y) for augment in (True, True, False))
    assert torch.equal(weights(first), weights(same))
    assert not torch.allclose(weights(first), weights(without))
    np.testing.assert_allclose(first.predict_proba(X[:1]), first.predict_proba(X)[:1], rtol=1e-9)  # predictions are never augmented


def test_the_weights_and_averages_of_the_best_epoch_are_kept(iris):
    _, _, X_val, y_val = iris
    classifier = PracticalClassifier(width=8, epochs=12, batch_size=16).fit(*iris)
    curve = classifier.measurements_["curve"]
    steps = 6
    assert [point.step for point in curve] == [steps * epoch for epoch in range(13)]
    scores = [(point.validation_accuracy, -point.validation_loss) for point in curve[1:]]
    best = scores.index(max(scores)) + 1
    assert classifier.best_epoch_ == best < 12  # otherwise the last epoch would do
    assert classifier.score(X_val, y_val) == pytest.approx(curve[best].validation_accuracy, abs=1e-6)
    probabilities = classifier.predict_proba(X_val)[np.arange(len(y_val)), y_val]
    assert -np.log(probabilities).mean() == pytest.approx(curve[best].validation_loss, rel=1e-4)  # float32 against float64
    names = {choice.name: (choice.value, choice.chosen_on) for choice in classifier.measurements_["choices"]}
    assert names == {"learning_rate": (0.1, "fixed"), "epoch": (best, "validation")}


def test_without_validation_data_the_last_weights_are_kept(iris):
    X, y, _, _ = iris
    classifier = PracticalClassifier(**SMALL).fit(X, y)
    assert classifier.best_epoch_ == classifier.n_epochs_ == 6
    last = classifier.measurements_["curve"][-1]
    probabilities = classifier.predict_proba(X)[np.arange(len(y)), y]
    assert last.loss == pytest.approx(-np.log(probabilities).mean(), rel=1e-4)
    assert last.validation_accuracy is None


def test_an_untrained_network_is_never_kept(iris):
    X, y, X_val, _ = iris
    untrained = PracticalClassifier(**SMALL).fit(X, y, X_val, np.full(len(X_val), 2))
    assert untrained.best_epoch_ >= 1


def test_stopping_early_leaves_the_schedule_as_it_is(iris):
    X, y, _, _ = iris
    whole = PracticalClassifier(**SMALL).fit(X, y).measurements_["curve"]
    stopped = PracticalClassifier(stop_after=2, **SMALL).fit(X, y)
    shorter = PracticalClassifier(**{**SMALL, "epochs": 2}).fit(X, y).measurements_["curve"]
    assert stopped.n_epochs_ == 2
    assert [point.loss for point in stopped.measurements_["curve"]] == [point.loss for point in whole[:3]]
    assert shorter[-1].loss != whole[2].loss


def test_the_step_size_follows_the_cycle_and_decay_spares_biases_and_batch_norm(iris, monkeypatch):
    from skipbench.trainers.networks.training import NetworkModule

    seen, groups = [], []

    def watched(self, trainer_optimizer):
        seen.append(trainer_optimizer.param_groups[0]["lr"])
        groups.append(
            [(group["weight_decay"], {parameter.ndim for parameter in group["params"]}) for group in trainer_optimizer.param_groups]
        )
        assert all(group["nesterov"] and group["momentum"] == 0.9 for group in trainer_optimizer.param_groups)

    monkeypatch.setattr(NetworkModule, "on_before_optimizer_step", watched)
    PracticalClassifier(learning_rate=0.2, weight_decay=0.01, **SMALL).fit(iris[0], iris[1])
    assert seen == pytest.approx([0.2 * one_cycle(step, 36) for step in range(36)], rel=1e-9)
    assert groups[0] == [(0.01, {2}), (0.0, {1})]


def test_label_smoothing_is_part_of_the_training_loss(iris):
    X, y, _, _ = iris
    classifier = PracticalClassifier(label_smoothing=0.3, **SMALL).fit(X, y)
    logarithms = np.log(classifier.predict_proba(X))
    expected = -(0.7 * logarithms[np.arange(len(y)), y] + 0.3 * logarithms.mean(axis=1)).mean()
    assert classifier.measurements_["curve"][-1].loss == pytest.approx(expected, rel=1e-4)


def test_predictions_use_averages_and_never_the_rows_beside(iris):
    X, y, X_val, _ = iris
    classifier = PracticalClassifier(**SMALL).fit(X, y)
    assert not classifier.network_.training
    together = classifier.decision_function(X_val)
    alone = np.vstack([classifier.decision_function(row[None]) for row in X_val])
    np.testing.assert_allclose(alone, together, atol=1e-12)


def test_a_last_batch_of_one_row_joins_the_one_before_it():
    samples = Samples(torch.arange(17.0)[:, None], torch.zeros(17, 2), torch.zeros(17, dtype=torch.long))
    merged = SlicingLoader(samples, 8, 0, least_rows=2)
    assert [len(batch.labels) for batch in merged] == [8, 9]
    assert len(merged) == 2
    assert sorted(float(value) for batch in SlicingLoader(samples, 8, 0, least_rows=2) for value in batch.inputs) == list(range(17))
    kept = SlicingLoader(samples, 8, 0)
    assert ([len(batch.labels) for batch in kept], len(kept)) == ([8, 8, 1], 3)
    two = SlicingLoader(samples, 5, 0, least_rows=2)
    assert ([len(batch.labels) for batch in two], len(two)) == ([5, 5, 5, 2], 4)


@pytest.mark.parametrize("n", [2, 3, 5, 17, 33])
def test_any_number_of_rows_is_trained_on(n):
    rng = np.random.default_rng(n)
    X, y = rng.normal(size=(n, 3)), np.arange(n) % 2
    classifier = PracticalClassifier(**{**SMALL, "epochs": 2}).fit(X, y)
    assert all(math.isfinite(point.loss) for point in classifier.measurements_["curve"])


def test_inputs_of_any_scale_are_trained_on_from_a_sensible_first_loss(iris):
    X, y, _, _ = iris
    for scale, shift in ((1e-3, 0.0), (1e4, 0.0), (1.0, 1e3)):
        first = PracticalClassifier(dtype="float64", **SMALL).fit(scale * X + shift, y).measurements_["curve"][0]
        assert first.loss < 5  # log 3 is 1.1; without averages set from the data it would be as large as the scale


def test_a_training_that_diverges_says_so_with_its_curve(iris, monkeypatch):
    monkeypatch.setattr(recorder, "DIVERGED_AT", 1e-3)
    with pytest.raises(
        TrainingDiverged, match=r"PracticalClassifier: training diverged: .*learning_rate=0\.1 .*use a smaller learning_rate$"
    ):
        PracticalClassifier(**SMALL).fit(*iris)
    monkeypatch.undo()
    with pytest.raises(TrainingDiverged) as caught:
        PracticalClassifier(learning_rate=1e30, **SMALL).fit(*iris)
    assert caught.value.learning_rate == 1e30
    assert caught.value.curve[0].step == 0


def test_evaluation_stands_outside_the_clock_of_training(iris):
    phases = PracticalClassifier(**SMALL).fit(*iris).measurements_["phases"]
    assert set(phases) == {"set_up", "train", "evaluate"}
    measured = PracticalClassifier(**SMALL).fit(*iris).measurements_["convergence"]
    assert (measured.source, measured.batch_size) == ("measured", SMALL["batch_size"])
    assert measured.learning_rate == PracticalClassifier().learning_rate  # the largest of the schedule


def test_residual_or_not_and_the_width_can_be_asked():
    assert PracticalClassifier().is_residual is True
    assert PracticalClassifier(residual=False, width=5).is_residual is False
    assert PracticalClassifier(width=5).width == 5


def test_labels_and_kinds():
    assert method_label("practical-network", {"blocks": 2}) == "practical network, ResNet(3x2), width 16"
    assert method_label("practical-network", {}) == "practical network, ResNet(3x1), width 16"  # as in the records there are
    assert method_label("practical-network", {"blocks": 3}) == "practical network, ResNet-20 (3x3), width 16"
    assert method_label("practical-network", {"blocks": 9, "residual": False}) == "practical network, PlainNet-56 (3x9), width 16"
    plain = {"residual": False, "width": 8, "label_smoothing": 0.1, "augment": True}
    assert method_label("practical-network", plain) == "practical network, PlainNet(3x1), width 8, label smoothing 0.1, augmented"
    assert family_of("practical-network") == "network"
    assert accepts("practical-network", {}, "vectors")
    assert accepts("practical-network", {}, "images")
    assert not accepts("practical-network", {"augment": True}, "vectors")


def test_it_clones_pickles_and_works_in_a_pipeline_and_a_grid_search(iris):
    X, y, X_val, _ = iris
    classifier = PracticalClassifier(**{**SMALL, "epochs": 3})
    assert clone(classifier).get_params() == classifier.get_params()
    fitted = copy.deepcopy(classifier).fit(X, y)
    assert np.array_equal(pickle.loads(pickle.dumps(fitted)).decision_function(X_val), fitted.decision_function(X_val))
    search = GridSearchCV(make_pipeline(StandardScaler(), classifier), {"practicalclassifier__residual": [True, False]}, cv=2)
    assert search.fit(X, y).best_score_ > 0.5


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"residual": 1}, r"PracticalClassifier: residual=1, but it is either True or False"),
        ({"augment": "yes"}, r"augment='yes', but it is either True or False"),
        ({"blocks": 0}, r"PracticalClassifier: blocks=0, but it counts the blocks of each of the three stages: use a whole number"),
        ({"width": 2.5}, r"PracticalClassifier: width=2\.5, but width counts"),
        ({"epochs": 0}, r"PracticalClassifier: epochs=0, but an epoch is"),
        ({"learning_rate": 0.0}, r"learning_rate=0\.0, but a step size is a finite number above 0$"),
        ({"learning_rate": None}, r"learning_rate=None, but it has no default that fits all data"),
        ({"momentum": 1.0}, r"momentum=1\.0, but momentum is at least 0 and below 1"),
        ({"weight_decay": -1e-4}, r"weight_decay=-0\.0001, but a decay is a finite number of at least 0"),
        ({"weight_decay": "5e-4"}, r"weight_decay='5e-4'"),
        ({"label_smoothing": 1.0}, r"label_smoothing=1\.0, but it is the share of a label"),
        ({"batch_size": 1}, r"batch_size=1, but batch norm compares the rows of a batch: use at least 2"),
        ({"batch_size": None}, r"batch_size=None"),
        ({"stop_after": 0}, r"stop_after=0"),
        ({"stop_after": 31}, r"stop_after=31, but the schedule has epochs=30: use at most that, or None"),
        ({"evaluate_every": 0}, r"evaluate_every=0"),
        ({"seed": -1}, r"seed=-1, but a seed is"),
        ({"dtype": "float16"}, r"dtype='float16', but networks are trained in one of: float32, float64"),
        ({"device": "cuda:99"}, r"device='cuda:99' is absent on this machine"),
        ({"progress_bar": "yes"}, r"progress_bar='yes'"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_named_before_anything_is_trained(iris, parameters, message):
    classifier = PracticalClassifier(**parameters)
    with pytest.raises(SkipbenchError, match=message):
        classifier.check_parameters()
    with pytest.raises(SkipbenchError, match=message):
        classifier.fit(iris[0], iris[1])


def test_an_absent_gpu_is_named_before_the_data_are_looked_at():
    class Data:
        def __getattr__(self, name):
            raise AssertionError(f"the data were asked for {name}")

    for classifier in (PracticalClassifier(device="cuda:99"), NetworkClassifier(device="cuda:99")):
        with pytest.raises(SkipbenchError, match=r"device='cuda:99' is absent on this machine\. There is: cpu"):
            classifier.fit(Data(), Data())


def test_inputs_of_the_wrong_kind_or_size_are_named(iris, digits):
    with pytest.raises(SkipbenchError, match="augment=True, but X holds vectors, and only images are augmented: leave it out"):
        PracticalClassifier(augment=True).fit(iris[0], iris[1])
    with pytest.raises(SkipbenchError, match=r"X holds an array of 3 dimensions.* but ResNet\(3x1\) takes vectors .* or images"):
        PracticalClassifier().fit(digits[0][:, 0], digits[1])
    fitted = PracticalClassifier(width=2, epochs=1).fit(digits[0], digits[1])
    with pytest.raises(SkipbenchError, match=r"shape \(1, 8, 7\).*fitted on \(1, 8, 8\)"):
        fitted.predict(digits[0][..., 1:])
    with pytest.raises(SkipbenchError, match=r"X has inputs of shape \(4,\), but it was fitted on \(1, 8, 8\)|X holds|features"):
        fitted.predict(iris[0])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: compares training there with training on the CPU")
def test_a_gpu_trains_the_same_network(digits):
    settings = {**SMALL, "epochs": 2, "dtype": "float64", "augment": True}
    on_cpu, on_gpu = (PracticalClassifier(device=device, **settings).fit(*digits) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(on_gpu.decision_function(digits[2]), on_cpu.decision_function(digits[2]), rtol=1e-5, atol=1e-6)
    assert {parameter.device.type for parameter in on_gpu.network_.parameters()} == {"cpu"}
