"""Box averages of the rows that `field_loops` makes, and the update of G and U: what follows a row, zero and circular padding.

Zero padding: the last rows lie in a ring with room for one more, so a row is averaged while the next one is made (the two are independent
of each other: additions fill what a root leaves free, 12 cycles in a unit of its own). Sums over the filter's rows come first, straight
from that ring; for filters of 3 × 3 sums over its columns, once or twice, never leave the registers. What is averaged once goes to a ring
of its own, the second average adds its rows. Outside the field are the ring's zero row and the rows' margins.

Circular padding wraps with multiplicity: the margins are copies, and the rings hold all rows, since the first row needs the last
(`box_row`, `add_rows`, `update_row`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import njit
from numba.cpython.unsafe.tuple import tuple_setitem

from skipbench.kernels.engines.fused.field_loops import BOTH, Relu, Scratch, finish_pixel, start_pixel
from skipbench.kernels.engines.fused.relu import relu_finish
from skipbench.kernels.engines.fused.vectors import accumulate, broadcast, fma, lanes_of, load, plus_half, store


@njit(forceinline=True)
def across(row: Any, place: int, taps: Any, planes: Any) -> Any:
    """E and F summed over the filter's columns, from a row with margins."""
    step, both_at = len(planes) * lanes_of(row), (len(planes) - 1) * lanes_of(row)
    post, both = load(row, place), load(row, place + both_at)
    for tap in range(1, len(taps)):
        post = post + load(row, place + tap * step)
        both = both + load(row, place + tap * step + both_at)
    return post, both


@njit(forceinline=True)
def with_rows(post: Any, both: Any, ring: Any, window: Any, first: int, last: int, place: int, both_at: int) -> Any:
    """E and F of one row plus those of the rows first..last of the window."""
    for other in range(first, last):
        post = post + load(ring, window[other] + place)
        both = both + load(ring, window[other] + place + both_at)
    return post, both


@njit(forceinline=True)
def put(post: Any, both: Any, numbers: Any, first: int, carries: bool, state: Any, at: int) -> None:
    """G ← keep G + E and U ← keep U + F, sums over the filter; see `end_row` for the rest."""
    lanes = lanes_of(state)
    if carries:
        post = fma(broadcast(numbers[first]), load(state, at), post)
        both = fma(broadcast(numbers[first + 4]), load(state, at + lanes), both)
    store(state, at, post)
    store(state, at + lanes, both)


class Follow(NamedTuple):
    """What follows a row, zero padding.

    planes: of the rows, see `BOTH`. window: where the rows under the filter begin, the newest last. others, into: where the rows above that
    are averaged once lie in their ring, and where the new one goes. inside, updates: whether the middle row, and the row to be updated, are
    in the field. at: the latter in the state.
    """

    planes: Any
    window: Any
    others: Any
    into: int
    inside: bool
    updates: bool
    at: int


class Read(NamedTuple):
    """What a row adds to the readout sums: the columns' weights from `start` on, times the row's."""

    weights: Any
    start: int
    weight: Any
    sums: Any
    slot: int


@njit(forceinline=True)
def down(scratch: Scratch, follow: Follow, column: int) -> Any:
    """E and F of one pixel summed over the filter's rows."""
    row, lanes, place = scratch.row, lanes_of(scratch.row), len(follow.planes) * column * lanes_of(scratch.row)
    start, both_at = follow.window[0] + place, (len(follow.planes) - 1) * lanes
    return with_rows(load(row, start), load(row, start + both_at), row, follow.window, 1, len(follow.window), place, both_at)


@njit(forceinline=True)
def end_once(scratch: Scratch, follow: Follow, column: int, post: Any, both: Any, numbers: Any, first: int, carries: bool) -> None:
    """The update behind one box average."""
    if follow.updates:
        put(post, both, numbers, first, carries, scratch.state, follow.at + 2 * column * lanes_of(scratch.state))


@njit(forceinline=True)
def end_twice(scratch: Scratch, follow: Follow, column: int, post: Any, both: Any, numbers: Any, first: int, older: int) -> None:
    """The second sum over the filter's rows, of a pixel that is averaged along the columns twice, and the update."""
    lanes, place = lanes_of(scratch.state), 2 * column * lanes_of(scratch.state)
    if older > 0:
        if not follow.inside:
            post, both = post - post, both - both
        total, both_total = with_rows(post, both, scratch.ring, follow.others, 0, older, place, lanes)
        store(scratch.ring, follow.into + place, post)  # where the oldest of them was
        store(scratch.ring, follow.into + place + lanes, both)
        post, both = total, both_total
    if follow.updates:
        put(post, both, numbers, first, True, scratch.state, follow.at + place)


@njit(forceinline=True)
def add_readout(scratch: Scratch, follow: Follow, read: Read, column: int, post: Any, both: Any) -> Any:
    """Add a pixel of the newest row to its readout sums."""
    lanes, share = lanes_of(scratch.row), broadcast(read.weights[read.start + column])
    place = follow.window[len(follow.window) - 1] + 2 * column * lanes
    return fma(share, load(scratch.row, place), post), fma(share, load(scratch.row, place + lanes), both)


@njit(forceinline=True)
def end_readout(read: Read, post: Any, both: Any, lanes: int) -> None:
    """Add a row's readout sums to those of the field."""
    accumulate(read.sums, read.slot, post * broadcast(read.weight))
    accumulate(read.sums, read.slot + lanes, both * broadcast(read.weight))


@njit
def row_once(scratch: Scratch, source: Any, read: Any, follow: Follow, columns: int, taps: Any, numbers: Any, first: int) -> None:
    """One box average and the update. source: the ReLU of the next row, made on the way; read: the newest row's readout; or None."""
    lanes, carries, zero = lanes_of(scratch.state), numbers[first] != 0, broadcast(numbers[first]) - broadcast(numbers[first])
    if len(taps) != 3:
        sum_rows(scratch, follow, columns, taps)
    left, both_left = zero, zero
    middle, both_middle = down(scratch, follow, 0)
    if source is not None:
        pre, below, t, root = start_pixel(scratch.state, source, 0)
    if read is not None:
        sum_post, sum_both = zero, zero
    for column in range(columns):
        if source is not None:
            next_pre, next_below, next_t, next_root = start_pixel(scratch.state, source, column + 1)
            finish_pixel(scratch.state, source, column, pre, below, t, root, scratch.row)
            pre, below, t, root = next_pre, next_below, next_t, next_root
        if len(taps) == 3:
            right, both_right = down(scratch, follow, column + 1)
            post, both = left + middle + right, both_left + both_middle + both_right
            left, both_left, middle, both_middle = middle, both_middle, right, both_right
        else:
            place = spare_row(scratch, taps, 0) + len(follow.planes) * column * lanes
            post, both = across(scratch.row, place, taps, follow.planes)
        end_once(scratch, follow, column, post, both, numbers, first, carries)
        if read is not None:
            sum_post, sum_both = add_readout(scratch, follow, read, column, sum_post, sum_both)
    if read is not None:
        end_readout(read, sum_post, sum_both, lanes)


@njit
def row_twice(scratch: Scratch, source: Any, read: Any, follow: Follow, columns: int, taps: Any, numbers: Any, first: int) -> None:
    """Two box averages and the update; arguments as for one."""
    lanes, older, zero = lanes_of(scratch.state), len(taps) - 1, broadcast(numbers[first]) - broadcast(numbers[first])
    one = plus_half(plus_half(zero))
    if len(taps) != 3:
        sum_rows(scratch, follow, columns, taps)
        box_row(scratch.row, spare_row(scratch, taps, 0), columns, taps, scratch.row, spare_row(scratch, taps, 1) + older * lanes)
    here, both_here = down(scratch, follow, 0)
    further, both_further = down(scratch, follow, 1)
    left, both_left, middle, both_middle = zero, zero, here + further, both_here + both_further  # averaged along the columns once
    if source is not None:
        pre, below, t, root = start_pixel(scratch.state, source, 0)
    if read is not None:
        sum_post, sum_both = zero, zero
    for column in range(columns):
        if source is not None:
            next_pre, next_below, next_t, next_root = start_pixel(scratch.state, source, column + 1)
            finish_pixel(scratch.state, source, column, pre, below, t, root, scratch.row)
            pre, below, t, root = next_pre, next_below, next_t, next_root
        if len(taps) == 3:
            last, both_last = down(scratch, follow, column + 2)
            right, both_right = here + further + last, both_here + both_further + both_last
            here, both_here, further, both_further = further, both_further, last, both_last
            inside = one if column + 1 < columns else zero  # what is averaged once is zero outside
            post, both = fma(inside, right, left + middle), fma(inside, both_right, both_left + both_middle)
            left, both_left, middle, both_middle = middle, both_middle, right, both_right
        else:
            post, both = across(scratch.row, spare_row(scratch, taps, 1) + 2 * column * lanes, taps, BOTH)
        end_twice(scratch, follow, column, post, both, numbers, first, older)
        if read is not None:
            sum_post, sum_both = add_readout(scratch, follow, read, column, sum_post, sum_both)
    if read is not None:
        end_readout(read, sum_post, sum_both, lanes)


@njit
def read_relu(state: Any, source: Relu, read: Read, columns: int) -> None:
    """The readout of a ReLU's row that nothing follows: E and F are not kept."""
    place, lanes = source.source + lanes_of(state), lanes_of(state)
    sum_post = sum_both = broadcast(read.weight) - broadcast(read.weight)
    pre, below, t, root = start_pixel(state, source, 0)
    for column in range(columns):
        next_pre, next_below, next_t, next_root = start_pixel(state, source, column + 1)
        post, both = relu_finish(pre, load(state, place + 2 * column * lanes), below, t, root)
        share = broadcast(read.weights[read.start + column])
        sum_post, sum_both = fma(share, post, sum_post), fma(share, both, sum_both)
        pre, below, t, root = next_pre, next_below, next_t, next_root
    end_readout(read, sum_post, sum_both, lanes)


@njit(forceinline=True)
def spare_row(scratch: Scratch, taps: Any, number: int) -> int:
    """Where one of two rows for sums begins, with its margin, behind the ring of rows and its zero row."""
    return (len(taps) + 2 + number) * scratch.row_length


@njit(forceinline=True)
def sum_rows(scratch: Scratch, follow: Follow, columns: int, taps: Any) -> None:
    """Sums over the filter's rows, into the first spare row."""
    lanes, step = lanes_of(scratch.row), len(follow.planes) * lanes_of(scratch.row)
    start = spare_row(scratch, taps, 0) + len(taps) // 2 * step
    for column in range(columns):
        post, both = down(scratch, follow, column)
        store(scratch.row, start + column * step, post)
        store(scratch.row, start + column * step + step - lanes, both)


@njit
def box_row(row: Any, start: int, columns: int, taps: Any, target: Any, at: int) -> None:
    """Sum over the filter's columns of a row with margins."""
    lanes = lanes_of(row)
    for column in range(columns):
        place = 2 * column * lanes
        post, both = across(row, start + place, taps, BOTH)
        store(target, at + place, post)
        store(target, at + place + lanes, both)


@njit
def add_rows(ring: Any, window: Any, columns: int, target: Any, at: int) -> None:
    """One box average along the rows, circular padding: all rows are there."""
    lanes = lanes_of(ring)
    for column in range(columns):
        place = 2 * column * lanes
        start = window[0] + place
        post, both = with_rows(load(ring, start), load(ring, start + lanes), ring, window, 1, len(window), place, lanes)
        store(target, at + place, post)
        store(target, at + place + lanes, both)


@njit
def update_row(ring: Any, window: Any, columns: int, numbers: Any, first: int, state: Any, at: int) -> None:
    """The last box average along the rows and the update, circular padding."""
    lanes, carries = lanes_of(state), numbers[first] != 0
    for column in range(columns):
        place = 2 * column * lanes
        start = window[0] + place
        post, both = with_rows(load(ring, start), load(ring, start + lanes), ring, window, 1, len(window), place, lanes)
        put(post, both, numbers, first, carries, state, at + place)


@njit
def end_row(state: Any, at: int, columns: int, numbers: Any, first: int, row_share: Any, share: Any, start: int) -> None:
    """G ← factor G + constant + bordered Av 1, and the same of U, where an update is more than a sum."""
    lanes, factor, both_factor = lanes_of(state), broadcast(numbers[first + 1]), broadcast(numbers[first + 5])
    for column in range(columns):
        place, inside = at + 2 * column * lanes, row_share * share[start + column]
        added, both_added = numbers[first + 2] + numbers[first + 3] * inside, numbers[first + 6] + numbers[first + 7] * inside
        store(state, place, fma(factor, load(state, place), broadcast(added)))
        store(state, place + lanes, fma(both_factor, load(state, place + lanes), broadcast(both_added)))


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


@njit(forceinline=True)
def window_of(taps: Any, row: int, rows: int, slots: int, stride: int, zero: int, margin: int) -> Any:
    """Where the rows row − 2·reach ... row lie in a ring; the zero row for those outside the field."""
    window = taps
    for tap in range(len(taps)):
        other = row - len(taps) + 1 + tap
        window = tuple_setitem(window, tap, (other % slots * stride if 0 <= other < rows else zero) + margin)
    return window


@njit
def wrapped_rows(taps: Any, row: int, rows: int, stride: int) -> Any:
    """Where the rows under the filter lie among all rows, circularly."""
    window = taps
    for tap in range(len(taps)):
        window = tuple_setitem(window, tap, (row + taps[tap]) % rows * stride)
    return window
