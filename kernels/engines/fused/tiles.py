"""Compiled tasks over a tile of inputs: preparing a vector of inputs, and all pairs of some inputs x with one vector of inputs z."""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import njit

from skipbench.kernels.engines.fused.field_loops import BOTH, Frame, Rectangle, Scratch, Side, Steps
from skipbench.kernels.engines.fused.passes import clear_margins, run_offsets, run_passes
from skipbench.kernels.engines.fused.sources import SOURCES
from skipbench.kernels.engines.fused.vectors import lanes_of, pointer


class Rows(NamedTuple):
    """Inputs x, one row each: images (n, channels · pixels), divided by the channels; scales (n, ReLUs · pixels · 2); identities (n,)."""

    images: Any
    scales: Any
    identities: Any


class Vectors(NamedTuple):
    """Inputs z, as many to a group as a vector has lanes.

    images: [group][channel][pixel][lane]. scales: [group][ReLU][pixel][√a, 1/√a][lane]. identities: (n,). self_sums: (n, sums), the
    readout sums of every pass of each input with itself.
    """

    images: Any
    scales: Any
    identities: Any
    self_sums: Any


class Finish(NamedTuple):
    """How the readout sums of all passes become kernel values: N ← keep N + post mean(E) + bias, S likewise, ntk = S + share N.

    numbers: (passes, 5) float64: keep, post, tangent, bias, tangent_bias of the readout. outputs: (passes,): which depth's values N and S
    then are, −1 for none. means: (readouts,): a sum times this is a mean.
    """

    numbers: Any
    outputs: Any
    share: float
    means: Any


class Workspace(NamedTuple):
    """What one thread writes into: buffers, readout sums [pass][readout][E, F][lane] in float64, and a number for each lane.

    first_rows: rows of the first pass, one plane each, of `first_length` numbers.
    """

    scratch: Scratch
    first_rows: Any
    first_length: int
    sums: Any
    same: Any


@njit(inline="always")
def pointed(steps: Steps, frame: Frame, work: Workspace) -> Any:
    """Steps, frame, scratch and the scratch of the first pass with pointers in the place of arrays."""
    scratch = work.scratch
    state, ring, second_ring = pointer(scratch.state), pointer(scratch.ring), pointer(scratch.second_ring)
    return (
        Steps(pointer(steps.codes), pointer(steps.numbers), pointer(steps.scale)),
        Frame(
            frame.channels,
            frame.height,
            frame.width,
            frame.circular,
            frame.taps,
            frame.side,
            frame.n_readouts,
            pointer(frame.share),
            pointer(frame.row_weights),
            pointer(frame.column_weights),
        ),
        Scratch(state, pointer(scratch.row), ring, second_ring, scratch.row_length),
        Scratch(state, pointer(work.first_rows), ring, second_ring, work.first_length),
    )


@njit(inline="always")
def _prepare(steps: Steps, frame: Frame, given: Any, n_scales: int, group: int, z: Vectors, work: Workspace) -> None:
    lanes, size = lanes_of(pointer(z.images)), given.shape[1]
    first, start = group * lanes, group * lanes * size
    for lane in range(lanes):
        source = min(first + lane, given.shape[0] - 1)  # lanes without an input repeat the last one
        for value in range(size):
            z.images[start + value * lanes + lane] = given[source, value]
    work.sums[:] = 0
    inner_steps, inner_frame, scratch, first_scratch = pointed(steps, frame, work)
    side = Side(pointer(z.images), start, pointer(z.scales), first * n_scales)
    whole = Rectangle(frame.height, frame.width, 0, 0, 0, 0)
    clear_margins(inner_frame, frame.width, scratch.row, scratch.row_length, BOTH)
    run_passes(inner_steps, inner_frame, side, side, whole, True, scratch, first_scratch, pointer(work.sums), steps.codes.shape[0])
    for lane in range(min(lanes, given.shape[0] - first)):
        for index in range(z.self_sums.shape[1]):
            z.self_sums[first + lane, index] = work.sums[index * lanes + lane]


@njit(inline="always")
def _spread(z: Vectors, group: int, target: Any) -> None:
    lanes, n_scales = lanes_of(pointer(z.scales)), target.shape[1]
    start = group * n_scales * lanes
    for lane in range(min(lanes, target.shape[0] - group * lanes)):
        row = target[group * lanes + lane]
        for index in range(n_scales):
            row[index] = z.scales[start + index * lanes + lane]


@njit(inline="always")
def _pairs(
    steps: Steps,
    frame: Frame,
    finish: Finish,
    x: Rows,
    z: Vectors,
    all_offsets: bool,
    group: int,
    start: int,
    stop: int,
    work: Workspace,
    nngp: Any,
    ntk: Any,
) -> None:
    lanes, n_passes = lanes_of(pointer(x.images)), steps.codes.shape[0]
    first, size, n_scales = group * lanes, x.images.shape[1], x.scales.shape[1]
    inner_steps, inner_frame, scratch, first_scratch = pointed(steps, frame, work)
    side = Side(pointer(z.images), group * size * lanes, pointer(z.scales), group * n_scales * lanes)
    same, self_sums, sums = pointer(work.same), pointer(z.self_sums), pointer(work.sums)
    for row in range(start, stop):
        for lane in range(lanes):
            column = first + lane
            is_same = column < z.identities.size and z.identities[column] == x.identities[row]
            work.same[lane] = column if is_same else -1
        other = Side(pointer(x.images), row * size, pointer(x.scales), row * n_scales)
        run_offsets(inner_steps, inner_frame, other, side, all_offsets, same, self_sums, scratch, first_scratch, sums, n_passes)
        _finish(finish, work.sums, lanes, row, first, nngp, ntk)


@njit(inline="always")
def _finish(finish: Finish, sums: Any, lanes: int, row: int, first: int, nngp: Any, ntk: Any) -> None:
    n_readouts, n_depths = finish.means.size, nngp.shape[0] // finish.means.size
    for lane in range(min(lanes, nngp.shape[2] - first)):
        for readout in range(n_readouts):
            post = tangent = 0.0
            for number in range(finish.outputs.size):
                at, mean = 2 * (number * n_readouts + readout) * lanes + lane, finish.means[readout]
                keep = finish.numbers[number, 0]
                post = keep * post + finish.numbers[number, 1] * mean * sums[at] + finish.numbers[number, 3]
                tangent = keep * tangent + finish.numbers[number, 2] * mean * sums[at + lanes] + finish.numbers[number, 4]
                if finish.outputs[number] >= 0:
                    output = readout * n_depths + finish.outputs[number]
                    nngp[output, row, first + lane] = post
                    ntk[output, row, first + lane] = tangent + finish.share * post


def _entries(sources: str) -> tuple[Any, Any, Any]:
    """The functions that Python calls, cached on disk. See `sources`."""

    @njit(nogil=True, cache=True)
    def prepare_group(steps: Any, frame: Any, given: Any, n_scales: Any, group: Any, z: Any, work: Any) -> None:
        if len(sources) > 0:
            _prepare(steps, frame, given, n_scales, group, z, work)

    @njit(nogil=True, cache=True)
    def spread_group(z: Any, group: Any, target: Any) -> None:
        if len(sources) > 0:
            _spread(z, group, target)

    @njit(nogil=True, cache=True)
    def pair_group(
        steps: Any,
        frame: Any,
        finish: Any,
        x: Any,
        z: Any,
        all_offsets: Any,
        group: Any,
        start: Any,
        stop: Any,
        work: Any,
        nngp: Any,
        ntk: Any,
    ) -> None:
        if len(sources) > 0:
            _pairs(steps, frame, finish, x, z, all_offsets, group, start, stop, work, nngp, ntk)

    return prepare_group, spread_group, pair_group


# prepare_group: put the inputs `given` (n, channels · pixels) of one group into the lanes; note the deviations of every layer and the
# closed sums of each with itself. spread_group: the scales of a group, from the lanes to one row of `target` per input. pair_group: kernel
# values of the inputs start..stop of x with one group of z: nngp, ntk (readouts · depths, n, m), float64, growth left out.
prepare_group, spread_group, pair_group = _entries(SOURCES)
