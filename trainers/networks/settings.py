"""How a network is trained: the values that a classifier was given, checked once."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Any

from skipbench.checks import SkipbenchError, shown
from skipbench.trainers.networks.build import check_count, check_seed
from skipbench.trainers.networks.losses import LOSSES, Loss

EVERY_EPOCH_UNTIL = 20


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Validated on construction; refusals name the parameter of the classifier `owner`.

    batch_size None: full batch. patience: epochs without improvement on validation after which training stops. evaluate_every:
    epochs between points of the curve; None for a spacing that grows with the epoch. target_reduction: training ends once the full
    training loss has fallen by this share of its initial value.
    nesterov, weight_decay: of stochastic gradient descent; the decay acts on matrices and filters. label_smoothing: of the cross-entropy.
    one_cycle: the step size follows `one_cycle` over all `epochs`, also where training stops after the first `stop_after` of them.
    batch_normalised: outputs in training depend on the other rows of the batch, so they say nothing about evaluation, and a batch has at
    least two rows. may_stay_untrained: the best epoch may be 0, the network at initialisation.
    """

    loss: Loss
    learning_rate: float | None
    momentum: float
    batch_size: int | None
    epochs: int
    patience: int | None
    evaluate_every: int | None
    target_reduction: float | None
    seed: int
    owner: str = "NetworkClassifier"
    nesterov: bool = False
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    one_cycle: bool = False
    stop_after: int | None = None
    batch_normalised: bool = False
    may_stay_untrained: bool = True

    def __post_init__(self) -> None:
        if self.loss not in tuple(LOSSES):
            raise self._refusal("loss", f"the loss is one of: {', '.join(LOSSES)}")
        if self.learning_rate is not None and not (_is_real(self.learning_rate) and 0.0 < self.learning_rate < math.inf):
            default = "" if self._fixed else ", or None for a stable default"
            raise self._refusal("learning_rate", f"a step size is a finite number above 0{default}")
        if not (_is_real(self.momentum) and 0.0 <= self.momentum < 1.0):
            raise self._refusal("momentum", "momentum is at least 0 and below 1")
        if self.target_reduction is not None and not (_is_real(self.target_reduction) and 0.0 < self.target_reduction < 1.0):
            raise self._refusal("target_reduction", "it is a share of the initial loss above 0 and below 1, or None")
        if not (_is_real(self.weight_decay) and 0.0 <= self.weight_decay < math.inf):
            raise self._refusal("weight_decay", "a decay is a finite number of at least 0")
        if not (_is_real(self.label_smoothing) and 0.0 <= self.label_smoothing < 1.0):
            raise self._refusal("label_smoothing", "it is the share of a label that is spread over all classes, at least 0 and below 1")
        self._check_counts()
        check_seed(self.owner, self.seed)

    @property
    def last_epoch(self) -> int:
        """How many epochs are trained at most."""
        return self.epochs if self.stop_after is None else self.stop_after

    @property
    def advice(self) -> str:
        """What to do where training diverges."""
        return "use a smaller learning_rate" if self._fixed else "use a smaller learning_rate, or None for a stable one"

    def is_evaluated(self, epoch: int) -> bool:
        """Whether the curve has a point after `epoch` epochs: all up to 20, then every 5 % or so, as curves are read on a log axis."""
        spacing = max(1, epoch // EVERY_EPOCH_UNTIL) if self.evaluate_every is None else self.evaluate_every
        return epoch % spacing == 0

    @property
    def _fixed(self) -> bool:
        """Whether the step size has to be given: a schedule has no default that is known to be stable."""
        return self.one_cycle

    def _check_counts(self) -> None:
        check_count(self.owner, "epochs", self.epochs, "an epoch is one pass over the training rows")
        for name in ("batch_size", "patience", "evaluate_every", "stop_after"):
            if getattr(self, name) is not None:
                check_count(self.owner, name, getattr(self, name), "it counts rows or epochs")
        if self.batch_normalised and self.batch_size is not None and self.batch_size < 2:
            raise self._refusal("batch_size", "batch norm compares the rows of a batch: use at least 2")
        if self.stop_after is not None and self.stop_after > self.epochs:
            raise self._refusal("stop_after", f"the schedule has epochs={self.epochs}: use at most that, or None")

    def _refusal(self, name: str, reason: str) -> SkipbenchError:
        return SkipbenchError(f"{self.owner}: {name}={shown(getattr(self, name))}, but {reason}")


def _is_real(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
