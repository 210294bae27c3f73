"""What a vector sees of a spectrum, by the Lanczos algorithm: quadrature rules with bounds (Golub & Meurant 2010, chapters 2, 3 and 6).

v puts the measure μ on the spectrum of K = U diag(s) Uᵀ: |u_kᵀ v|² / |v|² at s_k. k steps from v give Gauss's rule of k nodes θ_j and
weights ω_j, which takes polynomials of degree 2k - 1 for what they are. So, for spectra above 0 and a shift δ > 0,

    ∫ s/(s + δ) dμ    lies below Gauss's rule, whose error has the sign of the even derivatives of s/(s + δ), and above Radau's,
                      which has one more node, below the spectrum
    μ[θ_i, ∞)         lies between Σ_{j > i} ω_j and Σ_{j >= i} ω_j   (Chebyshev, Markov, Stieltjes)

whatever the spectrum is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh_tridiagonal, solve_banded

from skipbench.kernels.spectra.lanczos import Array, Lanczos


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """∫ f dμ ≈ Σ_j weights_j f(nodes_j). nodes: ascending, (k,). weights: (k,), with the sum 1. is_exact: for every f."""

    nodes: Array
    weights: Array
    is_exact: bool

    def integral(self, function: Callable[[Array], Array]) -> float:
        """Of a function that takes all nodes at once."""
        return float(self.weights @ function(self.nodes))

    def least_above(self, values: Array) -> Array:
        """A lower bound of μ[value, ∞) for every value, (m,)."""
        first = np.searchsorted(self.nodes, values)
        return self._tails()[first if self.is_exact else np.minimum(first + 1, len(self.nodes))]

    def most_above(self, values: Array) -> Array:
        """An upper bound of μ[v, ∞) for v just below every value, (m,)."""
        first = np.searchsorted(self.nodes, values)
        return self._tails()[first if self.is_exact else np.maximum(first - 1, 0)]

    def _tails(self) -> Array:
        """Σ_{j >= i} ω_j for i = 0..k."""
        return np.append(np.cumsum(self.weights[::-1])[::-1], 0.0)


def gauss_rule(lanczos: Lanczos) -> Rule:
    """Of the steps so far."""
    diagonal, beside = lanczos.coefficients()
    return _rule(diagonal, beside[:-1], lanczos.is_exhausted)


def radau_rule(lanczos: Lanczos, node: float) -> Rule:
    """With one more node, which is given and lies below the spectrum; Gauss's rule where that is exact."""
    if lanczos.is_exhausted:
        return gauss_rule(lanczos)
    diagonal, beside = lanczos.coefficients()
    banded = np.zeros((3, len(diagonal)))
    banded[1] = diagonal - node
    banded[0, 1:] = banded[2, :-1] = beside[:-1]
    unit = np.zeros(len(diagonal))
    unit[-1] = beside[-1] ** 2
    last = node + float(solve_banded((1, 1), banded, unit)[-1])
    return _rule(np.append(diagonal, last), beside, is_exact=False)


def converged_values(lanczos: Lanczos, tolerance: float) -> Array:
    """The largest Ritz values, ascending, down to the first that may be further than `tolerance` times itself from an eigenvalue.

    An eigenvalue that K has several times is found once.
    """
    diagonal, beside = lanczos.coefficients()
    values, vectors = eigh_tridiagonal(diagonal, beside[:-1])
    distances = np.zeros(len(values)) if lanczos.is_exhausted else beside[-1] * np.abs(vectors[-1])
    unfinished = np.flatnonzero(~(distances <= tolerance * values))
    found: Array = values[unfinished[-1] + 1 :] if len(unfinished) else values
    return found


def _rule(diagonal: Array, beside: Array, is_exact: bool) -> Rule:
    nodes, vectors = eigh_tridiagonal(diagonal, beside)
    return Rule(nodes, vectors[0] ** 2, is_exact)
