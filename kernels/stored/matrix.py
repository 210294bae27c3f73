"""Reading a store: an object like an array, that holds nothing and reads the tiles it is asked for."""

from __future__ import annotations

import itertools
import operator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from skipbench.checks import SkipbenchError, shown
from skipbench.kernels.stored.identity import StoreIdentity
from skipbench.kernels.stored.layout import open_arrays


@dataclass(frozen=True, slots=True)
class StoredMatrix:
    """A kernel matrix (n, m) in a store, or a stack of them: (depths, n, m), (readouts, n, m) or (readouts, depths, n, m).

    `m[i0:i1, j0:j1]` is a numpy array, read from the tiles it touches; of a symmetric matrix the lower half is the upper one,
    transposed, and equal to it to the last bit. One matrix of a stack: `stack.select(depth=5, readout="tr")`, or `stack[0, 4]` by
    position. `numpy.asarray` reads all of it. Picklable; a worker process reads the store itself.
    """

    path: Path
    name: str
    identity: StoreIdentity
    selection: tuple[int, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, m), after the lengths of the stack where it is one."""
        return (*self.identity.lead[len(self.selection) :], self.identity.n, self.identity.m)

    @property
    def ndim(self) -> int:
        """2 for a matrix, 3 or 4 for a stack."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """float64 or float32."""
        return np.dtype(str(self.identity.kernel["dtype"]))

    @property
    def tile(self) -> int:
        """Side of a tile: reads that begin and end at its multiples touch no tile in vain."""
        return self.identity.tile

    @property
    def is_symmetric(self) -> bool:
        """Whether z was left out, and the lower half is read from the upper one."""
        return self.identity.plan.symmetric

    @property
    def depths(self) -> tuple[int, ...] | None:
        """Depths in their order in the stack; None where no list of them was asked for."""
        return self._labels("depths")

    @property
    def readouts(self) -> tuple[str, ...] | None:
        """Readouts in their order in the stack; None where no list of them was asked for."""
        return self._labels("readouts")

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"StoredMatrix({self.name}, shape={self.shape}, dtype={self.dtype}, tile={self.tile}, store={shown(str(self.path))})"

    def select(self, *, depth: int | None = None, readout: str | None = None) -> StoredMatrix:
        """One matrix of the stack, by the names of its parts. Raises SkipbenchError for one that is not in it, and one too few."""
        wanted = {"readouts": readout, "depths": depth}
        if self.selection:
            raise SkipbenchError(f"{self!r} is a part of a stack: select from the whole stack")
        places = []
        for kind, value in wanted.items():
            labels = self._labels(kind)
            if labels is None and value is not None:
                raise SkipbenchError(f"{kind[:-1]}={shown(value)}, but no list of {kind} was stored: leave it out")
            if labels is not None and value not in labels:
                raise SkipbenchError(f"{kind[:-1]}={shown(value)} is not in the store: it holds {', '.join(map(str, labels))}")
            if labels is not None:
                places.append(labels.index(value))
        return replace(self, selection=tuple(places))

    def __getitem__(self, key: Any) -> Any:
        """Rows and columns as a numpy array; whole numbers before them choose from a stack, and alone give that part of it."""
        keys = key if isinstance(key, tuple) else (key,)
        n_lead = len(self.shape) - 2
        chosen = tuple(_index(one, length, "part of the stack") for one, length in zip(keys, self.shape[:n_lead], strict=False))
        part = replace(self, selection=self.selection + chosen)
        rest = keys[n_lead:]
        if n_lead and not rest:
            return part
        return part._region(*_padded(rest))

    def diagonal(self) -> np.ndarray:
        """K_ii, from the tiles on the diagonal alone; of a stack, the diagonals (..., min(n, m))."""
        if self.ndim > 2:
            return np.stack([self[index].diagonal() for index in range(len(self))])
        length = min(self.shape)
        parts = [self._block(a, b, a, b).diagonal() for a, b in _pieces(0, length, self.tile)]
        return np.concatenate(parts) if parts else np.empty(0, dtype=self.dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("a stored matrix is read from disk, which is a copy")
        whole = np.stack([np.asarray(self[index]) for index in range(len(self))]) if self.ndim > 2 else self[:, :]
        return np.asarray(whole, dtype=dtype)

    def _region(self, row_key: Any, column_key: Any) -> Any:
        """Numpy's meaning of two keys: read the smallest rectangle that holds them, then step or drop dimensions inside it."""
        rows, inner_rows = _span(row_key, self.shape[0], "row")
        columns, inner_columns = _span(column_key, self.shape[1], "column")
        return self._rectangle(*rows, *columns)[inner_rows, inner_columns]

    def _rectangle(self, top: int, bottom: int, left: int, right: int) -> np.ndarray:
        found = np.empty((bottom - top, right - left), dtype=self.dtype)
        for a, b in _pieces(top, bottom, self.tile):
            for c, d in _pieces(left, right, self.tile):
                found[a - top : b - top, c - left : d - left] = self._block(a, b, c, d)
        return found

    def _block(self, a: int, b: int, c: int, d: int) -> np.ndarray:
        """Rows a..b and columns c..d of one tile, or of the mirror image of one."""
        if self.is_symmetric and a // self.tile > c // self.tile:
            return self._stored(c, d, a, b).T
        return self._stored(a, b, c, d)

    def _stored(self, a: int, b: int, c: int, d: int) -> np.ndarray:
        try:
            values: np.ndarray = _arrays(self.path, self.identity.key)[self.name][(*self.selection, slice(a, b), slice(c, d))]
        except OSError:
            raise
        except Exception as error:  # whatever a codec says of bytes that are not what was written
            raise self._damaged(a, c, f"damaged ({shown(str(error))})") from error
        if np.isnan(values[0, 0]):  # zarr's answer for a chunk that is not there
            raise self._damaged(a, c, "gone")
        return values

    def _damaged(self, row: int, column: int, what: str) -> SkipbenchError:
        place = (row // self.tile, column // self.tile)
        return SkipbenchError(
            f"store={shown(str(self.path))}: tile {place} of {self.name} is {what}: "
            "call stored_kernel_matrices with the same arguments again, which computes what is missing"
        )

    def _labels(self, kind: str) -> tuple[Any, ...] | None:
        values = self.identity.kernel[kind]
        return None if values is None else tuple(values)


@lru_cache(maxsize=16)
def _arrays(path: Path, key: str) -> dict[str, Any]:
    """Opened once for each store; key: of its identity, since a path may get another store after the first was deleted."""
    return open_arrays(path)


def _pieces(start: int, stop: int, side: int) -> list[tuple[int, int]]:
    """start..stop cut at the multiples of `side`."""
    cuts = [start, *range((start // side + 1) * side, stop, side), stop]
    return [(a, b) for a, b in itertools.pairwise(cuts) if a < b]


def _index(key: Any, length: int, what: str) -> int:
    try:
        index = operator.index(key)
    except TypeError:
        raise SkipbenchError(f"a stored matrix is asked for a {what} by a whole number or slice, not by {shown(key)}") from None
    if not -length <= index < length:
        raise IndexError(f"{what} {index} of {length}")
    return index % length


def _span(key: Any, length: int, what: str) -> tuple[tuple[int, int], Any]:
    """The rows or columns to read, (start, stop), and what of them is wanted: a slice with a step, or one."""
    if not isinstance(key, slice):
        index = _index(key, length, what)
        return (index, index + 1), 0
    picked = range(length)[key]
    if not picked:
        return (0, 0), slice(0, 0)
    start, stop = min(picked[0], picked[-1]), max(picked[0], picked[-1]) + 1
    return (start, stop), slice(None, None, key.step)


def _padded(keys: tuple[Any, ...]) -> tuple[Any, Any]:
    if len(keys) > 2:
        raise IndexError(f"too many indices: a matrix has 2 dimensions, and {len(keys)} were given")
    return (*keys, *(slice(None) for _ in range(2 - len(keys))))
