"""What runs inside the workers of a Dask cluster: each cell in a watched child process of its own, as in the pool.

A Dask worker cannot stop a task that runs in one of its threads, so the limits of a cell are kept by the child process. The child
outlives the task for a moment: the next cell of the group finds its kernel matrices there.
"""

from __future__ import annotations

import importlib.metadata
import threading
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from skipbench.checks import SkipbenchError
from skipbench.results.record import CellRecord
from skipbench.runner.messages import PlannedCell
from skipbench.runner.worker_process import WATCH_SECONDS, Limits, Worker
from skipbench.trainers.devices import resolve_device

if TYPE_CHECKING:
    from distributed import Worker as DaskWorker

IDLE_SECONDS = 20.0
_MEMORY_SHARE = 0.9


@dataclass(frozen=True)
class CellTask:
    """A cell for a Dask worker. group: which cells share kernel matrices with it. last: none of them comes after this one."""

    planned: PlannedCell
    group: str
    last: bool
    threads: int
    limits: Limits


@dataclass(frozen=True)
class CellDone:
    """A record, and the Dask worker that has the kernel matrices of its group."""

    record: CellRecord
    address: str


@dataclass(frozen=True)
class WorkerFacts:
    """What one Dask worker has: its version of skipbench, its machine's cores, the bytes for each of its task slots, and the device."""

    version: str
    cores: int
    slots: int
    bytes_per_slot: int
    device: str


def worker_facts(device: str, dask_worker: DaskWorker) -> WorkerFacts:
    """Facts about the Dask worker that this runs in (Dask gives it by its name). Raises SkipbenchError for a device that it lacks."""
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    slots = dask_worker.state.nthreads
    allowed = dask_worker.memory_manager.memory_limit or MEMORY_LIMIT
    bytes_per_slot = int(allowed * _MEMORY_SHARE / slots)
    return WorkerFacts(importlib.metadata.version("skipbench"), CPU_COUNT, slots, bytes_per_slot, str(resolve_device(device)))


def run_cell(task: CellTask) -> CellDone:
    """Run one cell in a child process of this Dask worker; whatever goes wrong in it is in its record.

    Raises SkipbenchError where a child process cannot start, and where nobody waits for the record any more.
    """
    from distributed import get_worker

    dask_worker = get_worker()
    key = dask_worker.get_current_task()

    def is_wanted() -> bool:
        state = dask_worker.state.tasks.get(key)
        return state is not None and state.state != "cancelled"

    child = _children.take(task.group, task.threads)
    try:
        while True:
            record = _step(child, task)
            if record is not None:
                return CellDone(record, dask_worker.address)
            if not is_wanted():  # the client left or was killed: nobody would take the record
                child.close()
                raise SkipbenchError("the run that asked for this cell has ended")
    finally:
        _children.give_back(child, None if task.last else task.group)


def _step(child: Worker, task: CellTask) -> CellRecord | None:
    """Look once at the child; the record where its cell has ended."""
    if child.ready:
        child.start(task.planned)
    return child.heard() if wait([child.connection], timeout=WATCH_SECONDS) else child.overdrawn(task.limits)


class _IdleChildren:
    """Child processes between two cells; one that waits too long is closed, since the run may have ended without a word."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[Worker, tuple[str | None, threading.Timer]] = {}

    def take(self, group: str, threads: int) -> Worker:
        """The child that ran this group's cell before, or one whose group has ended, or a new one."""
        with self._lock:
            fitting = {child: its for child, (its, _) in self._idle.items() if child.threads == threads and its in (group, None)}
            for child in sorted(fitting, key=lambda child: fitting[child] is None):
                self._idle.pop(child)[1].cancel()
                if child.alive:
                    return child
                child.close()
        return Worker(threads)

    def give_back(self, child: Worker, group: str | None) -> None:
        """Keep it for the next cell, unless it has ended or was left in the middle of one."""
        if not child.ready:
            child.close()
            return
        timer = threading.Timer(IDLE_SECONDS, self._expire, [child])
        timer.daemon = True
        with self._lock:
            self._idle[child] = group, timer
        timer.start()

    def _expire(self, child: Worker) -> None:
        with self._lock:
            expired = self._idle.pop(child, None)
        if expired is not None:
            child.close()


_children = _IdleChildren()  # of this process, which is one Dask worker
