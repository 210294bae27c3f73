"""What does kernel ridge regression cost once the Gram matrix is there, and how exact is its solution?"""

from __future__ import annotations

from typing import ClassVar

import torch

from skipbench.benchmarks.performance.measures import ROUNDING_ERROR, Repeated, in_unit, largest_relative_difference
from skipbench.benchmarks.performance.workloads import architecture, digits, digits_gram, one_hot
from skipbench.kernels.spectra import eigensystem
from skipbench.trainers import KernelRidge, ridge_path
from skipbench.trainers.ridge_path import smallest_usable_ridge

RIDGES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
TINY_RIDGES = tuple(10.0**exponent for exponent in range(-18, 0))


class RidgePath(Repeated):
    """Eight ridges from one eigendecomposition."""

    version = "1"
    params: ClassVar[tuple[tuple[int, ...]]] = ((100, 600),)
    param_names: ClassVar[tuple[str, ...]] = ("n",)

    def setup(self, n: int) -> None:
        """A Gram matrix of digits."""
        self.gram, self.targets = digits_gram("MLP", n), one_hot(digits("MLP", n))
        ridge_path(self.gram[:2, :2], self.targets[:2], RIDGES)

    def time_path(self, n: int) -> None:
        """Decomposition and all eight solutions."""
        ridge_path(self.gram, self.targets, RIDGES)

    @in_unit(ROUNDING_ERROR)
    def track_error(self, n: int) -> float:
        """Against one factorisation a ridge, at the least and worst conditioned one."""
        found = ridge_path(self.gram, self.targets, RIDGES[:1])[0]
        shift = RIDGES[0] * self.gram.diagonal().mean() * torch.eye(n, dtype=torch.float64)
        return largest_relative_difference(found, torch.linalg.solve(self.gram + shift, self.targets))

    @in_unit("index of 1e-18, 1e-17, ..., 0.1")
    def track_first_usable_ridge(self, n: int) -> int:
        """Of a matrix whose every row stands twice: the first of the tiny ridges that is not refused as singular."""
        doubled = torch.cat([torch.cat([self.gram, self.gram], dim=1)] * 2)
        least = smallest_usable_ridge(eigensystem(doubled))
        return next(index for index, ridge in enumerate(TINY_RIDGES) if ridge >= least)


class RidgeFit(Repeated):
    """The whole classifier: kernel, eigendecomposition, ridge chosen on validation rows, prediction."""

    version = "1"
    params: ClassVar[tuple[tuple[str, ...]]] = (("MLP", "ResCNN"),)
    param_names: ClassVar[tuple[str, ...]] = ("family",)
    n = 100

    def setup(self, family: str) -> None:
        """Digits, half of them for training."""
        dataset, half = digits(family, self.n), self.n // 2
        self.x, self.y = (dataset.inputs[:half], dataset.inputs[half:]), (dataset.labels[:half], dataset.labels[half:])
        self.method = KernelRidge(kernel="ntk", architecture=architecture(family))

    def time_fit_and_predict(self, family: str) -> None:
        """One split."""
        self.method.fit(self.x[0], self.y[0], self.x[1], self.y[1]).predict(self.x[1])
