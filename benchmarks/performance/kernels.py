"""What does a kernel matrix cost, how exact is it in float32, and how well conditioned is it?"""

from __future__ import annotations

from typing import ClassVar

import torch

from skipbench.architecture import Readout
from skipbench.benchmarks.performance.measures import (
    CONDITION_NUMBER,
    ELEMENTS,
    ROUNDING_ERROR,
    Repeated,
    elements_computed,
    in_unit,
    largest_kernel_error,
)
from skipbench.benchmarks.performance.workloads import CONVOLUTIONAL_FAMILIES, DENSE_FAMILIES, PEER_CASES, architecture, digits, peer_case
from skipbench.kernels import kernel_matrices
from skipbench.kernels.spectra import condition_number


class DenseGram(Repeated):
    """NNGP and NTK matrix of vectors."""

    version = "1"
    params: ClassVar[tuple[tuple[str, ...]]] = (DENSE_FAMILIES,)
    param_names: ClassVar[tuple[str, ...]] = ("family",)
    n = 300

    def setup(self, family: str) -> None:
        """The first call is outside the clock."""
        self.arch, self.x = architecture(family), digits(family, self.n).inputs
        kernel_matrices(self.arch, self.x[:2])

    def time_gram(self, family: str) -> None:
        """Both matrices in float64."""
        kernel_matrices(self.arch, self.x)

    @in_unit(ELEMENTS)
    def track_elements(self, family: str) -> int:
        """Rises when a pair or a layer is computed twice."""
        return elements_computed(lambda: kernel_matrices(self.arch, self.x))

    @in_unit(ROUNDING_ERROR)
    def track_float32_error(self, family: str) -> float:
        """The NTK in float32 by the fastest engine, against float64 by the reference."""
        return largest_kernel_error(
            kernel_matrices(self.arch, self.x, dtype=torch.float32)[1], kernel_matrices(self.arch, self.x, engine="reference")[1]
        )

    @in_unit(CONDITION_NUMBER)
    def track_condition_number(self, family: str) -> float:
        """Of the NTK matrix, raw."""
        return condition_number(kernel_matrices(self.arch, self.x)[1])


class PeerCase(Repeated):
    """The cases that are measured beside a peer (`skipbench.benchmarks.peers`), small: the same depths, fewer inputs and pixels."""

    version = "1"
    params: ClassVar[tuple[tuple[str, ...], ...]] = (tuple(PEER_CASES), ("reference", "fused"))
    param_names: ClassVar[tuple[str, ...]] = ("case", "engine")
    repeat: ClassVar[tuple[int, int, float]] = (3, 5, 0.3)

    def setup(self, case: str, engine: str) -> None:
        """The first call, which compiles, is outside the clock. asv skips an engine that is not there."""
        self.arch, self.x, self.z = peer_case(case, engine)
        kernel_matrices(self.arch, self.x, self.z, dtype=torch.float32, engine=engine)

    def time_pairs(self, case: str, engine: str) -> None:
        """Both matrices in float32, of two different sets of inputs."""
        kernel_matrices(self.arch, self.x, self.z, dtype=torch.float32, engine=engine)


class ConvolutionalGram(Repeated):
    """NNGP and NTK matrix of images, for each readout: `gap` needs every pair of pixels, the others one field."""

    version = "1"
    params: ClassVar[tuple[tuple[str, ...], ...]] = (CONVOLUTIONAL_FAMILIES, ("eq", "tr", "gap"))
    param_names: ClassVar[tuple[str, ...]] = ("family", "readout")
    n = 50

    def setup(self, family: str, readout: Readout) -> None:
        """The first call is outside the clock."""
        self.arch, self.x = architecture(family, readout), digits(family, self.n).inputs
        kernel_matrices(self.arch, self.x[:2])

    def time_gram(self, family: str, readout: Readout) -> None:
        """Both matrices in float64."""
        kernel_matrices(self.arch, self.x)

    @in_unit(ELEMENTS)
    def track_elements(self, family: str, readout: Readout) -> int:
        """Rises when a pair, a pixel offset or a layer is computed twice."""
        return elements_computed(lambda: kernel_matrices(self.arch, self.x))

    @in_unit(ROUNDING_ERROR)
    def track_float32_error(self, family: str, readout: Readout) -> float:
        """The NTK in float32 by the fastest engine, against float64 by the reference."""
        return largest_kernel_error(
            kernel_matrices(self.arch, self.x, dtype=torch.float32)[1], kernel_matrices(self.arch, self.x, engine="reference")[1]
        )

    @in_unit(CONDITION_NUMBER)
    def track_condition_number(self, family: str, readout: Readout) -> float:
        """Of the NTK matrix, raw."""
        return condition_number(kernel_matrices(self.arch, self.x)[1])
