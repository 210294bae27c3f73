"""How ill-conditioned K + shift I is: extreme eigenvalues by the Lanczos algorithm, with bounds that hold but for bad luck.

From a random start, k steps on a positive semidefinite matrix give a largest Ritz value θ <= λ_max that falls short of it by more than
a share e with probability at most (Kuczyński & Woźniakowski 1992, SIAM J. Matrix Anal. Appl. 13, theorem 4.2)

    P[λ_max - θ > e (λ_max - λ_min)] <= 1.648 √n exp(-√e (2k - 1))

whatever the spectrum is. So λ_max lies in [θ, θ / (1 - e)], and on the inverse the same gives λ_min.

Conjugate gradients have no inverse at hand, but can solve A Z = G - R for a few random columns G besides their own. Each entry of Gᵀ u,
u the eigenvector of λ_min, is a standard normal number, and Gᵀ u = λ_min Zᵀ u + Rᵀ u. So, q a quantile of the chi-squared distribution,

    √q < |Gᵀ u| <= λ_min σ_max(Z) + |R|        and        λ_min <= zᵀ A z / zᵀ z        for every z in the span of Z

Between those bounds, the smallest Ritz value of P⁻¹ A is the estimate: it converges to the smallest eigenvalue there is of P⁻¹ A, which is
below λ_min as P - I is positive semidefinite, and close to it as P is I where A is small.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh, eigvalsh, eigvalsh_tridiagonal
from scipy.stats import chi2

from skipbench.trainers.solvers.tiles import Array

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

    def __init__(self, n: int, rng: np.random.Generator, steps: int = LANCZOS_STEPS) -> None:
        self._basis = np.empty((n, min(steps, n)), order="F")
        start = rng.normal(size=n)
        self._basis[:, 0] = start / np.linalg.norm(start)
        self._diagonal: list[float] = []
        self._off_diagonal: list[float] = []
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
        n, size = self._basis.shape
        self.is_exhausted = self.steps == n or length <= n * EPSILON * float(np.abs(self.ritz_values()).max())
        self.is_done = self.is_exhausted or self.steps == size
        if not self.is_done:
            self._off_diagonal.append(length)
            self._basis[:, self.steps] = rest / length

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


def smallest_bounds(probes: Array, solutions: Array, residuals: Array) -> tuple[float, float]:
    """Bounds for λ_min of a positive definite A, the lower one but for FAILURE_PROBABILITY.

    probes: G, (n, c), standard normal. solutions: Z, (n, c). residuals: R = G - A Z, (n, c).
    """
    products, gram = solutions.T @ (probes - residuals), solutions.T @ solutions
    lengths, directions = eigh(gram)
    least = math.sqrt(chi2.ppf(FAILURE_PROBABILITY, probes.shape[1])) - float(np.linalg.norm(residuals))
    low = max(0.0, least) / math.sqrt(lengths[-1]) if lengths[-1] > 0 else 0.0
    kept = lengths > 1e-8 * lengths[-1]  # squares of lengths: below that, rounding decides
    if not kept.any():
        return low, math.inf
    whitened = directions[:, kept] / np.sqrt(lengths[kept])
    return low, float(eigvalsh(whitened.T @ ((products + products.T) / 2) @ whitened)[0])


def ritz_extremes(steps: list[float], growths: list[float]) -> tuple[float, float]:
    """Extreme Ritz values of the preconditioned matrix from the coefficients of conjugate gradients.

        T_kk = 1/a_k + b_{k-1}/a_{k-1}        T_{k,k+1} = √b_k / a_k

    steps: a_k, the step along each direction. growths: b_k, by which the next direction keeps the last one (Saad 2003, section 6.7.3).
    """
    a, b = np.array(steps), np.array(growths)
    diagonal = 1 / a
    diagonal[1:] += b[:-1] / a[:-1]
    values = eigvalsh_tridiagonal(diagonal, np.sqrt(b[:-1]) / a[:-1])
    return float(values[0]), float(values[-1])


def _ratio(largest: float, smallest: float) -> float:
    return largest / smallest if smallest > 0 else math.inf
