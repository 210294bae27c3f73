"""The compiled loops over one field: all passes of a program for one input x and one vector of inputs z.

A field is [row][column][E or F, G or U][lane]. A pass goes once over it, row by row: the row's source (`gram_row`, `relu_row`, ...)
writes E and F into a short row with margins; the box filters and the update of G and U follow one row later (so that they need not
wait for the roots and polynomials), in place (`follow_once`, `follow_twice`): sums over the filter's columns are made in registers, sums
over its rows with a ring of the last 2·reach rows, and a second ring for the second average. So the field is read and written once per
pass, and what lies between stays in the first-level cache. Zero padding: rows outside are the zero row of the ring, columns outside are
the row's margin. Circular padding wraps with multiplicity: the margin is copied, and the rings hold all rows, since the first row needs
the last (`box_row`, `add_rows`, `update_row`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import njit
from numba.cpython.unsafe.tuple import tuple_setitem

from skipbench.kernels.engines.fused.relu import relu_finish, relu_start
from skipbench.kernels.engines.fused.vectors import accumulate, broadcast, fma, inverse_or_zero, lanes_of, load, sqrt, store

GRAM, RELU, LINEAR = 0, 1, 2  # `Dual` as plain numbers
CODES, NUMBERS = 6, 8  # of each pass


class Steps(NamedTuple):
    """A program as arrays (or pointers to them), one row for each pass.

    codes: (passes, 6) integers: dual, source, target, averages, readout's averages (−1: no readout), number of the ReLU.
    numbers: (passes, 8) in the field's dtype: keep, gain / q^2k, constant, bordered of G, then of U. scale: (1,), 1 / channels.
    """

    codes: Any
    numbers: Any
    scale: Any


class Frame(NamedTuple):
    """What is the same for all fields: image shape, filter, padding and the weights of borders and readouts.

    taps: offsets −reach..reach, a tuple, so that its length is known to the compiler. side: the longer side. share: (side + 1, side):
    share[n, i] of the filter at place i of n places is inside. weights: (readouts, 2, side + 1, side) for rows, then for columns: of the
    mean of E, and of Av E.
    """

    channels: int
    height: int
    width: int
    circular: bool
    taps: Any
    side: int
    n_readouts: int
    share: Any
    row_weights: Any
    column_weights: Any


class Side(NamedTuple):
    """One side's images and deviations, flat; `image` and `deviations` are where this pair's begin."""

    images: Any
    image: int
    scales: Any
    deviations: int


class Scratch(NamedTuple):
    """Buffers of one thread: G and U of both field pairs, rows with margins (`row_length` numbers each: two that take turns, one of
    zeros, one that is averaged along the columns), two rings of rows.
    """

    state: Any
    row: Any
    ring: Any
    second_ring: Any
    row_length: int


class Rectangle(NamedTuple):
    """The pixel pairs of one offset: how many rows and columns, and where they begin in x and in z."""

    rows: int
    columns: int
    x_row: int
    x_column: int
    z_row: int
    z_column: int


@njit
def gram_row(x: Any, at_x: int, z: Any, at_z: int, channels: int, plane: int, columns: int, target: Any, at: int) -> None:
    """E = F = <x_i, z_j> / C (the images of x are divided by C)."""
    lanes = lanes_of(z)
    for channel in range(channels):  # outside: a loop of three turns has more overhead than work
        start = channel * plane
        for column in range(columns):
            pixel, place = start + column, at + 2 * column * lanes
            left, right = broadcast(x[at_x + pixel]), load(z, at_z + pixel * lanes)
            value = fma(left, right, load(target, place)) if channel > 0 else left * right
            store(target, place, value)
            if channel == channels - 1:
                store(target, place + lanes, value)


@njit
def square_row(z: Any, at_z: int, scale: Any, channels: int, plane: int, columns: int, target: Any, at: int) -> None:
    """E = F = |z_p|² / C, each input of the vector with itself."""
    lanes = lanes_of(z)
    for column in range(columns):
        value = load(z, at_z + column * lanes)
        total = value * value
        for channel in range(1, channels):
            value = load(z, at_z + (channel * plane + column) * lanes)
            total = fma(value, value, total)
        total = total * broadcast(scale)
        store(target, at + 2 * column * lanes, total)
        store(target, at + (2 * column + 1) * lanes, total)


class Relu(NamedTuple):
    """The operands of a row of a ReLU: where they begin in the state, in both inputs' deviations, and where E and F go."""

    source: int
    x: Any
    at_x: int
    z: Any
    at_z: int
    at: int


@njit(inline="always")
def start_pixel(state: Any, row: Relu, column: int) -> Any:
    """G, v t, t and √t of a pixel; the one behind the last may be asked for: arrays end with room for it."""
    lanes = lanes_of(state)
    place, pixel = 2 * column * lanes, row.at_x + 2 * column
    pre, z = load(state, row.source + place), row.at_z + place
    below, t, root = relu_start(pre, broadcast(row.x[pixel]), broadcast(row.x[pixel + 1]), load(row.z, z), load(row.z, z + lanes))
    return pre, below, t, root


@njit(inline="always")
def finish_pixel(state: Any, row: Relu, column: int, pre: Any, below: Any, t: Any, root: Any, target: Any) -> None:
    """E = v κ₁(r), F = E + κ₀(r) U."""
    lanes = lanes_of(state)
    place = 2 * column * lanes
    post, both = relu_finish(pre, load(state, row.source + place + lanes), below, t, root)
    store(target, row.at + place, post)
    store(target, row.at + place + lanes, both)


@njit
def relu_row(state: Any, row: Relu, columns: int, target: Any) -> None:
    """E and F of a row behind a ReLU: per vector of pairs 6 loads, 2 stores and 25 operations, one of them a root."""
    pre, below, t, root = start_pixel(state, row, 0)
    for column in range(columns):
        next_pre, next_below, next_t, next_root = start_pixel(state, row, column + 1)
        finish_pixel(state, row, column, pre, below, t, root, target)
        pre, below, t, root = next_pre, next_below, next_t, next_root


@njit
def linear_row(state: Any, source: int, columns: int, target: Any, at: int) -> None:
    """E = G and F = G + U: a pass without ReLU, or an input with itself, where r = 1."""
    lanes = lanes_of(state)
    for column in range(columns):
        place = 2 * column * lanes
        pre = load(state, source + place)
        store(target, at + place, pre)
        store(target, at + place + lanes, pre + load(state, source + place + lanes))


@njit
def deviation_row(state: Any, source: int, columns: int, target: Any, at: int) -> None:
    """√a and 1/√a of every pixel, a the variance G of an input with itself; 0 and 0 for a zero pixel."""
    lanes = lanes_of(state)
    for column in range(columns):
        place = 2 * column * lanes
        deviation = sqrt(load(state, source + place))
        store(target, at + place, deviation)
        store(target, at + place + lanes, inverse_or_zero(deviation))


@njit
def read_row(row: Any, at: int, columns: int, weights: Any, start: int, weight: Any, sums: Any, slot: int) -> None:
    """Add a row's weighted sums of E and F to the readout sums, in float64."""
    lanes = lanes_of(row)
    post = both = other = other_both = broadcast(weights[start]) - broadcast(weights[start])
    for column in range(columns // 2):  # two chains of additions: one would wait for itself
        place, share, next_share = at + 4 * column * lanes, weights[start + 2 * column], weights[start + 2 * column + 1]
        post = fma(broadcast(share), load(row, place), post)
        both = fma(broadcast(share), load(row, place + lanes), both)
        other = fma(broadcast(next_share), load(row, place + 2 * lanes), other)
        other_both = fma(broadcast(next_share), load(row, place + 3 * lanes), other_both)
    if columns % 2 == 1:
        place, share = at + 2 * (columns - 1) * lanes, weights[start + columns - 1]
        post = fma(broadcast(share), load(row, place), post)
        both = fma(broadcast(share), load(row, place + lanes), both)
    post, both = post + other, both + other_both
    accumulate(sums, slot, post * broadcast(weight))
    accumulate(sums, slot + lanes, both * broadcast(weight))


@njit(inline="always")
def across(row: Any, place: int, taps: Any) -> Any:
    """E and F summed over the filter's columns, from a row with margins."""
    lanes = lanes_of(row)
    post, both = load(row, place), load(row, place + lanes)
    for tap in range(1, len(taps)):
        post = post + load(row, place + 2 * tap * lanes)
        both = both + load(row, place + (2 * tap + 1) * lanes)
    return post, both


@njit(inline="always")
def with_rows(post: Any, both: Any, ring: Any, window: Any, first: int, last: int, place: int) -> Any:
    """E and F of one row plus those of the rows first..last of the window."""
    lanes = lanes_of(ring)
    for other in range(first, last):
        post = post + load(ring, window[other] + place)
        both = both + load(ring, window[other] + place + lanes)
    return post, both


@njit(inline="always")
def put(post: Any, both: Any, numbers: Any, first: int, carries: bool, state: Any, at: int) -> None:
    """G ← keep G + gain E and U ← keep U + gain F."""
    lanes = lanes_of(state)
    post, both = broadcast(numbers[first + 1]) * post, broadcast(numbers[first + 5]) * both
    if carries:
        post = fma(broadcast(numbers[first]), load(state, at), post)
        both = fma(broadcast(numbers[first + 4]), load(state, at + lanes), both)
    store(state, at, post)
    store(state, at + lanes, both)


@njit(inline="always")
def box_pixel(row: Any, start: int, column: int, taps: Any, target: Any, at: int) -> None:
    """E and F of one pixel summed over the filter's columns."""
    lanes = lanes_of(row)
    place = 2 * column * lanes
    post, both = across(row, start + place, taps)
    store(target, at + place, post)
    store(target, at + place + lanes, both)


@njit
def box_row(row: Any, start: int, columns: int, taps: Any, target: Any, at: int) -> None:
    """Sum over the filter's columns of a row with margins."""
    for column in range(columns):
        box_pixel(row, start, column, taps, target, at)


class Follow(NamedTuple):
    """What follows a row, zero padding.

    start: the newest row, with its margin. windows, intos: in each ring, the older rows under the filter, and where the new one goes.
    inside, updates: whether the middle row, and the row to be updated, are in the field. at: the latter in the state.
    """

    start: int
    windows: Any
    intos: Any
    inside: bool
    updates: bool
    at: int


@njit(inline="always")
def follow_once(
    scratch: Scratch, follow: Follow, column: int, older: int, post: Any, both: Any, numbers: Any, first: int, updates: bool, carries: bool
) -> None:
    """One box average and the update: the newest row joins the ring, and the row `reach` above it is complete."""
    lanes, place = lanes_of(scratch.state), 2 * column * lanes_of(scratch.state)
    if older > 0:
        total, both_total = with_rows(post, both, scratch.ring, follow.windows[0], 0, older, place)
        store(scratch.ring, follow.intos[0] + place, post)
        store(scratch.ring, follow.intos[0] + place + lanes, both)
        post, both = total, both_total
    if updates:
        put(post, both, numbers, first, carries, scratch.state, follow.at + place)


@njit(inline="always")
def follow_twice(
    scratch: Scratch, follow: Follow, column: int, older: int, post: Any, both: Any, numbers: Any, first: int, inside: bool, updates: bool
) -> None:
    """Two box averages and the update: the newest row, averaged along the columns, joins the first ring; the row `reach` above, then
    averaged once, joins the second; the row above that by `reach` is complete.
    """
    lanes, place = lanes_of(scratch.state), 2 * column * lanes_of(scratch.state)
    if older > 0:
        once, both_once = with_rows(post, both, scratch.ring, follow.windows[0], 0, older, place)
        store(scratch.ring, follow.intos[0] + place, post)
        store(scratch.ring, follow.intos[0] + place + lanes, both)
        if not inside:
            once, both_once = once - once, both_once - both_once
        post, both = with_rows(once, both_once, scratch.second_ring, follow.windows[1], 0, older, place)
        store(scratch.second_ring, follow.intos[1] + place, once)
        store(scratch.second_ring, follow.intos[1] + place + lanes, both_once)
    if updates:
        put(post, both, numbers, first, True, scratch.state, follow.at + place)


@njit(inline="always")
def next_across(scratch: Scratch, start: int, column: int, columns: int, taps: Any) -> Any:
    """The sums over the filter's columns one pixel further; zero beyond the last one."""
    following = 2 * (column + 1) * lanes_of(scratch.row)
    return across(scratch.row, 2 * scratch.row_length if column + 1 == columns else start + following, taps)


@njit
def follow_row(scratch: Scratch, follow: Follow, columns: int, taps: Any, numbers: Any, first: int, averages: int) -> None:
    """What follows a row, alone."""
    carries, older, step = numbers[first] != 0, len(taps) - 1, 2 * lanes_of(scratch.row)
    if averages < 2:
        for column in range(columns):
            post, both = across(scratch.row, follow.start + column * step, taps)
            follow_once(scratch, follow, column, older, post, both, numbers, first, follow.updates, carries)
    elif len(taps) == 3:
        post, both = across(scratch.row, follow.start, taps)
        left, both_left = post - post, both - both
        for column in range(columns):
            right, both_right = next_across(scratch, follow.start, column, columns, taps)
            twice, both_twice = left + post + right, both_left + both + both_right
            follow_twice(scratch, follow, column, older, twice, both_twice, numbers, first, follow.inside, follow.updates)
            left, both_left, post, both = post, both, right, both_right
    else:
        box_row(scratch.row, follow.start, columns, taps, scratch.row, 3 * scratch.row_length + older * lanes_of(scratch.row))
        for column in range(columns):
            post, both = across(scratch.row, 3 * scratch.row_length + column * step, taps)
            follow_twice(scratch, follow, column, older, post, both, numbers, first, follow.inside, follow.updates)


class Read(NamedTuple):
    """What a row adds to the readout sums: the columns' weights from `start` on, times the row's."""

    weights: Any
    start: int
    weight: Any
    sums: Any
    slot: int


@njit
def busy_row(scratch: Scratch, source: Relu, read: Read, follow: Follow, columns: int, taps: Any, numbers: Any, first: int) -> None:
    """A ReLU's row, and of the row before it readout, two box averages and the update, in one loop, for filters of 3 × 3.

    The two are independent of each other, so that additions fill what the root leaves free: 12 cycles in a unit of its own.
    """
    lanes, older = lanes_of(scratch.state), len(taps) - 1
    sum_post = sum_both = broadcast(read.weight) - broadcast(read.weight)
    post, both = across(scratch.row, follow.start, taps)
    left, both_left = post - post, both - both
    pre, below, t, root = start_pixel(scratch.state, source, 0)
    for column in range(columns):
        next_pre, next_below, next_t, next_root = start_pixel(scratch.state, source, column + 1)
        finish_pixel(scratch.state, source, column, pre, below, t, root, scratch.row)
        pre, below, t, root = next_pre, next_below, next_t, next_root
        right, both_right = next_across(scratch, follow.start, column, columns, taps)
        twice, both_twice = left + post + right, both_left + both + both_right
        follow_twice(scratch, follow, column, older, twice, both_twice, numbers, first, follow.inside, follow.updates)
        left, both_left, post, both = post, both, right, both_right
        place, share = follow.start + (2 * column + older) * lanes, broadcast(read.weights[read.start + column])
        sum_post, sum_both = fma(share, load(scratch.row, place), sum_post), fma(share, load(scratch.row, place + lanes), sum_both)
    accumulate(read.sums, read.slot, sum_post * broadcast(read.weight))
    accumulate(read.sums, read.slot + lanes, sum_both * broadcast(read.weight))


@njit
def busy_row_once(scratch: Scratch, source: Relu, follow: Follow, columns: int, taps: Any, numbers: Any, first: int) -> None:
    """A ReLU's row, and of the row before it one box average and the update, in one loop."""
    carries, older, step = numbers[first] != 0, len(taps) - 1, 2 * lanes_of(scratch.row)
    pre, below, t, root = start_pixel(scratch.state, source, 0)
    for column in range(columns):
        next_pre, next_below, next_t, next_root = start_pixel(scratch.state, source, column + 1)
        finish_pixel(scratch.state, source, column, pre, below, t, root, scratch.row)
        pre, below, t, root = next_pre, next_below, next_t, next_root
        post, both = across(scratch.row, follow.start + column * step, taps)
        follow_once(scratch, follow, column, older, post, both, numbers, first, follow.updates, carries)


@njit
def add_rows(ring: Any, window: Any, columns: int, target: Any, at: int) -> None:
    """One box average along the rows, circular padding: all rows are there."""
    lanes = lanes_of(ring)
    for column in range(columns):
        place = 2 * column * lanes
        start = window[0] + place
        post, both = with_rows(load(ring, start), load(ring, start + lanes), ring, window, 1, len(window), place)
        store(target, at + place, post)
        store(target, at + place + lanes, both)


@njit
def update_row(ring: Any, window: Any, columns: int, numbers: Any, first: int, state: Any, at: int) -> None:
    """The last box average along the rows and the update, circular padding."""
    lanes, carries = lanes_of(state), numbers[first] != 0
    for column in range(columns):
        place = 2 * column * lanes
        start = window[0] + place
        post, both = with_rows(load(ring, start), load(ring, start + lanes), ring, window, 1, len(window), place)
        put(post, both, numbers, first, carries, state, at + place)


@njit
def bias_row(state: Any, at: int, columns: int, numbers: Any, first: int, row_share: Any, share: Any, start: int) -> None:
    """Add constant + bordered Av 1 to G and U."""
    lanes = lanes_of(state)
    for column in range(columns):
        place, inside = at + 2 * column * lanes, row_share * share[start + column]
        store(state, place, load(state, place) + broadcast(numbers[first + 2] + numbers[first + 3] * inside))
        store(state, place + lanes, load(state, place + lanes) + broadcast(numbers[first + 6] + numbers[first + 7] * inside))


@njit
def copy_margins(row: Any, start: int, columns: int, reach: int) -> None:
    """Circular padding of a row: the margins hold what lies beyond the border, as often as the filter meets it."""
    lanes = lanes_of(row)
    for beyond in range(1, reach + 1):
        left, right = reach + (columns - beyond) % columns, reach + (beyond - 1) % columns
        for half in range(2):
            store(row, start + (2 * (reach - beyond) + half) * lanes, load(row, start + (2 * left + half) * lanes))
            store(row, start + (2 * (reach + columns + beyond - 1) + half) * lanes, load(row, start + (2 * right + half) * lanes))


@njit
def clear(array: Any, start: int, stop: int) -> None:
    """Zeros from start to stop."""
    for index in range(start, stop):
        array[index] = 0


@njit
def older_rows(taps: Any, row: int, rows: int, stride: int) -> Any:
    """Where the rows row − 2·reach ... row − 1 lie in a ring of 2·reach rows; the zero row behind them for those outside the field."""
    window, slots = taps, len(taps) - 1
    for tap in range(len(taps) - 1):
        other = row - slots + tap
        window = tuple_setitem(window, tap, (other % slots if 0 <= other < rows else slots) * stride)
    return window


@njit
def wrapped_rows(taps: Any, row: int, rows: int, stride: int) -> Any:
    """Where the rows under the filter lie among all rows, circularly."""
    window = taps
    for tap in range(len(taps)):
        window = tuple_setitem(window, tap, (row + taps[tap]) % rows * stride)
    return window
