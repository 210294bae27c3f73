"""Condition numbers and iteration counts that moved: both follow from eigenvalues alone, so the same code gives the same numbers.

How closely they repeat. A rounding of the matrix and of its eigendecomposition moves every eigenvalue by at most c u λ_max (Weyl), u the
unit roundoff of the type in which the kernel was computed. So λ_min/λ_max = 1/κ moves by at most c u, and so does 1/t of an iteration
count t to a loss reduction of 90 % or more, which is at least λ_max/λ of the direction that decides it. Two numbers are equal here if

    |1/old - 1/new| <= ROUNDING u     or     they differ by a factor of at most 1 + 1e-6,

with ROUNDING = 10: between 1 and 2 threads the 132 spectra of the suite quick moved by at most 0.2 u, their counts by 0.01 u. In float64
that is 1e-6 for κ up to 4e8; beyond, κ cannot be reproduced to 1e-6 on another machine. An infinite κ (λ_min < n eps λ_max) may be any
λ_min up to that bound, which for a κ at the bound is no change.

A count is the integer at or above a real number that moves by δ = ROUNDING u t² steps, so it changes by one with a probability of at
most δ: one step is allowed where δ > 1e-4, that is beyond 2e5 steps in float64.

Counts of trained networks are measured, not computed: they repeat with the same seeds, machine class, threads and libraries (all 96
networks of quick did), and are compared there only.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from skipbench.results.comparison.matching import CellPair, cell_label, grouped
from skipbench.results.comparison.movement import Direction, Kind, Movement
from skipbench.results.record import CellRecord
from skipbench.results.words import counted

TOLERANCE = 1e-6
ROUNDING = 10.0
_EPSILON = float(np.finfo(np.float64).eps)
_LARGEST = 10**300  # a record may hold a whole number that no float can
_SCALINGS = {"raw": "condition number", "unit_diagonal": "condition number at unit diagonal"}
_REDUCTIONS = {"iterations_90": "90 %", "iterations_99": "99 %", "iterations_99_9": "99.9 %"}


@dataclass(frozen=True, slots=True)
class Count:
    """One deterministic number of a cell. value: inf where it is infinite or never reached. is_step: whether it is a whole number."""

    kind: Kind
    value: float
    is_step: bool


@dataclass(frozen=True, slots=True)
class MovedCount:
    """A count in both stores. ratio: new / old, 0 or inf where one is infinite."""

    pair: CellPair
    measure: str
    old: Count
    new: Count
    ratio: float


def count_movements(pairs: Iterable[CellPair]) -> tuple[Movement, ...]:
    """Every condition number and iteration count that moved, one movement for each method, data set, measure and direction."""
    found: list[Movement] = []
    for group in grouped(pairs).values():
        moved: dict[tuple[str, bool], list[MovedCount]] = defaultdict(list)
        for pair in group:
            old, new = _comparable_counts(pair)
            for measure in old.keys() & new.keys():
                if not are_equal(old[measure], new[measure], pair.base):
                    ratio = _ratio(old[measure].value, new[measure].value)
                    moved[measure, ratio > 1].append(MovedCount(pair, measure, old[measure], new[measure], ratio))
            found += _missing(pair, old, new)
        found += [_movement(counts) for counts in moved.values()]
    return tuple(found)


def counts_of(record: CellRecord) -> dict[str, Count]:
    """The condition numbers (of the matrix without ridge, raw and at unit diagonal) and iteration counts of a record, by name."""
    counts: dict[str, Count] = {}
    if record.spectrum is not None:
        for matrix in record.spectrum.matrices:
            if matrix.ridge == 0.0:
                counts[_SCALINGS[matrix.scaling]] = Count("condition number", _or_infinite(matrix.condition_number), is_step=False)
    if record.convergence is not None:
        for name, reduction in _REDUCTIONS.items():
            value = _or_infinite(getattr(record.convergence, name))
            counts[f"iterations to {reduction}"] = Count("iterations", value, is_step=True)
    return counts


def are_equal(old: Count, new: Count, record: CellRecord) -> bool:
    """Whether two counts of one cell differ by no more than rounding explains; record: one of the two, for its size and type."""
    low, high = sorted((old.value, new.value))
    if low == high:
        return True
    if high <= low * (1 + TOLERANCE):
        return True
    allowed = ROUNDING * _unit_roundoff(record)
    if old.is_step and high - low <= 1 and allowed * low**2 > 1e-4:
        return True
    limit = _size(record) * _EPSILON
    reciprocal = min(limit, 1 / low) if math.isinf(high) and low > 0 else 1 / high
    return 1 / max(low, 0.5) - reciprocal <= allowed


def _comparable_counts(pair: CellPair) -> tuple[dict[str, Count], dict[str, Count]]:
    """The counts of both records, without those of a network where its arithmetic does not repeat."""
    old, new = counts_of(pair.base), counts_of(pair.new)
    if pair.same_arithmetic:
        return old, new
    measured = any(record.convergence and record.convergence.source == "measured" for record in (pair.base, pair.new))
    if not measured:
        return old, new
    old, new = ({name: count for name, count in counts.items() if count.kind != "iterations"} for counts in (old, new))
    return old, new


def _missing(pair: CellPair, old: dict[str, Count], new: dict[str, Count]) -> list[Movement]:
    """What only one of the two records holds."""
    gone, added = sorted(old.keys() - new.keys()), sorted(new.keys() - old.keys())
    found = []
    for names, direction in ((gone, "worse"), (added, "better")):
        if names:
            is_gone = direction == "worse"
            found.append(
                Movement(
                    kind="missing",
                    direction="worse" if is_gone else "better",
                    regression=is_gone,
                    cell=cell_label(pair.base),
                    measure=", ".join(names),
                    old="recorded" if is_gone else "not recorded",
                    new="not recorded" if is_gone else "recorded",
                    change="measured no longer" if is_gone else "measured now",
                    size=float(len(names)),
                    records=(pair.names,),
                )
            )
    return found


def _movement(counts: Sequence[MovedCount]) -> Movement:
    worst = max(counts, key=lambda count: (_distance(count.ratio), cell_label(count.pair.base)))
    direction: Direction = "worse" if worst.ratio > 1 else "better"
    others = f"; {counted(len(counts) - 1, 'more cell')}" if len(counts) > 1 else ""
    ordered = [worst, *(count for count in counts if count is not worst)]
    return Movement(
        kind=worst.old.kind,
        direction=direction,
        regression=direction == "worse",
        cell=cell_label(worst.pair.base),
        measure=worst.measure,
        old=worst.old.value,
        new=worst.new.value,
        change=_change_text(worst) + others,
        size=_distance(worst.ratio),
        records=tuple(count.pair.names for count in ordered),
    )


def _change_text(moved: MovedCount) -> str:
    if math.isinf(moved.new.value):
        return "infinite now" if moved.old.kind == "condition number" else "never reached now"
    if math.isinf(moved.old.value):
        return "finite now" if moved.old.kind == "condition number" else "reached now"
    if 0.5 < moved.ratio < 2:
        return f"{100 * (moved.ratio - 1):+.3g} %"
    return f"x {moved.ratio:.3g}"


def _distance(ratio: float) -> float:
    """How far a ratio is from 1, the same for its reciprocal."""
    return abs(math.log(ratio)) if 0 < ratio < math.inf else math.inf


def _ratio(old: float, new: float) -> float:
    if math.isinf(new):
        return math.inf
    return 0.0 if math.isinf(old) else new / old if old > 0 else math.inf


def _or_infinite(value: float | None) -> float:
    return math.inf if value is None else float(max(0, min(value, _LARGEST)))


def _size(record: CellRecord) -> int:
    return record.dataset.n_train if record.spectrum is None else record.spectrum.n


def _unit_roundoff(record: CellRecord) -> float:
    """Of the type in which the kernel was computed."""
    dtype = record.dtype if record.spectrum is None else record.spectrum.dtype
    return float(np.finfo(np.float32).eps) if dtype == "float32" else _EPSILON
