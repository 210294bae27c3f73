"""Which kernel a kernel method uses: a network's, a classical one, or a sum, checked once, and computed for whoever asks.

A sum such as "ntk+laplace" is k(x, z) = Σ_i k_i(x, z) / mean_j k_i(x_j, x_j), the means over the training points, so that its parts
weigh alike. In a sum with the kernel of a convolutional architecture, the classical kernels see the images flattened.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from skipbench.architecture import Architecture, ResMLP
from skipbench.checks import SkipbenchError, shown, unknown_name
from skipbench.kernels.classical import CLASSICAL_KERNELS, ClassicalKernel, checked_bandwidth, classical_kernel, median_distance
from skipbench.kernels.engines.registry import engine_choices
from skipbench.kernels.kernel_matrices import Engine, kernel_matrices, warm_up
from skipbench.trainers.devices import resolve_device
from skipbench.trainers.inputs import Inputs
from skipbench.trainers.method import InputKind

NETWORK_KERNELS = ("nngp", "ntk")
KERNELS = (*NETWORK_KERNELS, *CLASSICAL_KERNELS)
DTYPES = {"float32": torch.float32, "float64": torch.float64}
DEFAULT_ARCHITECTURE = ResMLP(depth=3)


class RemembersKernels(Protocol):
    """A drop-in for `kernel_matrices` that keeps what several fits need, such as `skipbench.kernels.KernelMemory`."""

    def kernel_matrices(
        self, arch: Architecture, x: Any, z: Any = None, *, dtype: torch.dtype, device: str | torch.device, engine: Engine
    ) -> tuple[Tensor, Tensor]:
        """(nngp, ntk), as `skipbench.kernels.kernel_matrices`."""


@dataclass(frozen=True, slots=True)
class KernelChoice:
    """The parameters of a kernel method that say which kernel it uses, as given, checked when this is made.

    owner: the method's class, whose name a refusal begins with. The others: as in `KernelRidge`. Raises SkipbenchError.
    """

    owner: str
    architecture: Architecture | None
    kernel: str
    bandwidth: float | None
    dtype: str
    device: str
    engine: str
    memory: RemembersKernels | None

    def __post_init__(self) -> None:
        self._check_names()
        self._check_architecture()
        self._check_bandwidth()
        if self.dtype not in tuple(DTYPES):
            raise self._refusal("dtype", self.dtype, f"a kernel is computed in one of: {', '.join(DTYPES)}")
        if self.engine not in engine_choices():
            raise self._refusal("engine", self.engine, f"there is {unknown_name('engine', str(self.engine), engine_choices())}")
        if self.memory is not None and not callable(getattr(self.memory, "kernel_matrices", None)):
            raise self._refusal("memory", self.memory, "it is None or a skipbench.kernels.KernelMemory")
        resolve_device(self.device)

    @property
    def names(self) -> tuple[str, ...]:
        """The summands, in the order in which they were written; one name where it is no sum."""
        return tuple(self.kernel.split("+")) if isinstance(self.kernel, str) else (self.kernel,)

    @property
    def used_architecture(self) -> Architecture | None:
        """The architecture whose kernel is a part of this; None for classical kernels alone."""
        if not self._of_networks():
            return None
        return DEFAULT_ARCHITECTURE if self.architecture is None else self.architecture

    @property
    def input_kinds(self) -> tuple[InputKind, ...]:
        """Images for a convolutional architecture, vectors otherwise."""
        arch = self.used_architecture
        return ("images",) if arch is not None and arch.is_convolutional else ("vectors",)

    @property
    def taker(self) -> str:
        """What takes those inputs, for messages: "ResMLP(3)", "the laplace kernel"."""
        return f"the {self.kernel} kernel" if self.used_architecture is None else self.used_architecture.label

    def label(self, method: str) -> str:
        """A short name for tables, e.g. "NTK ridge, ResCNN(3, tr)", "Laplace SVM", "NTK + Laplace ridge, ResMLP(3)"."""
        parts = [name.upper() if name in NETWORK_KERNELS else name.capitalize() for name in self.names]
        arch = self.used_architecture
        return f"{' + '.join(parts)} {method}{'' if arch is None else f', {arch.label}'}"

    def training_bandwidth(self, inputs: Inputs) -> float | None:
        """The bandwidth of the classical kernels in it, by the median heuristic where none is given; None where there are none."""
        if not self._of_classical():
            return None
        return median_distance(_flat(inputs)) if self.bandwidth is None else checked_bandwidth(self.bandwidth)

    def warm_up(self) -> None:
        """Compile what `matrices` will need, apart from its own time."""
        if self.used_architecture is not None:
            warm_up(self.used_architecture, dtype=DTYPES[self.dtype], device=resolve_device(self.device), engine=self.engine)

    def matrices(self, x: Inputs, z: Inputs | None, bandwidth: float | None) -> list[Tensor]:
        """The kernel matrix of every summand, (n, m) each, computed in `dtype` and returned in float64 on the device. z=None means x."""
        dtype, device = DTYPES[self.dtype], resolve_device(self.device)
        pair: tuple[Tensor, ...] = ()
        arch = self.used_architecture
        if arch is not None:  # both kernels of a network come out of one computation
            compute = kernel_matrices if self.memory is None else self.memory.kernel_matrices
            pair = compute(arch, x, z, dtype=dtype, device=device, engine=self.engine)
        flat_x, flat_z = (_flat(x), None if z is None else _flat(z)) if self._of_classical() else (x, z)
        parts = []
        for name in self.names:
            if name in NETWORK_KERNELS:
                part = pair[NETWORK_KERNELS.index(name)]
            else:
                width = cast(float, bandwidth)
                part = classical_kernel(cast(ClassicalKernel, name), flat_x, flat_z, bandwidth=width, dtype=dtype, device=device)
            parts.append(part.to(torch.float64))
        return parts

    def _of_networks(self) -> bool:
        return any(name in NETWORK_KERNELS for name in self.names)

    def _of_classical(self) -> bool:
        return any(name in CLASSICAL_KERNELS for name in self.names)

    def _check_names(self) -> None:
        for name in self.names:
            if name not in KERNELS:
                sums = ', and a sum of different ones is written without spaces, such as "ntk+laplace"' if "+" in str(self.kernel) else ""
                raise self._refusal("kernel", self.kernel, f"there is {unknown_name('kernel', str(name), KERNELS)}{sums}")
        if len(set(self.names)) < len(self.names):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise self._refusal("kernel", self.kernel, f'"{twice}" stands there twice: a sum names each of its kernels once')

    def _check_architecture(self) -> None:
        if self._of_networks():
            if not isinstance(self.used_architecture, Architecture):
                raise self._refusal("architecture", self.architecture, "it is an architecture such as ResMLP(depth=3)")
        elif self.architecture is not None:
            raise self._refusal("architecture", self.architecture, f'kernel="{self.kernel}" has none: leave it out')

    def _check_bandwidth(self) -> None:
        if self.bandwidth is None:
            return
        if not self._of_classical():
            raise self._refusal("bandwidth", self.bandwidth, f'kernel="{self.kernel}" has none: leave it out')
        checked_bandwidth(self.bandwidth)

    def _refusal(self, name: str, value: object, reason: str) -> SkipbenchError:
        return SkipbenchError(f"{self.owner}: {name}={shown(value)}, but {reason}")


def mean_diagonal(matrix: Tensor, *, owner: str, kernel: str) -> float:
    """The mean of k(x, x) over the training points, by which something is divided. Raises SkipbenchError where it is not above 0."""
    mean = float(matrix.diagonal().mean())
    if not 0.0 < mean < math.inf:
        raise SkipbenchError(
            f"{owner}: the mean of k(x, x) over the training points is {mean:g} for the {kernel} kernel, but it is divided by that: "
            "look for inputs of zeros, which an architecture without bias maps to 0"
        )
    return mean


def _flat(inputs: Inputs) -> Inputs:
    return inputs.reshape(len(inputs), -1)
