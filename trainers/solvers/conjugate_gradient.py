"""Preconditioned conjugate gradients for many columns at once, each with its own shift and its own step sizes.

    (K + s_c I) x_c = b_c        for every column c, all of them sharing every product with K

The passes over the tiles are what takes the time, so all outputs of all ridges of a path go through the same ones; there is one
preconditioner, which is shifted with them. Columns that have converged leave the block. Unlike block conjugate gradients the columns do not
share their search spaces: nothing breaks down where they become dependent, and the coefficients of each give its Lanczos matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from skipbench.trainers.solvers.condition import ritz_extremes
from skipbench.trainers.solvers.preconditioners import LowRankPreconditioner
from skipbench.trainers.solvers.tiles import Array


class IndefiniteError(ArithmeticError):
    """A direction p of some column has pᵀ (K + shift I) p <= 0. quotient: pᵀ K p / pᵀ p, an upper bound of s_min."""

    def __init__(self, column: int, quotient: float) -> None:
        super().__init__(f"column {column} has a direction of negative curvature, {quotient}")
        self.column, self.quotient = column, quotient


@dataclass(frozen=True, slots=True, eq=False)
class ConjugateGradients:
    """Where every column got to.

    solutions: (n, c). residuals: (n, c), b - (K + s I) x by recursion, which rounding parts from the truth. iterations: (c,).
    ritz_values: (c, 2), the extreme ones of P⁻¹ (K + s I), from the Lanczos coefficients; NaN where there was nothing to do.
    """

    solutions: Array
    residuals: Array
    iterations: np.ndarray
    ritz_values: Array


def conjugate_gradients(
    multiply: Callable[[Array], Array],
    targets: Array,
    shifts: Array,
    preconditioner: LowRankPreconditioner,
    *,
    goals: Array,
    is_required: np.ndarray,
    max_iterations: int,
) -> ConjugateGradients:
    """Start at 0 and go on until |residual| <= goal in every required column, or for max_iterations.

    multiply: K times columns. targets: (n, c). shifts, goals, is_required: (c,). Raises IndefiniteError.
    """
    block = _Block(targets, shifts, preconditioner, goals)
    for _ in range(max_iterations):
        if not is_required[block.active].any():
            break
        block.advance(multiply(block.directions))
    return block.outcome()


class _Block:
    """The columns that have not converged, `active`, side by side; names after Saad 2003, algorithm 9.1."""

    def __init__(self, targets: Array, shifts: Array, preconditioner: LowRankPreconditioner, goals: Array) -> None:
        self._preconditioner, self._shifts, self._goals = preconditioner, shifts, goals
        self.solutions = np.zeros_like(targets)
        self.residuals = targets.copy()
        self.active = np.flatnonzero(np.linalg.norm(targets, axis=0) > goals)
        self._rest = targets[:, self.active]  # r
        self.directions = preconditioner.apply(self._rest, shifts[self.active])  # p
        self._products = _dots(self._rest, self.directions)  # rᵀ z
        self._steps: list[list[float]] = [[] for _ in shifts]
        self._growths: list[list[float]] = [[] for _ in shifts]

    def advance(self, images: Array) -> None:
        """One iteration. images: K @ directions."""
        images = images + self._shifts[self.active] * self.directions  # A p
        curvatures = _dots(self.directions, images)
        self._check_definite(curvatures)
        steps = self._products / curvatures  # a
        self.solutions[:, self.active] += steps * self.directions
        self._rest -= steps * images
        conditioned = self._preconditioner.apply(self._rest, self._shifts[self.active])  # z
        products = _dots(self._rest, conditioned)
        growths = products / self._products  # b
        self._remember(steps, growths)
        self.directions = conditioned + growths * self.directions
        self._products = products
        self._let_go()

    def outcome(self) -> ConjugateGradients:
        """Where every column is now."""
        self.residuals[:, self.active] = self._rest
        ritz_values = np.full((len(self._shifts), 2), np.nan)
        for column, (steps, growths) in enumerate(zip(self._steps, self._growths, strict=True)):
            if steps:
                ritz_values[column] = ritz_extremes(steps, growths)
        iterations = np.array([len(steps) for steps in self._steps], dtype=np.int64)
        return ConjugateGradients(self.solutions, self.residuals, iterations, ritz_values)

    def _check_definite(self, curvatures: Array) -> None:
        worst = int(np.argmin(curvatures))
        if not curvatures[worst] > 0:
            length = float(_dots(self.directions, self.directions)[worst])
            column = int(self.active[worst])
            raise IndefiniteError(column, float(curvatures[worst]) / length - float(self._shifts[column]))

    def _remember(self, steps: Array, growths: Array) -> None:
        for column, step, growth in zip(self.active, steps, growths, strict=True):
            self._steps[column].append(float(step))
            self._growths[column].append(float(growth))

    def _let_go(self) -> None:
        """Take the columns that have converged out of the block."""
        stays = np.linalg.norm(self._rest, axis=0) > self._goals[self.active]
        if stays.all():
            return
        self.residuals[:, self.active[~stays]] = self._rest[:, ~stays]
        self.active, self._products = self.active[stays], self._products[stays]
        self._rest, self.directions = self._rest[:, stays], self.directions[:, stays]


def _dots(left: Array, right: Array) -> Array:
    """The inner product of every pair of columns."""
    products: Array = np.einsum("ij,ij->j", left, right)
    return products
