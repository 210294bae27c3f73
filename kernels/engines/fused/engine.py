"""The fused engine: numba on the CPU, Triton on a GPU; the device of the inputs decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skipbench.architecture import Architecture
from skipbench.kernels.engines.assembly import Span, growth_factor, out_of_range, tiles
from skipbench.kernels.engines.fused.bundles import Bundle, bundles
from skipbench.kernels.engines.result_memory import result_array
from skipbench.kernels.inputs import Inputs, identity_codes


def fused_matrices(
    archs: Sequence[Architecture], x: Inputs, z: Inputs | None, *, normalised: bool, working_bytes: int
) -> list[tuple[Tensor, Tensor]]:
    """NNGP and NTK matrix of each architecture, (n, m) each; see `kernel_matrices`."""
    if x.device.type == "cuda":
        from skipbench.kernels.engines.fused.triton_engine import triton_matrices

        return triton_matrices(archs, x, z, normalised=normalised, working_bytes=working_bytes)
    other = x if z is None else z
    found: list[tuple[Tensor, Tensor] | None] = [None] * len(archs)
    identities = identity_codes(x, other)
    for bundle in bundles(archs):
        compute = _convolutional if bundle.deepest.is_convolutional else _dense
        computed = compute(bundle, x, z, identities, normalised=normalised, working_bytes=working_bytes)
        nngp, ntk = (torch.from_numpy(matrices) for matrices in computed)
        for number in bundle.members:
            depth, readout = bundle.output_of(archs[number])
            output = readout * len(bundle.depths) + depth
            found[number] = nngp[output], ntk[output]
    return [pair for pair in found if pair is not None]


Identities = tuple[NDArray[np.int64], NDArray[np.int64]]


def _dense(
    bundle: Bundle, x: Inputs, z: Inputs | None, identities: Identities, *, normalised: bool, working_bytes: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    from skipbench.kernels.engines.fused.dense_engine import DenseMatrices

    nngp, ntk, is_finite = DenseMatrices(bundle, x, z, identities).compute(normalised=normalised, working_bytes=working_bytes)
    if not is_finite:
        raise out_of_range(bundle.deepest, x.dtype)
    return nngp, ntk


def _convolutional(
    bundle: Bundle, x: Inputs, z: Inputs | None, identities: Identities, *, normalised: bool, working_bytes: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    from skipbench.kernels.engines.fused.convolutional_engine import ConvolutionalTiles

    other = x if z is None else z
    tile_of = ConvolutionalTiles(bundle, x, other, identities)
    n_outputs, dtype = len(bundle.depths) * len(bundle.readouts), np.float32 if x.dtype == torch.float32 else np.float64
    found = result_array((2, n_outputs, len(x), len(other)), dtype)
    grown = np.array([1.0 if normalised else growth_factor(bundle.deepest, depth) for depth in bundle.depths] * len(bundle.readouts))
    for rows, columns in tiles(len(x), len(other), tile_of.side(working_bytes), symmetric=z is None):
        values = tile_of.values(rows, columns, upper_only=z is None and rows == columns)
        with np.errstate(over="ignore", invalid="ignore"):
            finished = (values * grown[:, None, None]).astype(dtype)
        if not np.isfinite(finished).all():
            raise out_of_range(bundle.deepest, x.dtype)
        _write(found, rows, columns, finished, symmetric=z is None)
    return found[0], found[1]


def _write(found: NDArray[Any], rows: Span, columns: Span, values: NDArray[Any], *, symmetric: bool) -> None:
    """Put a tile of every matrix in its place, and its mirror image: from the upper triangle alone on the diagonal."""
    here, mirrored = (slice(span.start, span.stop) for span in (rows, columns))
    if symmetric and rows == columns:
        values = np.triu(values) + np.swapaxes(np.triu(values, 1), 2, 3)
    found[:, :, here, mirrored] = values
    if symmetric and rows != columns:
        found[:, :, mirrored, here] = np.swapaxes(values, 2, 3)
