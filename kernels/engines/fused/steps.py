"""A program, a frame and buffers as the arrays that the compiled loops read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skipbench.architecture import ConvolutionalArchitecture
from skipbench.kernels.engines.fused.field_loops import Frame, Scratch, Steps
from skipbench.kernels.engines.fused.program import Program, Readout, Update
from skipbench.kernels.engines.fused.tiles import Finish, Workspace
from skipbench.kernels.engines.fused.vectors import LANES, aligned_zeros


def steps_of(program: Program, depths: Sequence[int], filter_size: int, channels: int, dtype: Any) -> Steps:
    """The passes as numbers; gains take in the 1/q² of every box average, since the loops only add.

    depths: those whose kernels are wanted; a readout that neither they nor the sums need is left out.
    """
    codes, numbers, relus = [], [], 0
    for each in program.passes:
        kind = each.readout.averages if each.readout is not None and _is_read(each.readout, each.depth, depths) else -1
        codes.append((each.dual, each.source, each.target, each.averages, kind, relus))
        relus += each.dual == 1
        numbers.append((*_update(each.post, each.averages, filter_size), *_update(each.tangent, each.averages, filter_size)))
    scale = np.array([1 / channels], dtype=dtype)
    return Steps(np.array(codes, dtype=np.int64), np.array(numbers, dtype=dtype), scale)


def _is_read(readout: Readout, depth: int, depths: Sequence[int]) -> bool:
    return readout.accumulates or depth in depths


def _update(update: Update, averages: int, filter_size: int) -> tuple[float, float, float, float]:
    return update.keep, update.gain / filter_size ** (2 * averages), update.constant, update.bordered


def finish_of(program: Program, depths: Sequence[int], means: Sequence[float]) -> Finish:
    """What to do with the sums of all passes; depths: those whose kernels are wanted; means: what makes a mean of a readout's sum."""
    nothing = (1.0, 0.0, 0.0, 0.0, 0.0)
    reads = [p.readout if p.readout is not None and _is_read(p.readout, p.depth, depths) else None for p in program.passes]
    numbers = np.array([nothing if r is None else (r.keep, r.post, r.tangent, r.bias, r.tangent_bias) for r in reads])
    outputs = np.array([depths.index(each.depth) if each.depth in depths else -1 for each in program.passes])
    return Finish(numbers, outputs, program.nngp_share, np.array(means, dtype=np.float64))


def frame_of(arch: ConvolutionalArchitecture, readouts: Sequence[str], shape: tuple[int, int, int], dtype: Any) -> Frame:
    """Geometry, and the weights with which the readouts see E and Av E: separable into rows and columns."""
    channels, height, width = shape
    reach, circular = arch.filter_size // 2, arch.padding == "circular"
    sides = max(height, width)
    share = np.ones((sides + 1, sides)) if circular else _inside(sides, reach)
    rows = np.stack([_weights(readout, share, height, reach, circular=circular) for readout in readouts])
    columns = np.stack([_weights(readout, share, width, reach, circular=circular) for readout in readouts])
    taps = tuple(range(-reach, reach + 1))
    return Frame(
        channels, height, width, circular, taps, sides, len(readouts), share.astype(dtype), rows.astype(dtype), columns.astype(dtype)
    )


def _inside(sides: int, reach: int) -> NDArray[np.float64]:
    """share[n, i]: of a filter centred at place i of n, how much lies inside."""
    place, count = np.arange(sides), np.arange(sides + 1)[:, None]
    inside = np.minimum(place + reach, count - 1) - np.maximum(place - reach, 0) + 1
    return np.asarray(np.where(place < count, inside, 0) / (2 * reach + 1))


def _weights(readout: str, share: NDArray[np.float64], side: int, reach: int, *, circular: bool) -> NDArray[np.float64]:
    """(2, side + 1, side): of E and of Av E, for every number of places; for `eq` the centre pixel, and the filter around it."""
    if readout != "eq":
        return np.stack([np.ones_like(share), share])
    weights = np.zeros((2, *share.shape))
    centre = side // 2
    weights[0, side, centre] = 1.0
    for tap in range(-reach, reach + 1):
        place = (centre + tap) % side if circular else centre + tap
        if 0 <= place < side:
            weights[1, side, place] += 1 / (2 * reach + 1)
    return weights


def workspace_of(program: Program, frame: Frame, dtype: Any) -> Workspace:
    """What one thread needs."""
    lanes = LANES[np.dtype(dtype)]
    sums = aligned_zeros(2 * len(program.passes) * frame.n_readouts * lanes, np.float64)
    reach = len(frame.taps) // 2
    first_length = (frame.width + 3 * reach) * lanes
    first_rows = aligned_zeros((2 * reach + 5) * first_length, dtype)
    return Workspace(_scratch_of(program, frame, dtype), first_rows, first_length, sums, np.zeros(lanes, dtype=np.int64))


def _scratch_of(program: Program, frame: Frame, dtype: Any) -> Scratch:
    lanes, reach = LANES[np.dtype(dtype)], len(frame.taps) // 2
    row_length = 2 * (frame.width + 3 * reach) * lanes
    ring_rows = frame.height if frame.circular else 2 * reach + 1
    n_fields = 2 if program.has_branch else 1
    return Scratch(
        aligned_zeros((n_fields * frame.height * frame.width + 1) * 2 * lanes, dtype),  # one pixel more: see `start_pixel`
        aligned_zeros((2 * reach + 5) * row_length, dtype),
        aligned_zeros(2 * ring_rows * frame.width * lanes, dtype),
        aligned_zeros(2 * frame.height * frame.width * lanes if frame.circular else lanes, dtype),
        row_length,
    )
