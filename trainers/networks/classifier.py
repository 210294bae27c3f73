"""Finite networks as a scikit-learn classifier: the twin of a kernel's architecture, trained by gradient descent."""

from __future__ import annotations

import copy
import numbers
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skipbench.architecture import CNN, Architecture, DenseMLP, ResCNN, ResMLP
from skipbench.checks import SkipbenchError, shown
from skipbench.clock import Clock
from skipbench.trainers.devices import resolve_device
from skipbench.trainers.inputs import LabelledInputs, training_inputs, validation_inputs
from skipbench.trainers.kernel_choice import RemembersKernels
from skipbench.trainers.method import InputKind
from skipbench.trainers.networks.build import build_network
from skipbench.trainers.networks.kernel_partner import KernelPartner, LimitKernel, UnstableOnKernelError, predicted_by_own_kernel
from skipbench.trainers.networks.learning_rate import default_learning_rate
from skipbench.trainers.networks.memory_need import network_size, require_memory
from skipbench.trainers.networks.resuming import Checkpoints
from skipbench.trainers.networks.settings import TrainingSettings
from skipbench.trainers.networks.slices import Samples, evaluation_parts
from skipbench.trainers.networks.trained import DTYPES, TrainedNetwork, inputs_like, stream_seed

if TYPE_CHECKING:
    from skipbench.trainers.networks.tangent_tracker import TangentKernelTracker
    from skipbench.trainers.networks.training import NetworkModule

DEFAULT_ARCHITECTURE = ResMLP(depth=2)


class NetworkClassifier(TrainedNetwork):
    """The finite network of an architecture in NTK parametrisation, trained by gradient descent from f = 0.

    The outputs are f(x; θ) - f(x; θ at initialisation), so training starts at f = 0 as kernel gradient descent does. One step of full-batch
    gradient descent on the loss 1/(2n) Σ_i |f(x_i) - y_i|², y one-hot minus 1/classes, is then f ← f - (lr/n) K (f - y), up to the
    change of the network's own tangent kernel K.

    architecture: None means ResMLP(depth=2). Convolutional ones take images (n, channels, height, width), the others vectors
    (n, features). width: hidden units or channels.
    loss: "mse", as above, or "cross_entropy". learning_rate: None means n / λ_max of K at initialisation for full-batch MSE; with
    mini-batches and for cross-entropy see `default_learning_rate`. momentum: heavy-ball, as torch's SGD. batch_size: None means
    all rows.
    epochs: passes over the training rows, at most. patience: epochs without improvement on the validation data after which training
    stops, or None; it has no effect without validation data. target_reduction: training also ends once the full training loss has
    fallen by this share; None means never. evaluate_every: epochs between points of the curve; None means every epoch up to
    20, then every 5 % or so.
    seed: of the initial weights and of the mini-batches' order; on the CPU, equal seeds give equal bits. dtype: "float32" or
    "float64", of training (predictions are computed in float64). device: "cpu", "cuda", "cuda:N" or "auto". progress_bar: show
    Lightning's.
    tangent_rows: on how many training rows, the first ones, the network's own tangent kernel is followed through training (see
    `TangentKernelTracker`); 0 for none. compare_with_kernel: put the network after its last step, whatever epoch is kept, beside
    closed-form gradient descent on the architecture's tangent kernel at infinite width, with the same step size and momentum (see
    `KernelPartner`); for loss="mse" and all rows in one batch. Without a given learning_rate the comparison is left out where the network's
    own step size is not stable on that kernel.
    memory: None, or a `skipbench.kernels.KernelMemory` that keeps that kernel for other fits.
    checkpoint_dir: a folder for this training's checkpoint, or None: a fit that was killed goes on from there when it is repeated, and ends
    bit-equal on the CPU with as many threads. checkpoint_every: epochs between checkpoints; None means a minute.

    With validation data the weights of the epoch that was best on it are kept: highest accuracy, among equals lowest loss.

    After `fit`: `classes_`, `network_` (trained) and `initial_network_`, torch modules on the CPU; `learning_rate_`, `n_epochs_` (how
    many were run), `best_epoch_` (whose weights are kept), and `measurements_`: curve, convergence, choices, seconds by phase ("set_up",
    "train", "evaluate"), and tangent_kernel and kernel_comparison where they were asked for. `fit` raises TrainingDiverged, which
    carries the curve so far, NetworkTooLargeError before anything is built that could not fit into memory, and SkipbenchError for
    bad input.
    """

    def __init__(
        self,
        architecture: Architecture | None = None,
        *,
        width: int = 128,
        loss: str = "mse",
        learning_rate: float | None = None,
        momentum: float = 0.0,
        batch_size: int | None = None,
        epochs: int = 200,
        patience: int | None = None,
        target_reduction: float | None = None,
        evaluate_every: int | None = None,
        seed: int = 0,
        dtype: str = "float32",
        device: str = "cpu",
        progress_bar: bool = False,
        tangent_rows: int = 0,
        compare_with_kernel: bool = False,
        memory: RemembersKernels | None = None,
        checkpoint_dir: str | None = None,
        checkpoint_every: int | None = None,
    ) -> None:
        self.architecture = architecture
        self.width = width
        self.loss = loss
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.batch_size = batch_size
        self.epochs = epochs
        self.patience = patience
        self.target_reduction = target_reduction
        self.evaluate_every = evaluate_every
        self.seed = seed
        self.dtype = dtype
        self.device = device
        self.progress_bar = progress_bar
        self.tangent_rows = tangent_rows
        self.compare_with_kernel = compare_with_kernel
        self.memory = memory
        self.checkpoint_dir = checkpoint_dir
        self.checkpoint_every = checkpoint_every

    @property
    def noun(self) -> str:
        """What its label begins with."""
        return "network"

    def fit(self, X: Any, y: Any, X_val: Any = None, y_val: Any = None) -> NetworkClassifier:
        """Train. X: (n, features) or (n, channels, height, width). y: n labels. X_val, y_val: to choose the epoch on."""
        from skipbench.trainers.networks.training import train  # Lightning takes seconds to import: only those who train wait
        from skipbench.trainers.networks.watchers import LastOutputs

        self.check_parameters()
        kinds, taker = self.input_kinds(), self._taker()
        labelled = training_inputs(self, X, y, kinds=kinds, taker=taker)
        labelled_validation = validation_inputs(self, X_val, y_val, kinds=kinds, taker=taker)
        self._check_memory(len(labelled.codes), keeps_best=labelled_validation is not None)
        clock = Clock()
        limit = self._limit_kernel(labelled, labelled_validation, clock)
        with clock.phase("set_up"):
            network = self._new_network()
            self.initial_network_ = copy.deepcopy(network)
            network.to(resolve_device(self.device))
            samples = _on_device(labelled, network)
            validation = None if labelled_validation is None else _on_device(labelled_validation, network)
            self.learning_rate_ = self._chosen_learning_rate(network, samples.inputs)
            partner = None if limit is None else self._partner(limit, network, samples.inputs, clock)
            tracker = self._tracker(labelled, samples.inputs, limit, clock)
            last = None if partner is None or validation is None else LastOutputs(validation, clock)
            outcome = train(
                network,
                samples,
                validation,
                self._settings(),
                learning_rate=self.learning_rate_,
                order_seed=stream_seed(self.seed, "order"),
                progress_bar=self.progress_bar,
                clock=clock,
                module_type=self._module_type(),
                callbacks=[callback for callback in (tracker, last) if callback is not None],
                checkpoints=Checkpoints.of(self),
            )
        self.network_ = network.cpu()
        self._keep_outcome(outcome, clock)
        if tracker is not None:
            self.measurements_["tangent_kernel"] = tracker.track()
        if partner is not None:
            with clock.phase("compare"):
                compared = partner.comparison(outcome.curve, None if last is None else last.outputs)
            self.measurements_["kernel_comparison"], self.measurements_["phases"] = compared, dict(clock.seconds)
        return self

    @available_if(lambda self: self.loss == "cross_entropy")  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Softmax of the outputs, (n, classes). Only with loss="cross_entropy": the outputs of MSE are no logarithms of probabilities."""
        return np.asarray(torch.softmax(torch.from_numpy(self._outputs(X)), dim=1).numpy())

    def chosen_parameters(self) -> dict[str, Any]:
        """After `fit`: the parameters with which a new instance stops at the epoch that was chosen; empty without validation data.

        The step size is constant, so that many epochs on the same rows end with the very weights that were kept here. Epoch 0, the
        untrained network, becomes 1: a network without training is none.
        """
        check_is_fitted(self, "network_")
        return {"epochs": max(1, self.best_epoch_), "patience": None} if self.epoch_was_chosen_ else {}

    def check_parameters(self) -> None:
        """Refuse parameters that no data could make right. Raises SkipbenchError."""
        if not isinstance(self._used_architecture(), Architecture):
            raise SkipbenchError(
                f"{type(self).__name__}: architecture={shown(self.architecture)}, but it is an architecture such as ResMLP(depth=3)"
            )
        self._check_common_parameters()
        self._settings()
        self._check_measurements()

    def input_kinds(self) -> tuple[InputKind, ...]:
        """What these parameters take: images for a convolutional architecture, vectors otherwise."""
        return ("images",) if self._used_architecture().is_convolutional else ("vectors",)

    def label(self) -> str:
        """A short name for tables, e.g. "network, ResCNN(3, tr), width 64"; what differs from the plain MSE twin is added."""
        parts = [self.noun, self._used_architecture().label, f"width {self.width}"]
        parts += ["cross-entropy"] if self.loss == "cross_entropy" else []
        parts += [f"momentum {self.momentum}"] if self.momentum else []
        parts += [f"batches of {self.batch_size}"] if self.batch_size is not None else []
        return ", ".join(parts)

    @classmethod
    def contract_variants(cls) -> tuple[dict[str, Any], ...]:
        """Parameters with which the contract runs: both kinds of inputs, both losses, full batch and mini-batches, kernels beside it."""
        return (
            {"width": 32, "epochs": 40, "tangent_rows": 4, "compare_with_kernel": True},
            {"architecture": DenseMLP(depth=2), "loss": "cross_entropy", "batch_size": 16, "width": 32, "epochs": 20},
            {"architecture": CNN(depth=1, readout="tr"), "batch_size": 8, "momentum": 0.5, "width": 16, "epochs": 20},
            {"architecture": ResCNN(depth=1), "loss": "cross_entropy", "width": 16, "epochs": 20},
        )

    def _check_measurements(self) -> None:
        rows = self.tangent_rows
        if isinstance(rows, bool) or not isinstance(rows, numbers.Integral) or rows < 0:
            raise self._refusal("tangent_rows", "it counts training rows: use a whole number of at least 1, or 0 for no track")
        if not isinstance(self.compare_with_kernel, bool):
            raise self._refusal("compare_with_kernel", "it is either True or False")
        if self.memory is not None and not callable(getattr(self.memory, "kernel_matrices", None)):
            raise self._refusal("memory", "it is None or a skipbench.kernels.KernelMemory")
        if not self.compare_with_kernel:
            return
        if self.loss != "mse":
            raise self._refusal("loss", 'compare_with_kernel=True puts it beside a closed form, which only loss="mse" has')
        if self.batch_size is not None:
            raise self._refusal("batch_size", "compare_with_kernel=True compares full-batch descent step by step: use batch_size=None")

    def _refusal(self, name: str, reason: str) -> SkipbenchError:
        return SkipbenchError(f"{type(self).__name__}: {name}={shown(getattr(self, name))}, but {reason}")

    def _used_architecture(self) -> Architecture:
        return DEFAULT_ARCHITECTURE if self.architecture is None else self.architecture

    def _taker(self) -> str:
        return self._used_architecture().label

    def _settings(self) -> TrainingSettings:
        names = ("learning_rate", "momentum", "batch_size", "epochs", "patience", "evaluate_every", "target_reduction", "seed")
        return TrainingSettings(owner=type(self).__name__, loss=self.loss, **{name: getattr(self, name) for name in names})  # type: ignore[arg-type]

    def _new_network(self) -> nn.Module:
        return self._network_of_width(int(self.width))

    def _module_type(self) -> type[NetworkModule]:
        """What trains the network."""
        from skipbench.trainers.networks.training import NetworkModule

        return NetworkModule

    def _n_networks(self) -> int:
        """How many of this width there are."""
        return 1

    def _check_memory(self, n_train: int, *, keeps_best: bool) -> None:
        """Refuse a width whose training cannot fit, before anything of that width is made. Raises NetworkTooLargeError."""
        rows = n_train if self.batch_size is None else min(n_train, int(self.batch_size))
        size = network_size(self._network_of_width, int(self.width), self.input_shape_)
        device = resolve_device(self.device)
        copies = 1 + (device.type == "cpu") + keeps_best  # the weights at initialisation stay on the CPU
        needed = self._n_networks() * size.training_bytes(rows, momentum=self.momentum > 0, copies=copies)
        require_memory(type(self).__name__, needed, device, width=int(self.width), rows=rows)

    def _network_of_width(self, width: int) -> nn.Module:
        return build_network(
            self._used_architecture(),
            width=width,
            input_shape=self.input_shape_,
            outputs=len(self.classes_),
            seed=self.seed,
            dtype=DTYPES[self.dtype],
        )

    def _chosen_learning_rate(self, network: nn.Module, inputs: Tensor) -> float:
        if self.learning_rate is not None:
            return float(self.learning_rate)
        return default_learning_rate(
            network,
            inputs,
            loss=self._settings().loss,
            momentum=self.momentum,
            batch_size=self.batch_size,
            seed=stream_seed(self.seed, "learning rate"),
        )

    def _limit_kernel(self, train: LabelledInputs, validation: LabelledInputs | None, clock: Clock) -> LimitKernel | None:
        """The kernel at infinite width on all rows, where it is to be compared with."""
        if not self.compare_with_kernel:
            return None
        device = resolve_device(self.device)
        return LimitKernel(self._used_architecture(), train, validation, device=device, memory=self.memory, clock=clock)

    def _partner(self, limit: LimitKernel, network: nn.Module, inputs: Tensor, clock: Clock) -> KernelPartner | None:
        """Gradient descent on that kernel, and what the untrained network's own predicts. inputs: the training rows on the device."""
        settings: dict[str, Any] = {"classes": len(self.classes_), "learning_rate": self.learning_rate_, "momentum": float(self.momentum)}
        with clock.phase("compare"):
            at_start = predicted_by_own_kernel(network, inputs, limit.train.codes, **settings)
            try:
                return KernelPartner(limit, predicted_at_start=at_start, **settings)
            except UnstableOnKernelError:
                if self.learning_rate is not None:
                    raise  # it was given, so it can be given smaller
                return None  # so narrow that its own kernel's step size is too large for the limit: there is nothing to compare

    def _tracker(self, train: LabelledInputs, inputs: Tensor, limit: LimitKernel | None, clock: Clock) -> TangentKernelTracker | None:
        """Follows the tangent kernel on the first rows, beside that of infinite width."""
        if self.tangent_rows == 0:
            return None
        from skipbench.trainers.networks.tangent_tracker import TangentKernelTracker

        rows = min(int(self.tangent_rows), len(inputs))
        if limit is None:
            first = LabelledInputs(train.inputs[:rows], train.codes[:rows])
            device = resolve_device(self.device)
            limit = LimitKernel(self._used_architecture(), first, None, device=device, memory=self.memory, clock=clock)
        return TangentKernelTracker(inputs[:rows], limit=limit.gram[:rows, :rows], clock=clock)


def _on_device(labelled: LabelledInputs, network: nn.Module) -> Samples:
    """The rows as tensors where the network is, with its outputs at initialisation."""
    inputs = inputs_like(labelled.inputs, network)
    with torch.no_grad():
        initial = torch.cat([network(rows) for rows in evaluation_parts(inputs)])
    return Samples(inputs, initial, torch.from_numpy(labelled.codes).to(inputs.device))
