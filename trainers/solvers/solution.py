"""What a solver returns, and how it says that it did not get there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from skipbench.checks import SkipbenchError
from skipbench.kernels.spectra.lanczos import EPSILON, ConditionEstimate, ExtremeEigenvalues
from skipbench.trainers.ridge_path import SingularGramError
from skipbench.trainers.solvers.tiles import Array


@dataclass(frozen=True, slots=True, eq=False)
class RidgeSolution:
    """c = (K + ridge tr(K)/n I)⁻¹ y, and how it was found.

    coefficients: (n, outputs), float64. residuals: (outputs,), |y - (K + shift I) c| / |y| of every column, computed from K itself at the
    end; 0 where y is 0. shift: ridge tr(K)/n. method: the one that was used. iterations: steps of conjugate gradients until the last
    column was there, or of iterative refinement after Cholesky. condition: of K + shift I. preconditioned_condition: the condition number
    that conjugate gradients saw, from their own Lanczos coefficients (a lower bound); None after Cholesky. preconditioner, rank: None
    and 0 without one. passes: how often the upper tiles were read, seconds: wall time; both of the whole call, which all ridges of a path
    share. memory_bytes: the bound that was checked against the available memory before starting.
    """

    ridge: float
    shift: float
    coefficients: Array
    residuals: Array
    iterations: int
    condition: ConditionEstimate
    method: Literal["cholesky", "conjugate-gradient"]
    preconditioned_condition: float | None
    preconditioner: Literal["nystrom", "pivoted-cholesky"] | None
    rank: int
    passes: int
    seconds: float
    memory_bytes: int

    @property
    def residual(self) -> float:
        """The largest of `residuals`."""
        return float(self.residuals.max(initial=0.0))

    @property
    def condition_estimate(self) -> float:
        """The condition number of K + shift I, as estimated."""
        return self.condition.number


class NotConvergedError(SkipbenchError):
    """Conjugate gradients stopped before the residual was small enough. solutions: of all ridges, as far as they came."""

    def __init__(self, message: str, *, solutions: Sequence[RidgeSolution] = ()) -> None:
        super().__init__(message)
        self.solutions = tuple(solutions)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuilt, (str(self), self.solutions)


def relative_residuals(rest: Array, targets: Array) -> Array:
    """|rest| / |target| of every column; 0 where the target is 0."""
    lengths = np.linalg.norm(targets, axis=0)
    residuals: Array = np.linalg.norm(rest, axis=0) / np.where(lengths > 0, lengths, 1.0)
    return residuals


def singular_gram(ridge: float, n: int, mean_diagonal: float, found: ExtremeEigenvalues) -> SingularGramError:
    """The error for K + ridge tr(K)/n I with an eigenvalue below n eps s_max, or no positive trace. found: eigenvalues of K."""
    tolerance = found.null_tolerance(n)
    least = float("inf")
    if mean_diagonal > 0:
        enough = 1.1 * (n + 4) * EPSILON * found.largest_high  # the next run rounds anew
        least = max(0.0, enough - found.smallest_low) / mean_diagonal
    helps = least < float("inf")
    advice = f"use a ridge of at least {least:.3g}" if helps else "no ridge helps, as the trace is not positive"
    return SingularGramError(
        f"gram is singular at ridge={ridge:g}: its eigenvalues run from s_min={found.smallest:.6g} to s_max={found.largest:.6g} (n={n}), "
        f"and s_min + ridge*trace/n is below n*eps*s_max={tolerance:.3g}: {advice}",
        s_min=found.smallest,
        s_max=found.largest,
        smallest_usable_ridge=least,
    )


def _rebuilt(message: str, solutions: tuple[RidgeSolution, ...]) -> NotConvergedError:
    """Unpickle: a worker process sends its errors home."""
    return NotConvergedError(message, solutions=solutions)
