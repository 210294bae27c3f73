"""What a kernel matrix will take: seconds from a short measurement on this machine, bytes by counting."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import torch

from skipbench.architecture import Architecture
from skipbench.kernels.kernel_matrices import Engine, kernel_matrices, warm_up

CALIBRATION_SECONDS = 0.5
_COLUMNS = {True: 16, False: 512}  # inputs z: images fill the lanes of a vector, or vectors a block
_FIRST_ROWS, _LARGEST_ROWS = {True: 2, False: 64}, {True: 512, False: 2048}
_DIAGONAL = {True: 15, False: 192}  # entries of a row beyond the triangle, computed in vain
_SETTLED = 1.1  # a rate that grows by less from one size to twice that size


@dataclass(frozen=True, slots=True)
class KernelCost:
    """Predicted seconds of one call of `kernel_matrices`, and the bytes of its matrices."""

    seconds: float
    bytes: int


def kernel_cost(
    arch: Architecture,
    input_shape: tuple[int, ...],
    n: int,
    m: int | None = None,
    *,
    dtype: torch.dtype = torch.float64,
    engine: Engine = "auto",
    depths: Sequence[int] | None = None,
) -> KernelCost:
    """Cost of a Gram matrix of n inputs (m None: each pair once) or of an n × m kernel matrix, on the CPU with torch's current threads.

    depths: of all these together, as `kernel_matrices` computes them, instead of arch.depth.
    """
    pairs = n * min(n, (n + 1 + _DIAGONAL[arch.is_convolutional]) / 2) if m is None else n * m
    entries = n * (n if m is None else m)
    rate = pairs_per_second(arch, input_shape, dtype, engine, None if depths is None else tuple(depths))
    n_pairs = 1 if depths is None else len(depths)
    return KernelCost(pairs / rate, 2 * n_pairs * entries * dtype.itemsize)


@lru_cache(maxsize=256)
def pairs_per_second(
    arch: Architecture, input_shape: tuple[int, ...], dtype: torch.dtype, engine: Engine = "auto", depths: tuple[int, ...] | None = None
) -> float:
    """Pairs of inputs a second, measured in about half a second on random inputs, compilation apart.

    The number of inputs x is doubled until the rate no longer grows: a few fill neither threads nor caches, so that calls, not
    arithmetic, would be measured. Where even the smallest call takes longer than half a second, it is the measurement.
    """
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(_COLUMNS[arch.is_convolutional], *input_shape, generator=generator)
    rows, best = _FIRST_ROWS[arch.is_convolutional], 0.0
    warm_up(arch, dtype=dtype, engine=engine)
    begin = time.perf_counter()
    while True:
        x = torch.randn(rows, *input_shape, generator=generator)
        call = partial(kernel_matrices, arch, x, z, dtype=dtype, engine=engine, depths=depths)
        seconds = _fastest(call, begin + CALIBRATION_SECONDS)
        before, best = best, max(best, rows * len(z) / seconds)
        spent = time.perf_counter() - begin
        has_settled = best < _SETTLED * before and spent > CALIBRATION_SECONDS / 4
        if has_settled or spent + 2 * seconds > CALIBRATION_SECONDS or rows >= _LARGEST_ROWS[arch.is_convolutional]:
            return best
        rows *= 2


def _fastest(call: Callable[[], object], deadline: float) -> float:
    """Seconds of the fastest of at most three calls before the deadline: other work on the machine only ever adds."""
    seconds: list[float] = []
    while not seconds or (len(seconds) < 3 and time.perf_counter() + seconds[-1] < deadline):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
