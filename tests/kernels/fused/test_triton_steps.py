"""The tables that the GPU code reads hold the program's numbers, with the sums over the filter in the place of averages."""

from __future__ import annotations

import pytest
import torch

from skipbench.architecture import CNN, MLP, DenseMLP, ResCNN, ResMLP
from skipbench.kernels.engines.fused.bundles import bundles
from skipbench.kernels.engines.fused.triton_steps import steps_of

CPU = torch.device("cpu")


def steps(*archs, channels=1):
    (bundle,) = bundles(archs)
    return steps_of(bundle, (channels, 4, 4) if archs[0].is_convolutional else (4,), CPU)


@pytest.mark.parametrize(
    ("arch", "n_inner", "averages", "reads_first", "is_linear"),
    [
        (MLP(3), 0, 1, False, False),
        (CNN(3), 0, 1, False, False),
        (ResCNN(3), 0, 2, True, False),
        (ResCNN(3, branch_depth=4), 2, 2, True, False),
        (ResMLP(3, branch_depth=3), 1, 2, True, False),
        (DenseMLP(3), 0, 0, False, False),
    ],
    ids=repr,
)
def test_blocks_of_every_family_have_their_shape(arch, n_inner, averages, reads_first, is_linear):
    found = steps(arch)
    assert (found.n_inner, found.averages, found.reads_first, found.is_linear) == (n_inner, averages, reads_first, is_linear)
    assert found.depth == 3
    assert found.numbers.shape == (1 + 3 * (n_inner + 1), 11)


def test_a_branch_of_one_matrix_is_linear():
    with pytest.warns(UserWarning, match="linear"):
        arch = ResCNN(2, branch_depth=1)
    assert steps(arch).is_linear


def test_outputs_are_the_depths_that_were_asked_for():
    assert steps(CNN(4), CNN(2)).slots.tolist() == [-1, 0, -1, 1]
    assert steps(ResMLP(1)).slots.tolist() == [0]


def test_sums_over_the_filter_and_the_channels_are_divided_by_the_gains():
    one, many = steps(ResCNN(1, filter_size=1)), steps(ResCNN(1, filter_size=3), channels=2)
    gains = [1, 5, 9, 10]  # of G, U, N and S
    first, block = many.numbers[:, gains] / one.numbers[:, gains]
    torch.testing.assert_close(first, torch.tensor([1 / 18, 1 / 18, 1 / 2, 1 / 2], dtype=torch.float64))
    torch.testing.assert_close(block, torch.tensor([1 / 81, 1 / 81, 1 / 9, 1 / 9], dtype=torch.float64))


def test_only_a_residual_bias_acts_inside_of_the_image_alone():
    assert not steps(CNN(2, bias=0.5)).is_biased
    assert not steps(ResCNN(2)).is_biased
    assert steps(ResCNN(2, bias=0.5)).is_biased


def test_the_biases_of_the_readouts_alone_follow_the_recursion():
    bias, alpha = 0.5, 0.7
    growth = 1 + alpha**2
    found = steps(ResMLP(1, alpha, bias), ResMLP(2, alpha, bias)).biases
    nngp = (bias**2 + alpha**2 * bias**2) / growth  # A <- (A + alpha^2 b^2) / (1 + alpha^2), b^2 divided by the same in every block
    expected = [nngp, (nngp + alpha**2 * bias**2 / growth) / growth]
    torch.testing.assert_close(found[:, 0], torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(found[:, 1], 2 * found[:, 0])  # A + T, as both ends are trained
    assert not steps(MLP(2, bias=bias)).biases.any()
