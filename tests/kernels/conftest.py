"""The slow, independent truth: every pixel pair of one pair of images at once, straight from the equations, in numpy float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from skipbench.architecture import CNN, Architecture, ResCNN

Array = np.ndarray


def _average(arch: CNN | ResCNN, field: Array) -> Array:
    """Av M[i, j] = 1/q² Σ_k M[i + k, j + k] over (rows, columns, rows, columns), one pixel pair after the other."""
    rows, columns = field.shape[:2]
    reach = arch.filter_size // 2
    result = np.zeros_like(field)
    for index in np.ndindex(field.shape):
        for dy in range(-reach, reach + 1):
            for dx in range(-reach, reach + 1):
                place = [index[0] + dy, index[1] + dx, index[2] + dy, index[3] + dx]
                if arch.padding == "circular":
                    place = [place[0] % rows, place[1] % columns, place[2] % rows, place[3] % columns]
                elif not all(0 <= here < side for here, side in zip(place, field.shape, strict=True)):
                    continue
                result[index] += field[tuple(place)]
    return result / arch.filter_size**2


def _dual(field: Array, of_x: Array, of_z: Array) -> tuple[Array, Array]:
    scale = np.sqrt(np.einsum("ijij->ij", of_x))[:, :, None, None] * np.sqrt(np.einsum("ijij->ij", of_z))[None, None]
    correlation = np.clip(np.divide(field, scale, out=np.zeros_like(field), where=scale > 0), -1, 1)
    angle = np.pi - np.arccos(correlation)
    return scale * (correlation * angle + np.sqrt(1 - correlation**2)) / np.pi, angle / np.pi


def _fields(arch: CNN | ResCNN, x: Array, z: Array) -> tuple[Array, Array]:
    """NNGP and NTK of all pixel pairs of one image x and one image z; (x, x) and (z, z) ride along for the variances."""
    sides = [(x, z), (x, x), (z, z)]
    b2 = arch.bias**2
    first = [np.einsum("cij,ckl->ijkl", left, right) / len(left) for left, right in sides]

    def branch(nngp: list[Array], ntk: list[Array], relus: int) -> tuple[list[Array], list[Array]]:
        covariance = [_average(arch, field) + b2 for field in nngp]
        tangent = [field + _average(arch, old) for field, old in zip(covariance, ntk, strict=True)]
        for _ in range(relus):
            duals = [_dual(field, covariance[1], covariance[2]) for field in covariance[:1]]
            duals += [_dual(field, field, field) for field in covariance[1:]]
            covariance = [_average(arch, post) + b2 for post, _ in duals]
            tangent = [_average(arch, slope * old) + field for (_, slope), old, field in zip(duals, tangent, covariance, strict=True)]
        return covariance, tangent

    if isinstance(arch, ResCNN):
        nngp = [field + b2 for field in first]
        ntk = [field if arch.train_ends else np.zeros_like(field) for field in nngp]
        for _ in range(arch.depth):
            more_nngp, more_ntk = branch(nngp, ntk, arch.branch_depth - 1)
            nngp = [old + arch.alpha_value**2 * new for old, new in zip(nngp, more_nngp, strict=True)]
            ntk = [old + arch.alpha_value**2 * new for old, new in zip(ntk, more_ntk, strict=True)]
        return nngp[0], ntk[0] + nngp[0] if arch.train_ends else ntk[0]
    covariance, tangent = branch(first, [np.zeros_like(field) for field in first], arch.depth - 1)
    post, slope = _dual(covariance[0], covariance[1], covariance[2])
    return post, post + slope * tangent[0]


def _readout(arch: CNN | ResCNN, field: Array) -> float:
    if arch.readout == "gap":
        return float(field.mean())
    diagonal = np.einsum("ijij->ij", field)
    if arch.readout == "tr":
        return float(diagonal.mean())
    return float(diagonal[diagonal.shape[0] // 2, diagonal.shape[1] // 2])


@pytest.fixture(scope="session")
def all_pixel_pairs() -> Callable[[Architecture, Array, Array], tuple[Array, Array]]:
    """A function (arch, x, z) -> (nngp, ntk), by the definition."""

    def matrices(arch: Architecture, x: Array, z: Array) -> tuple[Array, Array]:
        assert isinstance(arch, CNN | ResCNN)
        values = [[[_readout(arch, field) for field in _fields(arch, left, right)] for right in z] for left in x]
        nngp, ntk = np.moveaxis(np.array(values), -1, 0)
        return nngp, ntk

    return matrices


@pytest.fixture(scope="session")
def normalised_error() -> Callable[[Array, Array, Array, Array], float]:
    """max |dK_ij| / √(K_ii K_jj), the only relative error of a kernel matrix that means something far off the diagonal."""

    def error(found: Array, expected: Array, diagonal_x: Array, diagonal_z: Array) -> float:
        return float(np.abs((np.asarray(found) - expected) / np.sqrt(np.outer(diagonal_x, diagonal_z))).max())

    return error
