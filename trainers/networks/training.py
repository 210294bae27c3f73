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
from skipbench.trainers.networks.augmentation import Augmentation
from skipbench.trainers.networks.checkpoints import ResumableTraining, fingerprint
from skipbench.trainers.networks.data_module import SamplesModule
from skipbench.trainers.networks.losses import loss_function
from skipbench.trainers.networks.outcome import TrainingDiverged, TrainingOutcome
from skipbench.trainers.networks.recorder import CurveRecorder
from skipbench.trainers.networks.resuming import Checkpoints
from skipbench.trainers.networks.schedule import one_cycle
from skipbench.trainers.networks.settings import TrainingSettings
from skipbench.trainers.networks.slices import Samples
from skipbench.trainers.networks.trainer_options import TrainerOptions


class NetworkModule(pl.LightningModule):
    """Stochastic gradient descent with momentum on the outputs f(x) - f(x) at initialisation.

    learning_rate: the step size or, with the one-cycle schedule, the largest one. steps_per_epoch: for that schedule.
    is_compiled: whether torch.compile takes the network of a training step; evaluation is left as it is.
    """

    def __init__(
        self, network: nn.Module, settings: TrainingSettings, learning_rate: float, steps_per_epoch: int, *, is_compiled: bool = False
    ) -> None:
        super().__init__()
        self.network = network
        self.outputs = self.loss = torch.empty(0)
        self._outputs_of: Callable[[Tensor], Tensor] = torch.compile(network.forward) if is_compiled else network.__call__
        self._loss = loss_function(settings.loss, settings.label_smoothing)
        self._settings, self._learning_rate = settings, learning_rate
        self._steps = settings.epochs * steps_per_epoch

    def training_step(self, batch: Samples, batch_index: int) -> Tensor:
        """The loss of one batch; it and the outputs stay for the recorder."""
        outputs = self._outputs_of(batch.inputs) - batch.initial
        loss = self._loss(outputs, batch.labels)
        self.outputs, self.loss = outputs.detach(), loss.detach()
        return loss

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


class SharedAverages(pl.Callback):
    """Gives all processes the first one's batch norm averages before the recorder evaluates: each has followed its own rows only."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Between two epochs."""
        self._share(pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """After the last step."""
        self._share(pl_module)

    def _share(self, module: pl.LightningModule) -> None:
        for buffer in module.buffers():
            torch.distributed.broadcast(buffer, src=0)


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
    augment: Augmentation | None = None,
    module_type: type[NetworkModule] = NetworkModule,
    callbacks: Sequence[pl.Callback] = (),
    checkpoints: Checkpoints | None = None,
    options: TrainerOptions | None = None,
) -> TrainingOutcome:
    """Train the network in place, on the device where the samples are, and leave it with the weights of its best epoch.

    Without validation these are the last weights. order_seed: of the mini-batches' order; torch's global generator is not used.
    clock: counts "train" and "evaluate" apart from whatever phase is running. augment: what is done to the inputs of every batch.
    module_type: what computes the loss of a batch. callbacks: further ones of Lightning's; each hook runs the recorder first, and none
    runs after the best weights are back.
    checkpoints: where the training leaves what it needs to go on after it was killed; it goes on from there where there is something.
    options: precision, processes and compilation; full precision in this process without it.
    Raises TrainingDiverged, and SkipbenchError for a checkpoint that is damaged or of another training, which stays as it is.
    """
    recorder = CurveRecorder(train_samples, validation, settings, learning_rate, clock)
    options = TrainerOptions() if options is None else options
    least_rows = (2 if settings.batch_normalised else 1) * options.devices
    data = SamplesModule(train_samples, batch_size=settings.batch_size, seed=order_seed, least_rows=least_rows, augment=augment)
    module = module_type(network, settings, learning_rate, data.steps_per_epoch, is_compiled=options.is_compiled)
    saved = None
    if checkpoints is not None:
        saved = ResumableTraining(checkpoints, clock, fingerprint(checkpoints.parameters, network, train_samples, validation))
    with quiet_lightning(), interrupts():
        given = options.trainer_arguments(train_samples.labels.device) | {"max_epochs": settings.last_epoch}
        watchers: list[pl.Callback] = [SharedAverages(), recorder] if options.devices > 1 else [recorder]
        trainer = _new_trainer([*watchers, *callbacks], saved, enable_progress_bar=progress_bar, **given)
        _fit(trainer, module, data, saved)
    recorder.best.restore(network)
    return recorder.outcome()


def _new_trainer(callbacks: list[pl.Callback], saved: ResumableTraining | None, **given: Any) -> pl.Trainer:
    """A Trainer without files of its own, messages or validation loop. given: what else it is told."""
    plugins: list[Any] = [LightningEnvironment()]  # processes are started here, also inside a batch system's job
    return pl.Trainer(
        callbacks=callbacks if saved is None else [*callbacks, saved.writer],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        plugins=plugins if saved is None else [*plugins, saved.files],
        **given,
    )


def _fit(trainer: pl.Trainer, module: NetworkModule, data: SamplesModule, saved: ResumableTraining | None) -> None:
    if saved is None:
        trainer.fit(module, datamodule=data)
        return
    try:
        trainer.fit(module, datamodule=data, ckpt_path=saved.resumed_from, weights_only=True)
    except TrainingDiverged:
        saved.finish()
        raise
    saved.finish()


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
