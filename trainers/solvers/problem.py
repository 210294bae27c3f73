"""What is to be solved, checked once, and whether the memory for it is there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import psutil
from torch import Tensor

from skipbench.checks import SkipbenchError, shown
from skipbench.kernels.spectra.gram import checked_ridge
from skipbench.kernels.spectra.lanczos import LANCZOS_STEPS
from skipbench.kernels.stored.resources import readable_bytes
from skipbench.trainers.solvers.cholesky import InPlaceCholesky
from skipbench.trainers.solvers.settings import SolverSettings
from skipbench.trainers.solvers.tiles import Array, SymmetricTiles

N_PROBES = 8  # random columns that conjugate gradients solve too, for the smallest eigenvalue
_COLUMNS_HELD = 10  # of the numbers of one column: target, solution, residual, direction, their images, and temporaries
_SKETCHES_HELD = 5  # of n x rank: the sketch, its product, the factor, the singular vectors, and LAPACK's own


@dataclass(frozen=True, slots=True, eq=False)
class RidgeProblem:
    """(K + ridge tr(K)/n I) c = y for every ridge. targets: (n, outputs)."""

    tiles: SymmetricTiles
    targets: Array
    ridges: tuple[float, ...]
    settings: SolverSettings

    @property
    def outputs(self) -> int:
        """Columns of the targets."""
        return int(self.targets.shape[1])

    @property
    def shifts(self) -> Array:
        """ridge tr(K)/n, (ridges,)."""
        shifts: Array = np.array(self.ridges) * self.tiles.mean_diagonal
        return shifts

    @property
    def cholesky_bytes(self) -> int:
        """Bound on the memory of Cholesky."""
        n = self.tiles.n
        columns = (len(self.ridges) + _COLUMNS_HELD) * self.outputs + LANCZOS_STEPS + 3
        return InPlaceCholesky.bytes_needed(n, self.tiles.tile) + self.tiles.bytes_held + 8 * n * columns

    @property
    def conjugate_gradient_bytes(self) -> int:
        """Bound on the memory of conjugate gradients: nothing in it grows like n² but the tile, whose side is fixed."""
        n = self.tiles.n
        rank = self.settings.rank_for(n)
        columns = _COLUMNS_HELD * (len(self.ridges) * self.outputs + N_PROBES + 1) + _SKETCHES_HELD * rank + LANCZOS_STEPS
        return self.tiles.bytes_held + 8 * n * columns + 8 * 6 * rank**2

    def chosen_method(self) -> tuple[Literal["cholesky", "conjugate-gradient"], int]:
        """The method and its memory. Raises SkipbenchError where that is not there."""
        limit = self.settings.memory_bytes
        available = psutil.virtual_memory().available if limit is None else limit
        needs: dict[Literal["cholesky", "conjugate-gradient"], int] = {
            "cholesky": self.cholesky_bytes,
            "conjugate-gradient": self.conjugate_gradient_bytes,
        }
        asked = self.settings.method
        if asked == "auto":
            asked = "cholesky" if needs["cholesky"] <= available else "conjugate-gradient"
        if needs[asked] <= available:
            return asked, needs[asked]
        others = [
            f'method="{name}" takes {readable_bytes(count)}' for name, count in needs.items() if name != asked and count < needs[asked]
        ]
        smaller = (
            "a smaller tile, rank or number of ridges at once" if asked == "conjugate-gradient" else "; ".join(others) or "a smaller tile"
        )
        known = "are available" if limit is None else "are allowed by memory_bytes"
        raise SkipbenchError(
            f'method="{asked}" takes {readable_bytes(needs[asked])} of memory for n={self.tiles.n}, and {readable_bytes(available)} '
            f"{known}: use {smaller}"
        )


def ridge_problem(gram: Any, targets: Any, ridges: Sequence[float], settings: SolverSettings) -> RidgeProblem:
    """Check all of it; reads the tiles on the diagonal. Raises SkipbenchError."""
    if not isinstance(ridges, Sequence | np.ndarray) or isinstance(ridges, str) or len(ridges) == 0:
        raise SkipbenchError(f"ridges={shown(ridges)}, but it is a list of at least one ridge, such as [1e-4, 1e-2, 1]")
    checked = tuple(checked_ridge(ridge, where="solve_ridge", zero_allowed=False) for ridge in ridges)
    tiles = SymmetricTiles(gram, settings.tile)
    return RidgeProblem(tiles, _checked_targets(targets, tiles.n), checked, settings)


def _checked_targets(targets: Any, n: int) -> Array:
    values = np.asarray(targets.detach().cpu().numpy() if isinstance(targets, Tensor) else targets)
    if values.dtype.kind not in "fiub":
        raise SkipbenchError(
            f"targets: an array of {values.dtype}, but targets are real numbers: encode labels first, or use ridge_from_store"
        )
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or len(values) != n or math.prod(values.shape) == 0:
        raise SkipbenchError(f"targets of shape {np.shape(targets)}, but gram has {n} rows: use ({n}, outputs)")
    unusable = int((~np.isfinite(values)).sum())
    if unusable:
        raise SkipbenchError(f"targets: {unusable} of {values.size} numbers are NaN or infinite")
    return np.array(values, dtype=np.float64, order="F")
