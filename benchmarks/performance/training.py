"""What does a training step of a finite network cost, and does training still arrive at the same loss?"""

from __future__ import annotations

from typing import ClassVar

import torch

from skipbench.benchmarks.performance.measures import ELEMENTS, LOSS, Repeated, elements_computed, in_unit
from skipbench.benchmarks.performance.workloads import FAMILIES, architecture, digits
from skipbench.trainers import NetworkClassifier, build_network
from skipbench.trainers.networks.losses import mean_squared_error


class TrainingStep(Repeated):
    """One full-batch step of the finite twin: forwards, backwards, SGD."""

    version = "1"
    params: ClassVar[tuple[tuple[str, ...]]] = (FAMILIES,)
    param_names: ClassVar[tuple[str, ...]] = ("family",)
    n, width, steps, learning_rate = 100, 32, 10, 0.1

    def setup(self, family: str) -> None:
        """The network, and a first step."""
        dataset = digits(family, self.n)
        self.x, self.labels = torch.tensor(dataset.inputs, dtype=torch.float64), torch.tensor(dataset.labels)
        shape, classes = dataset.input_shape, len(dataset.classes)
        self.network = build_network(architecture(family), width=self.width, input_shape=shape, outputs=classes, dtype=torch.float64)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=self.learning_rate)
        self.step()

    def step(self) -> float:
        """The loss before the step."""
        self.optimizer.zero_grad()
        loss = mean_squared_error(self.network(self.x), self.labels)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return float(loss.detach())

    def time_step(self, family: str) -> None:
        """One step."""
        self.step()

    @in_unit(ELEMENTS)
    def track_elements(self, family: str) -> int:
        """Rises when a step computes more than before."""
        return elements_computed(self.step)

    @in_unit(LOSS)
    def track_loss(self, family: str) -> float:
        """After ten steps from seed 0, in float64: 1/(2n) Σ |f(x) - y|²."""
        return [self.step() for _ in range(self.steps)][-1]


class NetworkFit(Repeated):
    """A whole `fit` through Lightning: what stands around the steps."""

    version = "1"
    params: ClassVar[tuple[tuple[str, ...]]] = (("ResMLP", "ResCNN"),)
    param_names: ClassVar[tuple[str, ...]] = ("family",)
    n, width, epochs = 100, 16, 5

    def setup(self, family: str) -> None:
        """Lightning takes seconds to import: a first fit of one epoch, outside the clock."""
        self.dataset = digits(family, self.n)
        self.classifier(family, epochs=1).fit(self.dataset.inputs, self.dataset.labels)

    def classifier(self, family: str, epochs: int) -> NetworkClassifier:
        """Full-batch gradient descent with the default step size."""
        return NetworkClassifier(architecture(family), width=self.width, epochs=epochs, dtype="float64")

    def time_fit(self, family: str) -> None:
        """Five epochs, evaluation included."""
        self.classifier(family, self.epochs).fit(self.dataset.inputs, self.dataset.labels)
