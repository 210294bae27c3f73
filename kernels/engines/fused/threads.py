"""Compiled tasks on as many threads as torch uses: they let other threads run, so no threading layer of numba's is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from threading import Thread
from typing import Generic, TypeVar

import torch

Work = TypeVar("Work")


class Threads(Generic[Work]):
    """Runs tasks, each with a workspace that no other task uses at the same time.

    The calling thread works too, and each takes its next task itself: waking a thread costs as much as a small task.
    """

    def __init__(self, make_workspace: Callable[[], Work]) -> None:
        self.count = torch.get_num_threads()
        self.workspaces = [make_workspace() for _ in range(self.count)]

    def run(self, tasks: Iterable[Callable[[Work], None]]) -> None:
        """Run all tasks, in any order. After an exception none is begun; the first is raised when those that run have ended."""
        waiting = list(tasks)
        queue, errors = iter(waiting), list[BaseException]()
        helpers = [Thread(target=_drain, args=(queue, workspace, errors)) for workspace in self.workspaces[1 : len(waiting)]]
        for helper in helpers:
            helper.start()
        _drain(queue, self.workspaces[0], errors)
        for helper in helpers:
            helper.join()
        if errors:
            raise errors[0]


def _drain(queue: Iterator[Callable[[Work], None]], workspace: Work, errors: list[BaseException]) -> None:
    """Take tasks until none is left or one has failed."""
    try:
        for task in queue:  # a list's iterator: the interpreter's lock guards it
            if errors:
                return
            task(workspace)
    except BaseException as error:  # noqa: BLE001 - raised again by `run`, whatever it is
        errors.append(error)
