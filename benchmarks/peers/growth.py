"""How our time grows: with the number of inputs, with pixels, with depth; and what all depths at once cost beside the deepest alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from skipbench.architecture import MLP, Architecture, ResCNN, ResMLP
from skipbench.benchmarks.peers.cases import PeerCase
from skipbench.benchmarks.peers.ours import OurKernels
from skipbench.results.record import Timing


@dataclass(frozen=True, slots=True)
class Sweep:
    """One quantity in several sizes, everything else fixed. varied: `n`, `side` (pixels are its square) or `depth`."""

    varied: str
    values: tuple[int, ...]
    arch: Architecture
    input_shape: tuple[int, ...]
    n: int

    @property
    def name(self) -> str:
        """`n.rescnn-tr-32x32-depth-10`: what varies, then the case at its own sizes."""
        return f"{self.varied}.{PeerCase(self.arch, self.input_shape, None, ()).name}"

    @property
    def quantity(self) -> str:
        """What the exponent is of."""
        return "pixels" if self.varied == "side" else self.varied

    def contestants(self, target_seconds: float) -> list[OurKernels]:
        """One for each size, labelled with the quantity."""
        return [self._contestant(value, target_seconds) for value in self.values]

    def _contestant(self, value: int, target_seconds: float) -> OurKernels:
        arch, shape, n = self.arch, self.input_shape, self.n
        label = f"{self.quantity} {value**2 if self.varied == 'side' else value}"
        if self.varied == "n":
            n = value
        elif self.varied == "side":
            shape = (shape[0], value, value)
        else:
            arch = replace(arch, depth=value)
        settings = {self.quantity: value**2 if self.varied == "side" else value}
        return OurKernels(arch, shape, n=n, target_seconds=target_seconds, label=label, settings=settings)


SWEEPS: tuple[Sweep, ...] = (
    Sweep("n", (500, 1000, 2000, 4000), ResMLP(10), (784,), 2000),
    Sweep("n", (64, 128, 256, 512), ResCNN(10, readout="tr"), (3, 32, 32), 128),
    Sweep("n", (64, 128, 256, 512), ResCNN(5, readout="gap"), (3, 8, 8), 128),
    Sweep("side", (8, 16, 32, 64), ResCNN(10, readout="tr"), (3, 32, 32), 128),
    Sweep("side", (4, 8, 16, 32), ResCNN(5, readout="gap"), (3, 32, 32), 16),
    Sweep("depth", (2, 4, 8, 16), MLP(10), (50,), 2000),
    Sweep("depth", (2, 4, 8, 16), ResCNN(10, readout="tr"), (3, 32, 32), 128),
    Sweep("depth", (2, 4, 8, 16), ResCNN(5, readout="gap"), (3, 8, 8), 128),
)
QUICK_SWEEPS: tuple[Sweep, ...] = (
    Sweep("n", (16, 32), ResMLP(10), (13,), 16),
    Sweep("side", (3, 5), ResCNN(2, readout="tr"), (3, 5, 5), 4),
    Sweep("depth", (1, 3), ResCNN(2, readout="gap"), (3, 3, 3), 4),
)


@dataclass(frozen=True, slots=True)
class DepthSweep:
    """Every depth 1..L in one call beside depth L alone."""

    case: PeerCase
    n: int

    def contestants(self, target_seconds: float) -> list[OurKernels]:
        """The deepest alone, then all of them."""
        arch, shape, deepest = self.case.arch, self.case.input_shape, self.case.arch.depth
        alone = OurKernels(arch, shape, n=self.n, target_seconds=target_seconds, label=f"depth {deepest}")
        depths = range(1, deepest + 1)
        together = OurKernels(arch, shape, n=self.n, target_seconds=target_seconds, depths=list(depths), label=f"depths 1 to {deepest}")
        return [alone, together]


def depth_sweeps(cases: Sequence[PeerCase], *, quick: bool) -> tuple[DepthSweep, ...]:
    """Those of depth 10, with so many inputs that a call takes hundredths to tenths of a second."""
    sizes = {False: 2000, True: 256}
    return tuple(DepthSweep(case, 4 if quick else sizes[case.arch.is_convolutional]) for case in cases if case.arch.depth == 10)


def seconds_per_call(timing: Timing) -> float:
    """Median seconds of one matrix: a repeat may hold several calls."""
    return timing.median_seconds / int(timing.settings["calls"])


def fitted_exponent(values: Sequence[float], seconds: Sequence[float]) -> float:
    """The slope of log seconds over log values by least squares: seconds ∝ valueᵉ. Needs two different values."""
    x, y = [math.log(value) for value in values], [math.log(second) for second in seconds]
    centre_x, centre_y = sum(x) / len(x), sum(y) / len(y)
    covariance = sum((a - centre_x) * (b - centre_y) for a, b in zip(x, y, strict=True))
    return covariance / sum((a - centre_x) ** 2 for a in x)
