"""Worker processes under watch: a cell that takes too long, too much memory, or the whole process down ends alone.

Importing torch costs more than most cells, so a worker is reused until it has to be stopped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import wait

from skipbench.results.record import CellRecord
from skipbench.runner.messages import PlannedCell
from skipbench.runner.worker_process import WATCH_SECONDS, Limits, Worker

_Group = deque[PlannedCell]


class WorkerPool:
    """Runs groups of cells in `jobs` workers of this machine and yields each record as it comes."""

    def __init__(self, jobs: int, *, threads: int, limits: Limits) -> None:
        self._jobs, self._threads, self._limits = jobs, threads, limits
        self._workers: dict[Worker, _Group] = {}
        self._groups: deque[_Group] = deque()

    @property
    def running(self) -> list[tuple[PlannedCell, float]]:
        """The cells in flight and their seconds so far."""
        return [(worker.running, worker.seconds) for worker in self._workers if worker.running is not None]

    def run(self, groups: Sequence[Sequence[PlannedCell]]) -> Iterator[CellRecord | None]:
        """Records in the order in which they end; None when nothing ended for a moment, so that a display can move on."""
        self._groups = deque(deque(group) for group in groups)
        try:
            for _ in range(min(self._jobs, len(self._groups))):
                self._workers[Worker(self._threads)] = deque()
            while self._workers:
                yield from self._next_records()
        finally:
            for worker in self._workers:
                worker.close()
            self._workers = {}

    def _next_records(self) -> Iterator[CellRecord | None]:
        ready = wait([worker.connection for worker in self._workers], timeout=WATCH_SECONDS)
        ended = False
        for worker in list(self._workers):
            record = worker.heard() if worker.connection in ready else worker.overdrawn(self._limits)
            if worker.closed:
                self._replace(worker)
            elif worker.ready:
                self._go_on(worker)
            if record is not None:
                ended = True
                yield record
        if not ended:
            yield None

    def _go_on(self, worker: Worker) -> None:
        """Give it the next cell of its group, or of a new one; close it where none is left."""
        if not self._workers[worker] and self._groups:
            self._workers[worker] = self._groups.popleft()
        if self._workers[worker]:
            worker.start(self._workers[worker].popleft())
        else:
            worker.close()
            del self._workers[worker]

    def _replace(self, worker: Worker) -> None:
        """A fresh worker for the rest of the group, or for another one."""
        rest = self._workers.pop(worker)
        if rest:
            self._groups.appendleft(rest)
        if self._groups:
            self._workers[Worker(self._threads)] = deque()
