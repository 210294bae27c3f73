"""The compiled loops over one field: all passes of a program for one input x and one vector of inputs z.

A field is [row][column][G, U][lane], in the state of `Scratch`, without gaps between the rows. A pass goes once over it, row by row: a
row's source (`gram_row`, `relu_row`, ...) writes E and F, [column][E, F][lane], into a ring of short rows; the box filters and the update
of G and U follow one row later, in place (`averages`), so that they need not wait for the roots and polynomials. So the field is read
and written once per pass, and what lies between stays in the first-level cache. Where E and F are the same, a row has one plane.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import njit

from skipbench.kernels.engines.fused.relu import relu_finish, relu_start
from skipbench.kernels.engines.fused.vectors import accumulate, broadcast, fma, inverse_or_zero, lanes_of, load, sqrt, store

GRAM, RELU, LINEAR = 0, 1, 2  # `Dual` as plain numbers
BOTH, ONE = (0, 0), (0,)  # planes of a row: E and F, or one where they are the same; tuples, so that the compiler knows their number
CODES, NUMBERS = 7, 8  # of each pass


class Steps(NamedTuple):
    """A program as arrays (or pointers to them), one row for each pass.

    codes: (passes, 7) integers: dual, source, target, averages, readout's averages (−1: no readout), number of the ReLU, and whether an
    update is more than a sum. numbers: (passes, 8) in the field's dtype: keep, factor, constant, bordered of
    G ← factor (keep G + sum of E) + constant + bordered Av 1, then of U. scale: (1,), 1 / channels.
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
    """Buffers of one thread: G and U of both field pairs; rows with margins, `row_length` numbers each (a ring of one more than the filter
    has rows, one of zeros, two for sums); two rings of rows that are averaged (the second for circular padding alone).
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
def gram_row(x: Any, at_x: int, z: Any, at_z: int, channels: int, plane: int, columns: int, target: Any, at: int, planes: Any) -> None:
    """E = F = <x_i, z_j> / C (the images of x are divided by C), once or twice: as many times as there are planes."""
    lanes, step = lanes_of(z), len(planes) * lanes_of(z)
    for column in range(columns if channels == 3 else 0):  # colours: products added in registers
        pixel, place, of_z = at_x + column, at + column * step, at_z + column * lanes
        value = broadcast(x[pixel]) * load(z, of_z)
        value = fma(broadcast(x[pixel + plane]), load(z, of_z + plane * lanes), value)
        value = fma(broadcast(x[pixel + 2 * plane]), load(z, of_z + 2 * plane * lanes), value)
        store(target, place, value)
        if len(planes) == 2:
            store(target, place + lanes, value)
    for channel in range(channels if channels != 3 else 0):  # outside: a loop of few turns has more overhead than work
        start = channel * plane
        for column in range(columns):
            pixel, place = start + column, at + column * step
            left, right = broadcast(x[at_x + pixel]), load(z, at_z + pixel * lanes)
            value = fma(left, right, load(target, place)) if channel > 0 else left * right
            store(target, place, value)
            if channel == channels - 1 and len(planes) == 2:
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


@njit(forceinline=True)
def start_pixel(state: Any, row: Relu, column: int) -> Any:
    """G, v t, t and √t of a pixel; the one behind the last may be asked for: arrays end with room for it."""
    lanes = lanes_of(state)
    place, pixel = 2 * column * lanes, row.at_x + 2 * column
    pre, z = load(state, row.source + place), row.at_z + place
    below, t, root = relu_start(pre, broadcast(row.x[pixel]), broadcast(row.x[pixel + 1]), load(row.z, z), load(row.z, z + lanes))
    return pre, below, t, root


@njit(forceinline=True)
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
def read_row(row: Any, at: int, columns: int, weights: Any, start: int, weight: Any, sums: Any, slot: int, planes: Any) -> None:
    """Add a row's weighted sums of E and F to the readout sums, in float64."""
    lanes, step, both_at = lanes_of(row), len(planes) * lanes_of(row), (len(planes) - 1) * lanes_of(row)
    post = both = other = other_both = broadcast(weights[start]) - broadcast(weights[start])
    for column in range(0, columns - 1, 2):  # two chains of additions: one would wait for itself
        place, share, next_share = at + column * step, weights[start + column], weights[start + column + 1]
        post = fma(broadcast(share), load(row, place), post)
        both = fma(broadcast(share), load(row, place + both_at), both)
        other = fma(broadcast(next_share), load(row, place + step), other)
        other_both = fma(broadcast(next_share), load(row, place + step + both_at), other_both)
    if columns % 2 == 1:
        place, share = at + (columns - 1) * step, weights[start + columns - 1]
        post = fma(broadcast(share), load(row, place), post)
        both = fma(broadcast(share), load(row, place + both_at), both)
    post, both = post + other, both + other_both
    accumulate(sums, slot, post * broadcast(weight))
    accumulate(sums, slot + lanes, both * broadcast(weight))
