"""The fully connected networks: MLP, ResMLP and DenseMLP of a given width, finite twins of their kernels."""

from __future__ import annotations

from torch import nn

from skipbench.architecture import MLP, DenseArchitecture, DenseMLP, ResMLP
from skipbench.trainers.networks.layers import RELU_GAIN, NTKLinear, StandardNormal
from skipbench.trainers.networks.topologies import (
    Branch,
    DenselyConnectedNetwork,
    PlainNetwork,
    ResidualNetwork,
    densely_connected_gain,
)


def dense_network(arch: DenseArchitecture, dimension: int, width: int, outputs: int, normal: StandardNormal) -> nn.Module:
    """The network of `arch` with `width` hidden units, from vectors (n, dimension) to (n, outputs)."""
    if isinstance(arch, MLP):
        return _plain(arch, dimension, width, outputs, normal)
    if isinstance(arch, ResMLP):
        return _residual(arch, dimension, width, outputs, normal)
    return _densely_connected(arch, dimension, width, outputs, normal)


def _plain(arch: MLP, dimension: int, width: int, outputs: int, normal: StandardNormal) -> nn.Module:
    layers = [NTKLinear(dimension, width, normal, bias=arch.bias)]
    layers += [NTKLinear(width, width, normal, gain=RELU_GAIN, bias=arch.bias) for _ in range(arch.depth - 1)]
    return PlainNetwork(layers, NTKLinear(width, outputs, normal, gain=RELU_GAIN))


def _residual(arch: ResMLP, dimension: int, width: int, outputs: int, normal: StandardNormal) -> nn.Module:
    first = NTKLinear(dimension, width, normal, bias=arch.bias)
    branches = [
        Branch([NTKLinear(width, width, normal, gain=RELU_GAIN if layer else 1.0, bias=arch.bias) for layer in range(arch.branch_depth)])
        for _ in range(arch.depth)
    ]
    readout = NTKLinear(width, outputs, normal)
    return ResidualNetwork(first, branches, readout, alpha=arch.alpha_value, train_ends=arch.train_ends)


def _densely_connected(arch: DenseMLP, dimension: int, width: int, outputs: int, normal: StandardNormal) -> nn.Module:
    first = NTKLinear(dimension, width, normal)
    gain = densely_connected_gain(arch.alpha_value)
    layers = [NTKLinear(index * width, width, normal, gain=gain) for index in range(1, arch.depth + 1)]
    return DenselyConnectedNetwork(first, layers, NTKLinear(width, outputs, normal))
