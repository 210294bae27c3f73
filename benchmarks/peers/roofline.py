"""What the machine can do, measured in the process that is judged by it, and what a kernel asks of it by counting.

Two roofs (Williams, Waterman, Patterson 2009): fused multiply-adds of registers with registers, and a copy of memory, on all threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numba import njit, prange

from skipbench.architecture import Architecture, ConvolutionalArchitecture
from skipbench.benchmarks.peers.alternation import seconds_of
from skipbench.benchmarks.peers.cases import n_pixels
from skipbench.kernels.engines.fused.program import Dual, program_of
from skipbench.kernels.engines.fused.vectors import LANES, aligned_zeros, broadcast, fma, load, pointer, store

COPY_BYTES = 2**29  # beyond the last-level cache of most machines
RELU_OPERATIONS = 25  # of E and F together in float32, as `kernels.engines.fused.relu` counts them
_CHAINS = 12  # multiply-adds in flight: two units with a latency of four cycles are busy with eight
_ROUNDS = 2**22
_TRIES = 5


@dataclass(frozen=True, slots=True)
class MachinePeak:
    """operations_per_second: float32 operations of vector instructions (a multiply-add is one). bytes_per_second: read and written."""

    threads: int
    operations_per_second: float
    bytes_per_second: float


def measured_peak(*, rounds: int = _ROUNDS, copy_bytes: int = COPY_BYTES, tries: int = _TRIES) -> MachinePeak:
    """The best of several tries of both loops, since a peak is what the machine can do when nothing disturbs it."""
    threads, lanes = numba.get_num_threads(), LANES[np.dtype(np.float32)]
    sums = aligned_zeros((threads, lanes), np.float32)
    source, target = np.ones(copy_bytes // 4, np.float32), np.zeros(copy_bytes // 4, np.float32)
    _multiply_add(sums, 1)  # compiles
    _copy(source, target, threads)
    arithmetic = min(seconds_of(lambda: _multiply_add(sums, rounds)) for _ in range(tries))
    memory = min(seconds_of(lambda: _copy(source, target, threads)) for _ in range(tries))
    return MachinePeak(threads, threads * lanes * _CHAINS * rounds / arithmetic, 2 * source.nbytes / memory)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _chains(sums: Any, at: int, rounds: int) -> None:
    """Twelve independent chains of a ← a s + t, all in registers: 12 operations a round, no memory."""
    scale, shift = broadcast(np.float32(0.999)), broadcast(np.float32(0.001))
    a = load(sums, at)
    b, c, d, e, f, g = a - scale - scale, a + shift, a - shift, scale, shift, a + scale
    h, i, j, k, m = a - scale, a * scale, a * shift, shift + scale, a + shift + scale
    for _ in range(rounds):
        a, b, c = fma(a, scale, shift), fma(b, shift, scale), fma(c, scale, shift)
        d, e, f = fma(d, scale, shift), fma(e, scale, shift), fma(f, scale, shift)
        g, h, i = fma(g, scale, shift), fma(h, scale, shift), fma(i, scale, shift)
        j, k, m = fma(j, scale, shift), fma(k, scale, shift), fma(m, scale, shift)
    store(sums, at, a + b + c + d + e + f + g + h + i + j + k + m)


@njit(parallel=True, cache=True)  # type: ignore[untyped-decorator]
def _multiply_add(sums: Any, rounds: int) -> None:
    data = pointer(sums)
    for thread in prange(sums.shape[0]):
        _chains(data, thread * sums.shape[1], rounds)


@njit(parallel=True, cache=True)  # type: ignore[untyped-decorator]
def _copy(source: Any, target: Any, parts: int) -> None:
    size = (source.size + parts - 1) // parts
    for part in prange(parts):
        target[part * size : (part + 1) * size] = source[part * size : (part + 1) * size]


def field_elements(arch: Architecture, input_shape: Sequence[int]) -> int:
    """Numbers in one field of one pair: pixels, or for `gap` pairs of pixels; 1 for vectors."""
    pixels = n_pixels(input_shape)
    return pixels**2 if isinstance(arch, ConvolutionalArchitecture) and arch.readout == "gap" else pixels


def operations_per_pair(arch: Architecture, input_shape: Sequence[int]) -> int:
    """Operations that the passes of `fused.program` ask for per pair of inputs, float32, the square root counted as one.

    An element costs C multiply-adds (the first pass: the product of C channels), or 25 (a ReLU); 2 (q − 1) additions per box average
    and field, separable; 2 for the gain of an update, 2 more where it keeps the field; 2 for a readout, which plain networks need at the
    end only. What follows the last readout is not needed. (The engine does without most gains, and without half of the first pass's
    averages, so it reaches a little less of the peak than this says of the recursion.) Loads, stores and the variances of every single
    input are left out: this is what arithmetic alone would take.
    """
    filter_size = arch.filter_size if isinstance(arch, ConvolutionalArchitecture) else 1
    passes, total = program_of(arch).passes, 0
    for number, each in enumerate(passes):
        total += {Dual.GRAM: input_shape[0], Dual.RELU: RELU_OPERATIONS, Dual.LINEAR: 1}[each.dual]
        is_last = number + 1 == len(passes)
        total += 2 if each.readout is not None and (each.readout.accumulates or is_last) else 0
        if not is_last:
            total += each.averages * 4 * (filter_size - 1) + (4 if each.post.keep else 2)
    return total * field_elements(arch, input_shape)


def bytes_per_pair(input_shape: Sequence[int], n: int, m: int) -> float:
    """Bytes that must cross main memory per pair of an n x m matrix: every input once, two results, float32."""
    return 4 * (int(np.prod(input_shape)) * (n + m) / (n * m) + 2)
