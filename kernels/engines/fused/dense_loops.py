"""The compiled loops of fully connected kernels: all layers of a block of pairs in the first-level cache.

One x against many z: a "row" of groups of z takes the place of the pixels of `field_loops`, so the ReLU is the same loop; the average is
the identity, and the update follows at once. Kernel values are read off the state after the passes where a depth ends:

    nngp = (G − β) / g    and    S = (U − β') / u,    ntk = S + share nngp,

β, β' the bias that the state holds, g and u the factors by which it is doubled (see `program`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import njit

from skipbench.kernels.engines.fused.field_loops import CODES, NUMBERS, RELU
from skipbench.kernels.engines.fused.relu import relu_finish, relu_start
from skipbench.kernels.engines.fused.sources import SOURCES
from skipbench.kernels.engines.fused.vectors import broadcast, fma, inverse_or_zero, lanes_of, load, pointer, sqrt, store


class DenseSteps(NamedTuple):
    """A program as arrays: codes and numbers as in `field_loops.Steps`, and how to read a depth off the state.

    numbers: (passes, 8). outputs: (passes,), the output that the state holds after a pass, −1 for none. reading: (passes, 5): g, β and
    u, β' as factor and summand (nngp = factor G + summand), then share.
    """

    codes: Any
    numbers: Any
    outputs: Any
    reading: Any


class Columns(NamedTuple):
    """One side: scales [ReLU][group][√a, 1/√a][lane], values (outputs, 2, n) of each input with itself, identities (n,)."""

    scales: Any
    values: Any
    identities: Any


@njit  # type: ignore[untyped-decorator]
def _update(numbers: Any, first: int, state: Any, at: int, post: Any, both: Any) -> None:
    """G ← keep G + gain E + β, U ← keep U + gain F + β'; an average of ones is one."""
    lanes = lanes_of(state)
    bias, both_bias = broadcast(numbers[first + 2] + numbers[first + 3]), broadcast(numbers[first + 6] + numbers[first + 7])
    post, both = fma(broadcast(numbers[first + 1]), post, bias), fma(broadcast(numbers[first + 5]), both, both_bias)
    if numbers[first] != 0:
        post = fma(broadcast(numbers[first]), load(state, at), post)
        both = fma(broadcast(numbers[first + 4]), load(state, at + lanes), both)
    store(state, at, post)
    store(state, at + lanes, both)


@njit(inline="always")  # type: ignore[untyped-decorator]
def _start(state: Any, source: int, z: Any, at_z: int, deviation: Any, inverse: Any, column: int) -> Any:
    lanes = lanes_of(state)
    place = 2 * column * lanes
    pre = load(state, source + place)
    below, t, root = relu_start(pre, deviation, inverse, load(z, at_z + place), load(z, at_z + place + lanes))
    return pre, below, t, root


@njit  # type: ignore[untyped-decorator]
def _relu_pass(numbers: Any, first: int, state: Any, source: int, target: int, x: Any, at_x: int, z: Any, at_z: int, columns: int) -> None:
    """A pass behind a ReLU over all columns; the next column is started before this one is finished."""
    lanes = lanes_of(state)
    deviation, inverse = broadcast(x[at_x]), broadcast(x[at_x + 1])
    pre, below, t, root = _start(state, source, z, at_z, deviation, inverse, 0)
    for column in range(columns):
        next_pre, next_below, next_t, next_root = _start(state, source, z, at_z, deviation, inverse, column + 1)
        place = 2 * column * lanes
        post, both = relu_finish(pre, load(state, source + place + lanes), below, t, root)
        _update(numbers, first, state, target + place, post, both)
        pre, below, t, root = next_pre, next_below, next_t, next_root


@njit  # type: ignore[untyped-decorator]
def _linear_pass(numbers: Any, first: int, state: Any, source: int, target: int, columns: int) -> None:
    """A pass without ReLU, or each input with itself."""
    lanes = lanes_of(state)
    for column in range(columns):
        place = 2 * column * lanes
        pre = load(state, source + place)
        both = pre + load(state, source + place + lanes)
        _update(numbers, first, state, target + place, pre, both)


@njit  # type: ignore[untyped-decorator]
def _begin(numbers: Any, gram: Any, at: int, state: Any, columns: int) -> None:
    """The first pass: E = F = <x, z> / d."""
    lanes = lanes_of(state)
    for column in range(columns):
        value = load(gram, at + column * lanes)
        _update(numbers, 0, state, 2 * column * lanes, value, value)


@njit  # type: ignore[untyped-decorator]
def _read(reading: Any, number: int, state: Any, columns: int, nngp: Any, ntk: Any, at: int) -> None:
    lanes = lanes_of(state)
    first = 5 * number
    for column in range(columns):
        place, out = 2 * column * lanes, at + column * lanes
        post = fma(broadcast(reading[first]), load(state, place), broadcast(reading[first + 1]))
        both = fma(broadcast(reading[first + 2]), load(state, place + lanes), broadcast(reading[first + 3]))
        store(nngp, out, post)
        store(ntk, out, fma(broadcast(reading[first + 4]), post, both))


@njit  # type: ignore[untyped-decorator]
def _block(
    steps: DenseSteps,
    gram: Any,
    x_scales: Any,
    z_scales: Any,
    row: int,
    rows: int,
    group: int,
    groups: int,
    columns: int,
    state: Any,
    nngp: Any,
    ntk: Any,
) -> None:
    """One x against the groups group..group + columns of z. gram, and each output of nngp and ntk: (rows, groups · lanes)."""
    codes, numbers, reading, lanes = pointer(steps.codes), pointer(steps.numbers), pointer(steps.reading), lanes_of(pointer(state))
    here, relu, at = pointer(state), 0, (row * groups + group) * lanes
    pair = state.size // 2  # the fields of a branch begin here
    for number in range(steps.codes.shape[0]):
        dual, source, target = codes[CODES * number], codes[CODES * number + 1] * pair, codes[CODES * number + 2] * pair
        if number == 0:
            _begin(numbers, pointer(gram), at, here, columns)
        elif dual == RELU:
            z_at = 2 * (relu * groups + group) * lanes
            _relu_pass(
                numbers,
                NUMBERS * number,
                here,
                source,
                target,
                pointer(x_scales),
                2 * (relu * rows + row),
                pointer(z_scales),
                z_at,
                columns,
            )
            relu += 1
        else:
            _linear_pass(numbers, NUMBERS * number, here, source, target, columns)
        if steps.outputs[number] >= 0:
            out = steps.outputs[number] * rows * groups * lanes + at
            _read(reading, number, here, columns, pointer(nngp), pointer(ntk), out)


@njit  # type: ignore[untyped-decorator]
def _rows(
    steps: DenseSteps,
    gram: Any,
    x: Columns,
    x_scales: Any,
    z: Columns,
    start: int,
    stop: int,
    group: int,
    columns: int,
    state: Any,
    nngp: Any,
    ntk: Any,
) -> None:
    lanes, rows, groups = lanes_of(pointer(state)), nngp.shape[1], nngp.shape[2] // lanes_of(pointer(state))
    for row in range(start, stop):
        _block(steps, gram, x_scales, z.scales, row, rows, group, groups, columns, state, nngp, ntk)
        for column in range(group * lanes, min((group + columns) * lanes, z.identities.size)):
            if z.identities[column] == x.identities[row]:
                for output in range(nngp.shape[0]):
                    nngp[output, row, column] = z.values[output, 0, column]
                    ntk[output, row, column] = z.values[output, 1, column]


@njit  # type: ignore[untyped-decorator]
def _selves(steps: DenseSteps, squares: Any, scales: Any, nngp: Any, ntk: Any, state: Any) -> None:
    """Every input with itself: all passes over all groups, r = 1; the deviations of each ReLU are noted."""
    here, lanes = pointer(state), lanes_of(pointer(state))
    columns, pair, relu = squares.size // lanes, state.size // 2, 0
    for number in range(steps.codes.shape[0]):
        source, target = steps.codes[number, 1] * pair, steps.codes[number, 2] * pair
        if number == 0:
            _begin(pointer(steps.numbers), pointer(squares), 0, here, columns)
            continue
        if steps.codes[number, 0] == RELU:
            for column in range(columns):
                at = 2 * (relu * columns + column) * lanes
                deviation = sqrt(load(here, source + 2 * column * lanes))
                store(pointer(scales), at, deviation)
                store(pointer(scales), at + lanes, inverse_or_zero(deviation))
            relu += 1
        _linear_pass(pointer(steps.numbers), NUMBERS * number, here, source, target, columns)
        if steps.outputs[number] >= 0:
            _read(pointer(steps.reading), number, here, columns, pointer(nngp), pointer(ntk), steps.outputs[number] * squares.size)


def _entries(sources: str) -> tuple[Any, Any]:
    """The functions that Python calls, cached on disk. See `sources`."""

    @njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
    def dense_rows(steps, gram, x, x_scales, z, start, stop, group, columns, state, nngp, ntk):  # type: ignore[no-untyped-def]
        if len(sources) > 0:
            _rows(steps, gram, x, x_scales, z, start, stop, group, columns, state, nngp, ntk)

    @njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
    def dense_selves(steps, squares, scales, nngp, ntk, state):  # type: ignore[no-untyped-def]
        if len(sources) > 0:
            _selves(steps, squares, scales, nngp, ntk, state)

    return dense_rows, dense_selves


# dense_rows: kernel values of the inputs start..stop of x with some groups of z. dense_selves: the same of every input with itself.
dense_rows, dense_selves = _entries(SOURCES)
