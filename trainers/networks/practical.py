"""Practical networks as a scikit-learn classifier, beside the twins of the kernels: a comparison fair to networks needs both."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import nn

from skipbench.checks import SkipbenchError, shown
from skipbench.clock import Clock
from skipbench.trainers.devices import resolve_device
from skipbench.trainers.inputs import LabelledInputs, training_inputs, validation_inputs
from skipbench.trainers.method import INPUT_KINDS, InputKind
from skipbench.trainers.networks.augmentation import FlipsAndShifts
from skipbench.trainers.networks.batch_normalised import (
    NAMED_BLOCKS,
    STAGES,
    BatchNormalisedNetwork,
    build_practical_network,
    calibrate,
    layers,
)
from skipbench.trainers.networks.build import check_count
from skipbench.trainers.networks.resuming import Checkpoints
from skipbench.trainers.networks.settings import TrainingSettings
from skipbench.trainers.networks.slices import Samples
from skipbench.trainers.networks.trained import DTYPES, TrainedNetwork, inputs_like, stream_seed
from skipbench.trainers.networks.trainer_options import TrainerOptions


class PracticalClassifier(TrainedNetwork):
    """A batch-normalised network with or without skips, trained with all that is usual: SGD, one-cycle, weight decay, augmentation.

    The network is `build_practical_network`: standard parametrisation, He's initialisation, three stages of `blocks` blocks of two layers;
    3 x 3 convolutions for images (n, channels, height, width) of any size, dense layers for vectors (n, features).
    blocks=3 on images is the ResNet-20 of He et al. 2016 (arXiv 1512.03385) on CIFAR-10, 5, 7, 9 and 18 their ResNet-32, -44, -56 and -110.
    residual: with skips, or the very same layers without them. Skips have no parameters, so both have equally many, and equal seeds give
    both the same initial values. width: channels of the first stage, doubled in the second and third; for vectors units of all layers.

    Training minimises the cross-entropy with `label_smoothing` by SGD with Nesterov's momentum in mini-batches. learning_rate: the largest
    of the one-cycle schedule over all `epochs`. weight_decay acts on matrices and filters only. batch_size: at least 2, and a last batch of
    one row joins the one before it, as batch norm compares the rows of a batch.
    augment: flip and shift the training images at random (up to an eighth of the side); off by default, as flipped digits are no digits.
    stop_after: end after so many epochs of the schedule, whose length stays `epochs`; None means all. evaluate_every: epochs between points
    of the curve; None means every epoch up to 20, then every 5 % or so.
    seed: of the weights, of the mini-batches' order and of the augmentation; on the CPU, equal seeds give equal bits. dtype: "float32" or
    "float64", of training (predictions are computed in float64). device: "cpu", "cuda", "cuda:N" or "auto". progress_bar: Lightning's.
    checkpoint_dir: a folder for this training's checkpoint, or None: a fit that was killed goes on from there when it is repeated, and ends
    bit-equal on the CPU with as many threads. checkpoint_every: epochs between checkpoints; None means a minute.
    precision: "32-true", "bf16-mixed", or on a GPU "16-mixed": of the training steps' passes, while weights and evaluation stay in full
    precision. devices: how many GPUs, or processes on the CPU, share every batch, each with batch norm of its own; "auto" means all GPUs.
    strategy: "auto" or "ddp"; several devices need a script, which Lightning starts once more for each. compile: let torch.compile take the
    training step, which pays where an epoch is long; its start takes a minute or so.

    With validation data the weights of the epoch that was best on it are kept, batch norm's averages with them: highest accuracy, among
    equals lowest loss; the untrained network is no candidate. Evaluation and predictions use those averages, never the batch; before the
    first step they are set from the training data.

    After `fit`: `classes_`, `network_` (a torch module on the CPU, in evaluation mode), `learning_rate_`, `n_epochs_` (how many were
    run), `best_epoch_` (whose weights are kept), and `measurements_`: curve, convergence, choices, seconds by phase.
    `fit` raises TrainingDiverged, which carries the curve so far, and SkipbenchError for bad input.
    """

    def __init__(
        self,
        *,
        residual: bool = True,
        blocks: int = 1,
        width: int = 16,
        epochs: int = 30,
        learning_rate: float = 0.1,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        batch_size: int = 64,
        label_smoothing: float = 0.0,
        augment: bool = False,
        stop_after: int | None = None,
        evaluate_every: int | None = None,
        seed: int = 0,
        dtype: str = "float32",
        device: str = "cpu",
        progress_bar: bool = False,
        checkpoint_dir: str | None = None,
        checkpoint_every: int | None = None,
        precision: str = "32-true",
        devices: int | str = 1,
        strategy: str = "auto",
        compile: bool = False,
    ) -> None:
        self.residual = residual
        self.blocks = blocks
        self.width = width
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.label_smoothing = label_smoothing
        self.augment = augment
        self.stop_after = stop_after
        self.evaluate_every = evaluate_every
        self.seed = seed
        self.dtype = dtype
        self.device = device
        self.progress_bar = progress_bar
        self.checkpoint_dir = checkpoint_dir
        self.checkpoint_every = checkpoint_every
        self.precision = precision
        self.devices = devices
        self.strategy = strategy
        self.compile = compile

    @property
    def is_residual(self) -> bool:
        """Whether it has skips."""
        return self.residual

    def fit(self, X: Any, y: Any, X_val: Any = None, y_val: Any = None) -> PracticalClassifier:
        """Train. X: (n, features) or (n, channels, height, width). y: n labels. X_val, y_val: to choose the epoch on."""
        from skipbench.trainers.networks.training import train  # Lightning takes seconds to import: only those who train wait

        self.check_parameters()
        if self.augment and np.ndim(X) == 2:
            raise SkipbenchError("PracticalClassifier: augment=True, but X holds vectors, and only images are augmented: leave it out")
        labelled = training_inputs(self, X, y, kinds=self.input_kinds(), taker=self._taker())
        labelled_validation = validation_inputs(self, X_val, y_val, kinds=self.input_kinds(), taker=self._taker())
        settings, clock = self._settings(), Clock()
        self.learning_rate_ = float(self.learning_rate)
        with clock.phase("set_up"):
            network: nn.Module = self._new_network().to(resolve_device(self.device))
            samples = _on_device(labelled, network, len(self.classes_))
            validation = None if labelled_validation is None else _on_device(labelled_validation, network, len(self.classes_))
            calibrate(network, samples.inputs)
            outcome = train(
                network,
                samples,
                validation,
                settings,
                learning_rate=self.learning_rate_,
                order_seed=stream_seed(self.seed, "order"),
                progress_bar=self.progress_bar,
                clock=clock,
                checkpoints=Checkpoints.of(self),
                options=TrainerOptions.of(self),
                augment=FlipsAndShifts(stream_seed(self.seed, "augmentation")) if self.augment else None,
            )
        self.network_ = network.cpu().eval()
        self._keep_outcome(outcome, clock)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Softmax of the outputs, (n, classes)."""
        return np.asarray(torch.softmax(torch.from_numpy(self._outputs(X)), dim=1).numpy())

    def chosen_parameters(self) -> dict[str, Any]:
        """After `fit`: the parameters with which a new instance stops at the epoch that was chosen; empty without validation data.

        `epochs` is not among them: it is the length of the schedule, and a shorter schedule is another training. With `stop_after` alone,
        training on the same rows ends with the very weights that were kept here.
        """
        check_is_fitted(self, "network_")
        return {"stop_after": self.best_epoch_} if self.epoch_was_chosen_ else {}

    def check_parameters(self) -> None:
        """Refuse parameters that no data could make right. Raises SkipbenchError."""
        for name in ("residual", "augment"):
            if not isinstance(getattr(self, name), bool):
                raise SkipbenchError(f"PracticalClassifier: {name}={shown(getattr(self, name))}, but it is either True or False")
        check_count("PracticalClassifier", "blocks", self.blocks, "it counts the blocks of each of the three stages")
        for name in ("batch_size", "learning_rate"):
            if getattr(self, name) is None:
                raise SkipbenchError(f"PracticalClassifier: {name}=None, but it has no default that fits all data: give a number")
        self._check_common_parameters()
        self._settings()
        TrainerOptions.of(self)

    def input_kinds(self) -> tuple[InputKind, ...]:
        """Vectors and images; images only where they are augmented."""
        return ("images",) if self.augment else INPUT_KINDS

    def label(self) -> str:
        """A short name for tables, e.g. "practical network, ResNet(3x2), width 16": three stages of two blocks; what is added is said.

        A depth that He et al. trained is called as they call it: "ResNet-20 (3x3)".
        """
        name = f"{self._kind()}-{layers(self.blocks)} ({STAGES}x{self.blocks})" if self.blocks in NAMED_BLOCKS else self._taker()
        parts = ["practical network", name, f"width {self.width}"]
        parts += [f"label smoothing {self.label_smoothing}"] if self.label_smoothing else []
        parts += ["augmented"] if self.augment else []
        return ", ".join(parts)

    @classmethod
    def contract_variants(cls) -> tuple[dict[str, Any], ...]:
        """Parameters with which the contract runs: with and without skips, both kinds of inputs, augmented images."""
        small = {"width": 8, "epochs": 10, "batch_size": 16}
        return (small, {**small, "residual": False, "label_smoothing": 0.1}, {**small, "augment": True})

    def _kind(self) -> str:
        return "ResNet" if self.residual else "PlainNet"

    def _taker(self) -> str:
        return f"{self._kind()}({STAGES}x{self.blocks})"

    def _settings(self) -> TrainingSettings:
        common = ("learning_rate", "momentum", "batch_size", "epochs", "evaluate_every", "seed")
        given = {name: getattr(self, name) for name in (*common, "weight_decay", "label_smoothing", "stop_after")}
        return TrainingSettings(
            owner="PracticalClassifier",
            loss="cross_entropy",
            patience=None,
            target_reduction=None,
            nesterov=bool(self.momentum),  # torch refuses Nesterov's momentum of 0
            one_cycle=True,
            batch_normalised=True,
            may_stay_untrained=False,
            **given,
        )

    def _new_network(self) -> BatchNormalisedNetwork:
        return build_practical_network(
            residual=self.residual,
            blocks=self.blocks,
            width=self.width,
            input_shape=self.input_shape_,
            outputs=len(self.classes_),
            seed=self.seed,
            dtype=DTYPES[self.dtype],
        )


def _on_device(labelled: LabelledInputs, network: nn.Module, classes: int) -> Samples:
    """The rows as tensors where the network is; nothing is subtracted from its outputs."""
    inputs = inputs_like(labelled.inputs, network)
    return Samples(inputs, inputs.new_zeros(len(inputs), classes), torch.from_numpy(labelled.codes).to(inputs.device))
