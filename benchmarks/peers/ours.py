"""Our side: `kernel_matrices` from arrays in memory to both matrices, with whatever is prepared on the way."""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numba
import torch

from skipbench.architecture import Architecture
from skipbench.benchmarks.peers.alternation import Work, seconds_of
from skipbench.benchmarks.peers.cases import random_inputs
from skipbench.kernels import kernel_matrices
from skipbench.kernels.engines.registry import AUTO, engine_for

DTYPE = torch.float32
_FIRST_N = 16
_STEP_N = 16  # a whole number of vectors of any CPU
_LARGEST_N = 4096
_PACKAGES = ("skipbench", "numba", "numpy", "torch")


class OurKernels:
    """Kernel matrices of n inputs against n others. n: None chooses one with which a repeat takes about `target_seconds`."""

    def __init__(
        self,
        arch: Architecture,
        input_shape: Sequence[int],
        *,
        n: int | None,
        target_seconds: float,
        depths: Sequence[int] | None = None,
        label: str = "skipbench",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.label = label
        self._arch, self._shape, self._depths = arch, tuple(input_shape), depths
        self._n, self._target_seconds = n, target_seconds
        self._settings = dict(settings or {})
        self._calls = 1
        self._first_call_seconds: float | None = None

    def warm_up(self) -> float:
        """Seconds of this object's first call, which compiles, or loads what an earlier process compiled."""
        if self._first_call_seconds is None:
            self._make_inputs(self._n or _FIRST_N)
            self._first_call_seconds = seconds_of(self._call)
        return self._first_call_seconds

    def prepare(self) -> Work:
        """Choose the size where it is open, and so many calls that a repeat is long enough to be timed."""
        first, n = self.warm_up(), self._n or _FIRST_N
        if self._n is None:
            n = size_for(n, seconds_of(self._call), self._target_seconds)
            self._make_inputs(n)
        self._calls = calls_for(seconds_of(self._call), self._target_seconds)
        engine = engine_for(AUTO, self._arch, torch.device("cpu"), DTYPE).name
        settings = {"n": n, "m": n, "calls": self._calls, "dtype": "float32", "engine": engine, **self._settings}
        if self._depths is not None:
            settings["depths"] = list(self._depths)
        return Work(
            pairs=n * n * self._calls,
            threads=max(numba.get_num_threads(), torch.get_num_threads()),
            first_call_seconds=first,
            settings=settings,
            packages={name: importlib.metadata.version(name) for name in _PACKAGES},
        )

    def repeat(self) -> float:
        """Seconds of all calls of a repeat."""
        return seconds_of(self._call_repeatedly)

    def _make_inputs(self, n: int) -> None:
        self._x, self._z = random_inputs(self._shape, n, seed=0), random_inputs(self._shape, n, seed=1)

    def _call_repeatedly(self) -> None:
        for _ in range(self._calls):
            self._call()

    def _call(self) -> None:
        kernel_matrices(self._arch, self._x, self._z, dtype=DTYPE, depths=self._depths)


def size_for(n: int, seconds: float, target_seconds: float) -> int:
    """Inputs on each side with which a call takes the target where n take `seconds`; the time grows with the square."""
    wanted = n * math.sqrt(target_seconds / seconds)
    return min(_LARGEST_N, max(_STEP_N, round(wanted / _STEP_N) * _STEP_N))


def calls_for(seconds: float, target_seconds: float) -> int:
    """Calls that make up a repeat: one, or as many as half of the target needs."""
    return max(1, round(target_seconds / seconds / 2)) if seconds < target_seconds / 2 else 1
