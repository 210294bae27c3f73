"""From an architecture to its finite twin: the checks, and the choice of the family."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from skipbench.architecture import ARCHITECTURES, CNN, Architecture, ResCNN
from skipbench.checks import SkipbenchError, shown
from skipbench.trainers.networks.convolutional import convolutional_network
from skipbench.trainers.networks.dense import dense_network
from skipbench.trainers.networks.layers import StandardNormal

DTYPES = (torch.float32, torch.float64)


def build_network(
    arch: Architecture, *, width: int, input_shape: Sequence[int], outputs: int, seed: int = 0, dtype: torch.dtype = torch.float32
) -> nn.Module:
    """The finite network of an architecture in NTK parametrisation, whose tangent kernel tends to `arch`'s as the width grows.

    Every weight and bias is N(0, 1) from a generator seeded with `seed`; scale factors stand in the forward pass.

    width: hidden units or channels. input_shape: (d,) for MLP, ResMLP and DenseMLP, (channels, height, width) for CNN and ResCNN.
    Returns a module on the CPU from (n, *input_shape) to (n, outputs). Raises SkipbenchError for a width, shape, number of
    outputs, seed or dtype that makes no network.
    """
    if not isinstance(arch, tuple(ARCHITECTURES.values())):
        raise SkipbenchError(f"build_network: arch={shown(arch)} is no architecture: use one of {', '.join(ARCHITECTURES)}")
    check_count("build_network", "width", width, "width counts hidden units or channels")
    check_count("build_network", "outputs", outputs, "a network has as many outputs as there are classes")
    check_seed("build_network", seed)
    if dtype not in DTYPES:
        raise SkipbenchError(f"build_network: dtype={shown(dtype)}, but networks are built in torch.float32 or torch.float64")
    shape = checked_input_shape(arch, input_shape)
    normal = StandardNormal(int(seed), dtype)
    if isinstance(arch, CNN | ResCNN):
        channels, height, columns = shape
        return convolutional_network(arch, (channels, height, columns), int(width), int(outputs), normal)
    return dense_network(arch, shape[0], int(width), int(outputs), normal)


def checked_input_shape(arch: Architecture, input_shape: Sequence[int]) -> tuple[int, ...]:
    """`input_shape` as a tuple of ints, refused where it is not of the kind that `arch` reads."""
    family = type(arch).__name__
    wanted = "images, input_shape=(channels, height, width)" if arch.is_convolutional else "vectors, input_shape=(d,)"
    if isinstance(input_shape, str) or not isinstance(input_shape, Sequence):
        raise SkipbenchError(f"{family}: input_shape={shown(input_shape)}, but it reads {wanted}")
    if not all(_is_count(side) for side in input_shape):
        raise SkipbenchError(f"{family}: input_shape={shown(input_shape)}, but every side is a whole number of at least 1: give {wanted}")
    shape = tuple(int(side) for side in input_shape)
    if len(shape) != (3 if arch.is_convolutional else 1):
        found = {1: "vectors", 3: "images"}.get(len(shape), f"arrays of {len(shape)} axes")
        use = "MLP, ResMLP or DenseMLP" if arch.is_convolutional else "CNN or ResCNN, or flatten them"
        raise SkipbenchError(f"{family} reads {wanted}, but got {found} of shape {shape}: use {use}")
    return shape


def check_count(where: str, name: str, value: Any, meaning: str) -> None:
    """Refuse what is not a whole number of at least 1."""
    if not _is_count(value):
        raise SkipbenchError(f"{where}: {name}={shown(value)}, but {meaning}: use a whole number of at least 1")


def check_seed(where: str, seed: Any) -> None:
    """Refuse what torch cannot seed a generator with."""
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or not 0 <= int(seed) < 2**63:
        raise SkipbenchError(f"{where}: seed={shown(seed)}, but a seed is a whole number from 0 to 2**63 - 1")


def _is_count(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) >= 1
