"""The reference engine: the recursions in plain torch, in blocks small enough to stay in the cache.

Clear first: a fused engine is tested against this one. What keeps it from being slow is only the order of the work. The matrix is
cut into tiles of inputs (their variances are computed once for a tile), and a tile into blocks of pairs whose fields fit the
second-level caches of torch's threads. Python threads over tiles were tried and lost: they wait for the interpreter, not for memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skipbench.architecture import Architecture, ConvolutionalArchitecture
from skipbench.kernels.engines.assembly import Span, scaled, tiles, write_tile
from skipbench.kernels.engines.convolutional import ConvolutionalTile
from skipbench.kernels.engines.dense import DenseTile
from skipbench.kernels.inputs import Inputs, identity_codes
from skipbench.kernels.recursions import n_relus

_TILE_SHARE = 16  # of the working memory for the inputs and variances of one tile; a block of its pairs takes another small share
_CONVOLUTIONAL_TILE = {"cpu": 256, "cuda": 1024}
_DENSE_TILE = {"cpu": 128, "cuda": 4096}


def reference_matrices(
    archs: Sequence[Architecture], x: Inputs, z: Inputs | None, *, normalised: bool, working_bytes: int
) -> list[tuple[Tensor, Tensor]]:
    """NNGP and NTK matrix of each architecture, one after the other; see `kernel_matrices`."""
    return [_matrices(arch, x, z, normalised=normalised, working_bytes=working_bytes) for arch in archs]


def _matrices(arch: Architecture, x: Inputs, z: Inputs | None, *, normalised: bool, working_bytes: int) -> tuple[Tensor, Tensor]:
    """Both matrices of one architecture; z=None computes each pair once and mirrors it."""
    other = x if z is None else z
    nngp = torch.empty(len(x), len(other), dtype=x.dtype, device=x.device)
    ntk = torch.empty_like(nngp)

    codes = identity_codes(x, other)
    for rows, columns in tiles(len(x), len(other), tile_side(arch, x, working_bytes), symmetric=z is None):
        same = codes[0][rows.start : rows.stop, None] == codes[1][None, columns.start : columns.stop]
        tile = _tile(arch, x, other, rows, columns, same, upper_only=z is None and rows == columns, working_bytes=working_bytes)
        for matrix, values in zip((nngp, ntk), tile.matrices(), strict=True):
            write_tile(matrix, rows, columns, scaled(arch, values, x.dtype, normalised=normalised), symmetric=z is None)
    return nngp, ntk


def tile_side(arch: Architecture, x: Inputs, working_bytes: int) -> int:
    """Inputs along a tile's side: as many as keep the scale fields of all layers of both sides below the tile's memory."""
    if not arch.is_convolutional:
        largest = _DENSE_TILE[x.device.type]
        row_bytes = (2 * n_relus(arch) + x.shape[0]) * x.dtype.itemsize
    else:
        largest = _CONVOLUTIONAL_TILE[x.device.type]
        channels, height, width = x.shape
        row_bytes = (n_relus(arch) + channels) * height * width * x.dtype.itemsize
    return max(1, min(largest, working_bytes // _TILE_SHARE // (2 * row_bytes)))


def _tile(
    arch: Architecture, x: Inputs, z: Inputs, rows: Span, columns: Span, equal: NDArray[np.bool_], *, upper_only: bool, working_bytes: int
) -> ConvolutionalTile | DenseTile:
    left, right = x.rows(rows.start, rows.stop), z.rows(columns.start, columns.stop)
    same = torch.from_numpy(equal).to(x.device)
    if isinstance(arch, ConvolutionalArchitecture):
        return ConvolutionalTile(arch, left, right, same, upper_only=upper_only, gathered_bytes=working_bytes // _TILE_SHARE)
    return DenseTile(arch, left, right, same)
