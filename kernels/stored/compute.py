"""The numbers of one tile: one call of `kernel_matrices`, wherever it runs, with the same bits."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from skipbench.checks import SkipbenchError
from skipbench.kernels.engines.registry import registered_engine
from skipbench.kernels.kernel_matrices import kernel_matrices
from skipbench.kernels.stored.kernel import TileKernel
from skipbench.kernels.stored.plan import Tile
from skipbench.kernels.stored.rows import Rows

TileMatrices: TypeAlias = tuple[np.ndarray, np.ndarray]
_ONE_AT_A_TIME = threading.Lock()  # a Dask worker with several threads: memory for one tile, and torch's thread count is the process's
_THREAD_INDEPENDENT = ("fused",)  # engines that keep torch's threads, since each of their pairs is computed by one thread


def computed_tile(kernel: TileKernel, x: np.ndarray, z: np.ndarray | None) -> TileMatrices:
    """NNGP and NTK of some rows x and some rows z, (*lead, rows, columns) each; z=None means x, and both are exactly symmetric."""
    found = registered_engine(kernel.engine).version
    if found != kernel.engine_version:
        raise SkipbenchError(
            f'engine "{kernel.engine}" has version {found} on this worker and {kernel.engine_version} where the tiles are collected: '
            "install the same version of skipbench in both places"
        )
    with _ONE_AT_A_TIME, _reproducible_threads(kernel):
        nngp, ntk = kernel_matrices(
            kernel.arch,
            _aligned(x, kernel.dtype),
            None if z is None else _aligned(z, kernel.dtype),
            dtype=kernel.dtype,
            device=kernel.device,
            engine=kernel.engine,
            normalised=kernel.normalised,
            working_bytes=kernel.working_bytes,
            depths=kernel.depths,
            readouts=kernel.readouts,
        )
    return nngp.cpu().numpy(), ntk.cpu().numpy()


def tile_inputs(tile: Tile, x: Rows, z: Rows | None) -> tuple[np.ndarray, np.ndarray | None]:
    """The rows of a tile; None for the second side of a diagonal tile of a symmetric matrix."""
    if z is None and tile.row == tile.column:
        return x.array(*tile.rows), None
    return x.array(*tile.rows), (x if z is None else z).array(*tile.columns)


def computed_here(kernel: TileKernel, tiles: Iterable[Tile], x: Rows, z: Rows | None) -> Generator[tuple[Tile, TileMatrices], None, None]:
    """All tiles in this process, one after the other."""
    for tile in tiles:
        yield tile, computed_tile(kernel, *tile_inputs(tile, x, z))


def _aligned(values: np.ndarray, dtype: torch.dtype) -> Tensor:
    """A copy where torch allocates: matrix products may differ in the last bit with the alignment of what they are given."""
    return torch.empty(values.shape, dtype=dtype).copy_(torch.from_numpy(values))


@contextmanager
def _reproducible_threads(kernel: TileKernel) -> Iterator[None]:
    """One thread of torch while a torch engine computes on the CPU: MKL sums a matrix product in an order that depends on their number.

    More cores are used by worker processes (`scheduler="local"`), with the same bits.
    """
    before = torch.get_num_threads()
    if before == 1 or kernel.engine in _THREAD_INDEPENDENT or torch.device(kernel.device).type != "cpu":
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
