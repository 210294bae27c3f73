"""All passes of a program over one field, and all fields (offsets) of one x against one vector of z."""

from __future__ import annotations

from typing import Any

from numba import njit

from skipbench.kernels.engines.fused.averages import (
    Follow,
    Read,
    add_rows,
    box_row,
    clear,
    copy_margins,
    end_row,
    read_relu,
    row_once,
    row_twice,
    update_row,
    window_of,
    wrapped_rows,
)
from skipbench.kernels.engines.fused.field_loops import (
    BOTH,
    CODES,
    GRAM,
    NUMBERS,
    ONE,
    RELU,
    Frame,
    Rectangle,
    Relu,
    Scratch,
    Side,
    Steps,
    deviation_row,
    gram_row,
    linear_row,
    read_row,
    relu_row,
    square_row,
)
from skipbench.kernels.engines.fused.vectors import lanes_of


@njit(forceinline=True)
def source_segment(
    steps: Steps,
    number: int,
    frame: Frame,
    x: Side,
    z: Side,
    scratch: Scratch,
    row: int,
    column: int,
    columns: int,
    rectangle_columns: int,
    x_at: int,
    z_at: int,
    at: int,
) -> None:
    """E and F of some columns of a row, from pixel x_at of x and pixel z_at of z on."""
    lanes, plane = lanes_of(scratch.state), frame.height * frame.width
    dual, relu_number = steps.codes[CODES * number], steps.codes[CODES * number + 5]
    source = 2 * (steps.codes[CODES * number + 1] * plane + row * rectangle_columns + column) * lanes
    if dual == GRAM:
        gram_row(x.images, x.image + x_at, z.images, z.image + z_at * lanes, frame.channels, plane, columns, scratch.row, at, BOTH)
    elif dual == RELU:
        x_start = x.deviations + 2 * (relu_number * plane + x_at)
        z_start = z.deviations + 2 * (relu_number * plane + z_at) * lanes
        relu_row(scratch.state, Relu(source, x.scales, x_start, z.scales, z_start, at), columns, scratch.row)
    else:
        linear_row(scratch.state, source, columns, scratch.row, at)


@njit(forceinline=True)
def source_row(
    steps: Steps, number: int, frame: Frame, x: Side, z: Side, rectangle: Rectangle, scratch: Scratch, row: int, at: int
) -> None:
    """E and F of a row of the rectangle; around the border in two parts, where z is shifted circularly."""
    x_at = (rectangle.x_row + row) * frame.width + rectangle.x_column
    z_row = rectangle.z_row + row
    z_at = (z_row - frame.height if z_row >= frame.height else z_row) * frame.width + rectangle.z_column
    before = min(rectangle.columns, frame.width - rectangle.z_column)
    source_segment(steps, number, frame, x, z, scratch, row, 0, before, rectangle.columns, x_at, z_at, at)
    if before < rectangle.columns:
        z_at -= rectangle.z_column
        at += 2 * before * lanes_of(scratch.state)
        source_segment(
            steps, number, frame, x, z, scratch, row, before, rectangle.columns - before, rectangle.columns, x_at + before, z_at, at
        )


@njit(forceinline=True)
def self_row(steps: Steps, number: int, frame: Frame, z: Side, scratch: Scratch, row: int, at: int) -> None:
    """E and F of a row of every input of the vector with itself; its deviations are noted."""
    lanes, plane = lanes_of(scratch.state), frame.height * frame.width
    dual, relu_number = steps.codes[CODES * number], steps.codes[CODES * number + 5]
    source = 2 * (steps.codes[CODES * number + 1] * frame.height + row) * frame.width * lanes
    if dual == GRAM:
        start = z.image + row * frame.width * lanes
        square_row(z.images, start, steps.scale[0], frame.channels, plane, frame.width, scratch.row, at)
    else:
        if dual == RELU:
            noted = z.deviations + 2 * (relu_number * plane + row * frame.width) * lanes
            deviation_row(scratch.state, source, frame.width, z.scales, noted)
        linear_row(scratch.state, source, frame.width, scratch.row, at)


@njit(forceinline=True)
def read_rows(
    steps: Steps, number: int, frame: Frame, rows: int, columns: int, scratch: Scratch, row: int, at: int, planes: Any, sums: Any
) -> None:
    """Add the row to the sums of every readout that sees it. sums: [pass][readout][E, F][lane]."""
    lanes, kind = lanes_of(scratch.row), steps.codes[CODES * number + 4]
    for readout in range(frame.n_readouts):
        table = (2 * readout + kind) * (frame.side + 1)
        weight = frame.row_weights[(table + rows) * frame.side + row]
        if weight != 0:
            slot = 2 * (number * frame.n_readouts + readout) * lanes
            read_row(scratch.row, at, columns, frame.column_weights, (table + columns) * frame.side, weight, sums, slot, planes)


@njit(forceinline=True)
def make_row(
    steps: Steps, number: int, frame: Frame, x: Side, z: Side, rectangle: Rectangle, is_self: bool, scratch: Scratch, row: int, at: int
) -> None:
    """E and F of a row, wherever they come from."""
    if is_self:
        self_row(steps, number, frame, z, scratch, row, at)
    else:
        source_row(steps, number, frame, x, z, rectangle, scratch, row, at)


@njit(forceinline=True)
def end_update(steps: Steps, number: int, frame: Frame, rectangle: Rectangle, scratch: Scratch, row: int, at: int) -> None:
    """What an update does beyond a sum, on a row of the state."""
    if steps.codes[CODES * number + 6] != 0:
        share = frame.share[rectangle.rows * frame.side + row]
        end_row(scratch.state, at, rectangle.columns, steps.numbers, NUMBERS * number, share, frame.share, rectangle.columns * frame.side)


@njit(forceinline=True)
def follow_of(frame: Frame, rectangle: Rectangle, scratch: Scratch, target: int, averages: int, newest: int) -> Follow:
    """What follows the row `newest`, which may lie below the field: there all is zero."""
    lanes, taps, rows = lanes_of(scratch.state), frame.taps, rectangle.rows
    reach, slots, older, stride = len(taps) // 2, len(taps) + 1, max(1, len(taps) - 1), 2 * rectangle.columns * lanes
    middle, row = newest - reach, newest - averages * reach
    window = window_of(taps, newest, rows, slots, scratch.row_length, slots * scratch.row_length, 2 * reach * lanes)
    others = window_of(taps, middle, rows, older, stride, older * 2 * frame.width * lanes, 0)
    return Follow(BOTH, window, others, middle % older * stride, 0 <= middle < rows, row >= 0, target + row * stride)


@njit(forceinline=True)
def relu_of(steps: Steps, number: int, frame: Frame, x: Side, z: Side, rectangle: Rectangle, row: int, at: int, lanes: int) -> Relu:
    """The operands of a row of a pass behind a ReLU, zero padding."""
    plane, relu_number = frame.height * frame.width, steps.codes[CODES * number + 5]
    x_at = relu_number * plane + (rectangle.x_row + row) * frame.width + rectangle.x_column
    z_at = relu_number * plane + (rectangle.z_row + row) * frame.width + rectangle.z_column
    source = 2 * (steps.codes[CODES * number + 1] * plane + row * rectangle.columns) * lanes
    return Relu(source, x.scales, x.deviations + 2 * x_at, z.scales, z.deviations + 2 * z_at * lanes, at)


@njit(forceinline=True)
def follow_row(
    scratch: Scratch, source: Any, read: Any, follow: Follow, columns: int, taps: Any, numbers: Any, first: int, averages: int
) -> None:
    """What follows a row: one average or two, and the update."""
    if averages < 2:
        row_once(scratch, source, read, follow, columns, taps, numbers, first)
    else:
        row_twice(scratch, source, read, follow, columns, taps, numbers, first)


@njit
def first_row(steps: Steps, frame: Frame, x: Side, z: Side, rectangle: Rectangle, scratch: Scratch, newest: int, sums: Any) -> None:
    """A row of the first pass between two inputs, zero padding: E = F = <x, z> / C in one plane, and what follows it."""
    lanes, taps, rows, columns = lanes_of(scratch.state), frame.taps, rectangle.rows, rectangle.columns
    reach, slots, plane = len(taps) // 2, len(taps) + 1, frame.height * frame.width
    row, margin = newest - reach, reach * lanes
    window = window_of(taps, newest, rows, slots, scratch.row_length, slots * scratch.row_length, margin)
    if newest < rows:
        x_at = x.image + (rectangle.x_row + newest) * frame.width + rectangle.x_column
        z_at = z.image + ((rectangle.z_row + newest) * frame.width + rectangle.z_column) * lanes
        at = window[slots - 2]
        gram_row(x.images, x_at, z.images, z_at, frame.channels, plane, columns, scratch.row, at, ONE)
        if steps.codes[4] >= 0:
            read_rows(steps, 0, frame, rows, columns, scratch, newest, at, ONE, sums)
    at = 2 * (steps.codes[2] * plane + row * columns) * lanes
    follow = Follow(ONE, window, window, 0, True, row >= 0, at)
    row_once(scratch, None, None, follow, columns, taps, steps.numbers, 0)
    if row >= 0:
        end_update(steps, 0, frame, rectangle, scratch, row, at)


@njit
def first_rows(steps: Steps, frame: Frame, x: Side, z: Side, rectangle: Rectangle, scratch: Scratch, row: int, sums: Any) -> None:
    """The first pass as far as it takes to complete a row of its result; rows are asked for one after the other."""
    reach = len(frame.taps) // 2
    for newest in range(row + reach if row > 0 else 0, row + reach + 1):
        first_row(steps, frame, x, z, rectangle, scratch, newest, sums)


@njit
def zero_padded_pass(
    steps: Steps,
    number: int,
    frame: Frame,
    x: Side,
    z: Side,
    rectangle: Rectangle,
    is_self: bool,
    is_last: bool,
    scratch: Scratch,
    first_scratch: Scratch,
    sums: Any,
) -> None:
    """One pass: the source of a row, and what follows the row before it; where the two can go together, in one loop.

    The first pass between two inputs runs along with the second, which reads its rows while they are in the first-level cache.
    """
    lanes, taps, first = lanes_of(scratch.state), frame.taps, NUMBERS * number
    reach, slots, rows, columns = len(taps) // 2, len(taps) + 1, rectangle.rows, rectangle.columns
    averages, kind = steps.codes[CODES * number + 3], steps.codes[CODES * number + 4]
    target = 2 * steps.codes[CODES * number + 2] * frame.height * frame.width * lanes
    is_relu = steps.codes[CODES * number] == RELU and not is_self
    table = max(kind, 0) * (frame.side + 1)
    if is_last and is_relu and frame.n_readouts == 1:
        for row in range(rows):
            if number == 1:
                first_rows(steps, frame, x, z, rectangle, first_scratch, row, sums)
            weight = frame.row_weights[(table + rows) * frame.side + row]
            if weight != 0:
                source = relu_of(steps, number, frame, x, z, rectangle, row, 0, lanes)
                read = Read(frame.column_weights, (table + columns) * frame.side, weight, sums, 2 * number * lanes)
                read_relu(scratch.state, source, read, columns)
        return
    for step in range(rows + 1 if is_last else rows + 1 + averages * reach):
        if number == 1 and not is_self and step < rows:
            first_rows(steps, frame, x, z, rectangle, first_scratch, step, sums)
        newest, at = step - 1, step % slots * scratch.row_length + 2 * reach * lanes
        follow = follow_of(frame, rectangle, scratch, target, averages, newest)
        reads = kind >= 0 and 0 <= newest < rows
        if is_relu and not is_last and newest >= 0 and step < rows:
            source = relu_of(steps, number, frame, x, z, rectangle, step, at, lanes)
            weight = frame.row_weights[(table + rows) * frame.side + newest]
            if reads and frame.n_readouts == 1 and weight != 0:
                read = Read(frame.column_weights, (table + columns) * frame.side, weight, sums, 2 * number * lanes)
                follow_row(scratch, source, read, follow, columns, taps, steps.numbers, first, averages)
            else:
                if reads:
                    read_rows(steps, number, frame, rows, columns, scratch, newest, follow.window[slots - 2], BOTH, sums)
                follow_row(scratch, source, None, follow, columns, taps, steps.numbers, first, averages)
        else:
            if step < rows:
                make_row(steps, number, frame, x, z, rectangle, is_self, scratch, step, at)
            if reads:
                read_rows(steps, number, frame, rows, columns, scratch, newest, follow.window[slots - 2], BOTH, sums)
            if newest >= 0 and not is_last:
                follow_row(scratch, None, None, follow, columns, taps, steps.numbers, first, averages)
        if newest >= 0 and follow.updates and not is_last:
            end_update(steps, number, frame, rectangle, scratch, newest - averages * reach, follow.at)


@njit
def circular_pass(
    steps: Steps,
    number: int,
    frame: Frame,
    x: Side,
    z: Side,
    rectangle: Rectangle,
    is_self: bool,
    is_last: bool,
    scratch: Scratch,
    sums: Any,
) -> None:
    """One pass: all rows, averaged along the columns; then the averages along the rows and the update."""
    lanes, reach, taps, first = lanes_of(scratch.state), len(frame.taps) // 2, frame.taps, NUMBERS * number
    rows, columns = rectangle.rows, rectangle.columns
    stride, margin, second = 2 * columns * lanes, 2 * reach * lanes, scratch.row_length
    averages, reads = steps.codes[CODES * number + 3], steps.codes[CODES * number + 4] >= 0
    target = 2 * steps.codes[CODES * number + 2] * frame.height * frame.width * lanes
    for row in range(rows):
        make_row(steps, number, frame, x, z, rectangle, is_self, scratch, row, margin)
        if reads:
            read_rows(steps, number, frame, rows, columns, scratch, row, margin, BOTH, sums)
        if not is_last:
            copy_margins(scratch.row, 0, columns, reach)
            if averages == 2:
                box_row(scratch.row, 0, columns, taps, scratch.row, second + margin)
                copy_margins(scratch.row, second, columns, reach)
            box_row(scratch.row, second if averages == 2 else 0, columns, taps, scratch.ring, row * stride)
    if is_last:
        return
    if averages == 2:
        for row in range(rows):
            add_rows(scratch.ring, wrapped_rows(taps, row, rows, stride), columns, scratch.second_ring, row * stride)
    for row in range(rows):
        at = target + row * stride
        window = wrapped_rows(taps, row, rows, stride)
        update_row(scratch.second_ring if averages == 2 else scratch.ring, window, columns, steps.numbers, first, scratch.state, at)
        end_update(steps, number, frame, rectangle, scratch, row, at)


@njit(inline="always")
def clear_margins(frame: Frame, columns: int, row: Any, row_length: int, planes: Any) -> None:
    """Zeros behind the rows' last columns, zero padding: as far as the sums over the filter's columns look ahead."""
    step, reach = len(planes) * lanes_of(row), len(frame.taps) // 2
    for buffer in range(0 if frame.circular else len(frame.taps) + 4):
        end = buffer * row_length + (reach + columns) * step
        clear(row, end, end + 2 * reach * step)


@njit(inline="always")
def run_passes(
    steps: Steps,
    frame: Frame,
    x: Side,
    z: Side,
    rectangle: Rectangle,
    is_self: bool,
    scratch: Scratch,
    first_scratch: Scratch,
    sums: Any,
    n_passes: int,
) -> None:
    """Every pass over one field. is_self: each input of z with itself (x is not read), and its deviations are written."""
    for number in range(0 if frame.circular or is_self else 1, n_passes):
        is_last = number == n_passes - 1
        if frame.circular:
            circular_pass(steps, number, frame, x, z, rectangle, is_self, is_last, scratch, sums)
        else:
            zero_padded_pass(steps, number, frame, x, z, rectangle, is_self, is_last, scratch, first_scratch, sums)


@njit(inline="always")
def run_offsets(
    steps: Steps,
    frame: Frame,
    x: Side,
    z: Side,
    all_offsets: bool,
    same: Any,
    self_sums: Any,
    scratch: Scratch,
    first_scratch: Scratch,
    sums: Any,
    n_passes: int,
) -> None:
    """The sums of every pass and readout over the field at offset 0, or over those of all offsets.

    same: for each lane the number of its row in self_sums where x is the same input, else −1: their correlation at offset 0 is 1, and
    what was summed there is replaced by the closed recursion.
    """
    height, width, lanes = frame.height, frame.width, lanes_of(scratch.state)
    n_sums = 2 * n_passes * frame.n_readouts
    clear(sums, 0, n_sums * lanes)
    clear_margins(frame, width, scratch.row, scratch.row_length, BOTH)
    clear_margins(frame, width, first_scratch.row, first_scratch.row_length, ONE)
    run_passes(steps, frame, x, z, Rectangle(height, width, 0, 0, 0, 0), False, scratch, first_scratch, sums, n_passes)
    for lane in range(lanes):
        if same[lane] >= 0:
            for index in range(n_sums):
                sums[index * lanes + lane] = self_sums[same[lane] * n_sums + index]
    if not all_offsets:
        return
    for dx in range(0 if frame.circular else 1 - width, width):
        columns = width if frame.circular else width - abs(dx)
        clear_margins(frame, columns, scratch.row, scratch.row_length, BOTH)
        clear_margins(frame, columns, first_scratch.row, first_scratch.row_length, ONE)
        for dy in range(0 if frame.circular else 1 - height, height):
            if dy == 0 and dx == 0:
                continue
            if frame.circular:
                rectangle = Rectangle(height, width, 0, 0, dy, dx)
            else:
                rectangle = Rectangle(height - abs(dy), columns, max(0, -dy), max(0, -dx), max(0, dy), max(0, dx))
            run_passes(steps, frame, x, z, rectangle, False, scratch, first_scratch, sums, n_passes)
