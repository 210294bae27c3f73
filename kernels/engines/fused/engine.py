"""The fused engine: numba on the CPU, Triton on a GPU; the device of the inputs decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skipbench.architecture import Architecture
from skipbench.kernels.engines.assembly import Span, scaled, tiles, write_tile
from skipbench.kernels.engines.fused.bundles import Bundle, bundles, identity_codes
from skipbench.kernels.inputs import Inputs


def fused_matrices(
    archs: Sequence[Architecture], x: Inputs, z: Inputs | None, *, normalised: bool, working_bytes: int
) -> list[tuple[Tensor, Tensor]]:
    """NNGP and NTK matrix of each architecture, (n, m) each; see `kernel_matrices`."""
    if x.device.type == "cuda":
        from skipbench.kernels.engines.fused.triton_engine import triton_matrices

        return triton_matrices(archs, x, z, normalised=normalised, working_bytes=working_bytes)
    other = x if z is None else z
    found = [tuple(torch.empty(len(x), len(other), dtype=x.dtype) for _ in range(2)) for _ in archs]
    identities = identity_codes(x, other)
    for bundle in bundles(archs):
        tile_of = _tiles_of(bundle, x, other, identities)
        for rows, columns in tiles(len(x), len(other), tile_of.side(working_bytes), symmetric=z is None):
            values = torch.from_numpy(tile_of.values(rows, columns, upper_only=z is None and rows == columns))
            for number in bundle.members:
                depth, readout = bundle.output_of(archs[number])
                for matrix, part in zip(found[number], values[:, readout * len(bundle.depths) + depth], strict=True):
                    finished = scaled(archs[number], part, x.dtype, normalised=normalised)
                    write_tile(matrix, rows, columns, finished, symmetric=z is None)
    return [(nngp, ntk) for nngp, ntk in found]


class _Tiles(Protocol):
    def side(self, working_bytes: int) -> int: ...

    def values(self, rows: Span, columns: Span, *, upper_only: bool) -> NDArray[np.float64]: ...


def _tiles_of(bundle: Bundle, x: Inputs, z: Inputs, identities: tuple[NDArray[np.int64], NDArray[np.int64]]) -> _Tiles:
    if bundle.deepest.is_convolutional:
        from skipbench.kernels.engines.fused.convolutional_engine import ConvolutionalTiles

        return ConvolutionalTiles(bundle, x, z, identities)
    from skipbench.kernels.engines.fused.dense_engine import DenseTiles

    return DenseTiles(bundle, x, z, identities)
