"""One child process that runs cells, and the record of a cell that had to be stopped or that took the process down with it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Pipe
from typing import IO

import psutil

from skipbench.checks import SkipbenchError
from skipbench.environment import thread_variables
from skipbench.results.privacy import without_folders
from skipbench.results.record import CellRecord, Environment, PeakMemory, Status
from skipbench.runner.messages import Finished, Hello, PlannedCell

WATCH_SECONDS = 0.2
_START_SECONDS = 180.0
_LAST_WORDS_BYTES = 1500


@dataclass(frozen=True)
class Limits:
    """What one cell may take."""

    seconds: float
    bytes: int


class Worker:
    """A child process, and the cell that it works on; it is ready for one once it has told its environment.

    threads: of torch, numba and BLAS in the child.
    """

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
        self.threads = threads
        self.environment: Environment | None = None
        self.running: PlannedCell | None = None
        self.closed = False
        self._since = time.monotonic()

    @property
    def ready(self) -> bool:
        """Whether it waits for a cell."""
        return self.environment is not None and self.running is None and not self.closed

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return not self.closed and self._process.poll() is None

    @property
    def seconds(self) -> float:
        """Since the present cell (or the process) began."""
        return time.monotonic() - self._since

    def start(self, planned: PlannedCell) -> None:
        """Send it a cell."""
        self.running, self._since = planned, time.monotonic()
        with contextlib.suppress(OSError):  # it died between two cells; the next look at its connection says so
            self.connection.send(planned)

    def heard(self) -> CellRecord | None:
        """What it sent: its greeting, a record, or, by closing the connection, its end, which makes a record of the cell it had.

        Raises SkipbenchError for a process that ended before its greeting: so would the next one.
        """
        try:
            message = self.connection.recv()
        except (EOFError, OSError):
            return self._crashed()
        if isinstance(message, Hello):
            self.environment = message.environment
        elif isinstance(message, Finished):
            self.running = None
            return message.record.model_copy(update={"environment": self.environment})
        return None

    def overdrawn(self, limits: Limits) -> CellRecord | None:
        """Stop it where its cell takes more than it may; the record that says so.

        Raises SkipbenchError for a process that has not greeted long after its start.
        """
        if self.environment is None and self.seconds > _START_SECONDS:
            words = self._last_words()
            raise SkipbenchError(f"a worker process did not start within {_START_SECONDS:.0f} s. Its last words: {words or 'none'}")
        if self.running is None:
            return None
        if self.seconds > limits.seconds:
            return self._ended("timeout", f"took longer than {limits.seconds:g} s: raise --timeout or the suite's seconds_per_cell")
        if (used := self._resident_bytes()) > limits.bytes:
            taken = f"took {used / 2**30:.1f} GiB of memory, more than {limits.bytes / 2**30:.1f} GiB"
            return self._ended("oom", f"{taken}: use fewer --jobs (on a cluster, workers with more memory) or a smaller n", used)
        return None

    def close(self) -> None:
        """Kill the whole process group, and release the file of its words; once is enough."""
        if not self.closed:
            self._stop()
        self._words.close()

    def _crashed(self) -> CellRecord | None:
        code, words = self._exit_status(), self._last_words()
        if self.environment is None:
            raise SkipbenchError(f"a worker process could not start (exit status {code}). Its last words: {words or 'none'}")
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit status {code}"
        hint = " (the system may have run out of memory)" if code == -signal.SIGKILL else ""
        return self._ended("failed", f"the worker process ended {how}{hint}. Its last words: {words or 'none'}")

    def _ended(self, status: Status, reason: str, host_bytes: int = 0) -> CellRecord | None:
        """Close, and make the record of the cell that ended with it, if it had one."""
        cell, seconds = self.running, self.seconds
        self.running = None
        self.close()
        if cell is None:
            return None
        peak = PeakMemory(host_bytes=host_bytes) if host_bytes else None
        return ended_record(cell, status, reason, seconds, self.environment or cell.blank.environment, peak)

    def _resident_bytes(self) -> int:
        """Resident memory of the worker and whatever it started."""
        try:
            process = psutil.Process(self._process.pid)
            return sum(_resident(member) for member in (process, *process.children(recursive=True)))
        except psutil.NoSuchProcess:
            return 0

    def _stop(self) -> int:
        """Kill the whole process group; the exit status."""
        self.closed = True
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self.connection.close()
        return self._process.wait()

    def _exit_status(self, patience: float = 5.0) -> int:
        """The exit status of a worker that closed its connection by itself."""
        try:
            return self._process.wait(patience)
        except subprocess.TimeoutExpired:
            return self._stop()

    def _last_words(self) -> str:
        """The end of what it printed, without folders."""
        self._words.seek(0, os.SEEK_END)
        self._words.seek(max(0, self._words.tell() - _LAST_WORDS_BYTES))
        return without_folders(self._words.read().decode(errors="replace").strip())


def ended_record(
    planned: PlannedCell, status: Status, reason: str, seconds: float, environment: Environment, peak: PeakMemory | None = None
) -> CellRecord:
    """The record of a cell that did not come to its own end."""
    update = {
        "status": status,
        "reason": reason,
        "phases": {"until stopped": seconds},
        "environment": environment,
        "created": datetime.now(UTC),
        "peak_memory": peak,
    }
    return CellRecord.model_validate({**dict(planned.blank), **update})


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
