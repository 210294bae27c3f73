"""A symmetric matrix read in tiles, the upper ones only: what the solvers need of a store, an array or a tensor.

One pass reads every tile (i, j) with i <= j once, n (n + tile) / 2 numbers, and multiplies as many columns as the caller has. The first
pass refuses tiles that hold NaN or infinity, and sums the absolute rows, whose maximum bounds every eigenvalue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from skipbench.checks import SkipbenchError, shown

Array: TypeAlias = NDArray[np.float64]
Progress: TypeAlias = Callable[[int, int], None]  # called with (done, total)

DEFAULT_TILE = 1024
TILES_HELD = 4  # as stored, as float64, a temporary of the checks, and what zarr or the caller's object holds while it reads
_ASYMMETRY_ALLOWED = {4: 1e-4, 8: 1e-8}  # by bytes of a number, of max |K_ij|, as for Gram matrices in memory


class MatrixLike(Protocol):
    """Two dimensions and slices of them that are numpy arrays or torch tensors: a `StoredMatrix`, a zarr array, an array, a tensor."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, columns)."""

    def __getitem__(self, key: tuple[slice, slice], /) -> Any:
        """A rectangle of the matrix."""


class SymmetricTiles:
    """K, (n, n), of which the tiles on and above the diagonal are read; all arithmetic is float64.

    matrix: see `MatrixLike`. tile: side of a tile; None means the matrix's own `tile` or `chunks`, or 1024.
    Making one reads the tiles on the diagonal. They must be symmetric, and so must all of a matrix that is in memory; of anything else
    no tile below the diagonal is ever read. Raises SkipbenchError.
    """

    def __init__(self, matrix: MatrixLike, tile: int | None = None, *, where: str = "gram") -> None:
        self._matrix, self._where = matrix, where
        shape = matrix_shape(matrix, where)
        if shape[0] != shape[1] or shape[0] == 0:
            raise SkipbenchError(f"{where}: shape {shape}, but a Gram matrix is square, (n, n) with n of at least 1")
        self.n = shape[0]
        self.tile = min(tile_side(matrix, tile), self.n)
        self._itemsize = int(getattr(getattr(matrix, "dtype", None), "itemsize", 8))
        self.passes = 0
        self._absolute_row_sums: Array | None = None
        self.diagonal = self._checked_diagonal()

    @property
    def mean_diagonal(self) -> float:
        """tr(K)/n, to which a ridge is relative."""
        return float(self.diagonal.mean())

    @property
    def precision(self) -> float:
        """Relative rounding of the numbers as they are stored: eps of their dtype."""
        return float(np.finfo(np.float32 if self._itemsize == 4 else np.float64).eps)

    @property
    def largest_row_sum(self) -> float:
        """max_i Σ_j |K_ij|, an upper bound of every |eigenvalue|; infinite before the first pass."""
        return float("inf") if self._absolute_row_sums is None else float(self._absolute_row_sums.max())

    @property
    def bytes_held(self) -> int:
        """Bound on the memory of one pass, besides what the caller multiplies."""
        return TILES_HELD * self.tile**2 * 8 + 8 * self.n

    def upper(self) -> Iterator[tuple[slice, slice, Array]]:
        """One pass: rows, columns and numbers of every tile on and above the diagonal."""
        sums = np.zeros(self.n) if self._absolute_row_sums is None else None
        for rows in self._spans():
            for columns in self._spans(rows.start):
                block = self._block(rows, columns)
                if sums is not None:
                    self._check_finite(block, rows, columns)
                    _add_absolute_sums(sums, rows, columns, block)
                yield rows, columns, block
        if sums is not None:
            self._absolute_row_sums = sums
        self.passes += 1

    def multiply(self, columns: Array) -> Array:
        """K @ columns in one pass. columns: (n, any number). Returns the same shape."""
        product = np.zeros_like(columns)
        for here, there, block in self.upper():
            product[here] += block @ columns[there]
            if here != there:
                product[there] += block.T @ columns[here]
        return product

    def row(self, index: int) -> Array:
        """K[index, :], read from above the diagonal: every tile of one row and one column of tiles is touched."""
        one, before, after = slice(index, index + 1), slice(0, index), slice(index, self.n)
        parts = [self._block(before, one)[:, 0]] if index else []
        return np.concatenate([*parts, self._block(one, after)[0]])

    def _spans(self, start: int = 0) -> Iterator[slice]:
        for begin in range(start, self.n, self.tile):
            yield slice(begin, min(begin + self.tile, self.n))

    def _block(self, rows: slice, columns: slice) -> Array:
        return read_block(self._matrix, rows, columns, self._where)

    def _check_finite(self, block: Array, rows: slice, columns: slice) -> None:
        unusable = int((~np.isfinite(block)).sum())
        if unusable:
            raise SkipbenchError(
                f"{self._where}: {unusable} of {block.size} entries in rows {rows.start} to {rows.stop - 1}, columns {columns.start} to "
                f"{columns.stop - 1} are NaN or infinite: look at the inputs behind them, or compute those tiles again"
            )

    def _checked_diagonal(self) -> Array:
        diagonal = np.empty(self.n)
        in_memory = isinstance(self._matrix, np.ndarray | Tensor) and not isinstance(self._matrix, np.memmap)
        largest = 0.0
        for rows in self._spans():
            for columns in self._spans(rows.start) if in_memory else (rows,):
                block = self._block(rows, columns)
                self._check_finite(block, rows, columns)
                largest = max(largest, float(np.abs(block).max()))
                self._check_symmetry(rows, columns, block, largest)
                if rows == columns:
                    diagonal[rows] = block.diagonal()
        return diagonal

    def _check_symmetry(self, rows: slice, columns: slice, block: Array, largest: float) -> None:
        mirrored = block.T if rows == columns else self._block(columns, rows).T
        difference = np.abs(block - mirrored)
        if not difference.max() <= _ASYMMETRY_ALLOWED.get(self._itemsize, 1e-8) * largest:  # a NaN below the diagonal is refused too
            i, j = np.unravel_index(int(difference.argmax()), block.shape)
            row, column = rows.start + int(i), columns.start + int(j)
            raise SkipbenchError(
                f"{self._where}: not symmetric: entries ({row}, {column}) and ({column}, {row}) are {float(block[i, j])!r} and "
                f"{float(mirrored[i, j])!r}: give the kernel matrix of the inputs with themselves"
            )


def matrix_shape(matrix: Any, where: str) -> tuple[int, int]:
    """The two dimensions. Raises SkipbenchError for what has others, or none."""
    try:
        shape = tuple(int(length) for length in matrix.shape)
    except (AttributeError, TypeError):
        raise SkipbenchError(
            f"{where}: a {type(matrix).__name__}, but a matrix has a shape and slices of rows and columns: a stored matrix, a zarr array, "
            "a numpy array or a torch tensor"
        ) from None
    if len(shape) == 2:
        return shape[0], shape[1]
    advice = ": select one matrix of the stack, such as stack[0]" if len(shape) > 2 else ""
    raise SkipbenchError(f"{where}: shape {shape}, but a matrix has 2 dimensions{advice}")


def tile_side(matrix: Any, tile: int | None) -> int:
    """The side asked for, the matrix's own, or 1024. Raises SkipbenchError unless it is a whole number above 0."""
    if tile is None:
        own = getattr(matrix, "tile", None) or (getattr(matrix, "chunks", None) or (None,))[0]
        return own if isinstance(own, int) and own > 0 else DEFAULT_TILE  # torch has a method `tile`
    if isinstance(tile, bool) or not isinstance(tile, int) or tile < 1:
        raise SkipbenchError(f"tile={shown(tile)}, but the side of a tile is a whole number of at least 1, such as {DEFAULT_TILE}")
    return tile


def read_block(matrix: MatrixLike, rows: slice, columns: slice, where: str) -> Array:
    """A rectangle as a float64 array. Raises SkipbenchError for numbers that are not real, and for a rectangle of another shape."""
    block = matrix[rows, columns]
    values = np.asarray(block.detach().cpu().numpy() if isinstance(block, Tensor) else block)
    if values.dtype.kind not in "fiub":
        raise SkipbenchError(f"{where}: numbers of {values.dtype}, but a kernel matrix holds real ones")
    expected = (rows.stop - rows.start, columns.stop - columns.start)
    if values.shape != expected:
        raise SkipbenchError(f"{where}: a slice of {expected} came back as {values.shape}")
    return values.astype(np.float64, copy=False)


def _add_absolute_sums(sums: Array, rows: slice, columns: slice, block: Array) -> None:
    absolute = np.abs(block)
    sums[rows] += absolute.sum(axis=1)
    if rows != columns:
        sums[columns] += absolute.sum(axis=0)
