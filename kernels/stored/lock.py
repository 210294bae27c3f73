"""One writer for a store. Two would not harm it, since tiles are renamed into place and equal; they would compute everything twice."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from skipbench.checks import SkipbenchError, shown
from skipbench.kernels.stored.layout import MATRICES


@contextmanager
def sole_writer(path: Path) -> Iterator[None]:
    """Hold the store's lock. Raises SkipbenchError, naming the process, where another one writes.

    The operating system holds it for the process, so it goes with a killed one: a file left behind locks nothing.
    """
    from filelock import FileLock, Timeout

    file = path / MATRICES[0] / ".writer.lock"  # inside an array, where zarr does not mistake it for a member of the group
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise SkipbenchError(
            f"store={shown(str(path))} is being written by another process ({_holder(file)}): "
            "wait until it has ended, or end it; finished tiles are kept"
        ) from error
    try:
        file.write_text(f"process {os.getpid()} on {socket.gethostname()}")
        yield
    finally:
        lock.release()


def _holder(file: Path) -> str:
    try:
        return file.read_text() or "just started"
    except OSError:
        return "unknown"
