"""Test accuracies that moved beyond noise: seed noise where a method draws random numbers, single test rows where it does not.

Cells of one method on one data set are judged together. With d_i = new - old of the i-th of N cells:

**Methods with a seed** (networks, forests). An unchanged method on another machine is as good as one with other seeds, since training
amplifies roundings. So d_i has variance 2σ², σ² the variance over the seeds of one split, pooled over the splits of both stores with
f degrees of freedom (k - 1 for k seeds), and

    mean(d) / sqrt(2 σ²/N)  is distributed as Student's t with f degrees of freedom.

It counts beyond the quantile of level 1 - FALSE_ALARM/G, where G is the number of such groups, so that in a comparison of unchanged code
the probability of any false regression, over all groups together, is at most FALSE_ALARM = 0.5 % if the noise is normal (150 simulated
reruns of the suite quick on another machine, rounded to test rows, gave 1). A mean change of at most one test row never counts, since few
test rows make the noise coarse. With one seed a split there is no spread to learn from, and independent test rows stand in for it:
σ² = p(1 - p)/n_test at the mean accuracy p, with the normal quantile.

**Methods without a seed** (kernels, logistic regression) repeat to the last bit on one class of machine with the same threads and
libraries, so there any lost row counts: the false-alarm rate is 0 (72 kernel cells and 96 networks of the suite quick, run again: every
accuracy equal). Elsewhere one flipped row over all N cells is allowed. A row flips if its two largest outputs differ by a rounding: for
outputs spread over [0, 1] with a probability of about q = 1e-12 in float64, 1e-5 in float32. Two flips among R test rows, a false
regression, then have a probability of about (q R)²/2: 5e-5 for R = 1000 in float32, and none to speak of in float64. Rows won and lost
are counted apart, so that equally many do not hide each other.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from skipbench.results.comparison.matching import CellPair, grouped, label_of_several
from skipbench.results.comparison.movement import Direction, Movement, direction_of
from skipbench.results.record import CellRecord
from skipbench.results.words import accuracy_text

FALSE_ALARM = 0.005
_NAMES = ("accuracy", "test_accuracy")  # the first of them that a record has
_ROUNDING = 1e-9  # accuracies are quotients of small integers: what differs by less is equal


@dataclass(frozen=True, slots=True)
class ScoredPair:
    """A pair with its two accuracies and how many test rows they are over."""

    pair: CellPair
    old: float
    new: float
    rows: int

    @property
    def difference(self) -> float:
        """New minus old."""
        return self.new - self.old


def accuracy_movements(pairs: Iterable[CellPair]) -> tuple[Movement, ...]:
    """What moved beyond noise, one movement for each method and data set; the rule is that of the module."""
    groups = [scored for group in grouped(pairs).values() if (scored := _scored(group))]
    seeded = [group for group in groups if group[0].pair.base.seeds.init is not None]
    unseeded = [group for group in groups if group[0].pair.base.seeds.init is None]
    level = FALSE_ALARM / max(1, len(seeded))
    found = [*(_beyond_seed_noise(group, level) for group in seeded), *(_beyond_flipped_rows(group) for group in unseeded)]
    return tuple(movement for movement in found if movement is not None)


def accuracy_of(record: CellRecord) -> float | None:
    """The test accuracy of a record, if it has one; a share, whatever the record says."""
    metrics = {metric.name: metric.value for metric in record.metrics}
    return next((min(1.0, max(0.0, metrics[name])) for name in _NAMES if name in metrics), None)


def seed_noise(group: Sequence[ScoredPair], level: float) -> float:
    """How far the mean difference of a group may lie from 0 with probability 1 - level on one side, as a share; at least one test row."""
    one_row = float(np.mean([1 / max(1, scored.rows) for scored in group]))
    variance, freedom = _pooled_variance(group)
    if freedom == 0:
        p = float(np.mean([(scored.old + scored.new) / 2 for scored in group]))
        variance, critical = p * (1 - p) * one_row, stats.norm.isf(level)
    else:
        critical = stats.t.isf(level, freedom)
    return max(one_row, float(critical) * math.sqrt(2 * variance / len(group)))


def _scored(group: Sequence[CellPair]) -> list[ScoredPair]:
    scored = []
    for pair in group:
        old, new = accuracy_of(pair.base), accuracy_of(pair.new)
        if old is not None and new is not None:
            scored.append(ScoredPair(pair, old, new, pair.base.dataset.n_test))
    return scored


def _beyond_seed_noise(group: Sequence[ScoredPair], level: float) -> Movement | None:
    difference = float(np.mean([scored.difference for scored in group]))
    allowed = seed_noise(group, level)
    if abs(difference) <= allowed + _ROUNDING:
        return None
    kind = "seed noise explains" if _pooled_variance(group)[1] else "chance in the test rows explains"
    return _movement(group, direction_of(difference, better="higher"), f"{kind} up to {_points(allowed)}")


def _pooled_variance(group: Sequence[ScoredPair]) -> tuple[float, int]:
    """Variance over the seeds of one split of one store, pooled over splits and stores, and its degrees of freedom."""
    splits: dict[tuple[int, int], list[ScoredPair]] = defaultdict(list)
    for scored in group:
        splits[scored.pair.base.dataset.split, scored.pair.base.seeds.data].append(scored)
    squares, freedom = 0.0, 0
    for cells in splits.values():
        for values in ([cell.old for cell in cells], [cell.new for cell in cells]):
            squares += float(np.sum((np.array(values) - np.mean(values)) ** 2))
            freedom += len(values) - 1
    return (squares / freedom if freedom else 0.0), freedom


def _beyond_flipped_rows(group: Sequence[ScoredPair]) -> Movement | None:
    repeats = all(scored.pair.same_arithmetic for scored in group)
    allowed = 0 if repeats else 1
    rows = [scored.difference * scored.rows for scored in group]
    won, lost = sum(max(0.0, row) for row in rows), sum(max(0.0, -row) for row in rows)
    slack = _ROUNDING * max(1, *(scored.rows for scored in group))
    if max(won, lost) <= allowed + slack:
        return None
    net = won - lost if abs(won - lost) > slack else 0.0
    why = "without seeds nothing may move" if repeats else "1 flipped row is allowed on another machine, other threads or libraries"
    return _movement(group, direction_of(net, better="higher"), f"{lost:.4g} test rows lost, {won:.4g} won; {why}")


def _movement(group: Sequence[ScoredPair], direction: Direction, why: str) -> Movement:
    sign = 1 if direction == "better" else -1
    moved = sorted((scored for scored in group if scored.difference), key=lambda scored: -sign * scored.difference)
    if direction == "changed":
        moved.sort(key=lambda scored: -abs(scored.difference))
    old, new = (float(np.mean([getattr(scored, side) for scored in group])) for side in ("old", "new"))
    return Movement(
        kind="accuracy",
        direction=direction,
        regression=direction == "worse",
        cell=label_of_several([scored.pair.base for scored in group]),
        measure="test accuracy in %" + (", mean" if len(group) > 1 else ""),
        old=old,
        new=new,
        change=f"{100 * (new - old):+.3g} points ({why})",
        size=abs(new - old),
        records=tuple(scored.pair.names for scored in moved),
    )


def _points(share: float) -> str:
    return f"{accuracy_text(share)} points" if share < 10 else "anything"
