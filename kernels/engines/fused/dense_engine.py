"""Fully connected kernels on the CPU: the products of a block of pairs, then all their layers, in the caches of one thread.

The product is not left to a library: its threads would wait actively for one another between our tasks, which made a call ten times as
slow beside any other work, and its result would cross main memory once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skipbench.architecture import Architecture, DenseMLP
from skipbench.kernels.engines.assembly import Span, growth_factor, tiles
from skipbench.kernels.engines.fused.bundles import Bundle
from skipbench.kernels.engines.fused.dense_loops import (
    BLOCK_ROWS,
    DenseSide,
    DenseSteps,
    DenseWork,
    dense_block,
    dense_equals,
    dense_selves,
    mirror_rows,
)
from skipbench.kernels.engines.fused.dense_products import PRODUCT_ROWS
from skipbench.kernels.engines.fused.program import Program, program_of
from skipbench.kernels.engines.fused.steps import codes_of
from skipbench.kernels.engines.fused.threads import Threads
from skipbench.kernels.engines.fused.vectors import LANES, aligned_zeros
from skipbench.kernels.engines.result_memory import result_array
from skipbench.kernels.inputs import Inputs
from skipbench.kernels.recursions import growth

_LARGEST_TILE = 2048
_BLOCK_GROUPS = 16  # of z at once: their fields, and the deviations of ten layers, fit the first-level cache
_TASKS_PER_THREAD = 8
_MIRRORED_ROWS = 256


class DenseMatrices:
    """The matrices of one bundle of architectures on vectors of one length."""

    def __init__(self, bundle: Bundle, x: Inputs, z: Inputs | None, identities: tuple[NDArray[np.int64], NDArray[np.int64]]) -> None:
        self._x, self._z, self._is_symmetric, self._identities = x, x if z is None else z, z is None, identities
        self._dtype = np.dtype(np.float32 if x.dtype.itemsize == 4 else np.float64)
        self._lanes, self._dimension, self._bundle = LANES[self._dtype], x.shape[0], bundle
        self._program = program_of(bundle.deepest)

    def compute(self, *, normalised: bool, working_bytes: int) -> tuple[NDArray[Any], NDArray[Any], bool]:
        """NNGP and NTK, (depths, n, m) each, and whether all values are within the dtype's range."""
        arch, depths = self._bundle.deepest, self._bundle.depths
        steps = dense_steps(arch, self._program, depths, self._dimension, self._dtype, normalised=normalised)
        threads = Threads(self._work)
        nngp, ntk = (result_array((len(depths), len(self._x), len(self._z)), self._dtype) for _ in range(2))
        side = self._side(working_bytes)
        for rows, columns in tiles(len(self._x), len(self._z), side, symmetric=self._is_symmetric):
            x = self._unprepared(0, rows)
            z = x if self._is_symmetric and rows == columns else self._unprepared(1, columns)
            threads.run(self._preparations(steps, (x,) if z is x else (x, z), threads.count))
            threads.run(self._tasks(steps, x, z, (rows, columns), nngp, ntk, threads.count))
            _set_equals(x, z, (rows.start, columns.start), nngp, ntk)
        if self._is_symmetric:
            n = len(self._x)
            spans = [Span(start, min(start + _MIRRORED_ROWS, n)) for start in range(0, n, _MIRRORED_ROWS)]
            threads.run(partial(_mirror, matrix, span.start, span.stop) for matrix in (*nngp, *ntk) for span in spans)
        return nngp, ntk, all(bool((work.check == 0).all()) for work in threads.workspaces)

    def _side(self, working_bytes: int) -> int:
        """Inputs along a tile: the inputs of both sides, in both layouts, and what belongs to them take half of the working memory."""
        row_bytes = (6 * self._dimension + 6 * self._program.n_relus + 4 * len(self._bundle.depths)) * self._dtype.itemsize
        return max(1, min(_LARGEST_TILE, working_bytes // 2 // row_bytes))

    def _tasks(
        self, steps: DenseSteps, x: DenseSide, z: DenseSide, tile: tuple[Span, Span], nngp: NDArray[Any], ntk: NDArray[Any], n_threads: int
    ) -> Iterator[Callable[[DenseWork], None]]:
        n, n_groups = len(x.rows), _even_groups(len(z.identities), self._lanes)
        upper_only, corner = self._is_symmetric and tile[0] == tile[1], (tile[0].start, tile[1].start)
        x_scales = np.ascontiguousarray(np.moveaxis(x.scales, 2, 3)).reshape(self._program.n_relus, x.scales.shape[1] * self._lanes, 2)
        x_scales = np.ascontiguousarray(x_scales[:, :n])
        strips = -(-n_groups // _BLOCK_GROUPS)
        step = max(1, n * strips // (_TASKS_PER_THREAD * n_threads) // BLOCK_ROWS) * BLOCK_ROWS
        for group in range(0, n_groups, _BLOCK_GROUPS):
            columns = min(_BLOCK_GROUPS, n_groups - group)
            stop = min(n, (group + columns) * self._lanes) if upper_only else n
            for start in range(0, stop, step):
                yield partial(_block, (steps, x, x_scales, z, start, min(start + step, stop), group, columns, corner), nngp, ntk)

    def _unprepared(self, which: int, span: Span) -> DenseSide:
        """A span of x (0) or z (1), with room for what belongs to it."""
        rows = np.ascontiguousarray((self._x, self._z)[which].rows(span.start, span.stop).numpy())
        groups = _even_groups(len(span), self._lanes)
        packed = result_array((groups * self._dimension * self._lanes,), self._dtype)
        scales = aligned_zeros((self._program.n_relus * groups + 1) * 2 * self._lanes, self._dtype)  # one more: see `_relu_pass`
        values = np.zeros((len(self._bundle.depths), 2, len(span)), dtype=self._dtype)
        layers = scales[: -2 * self._lanes].reshape(self._program.n_relus, groups, 2, self._lanes)
        return DenseSide(rows, packed, layers, values, self._identities[which][span.start : span.stop])

    def _preparations(self, steps: DenseSteps, sides: Sequence[DenseSide], n_threads: int) -> Iterator[Callable[[DenseWork], None]]:
        """The other layout of the inputs, deviations of every layer, and the values of each input with itself."""
        for side in sides:
            groups = side.scales.shape[1]
            step = max(1, groups // (_TASKS_PER_THREAD * n_threads))
            for start in range(0, groups, step):
                yield partial(_selves, steps, side, start, min(start + step, groups), groups)

    def _work(self) -> DenseWork:
        """G and U of both field pairs with room for a group more (see `_relu_pass`), and products with room for a few rows more."""
        pair = (_BLOCK_GROUPS + 1) * 2 * self._lanes
        products = (BLOCK_ROWS + PRODUCT_ROWS) * _BLOCK_GROUPS * self._lanes
        sizes = (2 * pair, products, 2 * _BLOCK_GROUPS * self._lanes, self._lanes)
        state, gram, values, check = (aligned_zeros(size, self._dtype) for size in sizes)
        return DenseWork(state, gram, values, check, pair)


def _set_equals(x: DenseSide, z: DenseSide, corner: tuple[int, int], nngp: NDArray[Any], ntk: NDArray[Any]) -> None:
    """The correlation of equal inputs is exactly 1: their values are those of an input with itself."""
    order = np.argsort(z.identities, kind="stable")
    ordered = z.identities[order]
    first, last = (np.searchsorted(ordered, x.identities, side=side) for side in ("left", "right"))
    dense_equals(x, z, order, first, last, corner, nngp, ntk)


def _even_groups(n: int, lanes: int) -> int:
    return 2 * -(-n // (2 * lanes))


def _block(arguments: tuple[Any, ...], nngp: NDArray[Any], ntk: NDArray[Any], work: DenseWork) -> None:
    dense_block(*arguments, work, nngp, ntk)


def _selves(steps: DenseSteps, side: DenseSide, start: int, stop: int, groups: int, work: DenseWork) -> None:
    dense_selves(steps, side, start, stop, groups, work)


def _mirror(matrix: NDArray[Any], start: int, stop: int, work: DenseWork) -> None:
    mirror_rows(matrix, start, stop, work)


def dense_steps(
    arch: Architecture, program: Program, depths: tuple[int, ...], dimension: int, dtype: np.dtype[Any], *, normalised: bool
) -> DenseSteps:
    """The passes as numbers; what the state holds besides a kernel is its bias, b² / (1 + α²)^depth, and factors of two."""
    outputs = np.array([depths.index(each.depth) if each.depth in depths else -1 for each in program.passes])
    doubled = 1.0 if isinstance(arch, DenseMLP) else program.passes[0].post.gain
    tangent_doubled = 2.0 if getattr(arch, "branch_depth", 2) > 2 else 1.0
    reading = []
    for each in program.passes:
        grown = 1.0 if normalised else growth_factor(arch, each.depth)
        bias = getattr(arch, "bias", 0.0) ** 2 / growth(arch).base ** each.depth
        reading.append((grown / doubled, -bias * grown, grown / tangent_doubled, -bias * grown, program.nngp_share))
    codes = codes_of(program, depths, [False] * len(outputs))
    updates = [(u.keep, u.gain, u.constant, u.bordered) for each in program.passes for u in (each.post, each.tangent)]
    numbers, scale = np.array(updates, dtype=dtype).reshape(len(outputs), -1), np.array([1 / dimension], dtype=dtype)
    with np.errstate(over="ignore"):
        return DenseSteps(codes, numbers, outputs, np.array(reading, dtype=dtype), scale, len(outputs))
