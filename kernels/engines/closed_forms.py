"""Kernel values written out without the recursions, in numpy float64: what the reference engine itself is held to.

Dense kernels by the cosine u of two inputs with |x|² = d, so that every variance is known in advance: the plain network after Arora et
al. 2019 (arXiv 1904.11955), Σ_l and the sum Θ = Σ_l Σ_l Π κ₀; the residual one with frozen ends after Belfer et al. 2021 (2104.03093);
dense connections after Littwin et al. 2020 (2001.10460). Convolutional kernels by two reductions to them: one convolution is a plain
network of depth 1 on patches, which tests padding and readouts, and on images whose pixels are all alike circular padding leaves the
dense kernel, any depth.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from skipbench.architecture import CNN

Array = NDArray[np.float64]


def kappas(cosine: Array) -> tuple[Array, Array]:
    """κ₀(u) = (π − arccos u)/π and κ₁(u) = (u (π − arccos u) + √(1 − u²))/π (Cho & Saul 2009)."""
    clipped = np.clip(cosine, -1.0, 1.0)
    angle = np.pi - np.arccos(clipped)
    return angle / np.pi, (clipped * angle + np.sqrt(1.0 - clipped**2)) / np.pi


def plain_kernels(cosine: Array, depth: int) -> tuple[Array, Array]:
    """MLP(depth) without bias: Σ_0 = u, Σ_l = κ₁(Σ_{l-1}); nngp = Σ_L, ntk = Σ_{l=0}^{L} Σ_l Π_{h>l} κ₀(Σ_{h-1})."""
    covariances, slopes = [cosine], []
    for _ in range(depth):
        slope, post = kappas(covariances[-1])
        slopes.append(slope)
        covariances.append(post)
    ones = np.ones_like(cosine)
    ntk = sum(covariance * np.prod([ones, *slopes[layer:]], axis=0) for layer, covariance in enumerate(covariances))
    return covariances[-1], np.asarray(ntk)


def frozen_residual_kernels(cosine: Array, depth: int, alpha: float) -> tuple[Array, Array]:
    """ResMLP(depth, alpha, train_ends=False) without bias, Belfer et al. 2021.

    K_0 = u, q_l = (1 + α²)^l, r_l = K_l / q_l, K_l = K_{l-1} + α² q_{l-1} κ₁(r_{l-1});  B_{L+1} = 1, B_l = B_{l+1} (1 + α² κ₀(r_{l-1}));
    nngp = K_L, ntk = α² Σ_l B_{l+1} [q_{l-1} κ₁(r_{l-1}) + K_{l-1} κ₀(r_{l-1})].
    """
    square = alpha**2
    covariance, terms, factors = cosine, [], []
    for layer in range(depth):
        variance = (1 + square) ** layer
        slope, post = kappas(covariance / variance)
        terms.append(variance * post + covariance * slope)
        factors.append(1 + square * slope)
        covariance = covariance + square * variance * post
    backward, ntk = np.ones_like(cosine), np.zeros_like(cosine)
    for term, factor in zip(reversed(terms), reversed(factors), strict=True):
        ntk = ntk + square * backward * term
        backward = backward * factor
    return covariance, ntk


def densely_connected_kernels(cosine: Array, depth: int, alpha: float) -> tuple[Array, Array]:
    """DenseMLP(depth, alpha), Littwin et al. 2020: the sums over all earlier layers written out.

    S_0 = H_0 = u, Q_h = p_h κ₁(S_h / p_h), S_l = α/l Σ_{h<l} Q_h, H_l = α/l Σ_{h<l} [Q_h + κ₀(S_h / p_h) H_h]; nngp = S_L, ntk = S_L + H_L.
    p_l, the variance S_l at u = 1, is a product: p_0 = 1, p_l = α/l Π_{k<l} (1 + α/k).
    """
    variances = [1.0, *(alpha / layer * math.prod(1 + alpha / k for k in range(1, layer)) for layer in range(1, depth + 1))]
    covariances, tangents = [cosine], [cosine]
    for layer in range(1, depth + 1):
        duals = [kappas(covariance / variance) for covariance, variance in zip(covariances, variances, strict=False)]
        posts = [variance * post for (_, post), variance in zip(duals, variances, strict=False)]
        passed = [post + slope * tangent for (slope, _), post, tangent in zip(duals, posts, tangents, strict=True)]
        covariances.append(np.asarray(alpha / layer * sum(posts)))
        tangents.append(np.asarray(alpha / layer * sum(passed)))
    return covariances[-1], covariances[-1] + tangents[-1]


def one_convolution_kernels(arch: CNN, x: Array, z: Array) -> tuple[Array, Array]:
    """CNN(1) without bias, any filter, padding and readout: MLP(1) on the patches around two pixels, then the readout's mean.

    x: (n, channels, height, width), z: (m, ...). The two kernels of pixels p and p' are |a||c| κ₁(u) and |a||c| (κ₁(u) + u κ₀(u)), a and
    c their patches divided by q √channels and u the cosine between them.
    """
    rows, columns = x.shape[-2:]
    of_x, of_z = _patches(arch, x), _patches(arch, z)  # (n, pixels, values)
    scale = np.sqrt(np.einsum("npa,npa->np", of_x, of_x))[:, None, :, None] * np.sqrt(np.einsum("mpa,mpa->mp", of_z, of_z))[None, :, None]
    gram = np.einsum("npa,mqa->nmpq", of_x, of_z)
    cosine = np.divide(gram, scale, out=np.zeros_like(gram), where=scale > 0)
    slope, post = kappas(cosine)
    fields = scale * post, scale * (post + cosine * slope)
    if arch.readout == "gap":
        return fields[0].mean(axis=(2, 3)), fields[1].mean(axis=(2, 3))
    nngp, ntk = (np.einsum("nmpp->nmp", field) for field in fields)
    if arch.readout == "tr":
        return nngp.mean(axis=2), ntk.mean(axis=2)
    centre = (rows // 2) * columns + columns // 2
    return nngp[..., centre], ntk[..., centre]


def _patches(arch: CNN, images: Array) -> Array:
    """The values under the filter at every pixel, (n, pixels, channels q²), divided by q √channels; zeros or the other border outside."""
    n, channels, rows, columns = images.shape
    reach = arch.filter_size // 2
    offsets = range(-reach, reach + 1)
    patches = np.zeros((n, rows * columns, channels, arch.filter_size**2))
    for pixel, (row, column) in enumerate(np.ndindex(rows, columns)):
        for place, (dy, dx) in enumerate((dy, dx) for dy in offsets for dx in offsets):
            if arch.padding == "circular":
                patches[:, pixel, :, place] = images[:, :, (row + dy) % rows, (column + dx) % columns]
            elif 0 <= row + dy < rows and 0 <= column + dx < columns:
                patches[:, pixel, :, place] = images[:, :, row + dy, column + dx]
    scaled: Array = patches.reshape(n, rows * columns, -1) / (arch.filter_size * np.sqrt(channels))
    return scaled
