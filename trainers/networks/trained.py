"""What the classifiers that train a network share: checks, predictions, measurements, and the streams of random numbers."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skipbench.checks import SkipbenchError, shown
from skipbench.clock import Clock
from skipbench.results.record import Choice
from skipbench.trainers.devices import resolve_device
from skipbench.trainers.inputs import Inputs, new_inputs
from skipbench.trainers.method import InputKind, Measurements
from skipbench.trainers.networks.build import check_count
from skipbench.trainers.networks.outcome import TrainingOutcome, first_accuracies, measured_convergence
from skipbench.trainers.networks.resuming import check_checkpoints
from skipbench.trainers.networks.slices import evaluation_parts

DTYPES = {"float32": torch.float32, "float64": torch.float64}


class TrainedNetwork(ClassifierMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """The base of classifiers that train one network; a subclass has the parameters below in its constructor, and a `fit`.

    `fit` sets `network_`, a torch module on the CPU, `learning_rate_`, and by `_keep_outcome` the rest. Outputs are those of `network_` in
    evaluation mode minus those of `initial_network_`, where there is one.
    """

    width: int
    dtype: str
    device: str
    progress_bar: bool
    checkpoint_dir: str | None
    checkpoint_every: int | None
    network_: nn.Module
    initial_network_: nn.Module | None = None
    momentum: float
    batch_size: int | None
    learning_rate_: float

    def predict(self, X: Any) -> NDArray[Any]:
        """The label of every row, (n,)."""
        outputs = self._outputs(X)
        return np.asarray(self.classes_[outputs.argmax(axis=1)])

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """The network's outputs, (n, classes); for two classes that of the second minus that of the first, (n,)."""
        outputs = self._outputs(X)
        return np.asarray(outputs[:, 1] - outputs[:, 0]) if len(self.classes_) == 2 else outputs

    @abstractmethod
    def input_kinds(self) -> tuple[InputKind, ...]:
        """What these parameters take."""

    @abstractmethod
    def _taker(self) -> str:
        """What takes those inputs, for messages."""

    def _check_common_parameters(self) -> None:
        owner = type(self).__name__
        check_count(owner, "width", self.width, "width counts hidden units or channels")
        if self.dtype not in tuple(DTYPES):
            raise SkipbenchError(f"{owner}: dtype={shown(self.dtype)}, but networks are trained in one of: {', '.join(DTYPES)}")
        if not isinstance(self.progress_bar, bool):
            raise SkipbenchError(f"{owner}: progress_bar={shown(self.progress_bar)}, but it is either True or False")
        check_checkpoints(self)
        resolve_device(self.device)

    def _keep_outcome(self, outcome: TrainingOutcome, clock: Clock) -> None:
        """Set `n_epochs_`, `best_epoch_`, `epoch_was_chosen_` (on validation), and `measurements_`: curve, convergence, choices, phases.

        With a one-cycle schedule the step size in `convergence` is the largest one.
        """
        self.n_epochs_ = outcome.n_epochs
        self.epoch_was_chosen_ = outcome.best_epoch is not None
        self.best_epoch_ = outcome.n_epochs if outcome.best_epoch is None else outcome.best_epoch
        choices = [Choice(name="learning_rate", value=self.learning_rate_, chosen_on="fixed")]
        if outcome.best_epoch is not None:
            choices.append(Choice(name="epoch", value=outcome.best_epoch, chosen_on="validation"))
        self.measurements_ = Measurements(curve=outcome.curve, choices=tuple(choices), phases=dict(clock.seconds))
        self.measurements_["convergence"] = measured_convergence(
            outcome.loss_steps,
            outcome.losses,
            learning_rate=self.learning_rate_,
            momentum=float(self.momentum),
            batch_size=self.batch_size,
            accuracy_targets=first_accuracies(outcome.curve),
        )

    def _outputs(self, X: Any) -> NDArray[np.float64]:
        """In float64, so that a row's outputs do not depend on the rows beside it: (n, classes)."""
        check_is_fitted(self, "network_")
        inputs = new_inputs(self, X, kinds=self.input_kinds(), taker=self._taker())
        device = resolve_device(self.device)
        networks = [part for part in (self.network_, self.initial_network_) if part is not None]
        networks = [copy.deepcopy(part).to(device, torch.float64).eval() for part in networks]
        parts = []
        with torch.no_grad():
            for few in evaluation_parts(as_tensor(inputs), device):
                rows = few.to(device, torch.float64)
                outputs = [network(rows) for network in networks]
                parts.append((outputs[0] - outputs[1] if len(outputs) == 2 else outputs[0]).cpu())
        return np.asarray(torch.cat(parts).numpy())


def stream_seed(seed: int, purpose: str) -> int:
    """A seed of its own for each purpose, so that weights and orders drawn from one `seed` are independent."""
    words = np.random.SeedSequence([int(seed), *purpose.encode()]).generate_state(2)
    return int(words[0]) << 31 | int(words[1]) >> 1


def inputs_like(inputs: Inputs, network: nn.Module) -> Tensor:
    """The inputs on the device and in the dtype of the network's parameters."""
    rows = as_tensor(inputs).to(next(network.parameters()))
    return rows.contiguous(memory_format=torch.channels_last) if rows.ndim == 4 else rows  # a fifth faster on the CPU


def as_tensor(inputs: Inputs) -> Tensor:
    """A copy: what was given may be read-only."""
    return torch.tensor(inputs)
