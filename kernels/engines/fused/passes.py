"""All passes of a program over one field, and all fields (offsets) of one x against one vector of z."""

from __future__ import annotations

from typing import Any

from numba import njit

from skipbench.kernels.engines.fused.field_loops import (
    CODES,
    GRAM,
    NUMBERS,
    RELU,
    Follow,
    Frame,
    Read,
    Rectangle,
    Relu,
    Scratch,
    Side,
    Steps,
    add_rows,
    bias_row,
    box_row,
    busy_row,
    busy_row_once,
    clear,
    copy_margins,
    deviation_row,
    follow_row,
    gram_row,
    linear_row,
    older_rows,
    read_row,
    relu_row,
    square_row,
    update_row,
    wrapped_rows,
)
from skipbench.kernels.engines.fused.vectors import lanes_of


@njit(inline="always")
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
    x_at: int,
    z_at: int,
    at: int,
) -> None:
    """E and F of some columns of a row, from pixel x_at of x and pixel z_at of z on."""
    lanes, plane = lanes_of(scratch.state), frame.height * frame.width
    dual, relu_number = steps.codes[CODES * number], steps.codes[CODES * number + 5]
    source = 2 * ((steps.codes[CODES * number + 1] * frame.height + row) * frame.width + column) * lanes
    if dual == GRAM:
        gram_row(x.images, x.image + x_at, z.images, z.image + z_at * lanes, frame.channels, plane, columns, scratch.row, at)
    elif dual == RELU:
        x_start = x.deviations + 2 * (relu_number * plane + x_at)
        z_start = z.deviations + 2 * (relu_number * plane + z_at) * lanes
        relu_row(scratch.state, Relu(source, x.scales, x_start, z.scales, z_start, at), columns, scratch.row)
    else:
        linear_row(scratch.state, source, columns, scratch.row, at)


@njit(inline="always")
def source_row(
    steps: Steps, number: int, frame: Frame, x: Side, z: Side, rectangle: Rectangle, scratch: Scratch, row: int, at: int
) -> None:
    """E and F of a row of the rectangle; around the border in two parts, where z is shifted circularly."""
    x_at = (rectangle.x_row + row) * frame.width + rectangle.x_column
    z_row = rectangle.z_row + row
    z_at = (z_row - frame.height if z_row >= frame.height else z_row) * frame.width + rectangle.z_column
    before = min(rectangle.columns, frame.width - rectangle.z_column)
    source_segment(steps, number, frame, x, z, scratch, row, 0, before, x_at, z_at, at)
    if before < rectangle.columns:
        z_at -= rectangle.z_column
        at += 2 * before * lanes_of(scratch.state)
        source_segment(steps, number, frame, x, z, scratch, row, before, rectangle.columns - before, x_at + before, z_at, at)


@njit(inline="always")
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


@njit(inline="always")
def read_rows(steps: Steps, number: int, frame: Frame, rows: int, columns: int, scratch: Scratch, row: int, at: int, sums: Any) -> None:
    """Add the row to the sums of every readout that sees it. sums: [pass][readout][E, F][lane]."""
    lanes, kind = lanes_of(scratch.row), steps.codes[CODES * number + 4]
    for readout in range(frame.n_readouts):
        table = (2 * readout + kind) * (frame.side + 1)
        weight = frame.row_weights[(table + rows) * frame.side + row]
        if weight != 0:
            slot = 2 * (number * frame.n_readouts + readout) * lanes
            read_row(scratch.row, at, columns, frame.column_weights, (table + columns) * frame.side, weight, sums, slot)


@njit(inline="always")
def make_row(
    steps: Steps, number: int, frame: Frame, x: Side, z: Side, rectangle: Rectangle, is_self: bool, scratch: Scratch, row: int, at: int
) -> None:
    """E and F of a row, wherever they come from."""
    if is_self:
        self_row(steps, number, frame, z, scratch, row, at)
    else:
        source_row(steps, number, frame, x, z, rectangle, scratch, row, at)


@njit(inline="always")
def add_bias(steps: Steps, number: int, frame: Frame, rectangle: Rectangle, scratch: Scratch, row: int, at: int) -> None:
    """Add a pass's bias to a row of the state, where there is one."""
    first = NUMBERS * number
    if steps.numbers[first + 2] != 0 or steps.numbers[first + 3] != 0:
        share = frame.share[rectangle.rows * frame.side + row]
        bias_row(scratch.state, at, rectangle.columns, steps.numbers, first, share, frame.share, rectangle.columns * frame.side)


@njit(inline="always")
def follow_of(frame: Frame, rectangle: Rectangle, scratch: Scratch, target: int, averages: int, newest: int) -> Follow:
    """What follows the row `newest`, which may lie below the field: there all is zero."""
    lanes, reach, taps, rows = lanes_of(scratch.state), len(frame.taps) // 2, frame.taps, rectangle.rows
    stride, slots = 2 * rectangle.columns * lanes, max(1, len(frame.taps) - 1)
    middle, row = newest - reach, newest - averages * reach
    start = (newest & 1) * scratch.row_length if newest < rows else 2 * scratch.row_length
    windows = older_rows(taps, newest, rows, stride), older_rows(taps, middle, rows, stride)
    intos = newest % slots * stride, middle % slots * stride
    return Follow(start, windows, intos, 0 <= middle < rows, row >= 0, target + 2 * row * frame.width * lanes)


@njit(inline="always")
def relu_of(steps: Steps, number: int, frame: Frame, x: Side, z: Side, rectangle: Rectangle, row: int, at: int, lanes: int) -> Relu:
    """The operands of a row of a pass behind a ReLU, zero padding."""
    plane, relu_number = frame.height * frame.width, steps.codes[CODES * number + 5]
    x_at = relu_number * plane + (rectangle.x_row + row) * frame.width + rectangle.x_column
    z_at = relu_number * plane + (rectangle.z_row + row) * frame.width + rectangle.z_column
    source = 2 * (steps.codes[CODES * number + 1] * plane + row * frame.width) * lanes
    return Relu(source, x.scales, x.deviations + 2 * x_at, z.scales, z.deviations + 2 * z_at * lanes, at)


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
    sums: Any,
) -> None:
    """One pass: the source of a row, and what follows the row before it; where the two can go together, in one loop."""
    lanes, reach, first = lanes_of(scratch.state), len(frame.taps) // 2, NUMBERS * number
    rows, columns, margin = rectangle.rows, rectangle.columns, 2 * (len(frame.taps) // 2) * lanes_of(scratch.state)
    averages, kind = steps.codes[CODES * number + 3], steps.codes[CODES * number + 4]
    target = 2 * steps.codes[CODES * number + 2] * frame.height * frame.width * lanes
    is_relu = steps.codes[CODES * number] == RELU and not is_self and not is_last
    is_busy = is_relu and averages == 2 and len(frame.taps) == 3 and kind >= 0 and frame.n_readouts == 1
    is_busy_once = is_relu and averages == 1 and kind < 0
    table = max(kind, 0) * (frame.side + 1)
    for step in range(rows + 1 if is_last else rows + 1 + averages * reach):
        newest, at = step - 1, (step & 1) * scratch.row_length + margin
        follow = follow_of(frame, rectangle, scratch, target, averages, newest)
        complete = step < rows and newest >= 0
        if is_busy and complete:
            source = relu_of(steps, number, frame, x, z, rectangle, step, at, lanes)
            weight = frame.row_weights[(table + rows) * frame.side + newest]
            read = Read(frame.column_weights, (table + columns) * frame.side, weight, sums, 2 * number * lanes)
            busy_row(scratch, source, read, follow, columns, frame.taps, steps.numbers, first)
        elif is_busy_once and complete:
            source = relu_of(steps, number, frame, x, z, rectangle, step, at, lanes)
            busy_row_once(scratch, source, follow, columns, frame.taps, steps.numbers, first)
        else:
            if step < rows:
                make_row(steps, number, frame, x, z, rectangle, is_self, scratch, step, at)
            if kind >= 0 and 0 <= newest < rows:
                read_rows(steps, number, frame, rows, columns, scratch, newest, follow.start + margin, sums)
            if newest >= 0 and not is_last:
                follow_row(scratch, follow, columns, frame.taps, steps.numbers, first, averages)
        if newest >= 0 and follow.updates and not is_last:
            add_bias(steps, number, frame, rectangle, scratch, newest - averages * reach, follow.at)


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
    stride, margin, second = 2 * columns * lanes, 2 * reach * lanes, 3 * scratch.row_length
    averages, reads = steps.codes[CODES * number + 3], steps.codes[CODES * number + 4] >= 0
    target = 2 * steps.codes[CODES * number + 2] * frame.height * frame.width * lanes
    for row in range(rows):
        make_row(steps, number, frame, x, z, rectangle, is_self, scratch, row, margin)
        if reads:
            read_rows(steps, number, frame, rows, columns, scratch, row, margin, sums)
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
        at = target + 2 * row * frame.width * lanes
        window = wrapped_rows(taps, row, rows, stride)
        update_row(scratch.second_ring if averages == 2 else scratch.ring, window, columns, steps.numbers, first, scratch.state, at)
        add_bias(steps, number, frame, rectangle, scratch, row, at)


@njit
def run_passes(
    steps: Steps, frame: Frame, x: Side, z: Side, rectangle: Rectangle, is_self: bool, scratch: Scratch, sums: Any, n_passes: int
) -> None:
    """Every pass over one field. is_self: each input of z with itself (x is not read), and its deviations are written."""
    lanes, reach = lanes_of(scratch.state), len(frame.taps) // 2
    if not frame.circular:
        end = 2 * (reach + rectangle.columns) * lanes
        stride, slots = 2 * rectangle.columns * lanes, 2 * reach
        for buffer in (0, 1, 3):
            clear(scratch.row, buffer * scratch.row_length + end, buffer * scratch.row_length + end + 2 * reach * lanes)
        clear(scratch.ring, slots * stride, (slots + 1) * stride)
        clear(scratch.second_ring, slots * stride, (slots + 1) * stride)
    for number in range(n_passes):
        is_last = number == n_passes - 1
        if frame.circular:
            circular_pass(steps, number, frame, x, z, rectangle, is_self, is_last, scratch, sums)
        else:
            zero_padded_pass(steps, number, frame, x, z, rectangle, is_self, is_last, scratch, sums)


@njit
def run_offsets(
    steps: Steps, frame: Frame, x: Side, z: Side, all_offsets: bool, same: Any, self_sums: Any, scratch: Scratch, sums: Any, n_passes: int
) -> None:
    """The sums of every pass and readout over the field at offset 0, or over those of all offsets.

    same: for each lane the number of its row in self_sums where x is the same input, else −1: their correlation at offset 0 is 1, and
    what was summed there is replaced by the closed recursion.
    """
    height, width, lanes = frame.height, frame.width, lanes_of(scratch.state)
    n_sums = 2 * n_passes * frame.n_readouts
    clear(sums, 0, n_sums * lanes)
    run_passes(steps, frame, x, z, Rectangle(height, width, 0, 0, 0, 0), False, scratch, sums, n_passes)
    for lane in range(lanes):
        if same[lane] >= 0:
            for index in range(n_sums):
                sums[index * lanes + lane] = self_sums[same[lane] * n_sums + index]
    if not all_offsets:
        return
    for dy in range(0 if frame.circular else 1 - height, height):
        for dx in range(0 if frame.circular else 1 - width, width):
            if dy == 0 and dx == 0:
                continue
            if frame.circular:
                rectangle = Rectangle(height, width, 0, 0, dy, dx)
            else:
                rectangle = Rectangle(height - abs(dy), width - abs(dx), max(0, -dy), max(0, -dx), max(0, dy), max(0, dx))
            run_passes(steps, frame, x, z, rectangle, False, scratch, sums, n_passes)
