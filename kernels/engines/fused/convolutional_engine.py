"""Convolutional kernels on the CPU: tiles of inputs, prepared once, and all pairs of a tile on all threads.

What crosses main memory is, per tile, the images and the deviations of every layer and pixel; a pair reads its own and writes one number
per output. The deviations of a vector of z stay in the second-level cache while x runs past it, and the field of a pair in the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skipbench.architecture import ConvolutionalArchitecture
from skipbench.kernels.engines.assembly import Span
from skipbench.kernels.engines.fused.bundles import Bundle
from skipbench.kernels.engines.fused.program import program_of
from skipbench.kernels.engines.fused.steps import finish_of, frame_of, steps_of, workspace_of
from skipbench.kernels.engines.fused.threads import Threads
from skipbench.kernels.engines.fused.tiles import Rows, Vectors, Workspace, pair_group, prepare_group, spread_group
from skipbench.kernels.engines.fused.vectors import LANES, aligned_zeros
from skipbench.kernels.inputs import Inputs

_LARGEST_TILE = 256
_TASKS_PER_THREAD = 64  # in a tile, where it is large enough: a thread waits for the others' last ones
_SHORTEST_TASK = 2**21  # updates of a field element by a pass: a millisecond


class ConvolutionalTiles:
    """One bundle of architectures on inputs of one shape."""

    def __init__(self, bundle: Bundle, x: Inputs, z: Inputs, identities: tuple[NDArray[np.int64], NDArray[np.int64]]) -> None:
        arch = bundle.deepest
        assert isinstance(arch, ConvolutionalArchitecture)
        channels, height, width = x.shape
        self._x, self._z, self._identities = x, z, identities
        self._dtype = np.dtype(np.float32 if x.dtype.itemsize == 4 else np.float64)
        self._lanes, self._channels = LANES[self._dtype], channels
        self._all_offsets = arch.readout == "gap"
        program, pixels = program_of(arch), height * width
        means = [{"eq": 1.0, "tr": 1 / pixels, "gap": 1 / pixels**2}[readout] for readout in bundle.readouts]
        self._steps = steps_of(program, bundle.depths, arch.filter_size, channels, self._dtype)
        self._frame = frame_of(arch, bundle.readouts, (channels, height, width), self._dtype)
        self._finish = finish_of(program, bundle.depths, arch.filter_size, means)
        self._n_sums = 2 * len(program.passes) * len(means)
        self._size, self._n_scales = channels * pixels, 2 * program.n_relus * pixels
        self._updates = self._lanes * len(program.passes) * (pixels**2 if self._all_offsets else pixels)  # of one x and one vector of z
        self._n_outputs = len(bundle.depths) * len(bundle.readouts)
        self._threads = Threads(partial(workspace_of, program, self._frame, self._dtype))
        self._kept: tuple[Any, Vectors] | None = None

    def side(self, working_bytes: int) -> int:
        """Inputs along a tile: images and deviations of both sides, in both layouts, take half of the working memory."""
        row_bytes = 4 * (self._size + self._n_scales) * self._dtype.itemsize + 8 * self._n_sums
        fitting = max(1, min(_LARGEST_TILE, working_bytes // 2 // row_bytes))
        return fitting if fitting < self._lanes else fitting // self._lanes * self._lanes

    def values(self, rows: Span, columns: Span, *, upper_only: bool) -> NDArray[np.float64]:
        """(2, readouts · depths, rows, columns): NNGP and NTK values of a tile, growth left out; upper_only skips what lies below."""
        x, z = self._rows(rows), self._vectors(self._z, self._identities[1], columns)
        found = np.zeros((2, self._n_outputs, len(rows), len(columns)))
        self._threads.run(self._tasks(x, z, found, upper_only=upper_only))
        return found

    def _tasks(self, x: Rows, z: Vectors, found: NDArray[np.float64], *, upper_only: bool) -> Iterator[Callable[[Workspace], None]]:
        n, n_groups = found.shape[2], self._groups(found.shape[3])
        step = max(1, _SHORTEST_TASK // self._updates, -(-n * n_groups // (_TASKS_PER_THREAD * self._threads.count)))
        for group in range(n_groups):
            stop = min(n, (group + 1) * self._lanes) if upper_only else n
            for start in range(0, stop, step):
                yield partial(self._pairs, x, z, group, start, min(start + step, stop), found)

    def _pairs(self, x: Rows, z: Vectors, group: int, start: int, stop: int, found: NDArray[np.float64], work: Workspace) -> None:
        pair_group(self._steps, self._frame, self._finish, x, z, self._all_offsets, group, start, stop, work, found[0], found[1])

    def _rows(self, span: Span) -> Rows:
        """One row for each input; from the lanes that prepare it."""
        vectors = self._vectors(self._x, self._identities[0], span)
        scales = aligned_zeros((len(span) * self._n_scales + 2,), self._dtype)[: len(span) * self._n_scales].reshape(
            len(span), self._n_scales
        )
        self._threads.run(partial(self._spread, vectors, group, scales) for group in range(self._groups(len(span))))
        return Rows(self._given(self._x, span) / self._dtype.type(self._channels), scales, self._identities[0][span.start : span.stop])

    @staticmethod
    def _spread(vectors: Vectors, group: int, scales: NDArray[Any], work: Workspace) -> None:
        spread_group(vectors, group, scales)

    def _vectors(self, inputs: Inputs, identities: NDArray[np.int64], span: Span) -> Vectors:
        """Prepare a span of inputs, unless it is the one prepared last."""
        wanted = (inputs, span)
        if self._kept is not None and self._kept[0] == wanted:
            return self._kept[1]
        n_lanes, given = self._groups(len(span)) * self._lanes, self._given(inputs, span)
        images = aligned_zeros(n_lanes * self._size, self._dtype)
        scales = aligned_zeros((n_lanes * self._n_scales + 2 * self._lanes,), self._dtype)
        z = Vectors(images, scales, identities[span.start : span.stop], np.zeros((len(span), self._n_sums)))
        self._threads.run(partial(self._prepare, given, group, z) for group in range(self._groups(len(span))))
        self._kept = (wanted, z)
        return z

    def _prepare(self, given: NDArray[Any], group: int, z: Vectors, work: Workspace) -> None:
        prepare_group(self._steps, self._frame, given, self._n_scales, group, z, work)

    def _given(self, inputs: Inputs, span: Span) -> NDArray[Any]:
        return np.ascontiguousarray(inputs.rows(span.start, span.stop).numpy().reshape(len(span), self._size))

    def _groups(self, n: int) -> int:
        return -(-n // self._lanes)
