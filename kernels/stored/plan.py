"""Which tiles a kernel matrix is cut into; of a symmetric one, those on and above the diagonal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tile:
    """The tile in tile row `row` and tile column `column`: rows `rows` of x against rows `columns` of z, both (start, stop)."""

    row: int
    column: int
    rows: tuple[int, int]
    columns: tuple[int, int]


@dataclass(frozen=True, slots=True)
class TilePlan:
    """An (n, m) matrix in square tiles of `side`; those at the right and lower border may be smaller.

    symmetric: only tiles on and above the diagonal are computed and kept. The mirrored half is read from them, transposed, which makes
    the matrix symmetric to the last bit and takes half the disk.
    """

    n: int
    m: int
    side: int
    symmetric: bool

    @property
    def chunk(self) -> tuple[int, int]:
        """Rows and columns of a tile as stored: never more than the matrix has, never 0."""
        return max(1, min(self.side, self.n)), max(1, min(self.side, self.m))

    @property
    def counts(self) -> tuple[int, int]:
        """Tile rows and tile columns."""
        return -(-self.n // self.side), -(-self.m // self.side)

    def __len__(self) -> int:
        n_rows, n_columns = self.counts
        return n_rows * (n_rows + 1) // 2 if self.symmetric else n_rows * n_columns

    def tiles(self) -> Iterator[Tile]:
        """All that are kept, row by row."""
        n_rows, n_columns = self.counts
        for row in range(n_rows):
            for column in range(row if self.symmetric else 0, n_columns):
                yield Tile(row, column, self._span(row, self.n), self._span(column, self.m))

    def _span(self, index: int, end: int) -> tuple[int, int]:
        return index * self.side, min((index + 1) * self.side, end)
