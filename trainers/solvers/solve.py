"""Kernel ridge regression at size: Cholesky where the matrix fits into memory, preconditioned conjugate gradients where it does not."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Unpack

from skipbench.trainers.solvers.cholesky_path import solve_by_cholesky
from skipbench.trainers.solvers.conjugate_gradient_path import solve_by_conjugate_gradients
from skipbench.trainers.solvers.problem import ridge_problem
from skipbench.trainers.solvers.settings import SolverOptions, SolverSettings
from skipbench.trainers.solvers.solution import RidgeSolution
from skipbench.trainers.solvers.tiles import MatrixLike


def solve_ridge(gram: MatrixLike, targets: Any, ridge: float, **options: Unpack[SolverOptions]) -> RidgeSolution:
    """Dual coefficients of kernel ridge regression, c = (K + ridge tr(K)/n I)⁻¹ y, from a matrix read in tiles.

    gram: (n, n), symmetric: a `StoredMatrix`, a zarr array, an array or a tensor, of any real dtype; only its upper tiles are read, and
    the arithmetic is float64. targets: (n, outputs) or (n,), numpy or torch. ridge: relative to tr(K)/n, without unit, above 0.
    options: see `SolverSettings`. Raises SingularGramError when a shifted eigenvalue is below n eps s_max; NotConvergedError when
    conjugate gradients do not reach the tolerance; SkipbenchError for bad input, and for too little memory before anything is computed.
    """
    return solve_ridge_path(gram, targets, [ridge], **options)[0]


def solve_ridge_path(gram: MatrixLike, targets: Any, ridges: Sequence[float], **options: Unpack[SolverOptions]) -> list[RidgeSolution]:
    """`solve_ridge` at every ridge, in their order, for little more than the price of the smallest.

    Cholesky reads the matrix once and factorises it once per ridge, in the same memory. Conjugate gradients send the columns of all ridges
    through the same passes, with one preconditioner. Raises what `solve_ridge` does, for the first ridge that cannot be solved.
    """
    start = time.perf_counter()
    settings = SolverSettings(**options)
    problem = ridge_problem(gram, targets, ridges, settings)
    method, memory_bytes = problem.chosen_method()
    solve = solve_by_cholesky if method == "cholesky" else solve_by_conjugate_gradients
    solutions = solve(problem, memory_bytes)
    seconds = time.perf_counter() - start
    if settings.progress is not None and method == "conjugate-gradient":
        settings.progress(problem.tiles.passes, problem.tiles.passes)
    return [replace(solution, seconds=seconds) for solution in solutions]
