"""Seconds and memory that moved: wide thresholds, and only between runs on one class of machine with the same threads.

A cell's seconds are its phases without warm-up and without phases whose seconds were spent once for several cells in either store. The
cells of one method on one data set are judged together by the median of their ratios, so that a single hiccup counts for nothing.

    worse if    median(new/old) >= ratio max(1, machine)    and    median(new - old) >= seconds

`machine` is the median of these medians over all groups: what slows everything down is the machine (another process, a hot processor),
not a method. Where that alone reaches `ratio`, one movement says so for all cells together. With fewer than three cells no median
discards the first cell of a worker, which also imports libraries (seen: 3 s), so the extra seconds must then reach WARM_UP_SECONDS.
A rerun of quick beside other work differed from its records by a factor of 1.6 in the median of 36 groups and by up to 2.1 in single
ones, which is at most 1.34 relative to the median.

Memory is the largest resident set of the worker, which holds the libraries (400 MB) and what earlier cells left behind; hence its own,
wider ratio and least bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from skipbench.checks import SkipbenchError
from skipbench.results.comparison.matching import CellPair, grouped, label_of_several
from skipbench.results.comparison.movement import Direction, Kind, Movement
from skipbench.results.frame import NOT_COUNTED_PHASES
from skipbench.results.record import CellRecord
from skipbench.results.words import counted

WARM_UP_SECONDS = 4.0
_FEWEST_GROUPS = 5  # fewer say nothing about the machine
_SHORTEST_SECONDS, _LONGEST_SECONDS = 1e-6, 1e12  # beyond these it is no measurement, whatever a record says
_MOST_BYTES = 2**60


@dataclass(frozen=True, slots=True)
class CostLimits:
    """From where on a cost has moved. ratio: of seconds. seconds: the least extra of a cell. memory_ratio, memory_bytes: of memory."""

    ratio: float = 2.0
    seconds: float = 0.2
    memory_ratio: float = 2.5
    memory_bytes: int = 256 * 2**20

    def __post_init__(self) -> None:
        for name in ("ratio", "memory_ratio"):
            value = getattr(self, name)
            if not 1 < value < math.inf:
                raise SkipbenchError(f"{name}={value!r}: a threshold for how many times a cost may grow is a number above 1, such as 2")


@dataclass(frozen=True, slots=True)
class Cost:
    """A cost of one method on one data set, in both stores, cell by cell. ratio, extra: medians; the ratio's over logarithms."""

    pairs: tuple[CellPair, ...]
    old: tuple[float, ...]
    new: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """The median of new / old, the same read backwards."""
        logarithms = [math.log(new) - math.log(old) for old, new in zip(self.old, self.new, strict=True)]
        return math.exp(median(logarithms))

    @property
    def extra(self) -> float:
        """The median of new - old."""
        return median(new - old for old, new in zip(self.old, self.new, strict=True))


def are_comparable(pair: CellPair) -> bool:
    """Whether seconds and bytes of the two may be compared."""
    first, second = pair.base.environment, pair.new.environment
    return (first.machine_class, first.threads.torch) == (second.machine_class, second.threads.torch)


def cost_movements(pairs: Iterable[CellPair], limits: CostLimits) -> tuple[Movement, ...]:
    """What became slower, faster, larger or smaller beyond the limits, one movement for each method and data set."""
    groups = list(grouped(pair for pair in pairs if are_comparable(pair)).values())
    seconds = [cost for group in groups if (cost := _cost(group, _clocked_seconds))]
    memory = [cost for group in groups if (cost := _cost(group, _host_bytes))]
    return (*_moved_seconds(seconds, limits), *_moved_memory(memory, limits))


def counted_seconds(pair: CellPair) -> tuple[float, float]:
    """The seconds of both records: all phases but warm-up and those that either shares with other cells."""
    left_out = {*NOT_COUNTED_PHASES, *pair.base.shared_phases, *pair.new.shared_phases}

    def total(record: CellRecord) -> float:
        return sum(seconds for phase, seconds in record.phases.items() if phase not in left_out)

    return total(pair.base), total(pair.new)


def _clocked_seconds(pair: CellPair) -> tuple[float, float]:
    if not pair.base.phases or not pair.new.phases:
        return 0.0, 0.0
    old, new = (min(_LONGEST_SECONDS, max(_SHORTEST_SECONDS, seconds)) for seconds in counted_seconds(pair))
    return old, new


def _host_bytes(pair: CellPair) -> tuple[float, float]:
    def largest(record: CellRecord) -> float:
        return float(min(_MOST_BYTES, record.peak_memory.host_bytes)) if record.peak_memory else 0.0

    return largest(pair.base), largest(pair.new)


def _cost(group: Sequence[CellPair], measured: Callable[[CellPair], tuple[float, float]]) -> Cost | None:
    """The cost of a group, of those cells where both stores have it."""
    rows = [(pair, *values) for pair in group if min(values := measured(pair)) > 0]
    if not rows:
        return None
    kept, old, new = zip(*rows, strict=True)
    return Cost(tuple(kept), tuple(old), tuple(new))


def _moved_seconds(costs: Sequence[Cost], limits: CostLimits) -> list[Movement]:
    machine = math.exp(median(math.log(cost.ratio) for cost in costs)) if len(costs) >= _FEWEST_GROUPS else 1.0
    found = []
    for cost in costs:
        least = limits.seconds if len(cost.pairs) > 2 else max(limits.seconds, WARM_UP_SECONDS)
        direction = _direction(cost, limits.ratio, least, machine)
        if direction is not None:
            beside = "" if 0.8 < machine < 1.25 else f", all groups x {machine:.2g}"
            found.append(_movement("seconds", "seconds", cost, direction, beside))
    if max(machine, 1 / machine) >= limits.ratio:
        found.append(_everything(costs, machine))
    return found


def _moved_memory(costs: Sequence[Cost], limits: CostLimits) -> list[Movement]:
    directions = ((cost, _direction(cost, limits.memory_ratio, limits.memory_bytes, 1.0)) for cost in costs)
    return [_movement("memory", "peak memory", cost, direction, "") for cost, direction in directions if direction is not None]


def _direction(cost: Cost, ratio: float, least: float, machine: float) -> Direction | None:
    if cost.extra >= least and cost.ratio >= ratio * max(1.0, machine):
        return "worse"
    if -cost.extra >= least and 1 / cost.ratio >= ratio * max(1.0, 1 / machine):
        return "better"
    return None


def _movement(kind: Kind, measure: str, cost: Cost, direction: Direction, beside: str) -> Movement:
    changes = [new / old for old, new in zip(cost.old, cost.new, strict=True)]
    order = sorted(range(len(changes)), key=lambda index: changes[index], reverse=direction == "worse")
    return Movement(
        kind=kind,
        direction=direction,
        regression=direction == "worse",
        cell=label_of_several([pair.base for pair in cost.pairs]),
        measure=measure + (", median" if len(changes) > 1 else ""),
        old=median(cost.old),
        new=median(cost.new),
        change=f"x {cost.ratio:.3g}{beside}",
        size=max(cost.ratio, 1 / cost.ratio),
        records=tuple(cost.pairs[index].names for index in order),
    )


def _everything(costs: Sequence[Cost], machine: float) -> Movement:
    """One movement for all cells: either the machine or something that every method uses."""
    pairs = [pair for cost in costs for pair in cost.pairs]
    direction: Direction = "worse" if machine > 1 else "better"
    return Movement(
        kind="seconds",
        direction=direction,
        regression=direction == "worse",
        cell=f"everything ({counted(len(pairs), 'cell')}, {counted(len(costs), 'group')})",
        measure="seconds, sum",
        old=sum(sum(cost.old) for cost in costs),
        new=sum(sum(cost.new) for cost in costs),
        change=f"x {machine:.3g} in the median: the machine, or what every method uses",
        size=max(machine, 1 / machine),
        records=tuple(pair.names for pair in pairs),
    )
