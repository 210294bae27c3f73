"""A Lightning callback that watches a network train: its curve, the best epoch on validation, divergence, and the clock.

Lightning's own validation loop would run inside the training time and expects a logger, so evaluation happens here, with the
clock standing still.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from typing import Any, Protocol, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from skipbench.clock import Clock
from skipbench.results.record import CurvePoint
from skipbench.trainers.networks.losses import accuracy, loss_function
from skipbench.trainers.networks.outcome import TrainingDiverged, TrainingOutcome
from skipbench.trainers.networks.settings import TrainingSettings
from skipbench.trainers.networks.slices import Samples, evaluation_parts

DIVERGED_AT = 1e4  # times the initial loss
STEPS_PER_CHECK = {"cpu": 1, "cuda": 32}  # of mini-batches' losses: to read one is to let the GPU run out of work


class WatchedModule(Protocol):
    """What the recorder asks of the LightningModule that it watches."""

    network: nn.Module
    outputs: Tensor  # of the last training step, f - f at initialisation, detached
    loss: Tensor  # of the last training step, detached: a scalar that no mixed precision has multiplied


class BestEpoch:
    """Keeps the weights that were best on validation, batch norm's averages with them: highest accuracy, among equals lowest loss."""

    def __init__(self) -> None:
        self.epoch: int | None = None
        self._score = (-math.inf, -math.inf)
        self._weights: dict[str, Tensor] = {}

    def offer(self, network: nn.Module, epoch: int, loss: float, accuracy: float) -> None:
        """Keep the network's present weights if they are better than those kept so far."""
        if (accuracy, -loss) > self._score:
            self._score, self.epoch = (accuracy, -loss), epoch
            self._weights = {name: value.detach().clone() for name, value in network.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"epoch": self.epoch, "score": self._score, "weights": self._weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """What `state_dict` gave."""
        self.epoch, self._score, self._weights = state["epoch"], state["score"], state["weights"]

    def restore(self, network: nn.Module) -> None:
        """Put the best weights back; a network that was never offered keeps its own."""
        network.load_state_dict(self._weights, strict=False)


class CurveRecorder(pl.Callback):
    """Records `CurvePoint`s, keeps the best epoch's weights, stops early, and raises TrainingDiverged.

    In full-batch mode every step's own forward pass gives the full training loss, so nothing is computed twice; with mini-batches, and
    with batch norm, the training rows are evaluated between epochs. `clock` counts the phases "train" and "evaluate".
    """

    def __init__(self, train: Samples, validation: Samples | None, settings: TrainingSettings, learning_rate: float, clock: Clock) -> None:
        self.best = BestEpoch()
        self._train, self._validation = train, validation
        self._settings, self._learning_rate = settings, learning_rate
        full_batch = settings.batch_size is None or settings.batch_size >= len(train.labels)
        self._steps_evaluate = full_batch and not settings.batch_normalised
        self._loss = loss_function(settings.loss, settings.label_smoothing)
        self._clock, self._training_time = clock, ExitStack()
        self._initial_loss = float(self._loss(torch.zeros_like(train.initial), train.labels))  # f = 0 at the start
        self._curve: list[CurvePoint] = []
        self._steps: list[int] = []
        self._losses: list[float] = []
        self._unchecked: list[tuple[int, Tensor]] = []  # steps and losses of mini-batches
        self._steps_per_check = STEPS_PER_CHECK[train.labels.device.type]
        self._n_epochs = 0

    def outcome(self) -> TrainingOutcome:
        """What was measured, once training is over."""
        return TrainingOutcome(tuple(self._curve), tuple(self._steps), tuple(self._losses), self._n_epochs, self.best.epoch)

    def state_dict(self) -> dict[str, Any]:
        """All that was recorded so far, for a checkpoint."""
        seconds = {name: seconds for name, seconds in self._clock.seconds.items() if name in ("train", "evaluate", "checkpoint")}
        curve = [point.model_dump() for point in self._curve]
        return {"best": self.best.state_dict(), "curve": curve, "steps": self._steps, "losses": self._losses, "seconds": seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave; its seconds are added to the clock's."""
        self.best.load_state_dict(state_dict["best"])
        self._curve = [CurvePoint.model_validate(point) for point in state_dict["curve"]]
        self._steps, self._losses = list(state_dict["steps"]), list(state_dict["losses"])
        for name, seconds in state_dict["seconds"].items():
            self._clock.add(name, seconds)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The clock of training starts only here: Lightning's own preparation is over."""
        self._training_time.enter_context(self._clock.phase("train"))

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Where steps do not evaluate: evaluate between two epochs."""
        if not self._steps_evaluate and self._settings.is_evaluated(trainer.current_epoch):
            self._evaluate(trainer, watched(pl_module))

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Check the losses of steps; where steps evaluate, it is the full training loss at the weights before the update."""
        module = watched(pl_module)
        self._unchecked.append((trainer.global_step, module.loss))
        if self._steps_evaluate or len(self._unchecked) >= self._steps_per_check:
            self._check_steps()
        if self._steps_evaluate and self._settings.is_evaluated(trainer.current_epoch):
            self._evaluate(trainer, module, module.outputs)
        elif self._steps_evaluate:
            self._note_loss(trainer, float(module.loss))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The last point of the curve, after the last step."""
        self._n_epochs = trainer.current_epoch
        self._evaluate(trainer, watched(pl_module))
        self._training_time.close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Stop the clock of a training that failed."""
        self._training_time.close()

    def _evaluate(self, trainer: pl.Trainer, module: WatchedModule, outputs: Tensor | None = None) -> None:
        """One curve point at the present weights. outputs: those of all training rows where they are known already."""
        finish_work(self._train.labels.device)
        self._check_steps()
        with self._clock.phase("evaluate"):
            seconds = self._clock.seconds.get("train", 0.0)
            train_outputs = network_outputs(module.network, self._train) if outputs is None else outputs
            loss = float(self._loss(train_outputs, self._train.labels))
            self._refuse_divergence(loss, trainer.global_step)
            point = CurvePoint(step=trainer.global_step, seconds=seconds, loss=loss, accuracy=accuracy(train_outputs, self._train.labels))
            if self._validation is not None:
                point = self._validated(point, module.network, self._validation, trainer)
            self._curve.append(point)
            self._note_loss(trainer, loss)

    def _validated(self, point: CurvePoint, network: nn.Module, validation: Samples, trainer: pl.Trainer) -> CurvePoint:
        """The point with the validation's loss and accuracy; keeps the weights if they are the best, or stops if that is long ago."""
        outputs = network_outputs(network, validation)
        loss, share = float(self._loss(outputs, validation.labels)), accuracy(outputs, validation.labels)
        if not math.isfinite(loss):
            raise self._diverged(loss, trainer.global_step)
        epoch = trainer.current_epoch
        if epoch > 0 or self._settings.may_stay_untrained:
            self.best.offer(network, epoch, loss, share)
        patience = self._settings.patience
        if patience is not None and self.best.epoch is not None and epoch - self.best.epoch >= patience:
            trainer.should_stop = True
        return point.model_copy(update={"validation_loss": loss, "validation_accuracy": share})

    def _note_loss(self, trainer: pl.Trainer, loss: float) -> None:
        self._steps.append(trainer.global_step)
        self._losses.append(loss)
        target = self._settings.target_reduction
        if target is not None and loss <= (1.0 - target) * self._initial_loss:
            trainer.should_stop = True

    def _check_steps(self) -> None:
        steps, losses = [step for step, _ in self._unchecked], [loss for _, loss in self._unchecked]
        self._unchecked = []
        for step, loss in zip(steps, torch.stack(losses).tolist() if losses else [], strict=True):
            self._refuse_divergence(loss, step)

    def _refuse_divergence(self, loss: float, step: int) -> None:
        if not loss <= DIVERGED_AT * self._initial_loss:  # also where it is NaN
            raise self._diverged(loss, step)

    def _diverged(self, loss: float, step: int) -> TrainingDiverged:
        return TrainingDiverged(
            f"{self._settings.owner}: training diverged: the loss is {loss:.3g} at step {step}, after {self._initial_loss:.3g} at the"
            f" start, with learning_rate={self._learning_rate:.3g} and momentum={self._settings.momentum:g}:"
            f" {self._settings.advice}",
            step=step,
            learning_rate=self._learning_rate,
            curve=tuple(self._curve),
        )


def network_outputs(network: nn.Module, samples: Samples) -> Tensor:
    """f - f at initialisation on all rows, in evaluation mode, without gradients: (n, classes)."""
    mode = network.training
    with torch.no_grad():
        network.eval()
        parts = [network(rows) for rows in evaluation_parts(samples.inputs)]
        network.train(mode)
        return torch.cat(parts) - samples.initial


def watched(module: pl.LightningModule) -> WatchedModule:
    """The module by what the recorder asks of it: Lightning's hooks name only its base class."""
    return cast(WatchedModule, module)


def finish_work(device: torch.device) -> None:
    """Wait for what was queued on a GPU, so that it counts as training and not as evaluation."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
