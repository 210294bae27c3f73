"""One tile of a fully connected kernel: a matrix product, then one field entry per pair of inputs."""

from __future__ import annotations

import torch
from torch import Tensor

from skipbench.architecture import Architecture
from skipbench.kernels.box_average import average_of
from skipbench.kernels.recursions import fields, variances


class DenseTile:
    """All pairs of some rows of x with some rows of z."""

    def __init__(self, arch: Architecture, x: Tensor, z: Tensor, same: Tensor) -> None:
        """x: (n, d), z: (m, d). same: (n, m) booleans, equal rows."""
        self._arch, self._x, self._z, self._same = arch, x, z, same

    def matrices(self) -> tuple[Tensor, Tensor]:
        """NNGP and NTK values, (n, m) in float64, growth left out."""
        dimension = self._x.shape[1]
        average = average_of(self._arch)
        x_squares, z_squares = (self._squares(side) for side in (self._x, self._z))
        layers = zip(variances(self._arch, x_squares, average), variances(self._arch, z_squares, average), strict=True)
        scales = (torch.outer(of_x.sqrt(), of_z.sqrt()) for of_x, of_z in layers)
        same = self._same if bool(self._same.any()) else None
        gram = self._x @ self._z.T / dimension
        if same is not None:  # a point's product with itself, as its variance has it
            gram = torch.where(same, x_squares[:, None], gram)
        nngp, ntk = fields(self._arch, gram, scales, same, average)
        return nngp.double(), ntk.double()

    @staticmethod
    def _squares(side: Tensor) -> Tensor:
        return side.square().sum(dim=1) / side.shape[1]
