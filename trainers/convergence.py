"""What closed-form gradient descent puts into a record: iterations to three loss reductions, and a curve on log-spaced steps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from skipbench.checks import SkipbenchError, shown
from skipbench.kernels.spectra.eigensystem import null_tolerance
from skipbench.results.record import AccuracyTarget, Convergence, CurvePoint
from skipbench.trainers.gradient_descent import GradientDescentCurve, iterations_to
from skipbench.trainers.inputs import Codes

REDUCTIONS = (0.9, 0.99, 0.999)
ACCURACIES = (0.5, 0.9, 0.99)  # shares of rows that are to be right
_GROWTH = 1.05  # of the steps at which accuracy is looked at
_LAST_STEP_WITHOUT_END = 10**6  # of the curve, where the smallest loss is never reached


def closed_form_convergence(
    curve: GradientDescentCurve, eigenvalues: Tensor, accuracy_targets: tuple[AccuracyTarget, ...] = ()
) -> Convergence:
    """Iterations to 90, 99 and 99.9 % loss reduction (None where never reached) and the rate that the spectrum predicts.

    eigenvalues: of the Gram matrix, (n,), ascending. accuracy_targets: of `reached_accuracies`. predicted_rate: (1 - λ_min/λ_max)², λ_min
    counted as 0 below n eps λ_max; it belongs to lr = n/λ_max without momentum, and is None for others.
    """
    reached = [iterations_to(curve, reduction) for reduction in REDUCTIONS]
    steps = [None if math.isinf(step) else int(step) for step in reached]
    return Convergence(
        source="closed_form",
        learning_rate=curve.learning_rate,
        momentum=curve.momentum,
        iterations_90=steps[0],
        iterations_99=steps[1],
        iterations_99_9=steps[2],
        predicted_rate=_predicted_rate(curve, eigenvalues),
        accuracy_targets=accuracy_targets,
    )


def reached_accuracies(curve: GradientDescentCurve, codes: Codes, rows: Literal["train", "validation"]) -> tuple[AccuracyTarget, ...]:
    """Iterations until 50, 90 and 99 % of the rows that `curve` predicts are right. codes: their labels, (points,)."""
    found = {accuracy: iterations_to_accuracy(curve, codes, accuracy) for accuracy in ACCURACIES}
    return tuple(
        AccuracyTarget(rows=rows, accuracy=accuracy, iterations=None if math.isinf(step) else int(step)) for accuracy, step in found.items()
    )


def iterations_to_accuracy(curve: GradientDescentCurve, codes: Codes, accuracy: float) -> int | float:
    """A step with at least this accuracy after one without it, an int; math.inf where there is none up to `last_step`.

    Accuracy is not monotone, so the first such step would need a look at all of them: steps that grow by 5 % are looked at, and the
    interval before the first of them that has the accuracy is halved. codes: labels of the points that `curve` predicts, (points,).
    Raises SkipbenchError for an accuracy that is no share.
    """
    if isinstance(accuracy, bool) or not 0 < accuracy <= 1:
        raise SkipbenchError(f"iterations_to_accuracy: accuracy={shown(accuracy)}, but it is a share of rows above 0 and at most 1")
    before = 0
    for step in _looked_at(curve):
        if _accuracy(curve.predict(step), codes) >= accuracy:
            return _halved(curve, codes, accuracy, before, step)
        before = step
    return math.inf


def _looked_at(curve: GradientDescentCurve) -> Iterator[int]:
    """Steps up to the last of interest, each 5 % further; a diverging run ends with the range of float64."""
    last, step = last_step(curve), 0
    while math.isfinite(curve.loss(step)):
        yield step
        if step >= last:
            return
        step = min(last, max(step + 1, int(step * _GROWTH)))


def _halved(curve: GradientDescentCurve, codes: Codes, accuracy: float, before: int, after: int) -> int:
    """A step in (before, after] that has the accuracy, the one before it not: `after` has it, `before` has not, or both are 0."""
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (before, middle) if _accuracy(curve.predict(middle), codes) >= accuracy else (middle, after)
    return after


def last_step(curve: GradientDescentCurve) -> int:
    """The step at which 99.9 % of the loss are gone, or 10^6 where that never happens."""
    end = iterations_to(curve, REDUCTIONS[-1])
    return _LAST_STEP_WITHOUT_END if math.isinf(end) else int(end)


def closed_form_points(
    curve: GradientDescentCurve, codes: Codes, validation_curve: GradientDescentCurve | None = None, validation_codes: Codes | None = None
) -> tuple[CurvePoint, ...]:
    """Loss and accuracy at steps 0, 1, 2, 5, 10, 20, 50, ... until 99.9 % of the loss are gone, or 10^6 where that never happens.

    codes: labels of the training points, validation_codes those of the points that `validation_curve` predicts. Without seconds: nothing is
    iterated. A run that diverges ends before its loss leaves the range of float64.
    """
    points = []
    for step in _log_spaced(last_step(curve)):
        loss = curve.loss(step)
        if not math.isfinite(loss):
            break
        accuracy = _accuracy(curve.predict(step), codes)
        validation = None
        if validation_curve is not None and validation_codes is not None:
            validation = _accuracy(validation_curve.predict(step), validation_codes)
        points.append(CurvePoint(step=step, loss=loss, accuracy=accuracy, validation_accuracy=validation))
    return tuple(points)


def _log_spaced(last: int) -> list[int]:
    """0, then 1, 2, 5, 10, 20, 50, ... below `last`, then `last`."""
    steps, decade = [0], 1
    while decade < last:
        steps += [factor * decade for factor in (1, 2, 5) if factor * decade < last]
        decade *= 10
    return [*steps, last] if last > 0 else steps


def _accuracy(outputs: Tensor, codes: Codes) -> float:
    return float(np.mean(torch.argmax(outputs, dim=1).cpu().numpy() == codes))


def _predicted_rate(curve: GradientDescentCurve, eigenvalues: Tensor) -> float | None:
    largest, smallest = float(eigenvalues[-1]), float(eigenvalues[0])
    if curve.momentum > 0 or not math.isclose(curve.learning_rate * largest, len(eigenvalues), rel_tol=1e-9):
        return None
    return (1 - (smallest / largest if smallest >= null_tolerance(eigenvalues) else 0.0)) ** 2
