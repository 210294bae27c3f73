"""Networks as practitioners build them: standard parametrisation, He's initialisation, batch norm; with skips, or the same without.

After He et al. 2016 (arXiv 1512.03385): blocks of two layers, three stages, and skips without parameters, so that a network with and
one without skips have the very same parameters, and, for one seed, the same initial values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from skipbench.trainers.networks.layers import RELU_GAIN, StandardNormal
from skipbench.trainers.networks.slices import EVALUATION_ROWS

STAGES = 3
NAMED_BLOCKS = (3, 5, 7, 9, 18)  # a stage's in the networks that He et al. trained on CIFAR-10: ResNet-20, 32, 44, 56, 110
SMALLEST_SIDE_HALVED = 8  # a stage halves an image whose shorter side has at least so many pixels


class Skip(nn.Module):
    """y in the shape of the block's output: every `stride`-th pixel, and channels of zeros for those that it lacks. No parameters."""

    def __init__(self, stride: int, missing_channels: int) -> None:
        super().__init__()
        self.stride = stride
        self.missing_channels = missing_channels

    def forward(self, y: Tensor) -> Tensor:
        """(n, channels, height, width), or (n, units), which stay as they are."""
        if self.stride > 1:
            y = y[:, :, :: self.stride, :: self.stride]
        return functional.pad(y, (0, 0, 0, 0, 0, self.missing_channels)) if self.missing_channels else y


class Block(nn.Module):
    """y ↦ s(skip(y) + N W_2 s(N W_1 y)), s the ReLU, N batch norm, each its own; without a skip the first term is left out."""

    def __init__(self, first: nn.Module, second: nn.Module, skip: Skip | None) -> None:
        super().__init__()
        self.first, self.second, self.skip = first, second, skip

    def forward(self, y: Tensor) -> Tensor:
        """(n, channels, ...) to the shape of the block's output."""
        branch = self.second(torch.relu(self.first(y)))
        return torch.relu(branch if self.skip is None else self.skip(y) + branch)


class BatchNormalisedNetwork(nn.Module):
    """f = R mean_pixels(y_L) + b, y_0 = s(N W_0 x), y_l = block_l(y_(l-1)); vectors have no pixels to average over."""

    def __init__(self, first: nn.Module, blocks: Sequence[Block], readout: nn.Linear) -> None:
        super().__init__()
        self.first = first
        self.blocks = nn.Sequential(*blocks)
        self.readout = readout

    def forward(self, x: Tensor) -> Tensor:
        """Inputs to (n, outputs)."""
        y: Tensor = self.blocks(torch.relu(self.first(x)))
        outputs: Tensor = self.readout(y.flatten(2).mean(dim=2) if y.ndim == 4 else y)
        return outputs


def build_practical_network(
    *,
    residual: bool,
    blocks: int,
    width: int,
    input_shape: Sequence[int],
    outputs: int,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> BatchNormalisedNetwork:
    """Three stages of `blocks` blocks each, from (n, *input_shape) to (n, outputs), on the CPU.

    input_shape (channels, height, width): 3 x 3 convolutions, `width` channels in the first stage, twice as many in the second and four
    times in the third, each of which also halves the image's sides where the shorter one has 8 pixels or more. (d,): dense layers of
    `width` units in every stage. Weights are N(0, 2 / fan_in), those of the readout N(0, 1 / fan_in), from a generator seeded with `seed`;
    batch norm starts as the identity. Nothing but the skips depends on `residual`.
    """
    normal = StandardNormal(int(seed), dtype)
    is_image = len(input_shape) == 3
    side = min(input_shape[1:]) if is_image else 0
    first, units = _layer(input_shape[0], width, normal, is_image=is_image), width
    chain = []
    for stage in range(STAGES):
        wanted = width * 2**stage if is_image else width
        for index in range(blocks):
            stride = 2 if stage > 0 and index == 0 and side >= SMALLEST_SIDE_HALVED else 1
            skip = Skip(stride, wanted - units) if residual else None
            entry = _layer(units, wanted, normal, is_image=is_image, stride=stride)
            chain.append(Block(entry, _layer(wanted, wanted, normal, is_image=is_image), skip))
            side, units = -(-side // stride), wanted
    readout = nn.Linear(units, outputs, device="meta")
    readout.weight = _scaled(normal.draw(outputs, units), 1 / math.sqrt(units))
    readout.bias = nn.Parameter(torch.zeros(outputs, dtype=dtype))
    return BatchNormalisedNetwork(first, chain, readout)


def layers(blocks: int) -> int:
    """Layers with weights on the longest way through the network: two a block, the first one, and the readout."""
    return 2 * STAGES * blocks + 2


def calibrate(network: nn.Module, inputs: Tensor) -> None:
    """Set the means and variances that batch norm uses in evaluation to those of these inputs, at the present weights.

    inputs: (n, ...) with n of at least 2; of more than 2048, as many evenly spaced ones. Without it an evaluation before or soon after the
    first step would see the constants 0 and 1, whatever the data. Leaves the network in the mode in which it was.
    """
    rows = inputs[:: -(-len(inputs) // EVALUATION_ROWS)]
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    momenta, mode = [norm.momentum for norm in norms], network.training
    for norm in norms:
        norm.momentum = 1.0  # what is measured replaces what was there
    with torch.no_grad():
        network.train()(rows)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.train(mode)


def _layer(fan_in: int, fan_out: int, normal: StandardNormal, *, is_image: bool, stride: int = 1) -> nn.Sequential:
    """A weight layer without bias, which batch norm would take out again, and its batch norm.

    On the device "meta" torch draws nothing, so its global generator stays untouched; the weights are replaced by our own.
    """
    draw = (fan_out, fan_in, 3, 3) if is_image else (fan_out, fan_in)
    weight = normal.draw(*draw)
    weights: nn.Conv2d | nn.Linear
    if is_image:
        weights = nn.Conv2d(fan_in, fan_out, 3, stride=stride, padding=1, bias=False, device="meta")
    else:
        weights = nn.Linear(fan_in, fan_out, bias=False, device="meta")
    weights.weight = _scaled(weight, RELU_GAIN / math.sqrt(weight[0].numel()))
    norm = nn.BatchNorm2d if is_image else nn.BatchNorm1d
    return nn.Sequential(weights, norm(fan_out, dtype=weight.dtype))


def _scaled(parameter: nn.Parameter, factor: float) -> nn.Parameter:
    return nn.Parameter(parameter.detach() * factor)
