"""The classical references: Gaussian kernel exp(-|x - z|² / (2 w²)) and Laplace kernel exp(-|x - z| / w), w the bandwidth."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from skipbench.checks import SkipbenchError, unknown_name

Vectors = Tensor | np.ndarray[Any, Any]
ClassicalKernel = Literal["gaussian", "laplace"]

CLASSICAL_KERNELS: tuple[ClassicalKernel, ...] = ("gaussian", "laplace")
_MEDIAN_ROWS = 2000  # their 2 million pairs fix the median to better than 1 in 1000


def classical_kernel(
    name: ClassicalKernel,
    x: Vectors,
    z: Vectors | None = None,
    *,
    bandwidth: float,
    dtype: torch.dtype = torch.float64,
    device: str | torch.device = "cpu",
) -> Tensor:
    """The kernel matrix of a named classical kernel: exp(-|x - z|² / (2 w²)) for "gaussian", exp(-|x - z| / w) for "laplace".

    x: (n, d), z: (m, d), numpy or torch; z=None means x, and the matrix is then exactly symmetric. bandwidth: w, in the unit of the
    inputs, above 0. Returns (n, m) on the device. Raises SkipbenchError for an unknown name, a bad bandwidth or inputs that are no vectors.
    """
    if name not in CLASSICAL_KERNELS:
        raise SkipbenchError(unknown_name("classical kernel", str(name), CLASSICAL_KERNELS))
    bandwidth = checked_bandwidth(bandwidth)
    x_rows = _vectors(x, "x", dtype, device)
    z_rows = x_rows if z is None else _vectors(z, "z", dtype, device)
    if x_rows.shape[1] != z_rows.shape[1]:
        raise SkipbenchError(f"{name} kernel: x has {x_rows.shape[1]} features and z has {z_rows.shape[1]}: they must agree")
    scaled = _distances(x_rows, z_rows) / bandwidth
    return torch.exp(-(scaled**2) / 2) if name == "gaussian" else torch.exp(-scaled)


def median_distance(x: Vectors) -> float:
    """The median heuristic: the median Euclidean distance of pairs of different rows, a bandwidth of the scale of the data.

    x: (n, d). Rows that are equal to each other say nothing about the scale, so distances of 0 do not count. Of more than 2000 rows,
    2000 evenly spaced ones are used. Raises SkipbenchError where no two rows differ.
    """
    rows = _vectors(x, "x", torch.float64, "cpu")
    if len(rows) > _MEDIAN_ROWS:
        rows = rows[torch.linspace(0, len(rows) - 1, _MEDIAN_ROWS, dtype=torch.float64).round().long()]
    distances = np.sort(torch.nn.functional.pdist(rows).numpy())
    distances = distances[distances > 0]
    if len(distances) == 0:
        raise SkipbenchError(f"bandwidth: the median distance of {len(rows)} rows is undefined, as no two of them differ: give a bandwidth")
    return float(np.median(distances))


def checked_bandwidth(bandwidth: float) -> float:
    """The bandwidth as a float; refused unless it is a finite number above 0."""
    is_number = isinstance(bandwidth, (int, float, np.number)) and not isinstance(bandwidth, bool)
    if not is_number or not 0 < float(bandwidth) < math.inf:
        raise SkipbenchError(f"bandwidth={bandwidth!r}, but a bandwidth is a finite number above 0, in the unit of the inputs, such as 1.0")
    return float(bandwidth)


def _vectors(values: Vectors, name: str, dtype: torch.dtype, device: str | torch.device) -> Tensor:
    rows = values if isinstance(values, Tensor) else torch.from_numpy(np.array(values))
    if rows.ndim == 4:
        raise SkipbenchError(
            f"{name}: images of shape {tuple(rows.shape[1:])}, but the classical kernels compare vectors: "
            "flatten them, or use the kernel of a CNN or ResCNN"
        )
    if rows.ndim != 2 or len(rows) == 0:
        raise SkipbenchError(f"{name}: shape {tuple(rows.shape)}, but the classical kernels take vectors, (n, d) with n of at least 1")
    return rows.to(device=device, dtype=dtype)


def _distances(x: Tensor, z: Tensor) -> Tensor:
    """|x_i - z_j| from the differences themselves: through <x, z>, equal rows would come out 1e-8 apart, and not symmetric."""
    return torch.cdist(x, z, compute_mode="donot_use_mm_for_euclid_dist")
