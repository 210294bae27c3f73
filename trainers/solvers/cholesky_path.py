"""Every ridge of a path by Cholesky: one pass over the tiles, one factorisation per ridge, all in the memory of one matrix."""

from __future__ import annotations

import numpy as np

from skipbench.kernels.spectra.lanczos import ExtremeEigenvalues
from skipbench.trainers.solvers.cholesky import InPlaceCholesky
from skipbench.trainers.solvers.problem import RidgeProblem
from skipbench.trainers.solvers.solution import RidgeSolution, relative_residuals, singular_gram


def solve_by_cholesky(problem: RidgeProblem, memory_bytes: int) -> list[RidgeSolution]:
    """In the order of the ridges. The smallest is factorised first: where it is usable, all are. Raises SingularGramError."""
    tiles, settings = problem.tiles, problem.settings
    rng = np.random.default_rng(settings.seed)
    matrix = InPlaceCholesky(tiles)
    _tell(problem, 1)
    seen = matrix.seen_eigenvalues(rng, tiles.largest_row_sum)
    solutions: dict[int, RidgeSolution] = {}
    extremes: ExtremeEigenvalues | None = None
    for done, index in enumerate(np.argsort(problem.ridges, kind="stable").tolist()):
        ridge, shift = problem.ridges[index], float(problem.shifts[index])
        is_definite = matrix.factorise(shift)
        if extremes is None:
            extremes = matrix.extreme_eigenvalues(rng, seen) if is_definite else matrix.after_failure(rng, seen)
            if not is_definite or tiles.mean_diagonal <= 0 or extremes.smallest + shift < extremes.null_tolerance(tiles.n):
                raise singular_gram(ridge, tiles.n, tiles.mean_diagonal, extremes)
        coefficients, rest, refinements = matrix.refined(problem.targets, settings.tolerance)
        solutions[index] = RidgeSolution(
            ridge=ridge,
            shift=shift,
            coefficients=coefficients,
            residuals=relative_residuals(rest, problem.targets),
            iterations=refinements,
            condition=extremes.condition(shift),
            method="cholesky",
            preconditioned_condition=None,
            preconditioner=None,
            rank=0,
            passes=tiles.passes,
            seconds=0.0,
            memory_bytes=memory_bytes,
        )
        _tell(problem, done + 2)
    return [solutions[index] for index in range(len(problem.ridges))]


def _tell(problem: RidgeProblem, done: int) -> None:
    if problem.settings.progress is not None:
        problem.settings.progress(done, 1 + len(problem.ridges))
