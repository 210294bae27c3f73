"""The tangent kernel by layers against the one from Jacobians."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from skipbench.architecture import CNN, MLP, DenseMLP, ResCNN, ResMLP
from skipbench.checks import SkipbenchError
from skipbench.trainers import build_network, empirical_ntk
from skipbench.trainers.networks.layer_kernels import tangent_kernel

ARCHITECTURES = [
    MLP(depth=3, bias=0.4),
    ResMLP(depth=2, alpha=0.7, bias=0.3),
    ResMLP(depth=2, train_ends=False),
    DenseMLP(depth=3),
    *(CNN(depth=2, readout=readout, bias=0.5) for readout in ("eq", "tr", "gap")),
    CNN(depth=1, padding="circular", filter_size=7),  # wraps more than once around 3 x 4 pixels
    CNN(depth=1, filter_size=1, padding="circular"),
    ResCNN(depth=1, alpha=0.8, padding="circular", bias=0.2),
    ResCNN(depth=1, readout="tr", train_ends=False),
]


def rows(arch):
    shape = (5, 2, 3, 4) if arch.is_convolutional else (5, 3)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("arch", ARCHITECTURES, ids=lambda arch: arch.label)
def test_it_is_the_empirical_ntk(arch):
    x = rows(arch)
    network = build_network(arch, width=6, input_shape=x.shape[1:], outputs=3, seed=2)
    expected = empirical_ntk(network, x, dtype=torch.float64)
    found = tangent_kernel(network, x)
    # the same sums in another order, in float64
    assert torch.allclose(found, expected, rtol=1e-12, atol=1e-12 * float(expected.abs().max()))
    assert torch.equal(found, found.T)


@pytest.mark.parametrize("arch", [CNN(depth=2, bias=0.5), ResCNN(depth=1, readout="tr")], ids=lambda arch: arch.label)
def test_blocks_of_one_row_give_the_same(arch):
    x = rows(arch)
    network = build_network(arch, width=6, input_shape=x.shape[1:], outputs=2)
    assert torch.allclose(tangent_kernel(network, x, memory_bytes=1), tangent_kernel(network, x), rtol=1e-13)


def test_the_network_stays_as_it_was():
    network = build_network(MLP(depth=1), width=4, input_shape=(3,), outputs=2)
    with torch.no_grad():
        gram = tangent_kernel(network, torch.ones(2, 3))
    assert gram.dtype == torch.float64
    assert next(network.parameters()).dtype == torch.float32
    assert all(parameter.grad is None for parameter in network.parameters())
    assert network.readout._forward_hooks == {}


def test_other_layers_go_through_their_jacobian():
    network = nn.Sequential(nn.Linear(3, 2, bias=False))
    x = torch.eye(3)
    assert torch.allclose(tangent_kernel(network, x), torch.eye(3, dtype=torch.float64))
    with pytest.raises(SkipbenchError, match="no parameter of this network is trainable"):
        tangent_kernel(network.requires_grad_(False), x)
