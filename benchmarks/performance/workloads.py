"""The fixed architectures and data that the benchmarks work on: scikit-learn's bundled sets, so that every machine has them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from skipbench.architecture import CNN, MLP, Architecture, DenseMLP, Readout, ResCNN, ResMLP
from skipbench.checks import SkipbenchError, unknown_name
from skipbench.datasets import Dataset, load
from skipbench.kernels import kernel_matrices

DENSE_FAMILIES = ("MLP", "ResMLP", "DenseMLP")
CONVOLUTIONAL_FAMILIES = ("CNN", "ResCNN")
FAMILIES = (*DENSE_FAMILIES, *CONVOLUTIONAL_FAMILIES)
_DEPTH, _BIAS = 3, 0.1


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


def one_hot(dataset: Dataset) -> Tensor:
    """The labels one-hot minus 1/classes, (n, classes), float64."""
    classes = len(dataset.classes)
    return torch.from_numpy(np.eye(classes)[dataset.labels] - 1.0 / classes)
