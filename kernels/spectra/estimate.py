"""The spectrum of a matrix that is too large to decompose, from products with it alone, each number with what is known of its error.

`measure_spectrum` decomposes, which takes n² numbers of memory and n³ time: up to some 5000 rows. Here some random vectors and the labels
are each taken through a few dozen steps of the Lanczos algorithm, side by side, so that a step is one pass over a matrix on disk.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import stats

from skipbench.checks import SkipbenchError, shown
from skipbench.kernels.spectra.conditioning import bound_of
from skipbench.kernels.spectra.decay import LEVEL, eigenvalue_decay
from skipbench.kernels.spectra.gram import checked_ridge
from skipbench.kernels.spectra.lanczos import Array, ConditionEstimate, ExtremeEigenvalues, Lanczos, random_start
from skipbench.kernels.spectra.measure import LABEL_SHARES
from skipbench.kernels.spectra.quadrature import Rule, converged_values, gauss_rule, radau_rule
from skipbench.results.record import EigenvalueDecay

STEPS, PROBES = 100, 10
CONVERGED = 1e-3  # relative, of the eigenvalues behind the decay
BASES_BYTES = 2 * 2**30  # of the vectors that are kept at a time, n numbers for each step of each start


@dataclass(frozen=True, slots=True)
class Estimated:
    """A number, and between which two it lies; see the field that holds it for how sure that is."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SpectrumEstimate:
    """What products say of a positive semidefinite matrix K, raw or at unit diagonal; the numbers of `measure_spectrum`.

    steps: of the Lanczos algorithm from each start, fewer where all were exhausted. ridge: relative to tr(K)/n.
    condition, condition_with_ridge: their bounds hold but for a probability of 0.001; without a ridge `high` is infinite unless the steps
    reach n.
    effective_dimension: tr K (K + ridge tr(K)/n I)⁻¹; its 95 % interval over the random starts includes the quadrature's error.
    decay: over the leading eigenvalues that converged, to 0.1 %.
    label_conditions: λ_max / λ_k, the k leading directions being the fewest that hold 90, 99, 99.9 % of the labels' energy, as
    `label_condition`; their bounds are certain but for that of λ_max. Empty without labels.
    mean_off_diagonal, double_constant_bound: of the unit-diagonal matrix, exact; None where the diagonal is not positive.
    """

    n: int
    steps: int
    extremes: ExtremeEigenvalues
    condition: ConditionEstimate
    ridge: float | None
    condition_with_ridge: ConditionEstimate | None
    effective_dimension: Estimated | None
    decay: EigenvalueDecay | None
    label_conditions: dict[str, Estimated]
    mean_off_diagonal: float | None
    double_constant_bound: float | None


def estimate_spectrum(
    times_matrix: Callable[[Array], Array],
    diagonal: ArrayLike,
    *,
    ridge: float = 0.0,
    targets: ArrayLike | None = None,
    scaling: Literal["raw", "unit_diagonal"] = "raw",
    steps: int = STEPS,
    probes: int = PROBES,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> SpectrumEstimate:
    """The spectrum of a positive semidefinite matrix of any size, from `steps` products with (probes + outputs) columns.

    times_matrix: (n, m) float64 to the matrix times it, any m. diagonal: (n,), the matrix's. ridge: relative to tr(K)/n; 0 leaves out what
    needs one. targets: (n, outputs) or (n,), the centred labels. scaling: of K itself, or of K_ij / sqrt(K_ii K_jj). probes: random starts,
    at least 2. seed: of their generator. progress: called with (done, total) after every product. Raises SkipbenchError.
    """
    entries = _checked_diagonal(diagonal, scaling)
    n = len(entries)
    for name, value, least in (("steps", steps, 1), ("probes", probes, 2)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise SkipbenchError(f"estimate_spectrum: {name}={shown(value)}, but it is a whole number of at least {least}")
    ridge = checked_ridge(ridge, where="estimate_spectrum", zero_allowed=True)
    labels = _label_starts(targets, n)
    if scaling == "unit_diagonal":
        times_matrix, mean_diagonal = _at_unit_diagonal(times_matrix, entries), 1.0
    else:
        mean_diagonal = float(entries.mean())
    rng = np.random.default_rng(seed)
    starts = [random_start(n, rng) for _ in range(probes)]
    runs = _run(times_matrix, [*starts, *labels], steps, progress)
    extremes = _extremes(runs[:probes], runs[probes:])
    b = _mean_off_diagonal(times_matrix, entries, scaling)
    shift = ridge * mean_diagonal
    return SpectrumEstimate(
        n=n,
        steps=max(run.steps for run in runs),
        extremes=extremes,
        condition=extremes.condition(0.0),
        ridge=ridge if ridge > 0 else None,
        condition_with_ridge=extremes.condition(shift) if ridge > 0 else None,
        effective_dimension=_effective_dimension(runs[:probes], n, shift, extremes.null_tolerance(n)) if ridge > 0 else None,
        decay=_decay(runs[0]),
        label_conditions=_label_conditions(runs[probes:], labels, extremes, extremes.null_tolerance(n)),
        mean_off_diagonal=b,
        double_constant_bound=bound_of(b, n) if b is not None and 0.0 <= b < 1.0 else None,
    )


def _run(
    times_matrix: Callable[[Array], Array], starts: Sequence[Array], steps: int, progress: Callable[[int, int], None] | None
) -> list[Lanczos]:
    """All starts side by side, or as many at a time as memory holds."""
    steps = min(steps, len(starts[0]))
    together = max(1, BASES_BYTES // (8 * len(starts[0]) * steps))
    done, total = 0, steps * -(-len(starts) // together)
    runs: list[Lanczos] = []
    for first in range(0, len(starts), together):
        group = [Lanczos(start, steps) for start in starts[first : first + together]]
        while active := [run for run in group if not run.is_done]:
            products = _product(times_matrix, np.hstack([run.vector for run in active]))
            for run, product in zip(active, products.T, strict=True):
                run.advance(product[:, None])
            done += 1
            if progress is not None:
                progress(done, total)
        runs += group
    return runs


def _product(times_matrix: Callable[[Array], Array], columns: Array) -> Array:
    products = np.asarray(times_matrix(columns), dtype=np.float64)
    if products.shape != columns.shape or not np.isfinite(products).all():
        found = f"shape {products.shape}" if products.shape != columns.shape else "NaN or infinity"
        raise SkipbenchError(
            f"estimate_spectrum: times_matrix took columns of shape {columns.shape} to {found}, but n rows stay n finite rows"
        )
    return products


def _extremes(probes: Sequence[Lanczos], labels: Sequence[Lanczos]) -> ExtremeEigenvalues:
    """Every Ritz value lies between the eigenvalues, so the outermost ones count; how much may be missing, the first start says."""
    first = probes[0].extremes(row_sum=math.inf)
    values = [run.ritz_values() for run in (*probes, *labels)]
    largest, smallest = max(float(each[-1]) for each in values), max(0.0, min(float(each[0]) for each in values))
    low = max(0.0, first.smallest_low)
    return replace(
        first,
        largest=largest,
        largest_high=max(largest, first.largest_high),
        smallest=smallest,
        smallest_low=min(low, smallest),
        smallest_high=smallest,
    )


def _effective_dimension(probes: Sequence[Lanczos], n: int, shift: float, rounding: float) -> Estimated:
    """n times the mean over random directions v of vᵀ K (K + shift I)⁻¹ v, which is its expectation."""
    if shift == 0:  # of a matrix of zeros
        return Estimated(0.0, 0.0, 0.0)

    def share(values: Array) -> Array:
        return values / (values + shift)

    def share_above_zero(values: Array) -> Array:
        return share(np.maximum(values, 0.0))

    below = -min(rounding, shift / 2)  # rounding leaves null directions slightly negative
    most = np.array([gauss_rule(run).integral(share_above_zero) for run in probes])
    least = np.array([radau_rule(run, below).integral(share) for run in probes])
    middle = (most + least) / 2
    t = float(stats.t.ppf((1 + LEVEL) / 2, len(probes) - 1)) / math.sqrt(len(probes))
    low, high = least.mean() - t * least.std(ddof=1), most.mean() + t * most.std(ddof=1)
    return Estimated(n * float(middle.mean()), n * max(0.0, float(low)), n * min(1.0, float(high)))


def _decay(run: Lanczos) -> EigenvalueDecay | None:
    values = converged_values(run, CONVERGED)
    return eigenvalue_decay(torch.from_numpy(values.copy()), last=len(values)) if len(values) else None


def _label_conditions(
    runs: Sequence[Lanczos], labels: Sequence[Array], extremes: ExtremeEigenvalues, tolerance: float
) -> dict[str, Estimated]:
    """From the energy above every node of the outputs' rules, each output weighing as much as it has energy."""
    if not runs:
        return {}
    rules = [gauss_rule(run) for run in runs]
    energies = np.array([float(start @ start) for start in labels])
    energies /= energies.sum()
    nodes = np.unique(np.concatenate([rule.nodes for rule in rules]))
    found = {}
    for name, share in LABEL_SHARES.items():
        wanted = share * (1 - 1e-12)  # a sum of shares may miss 1 by rounding
        value = _reached(nodes, _above(rules, energies, nodes), wanted)
        least = _reached(nodes, sum(e * rule.least_above(nodes) for e, rule in zip(energies, rules, strict=True)), wanted)
        most = _reached(nodes, sum(e * rule.most_above(nodes) for e, rule in zip(energies, rules, strict=True)), wanted)
        found[name] = _condition(extremes, value, least, most, tolerance)
    return found


def _above(rules: Sequence[Rule], energies: Array, values: Array) -> Array:
    """The energy that the rules themselves have at and above every value."""
    held = [energy * rule.weights @ (rule.nodes[:, None] >= values) for energy, rule in zip(energies, rules, strict=True)]
    return np.asarray(np.sum(held, axis=0))


def _reached(nodes: Array, energy: Array, wanted: float) -> float:
    """The largest node above which there is as much energy as is wanted; 0 where there is none."""
    enough = np.flatnonzero(energy >= wanted)
    return float(nodes[enough[-1]]) if len(enough) else 0.0


def _condition(extremes: ExtremeEigenvalues, value: float, least: float, most: float, tolerance: float) -> Estimated:
    """λ_max over an eigenvalue that is estimated by `value` and lies between `least` and `most`."""
    number = extremes.largest / value if value > tolerance else math.inf
    low = max(1.0, extremes.largest / most) if most > tolerance else math.inf
    high = extremes.largest_high / least if least > tolerance else math.inf
    return Estimated(number, min(low, number), max(high, number))


def _mean_off_diagonal(times_matrix: Callable[[Array], Array], diagonal: Array, scaling: str) -> float | None:
    n = len(diagonal)
    if not bool((diagonal > 0).all()):
        return None
    if n == 1:
        return 0.0
    ones = np.ones((n, 1)) if scaling == "unit_diagonal" else 1 / np.sqrt(diagonal)[:, None]
    return float((ones.T @ _product(times_matrix, ones)).item() - n) / (n * (n - 1))


def _at_unit_diagonal(times_matrix: Callable[[Array], Array], diagonal: Array) -> Callable[[Array], Array]:
    factors = 1 / np.sqrt(diagonal)[:, None]
    return lambda columns: factors * times_matrix(factors * columns)


def _checked_diagonal(diagonal: ArrayLike, scaling: str) -> Array:
    entries = np.asarray(diagonal, dtype=np.float64)
    if entries.ndim != 1 or len(entries) == 0 or not np.isfinite(entries).all():
        raise SkipbenchError(
            f"estimate_spectrum: diagonal has shape {entries.shape}, but it holds the n finite diagonal entries of the matrix, at least one"
        )
    if scaling not in ("raw", "unit_diagonal"):
        raise SkipbenchError(f"estimate_spectrum: scaling={shown(scaling)}, but it is 'raw' or 'unit_diagonal'")
    if scaling == "unit_diagonal" and not bool((entries > 0).all()):
        row = int(np.flatnonzero(entries <= 0)[0])
        raise SkipbenchError(
            f"estimate_spectrum: diagonal entry {row} is {float(entries[row])!r}, but only a positive diagonal can be scaled to 1: use"
            " scaling='raw', or leave out the inputs whose kernel with themselves is 0"
        )
    return entries


def _label_starts(targets: ArrayLike | None, n: int) -> list[Array]:
    """The columns that are not 0: what has no energy sees nothing."""
    if targets is None:
        return []
    values = np.asarray(targets, dtype=np.float64)
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2 or len(values) != n or not np.isfinite(values).all():
        raise SkipbenchError(f"estimate_spectrum: targets of shape {values.shape}, but finite ones of shape ({n}, outputs) are needed")
    return [column for column in values.T if column.any()]
