"""Layers in NTK parametrisation: weights and biases are standard normal, their scale factors stand in the forward pass.

A layer with fan-in n computes gain / sqrt(n) W x + bias b, with gain sqrt(2) behind a ReLU and 1 elsewhere, so the variance of
what it passes on, and the kernel of its gradients, have a limit as the width grows (Jacot et al. 2018, arXiv 1806.07572).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from skipbench.architecture import Padding, Readout

RELU_GAIN = math.sqrt(2.0)  # E[relu(u)²] = E[u²] / 2 for a centred normal u


class StandardNormal:
    """Parameters drawn N(0, 1) one after the other from a generator of their own, so that the global one is never touched."""

    def __init__(self, seed: int, dtype: torch.dtype = torch.float32) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._dtype = dtype

    def draw(self, *shape: int) -> nn.Parameter:
        """One parameter of this shape. Drawn in float64 and rounded: float32 and float64 networks of one seed are the same."""
        return nn.Parameter(torch.randn(shape, generator=self._generator, dtype=torch.float64).to(self._dtype))


class NTKLinear(nn.Module):
    """x ↦ gain / sqrt(fan_in) W x + bias b. x: (n, fan_in). Without a parameter b where bias is 0."""

    def __init__(self, fan_in: int, fan_out: int, normal: StandardNormal, *, gain: float = 1.0, bias: float = 0.0) -> None:
        super().__init__()
        self.scale = gain / math.sqrt(fan_in)
        self.bias_scale = bias
        self.weight = normal.draw(fan_out, fan_in)
        self.bias = normal.draw(fan_out) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """(n, fan_in) to (n, fan_out)."""
        return functional.linear(x, self.scale * self.weight, scaled_bias(self.bias, self.bias_scale))


class NTKConvolution(nn.Module):
    """x ↦ gain / sqrt(q² channels) (W * x) + bias b with a q x q filter, keeping the image's size. x: (n, channels, height, width).

    Padding `zero` puts zeros around the image; `circular` takes offsets modulo the side, so a filter larger than the image meets
    some pixels several times.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        filter_size: int,
        normal: StandardNormal,
        *,
        padding: Padding = "zero",
        gain: float = 1.0,
        bias: float = 0.0,
    ) -> None:
        super().__init__()
        self.reach = filter_size // 2
        self.padding = padding
        self.scale = gain / math.sqrt(filter_size**2 * channels_in)
        self.bias_scale = bias
        self.weight = normal.draw(channels_out, channels_in, filter_size, filter_size)
        self.bias = normal.draw(channels_out) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels_in, height, width) to (n, channels_out, height, width)."""
        weight, bias = self.scale * self.weight, scaled_bias(self.bias, self.bias_scale)
        if self.padding == "zero":
            return functional.conv2d(x, weight, bias, padding=self.reach)
        return functional.conv2d(wrap(x, self.reach), weight, bias)


class ConvolutionalReadout(nn.Module):
    """A linear map of the last field to the outputs: `eq` from the centre pixel, `tr` with own weights per pixel, `gap` from the mean.

    x: (n, channels, height, width). `tr` is scaled 1 / sqrt(channels pixels), the others 1 / sqrt(channels). No bias.
    """

    def __init__(
        self, channels: int, image_size: Sequence[int], outputs: int, normal: StandardNormal, *, readout: Readout, gain: float = 1.0
    ) -> None:
        super().__init__()
        self.readout = readout
        pixels = math.prod(image_size) if readout == "tr" else 1
        self.linear = NTKLinear(channels * pixels, outputs, normal, gain=gain)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, height, width) to (n, outputs)."""
        outputs: Tensor = self.linear(self._features(x))
        return outputs

    def _features(self, x: Tensor) -> Tensor:
        if self.readout == "eq":
            return x[:, :, x.shape[-2] // 2, x.shape[-1] // 2]
        return x.flatten(1) if self.readout == "tr" else x.mean(dim=(-2, -1))


def scaled_bias(bias: Tensor | None, scale: float) -> Tensor | None:
    """bias times its scale, or None where a layer has none."""
    return None if bias is None else scale * bias


def wrap(x: Tensor, reach: int) -> Tensor:
    """The image continued periodically by `reach` pixels on each side, with offsets modulo the side.

    torch's own padding is twice as fast but refuses to wrap more than once, so a larger reach goes by index.
    """
    if reach <= min(x.shape[-2:]):
        return functional.pad(x, (reach, reach, reach, reach), mode="circular")
    for dim in (-2, -1):
        side = x.shape[dim]
        x = x.index_select(dim, torch.arange(-reach, side + reach, device=x.device) % side)
    return x
