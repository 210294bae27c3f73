"""How a network is trained: the values that `NetworkClassifier` was given, checked once."""

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
    """Validated on construction; refusals name the parameter of `NetworkClassifier`.

    batch_size None: full batch. patience: epochs without improvement on validation after which training stops. evaluate_every:
    epochs between points of the curve; None for a spacing that grows with the epoch. target_reduction: training ends once the full
    training loss has fallen by this share of its initial value.
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

    def __post_init__(self) -> None:
        if self.loss not in tuple(LOSSES):
            raise _refusal("loss", self.loss, f"the loss is one of: {', '.join(LOSSES)}")
        if self.learning_rate is not None and not (_is_real(self.learning_rate) and 0.0 < self.learning_rate < math.inf):
            raise _refusal("learning_rate", self.learning_rate, "a step size is a finite number above 0, or None for a stable default")
        if not (_is_real(self.momentum) and 0.0 <= self.momentum < 1.0):
            raise _refusal("momentum", self.momentum, "momentum is at least 0 and below 1")
        if self.target_reduction is not None and not (_is_real(self.target_reduction) and 0.0 < self.target_reduction < 1.0):
            raise _refusal("target_reduction", self.target_reduction, "it is a share of the initial loss above 0 and below 1, or None")
        check_count("NetworkClassifier", "epochs", self.epochs, "an epoch is one pass over the training rows")
        for name in ("batch_size", "patience", "evaluate_every"):
            if getattr(self, name) is not None:
                check_count("NetworkClassifier", name, getattr(self, name), "it counts rows or epochs")
        check_seed("NetworkClassifier", self.seed)

    def is_evaluated(self, epoch: int) -> bool:
        """Whether the curve has a point after `epoch` epochs: all up to 20, then every 5 % or so, as curves are read on a log axis."""
        spacing = max(1, epoch // EVERY_EPOCH_UNTIL) if self.evaluate_every is None else self.evaluate_every
        return epoch % spacing == 0


def _refusal(name: str, value: Any, reason: str) -> SkipbenchError:
    return SkipbenchError(f"NetworkClassifier: {name}={shown(value)}, but {reason}")


def _is_real(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
