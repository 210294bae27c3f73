"""What the runner and its workers tell each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from skipbench.architecture import Architecture
from skipbench.cells import Cell
from skipbench.results.record import CellRecord, Environment


@dataclass(frozen=True)
class Hello:
    """A worker has imported what it needs and waits for its first cell."""

    environment: Environment


@dataclass(frozen=True)
class PlannedCell:
    """A cell with its record key, and the record as it is before anything was measured (status `failed`, no metrics).

    coming: architectures that later cells of its group need on the same split, so that one pass can compute their kernels as well.
    checkpoint_dir: where a long training leaves what it needs to go on if the run is killed; None where nothing is kept.
    """

    cell: Cell
    blank: CellRecord
    coming: tuple[Architecture, ...] = ()
    checkpoint_dir: Path | None = None

    @property
    def key(self) -> str:
        """The record key."""
        return self.blank.key


@dataclass(frozen=True)
class Finished:
    """A cell came to an end, well or not; the worker lives on."""

    record: CellRecord
