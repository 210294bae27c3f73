"""The default step size against eigenvalues of the whole tangent matrix."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from skipbench.architecture import CNN, MLP, ResCNN, ResMLP
from skipbench.trainers import build_network
from skipbench.trainers.empirical_ntk import NetworkJacobian
from skipbench.trainers.networks.learning_rate import MAX_ROWS, default_learning_rate, largest_eigenvalue, largest_ritz_value

CASES = [
    (MLP(depth=3, bias=0.5), (5,)),
    (ResMLP(depth=2, train_ends=False), (5,)),
    (CNN(depth=2, readout="tr"), (2, 4, 3)),
    (ResCNN(depth=1, padding="circular"), (2, 4, 3)),
]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tangent_matrix(network: nn.Module, x: Tensor, outputs: int) -> Tensor:
    """J J^T over all rows and outputs, (n outputs, n outputs)."""
    parts = NetworkJacobian(network).rows(x, 0, outputs)
    jacobian = torch.cat([part.reshape(len(x) * outputs, -1) for part in parts], dim=1)
    return jacobian @ jacobian.T


@pytest.mark.parametrize(("arch", "shape"), CASES)
def test_the_largest_eigenvalue_of_the_tangent_matrix_is_found_without_forming_it(arch, shape):
    network = build_network(arch, width=16, input_shape=shape, outputs=3, dtype=torch.float64)
    x = torch.randn(20, *shape, generator=generator(), dtype=torch.float64)
    exact = float(torch.linalg.eigvalsh(tangent_matrix(network, x, 3))[-1])
    found = largest_eigenvalue(network, x, generator=generator(1))
    assert 0.98 * exact <= found <= exact * (1 + 1e-9)  # Ritz values come from below; the iteration ends at 0.3 % gain


@pytest.mark.parametrize(("loss", "factor"), [("mse", 1.0), ("cross_entropy", 2.0)])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_full_batch_rate_is_n_over_the_largest_eigenvalue_and_twice_that_for_cross_entropy(loss, factor, momentum):
    network = build_network(MLP(depth=2), width=32, input_shape=(5,), outputs=3, dtype=torch.float64)
    x = torch.randn(30, 5, generator=generator(), dtype=torch.float64)
    exact = 30 / float(torch.linalg.eigvalsh(tangent_matrix(network, x, 3))[-1])
    for batch_size in (None, 30, 100):
        rate = default_learning_rate(network, x, loss=loss, momentum=momentum, batch_size=batch_size, seed=0)
        if batch_size is None:
            assert rate == pytest.approx(factor * exact, rel=0.02)
        else:
            assert rate <= factor * exact * 1.02


def test_mini_batches_get_a_smaller_rate_and_momentum_takes_its_share():
    network = build_network(MLP(depth=2), width=32, input_shape=(5,), outputs=3)
    x = torch.randn(64, 5, generator=generator())
    whole = default_learning_rate(network, x, loss="mse", momentum=0.0, batch_size=None, seed=0)
    batches = default_learning_rate(network, x, loss="mse", momentum=0.0, batch_size=8, seed=0)
    heavy = default_learning_rate(network, x, loss="mse", momentum=0.9, batch_size=8, seed=0)
    assert batches < whole
    assert heavy == pytest.approx(0.1 * batches)


def test_many_rows_are_estimated_from_a_part_of_them():
    network = build_network(MLP(depth=1), width=32, input_shape=(5,), outputs=2)
    x = torch.randn(8 * MAX_ROWS, 5, generator=generator())
    seen = []
    network.register_forward_pre_hook(lambda module, arguments: seen.append(len(arguments[0])))
    rate = default_learning_rate(network, x, loss="mse", momentum=0.0, batch_size=None, seed=0)
    assert seen == [MAX_ROWS]
    all_rows = len(x) / largest_eigenvalue(network, x, generator=generator())
    assert rate == pytest.approx(all_rows, rel=0.25)  # sampling error of a 256-row mean, about 1/16, with room


def test_the_rate_is_seeded_and_leaves_the_global_generator_and_the_gradients_alone():
    network = build_network(MLP(depth=2), width=16, input_shape=(5,), outputs=2)
    x = torch.randn(40, 5, generator=generator())
    state = torch.get_rng_state()
    rates = {default_learning_rate(network, x, loss="mse", momentum=0.0, batch_size=4, seed=seed) for seed in (3, 3, 4)}
    assert len(rates) == 2
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_network_without_gradient_gets_a_finite_rate():
    network = build_network(MLP(depth=2), width=4, input_shape=(3,), outputs=2)
    assert default_learning_rate(network, torch.zeros(5, 3), loss="mse", momentum=0.0, batch_size=None, seed=0) == 5.0


def test_the_ritz_value_is_exact_where_the_krylov_space_is_exhausted():
    matrix = torch.diag(torch.tensor([3.0, 3.0, 3.0, 5.0], dtype=torch.float64))
    start = torch.ones(4, dtype=torch.float64)
    assert largest_ritz_value(lambda v: matrix @ v, start) == pytest.approx(5.0, rel=1e-12)
    assert largest_ritz_value(lambda v: 0 * v, start) == 0.0
    assert largest_ritz_value(lambda v: 7 * v, start[:1]) == pytest.approx(7.0, rel=1e-12)
