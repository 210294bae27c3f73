"""A program, a frame and buffers as the arrays that the compiled loops read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skipbench.architecture import ConvolutionalArchitecture
from skipbench.kernels.engines.fused.field_loops import Frame, Scratch, Steps
from skipbench.kernels.engines.fused.program import Dual, Fields, Program, Readout, Update
from skipbench.kernels.engines.fused.tiles import Finish, Workspace
from skipbench.kernels.engines.fused.vectors import LANES, aligned_zeros

_LARGEST_SCALE = 2.0**30


@dataclass(frozen=True, slots=True)
class Scales:
    """By what the numbers of a pass are multiplied: E and F, and G and U of its target before and after it."""

    source: float
    before: float
    after: float


def scales_of(program: Program, filter_size: int) -> list[Scales]:
    """Scales that turn the gains of nearly all updates into 1.

    E and F are homogeneous in G, U and the deviations together, so fields may hold multiples of what they stand for; the factors 1/q² of
    box averages and α² then gather in the scale, until a pass brings it back to 1.
    """
    held, found = dict.fromkeys(Fields, 1.0), []
    for each in program.passes:
        source = 1.0 if each.dual is Dual.GRAM else held[each.source]
        wanted = source / _gain(each.post, each.averages, filter_size)
        after = wanted if wanted <= _LARGEST_SCALE else 1.0
        found.append(Scales(source, held[each.target], after))
        held[each.target] = after
    return found


def steps_of(program: Program, depths: Sequence[int], filter_size: int, channels: int, dtype: Any) -> Steps:
    """The passes as numbers; gains take in the 1/q² of every box average, since the loops only add.

    depths: those whose kernels are wanted; a readout that neither they nor the sums need is left out.
    """
    scales, smallest = scales_of(program, filter_size), float(np.finfo(dtype).eps) ** 2
    updates = [
        tuple(_update(update, each.averages, filter_size, scale, smallest) for update in (each.post, each.tangent))
        for each, scale in zip(program.passes, scales, strict=True)
    ]
    ends = [(*of_post[1:], *of_tangent[1:]) != (1.0, 0.0, 0.0) * 2 for of_post, of_tangent in updates]
    numbers = np.array(updates, dtype=dtype).reshape(len(updates), -1)
    return Steps(codes_of(program, depths, ends), numbers, np.array([1 / channels], dtype=dtype))


def _is_read(readout: Readout, depth: int, depths: Sequence[int]) -> bool:
    return readout.accumulates or depth in depths


def codes_of(program: Program, depths: Sequence[int], ends: Sequence[bool]) -> NDArray[np.int64]:
    """What each pass does, as numbers. ends: whether more than a sum is left to do when a row of a pass is complete."""
    codes, relus = [], 0
    for each, is_end in zip(program.passes, ends, strict=True):
        kind = each.readout.averages if each.readout is not None and _is_read(each.readout, each.depth, depths) else -1
        codes.append((each.dual, each.source, each.target, each.averages, kind, relus, is_end))
        relus += each.dual is Dual.RELU
    return np.array(codes, dtype=np.int64)


def _gain(update: Update, averages: int, filter_size: int) -> float:
    return update.gain / float(filter_size ** (2 * averages))


def _update(update: Update, averages: int, filter_size: int, scales: Scales, smallest: float) -> tuple[float, float, float, float]:
    """keep, factor, constant, bordered of G ← factor (keep G + sum of E) + constant + bordered Av 1, all in their scales.

    A gain below `smallest` is raised to it: what it adds is rounded away, and keep would leave the dtype's range.
    """
    factor = max(_gain(update, averages, filter_size), smallest) * scales.after / scales.source
    if abs(factor - 1) < 1e-14:
        factor = 1.0
    return update.keep * scales.after / scales.before / factor, factor, update.constant * scales.after, update.bordered * scales.after


def finish_of(program: Program, depths: Sequence[int], filter_size: int, means: Sequence[float]) -> Finish:
    """What to do with the sums of all passes; depths: those whose kernels are wanted; means: what makes a mean of a readout's sum."""
    numbers = []
    for each, scale in zip(program.passes, scales_of(program, filter_size), strict=True):
        read = each.readout
        if read is None or not _is_read(read, each.depth, depths):
            numbers.append((1.0, 0.0, 0.0, 0.0, 0.0))
        else:
            numbers.append((read.keep, read.post / scale.source, read.tangent / scale.source, read.bias, read.tangent_bias))
    outputs = np.array([depths.index(each.depth) if each.depth in depths else -1 for each in program.passes])
    return Finish(np.array(numbers), outputs, program.nngp_share, np.array(means, dtype=np.float64))


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
