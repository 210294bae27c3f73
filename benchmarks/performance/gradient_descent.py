"""How many iterations does gradient descent need, plain and residual, and what does it cost to know that in closed form?"""

from __future__ import annotations

from typing import ClassVar

from skipbench.benchmarks.performance.measures import ITERATIONS, Repeated, in_unit
from skipbench.benchmarks.performance.workloads import FAMILIES, digits, digits_gram, one_hot
from skipbench.trainers import iterations_to, kernel_gradient_descent


class Iterations(Repeated):
    """Kernel gradient descent on the NTK matrix of digits, from its eigendecomposition."""

    version = "1"
    params: ClassVar[tuple[tuple[str, ...], tuple[float, ...]]] = (FAMILIES, (0.0, 0.9))
    param_names: ClassVar[tuple[str, ...]] = ("family", "momentum")
    n = 100

    def setup(self, family: str, momentum: float) -> None:
        """Gram matrix and targets."""
        self.gram, self.targets = digits_gram(family, self.n), one_hot(digits(family, self.n))

    def time_to_99_percent(self, family: str, momentum: float) -> None:
        """Decomposition and search for the first iteration."""
        iterations_to(kernel_gradient_descent(self.gram, self.targets, momentum=momentum), 0.99)

    @in_unit(ITERATIONS)
    def track_to_99_percent(self, family: str, momentum: float) -> float:
        """The first iteration whose loss is 1 % of the first one's."""
        return iterations_to(kernel_gradient_descent(self.gram, self.targets, momentum=momentum), 0.99)
