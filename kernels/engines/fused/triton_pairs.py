"""GPU code of the fully connected kernels: one field entry per pair of inputs, all depths in registers.

The matrix <x, z>/d comes from torch (a matrix product is what the vendor's library does best); a program then takes a block of it
through all passes, and writes both sums of every wanted depth. Per pair and pass it reads nothing but two deviations that a whole row or
column of the block shares, so it is bound by arithmetic: about 35 instructions, against 4 bytes read once and 8 written per depth.
"""

from __future__ import annotations

import triton
import triton.language as tl

from skipbench.kernels.engines.fused.triton_relu import relu

NUMBERS = tl.constexpr(11)  # of a pass: see `triton_steps`


@triton.jit
def changed(old, new, numbers):
    """keep · old + gain · (new + inside) + constant: the box average of one entry is the entry."""
    keep, gain, constant, inside = tl.load(numbers), tl.load(numbers + 1), tl.load(numbers + 2), tl.load(numbers + 3)
    dtype = new.dtype
    return tl.fma(new + inside.to(dtype), gain.to(dtype), tl.fma(old, keep.to(dtype), constant.to(dtype)))


@triton.jit
def summed(old, new, numbers, number: tl.constexpr):
    """keep · old + gain · new."""
    keep, gain = tl.load(numbers + 8).to(new.dtype), tl.load(numbers + number).to(new.dtype)
    return tl.fma(new, gain, old * keep)


@triton.jit(do_not_specialize=["n", "m", "depth", "n_inner", "upper_only"])
def pair_fields(
    gram, x_squares, x_deviations, z_deviations, x_codes, z_codes, passes, slots, sums, n, m, depth, n_inner, upper_only,
    post_coefficients: tl.constexpr, slope_coefficients: tl.constexpr, SIDE: tl.constexpr, FIRST: tl.constexpr, LINEAR: tl.constexpr,
):  # fmt: skip
    """Both readout sums of a SIDE × SIDE block of pairs, in the dtype of the fields.

    gram: (n, m). x_squares: (n,), its value where the inputs are equal. x_deviations: (ReLUs, n), z_deviations: (ReLUs, m). codes: (n,) and
    (m,), equal where the inputs are. passes, slots: see `triton_steps`. sums: (outputs, 2, n, m). upper_only: 1 leaves blocks below the
    diagonal as they are. FIRST: the first pass is read out. LINEAR: there is no ReLU.
    """
    dtype: tl.constexpr = gram.dtype.element_ty
    row = tl.program_id(0) * SIDE + tl.arange(0, SIDE)
    column = tl.program_id(1) * SIDE + tl.arange(0, SIDE)
    in_rows, in_columns = row < n, column < m
    wanted = in_rows[:, None] & in_columns[None, :]
    at = row.to(tl.int64)[:, None] * m + column[None, :]
    same = tl.load(x_codes + row, mask=in_rows, other=-1)[:, None] == tl.load(z_codes + column, mask=in_columns, other=-2)[None, :]
    product = tl.load(gram + at, mask=wanted, other=0.0)
    product = tl.where(same, tl.load(x_squares + row, mask=in_rows, other=0.0)[:, None], product)
    numbers = passes
    post_sum = tl.zeros((SIDE, SIDE), dtype)
    tangent_sum = tl.zeros((SIDE, SIDE), dtype)
    if FIRST:
        post_sum = summed(post_sum, product, numbers, 9)
        tangent_sum = summed(tangent_sum, product, numbers, 10)
    pre = changed(product, product, numbers)
    tangent = changed(product, product, numbers + 4)
    is_skipped = (upper_only != 0) & (tl.program_id(1) < tl.program_id(0))
    for block in range(tl.where(is_skipped, 0, depth)):
        post = pre
        both = tangent
        if LINEAR:
            both += post
            numbers += NUMBERS
        else:
            for inner in range(n_inner + 1):
                of_x = tl.load(x_deviations + row, mask=in_rows, other=0.0)[:, None]
                of_z = tl.load(z_deviations + column, mask=in_columns, other=0.0)[None, :]
                x_deviations += n
                z_deviations += m
                numbers += NUMBERS
                post, both = relu(post, both, of_x, tl.where(same, 0.0, of_z), post_coefficients, slope_coefficients)
                if inner < n_inner:
                    post = changed(post, post, numbers)
                    both = changed(both, both, numbers + 4)
        post_sum = summed(post_sum, post, numbers, 9)
        tangent_sum = summed(tangent_sum, both, numbers, 10)
        slot = tl.load(slots + block)
        if slot >= 0:
            target = sums + slot.to(tl.int64) * 2 * n * m
            tl.store(target + at, post_sum, mask=wanted)
            tl.store(target + n.to(tl.int64) * m + at, tangent_sum, mask=wanted)
        pre = changed(pre, post, numbers)
        tangent = changed(tangent, both, numbers + 4)
