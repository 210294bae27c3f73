"""The public door: kernel matrices of any size in tiles on disk, computed where they are missing, opened where they are not."""

from __future__ import annotations

import errno
import math
import numbers
import os
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch

from skipbench.architecture import Architecture, Readout
from skipbench.checks import SkipbenchError, shown
from skipbench.kernels.engines.registry import AUTO
from skipbench.kernels.kernel_matrices import WORKING_BYTES, Engine
from skipbench.kernels.stored.compute import TileMatrices, computed_here
from skipbench.kernels.stored.dask_tiles import computed_on_dask
from skipbench.kernels.stored.display import TileProgress, tile_progress
from skipbench.kernels.stored.identity import StoreIdentity, identity_of, refuse_foreign
from skipbench.kernels.stored.kernel import tile_kernel
from skipbench.kernels.stored.layout import CHECKSUM_BYTES, MATRICES, TileStore, chunk_file, has_header, read_identity
from skipbench.kernels.stored.lock import sole_writer
from skipbench.kernels.stored.matrix import StoredMatrix
from skipbench.kernels.stored.plan import Tile
from skipbench.kernels.stored.resources import TileCost, check_disk, check_memory
from skipbench.kernels.stored.rows import Rows

StorePath = str | os.PathLike[str]


def stored_kernel_matrices(
    arch: Architecture,
    x: Any,
    z: Any = None,
    *,
    store: StorePath,
    tile: int = 1024,
    dtype: torch.dtype = torch.float64,
    device: str | torch.device = "cpu",
    engine: Engine = AUTO,
    normalised: bool = False,
    working_bytes: int = WORKING_BYTES,
    depths: Sequence[int] | None = None,
    readouts: Sequence[Readout] | None = None,
    scheduler: str | None = None,
    n_workers: int | None = None,
    progress: TileProgress | bool = True,
) -> tuple[StoredMatrix, StoredMatrix]:
    """NNGP and NTK matrix as `kernel_matrices` defines them, (nngp, ntk), computed tile by tile into a folder and read from there.

    Call it again with the same arguments after an interruption, of any kind and at any moment: only tiles that are missing or damaged
    are computed, and the result is the same to the last bit on one type of CPU, whatever the number of threads or workers.
    x, z: as there, or numpy memmaps and whatever else is sliced like an array: only a tile's rows are read at once. store: a folder of its
    own, a zarr 3 group with the arrays `nngp` and `ntk`. tile: side of a tile; a side of 1024 is 8 MB a matrix in float64.
    Memory: besides x and z at most 4 tiles of each matrix, 6 times `tile` inputs, and `working_bytes`; for every worker.
    dtype, device, engine, normalised, depths, readouts: as there; with lists, a tile of all of them is one computation.
    scheduler: None computes in this process; "local" on worker processes of this machine, n_workers of them (None: one for each
    core); "tcp://host:8786" on the Dask cluster there. Both need the extra `dask`. A tile whose worker dies is computed by another.
    progress: True shows what takes longer than a few seconds on stderr, False nothing; a callable is called with (tiles done, of all).
    Raises SkipbenchError as `kernel_matrices` does; where the store belongs to other inputs, another kernel or other tiles, with both
    hashes; where another process writes it; where disk or memory is too small, before anything is computed.
    """
    path = _checked_path(store)
    x, z = _sliceable(x), None if z is None else _sliceable(z)
    options: dict[str, Any] = {"dtype": dtype, "normalised": normalised, "working_bytes": working_bytes}
    kernel = tile_kernel(arch, x, z, engine=engine, device=device, depths=depths, readouts=readouts, **options)
    rows, columns = Rows(x, arch, name="x", dtype=dtype), None if z is None else Rows(z, arch, name="z", dtype=dtype)
    identity = identity_of(kernel, rows, columns, _checked_tile(tile))
    cost = TileCost(identity.plan, math.prod(kernel.lead), dtype.itemsize, rows.row_bytes, working_bytes)
    if has_header(path):
        refuse_foreign(read_identity(path), identity, path)
    else:
        _check_machine(cost, len(identity.plan), path, scheduler)
    with sole_writer(path):
        tiles = TileStore(path, identity)
        missing = tiles.missing_tiles()
        if missing:
            _check_machine(cost, len(missing), path, scheduler)
            if scheduler is None:
                computed = computed_here(kernel, missing, rows, columns)
            else:
                computed = computed_on_dask(scheduler, kernel, missing, rows, columns, cost=cost, n_workers=n_workers)
            _fill(tiles, missing, computed, progress)
    return _matrices(path, identity)


def open_stored_matrices(store: StorePath) -> tuple[StoredMatrix, StoredMatrix]:
    """NNGP and NTK matrix of a finished store, (nngp, ntk), without the inputs they were computed from.

    Raises SkipbenchError where the folder holds no such store, and where tiles are missing.
    """
    path = _checked_path(store)
    if not has_header(path):
        raise SkipbenchError(f"store={shown(str(path))} holds no kernel matrices: stored_kernel_matrices writes them")
    identity = read_identity(path)
    missing = sum(not _has_files(path, identity, tile) for tile in identity.plan.tiles())
    if missing:
        raise SkipbenchError(
            f"store={shown(str(path))} lacks {missing} of {len(identity.plan)} tiles: "
            "call stored_kernel_matrices with the same arguments, which computes what is missing"
        )
    return _matrices(path, identity)


def _checked_path(store: Any) -> Path:
    if not isinstance(store, str | os.PathLike) or not str(store):
        raise SkipbenchError(f"store={shown(store)} is no path: name a folder for the tiles, such as 'gram.zarr'")
    return Path(store).expanduser().absolute()


def _sliceable(values: Any) -> Any:
    return values if hasattr(values, "shape") and hasattr(values, "__getitem__") else np.asarray(values)


def _checked_tile(tile: Any) -> int:
    if isinstance(tile, bool) or not isinstance(tile, numbers.Integral) or tile < 1:
        raise SkipbenchError(f"tile={shown(tile)}, but a tile has a side of at least 1: give a whole number such as 1024")
    return int(tile)


def _check_machine(cost: TileCost, n_tiles: int, path: Path, scheduler: str | None) -> None:
    """Disk for all tiles to come, and memory for one; on a cluster the memory is checked once its workers are known."""
    check_disk(cost, n_tiles, path)
    if n_tiles and scheduler is None:
        check_memory(cost)


def _fill(
    store: TileStore, missing: Sequence[Tile], computed: Generator[tuple[Tile, TileMatrices], None, None], progress: TileProgress | bool
) -> None:
    """Write every tile as it comes."""
    total = len(store.plan)
    with closing(computed), tile_progress(progress) as report:
        report(total - len(missing), total)
        for done, (tile, matrices) in enumerate(computed, start=total - len(missing) + 1):
            try:
                store.write(tile, matrices)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                raise SkipbenchError(
                    f"store={shown(str(store.path))}: the disk is full: free some and call again, {done - 1} tiles are kept"
                ) from error
            report(done, total)


def _matrices(path: Path, identity: StoreIdentity) -> tuple[StoredMatrix, StoredMatrix]:
    nngp, ntk = (StoredMatrix(path, name, identity) for name in MATRICES)
    return nngp, ntk


def _has_files(path: Path, identity: StoreIdentity, tile: Tile) -> bool:
    """Whether the chunks of a tile are there with their length; what is inside is checked when they are read."""
    length = math.prod(identity.plan.chunk) * np.dtype(identity.kernel["dtype"]).itemsize + CHECKSUM_BYTES
    files = (chunk_file(path, name, (*place, tile.row, tile.column)) for name in MATRICES for place in identity.stack_places())
    return all(file.exists() and file.stat().st_size == length for file in files)
