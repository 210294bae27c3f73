"""What a store will take, counted before anything is computed, and refused where the machine does not have it."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

from skipbench.checks import SkipbenchError, shown
from skipbench.kernels.stored.layout import CHECKSUM_BYTES, MATRICES
from skipbench.kernels.stored.plan import TilePlan


@dataclass(frozen=True, slots=True)
class TileCost:
    """Bytes of one tile of `plan`, n_variants matrices of each kind; row_bytes: one input; working_bytes: of `kernel_matrices`."""

    plan: TilePlan
    n_variants: int
    itemsize: int
    row_bytes: int
    working_bytes: int

    @property
    def disk(self) -> int:
        """Bytes of a stored tile: its chunks with their checksums."""
        return len(MATRICES) * self.n_variants * (self._entries * self.itemsize + CHECKSUM_BYTES)

    @property
    def matrices(self) -> int:
        """Bytes of a tile's numbers, both kinds."""
        return len(MATRICES) * self.n_variants * self._entries * self.itemsize

    @property
    def inputs(self) -> int:
        """Bytes of the rows of a tile."""
        return sum(self.plan.chunk) * self.row_bytes

    @property
    def memory(self) -> int:
        """Bound on the memory of computing and writing one tile, whatever n and m are.

        The numbers twice (one by one, then stacked) and one chunk twice more while it is written; the inputs three times (as
        given, in the kernel's dtype, and in torch's memory); the engine's working memory.
        """
        chunk = self._entries * self.itemsize
        return 2 * self.matrices + 2 * chunk + 3 * self.inputs + self.working_bytes

    @property
    def in_flight(self) -> int:
        """Bytes that a tile on a worker takes in the process that collects it: its rows, and its numbers when they come back."""
        return self.inputs + self.matrices

    @property
    def _entries(self) -> int:
        return math.prod(self.plan.chunk)


def check_disk(cost: TileCost, n_tiles: int, path: Path) -> None:
    """Raise SkipbenchError where the disk of the path has no room for so many more tiles."""
    needed = n_tiles * cost.disk
    existing = next(place for place in (path, *path.absolute().parents) if place.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise SkipbenchError(
            f"store={shown(str(path))} needs {readable_bytes(needed)} more for {n_tiles} tiles, and its disk has "
            f"{readable_bytes(free)} free: use another disk, fewer depths or readouts, or dtype=torch.float32"
        )


def check_memory(cost: TileCost, *, workers_here: int = 1, in_flight: int = 0) -> None:
    """Raise SkipbenchError where a tile does not fit the memory that is free.

    workers_here: processes on this machine that compute a tile each. in_flight: tiles whose inputs and results this process holds.
    """
    needed = workers_here * cost.memory + in_flight * cost.in_flight
    available = psutil.virtual_memory().available
    if needed > available:
        side = " x ".join(str(count) for count in cost.plan.chunk)
        at_once = f" on each of {workers_here} workers" if workers_here > 1 else ""
        raise SkipbenchError(
            f"a tile of {side} with {cost.n_variants} matrices of each kind takes up to {readable_bytes(cost.memory)} of memory{at_once}, "
            f"{readable_bytes(needed)} in all, and {readable_bytes(available)} are available: use a smaller tile "
            f"(tile={max(1, cost.plan.side // 2)}), smaller working_bytes (now {cost.working_bytes}), or fewer workers"
        )


def readable_bytes(count: float) -> str:
    """`512 B`, `3.2 MB` or `41 GB`, in powers of ten."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB" if count < 1e6 else f"{count:,.0f} TB"
