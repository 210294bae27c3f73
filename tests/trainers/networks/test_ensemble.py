"""Ensembles over seeds: members train as if alone, and what is measured is their mean's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skipbench.architecture import ResMLP
from skipbench.checks import SkipbenchError
from skipbench.trainers import EnsembleClassifier, NetworkClassifier
from skipbench.trainers.networks.losses import mean_squared_error
from skipbench.trainers.networks.trained import stream_seed

rng = np.random.default_rng(0)
X, X_val = rng.normal(size=(24, 4)), rng.normal(size=(20, 4))
y, y_val = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5), (X_val[:, 0] > 0).astype(int) + (X_val[:, 1] > 0.5)
ARCHITECTURE = ResMLP(depth=1)


def singles(members, seed=0, **settings):
    """The members, trained alone. Mini-batches of theirs have other orders."""
    seeds = [stream_seed(seed, f"member {index}") for index in range(members)]
    return [NetworkClassifier(ARCHITECTURE, seed=one, **settings).fit(X, y) for one in seeds]


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_it_is_the_mean_of_its_members_trained_alone(loss):
    settings = {"width": 8, "epochs": 30, "loss": loss, "momentum": 0.5, "learning_rate": 0.2, "dtype": "float64"}
    ensemble = EnsembleClassifier(ARCHITECTURE, members=3, **settings).fit(X, y)
    expected = np.mean([single.decision_function(X_val) for single in singles(3, **settings)], axis=0)
    # 30 steps on the same numbers; sums over a batch of members may be rounded in another order
    np.testing.assert_allclose(ensemble.decision_function(X_val), expected, rtol=1e-9, atol=1e-12)


def test_the_curve_is_that_of_the_mean_and_not_the_mean_of_curves():
    settings = {"width": 8, "epochs": 30, "learning_rate": 0.2, "dtype": "float64"}
    ensemble = EnsembleClassifier(ARCHITECTURE, members=3, **settings).fit(X, y)
    outputs = torch.from_numpy(ensemble.decision_function(X))
    curve = ensemble.measurements_["curve"]
    assert curve[0].loss == pytest.approx(1 / 3, rel=1e-12)  # of f = 0, (1 - 1/3) / 2
    assert curve[-1].loss == pytest.approx(float(mean_squared_error(outputs, torch.from_numpy(y))), rel=1e-9)
    alone = np.mean([single.measurements_["curve"][-1].loss for single in singles(3, **settings)])
    assert curve[-1].loss < alone  # convex, and the members differ
    full = {point.step: point.loss for point in curve}
    assert ensemble.measurements_["convergence"].last_step == 30
    assert full[15] < full[1] < full[0]


def test_the_mean_is_nearer_to_the_kernel_than_a_member():
    settings = {"width": 32, "epochs": 40, "compare_with_kernel": True}
    alone = [NetworkClassifier(ARCHITECTURE, seed=seed, **settings).fit(X, y, X_val, y_val) for seed in range(4)]
    ensemble = EnsembleClassifier(ARCHITECTURE, members=8, **settings).fit(X, y, X_val, y_val)
    single = np.mean([one.measurements_["kernel_comparison"].prediction_distance for one in alone])
    found = ensemble.measurements_["kernel_comparison"]
    # chance alone would fall to 1/sqrt(8) = .35; the bias of a finite width, O(1/width), stays
    assert found.prediction_distance < 0.75 * single
    assert found.predicted_at_start is None


def test_the_step_size_is_one_that_every_member_can_take():
    settings = {"width": 8, "epochs": 1}
    rates = [single.learning_rate_ for single in singles(3, **settings)]
    # each rate is estimated from a start of its own, and differs by some 1 %
    assert EnsembleClassifier(ARCHITECTURE, members=3, **settings).fit(X, y).learning_rate_ == pytest.approx(min(rates), rel=0.02)


@pytest.mark.parametrize("batch_size", [None, 8])
def test_equal_seeds_give_equal_bits_and_another_seed_gives_others(batch_size):
    settings = {"members": 2, "width": 8, "epochs": 4, "batch_size": batch_size}
    first, same, other = (EnsembleClassifier(seed=seed, **settings).fit(X, y, X_val, y_val) for seed in (1, 1, 2))
    assert np.array_equal(first.decision_function(X_val), same.decision_function(X_val))
    assert not np.allclose(first.decision_function(X_val), other.decision_function(X_val))


def test_only_members_are_trained_and_the_best_epoch_is_the_mean_s():
    ensemble = EnsembleClassifier(ARCHITECTURE, members=2, width=8, epochs=40, momentum=0.9, evaluate_every=1).fit(X, y, X_val, y_val)
    curve = ensemble.measurements_["curve"]
    best = max(curve, key=lambda point: (point.validation_accuracy, -point.validation_loss))
    assert ensemble.best_epoch_ == best.step
    assert ensemble.score(X_val, y_val) == pytest.approx(best.validation_accuracy, abs=1e-6)
    assert not any(parameter.requires_grad for parameter in ensemble.network_.initial.parameters())


def test_what_makes_no_ensemble_is_refused_and_its_label_says_how_many():
    assert EnsembleClassifier(ARCHITECTURE, members=3, width=8).label() == "ensemble of 3 networks, ResMLP(1), width 8"
    with pytest.raises(SkipbenchError, match=r"EnsembleClassifier: members=0, but it counts the networks"):
        EnsembleClassifier(members=0).fit(X, y)
    with pytest.raises(SkipbenchError, match=r"EnsembleClassifier: width=-1"):
        EnsembleClassifier(width=-1).check_parameters()
