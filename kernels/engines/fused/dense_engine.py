"""Fully connected kernels on the CPU: one matrix product per tile, then all layers of its entries in the first-level cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skipbench.architecture import Architecture, DenseMLP
from skipbench.kernels.engines.assembly import Span
from skipbench.kernels.engines.fused.bundles import Bundle
from skipbench.kernels.engines.fused.dense_loops import Columns, DenseSteps, dense_rows, dense_selves
from skipbench.kernels.engines.fused.program import Program, program_of
from skipbench.kernels.engines.fused.steps import steps_of
from skipbench.kernels.engines.fused.threads import Threads
from skipbench.kernels.engines.fused.vectors import LANES, aligned_zeros
from skipbench.kernels.inputs import Inputs
from skipbench.kernels.recursions import growth

_LARGEST_TILE = 512
_BLOCK_GROUPS = 16  # of z at once: their fields, and the deviations of ten layers, fit the first-level cache
_BLOCK_ROWS = 64


class DenseTiles:
    """One bundle of architectures on vectors of one length."""

    def __init__(self, bundle: Bundle, x: Inputs, z: Inputs, identities: tuple[NDArray[np.int64], NDArray[np.int64]]) -> None:
        self._x, self._z, self._identities = x, z, identities
        self._dtype = np.dtype(np.float32 if x.dtype.itemsize == 4 else np.float64)
        self._lanes, self._depths = LANES[self._dtype], bundle.depths
        self._program = program_of(bundle.deepest)
        self._steps = dense_steps(bundle.deepest, self._program, bundle.depths, self._dtype)
        self._threads = Threads(self._state)
        self._kept: dict[tuple[int, Span], Columns] = {}

    def side(self, working_bytes: int) -> int:
        """Inputs along a tile: its product, its values and what belongs to its rows take half of the working memory."""
        row_bytes = (2 * self._x.shape[0] + 4 * self._program.n_relus) * self._dtype.itemsize
        entry_bytes = (1 + 4 * len(self._depths)) * self._dtype.itemsize
        side = _LARGEST_TILE
        while side > 1 and side * (row_bytes + side * entry_bytes) > working_bytes // 2:
            side //= 2
        return side

    def values(self, rows: Span, columns: Span, *, upper_only: bool) -> NDArray[Any]:
        """(2, depths, rows, columns): NNGP and NTK values of a tile, growth left out; upper_only skips blocks below the diagonal."""
        x, z = self._columns(self._x, 0, rows), self._columns(self._z, 1, columns)
        width = z.scales.shape[1] * self._lanes
        gram = aligned_zeros((len(rows), width), self._dtype)
        left, right = self._x.rows(rows.start, rows.stop), self._z.rows(columns.start, columns.stop)
        gram[:, : len(columns)] = (left @ right.T).div_(self._x.shape[0]).numpy()
        x_scales = np.ascontiguousarray(
            np.moveaxis(x.scales, 2, 3).reshape(len(x.scales), x.scales.shape[1] * self._lanes, 2)[:, : len(rows)]
        )
        found = aligned_zeros((2, len(self._depths), len(rows), width), self._dtype)
        self._threads.run(self._tasks(gram, x, x_scales, z, found, upper_only=upper_only))
        return found[..., : len(columns)]

    def _tasks(
        self, gram: NDArray[Any], x: Columns, x_scales: NDArray[Any], z: Columns, found: NDArray[Any], *, upper_only: bool
    ) -> Iterator[Callable[[NDArray[Any]], None]]:
        n, n_groups = found.shape[2], z.scales.shape[1]
        for group in range(0, n_groups, _BLOCK_GROUPS):
            columns = min(_BLOCK_GROUPS, n_groups - group)
            stop = min(n, (group + columns) * self._lanes) if upper_only else n
            for start in range(0, stop, _BLOCK_ROWS):
                yield partial(self._rows, gram, x, x_scales, z, (start, min(start + _BLOCK_ROWS, stop)), (group, columns), found)

    def _rows(
        self,
        gram: NDArray[Any],
        x: Columns,
        x_scales: NDArray[Any],
        z: Columns,
        rows: tuple[int, int],
        groups: tuple[int, int],
        found: NDArray[Any],
        state: NDArray[Any],
    ) -> None:
        dense_rows(self._steps, gram, x, x_scales, z, *rows, *groups, state, found[0], found[1])

    def _columns(self, inputs: Inputs, which: int, span: Span) -> Columns:
        """Deviations of every layer, and the values of each input with itself; kept while tiles go along a row of the matrix."""
        key = (which if self._x is not self._z else 0, span)
        if key not in self._kept:
            if len(self._kept) > 1:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = self._prepared(inputs, self._identities[which][span.start : span.stop], span)
        return self._kept[key]

    def _prepared(self, inputs: Inputs, identities: NDArray[np.int64], span: Span) -> Columns:
        groups = -(-len(span) // self._lanes)
        squares = aligned_zeros(groups * self._lanes, self._dtype)
        given = inputs.rows(span.start, span.stop)
        squares[: len(span)] = given.square().sum(dim=1).div_(inputs.shape[0]).numpy()
        scales = aligned_zeros((self._program.n_relus * groups * 2 * self._lanes + 2 * self._lanes,), self._dtype)
        nngp, ntk = (aligned_zeros((len(self._depths), groups * self._lanes), self._dtype) for _ in range(2))
        dense_selves(self._steps, squares, scales, nngp, ntk, self._state(groups))
        inner = scales[: -2 * self._lanes].reshape(self._program.n_relus, groups, 2, self._lanes)
        return Columns(inner, np.stack([nngp, ntk], axis=1), identities)

    def _state(self, groups: int = _BLOCK_GROUPS) -> NDArray[Any]:
        """G and U of both field pairs, with room for one group more (see `_relu_pass`)."""
        return aligned_zeros(2 * (groups + 1) * 2 * self._lanes, self._dtype)


def dense_steps(arch: Architecture, program: Program, depths: tuple[int, ...], dtype: np.dtype[Any]) -> DenseSteps:
    """The passes as numbers; what the state holds besides a kernel is its bias, b² / (1 + α²)^depth, and factors of two."""
    steps = steps_of(program, depths, 1, 1, dtype)
    outputs = np.array([depths.index(each.depth) if each.depth in depths else -1 for each in program.passes])
    doubled = 1.0 if isinstance(arch, DenseMLP) else program.passes[0].post.gain
    n_relus = getattr(arch, "branch_depth", 2) - 1
    tangent_doubled = 2.0 if n_relus > 1 else 1.0
    base, bias = growth(arch).base, getattr(arch, "bias", 0.0) ** 2
    reading = [
        (1 / doubled, -bias / base**each.depth, 1 / tangent_doubled, -bias / base**each.depth, program.nngp_share)
        for each in program.passes
    ]
    return DenseSteps(steps.codes, steps.numbers, outputs, np.array(reading, dtype=dtype))
