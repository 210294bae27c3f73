"""The convolutional networks: CNN and ResCNN of a given number of channels, finite twins of their kernels."""

from __future__ import annotations

from torch import nn

from skipbench.architecture import CNN, ConvolutionalArchitecture, ResCNN
from skipbench.trainers.networks.layers import RELU_GAIN, ConvolutionalReadout, NTKConvolution, StandardNormal
from skipbench.trainers.networks.topologies import Branch, PlainNetwork, ResidualNetwork


def convolutional_network(
    arch: ConvolutionalArchitecture, input_shape: tuple[int, int, int], width: int, outputs: int, normal: StandardNormal
) -> nn.Module:
    """The network of `arch` with `width` channels, from images (n, *input_shape) to (n, outputs)."""
    if isinstance(arch, CNN):
        return _plain(arch, input_shape, width, outputs, normal)
    return _residual(arch, input_shape, width, outputs, normal)


def _plain(arch: CNN, input_shape: tuple[int, int, int], width: int, outputs: int, normal: StandardNormal) -> nn.Module:
    channels, *image_size = input_shape
    layers = [_convolution(arch, channels, width, normal)]
    layers += [_convolution(arch, width, width, normal, gain=RELU_GAIN) for _ in range(arch.depth - 1)]
    return PlainNetwork(layers, ConvolutionalReadout(width, image_size, outputs, normal, readout=arch.readout, gain=RELU_GAIN))


def _residual(arch: ResCNN, input_shape: tuple[int, int, int], width: int, outputs: int, normal: StandardNormal) -> nn.Module:
    channels, *image_size = input_shape
    first = NTKConvolution(channels, width, 1, normal, bias=arch.bias)
    branches = [
        Branch([_convolution(arch, width, width, normal, gain=RELU_GAIN if layer else 1.0) for layer in range(arch.branch_depth)])
        for _ in range(arch.depth)
    ]
    readout = ConvolutionalReadout(width, image_size, outputs, normal, readout=arch.readout)
    return ResidualNetwork(first, branches, readout, alpha=arch.alpha_value, train_ends=arch.train_ends)


def _convolution(
    arch: ConvolutionalArchitecture, channels_in: int, channels_out: int, normal: StandardNormal, *, gain: float = 1.0
) -> NTKConvolution:
    return NTKConvolution(channels_in, channels_out, arch.filter_size, normal, padding=arch.padding, gain=gain, bias=arch.bias)
