"""The empirical tangent kernel against Jacobians taken row by row with plain autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import convolutional_architectures, dense_architectures, images, vectors
from torch import nn

from skipbench.architecture import CNN, MLP, ResCNN, ResMLP
from skipbench.checks import SkipbenchError
from skipbench.trainers import build_network, empirical_ntk
from skipbench.trainers.empirical_ntk import NetworkJacobian


def jacobian(network: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """(n, outputs, parameters), one backward pass per entry."""
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    rows = []
    for row in x:
        outputs = network(row[None])[0]
        gradients = [torch.autograd.grad(value, trainable, retain_graph=True) for value in outputs]
        rows.append(torch.stack([torch.cat([part.flatten() for part in gradient]) for gradient in gradients]))
    return torch.stack(rows)


def written_out(network: nn.Module, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    left, right = jacobian(network, x), jacobian(network, z)
    return torch.einsum("icp,jcp->ij", left, right) / left.shape[1]


@settings(max_examples=25, deadline=None)
@given(data=st.data(), outputs=st.integers(1, 3), batch_size=st.sampled_from([None, 1, 2, 7]), memory=st.sampled_from([1, 2**28]))
def test_it_is_the_jacobian_times_itself_averaged_over_outputs_however_it_is_batched(data, outputs, batch_size, memory):
    arch = data.draw(st.one_of(dense_architectures(), convolutional_architectures()))
    rows = data.draw(images(n=5) if arch.is_convolutional else vectors(n=5))
    network = build_network(arch, width=3, input_shape=rows.shape[1:], outputs=outputs, dtype=torch.float64)
    x, z = torch.from_numpy(rows[:3]), torch.from_numpy(rows[3:])
    expected = written_out(network, x, z)
    found = empirical_ntk(network, x, z, batch_size=batch_size, memory_bytes=memory)
    assert found.shape == (3, 2)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9 * float(expected.abs().max()))  # sums in another order


@pytest.mark.parametrize("batch_size", [None, 1, 2, 3])
def test_it_is_exactly_symmetric_and_positive_semidefinite_without_z(batch_size):
    network = build_network(ResCNN(depth=2, bias=0.3), width=8, input_shape=(2, 3, 4), outputs=3)
    x = torch.randn(7, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    gram = empirical_ntk(network, x, batch_size=batch_size)
    assert torch.equal(gram, gram.T)
    assert gram.dtype == torch.float32
    assert torch.linalg.eigvalsh(gram.double())[0] > -1e-5 * gram.trace()  # float32 products
    torch.testing.assert_close(gram, empirical_ntk(network, x, x.clone()), rtol=1e-5, atol=1e-5 * float(gram.max()))


def test_frozen_layers_do_not_count():
    arch = ResMLP(depth=2, train_ends=False)
    network = build_network(arch, width=5, input_shape=(4,), outputs=2, dtype=torch.float64)
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    frozen = empirical_ntk(network, x)
    torch.testing.assert_close(frozen, written_out(network, x, x), rtol=1e-10, atol=1e-12)
    thawed = empirical_ntk(network.requires_grad_(True), x)
    assert torch.linalg.eigvalsh(thawed - frozen)[0] > -1e-9  # more parameters only add to it
    assert (thawed - frozen).diagonal().min() > 0.1


def test_any_module_has_one_and_keeps_its_mode_gradients_and_weights():
    generator = torch.Generator().manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Tanh(), nn.Linear(6, 2)).double()
    x = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    gram = empirical_ntk(network.train(), x)
    assert network.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    torch.testing.assert_close(gram, written_out(network.eval(), x, x), rtol=1e-10, atol=1e-12)


def test_of_a_linear_model_it_is_the_inner_product_and_a_bias_adds_1():
    x, z = np.random.default_rng(0).normal(size=(2, 5, 3))
    torch.testing.assert_close(empirical_ntk(nn.Linear(3, 4).double(), x, z), torch.from_numpy(x @ z.T + 1), rtol=1e-12, atol=1e-12)


def test_shared_parameters_and_a_single_output_without_its_own_axis_are_understood():
    class Doubled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(3, 1, bias=False).double()
            self.second = self.first

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (self.first(x) + self.second(x)).squeeze(1)

    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(empirical_ntk(Doubled(), x), 4 * x @ x.T, rtol=1e-12, atol=1e-12)


def test_blocks_hold_no_more_jacobian_rows_than_the_memory_allows(monkeypatch):
    network = build_network(CNN(depth=2), width=4, input_shape=(1, 3, 3), outputs=5)
    jacobians = []
    original = NetworkJacobian.rows

    def watched(self, x, first, last):
        block = original(self, x, first, last)
        jacobians.append(sum(part.nbytes for part in block))
        return block

    monkeypatch.setattr(NetworkJacobian, "rows", watched)
    row_bytes = 4 * NetworkJacobian(network).n_parameters
    for pairs in (1, 4, 40):
        jacobians.clear()
        empirical_ntk(network, torch.ones(9, 1, 3, 3), memory_bytes=2 * pairs * row_bytes)
        assert max(jacobians) <= pairs * row_bytes


def test_no_rows_give_an_empty_matrix():
    network = build_network(MLP(depth=1), width=4, input_shape=(3,), outputs=2)
    assert empirical_ntk(network, torch.zeros(0, 3)).shape == (0, 0)
    assert empirical_ntk(network, torch.zeros(0, 3), torch.zeros(2, 3)).shape == (0, 2)


def test_a_network_without_trainable_parameters_is_refused():
    network = build_network(MLP(depth=1), width=4, input_shape=(3,), outputs=2).requires_grad_(False)
    with pytest.raises(SkipbenchError, match="no parameter of this network is trainable"):
        empirical_ntk(network, torch.zeros(1, 3))


@pytest.mark.parametrize("batch_size", [0, -1, 2.5])
def test_a_batch_below_one_row_is_refused(batch_size):
    with pytest.raises(SkipbenchError, match=r"empirical_ntk: batch_size="):
        empirical_ntk(nn.Linear(3, 1), torch.zeros(1, 3), batch_size=batch_size)
