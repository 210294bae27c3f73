"""GPU code of the convolutional kernels: a whole field of pixel pairs in the registers of one warp, for all depths.

One program takes a few pairs of images (one where images are wider than 16) through all passes, for one row offset dy and every column
offset dx. Lanes are columns, registers are rows: thread j holds column j of G and of U. Then

    * along rows a box average is plain additions of registers, along columns it is 2 · reach shuffles (`tl.gather` within a warp);
    * nothing but deviations is read, 8 bytes per element and ReLU, and nothing but two sums per pair and depth is written;
    * no shared memory is used and no barrier is met: warps never wait for each other.

Offsets are taken circularly for both paddings. With zero padding, offset (dy, dx) stands for four rectangles at once, those of dy or
dy − height and of dx or dx − width: together they tile the image exactly, so all lanes work at every offset (rectangle by rectangle, half
of them would idle), and every program costs the same. Walls between the rectangles are weights 0 in the sums: the multiplication is part
of an addition's fused operation. Circular padding has no walls and wraps around instead, as often as the filter does.

Cost of one block of a residual network (filter 3, zero padding, 32 × 32, float32), per element of the field, from the machine code that
ptxas makes for sm_90: 64 instructions, of which 28 for the dual, 33 for four box sums of two fields (8 of them shuffles) and 3 loads and
readouts; 168 registers a thread, none spilled, so 12 warps a multiprocessor. Plain networks take 52, with `eq` and `tr` together. An H100
issues 132 × 128 lanes a clock: at 1.7 GHz that bounds the rate at 4.5e11 field elements × blocks a second. Shuffles and loads share a unit
that would be busy 70 % of that time; at 3e11 the second-level cache would deliver 2.4e12 bytes a second. So 3e11 takes 67 % of the issue
slots. All of this is counted: no GPU was at hand, and nothing here has been timed on one.

Tried or reckoned, and left:
    * pairs in the lanes, as on the CPU: no shuffles at all, but 8 KiB a pair; a warp's 32 pairs fill the first-level cache of a
      multiprocessor, and from the second level 32 bytes per element and block bound the rate at 1.7e11 before anything is computed;
    * box sums as products with banded 0/1 matrices (`tl.dot`): exact only in float32 arithmetic, 128 fused operations per element instead
      of 33 instructions; tensor cores want values split in two TF32 parts, truncate sums, and take operands through shared memory;
    * `tl.gather` along rows too: rows lie in one thread's registers, and a gather among registers is a chain of 32 choices;
    * differences of prefix sums (`tl.cumsum`): cancellation costs digits, and taking the differences needs the same shifts;
    * a tuple of 32 row tensors from start to end: the same machine code, but Triton's coalescing pass looks at all loads for each load:
      47 s to compile. Rows are taken apart around additions of rows only (`rows_of`, no instruction): 4 s.

Images of more than 32 columns take several warps, whose shuffles go through shared memory; those of more than 32 rows spill registers (the
shorter side counts). float64 has half the registers and no fast root: about 190 instructions per element, some of them spills.
"""

from __future__ import annotations

import triton
import triton.language as tl

from skipbench.kernels.engines.fused.triton_relu import relu

NUMBERS = tl.constexpr(11)  # of a pass: see `triton_steps`


@triton.jit
def cut(field):
    """The upper and the lower half of a field's rows."""
    return tl.split(tl.permute(tl.reshape(field, (2, field.shape[0] // 2, field.shape[1])), (1, 2, 0)))


@triton.jit
def stacked(above, below):
    """The inverse of `cut`."""
    return tl.reshape(tl.permute(tl.join(above, below), (2, 0, 1)), (2 * above.shape[0], above.shape[1]))


@triton.jit
def rows_of(field, LEVELS: tl.constexpr):
    """The rows of a (2**LEVELS, lanes) field, (1, lanes) each: other names for the same registers."""
    parts = (field,)
    for level in tl.static_range(LEVELS):
        halves = ()
        for part in tl.static_range(2**level):
            above, below = cut(parts[part])
            halves += (above, below)
        parts = halves
    return parts


@triton.jit
def field_of(rows, LEVELS: tl.constexpr):
    """The inverse of `rows_of`."""
    parts = rows
    for level in tl.static_range(LEVELS):
        wholes = ()
        for part in tl.static_range(2 ** (LEVELS - 1 - level)):
            wholes += (stacked(parts[2 * part], parts[2 * part + 1]),)
        parts = wholes
    return parts[0]


@triton.jit
def row_link(wall, above: tl.constexpr, below: tl.constexpr, dtype: tl.constexpr):
    """0 where the wall stands between two rows, else 1."""
    return tl.where((wall > above) & (wall <= below), 0.0, 1.0).to(dtype)


@triton.jit
def box_rows(field, wall, ROWS: tl.constexpr, LEVELS: tl.constexpr, REACH: tl.constexpr, CIRCULAR: tl.constexpr):
    """Sum of the 2 · REACH + 1 rows around each row. Rows from ROWS on are padding to a power of two, and stay as they are."""
    rows = rows_of(field, LEVELS)
    sums = ()
    for row in tl.static_range(2**LEVELS):
        total = rows[row]
        if row < ROWS:
            for shift in tl.static_range(1, REACH + 1):
                if CIRCULAR:
                    total += rows[(row + shift) % ROWS] + rows[(row - shift) % ROWS]
                else:
                    if row + shift < ROWS:
                        total = tl.fma(rows[row + shift], row_link(wall, row, row + shift, field.dtype), total)
                    if row - shift >= 0:
                        total = tl.fma(rows[row - shift], row_link(wall, row - shift, row, field.dtype), total)
        sums += (total,)
    return field_of(sums, LEVELS)


@triton.jit
def column_links(lane, dx, WIDTH: tl.constexpr, LANES: tl.constexpr, REACH: tl.constexpr, dtype: tl.constexpr):
    """For each of the 2 · REACH neighbours of a column: the lane that holds it, wrapped, and 0 where a wall or the border is between."""
    column = lane % LANES
    lanes = ()
    links = ()
    for neighbour in tl.static_range(2 * REACH):
        other = column + (neighbour + 1 if neighbour < REACH else REACH - 1 - neighbour)
        left = tl.minimum(column, other)
        right = tl.maximum(column, other)
        crossed = (left < WIDTH - dx) & (right >= WIDTH - dx)
        linked = (left >= 0) & (right < WIDTH) & (crossed == 0)
        lanes += (lane - column + (other + WIDTH * (1 + REACH // WIDTH)) % WIDTH,)
        links += (tl.where(linked, 1.0, 0.0).to(dtype),)
    return lanes, links


@triton.jit
def box_columns(field, lanes, links, REACH: tl.constexpr, CIRCULAR: tl.constexpr):
    """Sum of the 2 · REACH + 1 columns around each column."""
    total = field
    for neighbour in tl.static_range(2 * REACH):
        moved = tl.gather(field, tl.broadcast_to(lanes[neighbour], field.shape), 1)
        if CIRCULAR:
            total += moved
        else:
            total = tl.fma(moved, links[neighbour], total)
    return total


@triton.jit
def box(field, wall, lanes, links, ROWS: tl.constexpr, LEVELS: tl.constexpr, REACH: tl.constexpr, CIRCULAR: tl.constexpr):
    """q² Av, the sum over the filter."""
    if REACH > 0:
        field = box_columns(box_rows(field, wall, ROWS, LEVELS, REACH, CIRCULAR), lanes, links, REACH, CIRCULAR)
    return field


@triton.jit
def updated(old, boxed, numbers):
    """keep · old + gain · boxed + constant."""
    keep, gain, constant = tl.load(numbers), tl.load(numbers + 1), tl.load(numbers + 2)
    dtype = boxed.dtype
    return tl.fma(boxed, gain.to(dtype), tl.fma(old, keep.to(dtype), constant.to(dtype)))


@triton.jit
def with_inside(field, number, BIASED: tl.constexpr):
    """What a bias adds before the last average, and outside of the image does not."""
    if BIASED:
        field += tl.load(number).to(field.dtype)
    return field


@triton.jit
def no_sums(lanes: tl.constexpr, count: tl.constexpr):
    """A float64 zero for every lane and readout."""
    sums = ()
    for _ in tl.static_range(count):
        sums += (tl.zeros((1, lanes), tl.float64),)
    return sums


@triton.jit
def read(sums, field, numbers, number: tl.constexpr, ROWS: tl.constexpr, CENTRES: tl.constexpr):
    """keep · sums + gain · Σ field over the rows that each readout sees, column by column.

    A column's rows are summed in the field's dtype (as exact as the values themselves), all else in float64. CENTRES: for each readout,
    whether it sees the centre pixel alone.
    """
    keep, gain = tl.load(numbers + 8), tl.load(numbers + number)
    row = tl.arange(0, field.shape[0])[:, None]
    new = ()
    for readout in tl.static_range(len(CENTRES)):
        seen = row == ROWS // 2 if CENTRES[readout] else row < ROWS
        total = tl.sum(tl.where(seen, field, 0.0), 0, keep_dims=True)
        new += (tl.fma(total.to(tl.float64), gain, keep * sums[readout]),)
    return new


@triton.jit
def write(target, sums, pair, column, n_pairs, WIDTH: tl.constexpr, LANES: tl.constexpr, CENTRES: tl.constexpr):
    """Add the sums over columns to those of the offsets before. Atomic for its order alone: no other program has this target."""
    for readout in tl.static_range(len(CENTRES)):
        seen = column == WIDTH // 2 if CENTRES[readout] else column < WIDTH
        by_pair = tl.reshape(tl.where(seen, sums[readout], 0.0), (sums[readout].shape[1] // LANES, LANES))
        tl.atomic_add(target + 2 * readout * n_pairs + pair, tl.sum(by_pair, 1), mask=pair < n_pairs, sem="relaxed")


@triton.jit
def products(x, z, rows, wanted, channels, X_PLANE: tl.constexpr, Z_PLANE: tl.constexpr):
    """<x_i, z_j> of every pixel pair; the tables divide by C. x, z: pointers to its values in the first channel."""
    gram = tl.zeros(wanted.shape, x.dtype.element_ty)
    for _channel in range(channels):
        gram = tl.fma(tl.load(x + rows, mask=wanted, other=0.0), tl.load(z + rows, mask=wanted, other=0.0), gram)
        x += X_PLANE
        z += Z_PLANE
    return gram


# Told that images are aligned, Triton would load four pixels a thread and carry them to their lanes through shared memory.
@triton.jit(
    do_not_specialize=["n_pairs", "depth", "n_inner", "channels", "n_relus", "n_dy", "n_dx", "n_outputs"],
    do_not_specialize_on_alignment=["x", "z", "x_deviations", "z_deviations"],
)
def pixel_fields(
    x, z, x_deviations, z_deviations, of_x, of_z, of_z_at_zero, passes, slots, sums,
    n_pairs, depth, n_inner, channels, n_relus, n_dy, n_dx, n_outputs,
    post_coefficients: tl.constexpr, slope_coefficients: tl.constexpr, CENTRES: tl.constexpr,
    PAIRS: tl.constexpr, ROWS: tl.constexpr, LEVELS: tl.constexpr, WIDTH: tl.constexpr, LANES: tl.constexpr, Z_ROWS: tl.constexpr,
    REACH: tl.constexpr, CIRCULAR: tl.constexpr, AVERAGES: tl.constexpr,
    FIRST: tl.constexpr, LINEAR: tl.constexpr, INNER: tl.constexpr, BIASED: tl.constexpr,
):  # fmt: skip
    """The readout sums of PAIRS pairs at n_dx column offsets of one row offset, for every output.

    x: (n, channels, ROWS, WIDTH), x_deviations: (n, n_relus, ROWS, WIDTH). z, z_deviations: the same with Z_ROWS rows, for n_dy > 1 all
    rows twice. of_x, of_z: (n_pairs,) int32, numbers of images; of_z_at_zero: that of the deviations at offset 0. passes, slots: see
    `triton_steps`. sums: (n_dy, n_outputs, readouts, 2, n_pairs) float64, 0 at first. 2**LEVELS ≥ ROWS, LANES ≥ WIDTH, powers of two.
    FIRST: the first pass is read out. LINEAR: there is no ReLU. INNER: a block has more than one. BIASED: some `inside` is not 0.
    """
    dtype: tl.constexpr = x.dtype.element_ty
    X_PLANE: tl.constexpr = ROWS * WIDTH
    Z_PLANE: tl.constexpr = Z_ROWS * WIDTH
    dy = tl.program_id(0) % n_dy
    first_pair = tl.program_id(0) // n_dy * PAIRS
    lane = tl.arange(0, PAIRS * LANES)[None, :]
    column = lane % LANES
    pair = first_pair + lane // LANES
    row = tl.arange(0, 2**LEVELS)[:, None]
    in_lanes = (pair < n_pairs) & (column < WIDTH)
    x_image = tl.load(of_x + pair, mask=in_lanes, other=0).to(tl.int64)
    z_image = tl.load(of_z + pair, mask=in_lanes, other=0).to(tl.int64)
    z_image_at_zero = tl.load(of_z_at_zero + pair, mask=in_lanes, other=0).to(tl.int64)
    wanted = in_lanes & (row < ROWS)
    wall = ROWS - dy
    for dx in range(n_dx):
        lanes, links = column_links(lane, dx, WIDTH, LANES, REACH, dtype)
        z_pixel = dy * WIDTH + tl.where(column < WIDTH - dx, column + dx, column + dx - WIDTH)

        # E = F = <x, z>, the first G and U
        x_values = x + (x_image * (channels * X_PLANE) + column)
        z_values = z + (z_image * (channels * Z_PLANE) + z_pixel)
        gram = products(x_values, z_values, row * WIDTH, wanted, channels, X_PLANE, Z_PLANE)
        numbers = passes
        post_sums = no_sums(PAIRS * LANES, len(CENTRES))
        tangent_sums = no_sums(PAIRS * LANES, len(CENTRES))
        if FIRST:
            post_sums = read(post_sums, gram, numbers, 9, ROWS, CENTRES)
            tangent_sums = read(tangent_sums, gram, numbers, 10, ROWS, CENTRES)
        gram = box(with_inside(gram, numbers + 3, BIASED), wall, lanes, links, ROWS, LEVELS, REACH, CIRCULAR)
        pre = updated(gram, gram, numbers)
        tangent = updated(gram, gram, numbers + 4)

        scaling = tl.where((dy == 0) & (dx == 0), z_image_at_zero, z_image)
        x_scales = x_deviations + (x_image * (n_relus * X_PLANE) + column)
        z_scales = z_deviations + (scaling * (n_relus * Z_PLANE) + z_pixel)
        for block in range(depth):
            post = pre
            both = tangent
            # every ReLU of a branch but the last: (G, U) ← Av(E, F) + β
            if INNER:
                for _inner in range(n_inner):
                    numbers += NUMBERS
                    of_x_pixels = tl.load(x_scales + row * WIDTH, mask=wanted, other=0.0)
                    of_z_pixels = tl.load(z_scales + row * WIDTH, mask=wanted, other=0.0)
                    x_scales += X_PLANE
                    z_scales += Z_PLANE
                    post, both = relu(post, both, of_x_pixels, of_z_pixels, post_coefficients, slope_coefficients)
                    post = box(post, wall, lanes, links, ROWS, LEVELS, REACH, CIRCULAR)
                    both = box(both, wall, lanes, links, ROWS, LEVELS, REACH, CIRCULAR)
                    post = updated(post, post, numbers)
                    both = updated(both, both, numbers + 4)
            # E and F of the last
            numbers += NUMBERS
            if LINEAR:
                both += post
            else:
                of_x_pixels = tl.load(x_scales + row * WIDTH, mask=wanted, other=0.0)
                of_z_pixels = tl.load(z_scales + row * WIDTH, mask=wanted, other=0.0)
                x_scales += X_PLANE
                z_scales += Z_PLANE
                post, both = relu(post, both, of_x_pixels, of_z_pixels, post_coefficients, slope_coefficients)
            # N and S read Avᵏ⁻¹ of both
            for _ in tl.static_range(AVERAGES - 1):
                post = box(post, wall, lanes, links, ROWS, LEVELS, REACH, CIRCULAR)
                both = box(both, wall, lanes, links, ROWS, LEVELS, REACH, CIRCULAR)
            post_sums = read(post_sums, post, numbers, 9, ROWS, CENTRES)
            tangent_sums = read(tangent_sums, both, numbers, 10, ROWS, CENTRES)
            slot = tl.load(slots + block)
            if slot >= 0:
                target = sums + ((dy * n_outputs + slot) * (2 * len(CENTRES))).to(tl.int64) * n_pairs
                summed_pair = first_pair + tl.arange(0, PAIRS)
                write(target, post_sums, summed_pair, column, n_pairs, WIDTH, LANES, CENTRES)
                write(target + n_pairs, tangent_sums, summed_pair, column, n_pairs, WIDTH, LANES, CENTRES)
            # G ← c G + g Avᵏ E + β, U ← c U + u Avᵏ F + β
            if block + 1 < depth:
                post = box(with_inside(post, numbers + 3, BIASED), wall, lanes, links, ROWS, LEVELS, REACH, CIRCULAR)
                both = box(with_inside(both, numbers + 7, BIASED), wall, lanes, links, ROWS, LEVELS, REACH, CIRCULAR)
                pre = updated(pre, post, numbers)
                tangent = updated(tangent, both, numbers + 4)
