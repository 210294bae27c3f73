"""Groups of cells on a Dask cluster: the same worker processes, limits and records as in the pool, on other people's machines.

One task is one cell, and as many groups are in flight as the cluster has task slots; a group's next cell is sent to the worker that has
its kernel matrices. So each record arrives, and is kept, the moment its cell ends, and a Dask worker that dies costs only the cells
that it was running: Dask gives these to another. A cell whose workers die again and again is tried once more with nothing else in
flight, since Dask also suspects every cell that ran beside it; if that ends the same way, its record says so.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from uuid import uuid4

from skipbench.checks import SkipbenchError
from skipbench.results.record import CellRecord
from skipbench.runner.dask_workers import CellDone, CellTask, run_cell
from skipbench.runner.messages import PlannedCell
from skipbench.runner.worker_process import WATCH_SECONDS, Limits, ended_record

if TYPE_CHECKING:
    from distributed import Client, Future

_LOOK_SECONDS = 2.0
_NO_WORKER_SECONDS = 120.0
_GATHER_SECONDS = 30.0


@dataclass
class _Group:
    """Cells that share kernel matrices, and the Dask worker that has these. alone: a suspect, tried with nothing beside it."""

    cells: deque[PlannedCell]
    alone: bool = False
    address: str | None = None
    name: str = field(default_factory=lambda: uuid4().hex)


@dataclass(frozen=True)
class _InFlight:
    planned: PlannedCell
    group: _Group
    place: str | None
    since: float

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.since


class DaskCells:
    """Runs groups of cells on the workers of a Dask client and yields each record as it comes.

    threads: of torch, numba and BLAS in a cell's process, the same on every worker, so that results do not depend on where a cell ran.
    """

    def __init__(self, client: Client, *, threads: int, limits: Limits) -> None:
        self._client, self._threads, self._limits = client, threads, limits
        self._groups: deque[_Group] = deque()
        self._suspects: deque[PlannedCell] = deque()
        self._in_flight: dict[Future, _InFlight] = {}
        self._slots: dict[str, int] = {}
        self._looked = self._had_workers = time.monotonic()

    @property
    def running(self) -> list[tuple[PlannedCell, float]]:
        """The cells in flight and their seconds so far."""
        return [(item.planned, item.seconds) for item in self._in_flight.values()]

    def run(self, groups: Sequence[Sequence[PlannedCell]]) -> Iterator[CellRecord | None]:
        """Records in the order in which they end; None when nothing ended for a moment, so that a display can move on.

        Raises SkipbenchError where the scheduler goes away, where no worker is left, and where one cannot run cells at all.
        """
        self._groups = deque(_Group(deque(group)) for group in groups)
        self._suspects.clear()
        self._had_workers = time.monotonic()
        try:
            self._look_at_workers()
            self._fill()
            while self._in_flight:
                yield from self._next_records()
                self._fill()
        finally:
            for future in self._in_flight:
                future.release()  # a worker stops what nobody waits for
            self._in_flight = {}

    def _fill(self) -> None:
        """Start as many groups as there are free slots; a suspect only when nothing else is left."""
        while self._groups and len(self._in_flight) < max(1, sum(self._slots.values())):
            self._submit(self._groups.popleft())
        if self._suspects and not self._in_flight:
            self._submit(_Group(deque([self._suspects.popleft()]), alone=True))

    def _submit(self, group: _Group) -> None:
        """Send the next cell of a group; where its place is gone, Dask takes another."""
        planned, place = group.cells.popleft(), self._place(group)
        future = self._client.submit(
            run_cell,
            CellTask(planned, group.name, not group.cells, self._threads, self._limits),
            key=f"skipbench-cell-{uuid4().hex}",
            pure=False,
            workers=None if place is None else [place],
            allow_other_workers=place is not None,
        )
        self._in_flight[future] = _InFlight(planned, group, place, time.monotonic())

    def _place(self, group: _Group) -> str | None:
        """The worker that has the group's matrices if it has a free slot, else the one with most of them. Dask would go by what it takes
        to be each worker's load, and put a new group in the way of another's next cell."""
        taken = Counter(item.place for item in self._in_flight.values())
        free = {address: slots - taken[address] for address, slots in self._slots.items()}
        if group.address is not None and free.get(group.address, 0) > 0:
            return group.address
        return max(free, key=lambda address: free[address], default=None)

    def _next_records(self) -> Iterator[CellRecord | None]:
        ended = False
        for future in self._ended_futures():
            record = self._taken(future)
            if record is not None:
                ended = True
                yield record
        if not ended:
            if time.monotonic() - self._looked > _LOOK_SECONDS:
                self._look_at_workers()
            yield None

    def _ended_futures(self) -> list[Future]:
        from distributed import wait
        from distributed.client import CancelledError

        try:
            with self._client.as_current():  # wait() takes no client
                return list(wait(list(self._in_flight), timeout=WATCH_SECONDS, return_when="FIRST_COMPLETED").done)
        except TimeoutError:
            return []
        except CancelledError as error:
            raise _scheduler_left() from error

    def _taken(self, future: Future) -> CellRecord | None:
        """The record of a task that ended, its group's next cell already on its way; None where the cell will be tried again."""
        from distributed import KilledWorker

        item = self._in_flight[future]
        try:
            done = _result(future)
        except TimeoutError:  # its worker died before it could hand the record over, and Dask runs the cell again
            return None
        except KilledWorker:
            record = self._killed(item)
        else:
            item.group.address, record = done.address, done.record
        del self._in_flight[future]
        future.release()  # or Dask would compute it again should its worker die
        if item.group.cells:
            self._submit(item.group)
        return record

    def _killed(self, item: _InFlight) -> CellRecord | None:
        """The record of a cell whose workers died again and again while nothing ran beside it; else None, and it is tried that way."""
        if not item.group.alone:
            item.group.address = None
            self._suspects.append(replace(item.planned, coming=()))  # the rest of its group goes on elsewhere
            return None
        reason = "every Dask worker that ran this cell ended with it, at last with none beside it (the system may have run out of memory)"
        return ended_record(item.planned, "failed", reason, item.seconds, item.planned.blank.environment)

    def _look_at_workers(self) -> None:
        """Take note of who came and who left; without any worker for long, stop."""
        self._looked = time.monotonic()
        try:
            self._slots = dict(self._client.nthreads())
        except OSError as error:  # Dask's own errors of a connection are such, and so is a timeout
            raise _scheduler_left() from error
        if self._slots:
            self._had_workers = self._looked
        elif self._looked - self._had_workers > _NO_WORKER_SECONDS:
            raise SkipbenchError(
                f"the Dask cluster has had no worker for {_NO_WORKER_SECONDS:.0f} s: start some with `dask worker ADDRESS` and give the "
                "same command again; finished cells are kept"
            )


def _result(future: Future) -> CellDone:
    """What a task returned. A cell never fails its task, so an error here stands between us and every cell on that worker."""
    from distributed import KilledWorker
    from distributed.client import CancelledError

    try:
        done: CellDone = future.result(timeout=_GATHER_SECONDS)
    except (KilledWorker, TimeoutError):
        raise
    except CancelledError as error:
        raise _scheduler_left() from error
    except Exception as error:
        words = str(error) if isinstance(error, SkipbenchError) else f"{type(error).__name__}: {error}"
        raise SkipbenchError(
            f"a Dask worker cannot run cells: {words} (every worker needs the same skipbench; finished cells are kept)"
        ) from error
    return done


def _scheduler_left() -> SkipbenchError:
    return SkipbenchError("the Dask scheduler no longer answers: start it and give the same command again; finished cells are kept")
