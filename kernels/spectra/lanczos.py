"""Extreme eigenvalues of a matrix that is known by its products: the Lanczos algorithm, with bounds that hold but for bad luck.

From a random start, k steps on a positive semidefinite matrix give a largest Ritz value θ <= λ_max that falls short of it by more than
a share e with probability at most (Kuczyński & Woźniakowski 1992, SIAM J. Matrix Anal. Appl. 13, theorem 4.2)

    P[λ_max - θ > e (λ_max - λ_min)] <= 1.648 √n exp(-√e (2k - 1))

whatever the spectrum is. So λ_max lies in [θ, θ / (1 - e)], and on the inverse the same gives λ_min. Without the inverse the smallest Ritz
value is an upper bound of λ_min and no more.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigvalsh_tridiagonal

from skipbench.checks import SkipbenchError, shown

Array = NDArray[Any]

EPSILON = float(np.finfo(np.float64).eps)
LANCZOS_STEPS = 40
FAILURE_PROBABILITY = 1e-3  # of each bound


@dataclass(frozen=True, slots=True)
class ConditionEstimate:
    """The condition number of K + shift I: `number` is the estimate, the true one lies between `low` and `high`.

    `low` is certain up to rounding. `high` fails with a probability of at most 0.002; after conjugate gradients it may also use that K is
    positive semidefinite, unless K was seen not to be. largest, smallest: eigenvalues of K + shift I behind `number`. steps: of the
    Lanczos algorithm.
    """

    number: float
    low: float
    high: float
    largest: float
    smallest: float
    steps: int


@dataclass(frozen=True, slots=True)
class ExtremeEigenvalues:
    """Of K: s_max between largest, its estimate, and largest_high; s_min between smallest_low and smallest_high, estimated by smallest."""

    largest: float
    largest_high: float
    smallest: float
    smallest_low: float
    smallest_high: float
    steps: int

    def condition(self, shift: float) -> ConditionEstimate:
        """Of K + shift I."""
        largest, smallest = self.largest + shift, self.smallest + shift
        number, low = _ratio(largest, smallest), _ratio(largest, self.smallest_high + shift)
        high = _ratio(self.largest_high + shift, self.smallest_low + shift)
        return ConditionEstimate(number, min(low, number), max(number, high), largest, smallest, self.steps)

    def null_tolerance(self, n: int) -> float:
        """n eps s_max: shifted eigenvalues below it are indistinguishable from 0 in float64."""
        return n * EPSILON * max(0.0, self.largest)


class Lanczos:
    """The Lanczos algorithm, one product at a time, so that it can share passes over the tiles with whatever else needs them.

    Unlike the textbook's it keeps its basis, (n, steps), and orthogonalises against all of it, twice: no false copies of eigenvalues.
    """

    def __init__(self, start: Array, steps: int = LANCZOS_STEPS) -> None:
        """start: (n,), not 0; the bounds of the largest eigenvalue ask for one of `random_start`."""
        n = len(start)
        self._basis = np.empty((n, min(steps, n)), order="F")
        self._basis[:, 0] = start / np.linalg.norm(start)
        self._diagonal: list[float] = []
        self._off_diagonal: list[float] = []  # as many: the last one belongs to the step that was not taken
        self.is_done = False
        self.is_exhausted = False  # then the Ritz values are eigenvalues, the extreme ones among them

    @property
    def steps(self) -> int:
        """Products so far."""
        return len(self._diagonal)

    @property
    def vector(self) -> Array:
        """What the matrix is to be multiplied with next, (n, 1)."""
        return self._basis[:, self.steps : self.steps + 1]

    def advance(self, product: Array) -> None:
        """Take the matrix times `vector`, (n, 1)."""
        basis = self._basis[:, : self.steps + 1]
        rest = product[:, 0].copy()
        self._diagonal.append(float(basis[:, -1] @ rest))
        for _ in range(2):
            rest -= basis @ (basis.T @ rest)
        length = float(np.linalg.norm(rest))
        self._off_diagonal.append(length)
        n, size = self._basis.shape
        self.is_exhausted = self.steps == n or length <= n * EPSILON * float(np.abs(self.ritz_values()).max())
        self.is_done = self.is_exhausted or self.steps == size
        if not self.is_done:
            self._basis[:, self.steps] = rest / length

    def coefficients(self) -> tuple[Array, Array]:
        """Of the tridiagonal matrix T: its diagonal and, as many, what is beside it; the last is the length of what T leaves out."""
        return np.array(self._diagonal), np.array(self._off_diagonal)

    def ritz_values(self) -> Array:
        """Ascending, all of them between the extreme eigenvalues."""
        values: Array = eigvalsh_tridiagonal(np.array(self._diagonal), np.array(self._off_diagonal[: self.steps - 1]))
        return values

    def missing_share(self) -> float:
        """e above: by which share the largest Ritz value may fall short, but for FAILURE_PROBABILITY; 1 after too few steps."""
        if self.is_exhausted:
            return 0.0
        n = self._basis.shape[0]
        root = math.log(1.648 * math.sqrt(n) / FAILURE_PROBABILITY) / (2 * self.steps - 1)
        return min(1.0, root**2)

    def extremes(self, row_sum: float) -> ExtremeEigenvalues:
        """What the steps say of a matrix that need not be definite. row_sum: max_i Σ_j |K_ij|, an upper bound of s_max."""
        low, high = self.largest_bounds()
        smallest = float(self.ritz_values()[0])
        lowest = smallest - len(self._basis) * EPSILON * abs(low) if self.is_exhausted else -math.inf
        return ExtremeEigenvalues(low, max(low, min(high, row_sum)), smallest, lowest, smallest, self.steps)

    def largest_bounds(self) -> tuple[float, float]:
        """θ and θ / (1 - e), for a positive semidefinite matrix."""
        largest, share = float(self.ritz_values()[-1]), self.missing_share()
        return largest, largest / (1 - share) if share < 1 else math.inf


def random_start(n: int, rng: np.random.Generator) -> Array:
    """A vector of any direction alike, (n,)."""
    return rng.normal(size=n)


def operator_extremes(
    times_matrix: Callable[[Array], Array], n: int, *, steps: int = 5 * LANCZOS_STEPS, seed: int = 0
) -> ExtremeEigenvalues:
    """Extreme eigenvalues of a positive semidefinite matrix from at most `steps` products with it; exact where these reach n.

    times_matrix: (n, 1) float64 to the matrix times it, (n, 1). The largest eigenvalue lies in its bounds but for a probability of 0.001;
    the smallest one between 0 and `smallest`, which comes down with the steps. Raises SkipbenchError.
    """
    for name, value in (("n", n), ("steps", steps)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise SkipbenchError(f"operator_extremes: {name}={shown(value)}, but it is a whole number of at least 1")
    lanczos = Lanczos(random_start(n, np.random.default_rng(seed)), steps)
    while not lanczos.is_done:
        lanczos.advance(times_matrix(lanczos.vector))
    found = lanczos.extremes(row_sum=math.inf)
    return replace(
        found, smallest=max(0.0, found.smallest), smallest_low=max(0.0, found.smallest_low), smallest_high=max(0.0, found.smallest_high)
    )


def _ratio(largest: float, smallest: float) -> float:
    return largest / smallest if smallest > 0 else math.inf
