"""The fixed architectures and data that the benchmarks work on: scikit-learn's bundled sets, so that every machine has them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from skipbench.architecture import CNN, MLP, Architecture, DenseMLP, Readout, ResCNN, ResMLP
from skipbench.checks import SkipbenchError, unknown_name
from skipbench.datasets import Dataset, load
from skipbench.kernels import kernel_matrices
from skipbench.kernels.engines.registry import engine_for

DENSE_FAMILIES = ("MLP", "ResMLP", "DenseMLP")
CONVOLUTIONAL_FAMILIES = ("CNN", "ResCNN")
FAMILIES = (*DENSE_FAMILIES, *CONVOLUTIONAL_FAMILIES)
_DEPTH, _BIAS = 3, 0.1

# The cases of skipbench.benchmarks.peers: architecture, shape of an input, and so many inputs on each side that both engines are done soon.
PEER_CASES: dict[str, tuple[Architecture, tuple[int, ...], int]] = {
    "mlp-50": (MLP(10), (50,), 300),
    "mlp-784": (MLP(10), (784,), 300),
    "resmlp-50": (ResMLP(10), (50,), 300),
    "resmlp-784": (ResMLP(10), (784,), 300),
    "cnn-tr": (CNN(10, readout="tr"), (3, 32, 32), 8),
    "rescnn-tr": (ResCNN(10, readout="tr"), (3, 32, 32), 8),
    "cnn-gap": (CNN(5, readout="gap"), (3, 16, 16), 2),
    "rescnn-gap": (ResCNN(5, readout="gap"), (3, 16, 16), 2),
    "cnn-gap-8x8": (CNN(5, readout="gap"), (3, 8, 8), 8),
    "rescnn-gap-8x8": (ResCNN(5, readout="gap"), (3, 8, 8), 8),
}


def architecture(family: str, readout: Readout = "tr") -> Architecture:
    """The one architecture of each family that is measured: three layers or blocks. readout: of the convolutional ones."""
    made: dict[str, Architecture] = {
        "MLP": MLP(_DEPTH, bias=_BIAS),
        "ResMLP": ResMLP(_DEPTH, bias=_BIAS),
        "DenseMLP": DenseMLP(_DEPTH),
        "CNN": CNN(_DEPTH, readout=readout),
        "ResCNN": ResCNN(_DEPTH, readout=readout),
    }
    if family not in made:
        raise SkipbenchError(unknown_name("family", family, made))
    return made[family]


def digits(family: str, n: int) -> Dataset:
    """n handwritten digits of 8 x 8 pixels: images for a convolutional family, vectors for a dense one."""
    return load("digits-images" if family in CONVOLUTIONAL_FAMILIES else "digits", n=n)


def digits_gram(family: str, n: int) -> Tensor:
    """The NTK matrix of n digits, (n, n), float64."""
    return kernel_matrices(architecture(family), digits(family, n).inputs)[1]


def peer_case(name: str, engine: str) -> tuple[Architecture, Tensor, Tensor]:
    """Architecture and two different sets of inputs, standard normal float32, of one of `PEER_CASES`.

    Raises NotImplementedError, by which asv skips a benchmark, where the engine cannot run it here.
    """
    arch, shape, n = PEER_CASES[name]
    try:
        engine_for(engine, arch, torch.device("cpu"), torch.float32)
    except SkipbenchError as error:
        raise NotImplementedError(str(error)) from error
    generator = torch.Generator().manual_seed(0)
    x, z = (torch.randn(n, *shape, generator=generator) for _ in range(2))
    return arch, x, z


def one_hot(dataset: Dataset) -> Tensor:
    """The labels one-hot minus 1/classes, (n, classes), float64."""
    classes = len(dataset.classes)
    return torch.from_numpy(np.eye(classes)[dataset.labels] - 1.0 / classes)
