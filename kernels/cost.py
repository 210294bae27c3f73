"""What a kernel matrix will take: seconds from a short measurement on this machine, bytes by counting."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache

import torch

from skipbench.architecture import Architecture
from skipbench.kernels.kernel_matrices import kernel_matrices

_CALIBRATION_SECONDS = 0.1
_LONGEST_SECONDS = 2.0
_GROWTH = 1.3
_FIRST_INPUTS = {True: 4, False: 64}
_LARGEST_CALIBRATION = {True: 64, False: 1024}


@dataclass(frozen=True, slots=True)
class KernelCost:
    """Predicted seconds of one call of `kernel_matrices`, and the bytes of the two matrices."""

    seconds: float
    bytes: int


def kernel_cost(
    arch: Architecture, input_shape: tuple[int, ...], n: int, m: int | None = None, *, dtype: torch.dtype = torch.float64
) -> KernelCost:
    """Cost of a Gram matrix of n inputs (m None: each pair once) or of an n × m kernel matrix, on the CPU with torch's current threads."""
    pairs = n * (n + 1) / 2 if m is None else n * m
    entries = n * (n if m is None else m)
    return KernelCost(pairs / pairs_per_second(arch, input_shape, dtype), 2 * entries * dtype.itemsize)


@lru_cache(maxsize=256)
def pairs_per_second(arch: Architecture, input_shape: tuple[int, ...], dtype: torch.dtype) -> float:
    """Pairs of inputs a second, measured on random inputs: twice as many each time until the rate no longer grows.

    A few pairs do not fill a block, so that calls, not arithmetic, would be measured.
    """
    generator = torch.Generator().manual_seed(0)
    n, rate = _FIRST_INPUTS[arch.is_convolutional], 0.0
    while True:
        x = torch.randn(n, *input_shape, generator=generator)
        start = time.perf_counter()
        kernel_matrices(arch, x, dtype=dtype)
        seconds = time.perf_counter() - start
        before, rate = rate, n * (n + 1) / 2 / seconds
        has_settled = seconds > _CALIBRATION_SECONDS and rate < _GROWTH * before
        if has_settled or seconds > _LONGEST_SECONDS or n >= _LARGEST_CALIBRATION[arch.is_convolutional]:
            return rate
        n *= 2
