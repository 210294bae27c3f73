"""Bounds of the smallest eigenvalue of K + shift I from what conjugate gradients have at hand; `spectra.lanczos` has the largest's.

Conjugate gradients have no inverse at hand, but can solve A Z = G - R for a few random columns G besides their own. Each entry of Gᵀ u,
u the eigenvector of λ_min, is a standard normal number, and Gᵀ u = λ_min Zᵀ u + Rᵀ u. So, q a quantile of the chi-squared distribution,

    √q < |Gᵀ u| <= λ_min σ_max(Z) + |R|        and        λ_min <= zᵀ A z / zᵀ z        for every z in the span of Z

Between those bounds, the smallest Ritz value of P⁻¹ A is the estimate: it converges to the smallest eigenvalue there is of P⁻¹ A, which is
below λ_min as P - I is positive semidefinite, and close to it as P is I where A is small.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import eigh, eigvalsh, eigvalsh_tridiagonal
from scipy.stats import chi2

from skipbench.kernels.spectra.lanczos import FAILURE_PROBABILITY
from skipbench.trainers.solvers.tiles import Array


def smallest_bounds(probes: Array, solutions: Array, residuals: Array) -> tuple[float, float]:
    """Bounds for λ_min of a positive definite A, the lower one but for FAILURE_PROBABILITY.

    probes: G, (n, c), standard normal. solutions: Z, (n, c). residuals: R = G - A Z, (n, c).
    """
    products, gram = solutions.T @ (probes - residuals), solutions.T @ solutions
    lengths, directions = eigh(gram)
    least = math.sqrt(chi2.ppf(FAILURE_PROBABILITY, probes.shape[1])) - float(np.linalg.norm(residuals))
    low = max(0.0, least) / math.sqrt(lengths[-1]) if lengths[-1] > 0 else 0.0
    kept = lengths > 1e-8 * lengths[-1]  # squares of lengths: below that, rounding decides
    if not kept.any():
        return low, math.inf
    whitened = directions[:, kept] / np.sqrt(lengths[kept])
    return low, float(eigvalsh(whitened.T @ ((products + products.T) / 2) @ whitened)[0])


def ritz_extremes(steps: list[float], growths: list[float]) -> tuple[float, float]:
    """Extreme Ritz values of the preconditioned matrix from the coefficients of conjugate gradients.

        T_kk = 1/a_k + b_{k-1}/a_{k-1}        T_{k,k+1} = √b_k / a_k

    steps: a_k, the step along each direction. growths: b_k, by which the next direction keeps the last one (Saad 2003, section 6.7.3).
    """
    a, b = np.array(steps), np.array(growths)
    diagonal = 1 / a
    diagonal[1:] += b[:-1] / a[:-1]
    values = eigvalsh_tridiagonal(diagonal, np.sqrt(b[:-1]) / a[:-1])
    return float(values[0]), float(values[-1])
