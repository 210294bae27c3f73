"""How layers are joined: in a chain, with skip connections, or each to all before it. The layers may be dense or convolutional.

What a topology does not say is the layers' fan-in, gain and padding: `dense.py` and `convolutional.py` choose these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class PlainNetwork(nn.Module):
    """f = R s(h_L), h_1 = W_1 x, h_(l+1) = W_(l+1) s(h_l), with s the ReLU. `layers`: W_1 .. W_L, `readout`: R."""

    def __init__(self, layers: Sequence[nn.Module], readout: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.readout = readout

    def forward(self, x: Tensor) -> Tensor:
        """Inputs to (n, outputs)."""
        for layer in self.layers:
            x = torch.relu(layer(x))
        outputs: Tensor = self.readout(x)
        return outputs


class Branch(nn.Module):
    """y ↦ W_m s(... s(W_2 s(W_1 y))): one weight layer more than ReLUs, none before the first."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, y: Tensor) -> Tensor:
        """As many units or channels out as in."""
        for index, layer in enumerate(self.layers):
            y = layer(y if index == 0 else torch.relu(y))
        return y


class ResidualNetwork(nn.Module):
    """f = R y_L, y_0 = W_0 x, y_l = y_(l-1) + α branch_l(y_(l-1)).

    train_ends: where it is False, W_0 with its bias and R stay at their initial values (`requires_grad` is False).
    """

    def __init__(self, first: nn.Module, branches: Sequence[Branch], readout: nn.Module, *, alpha: float, train_ends: bool = True) -> None:
        super().__init__()
        self.first = first.requires_grad_(train_ends)
        self.branches = nn.ModuleList(branches)
        self.readout = readout.requires_grad_(train_ends)
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        """Inputs to (n, outputs)."""
        y: Tensor = self.first(x)
        for branch in self.branches:
            y = torch.add(y, branch(y), alpha=self.alpha)
        outputs: Tensor = self.readout(y)
        return outputs


class DenselyConnectedNetwork(nn.Module):
    """f = R y_L, y_0 = W_0 x, y_l = sqrt(α / (n l)) Σ_(h<l) W_(l,h) q_h, q_h = sqrt(2) s(y_h), after Littwin et al. 2020.

    The l matrices of layer l stand side by side in one layer of fan-in n l, whose gain is sqrt(2 α).
    """

    def __init__(self, first: nn.Module, layers: Sequence[nn.Module], readout: nn.Module) -> None:
        super().__init__()
        self.first = first
        self.layers = nn.ModuleList(layers)
        self.readout = readout

    def forward(self, x: Tensor) -> Tensor:
        """Inputs to (n, outputs)."""
        y: Tensor = self.first(x)
        activations: list[Tensor] = []
        for layer in self.layers:
            activations.append(torch.relu(y))
            y = layer(torch.cat(activations, dim=1))
        outputs: Tensor = self.readout(y)
        return outputs


def densely_connected_gain(alpha: float) -> float:
    """sqrt(2 α): the factor that a layer over concatenated ReLUs needs beside 1 / sqrt(n l)."""
    return math.sqrt(2.0 * alpha)
