"""GPU code of one ReLU: E = v κ₁(r) and F = E + κ₀(r) U, r = G / v, v = √a √b, without branches.

As in the CPU's `relu`, v t = v − |G| is one fused operation, exact where r is near 1, and the rest is polynomials (`dual_polynomials`).
What differs is the price of memory: 1/√a and 1/√b beside √a and √b would double what the second-level cache has to deliver. One
reciprocal root from the special-function unit takes their place, t = (v t) (v^−½)²; its error, and that of the approximate root, are
relative ones of t (2⁻²³). float64 has no fast reciprocal root, and divides.

v = 0 (a zero pixel) gives t = 0 and E = max(G, 0) = 0. For an input compared with itself the caller sets v = 0 as well: then E = G
and D = 1 exactly, the closed recursion of the diagonal, at no cost.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def polynomial(t, coefficients):
    """Horner's rule; coefficients ascend."""
    value = tl.full(t.shape, coefficients[len(coefficients) - 1], t.dtype)
    for power in tl.static_range(len(coefficients) - 2, -1, -1):
        value = tl.fma(value, t, tl.full(t.shape, coefficients[power], t.dtype))
    return value


@triton.jit
def with_sign_of(value, other):
    """The value, its sign flipped where the other is negative: one operation on the bits instead of a comparison and a choice."""
    if value.dtype == tl.float64:
        sign = other.to(tl.int64, bitcast=True) & -(2**63)
        return (value.to(tl.int64, bitcast=True) ^ sign).to(tl.float64, bitcast=True)
    else:
        sign = other.to(tl.int32, bitcast=True) & -(2**31)
        return (value.to(tl.int32, bitcast=True) ^ sign).to(tl.float32, bitcast=True)


@triton.jit
def relu(pre, tangent, deviation_x, deviation_z, post_coefficients, slope_coefficients):
    """E and F from G and U, √a and √b; the coefficients are those of R and P."""
    scale = deviation_x * deviation_z
    below = tl.maximum(tl.fma(deviation_x, deviation_z, -tl.abs(pre)), 0.0)  # v t; what rounding leaves below 0 is clipped
    if pre.dtype == tl.float64:
        t = below / tl.maximum(scale, 1e-300)
    else:
        inverse_root = tl.rsqrt(tl.maximum(scale, 1e-37))
        t = below * inverse_root * inverse_root
    root = tl.sqrt(t)
    post = tl.fma(below * root, polynomial(t, post_coefficients), tl.maximum(pre, 0.0))
    half = tl.full(t.shape, 0.5, t.dtype)
    slope = half + with_sign_of(tl.fma(-root, polynomial(t, slope_coefficients), half), pre)
    return post, tl.fma(slope, tangent, post)
