"""Are both sides computing the same kernel? A race between unequal kernels is worthless, so nothing is timed before this is known."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from skipbench.benchmarks.peers.cases import PeerCase, random_inputs
from skipbench.benchmarks.peers.ours import DTYPE
from skipbench.kernels import kernel_matrices

LARGEST_DIFFERENCE = 1e-5  # of our float32 matrices, and of the peer's kernels in float64: are they the same functions?
LARGEST_PEER_ROUNDING = 1e-3  # of the peer's float32 matrices: it sums a million pixel pairs in float32, and was seen to lose 1e-4
_SHAPES = {False: (13, 7), True: (3, 2)}  # n and m, dense and convolutional: the reference takes seconds for a pair of large images


class Computes(Protocol):
    """Whoever gives NNGP and NTK matrix of x and z."""

    def values(self, x: NDArray[np.float32], z: NDArray[np.float32], dtype: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """Both matrices, (n, m), computed in float32 or float64."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Largest |dK_ij| / √(K_ii K_jj) from the reference in float64, by whose matrix it is: float32 ones are those that are timed."""

    nngp: float
    ntk: float
    peer_nngp: float
    peer_ntk: float
    peer_nngp_float64: float
    peer_ntk_float64: float

    @property
    def obstacle(self) -> str:
        """Which matrices differ by more than is allowed, as a sentence; empty where all agree."""
        apart = [f"{name} by {value:.1e}" for name, value in asdict(self).items() if not value <= _allowed(name)]
        if not apart:
            return ""
        return (
            f"not the same kernels, so not timed: from the float64 reference differ {', '.join(apart)}, "
            f"and {LARGEST_DIFFERENCE:.0e} is allowed, or {LARGEST_PEER_ROUNDING:.0e} for the peer's float32"
        )


def _allowed(name: str) -> float:
    return LARGEST_PEER_ROUNDING if name in ("peer_nngp", "peer_ntk") else LARGEST_DIFFERENCE


def agreement(case: PeerCase, peer: Computes) -> Agreement:
    """Both sides against the reference engine in float64, on a few random inputs of the case's own shape."""
    n, m = _SHAPES[case.arch.is_convolutional]
    x, z = random_inputs(case.input_shape, n, seed=2), random_inputs(case.input_shape, m, seed=3)
    truth = kernel_matrices(case.arch, np.concatenate([x, z]), dtype=torch.float64, engine="reference")
    sides = (kernel_matrices(case.arch, x, z, dtype=DTYPE), peer.values(x, z, "float32"), peer.values(x, z, "float64"))
    found = [_difference(np.asarray(matrix), whole.numpy(), n) for side in sides for matrix, whole in zip(side, truth, strict=True)]
    return Agreement(*found)


def _difference(matrix: NDArray[Any], whole: NDArray[np.float64], n: int) -> float:
    """The largest of a block (x, z) from that block of the whole matrix of both, by its diagonal. A wrong shape is infinitely far off."""
    expected, deviation = whole[:n, n:], np.sqrt(np.diagonal(whole))
    if matrix.shape != expected.shape:
        return float("inf")
    return float((np.abs(matrix - expected) / np.outer(deviation[:n], deviation[n:])).max())
