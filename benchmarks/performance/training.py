"""What does a training step of a finite network cost, and does training still arrive at the same loss?"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import ClassVar

import torch

from skipbench.benchmarks.performance.measures import ELEMENTS, LOSS, SECONDS_RATIO, Repeated, elements_computed, in_unit
from skipbench.benchmarks.performance.workloads import FAMILIES, architecture, digits
from skipbench.clock import Clock
from skipbench.trainers import NetworkClassifier, build_network
from skipbench.trainers.networks.batch_normalised import build_practical_network
from skipbench.trainers.networks.losses import mean_squared_error
from skipbench.trainers.networks.settings import TrainingSettings
from skipbench.trainers.networks.slices import Samples, SlicingLoader
from skipbench.trainers.networks.training import NetworkModule, train


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


class TrainerOverhead(Repeated):
    """What does Lightning's Trainer, with our curve and best epoch, cost beside a bare loop of torch that takes the same steps?

    A practical network with skips on random images of CIFAR's size: one epoch of either, in turns, in one process.
    """

    version = "2"
    n, side, channels, classes, width, batch_size, learning_rate, turns = 1000, 32, 3, 10, 16, 64, 0.05, 7

    def setup(self) -> None:
        """Images on which two batches are trained either way, outside the clock: Lightning takes seconds to import."""
        images = torch.randn(self.n, self.channels, self.side, self.side, generator=torch.Generator().manual_seed(0))
        inputs = images.contiguous(memory_format=torch.channels_last)
        self.samples = Samples(inputs, torch.zeros(self.n, self.classes), torch.arange(self.n) % self.classes)
        few = Samples(*(part[: 2 * self.batch_size] for part in self.samples))
        for epoch in self.ways():
            epoch(few)

    def ways(self) -> tuple[Callable[[Samples], float], Callable[[Samples], float]]:
        """The bare loop and the Trainer: one epoch of a new network, in seconds."""
        return self.bare_seconds, self.trainer_seconds

    def bare_seconds(self, samples: Samples) -> float:
        """Batches, loss, optimizer and schedule are those of the Trainer, so that nothing but the loop differs."""
        loader = SlicingLoader(samples, self.batch_size, seed=0, least_rows=2)
        module = NetworkModule(self.network(), self.settings(), self.learning_rate, len(loader))
        configured = module.configure_optimizers()
        optimizer, schedule = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
        started = time.perf_counter()
        for index, batch in enumerate(loader):
            optimizer.zero_grad()
            module.training_step(batch, index).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        return time.perf_counter() - started

    def trainer_seconds(self, samples: Samples) -> float:
        """The phase "train" of our training: set-up and evaluation are not in it."""
        clock, settings = Clock(), self.settings()
        train(self.network(), samples, None, settings, learning_rate=self.learning_rate, order_seed=0, progress_bar=False, clock=clock)
        return clock.seconds["train"]

    def network(self) -> torch.nn.Module:
        """Two layers in each of three stages."""
        shape = (self.channels, self.side, self.side)
        return build_practical_network(residual=True, blocks=1, width=self.width, input_shape=shape, outputs=self.classes)

    def settings(self) -> TrainingSettings:
        """One epoch as PracticalClassifier trains it."""
        return TrainingSettings(
            loss="cross_entropy",
            learning_rate=self.learning_rate,
            momentum=0.9,
            batch_size=self.batch_size,
            epochs=1,
            patience=None,
            evaluate_every=None,
            target_reduction=None,
            seed=0,
            nesterov=True,
            weight_decay=5e-4,
            one_cycle=True,
            batch_normalised=True,
            may_stay_untrained=False,
        )

    @in_unit(SECONDS_RATIO)
    def track_overhead(self) -> float:
        """Median seconds of the Trainer's epoch over those of the bare loop's, each first in every other turn: 1 means no overhead."""
        seconds: dict[Callable[[Samples], float], list[float]] = {way: [] for way in self.ways()}
        for turn in range(self.turns):
            for way in self.ways()[:: 1 if turn % 2 else -1]:
                seconds[way].append(way(self.samples))
        bare, trainer = (statistics.median(seconds[way]) for way in self.ways())
        return trainer / bare
