"""One tile of a convolutional kernel, in blocks of pairs whose fields stay in the second-level cache.

A field is (rows, columns, pairs): with the pairs last, box filters and small rectangles run along contiguous memory. `eq` and `tr`
read K[p, p] only, and the box average keeps the offset j − i, so one field at offset 0 is enough. `gap` is the mean over all pixel
pairs: every offset (dy, dx) is a field of its own that evolves alone. Zero padding: a (height − |dy|) × (width − |dx|) rectangle;
circular padding: all pixels, z shifted around the border.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from skipbench.architecture import ConvolutionalArchitecture
from skipbench.kernels.box_average import average_of
from skipbench.kernels.recursions import fields, variances

_CPU_BLOCK_BYTES_PER_THREAD = 2**18  # about eight fields are alive at once: 2 MiB, a second-level cache
_CUDA_BLOCK_BYTES = 2**25
Offset = tuple[int, int]


class ConvolutionalTile:
    """All pairs of some images of x with some images of z."""

    def __init__(
        self, arch: ConvolutionalArchitecture, x: Tensor, z: Tensor, same: Tensor, *, upper_only: bool, gathered_bytes: int
    ) -> None:
        """x: (n, channels, height, width), z: (m, ...). same: (n, m) booleans, equal images.

        upper_only: skip entries below the diagonal. gathered_bytes: for the images and deviations of one block of pairs.
        """
        self._arch = arch
        self._gathered_bytes = gathered_bytes
        self._average = average_of(arch)
        self._same = same
        self._x, self._z = (side.permute(1, 2, 3, 0).contiguous() for side in (x, z))  # (channels, rows, columns, n)
        self._x_deviations, self._z_deviations = self._deviations(self._x), self._deviations(self._z)
        wanted = torch.ones_like(same).triu() if upper_only else torch.ones_like(same)
        self._pairs = wanted.nonzero(as_tuple=True)

    def matrices(self) -> tuple[Tensor, Tensor]:
        """NNGP and NTK values, (n, m) in float64, growth left out; entries that were not asked for are 0."""
        nngp = torch.zeros(self._same.shape, dtype=torch.float64, device=self._x.device)
        ntk = torch.zeros_like(nngp)
        for of_x, of_z in self._blocks():
            block = PairBlock(self, of_x, of_z)
            nngp[of_x, of_z], ntk[of_x, of_z] = block.gap() if self._arch.readout == "gap" else block.diagonal()
        return nngp, ntk

    def _deviations(self, side: Tensor) -> list[Tensor]:
        """Square root of every pre-activation's variance, ReLU by ReLU: (rows, columns, n) each."""
        squares = side.square().sum(dim=0) / side.shape[0]
        return [variance.sqrt() for variance in variances(self._arch, squares, self._average)]

    def _blocks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs in blocks whose field (for `gap`, of the mean rectangle) has `_block_bytes`; fewer where many layers are gathered."""
        rows, columns = self._x.shape[1:3]
        elements = rows * columns
        if self._arch.readout == "gap" and self._arch.padding == "zero":
            elements = -(-(rows**2 * columns**2) // ((2 * rows - 1) * (2 * columns - 1)))
        itemsize = self._x.dtype.itemsize
        gathered = 2 * (self._x.shape[0] + len(self._x_deviations)) * rows * columns * itemsize
        pairs = max(1, min(_block_bytes(self._x.device) // (elements * itemsize), self._gathered_bytes // gathered))
        yield from zip(torch.split(self._pairs[0], pairs), torch.split(self._pairs[1], pairs), strict=True)


def _block_bytes(device: torch.device) -> int:
    return _CPU_BLOCK_BYTES_PER_THREAD * torch.get_num_threads() if device.type == "cpu" else _CUDA_BLOCK_BYTES


class PairBlock:
    """Some pairs of a tile's images, gathered so that pair k compares x[..., k] with z[..., k]."""

    def __init__(self, tile: ConvolutionalTile, of_x: Tensor, of_z: Tensor) -> None:
        self._arch, self._average = tile._arch, tile._average
        self._x, self._z = tile._x.index_select(3, of_x), tile._z.index_select(3, of_z)
        self._x_deviations = [field.index_select(2, of_x) for field in tile._x_deviations]
        self._z_deviations = [field.index_select(2, of_z) for field in tile._z_deviations]
        same = tile._same[of_x, of_z]
        self._same = same if bool(same.any()) else None

    def diagonal(self) -> tuple[Tensor, Tensor]:
        """Readouts `tr` (mean over pixels) and `eq` (the centre pixel) from the field at offset 0: two tensors (pairs,), float64."""
        nngp, ntk = self._fields((0, 0))
        if self._arch.readout == "eq":
            centre = (nngp.shape[0] // 2, nngp.shape[1] // 2)
            return nngp[centre].double(), ntk[centre].double()
        return self._sum(nngp) / self._pixels, self._sum(ntk) / self._pixels

    def gap(self) -> tuple[Tensor, Tensor]:
        """Readout `gap`, the mean over all pairs of pixels: two tensors (pairs,), float64."""
        nngp_sum = torch.zeros(self._x.shape[3], dtype=torch.float64, device=self._x.device)
        ntk_sum = torch.zeros_like(nngp_sum)
        for offset in self._offsets():
            nngp, ntk = self._fields(offset)
            nngp_sum += self._sum(nngp)
            ntk_sum += self._sum(ntk)
        return nngp_sum / self._pixels**2, ntk_sum / self._pixels**2

    @property
    def _pixels(self) -> int:
        return self._x.shape[1] * self._x.shape[2]

    def _offsets(self) -> Iterator[Offset]:
        rows, columns = self._x.shape[1:3]
        first_row, first_column = (0, 0) if self._arch.padding == "circular" else (1 - rows, 1 - columns)
        for dy in range(first_row, rows):
            for dx in range(first_column, columns):
                yield dy, dx

    def _fields(self, offset: Offset) -> tuple[Tensor, Tensor]:
        """Both fields of the pixel pairs (p, p + offset)."""
        gram = (self._of_x(self._x, offset) * self._of_z(self._z, offset)).sum(dim=0) / self._x.shape[0]
        deviations = zip(self._x_deviations, self._z_deviations, strict=True)
        scales = (self._of_x(of_x, offset) * self._of_z(of_z, offset) for of_x, of_z in deviations)
        return fields(self._arch, gram, scales, self._same if offset == (0, 0) else None, self._average)

    def _of_x(self, field: Tensor, offset: Offset) -> Tensor:
        """The x side of every pair at this offset: the rectangle whose shifted copy lies inside the image."""
        if self._arch.padding == "circular":
            return field
        return self._rectangle(field, -offset[0], -offset[1])

    def _of_z(self, field: Tensor, offset: Offset) -> Tensor:
        if self._arch.padding == "circular":
            return field if offset == (0, 0) else field.roll((-offset[0], -offset[1]), dims=(-3, -2))
        return self._rectangle(field, *offset)

    @staticmethod
    def _rectangle(field: Tensor, dy: int, dx: int) -> Tensor:
        rows, columns = field.shape[-3:-1]
        return field[..., max(0, dy) : rows + min(0, dy), max(0, dx) : columns + min(0, dx), :]

    @staticmethod
    def _sum(field: Tensor) -> Tensor:
        return field.sum(dim=(0, 1), dtype=torch.float64)
