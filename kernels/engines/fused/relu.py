"""One ReLU for a vector of pairs: E = v κ₁(r) and F = E + κ₀(r) U, r = G / v, v = √a √b.

25 operations in float32, the root counted as the three that it is made of.

In two halves: the first ends in a root, whose result takes some thirty cycles to arrive. Loops start the next pixel before they finish
this one; otherwise the operations that wait for the root fill the processor's scheduler.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from skipbench.kernels.engines.fused.vectors import (
    absolute,
    flip_sign,
    fma,
    fms,
    half_minus,
    plus_half,
    positive_part,
    post_polynomial,
    slope_polynomial,
    sqrt,
)


@njit(forceinline=True)
def relu_start(pre: Any, deviation_x: Any, inverse_x: Any, deviation_z: Any, inverse_z: Any) -> Any:
    """v t, t and √t from G and, for both inputs, √a and 1/√a (0 where a = 0).

    v t = v − |G| costs no division and is exact where r is near 1; what rounding leaves below 0 is clipped.
    """
    below = positive_part(fms(deviation_x, deviation_z, absolute(pre)))
    t = below * inverse_x * inverse_z
    return below, t, sqrt(t)


@njit(forceinline=True)
def relu_finish(pre: Any, tangent: Any, below: Any, t: Any, root: Any) -> Any:
    """E and F from G, U and what `relu_start` found."""
    post = fma(below * root, post_polynomial(t), positive_part(pre))  # v κ₁ = v t √t R(t) + max(G, 0)
    slope = plus_half(flip_sign(half_minus(root, slope_polynomial(t)), pre))  # κ₀ = 1/2 ± (1/2 − √t P(t))
    return post, fma(slope, tangent, post)
