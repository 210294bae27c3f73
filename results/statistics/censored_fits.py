"""How iterations grow with a predictor: a straight line on logarithms, with misses as what they are, censored.

    log10 t = a + b log10 x + s z,    z standard normal

A run that never reached its target says only that t lies beyond the step where it was given up; dropping it, or taking that step for t,
makes slopes too flat. The likelihood has the density for a run that reached it and the upper tail for one that did not (Tobin 1958),
in the parameters a/s, b/s, 1/s, in which its logarithm is concave (Olsen 1978). Intervals come from a bootstrap over clusters: cells of
one data set and draw share their images and are no independent witnesses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import norm

from skipbench.checks import SkipbenchError

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
LEVEL = 0.95
DRAWS = 1000
FEWEST_CLUSTERS = 3
_LEAST_DEVIATION = 1e-6  # of points that lie on a line: a likelihood without bound is of no use


@dataclass(frozen=True, slots=True)
class CensoredLine:
    """a, b and s of the line, its log-likelihood, and how many points it has, some of them censored."""

    intercept: float
    slope: float
    deviation: float
    log_likelihood: float
    n: int
    n_censored: int


@dataclass(frozen=True, slots=True)
class ClusteredFit:
    """A line with 95 % intervals of slope and deviation; None with fewer than three clusters."""

    line: CensoredLine
    n_clusters: int
    slope_interval: tuple[float, float] | None
    deviation_interval: tuple[float, float] | None


def fit_line(x: Array, y: Array, censored: Mask, *, start: CensoredLine | None = None) -> CensoredLine:
    """The most likely line through points whose y is known, or (censored) only known to be at least so large.

    x, y, censored: (n,), finite. start: a line near by, which spares steps. Raises SkipbenchError for fewer than three points with a known
    y, for x that are all equal, and for lengths that differ.
    """
    x, y, censored = np.asarray(x, dtype=float), np.asarray(y, dtype=float), np.asarray(censored, dtype=bool)
    if not len(x) == len(y) == len(censored):
        raise SkipbenchError(f"fit_line: {len(x)}, {len(y)} and {len(censored)} entries of x, y and censored, but they are equally many")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise SkipbenchError("fit_line: some x or y is not finite: leave these points out, and count them")
    if (~censored).sum() < 3 or np.ptp(x[~censored]) == 0:
        raise SkipbenchError(
            f"fit_line: {int((~censored).sum())} known points at {len(np.unique(x))} places, but a line needs three at two"
        )
    if not censored.any():
        return _least_squares(x, y)
    return _most_likely(x, y, censored, start or _least_squares(x, y))


def bootstrap_fit(
    x: Array, y: Array, censored: Mask, clusters: Sequence[Any] | NDArray[Any], *, draws: int = DRAWS, seed: int = 0
) -> ClusteredFit:
    """`fit_line`, and percentile intervals from fits to clusters drawn with replacement. clusters: (n,), a name for each point's.

    A drawn sample that has no line (all x equal, too few known points) is drawn again. Raises SkipbenchError as `fit_line`.
    """
    line = fit_line(x, y, censored)
    samples = list(cluster_samples(clusters, draws, seed))
    n_clusters = len(set(clusters))
    if n_clusters < FEWEST_CLUSTERS:
        return ClusteredFit(line, n_clusters, None, None)
    fits = [fit_line(x[rows], y[rows], censored[rows], start=line) for rows in samples if has_line(x[rows], censored[rows])]
    slopes, deviations = ([getattr(fit, name) for fit in fits] for name in ("slope", "deviation"))
    return ClusteredFit(line, n_clusters, interval_of(slopes), interval_of(deviations))


def cluster_samples(clusters: Sequence[Any] | NDArray[Any], draws: int, seed: int) -> list[NDArray[np.int64]]:
    """Rows of `draws` samples of clusters with replacement."""
    names, codes = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    members = [np.flatnonzero(codes == code) for code in range(len(names))]
    generator = np.random.default_rng(seed)
    return [np.concatenate([members[code] for code in generator.integers(len(names), size=len(names))]) for _ in range(draws)]


def has_line(x: Array, censored: Mask) -> bool:
    """Whether `fit_line` takes these points."""
    return bool((~censored).sum() >= 3 and np.ptp(x[~censored]) > 0)


def interval_of(values: Sequence[float]) -> tuple[float, float] | None:
    """The central 95 % of bootstrap values; None of fewer than twenty."""
    if len(values) < 20:
        return None
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _least_squares(x: Array, y: Array) -> CensoredLine:
    """The most likely line without censoring; the deviation is divided by n, as the likelihood has it."""
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred)) if centred.any() else 0.0
    intercept = float(y.mean() - slope * x.mean())
    deviation = max(float(np.sqrt(np.mean((y - intercept - slope * x) ** 2))), _LEAST_DEVIATION)
    likelihood = float(norm.logpdf(y, intercept + slope * x, deviation).sum())
    return CensoredLine(intercept, slope, deviation, likelihood, len(x), 0)


def _most_likely(x: Array, y: Array, censored: Mask, start: CensoredLine) -> CensoredLine:
    """By Newton-like steps in Olsen's parameters, where there is one maximum."""
    centre = float(x.mean())
    design = np.column_stack([np.ones_like(x), x - centre])
    arguments = (design[~censored], y[~censored], design[censored], y[censored])
    first = np.array([start.intercept + start.slope * centre, start.slope, 1.0]) / start.deviation
    bounds = [(None, None), (None, None), (1e-9, 1 / _LEAST_DEVIATION)]
    tight = {"ftol": 1e-14, "gtol": 1e-9, "maxiter": 1000}  # to digits that do not depend on the machine
    found = minimize(_cost, first, args=arguments, jac=True, method="L-BFGS-B", bounds=bounds, options=tight)
    scale = 1 / found.x[2]
    middle, slope = found.x[0] * scale, found.x[1] * scale
    return CensoredLine(float(middle - slope * centre), float(slope), float(scale), -float(found.fun), len(x), int(censored.sum()))


def _cost(parameters: Array, design: Array, y: Array, beyond: Array, limits: Array) -> tuple[float, Array]:
    """The negative log-likelihood and its gradient in (a/s, b/s, 1/s)."""
    line, precision = parameters[:2], parameters[2]
    z, tail = precision * y - design @ line, precision * limits - beyond @ line
    cost = float((z**2).sum() / 2 + len(y) * np.log(2 * np.pi) / 2 - len(y) * np.log(precision) - norm.logsf(tail).sum())
    hazard = np.exp(norm.logpdf(tail) - norm.logsf(tail))  # stays finite far out, where both are 0
    by_line = -(design.T @ z) - beyond.T @ hazard
    by_precision = float(z @ y) - len(y) / precision + float(hazard @ limits)
    return cost, np.array([*by_line, by_precision])
