"""A store on disk: a zarr 3 group of two arrays, `nngp` and `ntk`, one chunk for each tile (and for each depth and readout).

A chunk is written under another name and then renamed, so a killed process leaves no half of one. What a power failure may leave
(nothing is flushed to the disk tile by tile) is found by the CRC-32C at the end of every chunk: resuming reads each finished chunk
once, 4 ms for 8 MB from the page cache and else what the disk takes. There is no list of finished tiles that could
contradict them. Chunks are not compressed: the lower half of a mantissa is noise, and known sizes let the disk be checked before.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skipbench.checks import SkipbenchError, shown
from skipbench.kernels.stored.identity import StoreIdentity, refuse_foreign, stored_identity
from skipbench.kernels.stored.plan import Tile

if TYPE_CHECKING:
    import zarr

MATRICES = ("nngp", "ntk")
CHECKSUM_BYTES = 4
_HEADER = "zarr.json"
_PARTIAL = "*.partial"  # what zarr's LocalStore writes before it renames


class TileStore:
    """The tiles of one pair of kernel matrices, for a single writer (see `lock`)."""

    def __init__(self, path: Path, identity: StoreIdentity) -> None:
        """Open or make the store. Raises SkipbenchError where it belongs to something else."""
        self.path, self.identity, self.plan = path, identity, identity.plan
        for partial in path.rglob(_PARTIAL):
            partial.unlink(missing_ok=True)
        group = _opened_group(path, identity)
        self._arrays = {name: _opened_array(group, name, identity) for name in MATRICES}
        self._selections = list(identity.stack_places())

    def missing_tiles(self) -> list[Tile]:
        """Tiles that lack a chunk of either matrix; a damaged chunk is removed and counts as lacking."""
        return [tile for tile in self.plan.tiles() if not self._is_complete(tile)]

    def write(self, tile: Tile, matrices: tuple[np.ndarray, np.ndarray]) -> None:
        """matrices: NNGP and NTK of the tile, (*lead, rows, columns) each."""
        for name, values in zip(MATRICES, matrices, strict=True):
            for selection in self._selections:
                region: tuple[int | slice, ...] = (*selection, slice(*tile.rows), slice(*tile.columns))
                self._arrays[name][region] = values[selection]

    def _is_complete(self, tile: Tile) -> bool:
        places = [(name, (*selection, tile.row, tile.column)) for name in MATRICES for selection in self._selections]
        checked = [self._is_sound(name, place) for name, place in places]  # all of them: damaged ones must go
        return all(checked)

    def _is_sound(self, name: str, place: tuple[int, ...]) -> bool:
        file = chunk_file(self.path, name, place)
        if not file.exists():
            return False
        try:
            values = np.asarray(self._arrays[name].get_block_selection(place))
        except OSError:
            raise
        except Exception:  # noqa: BLE001 - whatever a codec says of bytes that are not what was written
            values = np.full(1, np.nan)
        if np.isnan(values.flat[0]):  # kernel values never are
            file.unlink()
            return False
        return True


def chunk_file(path: Path, name: str, place: tuple[int, ...]) -> Path:
    """The file of one chunk: NAME/c/0/3/5."""
    return path.joinpath(name, "c", *(str(index) for index in place))


def has_header(path: Path) -> bool:
    """Whether the store was made. Raises SkipbenchError where something else lies at the path."""
    if path.exists() and not path.is_dir():
        raise SkipbenchError(f"store={shown(str(path))} is a file, but tiles need a folder of their own: use another path")
    if (path / _HEADER).exists():
        return True
    others = [] if not path.exists() else [entry.name for entry in path.iterdir() if not _is_ours(entry)]
    if others:
        raise SkipbenchError(
            f"store={shown(str(path))} holds other files, such as {shown(others[0])}: tiles need a folder of their own, use another path"
        )
    return False


def _is_ours(entry: Path) -> bool:
    """What a process killed while it made the store may leave."""
    return entry.match(_PARTIAL) or (entry.name in MATRICES and entry.is_dir())


def read_identity(path: Path) -> StoreIdentity:
    """What the store at the path belongs to. Raises SkipbenchError where it holds none."""
    try:
        header = json.loads((path / _HEADER).read_text())
        attributes = dict(header.get("attributes", {}))
    except (ValueError, AttributeError, TypeError) as error:
        raise SkipbenchError(f"store={shown(str(path))}: its {_HEADER} is damaged ({shown(str(error))}): delete the store") from error
    return stored_identity(attributes, path)


def open_arrays(path: Path) -> dict[str, zarr.Array[Any]]:
    """Both arrays, for reading."""
    import zarr

    return {name: zarr.open_array(path / name, mode="r") for name in MATRICES}


def _opened_group(path: Path, identity: StoreIdentity) -> zarr.Group:
    import zarr

    if has_header(path):
        refuse_foreign(read_identity(path), identity, path)
        return zarr.open_group(path, mode="r+")
    group = zarr.create_group(path, attributes=identity.attributes(), zarr_format=3)
    _flush(path / _HEADER)  # this once: a store that lost its header to a power failure would be lost as a whole
    return group


def _opened_array(group: zarr.Group, name: str, identity: StoreIdentity) -> zarr.Array[Any]:
    import zarr
    from zarr.codecs import Crc32cCodec

    path = Path(str(group.store_path.store.root)) / name
    if not (path / _HEADER).exists():
        lead_names = [kind[:-1] for kind in ("readouts", "depths") if identity.kernel[kind] is not None]
        group.create_array(
            name,
            shape=(*identity.lead, identity.n, identity.m),
            chunks=(*(1 for _ in identity.lead), *identity.plan.chunk),
            dtype=identity.kernel["dtype"],
            fill_value=float("nan"),  # zarr leaves out a chunk that equals it, and kernel values may well be 0
            filters=None,
            compressors=[Crc32cCodec()],
            dimension_names=(*lead_names, "row", "column"),
        )
        _flush(path / _HEADER)
    array = group[name]
    assert isinstance(array, zarr.Array)
    return array


def _flush(file: Path) -> None:
    for place in (file, file.parent):
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
