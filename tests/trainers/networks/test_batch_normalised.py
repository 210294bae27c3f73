"""Practical networks as modules: what skips change and what they do not, shapes, initialisation, batch norm's averages."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from skipbench.trainers.networks.batch_normalised import (
    NAMED_BLOCKS,
    BatchNormalisedNetwork,
    Skip,
    build_practical_network,
    calibrate,
    layers,
)

SHAPES = st.one_of(
    st.tuples(st.integers(1, 13)),
    st.tuples(st.integers(1, 3), st.integers(1, 17), st.integers(1, 17)),
)


def both(input_shape, **settings):
    """A residual network and a plain one with the same settings."""
    settings = {"blocks": 1, "width": 4, "outputs": 3, **settings}
    return tuple(build_practical_network(residual=residual, input_shape=input_shape, **settings) for residual in (True, False))


def rows(n, shape, seed=0):
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=40, deadline=None)
@given(shape=SHAPES, blocks=st.integers(1, 3), width=st.integers(1, 5), outputs=st.integers(2, 4))
def test_skips_add_no_parameter_and_change_no_initial_value(shape, blocks, width, outputs):
    residual, plain = both(shape, blocks=blocks, width=width, outputs=outputs)
    assert list(residual.state_dict()) == list(plain.state_dict())
    assert all(torch.equal(one, other) for one, other in zip(residual.state_dict().values(), plain.state_dict().values(), strict=True))
    x = rows(5, shape)
    for network in (residual, plain):
        assert network.train()(x).shape == (5, outputs)
        assert network.eval()(x).shape == (5, outputs)


def test_the_number_of_parameters_is_the_formulas():
    """3 x 3 convolutions and batch norms of 2 per channel; channels w, 2 w, 4 w; the readout has a bias."""
    c, w, k, blocks = 3, 8, 10, 2
    residual, plain = both((c, 32, 32), blocks=blocks, width=w, outputs=k)
    expected = 9 * c * w + 2 * w
    for channels_in, channels in ((w, w), (w, 2 * w), (2 * w, 4 * w)):
        expected += 9 * channels_in * channels + (2 * blocks - 1) * 9 * channels**2 + 2 * blocks * 2 * channels
    expected += 4 * w * k + k
    for network in (residual, plain):
        assert sum(parameter.numel() for parameter in network.parameters()) == expected
    dense, _ = both((7,), blocks=blocks, width=w, outputs=k)
    assert sum(parameter.numel() for parameter in dense.parameters()) == 7 * w + 2 * w + 6 * blocks * (w * w + 2 * w) + w * k + k


@pytest.mark.parametrize(
    ("blocks", "depth", "count", "in_the_paper"),
    [(3, 20, 269_722, 0.27e6), (5, 32, 464_154, 0.46e6), (7, 44, 658_586, 0.66e6), (9, 56, 853_018, 0.85e6), (18, 110, 1_727_962, 1.7e6)],
)
def test_named_depths_have_the_parameters_of_the_paper(blocks, depth, count, in_the_paper):
    """Table 6 of arXiv 1512.03385, to the digits printed there; exactly, what implementations of its networks with padded skips have."""
    network = build_practical_network(residual=True, blocks=blocks, width=16, input_shape=(3, 32, 32), outputs=10)
    assert sum(parameter.numel() for parameter in network.parameters()) == count
    assert count == pytest.approx(in_the_paper, rel=0.02)
    weights = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(weights) == layers(blocks) == depth
    assert blocks in NAMED_BLOCKS


@pytest.mark.parametrize(
    ("shape", "sides"),
    [((3, 32, 32), [32, 16, 8]), ((1, 8, 8), [8, 4, 4]), ((1, 28, 28), [28, 14, 7]), ((2, 7, 40), [7, 7, 7]), ((1, 1, 1), [1, 1, 1])],
)
def test_large_images_are_halved_between_the_stages_and_small_ones_stay(shape, sides):
    network, _ = both(shape, blocks=2)
    y = torch.relu(network.first(rows(2, shape)))
    found = []
    for block in network.blocks:
        y = block(y)
        found.append((y.shape[1], y.shape[2]))
    assert found == [(channels, side) for channels, side in zip((4, 8, 16), sides, strict=True) for _ in range(2)]


def zeroed_branches(network):
    """Let the last batch norm of every branch give 0."""
    for block in network.blocks:
        nn.init.zeros_(block.second[1].weight)
        nn.init.zeros_(block.second[1].bias)
    return network


def test_with_branches_of_zero_only_the_skips_let_the_input_through():
    x = rows(6, (5,))
    residual, plain = (zeroed_branches(network).eval() for network in both((5,)))
    expected = residual.readout(torch.relu(residual.first(x)))  # every block is the identity on what a ReLU gave
    torch.testing.assert_close(residual(x), expected)
    assert torch.equal(plain(x), plain.readout.bias.expand(6, 3))


def test_with_branches_of_zero_an_image_keeps_every_second_pixel_and_its_own_channels():
    x = rows(2, (1, 16, 16))
    residual, plain = (zeroed_branches(network).eval() for network in both((1, 16, 16)))
    entered = torch.relu(residual.first(x))
    left = residual.blocks(entered)
    assert left.shape == (2, 16, 4, 4)
    assert torch.equal(left[:, :4], entered[:, :, ::4, ::4])
    assert torch.equal(left[:, 4:], torch.zeros(2, 12, 4, 4))
    assert torch.equal(plain.blocks(entered), torch.zeros(2, 16, 4, 4))


def test_a_skip_changes_nothing_but_the_shape():
    y = rows(2, (3, 5, 5))
    assert Skip(1, 0)(y) is y
    assert torch.equal(Skip(2, 0)(y), y[:, :, ::2, ::2])
    assert torch.equal(Skip(1, 2)(y)[:, :3], y)
    assert Skip(2, 2)(y).shape == (2, 5, 3, 3)
    assert Skip(1, 2)(y)[:, 3:].abs().max() == 0


def test_the_blocks_equation_with_a_skip_and_without():
    x = rows(7, (3, 9, 9))
    for network, is_residual in zip(both((3, 9, 9)), (True, False), strict=True):
        block = network.eval().blocks[0]
        y = torch.relu(network.first(x))
        branch = block.second(torch.relu(block.first(y)))
        assert torch.equal(block(y), torch.relu(y + branch if is_residual else branch))


def test_weights_have_hes_variance():
    network, _ = both((3, 8, 8), width=64, outputs=500)
    convolutions = [module.weight for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 7
    for weight in [*convolutions[1:], network.readout.weight]:
        gain = 1 if weight is network.readout.weight else 2
        fan_in = weight[0].numel()
        # the variance of n normal draws is known to sqrt(2/n), at most 1 % here: five of those
        assert float(weight.detach().var()) * fan_in == pytest.approx(gain, rel=5 * math.sqrt(2 / weight.numel()))
    assert network.readout.bias.abs().max() == 0


def test_equal_seeds_give_equal_weights_and_torchs_own_generator_is_not_used():
    state = torch.get_rng_state()
    first, same, other = (both((5,), seed=seed)[0] for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.readout.weight, same.readout.weight)
    assert not torch.equal(first.readout.weight, other.readout.weight)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(5,), (2, 6, 6)])
def test_every_parameter_is_real_and_of_the_asked_dtype(dtype, shape):
    for network in both(shape, dtype=dtype):
        for value in (*network.parameters(), *(buffer for buffer in network.buffers() if buffer.is_floating_point())):
            assert (value.dtype, value.device.type) == (dtype, "cpu")


def test_after_calibration_evaluation_sees_what_training_on_these_rows_sees():
    x = 1000 * rows(1000, (5,)) + 300
    network, _ = both((5,), dtype=torch.float64)
    network.train()
    calibrate(network, x.double())
    in_training = network(x.double())
    network.eval()
    # the averages hold the unbiased variance and training divides by n: a factor sqrt(1000/999) for each of seven layers, in all 0.35 %
    torch.testing.assert_close(network(x.double()), in_training, rtol=0, atol=0.01 * float(in_training.detach().abs().max()))
    untouched, _ = both((5,), dtype=torch.float64)
    assert untouched.eval()(x.double()).abs().max() > 50 * in_training.abs().max()


def test_calibration_keeps_mode_momentum_and_weights():
    for is_training in (True, False):
        network, _ = both((5,))
        before = [parameter.clone() for parameter in network.parameters()]
        calibrate(network.train(is_training), rows(9, (5,)))
        assert network.training is is_training
        assert {module.momentum for module in network.modules() if isinstance(module, nn.BatchNorm1d)} == {0.1}
        assert all(torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True))


def test_calibration_on_many_rows_uses_some_from_everywhere():
    network, _ = both((1,))
    x = torch.arange(5000.0)[:, None]
    calibrate(network, x)
    weight = float(network.first[0].weight.detach()[0, 0])
    assert float(network.first[1].running_mean[0]) == pytest.approx(weight * 2499.5, rel=1e-3)  # the mean of all rows
    assert isinstance(network, BatchNormalisedNetwork)
