"""Compiled tasks on as many threads as torch uses: they let other threads run, so no threading layer of numba's is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Generic, TypeVar

import torch

Work = TypeVar("Work")


class Threads(Generic[Work]):
    """Runs tasks, each with a workspace that no other task uses at the same time."""

    def __init__(self, make_workspace: Callable[[], Work]) -> None:
        self.count = torch.get_num_threads()
        self.workspaces = [make_workspace() for _ in range(self.count)]
        self._free: SimpleQueue[Work] = SimpleQueue()
        for workspace in self.workspaces:
            self._free.put(workspace)

    def run(self, tasks: Iterable[Callable[[Work], None]]) -> None:
        """Run all tasks, in any order; the first exception is raised when all have ended."""
        if self.count == 1:
            for task in tasks:
                self._run(task)
            return
        with ThreadPoolExecutor(self.count) as pool:
            for done in [pool.submit(self._run, task) for task in tasks]:
                done.result()

    def _run(self, task: Callable[[Work], None]) -> None:
        workspace = self._free.get()
        try:
            task(workspace)
        finally:
            self._free.put(workspace)
