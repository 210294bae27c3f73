"""How to solve: the options of every function here, checked once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypedDict, get_args

from skipbench.checks import SkipbenchError, shown, unknown_name
from skipbench.trainers.solvers.tiles import Progress

Method = Literal["auto", "cholesky", "conjugate-gradient"]
PreconditionerName = Literal["nystrom", "pivoted-cholesky", "none"]


class SolverOptions(TypedDict, total=False):
    """The keyword arguments of the solvers; `SolverSettings` says what each means."""

    method: Method
    tile: int | None
    tolerance: float
    max_iterations: int
    memory_bytes: int | None
    preconditioner: PreconditionerName
    rank: int | None
    seed: int
    progress: Progress | None


@dataclass(frozen=True, slots=True)
class SolverSettings:
    """How to solve. Raises SkipbenchError for what cannot be right.

    method: "cholesky", "conjugate-gradient", or "auto": Cholesky where its n² float64 numbers fit into memory.
    tile: side of the tiles that are read; None means the matrix's own, or 1024.
    tolerance: of |y - (K + shift I) c| / |y|, where conjugate gradients and refinement stop; or where float64 has no digit left.
    max_iterations: of conjugate gradients, each of which reads the upper tiles once.
    memory_bytes: what may be used; None means what is available now.
    preconditioner: "nystrom", from one pass over the tiles; "pivoted-cholesky", which reads `rank` rows, each of them touching a row and a
    column of tiles: 2 rank tile / n passes, so take it where single rows are cheap to read; or "none".
    rank: of the preconditioner; None means 4 √n, and no more than n.
    seed: of the Nyström sketch and of the random starts of the condition estimate.
    progress: called with (done, total) after every pass or factorisation; total is a bound while conjugate gradients run.
    """

    method: Method = "auto"
    tile: int | None = None
    tolerance: float = 1e-8
    max_iterations: int = 1000
    memory_bytes: int | None = None
    preconditioner: PreconditionerName = "nystrom"
    rank: int | None = None
    seed: int = 0
    progress: Progress | None = None

    def __post_init__(self) -> None:
        for kind, value, allowed in (
            ("method", self.method, get_args(Method)),
            ("preconditioner", self.preconditioner, get_args(PreconditionerName)),
        ):
            if value not in allowed:
                raise SkipbenchError(unknown_name(kind, str(value), allowed, where="of a solver"))
        if isinstance(self.tolerance, bool) or not isinstance(self.tolerance, (int, float)) or not 0 < self.tolerance < 1:
            raise SkipbenchError(f"tolerance={shown(self.tolerance)}, but a relative residual lies between 0 and 1, such as 1e-8")
        self._check_count("max_iterations", self.max_iterations)
        self._check_count("seed", self.seed, least=0)
        if self.rank is not None:
            self._check_count("rank", self.rank)
        if self.memory_bytes is not None:
            self._check_count("memory_bytes", self.memory_bytes)

    def rank_for(self, n: int) -> int:
        """Of the preconditioner of an (n, n) matrix; 0 without one."""
        if self.preconditioner == "none":
            return 0
        return min(n, math.ceil(4 * math.sqrt(n)) if self.rank is None else self.rank)

    @staticmethod
    def _check_count(name: str, value: object, least: int = 1) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise SkipbenchError(f"{name}={shown(value)}, but it is a whole number of at least {least}")
