"""How far the tiles are: a bar with the remaining time in a terminal, now and then a line elsewhere, nothing for what is quick."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

TileProgress: TypeAlias = Callable[[int, int], None]  # called with (done, total): at the start, and after every tile
QUIET_SECONDS = 3.0
LINE_SECONDS = 30.0


@contextmanager
def tile_progress(progress: TileProgress | bool, noun: str = "tiles") -> Iterator[TileProgress]:
    """The callable itself; the default display for True, none for False. noun: what is counted."""
    if not isinstance(progress, bool):
        yield progress
        return
    if not progress:
        yield lambda done, total: None
        return
    display = _Display(Console(stderr=True), noun)
    try:
        yield display
    finally:
        display.close()


class _Display:
    """Shows itself with the first tile that ends after `QUIET_SECONDS`."""

    def __init__(self, console: Console, noun: str = "tiles") -> None:
        self._console, self._noun = console, noun
        self._start = self._last_line = time.monotonic()
        self._done_before: int | None = None
        self._bar: Progress | None = None

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self._done_before is None:
            self._done_before = done
        if now - self._start < QUIET_SECONDS:
            return
        if self._console.is_terminal:
            self._draw(done, total)
        elif done == total or self._last_line == self._start or now - self._last_line >= LINE_SECONDS:
            self._last_line = now
            self._console.print(f"{self._noun}: {done} of {total}, {self._left(done, total, now)} left", highlight=False)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()

    def _left(self, done: int, total: int, now: float) -> str:
        """As 1:02:30, from the mean time of the tiles of this call."""
        computed = done - (self._done_before or 0)
        seconds = (now - self._start) / max(1, computed) * (total - done)
        return str(datetime.timedelta(seconds=round(seconds)))

    def _draw(self, done: int, total: int) -> None:
        if self._bar is None:
            columns = (
                TextColumn(self._noun),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[left]} left"),
            )
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._bar.add_task(self._noun, total=total, completed=done, left="")
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done, left=self._left(done, total, time.monotonic()))
