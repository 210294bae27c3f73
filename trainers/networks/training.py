"""Training through Lightning: the module, the trainer without its files, bars and messages, and the way back to plain torch."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from torch import Tensor, nn

from skipbench.clock import Clock
from skipbench.trainers.networks.losses import LOSSES
from skipbench.trainers.networks.outcome import TrainingOutcome
from skipbench.trainers.networks.recorder import CurveRecorder
from skipbench.trainers.networks.settings import TrainingSettings
from skipbench.trainers.networks.slices import Samples, SlicingLoader


class NetworkModule(pl.LightningModule):
    """Stochastic gradient descent with heavy-ball momentum on the outputs f(x) - f(x) at initialisation."""

    def __init__(self, network: nn.Module, settings: TrainingSettings, learning_rate: float) -> None:
        super().__init__()
        self.network = network
        self.outputs = torch.empty(0)
        self._loss = LOSSES[settings.loss]
        self._learning_rate, self._momentum = learning_rate, settings.momentum

    def training_step(self, batch: Samples, batch_index: int) -> Tensor:
        """The loss of one batch; its outputs stay for the recorder."""
        outputs = self.network(batch.inputs) - batch.initial
        self.outputs = outputs.detach()
        return self._loss(outputs, batch.labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Plain SGD over what is trainable."""
        trainable = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        return torch.optim.SGD(trainable, lr=self._learning_rate, momentum=self._momentum)


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
) -> TrainingOutcome:
    """Train the network in place, on the device where the samples are, and leave it with the weights of its best epoch.

    Without validation these are the last weights. order_seed: of the mini-batches' order; torch's global generator is not used.
    clock: counts "train" and "evaluate" apart from whatever phase is running. Raises TrainingDiverged.
    """
    recorder = CurveRecorder(train_samples, validation, settings, learning_rate, clock)
    device = train_samples.labels.device
    with quiet_lightning(), interrupts():
        trainer = pl.Trainer(
            accelerator="gpu" if device.type == "cuda" else "cpu",
            devices=[device.index or 0] if device.type == "cuda" else 1,
            max_epochs=settings.epochs,
            callbacks=[recorder],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=progress_bar,
            enable_model_summary=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            plugins=[LightningEnvironment()],  # one process, also inside a batch system's job
        )
        loader: Any = SlicingLoader(train_samples, settings.batch_size, order_seed)
        trainer.fit(NetworkModule(network, settings, learning_rate), loader)
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
