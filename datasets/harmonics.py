"""Spherical harmonics of one frequency around a pole, normalised under the uniform measure, and uniform points to evaluate them at.

On the sphere S^(d-1) the harmonics of frequency k are the restrictions of harmonic homogeneous polynomials of degree k; N(d, k) of them
are orthonormal. The one that depends on the angle to a pole p only is

    Z_k(x) = sqrt(N(d, k)) C_k(<x, p>) / C_k(1)        C_k the Gegenbauer polynomial of index (d - 2) / 2
    N(d, k) = (2k + d - 2) / (k + d - 2) binom(k + d - 2, k)

It has mean 0 and variance 1, on the circle (d = 2) it is sqrt(2) cos(k angle), and every kernel that depends on <x, z> alone has it as
an eigenfunction, with the eigenvalue of frequency k. On the multi-sphere, where each pixel's channel vector lies on a sphere of its own,
products over pixels take its place (Barzilai et al. 2022, arXiv 2211.14810).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from skipbench.checks import SkipbenchError, shown
from skipbench.datasets.stratify import random_keys

Points = NDArray[np.float64]


def n_harmonics(dimension: int, frequency: int) -> int:
    """N(d, k), how many harmonics of one frequency are orthonormal on S^(d-1); dimension at least 2."""
    if frequency == 0:
        return 1
    top = frequency + dimension - 2
    return (2 * frequency + dimension - 2) * math.comb(top, frequency) // top


def zonal_harmonic(points: NDArray[np.floating], pole: NDArray[np.floating], frequency: int) -> Points:
    """Z_k around a pole at the directions of `points`, float64 of shape (...,), of variance 1 under the uniform measure.

    points: (..., d), none of them 0; pole: (d,), not 0; only directions count. frequency: k, at least 0; Z_0 is 1 everywhere.
    Raises SkipbenchError for other shapes, for a zero vector, and for a negative frequency.
    """
    x, p = np.asarray(points, dtype=np.float64), np.asarray(pole, dtype=np.float64)
    if p.ndim != 1 or len(p) < 2 or x.shape[-1:] != p.shape:
        raise SkipbenchError(f"zonal_harmonic: points {x.shape} and pole {p.shape}, but they are (..., d) and (d,), with d of at least 2")
    if frequency < 0:
        raise SkipbenchError(f"zonal_harmonic: frequency={shown(frequency)}, but it is a whole number of at least 0")
    lengths = np.sqrt((x**2).sum(axis=-1)) * np.sqrt((p**2).sum())
    if not (lengths > 0).all():
        raise SkipbenchError("zonal_harmonic: a point or the pole is the zero vector, which has no direction")
    cosine = np.clip((x * p).sum(axis=-1) / lengths, -1.0, 1.0)
    return math.sqrt(n_harmonics(len(p), frequency)) * _gegenbauer(len(p), frequency, cosine)


def multisphere_harmonic(images: NDArray[np.floating], poles: NDArray[np.floating], frequencies: Mapping[tuple[int, int], int]) -> Points:
    """The product over pixels of Z_k of each pixel's channel vector, float64 (n,), of variance 1 on the multi-sphere.

    images: (n, channels, height, width). frequencies: by pixel (row, column); pixels that are not named do not matter. poles:
    (len(frequencies), channels), in the order of `frequencies`. Raises SkipbenchError for a pixel outside of the image.
    """
    product = np.ones(len(images))
    for ((row, column), frequency), pole in zip(frequencies.items(), poles, strict=True):
        if not (0 <= row < images.shape[2] and 0 <= column < images.shape[3]):
            raise SkipbenchError(f"multisphere_harmonic: pixel ({row}, {column}) is outside of images of {images.shape[2:]} pixels")
        product *= zonal_harmonic(images[:, :, row, column], pole, frequency)
    return product


def uniform_on_sphere(n: int, dimension: int, seed: Sequence[int]) -> Points:
    """n uniform points of S^(d-1), (n, d): normal numbers divided by their norm. The first rows do not depend on n."""
    from scipy.special import ndtri  # here: importing skipbench.datasets does no work

    # 53 random bits each, moved to the middle of their interval: neither 0 nor 1, where the normal quantile is infinite
    uniform = ((random_keys(n * dimension, seed) >> np.uint64(11)) + 0.5) * 2.0**-53
    normal = ndtri(uniform).reshape(n, dimension)
    return np.asarray(normal / np.sqrt((normal**2).sum(axis=1, keepdims=True)))


def _gegenbauer(dimension: int, frequency: int, cosine: Points) -> Points:
    """C_k(u) / C_k(1); on the circle, where the index is 0, the Chebyshev polynomial that it tends to."""
    from scipy.special import eval_chebyt, eval_gegenbauer

    if dimension == 2:
        return np.asarray(eval_chebyt(frequency, cosine))
    at_one = math.comb(frequency + dimension - 3, frequency)
    return np.asarray(eval_gegenbauer(frequency, (dimension - 2) / 2, cosine)) / at_one
