"""The peer's side as we see it: a process in the peer's own environment, which computes only while we wait for its answer."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from skipbench.benchmarks.peers.alternation import Work
from skipbench.benchmarks.peers.cases import PeerCase
from skipbench.checks import SkipbenchError, shown

WORKER = Path(__file__).with_name("neural_tangents_worker.py")
LONGEST_ANSWER_SECONDS = 1800.0  # compiling a deep network for four batch sizes takes minutes
_THREAD_LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "XLA_FLAGS")
_LAST_LINES = 5


class PeerError(SkipbenchError):
    """The peer did not answer, or answered that it failed."""


class PeerProcess:
    """A peer's contestant for one case. Use it in a `with` block: the process ends with it.

    command: the interpreter of the peer's environment and the worker script.
    """

    def __init__(
        self, command: Sequence[str], case: PeerCase, *, label: str, target_seconds: float, longest_seconds: float = LONGEST_ANSWER_SECONDS
    ) -> None:
        self.label = label
        self._command, self._case = list(command), case
        self._target_seconds, self._longest_seconds = target_seconds, longest_seconds

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="skipbench-peer-")
        self._log = open(Path(self._folder.name) / "log", "w+", encoding="utf-8", errors="replace")
        try:
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _start(self) -> None:
        try:
            self._process: subprocess.Popen[str] | None = None
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, env=_variables()
            )
        except OSError as error:
            raise PeerError(f"{shown(self._command[0], 200)} cannot be started ({error.strerror or error})") from error
        self._answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=_forward, args=(self._process.stdout, self._answers), daemon=True).start()
        case = {"architecture": self._case.arch.to_dict(), "input_shape": list(self._case.input_shape)}
        self._about = self._ask("begin", case=case)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process is not None:
            with contextlib.suppress(OSError):
                self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(OSError):  # closing flushes into a pipe that nobody reads any more
                    if stream is not None:
                        stream.close()
        self._log.close()
        self._folder.cleanup()

    def prepare(self) -> Work:
        """The peer tries its batch sizes and keeps the fastest."""
        case, about = self._case, self._about
        ready = self._ask("prepare", n=case.n, batches=list(case.peer_batches), seconds=self._target_seconds)
        return Work(
            pairs=ready["pairs"],
            threads=about["threads"],
            first_call_seconds=ready["first_call_seconds"],
            settings=ready["settings"],
            packages=about["packages"],
        )

    def repeat(self) -> float:
        """Seconds by the peer's own clock, without the way to it and back."""
        return float(self._ask("repeat")["seconds"])

    def values(self, x: NDArray[np.float32], z: NDArray[np.float32], dtype: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """The peer's NNGP and NTK matrix, (n, m) each, computed in float32 or float64."""
        inputs, to = (Path(self._folder.name) / name for name in ("inputs.npz", "values.npz"))
        np.savez(inputs, x=x, z=z)
        self._ask("values", inputs=str(inputs), to=str(to), dtype=dtype)
        with np.load(to, allow_pickle=False) as found:
            return found["nngp"], found["ntk"]

    def _ask(self, what: str, **arguments: Any) -> Any:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps({"do": what, **arguments}) + "\n")
            process.stdin.flush()
            line = self._answers.get(timeout=self._longest_seconds)
            answer = json.loads(line) if line else None
        except queue.Empty:
            raise PeerError(f"{self.label} did not answer `{what}` within {self._longest_seconds:.0f} s") from None
        except (OSError, ValueError) as error:
            raise PeerError(f"{self.label} broke off at `{what}` ({shown(str(error), 120)[1:-1]}){self._last_words()}") from error
        if answer is None:
            raise PeerError(f"{self.label} ended at `{what}`, exit status {_exit_status(process)}{self._last_words()}")
        if "error" in answer:
            raise PeerError(f"{self.label} failed at `{what}`: {answer['error']}")
        return answer

    def _last_words(self) -> str:
        """The end of what it printed, as the end of a sentence."""
        self._log.flush()
        self._log.seek(0)
        lines = [line.strip() for line in self._log.read().splitlines() if line.strip()][-_LAST_LINES:]
        return f": {shown(' | '.join(lines), 600)[1:-1]}" if lines else ""


def _variables() -> dict[str, str]:
    """Our environment without what would hold the peer to fewer cores, and without our own packages."""
    left_out = {*_THREAD_LIMITS, "PYTHONPATH", "PYTHONHOME"}
    return {
        **{name: value for name, value in os.environ.items() if name not in left_out},
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "JAX_PLATFORMS": "cpu",
    }


def _forward(stream: IO[str] | None, answers: queue.Queue[str]) -> None:
    """Put every line into the queue, and an empty one where the stream ends: a read of a pipe has no time limit of its own."""
    with contextlib.suppress(OSError, ValueError):  # closed while we wait
        for line in stream or ():
            answers.put(line)
    answers.put("")


def _exit_status(process: subprocess.Popen[str]) -> str:
    """The status, in words where a signal ended it: 9 mostly means that memory ran out."""
    deadline = time.monotonic() + 5
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    status = process.poll()
    if status == -9:
        return "killed (signal 9: mostly because memory ran out)"
    return str(status)
