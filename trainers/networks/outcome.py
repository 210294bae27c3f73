"""What training ends with: the curve, the iterations to a loss reduction, or the news that it diverged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from skipbench.checks import SkipbenchError
from skipbench.results.record import AccuracyTarget, Convergence, CurvePoint
from skipbench.trainers.convergence import ACCURACIES


class TrainingDiverged(SkipbenchError):  # noqa: N818 - it is news about a run, and the record's status is `diverged`
    """The loss became infinite, NaN or many times its initial value. Carries `step`, `learning_rate` and the `curve` until then."""

    def __init__(self, message: str, *, step: int, learning_rate: float, curve: tuple[CurvePoint, ...]) -> None:
        super().__init__(message)
        self.step = step
        self.learning_rate = learning_rate
        self.curve = curve

    def __reduce__(self) -> tuple[Any, ...]:
        """Lets it pass from a worker process to its parent, which a keyword-only argument prevents by default."""
        return _diverged, (str(self), self.step, self.learning_rate, self.curve)


def _diverged(message: str, step: int, learning_rate: float, curve: tuple[CurvePoint, ...]) -> TrainingDiverged:
    return TrainingDiverged(message, step=step, learning_rate=learning_rate, curve=curve)


@dataclass(frozen=True, slots=True)
class TrainingOutcome:
    """What was measured while a network trained.

    losses: the full training loss by optimizer step, `loss_steps` which: every step in full-batch mode, else wherever the curve
    has a point. best_epoch: the passes over the data after which validation was best; None without validation.
    """

    curve: tuple[CurvePoint, ...]
    loss_steps: tuple[int, ...]
    losses: tuple[float, ...]
    n_epochs: int
    best_epoch: int | None


def measured_convergence(
    steps: Sequence[int],
    losses: Sequence[float],
    *,
    learning_rate: float,
    momentum: float,
    batch_size: int | None,
    accuracy_targets: tuple[AccuracyTarget, ...] = (),
) -> Convergence:
    """Iterations (optimizer steps) to 90, 99 and 99.9 % loss reduction: the first recorded step with loss <= (1 - ρ) loss(0).

    steps, losses: the full training loss, ascending from step 0. Never reached is None, censored at the last step. The rate is the
    loss factor per step over the last half of the steps; None where there is none or the loss is 0.
    accuracy_targets: of `first_accuracies`.
    """
    iterations = [_first_step(steps, losses, (1.0 - reduction) * losses[0]) for reduction in (0.9, 0.99, 0.999)]
    return Convergence(
        source="measured",
        learning_rate=learning_rate,
        momentum=momentum,
        batch_size=batch_size,
        iterations_90=iterations[0],
        iterations_99=iterations[1],
        iterations_99_9=iterations[2],
        last_step=steps[-1],
        measured_rate=_late_rate(steps, losses),
        accuracy_targets=accuracy_targets,
    )


def first_accuracies(curve: Sequence[CurvePoint]) -> tuple[AccuracyTarget, ...]:
    """The first step of the curve at which 50, 90 and 99 % of the training and of the validation rows are right.

    Known as finely as the curve is: every epoch up to 20, then within 5 %, as closely as `reached_accuracies` knows a kernel's.
    """
    by_rows: dict[Literal["train", "validation"], list[tuple[int, float]]] = {
        "train": [(point.step, point.accuracy) for point in curve if point.accuracy is not None],
        "validation": [(point.step, point.validation_accuracy) for point in curve if point.validation_accuracy is not None],
    }
    return tuple(
        AccuracyTarget(rows=rows, accuracy=target, iterations=next((step for step, share in reached if share >= target), None))
        for rows, reached in by_rows.items()
        for target in ACCURACIES
        if reached
    )


def _first_step(steps: Sequence[int], losses: Sequence[float], threshold: float) -> int | None:
    return next((step for step, loss in zip(steps, losses, strict=True) if loss <= threshold), None)


def _late_rate(steps: Sequence[int], losses: Sequence[float]) -> float | None:
    half = next(index for index, step in enumerate(steps) if 2 * step >= steps[-1])
    span = steps[-1] - steps[half]
    if span == 0 or not (losses[half] > 0.0 and losses[-1] > 0.0):
        return None
    rate: float = (losses[-1] / losses[half]) ** (1.0 / span)
    return rate
