"""Small Lightning callbacks: when an accuracy is reached, and what the network says after its last step."""

from __future__ import annotations

import time

import pytorch_lightning as pl
import torch
from torch import Tensor

from skipbench.checks import SkipbenchError, shown
from skipbench.clock import Clock
from skipbench.results.record import AccuracyTarget
from skipbench.trainers.networks.losses import accuracy as share_of_right
from skipbench.trainers.networks.recorder import finish_work, network_outputs, watched
from skipbench.trainers.networks.slices import Samples


class TimeToTarget(pl.Callback):
    """The first step, and the first second of training, after which a module is right for some share of the validation rows.

    For a Trainer of one's own: the classifiers of skipbench read the same from their curves (`first_accuracies`). The module is asked as
    `module(inputs)`, in evaluation mode and without gradients, before training and after each epoch until it is good enough.

    inputs: (n, ...), labels: (n,), indices of classes, on the module's device. accuracy: the target, above 0 and at most 1. initial: what
    is subtracted from the outputs, (n, classes). stop: end the training there.

    Afterwards `step` and `seconds`, both None where it was not reached. The seconds are of training only: evaluation here does not count.
    """

    def __init__(self, inputs: Tensor, labels: Tensor, *, accuracy: float = 0.9, initial: Tensor | None = None, stop: bool = False) -> None:
        if isinstance(accuracy, bool) or not isinstance(accuracy, (int, float)) or not 0 < accuracy <= 1:
            raise SkipbenchError(f"TimeToTarget: accuracy={shown(accuracy)}, but it is a share of rows above 0 and at most 1, such as 0.9")
        if len(inputs) != len(labels) or len(inputs) == 0:
            raise SkipbenchError(
                f"TimeToTarget: inputs has {len(inputs)} rows and labels {len(labels)}: they must agree, and there is at least one"
            )
        self._inputs, self._labels, self._initial = inputs, labels, initial
        self._accuracy, self._stop = float(accuracy), stop
        self._started, self._evaluating = 0.0, 0.0
        self.step: int | None = None
        self.seconds: float | None = None

    def target(self) -> AccuracyTarget:
        """What a record says of it."""
        return AccuracyTarget(rows="validation", accuracy=self._accuracy, iterations=self.step)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock, and look at the untrained module."""
        self.step, self.seconds = None, None
        self._started, self._evaluating = time.perf_counter(), 0.0
        self._look(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look until the target is reached."""
        if self.step is None:
            self._look(trainer, pl_module)

    def _look(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        finish_work(self._inputs.device)
        began = time.perf_counter()
        if self._share(module) >= self._accuracy:
            self.step, self.seconds = trainer.global_step, began - self._started - self._evaluating
            trainer.should_stop = trainer.should_stop or self._stop
        self._evaluating += time.perf_counter() - began

    def _share(self, module: pl.LightningModule) -> float:
        mode = module.training
        with torch.no_grad():
            module.eval()
            outputs: Tensor = module(self._inputs)
            module.train(mode)
        return share_of_right(outputs if self._initial is None else outputs - self._initial, self._labels)


class LastOutputs(pl.Callback):
    """Keeps f - f at initialisation of some rows after the last step, before the weights of the best epoch come back.

    samples: the rows, on the network's device. clock: counts "evaluate". `outputs`: (n, classes), float64, on the CPU, after training.
    """

    def __init__(self, samples: Samples, clock: Clock) -> None:
        self._samples, self._clock = samples, clock
        self.outputs = torch.empty(0, dtype=torch.float64)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Evaluate the last weights."""
        with self._clock.phase("evaluate"):
            self.outputs = network_outputs(watched(pl_module).network, self._samples).cpu().double()
