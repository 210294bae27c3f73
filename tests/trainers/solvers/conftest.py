"""Matrices that the solvers' tests share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from skipbench.architecture import ResMLP
from skipbench.kernels import kernel_matrices


@dataclass
class CountingMatrix:
    """Hands out copies, as a store on disk does, and remembers which were asked for; only their largest size where `forgets`."""

    values: Any
    tile: int = 64
    forgets: bool = False
    largest_read: int = 0
    reads: list[tuple[slice, slice]] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.values.shape)

    @property
    def dtype(self) -> Any:
        return self.values.dtype

    def __getitem__(self, key: tuple[slice, slice]) -> Any:
        block = self.values[key].copy()
        self.largest_read = max(self.largest_read, block.size)
        if not self.forgets:
            self.reads.append(key)
        return block

    @property
    def numbers_read(self) -> int:
        return sum((rows.stop - rows.start) * (columns.stop - columns.start) for rows, columns in self.reads)


@pytest.fixture
def counting_matrix() -> Callable[..., CountingMatrix]:
    return CountingMatrix


@pytest.fixture(scope="session")
def tangent_kernel() -> Callable[..., np.ndarray]:
    """NTK of ResMLP(depth=3) on normal vectors: eigenvalues that fall over many orders of magnitude."""

    def made(n: int, dimension: int = 10, dtype: torch.dtype = torch.float64) -> np.ndarray:
        x = np.random.default_rng(7).normal(size=(n, dimension))
        gram: np.ndarray = kernel_matrices(ResMLP(depth=3), x, dtype=dtype)[1].numpy()
        return gram

    return made
