"""The compiled loops of fully connected kernels: all layers of a block of pairs in the first-level cache.

One x against many z: a "row" of groups of z takes the place of the pixels of `field_loops`, so the ReLU is the same loop; the average is
the identity, and the update follows at once. Kernel values are read off the state after the passes where a depth ends:

    nngp = (G − β) / g    and    S = (U − β') / u,    ntk = S + share nngp,

β, β' the bias that the state holds, g and u the factors by which it is doubled (see `program`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import njit

from skipbench.kernels.engines.fused.dense_products import PRODUCT_ROWS, PRODUCT_TERMS, multiply
from skipbench.kernels.engines.fused.field_loops import CODES, NUMBERS, RELU
from skipbench.kernels.engines.fused.relu import relu_finish, relu_start
from skipbench.kernels.engines.fused.sources import SOURCES
from skipbench.kernels.engines.fused.vectors import (
    broadcast,
    fma,
    inverse_or_zero,
    lanes_of,
    load,
    pointer,
    sqrt,
    store,
    stream,
    stream_quarters,
    streamed,
    until_aligned,
)

BLOCK_ROWS = 3 * PRODUCT_ROWS  # their products with 16 groups, 24 KiB, stay in the first-level cache
MIRRORED_LANES = 4
READING = 5  # numbers of a pass in `DenseSteps.reading`


class DenseSteps(NamedTuple):
    """A program as arrays: codes as in `field_loops.Steps`, and how to read a depth off the state. In loops, as pointers.

    numbers: (passes, 8): keep, gain, constant, bordered of G ← keep G + gain E + constant + bordered, then of U.
    outputs: (passes,), the output that the state holds after a pass, −1 for none. reading: (passes, 5): factor and summand of nngp, of S
    (nngp = factor G + summand), then share. scale: (1,), 1 / d. passes: their number.
    """

    codes: Any
    numbers: Any
    outputs: Any
    reading: Any
    scale: Any
    passes: Any


class DenseSide(NamedTuple):
    """Prepared inputs of a tile.

    rows: (n, d). packed: [group][d][lane]. scales: [ReLU][group][√a, 1/√a][lane]. values: (outputs, 2, n), each input with itself.
    identities: (n,).
    """

    rows: Any
    packed: Any
    scales: Any
    values: Any
    identities: Any


class DenseWork(NamedTuple):
    """What one thread writes into: G and U of both field pairs, products [row][group][lane], and a row of nngp and one of ntk.

    check: a vector that stays 0 as long as all values are finite. pair: where in the state the fields of a branch begin.
    """

    state: Any
    gram: Any
    values: Any
    check: Any
    pair: Any


class Target(NamedTuple):
    """Where kernel values go: pointers to both stacks of matrices, how far two matrices and two rows lie apart, and the columns."""

    nngp: Any
    ntk: Any
    matrix: Any
    row: Any
    columns: Any


@njit(inline="always")
def _update(numbers: Any, first: int, state: Any, at: int, post: Any, both: Any) -> Any:
    """G ← keep G + gain E + β, U ← keep U + gain F + β'; an average of ones is one. Returns both."""
    lanes = lanes_of(state)
    bias, both_bias = broadcast(numbers[first + 2] + numbers[first + 3]), broadcast(numbers[first + 6] + numbers[first + 7])
    post, both = fma(broadcast(numbers[first + 1]), post, bias), fma(broadcast(numbers[first + 5]), both, both_bias)
    if numbers[first] != 0:
        post = fma(broadcast(numbers[first]), load(state, at), post)
        both = fma(broadcast(numbers[first + 4]), load(state, at + lanes), both)
    store(state, at, post)
    store(state, at + lanes, both)
    return post, both


@njit(inline="always")
def _start(state: Any, source: int, z: Any, at_z: int, deviation: Any, inverse: Any, column: int) -> Any:
    lanes = lanes_of(state)
    place = 2 * column * lanes
    pre = load(state, source + place)
    below, t, root = relu_start(pre, deviation, inverse, load(z, at_z + place), load(z, at_z + place + lanes))
    return pre, below, t, root


@njit(inline="always")
def _read(reading: Any, first: int, post: Any, both: Any) -> Any:
    """nngp and ntk of a vector of pairs, of what the state holds of G and U."""
    nngp = fma(broadcast(reading[first]), post, broadcast(reading[first + 1]))
    rest = fma(broadcast(reading[first + 2]), both, broadcast(reading[first + 3]))
    return nngp, fma(broadcast(reading[first + 4]), nngp, rest)


@njit(inline="always")
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


@njit(inline="always")
def _relu_pass_to(
    steps: Any, number: int, work: Any, x: Any, at_x: int, z: Any, at_z: int, columns: int, target: Any, written: int, is_aligned: bool
) -> None:
    """`_relu_pass`, and the values of its depth into whole vectors of the result while they are in registers.

    Beside the arithmetic of the pass the memory has time to take them; sent all at once between two passes, they are waited for.
    """
    state, lanes, first, at_reading = work.state, lanes_of(work.state), NUMBERS * number, READING * number
    source, into = steps.codes[CODES * number + 1] * work.pair, steps.codes[CODES * number + 2] * work.pair
    deviation, inverse = broadcast(x[at_x]), broadcast(x[at_x + 1])
    pre, below, t, root = _start(state, source, z, at_z, deviation, inverse, 0)
    check = load(work.check, 0)
    for column in range(columns):
        next_pre, next_below, next_t, next_root = _start(state, source, z, at_z, deviation, inverse, column + 1)
        place = 2 * column * lanes
        post, both = relu_finish(pre, load(state, source + place + lanes), below, t, root)
        post, both = _update(steps.numbers, first, state, into + place, post, both)
        post, both = _read(steps.reading, at_reading, post, both)
        check = check + (post - post) + (both - both)
        if is_aligned:
            stream(target.nngp, written + column * lanes, post)
            stream(target.ntk, written + column * lanes, both)
        else:
            stream_quarters(target.nngp, written + column * lanes, post)
            stream_quarters(target.ntk, written + column * lanes, both)
        pre, below, t, root = next_pre, next_below, next_t, next_root
    store(work.check, 0, check)


@njit(inline="always")
def _linear_pass(numbers: Any, first: int, state: Any, source: int, target: int, columns: int) -> None:
    """A pass without ReLU, or each input with itself."""
    lanes = lanes_of(state)
    for column in range(columns):
        place = 2 * column * lanes
        pre = load(state, source + place)
        both = pre + load(state, source + place + lanes)
        _update(numbers, first, state, target + place, pre, both)


@njit(inline="always")
def _begin(numbers: Any, scale: Any, gram: Any, at: int, state: Any, columns: int) -> None:
    """The first pass: E = F = <x, z> / d."""
    lanes = lanes_of(state)
    for column in range(columns):
        value = load(gram, at + column * lanes) * broadcast(scale)
        _update(numbers, 0, state, 2 * column * lanes, value, value)


@njit(inline="always")
def _send(source: Any, at: int, target: Any, place: int, count: int) -> None:
    """Copy numbers past the caches, but for those before the first whole vector and behind the last."""
    lanes, head = lanes_of(source), min(count, until_aligned(target, place))
    tail = head + (count - head) // lanes * lanes
    for number in range(head):
        target[place + number] = source[at + number]
    for number in range(head, tail, lanes):
        stream(target, place + number, load(source, at + number))
    for number in range(tail, count):
        target[place + number] = source[at + number]


@njit(inline="always")
def _write(steps: DenseSteps, number: int, columns: int, work: DenseWork, target: Target, row: int, first: int) -> None:
    """Put the values that the state holds into a row of an output, from column `first` on; those beyond the last column are dropped."""
    lanes, output = lanes_of(work.state), steps.outputs[number]
    width, place = columns * lanes, output * target.matrix + row * target.row + first
    check = load(work.check, 0)
    for column in range(columns):
        place_in = 2 * column * lanes
        post, both = _read(steps.reading, READING * number, load(work.state, place_in), load(work.state, place_in + lanes))
        check = check + (post - post) + (both - both)  # 0, or NaN where one of them is not finite
        store(work.values, column * lanes, post)
        store(work.values, width + column * lanes, both)
    store(work.check, 0, check)
    count = min(width, target.columns - first)
    _send(work.values, 0, target.nngp, place, count)
    _send(work.values, width, target.ntk, place, count)


@njit
def _layers(
    steps: DenseSteps,
    x_scales: Any,
    rows: int,
    row: int,
    gram_at: int,
    z_scales: Any,
    groups: int,
    group: int,
    columns: int,
    work: DenseWork,
    target: Target,
    corner: Any,
) -> None:
    """All passes for one x and the groups group..group + columns of z; what a depth gives goes to target."""
    codes, numbers, lanes, state, relu = steps.codes, steps.numbers, lanes_of(work.state), work.state, 0
    for number in range(steps.passes):
        dual, source, into = codes[CODES * number], codes[CODES * number + 1] * work.pair, codes[CODES * number + 2] * work.pair
        if number == 0:
            _begin(numbers, steps.scale[0], work.gram, gram_at, state, columns)
        elif dual == RELU:
            at_x, at_z = 2 * (relu * rows + row), 2 * (relu * groups + group) * lanes
            relu += 1
            output = steps.outputs[number]
            first = output * target.matrix + (corner[0] + row) * target.row + corner[1] + group * lanes
            fits = output >= 0 and corner[1] + (group + columns) * lanes <= target.columns
            missing = until_aligned(target.nngp, first)
            if fits and missing % (lanes // 4) == 0 and until_aligned(target.ntk, first) == missing:
                if missing == 0:
                    _relu_pass_to(steps, number, work, x_scales, at_x, z_scales, at_z, columns, target, first, True)
                else:
                    _relu_pass_to(steps, number, work, x_scales, at_x, z_scales, at_z, columns, target, first, False)
                continue
            _relu_pass(numbers, NUMBERS * number, state, source, into, x_scales, at_x, z_scales, at_z, columns)
        else:
            _linear_pass(numbers, NUMBERS * number, state, source, into, columns)
        if steps.outputs[number] >= 0:
            _write(steps, number, columns, work, target, corner[0] + row, corner[1] + group * lanes)


@njit
def _pointers(steps: DenseSteps, work: DenseWork) -> Any:
    """Both with pointers in place of arrays: passing an array counts its references atomically, which took half of a shallow kernel."""
    return (
        DenseSteps(
            pointer(steps.codes), pointer(steps.numbers), pointer(steps.outputs), pointer(steps.reading), pointer(steps.scale), steps.passes
        ),
        DenseWork(pointer(work.state), pointer(work.gram), pointer(work.values), pointer(work.check), work.pair),
    )


@njit
def _block(
    steps: DenseSteps,
    x: DenseSide,
    x_scales: Any,
    z: DenseSide,
    start: int,
    stop: int,
    group: int,
    columns: int,
    corner: Any,
    work: DenseWork,
    nngp: Any,
    ntk: Any,
) -> None:
    program, room = _pointers(steps, work)
    lanes, rows, dimension = lanes_of(room.state), x.rows.shape[0], x.rows.shape[1]
    target = Target(pointer(nngp), pointer(ntk), nngp.shape[1] * nngp.shape[2], nngp.shape[2], corner[1] + z.identities.size)
    groups, of_x, of_z = z.packed.size // (lanes * max(1, dimension)), pointer(x_scales), pointer(z.scales)
    for begin in range(start, stop, BLOCK_ROWS):
        end = min(begin + BLOCK_ROWS, stop)
        multiply(pointer(x.rows), begin, end, pointer(z.packed), group, columns, dimension, room.gram)
        for row in range(begin, end):
            at = (row - begin) * columns * lanes
            _layers(program, of_x, rows, row, at, of_z, groups, group, columns, room, target, corner)
    streamed()


@njit
def _equals(x: DenseSide, z: DenseSide, order: Any, first: Any, last: Any, corner: Any, nngp: Any, ntk: Any) -> None:
    """Give equal inputs the values of an input with itself: z's inputs order[first..last] are equal to an x."""
    for row in range(x.identities.size):
        for place in range(first[row], last[row]):
            column = order[place]
            for output in range(nngp.shape[0]):
                nngp[output, corner[0] + row, corner[1] + column] = z.values[output, 0, column]
                ntk[output, corner[0] + row, corner[1] + column] = z.values[output, 1, column]


@njit
def _selves(steps: DenseSteps, side: DenseSide, group: int, groups: int, work: DenseWork) -> None:
    """Put the inputs of a group into the lanes; all passes for each with itself, r = 1; the deviations of each ReLU are noted."""
    state, numbers, lanes, dimension = pointer(work.state), pointer(steps.numbers), lanes_of(pointer(work.state)), side.rows.shape[1]
    packed, rows, n, pair, relu = pointer(side.packed), pointer(side.rows), side.rows.shape[0], work.pair, 0
    used = max(0, min(lanes, n - group * lanes))
    for term in range(dimension):
        place = (group * dimension + term) * lanes
        for lane in range(used):
            packed[place + lane] = rows[(group * lanes + lane) * dimension + term]
        for lane in range(used, lanes):
            packed[place + lane] = 0
    total = broadcast(steps.scale[0]) - broadcast(steps.scale[0])
    for begin in range(0, dimension, PRODUCT_TERMS):
        part = broadcast(steps.scale[0]) - broadcast(steps.scale[0])
        for term in range(begin, min(begin + PRODUCT_TERMS, dimension)):
            value = load(packed, (group * dimension + term) * lanes)
            part = fma(value, value, part)
        total = total + part
    store(pointer(work.gram), 0, total)
    for number in range(steps.passes):
        source, into = steps.codes[number, 1] * pair, steps.codes[number, 2] * pair
        if number == 0:
            _begin(numbers, steps.scale[0], pointer(work.gram), 0, state, 1)
            continue
        if steps.codes[number, 0] == RELU:
            at = 2 * (relu * groups + group) * lanes
            deviation = sqrt(load(state, source))
            store(pointer(side.scales), at, deviation)
            store(pointer(side.scales), at + lanes, inverse_or_zero(deviation))
            relu += 1
        _linear_pass(numbers, NUMBERS * number, state, source, into, 1)
        if steps.outputs[number] >= 0:
            post, both = _read(pointer(steps.reading), READING * number, load(state, 0), load(state, lanes))
            store(pointer(work.gram), 0, post)
            store(pointer(work.gram), lanes, both)
            for lane in range(min(lanes, n - group * lanes)):
                side.values[steps.outputs[number], 0, group * lanes + lane] = work.gram[lane]
                side.values[steps.outputs[number], 1, group * lanes + lane] = work.gram[lanes + lane]


@njit
def _mirror(matrix: Any, start: int, stop: int, work: DenseWork) -> None:
    """matrix[row, column] = matrix[column, row] for column < row, a square at a time, turned in the first-level cache."""
    place, square, n = pointer(matrix), pointer(work.gram), matrix.shape[1]
    side = MIRRORED_LANES * lanes_of(square)
    turned = side * side
    for first in range(start, stop, side):
        rows = min(side, stop - first)
        for begin in range(0, first + rows, side):
            for column in range(min(side, n - begin)):
                for row in range(rows):
                    square[column * side + row] = place[(begin + column) * n + first + row]
            for row in range(rows):
                count = max(0, min(side, first + row - begin))
                for column in range(count):
                    square[turned + column] = square[column * side + row]
                _send(square, turned, place, (first + row) * n + begin, count)
    streamed()


def _entries(sources: str) -> tuple[Any, Any, Any, Any]:
    """The functions that Python calls, cached on disk. See `sources`."""

    @njit(nogil=True, cache=True)
    def dense_block(
        steps: Any,
        x: Any,
        x_scales: Any,
        z: Any,
        start: Any,
        stop: Any,
        group: Any,
        columns: Any,
        corner: Any,
        work: Any,
        nngp: Any,
        ntk: Any,
    ) -> None:
        if len(sources) > 0:
            _block(steps, x, x_scales, z, start, stop, group, columns, corner, work, nngp, ntk)

    @njit(nogil=True, cache=True)
    def dense_selves(steps: Any, side: Any, start: Any, stop: Any, groups: Any, work: Any) -> None:
        if len(sources) > 0:
            for group in range(start, stop):
                _selves(steps, side, group, groups, work)

    @njit(nogil=True, cache=True)
    def dense_equals(x: Any, z: Any, order: Any, first: Any, last: Any, corner: Any, nngp: Any, ntk: Any) -> None:
        if len(sources) > 0:
            _equals(x, z, order, first, last, corner, nngp, ntk)

    @njit(nogil=True, cache=True)
    def mirror_rows(matrix: Any, start: Any, stop: Any, work: Any) -> None:
        if len(sources) > 0:
            _mirror(matrix, start, stop, work)

    return dense_block, dense_selves, dense_equals, mirror_rows


# dense_block: kernel values of the inputs start..stop of x with some groups of z, written into the matrices nngp and ntk (outputs, n, m)
# from corner (row, column) on. dense_selves: prepare the groups start..stop. dense_equals: pairs of equal inputs, after the blocks of
# their tile. mirror_rows: the rows start..stop left of the diagonal, from above it.
dense_block, dense_selves, dense_equals, mirror_rows = _entries(SOURCES)
