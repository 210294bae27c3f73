"""Training through Lightning: the module, the trainer without its files, bars and messages, and the way back to plain torch."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from torch import Tensor, nn

from skipbench.clock import Clock
from skipbench.trainers.networks.losses import loss_function
from skipbench.trainers.networks.outcome import TrainingOutcome
from skipbench.trainers.networks.recorder import CurveRecorder
from skipbench.trainers.networks.schedule import one_cycle
from skipbench.trainers.networks.settings import TrainingSettings
from skipbench.trainers.networks.slices import Samples, SlicingLoader


class NetworkModule(pl.LightningModule):
    """Stochastic gradient descent with momentum on the outputs f(x) - f(x) at initialisation.

    learning_rate: the step size or, with the one-cycle schedule, the largest one. steps_per_epoch: for that schedule.
    """

    def __init__(self, network: nn.Module, settings: TrainingSettings, learning_rate: float, steps_per_epoch: int) -> None:
        super().__init__()
        self.network = network
        self.outputs = torch.empty(0)
        self._loss = loss_function(settings.loss, settings.label_smoothing)
        self._settings, self._learning_rate = settings, learning_rate
        self._steps = settings.epochs * steps_per_epoch

    def training_step(self, batch: Samples, batch_index: int) -> Tensor:
        """The loss of one batch; its outputs stay for the recorder."""
        outputs = self.network(batch.inputs) - batch.initial
        self.outputs = outputs.detach()
        return self._loss(outputs, batch.labels)

    def configure_optimizers(self) -> Any:
        """SGD over what is trainable; weight decay leaves biases and batch norm alone."""
        settings = self._settings
        trainable = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        groups: list[dict[str, Any]] = [{"params": [parameter for parameter in trainable if parameter.ndim > 1]}]
        groups += [{"params": [parameter for parameter in trainable if parameter.ndim <= 1], "weight_decay": 0.0}]
        optimizer = torch.optim.SGD(
            groups if settings.weight_decay else trainable,
            lr=self._learning_rate,
            momentum=settings.momentum,
            nesterov=settings.nesterov,
            weight_decay=settings.weight_decay,
        )
        if not settings.one_cycle:
            return optimizer
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(one_cycle, steps=self._steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def train(
    network: nn.Module,
    train_samples: Samples,
    validation: Samples | None,
    settings: TrainingSettings,
    *,
    learning_rate: float,
    order_seed: int,
    progress_bar: bool,
    clock: Clock,
    augment: Callable[[Tensor], Tensor] | None = None,
    module_type: type[NetworkModule] = NetworkModule,
    callbacks: Sequence[pl.Callback] = (),
) -> TrainingOutcome:
    """Train the network in place, on the device where the samples are, and leave it with the weights of its best epoch.

    Without validation these are the last weights. order_seed: of the mini-batches' order; torch's global generator is not used.
    clock: counts "train" and "evaluate" apart from whatever phase is running. augment: what is done to the inputs of every batch.
    module_type: what computes the loss of a batch. callbacks: further ones of Lightning's; each hook runs the recorder first, and none
    runs after the best weights are back.
    Raises TrainingDiverged.
    """
    recorder = CurveRecorder(train_samples, validation, settings, learning_rate, clock)
    device = train_samples.labels.device
    with quiet_lightning(), interrupts():
        trainer = pl.Trainer(
            accelerator="gpu" if device.type == "cuda" else "cpu",
            devices=[device.index or 0] if device.type == "cuda" else 1,
            max_epochs=settings.last_epoch,
            callbacks=[recorder, *callbacks],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=progress_bar,
            enable_model_summary=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            plugins=[LightningEnvironment()],  # one process, also inside a batch system's job
        )
        least_rows = 2 if settings.batch_normalised else 1
        loader: Any = SlicingLoader(train_samples, settings.batch_size, order_seed, least_rows=least_rows, augment=augment)
        trainer.fit(module_type(network, settings, learning_rate, len(loader)), loader)
    recorder.best.restore(network)
    return recorder.outcome()


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keep Lightning's messages about hardware and its advice on loaders and flags to itself, inside this block only."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(pytorch_lightning|lightning_fabric)\b")
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*", category=FutureWarning)
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def interrupts() -> Iterator[None]:
    """Let Ctrl-C be a KeyboardInterrupt: Lightning answers it by ignoring every further one and ending the interpreter."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as exit_:
        if isinstance(exit_.__context__, KeyboardInterrupt):
            raise exit_.__context__ from None
        raise
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)
