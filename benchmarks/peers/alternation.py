"""Fair times: the contestants take turns, one repeat each, so that a machine that slows down slows all of them down."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from skipbench.results.record import Timing

PAUSE_SECONDS = 0.3  # threads of the library that was just measured spin for a while before they sleep


@dataclass(frozen=True, slots=True)
class Work:
    """What a contestant does in one repeat, and what its first call took; the fields are those of `Timing`."""

    pairs: int
    threads: int
    first_call_seconds: float
    settings: Mapping[str, Any] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)


class Contestant(Protocol):
    """Something whose speed is measured. It computes nothing between its calls."""

    @property
    def label(self) -> str:
        """How the record calls it."""

    def prepare(self) -> Work:
        """Compile, and choose how much work one repeat is."""

    def repeat(self) -> float:
        """Do the work once more; its seconds."""


def alternate(contestants: Sequence[Contestant], repeats: int, *, pause_seconds: float = PAUSE_SECONDS) -> tuple[Timing, ...]:
    """Prepare all of them, then let each repeat its work in turn, `repeats` times: a, b, a, b, ..."""
    works = [contestant.prepare() for contestant in contestants]
    seconds: list[list[float]] = [[] for _ in contestants]
    for _ in range(repeats):
        for contestant, of_contestant in zip(contestants, seconds, strict=True):
            time.sleep(pause_seconds)
            of_contestant.append(contestant.repeat())
    return tuple(
        Timing(
            label=contestant.label,
            settings=dict(work.settings),
            packages=dict(work.packages),
            threads=work.threads,
            pairs=work.pairs,
            first_call_seconds=work.first_call_seconds,
            seconds=tuple(of_contestant),
        )
        for contestant, work, of_contestant in zip(contestants, works, seconds, strict=True)
    )


def relative_spread(seconds: Sequence[float]) -> float:
    """(slowest - fastest) / median: how far the median can be trusted."""
    return (max(seconds) - min(seconds)) / statistics.median(seconds)


def seconds_of(work: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
