"""Every ridge of a path by conjugate gradients, out of core: all of them share the passes over the tiles, and one preconditioner.

With them in the same block go a vector of the Lanczos algorithm, for the largest eigenvalue of K, and a few random columns at the smallest
shift, for the smallest eigenvalue. So the condition estimate costs no further pass.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from skipbench.kernels.spectra.lanczos import EPSILON, ExtremeEigenvalues, Lanczos, random_start
from skipbench.trainers.solvers.condition import smallest_bounds
from skipbench.trainers.solvers.conjugate_gradient import ConjugateGradients, IndefiniteError, conjugate_gradients
from skipbench.trainers.solvers.preconditioners import (
    LowRankPreconditioner,
    no_preconditioner,
    nystrom_preconditioner,
    pivoted_cholesky_preconditioner,
)
from skipbench.trainers.solvers.problem import N_PROBES, RidgeProblem
from skipbench.trainers.solvers.solution import NotConvergedError, RidgeSolution, relative_residuals, singular_gram
from skipbench.trainers.solvers.tiles import Array

_ROUNDS = 5  # each starts from the residual as it is, where rounding has parted it from the one of the recursion
_SAFETY = 0.5  # of the tolerance, for that parting
_ROUNDING = 8 * EPSILON  # of s_max |c|: the residual that rounding c alone leaves


def solve_by_conjugate_gradients(problem: RidgeProblem, memory_bytes: int) -> list[RidgeSolution]:
    """In the order of the ridges. Raises SingularGramError and NotConvergedError."""
    return _PathSolver(problem, memory_bytes).solve()


class _PathSolver:
    """Columns: those of the first ridge, of the second, and so on, then the random ones."""

    def __init__(self, problem: RidgeProblem, memory_bytes: int) -> None:
        self._problem, self._settings, self._tiles = problem, problem.settings, problem.tiles
        self._memory_bytes = memory_bytes
        self._rng = np.random.default_rng(problem.settings.seed)
        self._outputs = problem.outputs
        self._lanczos = Lanczos(random_start(self._tiles.n, self._rng))
        self._shifts = np.repeat(problem.shifts, self._outputs)
        self._iterations = np.zeros(len(self._shifts), dtype=np.int64)

    def solve(self) -> list[RidgeSolution]:
        """Raises SingularGramError and NotConvergedError."""
        if self._tiles.mean_diagonal <= 0:
            raise self._singular(min(self._problem.ridges), self._seen_eigenvalues())
        self._preconditioner = self._made_preconditioner()
        targets = np.tile(self._problem.targets, (1, len(self._problem.ridges)))
        try:
            solutions, rest = self._rounds(targets)
        except IndefiniteError as error:
            raise self._indefinite(error) from error
        self._refuse_singular()
        found = self._solutions(solutions, rest, targets)
        self._refuse_unconverged(found, rest, self._goals(targets, solutions))
        return found

    def _made_preconditioner(self) -> LowRankPreconditioner:
        rank = self._settings.rank_for(self._tiles.n)
        if self._settings.preconditioner == "none":
            return no_preconditioner(self._tiles.n)
        if self._settings.preconditioner == "pivoted-cholesky":
            return pivoted_cholesky_preconditioner(self._tiles, rank)
        made = nystrom_preconditioner(self._tiles, rank, self._rng, noise=self._tiles.precision)
        self._tell()
        return made

    def _rounds(self, targets: Array) -> tuple[Array, Array]:
        """Solutions and true residuals of the columns of `targets`."""
        first = self._with_probes(targets)
        solutions = first.solutions[:, : targets.shape[1]]
        self._iterations += first.iterations[: targets.shape[1]]
        self._ritz_values = first.ritz_values[: targets.shape[1]]
        rest = self._true_residuals(targets, solutions)
        self._extremes = self._extreme_eigenvalues(first)
        for _ in range(_ROUNDS - 1):
            lengths, goals = np.linalg.norm(rest, axis=0), self._goals(targets, solutions)
            left = self._settings.max_iterations - int(self._iterations.max())
            if (lengths <= goals).all() or left <= 0:
                break
            correction = self._run(rest, self._shifts, goals, np.ones(len(goals), dtype=bool), left)
            self._iterations += correction.iterations
            better = solutions + correction.solutions
            rest_after = self._true_residuals(targets, better)
            helped = np.linalg.norm(rest_after, axis=0) < lengths
            solutions[:, helped], rest[:, helped] = better[:, helped], rest_after[:, helped]
            if not (np.linalg.norm(rest_after, axis=0) <= lengths / 2)[lengths > goals].any():
                break
        return solutions, rest

    def _with_probes(self, targets: Array) -> ConjugateGradients:
        self._probes = self._rng.normal(size=(self._tiles.n, min(N_PROBES, self._tiles.n)))
        n_probes = self._probes.shape[1]
        columns = np.hstack([targets, self._probes])
        shifts = np.concatenate([self._shifts, np.full(n_probes, self._problem.shifts.min())])
        required = np.arange(columns.shape[1]) < targets.shape[1]
        goals = np.linalg.norm(columns, axis=0) * np.where(required, self._settings.tolerance, EPSILON)
        self._first_shifts = shifts
        return self._run(columns, shifts, goals, required, self._settings.max_iterations)

    def _run(self, columns: Array, shifts: Array, goals: Array, required: np.ndarray, max_iterations: int) -> ConjugateGradients:
        return conjugate_gradients(
            self._multiply,
            columns,
            shifts,
            self._preconditioner,
            goals=_SAFETY * goals,
            is_required=required,
            max_iterations=max_iterations,
        )

    def _multiply(self, columns: Array) -> Array:
        """K @ columns, and a step of the Lanczos algorithm in the same pass."""
        if self._lanczos.is_done:
            product = self._tiles.multiply(columns)
        else:
            together = self._tiles.multiply(np.hstack([columns, self._lanczos.vector]))
            product = together[:, :-1]
            self._lanczos.advance(together[:, -1:])
        self._tell()
        return product

    def _true_residuals(self, targets: Array, solutions: Array) -> Array:
        residuals: Array = targets - self._multiply(solutions) - self._shifts * solutions
        return residuals

    def _goals(self, targets: Array, solutions: Array) -> Array:
        rounding = _ROUNDING * (self._extremes.largest + self._shifts) * np.linalg.norm(solutions, axis=0)
        goals: Array = np.maximum(self._settings.tolerance * np.linalg.norm(targets, axis=0), rounding)
        return goals

    def _extreme_eigenvalues(self, first: ConjugateGradients) -> ExtremeEigenvalues:
        own, shift = slice(-self._probes.shape[1], None), float(self._problem.shifts.min())
        low, high = smallest_bounds(self._probes, first.solutions[:, own], first.residuals[:, own])
        seen = self._lanczos.extremes(self._tiles.largest_row_sum)
        highest = min(high - shift, seen.smallest)
        lowest = max(low - shift, seen.smallest_low)
        if highest >= -seen.null_tolerance(self._tiles.n):  # K may well be positive semidefinite
            lowest = max(lowest, min(0.0, highest))
        estimate = float(np.fmin.reduce(first.ritz_values[:, 0][self._first_shifts == shift], initial=np.inf)) - shift
        return replace(seen, smallest=min(max(estimate, lowest), highest), smallest_low=lowest, smallest_high=highest)

    def _seen_eigenvalues(self) -> ExtremeEigenvalues:
        """By the Lanczos algorithm alone, in a few more passes: for an error that is worth its numbers."""
        while not self._lanczos.is_done:
            self._lanczos.advance(self._tiles.multiply(self._lanczos.vector))
        return self._lanczos.extremes(self._tiles.largest_row_sum)

    def _solutions(self, solutions: Array, rest: Array, targets: Array) -> list[RidgeSolution]:
        residuals, name = relative_residuals(rest, targets), self._settings.preconditioner
        found = []
        for index, ridge in enumerate(self._problem.ridges):
            own = slice(index * self._outputs, (index + 1) * self._outputs)
            shift = float(self._problem.shifts[index])
            found.append(
                RidgeSolution(
                    ridge=ridge,
                    shift=shift,
                    coefficients=solutions[:, own].copy(),
                    residuals=residuals[own],
                    iterations=int(self._iterations[own].max()),
                    condition=self._extremes.condition(shift),
                    method="conjugate-gradient",
                    preconditioned_condition=_preconditioned_condition(self._ritz_values[own]),
                    preconditioner=None if name == "none" else name,
                    rank=self._preconditioner.rank,
                    passes=self._tiles.passes,
                    seconds=0.0,
                    memory_bytes=self._memory_bytes,
                )
            )
        return found

    def _refuse_singular(self) -> None:
        for ridge, shift in sorted(zip(self._problem.ridges, self._problem.shifts.tolist(), strict=True)):
            if self._extremes.smallest + shift < self._extremes.null_tolerance(self._tiles.n):
                raise self._singular(ridge, self._extremes)

    def _refuse_unconverged(self, found: list[RidgeSolution], rest: Array, goals: Array) -> None:
        short = (np.linalg.norm(rest, axis=0) > goals).reshape(len(found), self._outputs).any(axis=1)
        if not short.any():
            return
        each = ", ".join(f"{one.residual:.2g} at ridge={one.ridge:g}" for one, is_short in zip(found, short, strict=True) if is_short)
        raise NotConvergedError(
            f"conjugate gradients: the relative residual is {each} after {max(one.iterations for one in found)} iterations, above "
            f"tolerance={self._settings.tolerance:g}: use a larger rank (now {self._preconditioner.rank}), larger max_iterations (now "
            f'{self._settings.max_iterations}), a larger ridge, or method="cholesky"; what was reached is in the solutions of this error',
            solutions=found,
        )

    def _indefinite(self, error: IndefiniteError) -> Exception:
        column = min(error.column, len(self._shifts))  # beyond are the random columns, at the smallest shift
        index = column // self._outputs if column < len(self._shifts) else int(np.argmin(self._problem.ridges))
        seen = self._seen_eigenvalues()
        smallest = min(error.quotient, seen.smallest)
        return self._singular(self._problem.ridges[index], replace(seen, smallest=smallest, smallest_high=smallest))

    def _singular(self, ridge: float, found: ExtremeEigenvalues) -> Exception:
        """Where no bound of s_min is known, twice the most negative quotient seen stands for it in the advice."""
        lowest = 2 * min(found.smallest, 0.0) - found.null_tolerance(self._tiles.n)
        return singular_gram(ridge, self._tiles.n, self._tiles.mean_diagonal, replace(found, smallest_low=max(lowest, found.smallest_low)))

    def _tell(self) -> None:
        if self._settings.progress is not None:
            planned = self._settings.max_iterations + _ROUNDS + int(self._settings.preconditioner == "nystrom")
            self._settings.progress(self._tiles.passes, planned)


def _preconditioned_condition(ritz_values: Array) -> float:
    """Largest by smallest Ritz value of the columns of one ridge, (outputs, 2); 1 where there was nothing to do."""
    if np.isnan(ritz_values).all():
        return 1.0
    low, high = float(np.nanmin(ritz_values)), float(np.nanmax(ritz_values))
    return high / low if low > 0 else float("inf")
