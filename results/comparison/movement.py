"""A movement: one thing that is not as it was in the baseline, and whether that is a regression."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "failing", "vanished", "claim", "accuracy", "condition number", "iterations", "missing", "seconds", "memory", "key", "working"
]
Direction = Literal["worse", "better", "changed"]
Value = float | str  # a number (math.inf where infinite or never reached) or a word

KIND_ORDER: tuple[Kind, ...] = (
    "failing",  # status was ok and is not
    "vanished",  # in the baseline, not in the new store
    "claim",  # the verdict on a paper's statement
    "accuracy",
    "condition number",
    "iterations",
    "missing",  # a measurement that is recorded no longer
    "seconds",
    "memory",
    "key",  # the same cell computed from other data or by another version of the code
    "working",  # status was not ok and is
)
_DIRECTION_ORDER: tuple[Direction, ...] = ("worse", "changed", "better")


@dataclass(frozen=True, slots=True)
class RecordPair:
    """The files of one cell in both stores, named after the cell and its key; None where there is none."""

    base: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class Movement:
    """One finding. Cells of one method on one data set that moved alike are one finding; the cell that moved most is shown.

    direction: worse and better where one is the other read backwards, changed where there is no such order. regression: whether
    it makes the comparison fail. cell: where it was seen. measure: what was measured. old, new: its values in the baseline and
    now. change: by how much, in words. size: for the order inside a kind, larger is worse. records: the cell that moved most first.
    """

    kind: Kind
    direction: Direction
    regression: bool
    cell: str
    measure: str
    old: Value
    new: Value
    change: str
    size: float
    records: tuple[RecordPair, ...]


def worst_first(movements: Iterable[Movement]) -> tuple[Movement, ...]:
    """Regressions before the rest, what is worse before what is better, then by kind, then by size; ties by name."""

    def place(movement: Movement) -> tuple[object, ...]:
        rank = (not movement.regression, _DIRECTION_ORDER.index(movement.direction), KIND_ORDER.index(movement.kind))
        size = -movement.size if not math.isnan(movement.size) else 0.0
        return (*rank, size, movement.cell, movement.measure)

    return tuple(sorted(movements, key=place))


def direction_of(change: float, *, better: Literal["higher", "lower"]) -> Direction:
    """What a change for the larger (above 0) or the smaller (below 0) means."""
    if change == 0:
        return "changed"
    return "better" if (change > 0) == (better == "higher") else "worse"
