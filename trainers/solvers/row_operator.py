"""A matrix in tiles as a linear_operator operator that gives its diagonal and single rows: all that pivoted Cholesky asks for.

Imported only by who needs it: linear_operator takes a while.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from skipbench.trainers.solvers.tiles import SymmetricTiles

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", ".*torch.jit.script. is deprecated", DeprecationWarning)  # linear_operator's, when it is imported
    from linear_operator.operators import LinearOperator


class RowOperator(LinearOperator):  # type: ignore[misc]
    """K. diagonal: (n,). tiles: where the rows are read."""

    def __init__(self, diagonal: Tensor, tiles: SymmetricTiles) -> None:
        super().__init__(diagonal, tiles=tiles)
        self._stored_diagonal, self._tiles = diagonal, tiles

    def _size(self) -> torch.Size:
        return torch.Size((self._tiles.n, self._tiles.n))

    def _diagonal(self) -> Tensor:
        return self._stored_diagonal

    def _matmul(self, rhs: Tensor) -> Tensor:
        return torch.from_numpy(self._tiles.multiply(rhs.numpy()))

    def _transpose_nonbatch(self) -> RowOperator:
        return self

    def _get_indices(self, row_index: Tensor, col_index: Tensor, *batch_indices: Tensor) -> Tensor:
        rows, places = torch.unique(row_index, return_inverse=True)
        found = torch.stack([torch.from_numpy(self._tiles.row(int(row))) for row in rows])
        return found[places, col_index]


def row_operator(tiles: SymmetricTiles) -> RowOperator:
    """The matrix in these tiles."""
    return RowOperator(torch.from_numpy(tiles.diagonal.copy()), tiles)
