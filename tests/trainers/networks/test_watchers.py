"""When an accuracy is reached, read from a curve or by a callback of one's own Trainer."""

from __future__ import annotations

import time

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from skipbench.checks import SkipbenchError
from skipbench.results.record import CurvePoint
from skipbench.trainers import NetworkClassifier
from skipbench.trainers.networks.outcome import first_accuracies
from skipbench.trainers.networks.training import quiet_lightning
from skipbench.trainers.networks.watchers import TimeToTarget

x = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]])
labels = torch.tensor([0, 0, 1, 1])


class Switch(pl.LightningModule):
    """A linear classifier that starts out wrong on every row; a step of it takes 20 ms at least."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 2, bias=False)
        self.layer.weight.data = torch.tensor([[1.0], [-1.0]])
        self.modes = []

    def forward(self, inputs):
        self.modes.append(self.training)
        return self.layer(inputs)

    def training_step(self, batch, batch_index):
        time.sleep(0.02)
        return nn.functional.cross_entropy(self.layer(x), labels)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def train_switch(callback, epochs=30):
    loader = torch.utils.data.DataLoader(torch.zeros(2, 1), batch_size=1)  # two steps in an epoch
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    module = Switch()
    with quiet_lightning():
        trainer = pl.Trainer(accelerator="cpu", max_epochs=epochs, callbacks=[callback], **quiet)
        trainer.fit(module, loader)
    return trainer, module


def test_the_first_step_and_the_seconds_of_training_until_then():
    found = TimeToTarget(x, labels, accuracy=1.0, stop=True)
    trainer, module = train_switch(found)
    assert found.step == trainer.global_step < 60
    assert found.seconds >= 0.02 * found.step
    assert found.target().model_dump() == {"rows": "validation", "accuracy": 1.0, "iterations": found.step}
    assert not any(module.modes)  # asked in evaluation mode,
    assert module.training  # and left as it was


def test_evaluation_does_not_count_as_training(monkeypatch):
    original = Switch.forward

    def slow(self, inputs):
        time.sleep(0.3)
        return original(self, inputs)

    monkeypatch.setattr(Switch, "forward", slow)
    found = TimeToTarget(x, labels, accuracy=1.0, stop=True)
    train_switch(found)
    assert found.step // 2 >= 2  # so often was it evaluated at least
    assert found.seconds < 0.3 * (found.step // 2)


def test_what_is_not_reached_is_none_and_training_goes_on():
    found = TimeToTarget(x, 1 - labels, accuracy=1.0, initial=torch.tensor([[9.0, -9.0]]))  # always the second class
    trainer, _ = train_switch(found, epochs=3)
    assert (found.step, found.seconds, found.target().iterations, trainer.global_step) == (None, None, None, 6)


def test_a_callback_without_a_target_or_rows_is_refused():
    with pytest.raises(SkipbenchError, match=r"accuracy=90, but it is a share of rows"):
        TimeToTarget(x, labels, accuracy=90)
    with pytest.raises(SkipbenchError, match="inputs has 4 rows and labels 3"):
        TimeToTarget(x, labels[:3])


def test_accuracy_targets_are_the_first_points_of_the_curve_that_reach_them():
    shares = [(0, 0.3, 0.2), (1, 0.6, 0.4), (2, 0.4, 0.5), (5, 0.95, 0.6)]
    curve = [CurvePoint(step=step, loss=1.0, accuracy=train, validation_accuracy=validation) for step, train, validation in shares]
    reached = {(target.rows, target.accuracy): target.iterations for target in first_accuracies(curve)}
    assert reached == {
        ("train", 0.5): 1,
        ("train", 0.9): 5,
        ("train", 0.99): None,
        ("validation", 0.5): 2,
        ("validation", 0.9): None,
        ("validation", 0.99): None,
    }
    assert {target.rows for target in first_accuracies([CurvePoint(step=0, loss=1.0, accuracy=0.5)])} == {"train"}


def test_a_network_says_when_it_reached_them():
    X, y = np.random.default_rng(0).normal(size=(30, 3)), np.arange(30) % 2
    classifier = NetworkClassifier(width=8, epochs=5).fit(X, y, X, y)
    assert classifier.measurements_["convergence"].accuracy_targets == first_accuracies(classifier.measurements_["curve"])
    assert len(classifier.measurements_["convergence"].accuracy_targets) == 6
