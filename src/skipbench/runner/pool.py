"""Worker processes under watch: a cell that takes too long, too much memory, or the whole process down ends alone.

Importing torch costs more than most cells, so a worker is reused until it has to be stopped.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Pipe, wait
from typing import IO

import psutil

from skipbench.checks import SkipbenchError
from skipbench.environment import thread_variables
from skipbench.results.privacy import without_folders
from skipbench.results.record import CellRecord, Environment, PeakMemory, Status
from skipbench.runner.messages import Finished, Hello, PlannedCell

_WATCH_SECONDS = 0.2
_START_SECONDS = 180.0
_LAST_WORDS_BYTES = 1500


@dataclass(frozen=True)
class Limits:
    """What one cell may take."""

    seconds: float
    bytes: int


class Worker:
    """One child process and the group of cells that it works through."""

    def __init__(self, threads: int) -> None:
        self._words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process lives
        self.connection, theirs = Pipe(duplex=True)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "skipbench.runner.worker", str(theirs.fileno()), str(os.getpid())],
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # a process group of its own
                stdin=subprocess.DEVNULL,
                stdout=self._words,
                stderr=self._words,
                env={**os.environ, **thread_variables(threads)},
            )
        self.environment: Environment | None = None
        self.group: deque[PlannedCell] = deque()
        self.running: PlannedCell | None = None
        self.since = time.monotonic()

    def start_next(self) -> bool:
        """Send the next cell of the group; False when the group is done."""
        self.running = None
        if not self.group:
            return False
        self.running, self.since = self.group.popleft(), time.monotonic()
        self.connection.send(self.running)
        return True

    @property
    def seconds(self) -> float:
        """Since the present cell (or the process) began."""
        return time.monotonic() - self.since

    def resident_bytes(self) -> int:
        """Resident memory of the worker and whatever it started."""
        try:
            process = psutil.Process(self._process.pid)
            return sum(_resident(member) for member in (process, *process.children(recursive=True)))
        except psutil.NoSuchProcess:
            return 0

    def stop(self) -> int:
        """Kill the whole process group; the exit status."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self.connection.close()
        status = self._process.wait()
        return status

    def exit_status(self, patience: float = 5.0) -> int:
        """The exit status of a worker that closed its connection by itself."""
        try:
            return self._process.wait(patience)
        except subprocess.TimeoutExpired:
            return self.stop()

    def last_words(self) -> str:
        """The end of what it printed, without folders."""
        self._words.seek(0, os.SEEK_END)
        self._words.seek(max(0, self._words.tell() - _LAST_WORDS_BYTES))
        return without_folders(self._words.read().decode(errors="replace").strip())

    def close(self) -> None:
        """Stop, and release the file of its words."""
        self.stop()
        self._words.close()


class WorkerPool:
    """Runs groups of cells in `jobs` workers and yields each record as it comes."""

    def __init__(self, jobs: int, *, threads: int, limits: Limits, environment: Environment) -> None:
        self._jobs, self._threads, self._limits = jobs, threads, limits
        self._environment = environment
        self._workers: list[Worker] = []
        self._groups: deque[deque[PlannedCell]] = deque()

    @property
    def running(self) -> list[tuple[PlannedCell, float]]:
        """The cells in flight and their seconds so far."""
        return [(worker.running, worker.seconds) for worker in self._workers if worker.running is not None]

    def run(self, groups: Sequence[Sequence[PlannedCell]]) -> Iterator[CellRecord | None]:
        """Records in the order in which they end; None when nothing ended for a moment, so that a display can move on."""
        self._groups = deque(deque(group) for group in groups)
        try:
            for _ in range(min(self._jobs, len(self._groups))):
                self._workers.append(Worker(self._threads))
            while self._workers:
                yield from self._next_records()
        finally:
            for worker in self._workers:
                worker.close()
            self._workers = []

    def _next_records(self) -> Iterator[CellRecord | None]:
        ready = wait([worker.connection for worker in self._workers], timeout=_WATCH_SECONDS)
        ended = False
        for worker in list(self._workers):
            record = self._heard(worker) if worker.connection in ready else self._overdrawn(worker)
            if record is not None:
                ended = True
                yield record
        if not ended:
            yield None

    def _heard(self, worker: Worker) -> CellRecord | None:
        """What a worker sent: its greeting, a record, or, by closing the connection, its end."""
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            return self._crashed(worker)
        record = None
        if isinstance(message, Hello):
            worker.environment = message.environment
        elif isinstance(message, Finished):
            record = message.record.model_copy(update={"environment": worker.environment or self._environment})
        self._go_on(worker)
        return record

    def _go_on(self, worker: Worker) -> None:
        while True:
            try:
                if worker.start_next():
                    return
            except OSError:  # it died between two cells; the next look at its connection says so
                return
            if not self._groups:
                worker.close()
                self._workers.remove(worker)
                return
            worker.group = self._groups.popleft()

    def _overdrawn(self, worker: Worker) -> CellRecord | None:
        if worker.environment is None:
            if worker.seconds > _START_SECONDS:
                words = worker.last_words()
                raise SkipbenchError(f"a worker process did not start within {_START_SECONDS:.0f} s. Its last words: {words or 'none'}")
            return None
        if worker.running is None:
            return None
        if worker.seconds > self._limits.seconds:
            allowed = f"{self._limits.seconds:g} s"
            return self._stopped(worker, "timeout", f"took longer than {allowed}: raise --timeout or the suite's seconds_per_cell")
        if (used := worker.resident_bytes()) > self._limits.bytes:
            reason = (
                f"took {used / 2**30:.1f} GiB of memory, more than {self._limits.bytes / 2**30:.1f} GiB: use fewer --jobs or a smaller n"
            )
            return self._stopped(worker, "oom", reason, used)
        return None

    def _stopped(self, worker: Worker, status: Status, reason: str, host_bytes: int = 0) -> CellRecord | None:
        seconds = worker.seconds
        worker.stop()
        return self._replace(worker, status, reason, seconds, host_bytes)

    def _crashed(self, worker: Worker) -> CellRecord | None:
        code, words = worker.exit_status(), worker.last_words()
        if worker.environment is None:
            raise SkipbenchError(f"a worker process could not start (exit status {code}). Its last words: {words or 'none'}")
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit status {code}"
        hint = " (the system may have run out of memory)" if code == -signal.SIGKILL else ""
        reason = f"the worker process ended {how}{hint}. Its last words: {words or 'none'}"
        return self._replace(worker, "failed", reason, worker.seconds)

    def _replace(self, worker: Worker, status: Status, reason: str, seconds: float, host_bytes: int = 0) -> CellRecord | None:
        """A fresh worker for the rest of the group, and the record of the cell that ended."""
        ended = worker.running
        self._workers.remove(worker)
        if worker.group:
            self._groups.appendleft(worker.group)
        worker.close()
        if self._groups:
            self._workers.append(Worker(self._threads))
        if ended is None:
            return None
        update = {
            "status": status,
            "reason": reason,
            "phases": {"until stopped": seconds},
            "environment": worker.environment or self._environment,
            "created": datetime.now(UTC),
            "peak_memory": PeakMemory(host_bytes=host_bytes) if host_bytes else None,
        }
        return CellRecord.model_validate({**dict(ended.blank), **update})


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
