"""How a network's own tangent kernel is followed through training, by our classifier and by anyone's Trainer."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from skipbench.architecture import CNN, MLP, ResMLP
from skipbench.checks import SkipbenchError
from skipbench.clock import Clock
from skipbench.kernels import kernel_matrices
from skipbench.trainers import NetworkClassifier, build_network, empirical_ntk
from skipbench.trainers.networks import tangent_tracker
from skipbench.trainers.networks.tangent_tracker import TangentKernelTracker, tangent_kernel_point
from skipbench.trainers.networks.training import quiet_lightning

rng = np.random.default_rng(0)
X, y = rng.normal(size=(24, 5)), np.arange(24) % 3
IMAGES = rng.normal(size=(12, 1, 4, 4))


def tracked(**parameters):
    settings = {"architecture": ResMLP(depth=1), "width": 16, "epochs": 7, "tangent_rows": 6, **parameters}
    return NetworkClassifier(**settings).fit(X, y)


def test_the_points_are_those_of_the_networks_before_and_after_training():
    classifier = tracked(dtype="float64")
    first, last = classifier.measurements_["tangent_kernel"].points[0], classifier.measurements_["tangent_kernel"].points[-1]
    before = empirical_ntk(classifier.initial_network_, X[:6])
    after = empirical_ntk(classifier.network_, X[:6])
    limit = kernel_matrices(ResMLP(depth=1), X[:6])[1]
    assert (first.step, first.drift, last.step) == (0, 0.0, 7)
    # both sides are sums of the same float64 products, in blocks of other sizes
    assert first.distance_to_limit == pytest.approx(float((before - limit).norm() / limit.norm()), rel=1e-10)
    assert last.drift == pytest.approx(float((after - before).norm() / before.norm()), rel=1e-8)
    eigenvalues = torch.linalg.eigvalsh(after)
    assert last.condition_number == pytest.approx(float(eigenvalues[-1] / eigenvalues[0]), rel=1e-8)
    assert last.trace == pytest.approx(float(after.trace()), rel=1e-10)
    assert last.drift > 1e-4


def test_it_is_measured_after_1_2_5_10_20_epochs_and_the_last():
    assert [point.step for point in tracked(epochs=23).measurements_["tangent_kernel"].points] == [0, 1, 2, 5, 10, 20, 23]
    assert [point.step for point in tracked(epochs=10).measurements_["tangent_kernel"].points] == [0, 1, 2, 5, 10]
    batches = tracked(epochs=6, batch_size=8).measurements_["tangent_kernel"].points  # 3 steps in an epoch
    assert [point.step for point in batches] == [0, 3, 6, 15, 18]


def test_more_rows_than_there_are_means_all_and_none_means_no_track():
    assert tracked(tangent_rows=1000, epochs=1).measurements_["tangent_kernel"].n == 24
    assert "tangent_kernel" not in tracked(tangent_rows=0, epochs=1).measurements_


def test_following_the_kernel_changes_no_bit_of_training():
    followed, plain = tracked(batch_size=8), tracked(batch_size=8, tangent_rows=0)
    assert np.array_equal(followed.decision_function(X), plain.decision_function(X))
    images = {"architecture": CNN(depth=1), "width": 4, "epochs": 3}
    losses = [NetworkClassifier(**images, tangent_rows=rows).fit(IMAGES, y[:12]).measurements_["curve"][-1].loss for rows in (0, 3)]
    assert losses[0] == losses[1]


def test_the_kernel_moves_less_the_wider_the_network():
    drifts, distances = [], []
    for width in (16, 256):
        points = [tracked(width=width, epochs=20, seed=seed).measurements_["tangent_kernel"].points for seed in range(3)]
        drifts.append(np.mean([track[-1].drift for track in points]))
        distances.append(np.mean([track[0].distance_to_limit for track in points]))
    # drift falls as 1/width, the distance at the start as its root: factors 16 and 4, known to some 40 % from 3 seeds
    assert drifts[1] < drifts[0] / 6
    assert distances[1] < distances[0] / 2


def test_the_clock_of_training_stands_still(monkeypatch):
    original = tangent_tracker.tangent_kernel

    def slow(*arguments, **named):
        time.sleep(0.2)
        return original(*arguments, **named)

    tracked()  # whatever is slow the first time
    monkeypatch.setattr(tangent_tracker, "tangent_kernel", slow)
    phases = tracked().measurements_["phases"]  # 0, 1, 2, 5, 7
    assert phases["evaluate"] >= 5 * 0.2
    assert phases["train"] < 0.5  # seven steps take milliseconds; one measurement inside the clock would not show, three would


class Linear(pl.LightningModule):
    """Somebody's own module, without the attribute `network`."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 2)

    def forward(self, x):
        return self.layer(x)

    def training_step(self, batch, batch_index):
        return self(batch[0]).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit_linear(callback):
    x = torch.from_numpy(X).float()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x), batch_size=len(x))
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    with quiet_lightning():
        pl.Trainer(accelerator="cpu", max_epochs=3, callbacks=[callback], **quiet).fit(Linear(), loader)


def test_it_can_be_attached_to_ones_own_trainer_and_a_linear_module_does_not_move():
    x, clock = torch.from_numpy(X[:4]).float(), Clock()
    tracker = TangentKernelTracker(x, clock=clock)
    fit_linear(tracker)
    track = tracker.track()
    assert [point.step for point in track.points] == [0, 1, 2, 3]
    assert [point.drift for point in track.points] == [0.0] * 4
    gram = x.double() @ x.double().T + 1  # of weights and bias; two outputs, averaged
    assert track.points[0].trace == pytest.approx(float(gram.trace()), rel=1e-12)
    assert track.points[0].distance_to_limit is None
    assert clock.seconds["evaluate"] > 0


def test_a_singular_kernel_has_no_condition_number():
    gram = torch.ones(3, 3, dtype=torch.float64)
    point = tangent_kernel_point(4, gram, initial=gram, limit=2 * gram)
    assert (point.step, point.drift, point.condition_number) == (4, 0.0, None)
    assert math.isclose(point.distance_to_limit, 0.5)


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(SkipbenchError, match=r"limit has shape \(2, 2\), but inputs has 3 rows"):
        TangentKernelTracker(torch.zeros(3, 5), limit=torch.eye(2))
    zero = torch.zeros(2, 2, dtype=torch.float64)
    with pytest.raises(SkipbenchError, match="tangent kernel of the untrained network is 0 on all rows"):
        tangent_kernel_point(0, zero, initial=zero)
    for rows in (-1, 2.5, True, "all"):
        with pytest.raises(SkipbenchError, match=r"tangent_rows=.*but it counts training rows"):
            NetworkClassifier(tangent_rows=rows).check_parameters()


def test_the_kernel_of_a_float32_network_is_computed_in_float64():
    network = build_network(MLP(depth=1), width=8, input_shape=(5,), outputs=2)
    precise = empirical_ntk(network, X[:3], dtype=torch.float64)
    assert precise.dtype == torch.float64
    assert next(network.parameters()).dtype == torch.float32
    assert torch.equal(precise, empirical_ntk(network.double(), X[:3]))
