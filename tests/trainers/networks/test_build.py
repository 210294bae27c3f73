"""The finite networks against their definitions written out in numpy, and what `build_network` refuses."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import convolutional_architectures, dense_architectures, images, vectors

from skipbench.architecture import CNN, MLP, DenseMLP, ResCNN, ResMLP
from skipbench.checks import SkipbenchError
from skipbench.trainers.networks import build_network

Array = np.ndarray


def relu(x: Array) -> Array:
    return np.maximum(x, 0.0)


def parameters_in_order(network: torch.nn.Module) -> Iterator[Array]:
    return iter([parameter.detach().numpy() for parameter in network.parameters()])


def linear(x: Array, drawn: Iterator[Array], bias: float) -> Array:
    """W x / sqrt(fan-in) + bias b, weights first."""
    weight = next(drawn)
    result = x @ weight.T / np.sqrt(weight.shape[1])
    return result + bias * next(drawn) if bias else result


def convolution(x: Array, drawn: Iterator[Array], bias: float, padding: str) -> Array:
    """One output pixel and one filter offset after the other."""
    weight = next(drawn)
    reach, (n, channels, height, width) = weight.shape[2] // 2, x.shape
    result = np.zeros((n, len(weight), height, width))
    for row, column, dy, dx in np.ndindex(height, width, *weight.shape[2:]):
        i, j = row + dy - reach, column + dx - reach
        if padding == "circular":
            i, j = i % height, j % width
        elif not (0 <= i < height and 0 <= j < width):
            continue
        result[:, :, row, column] += x[:, :, i, j] @ weight[:, :, dy, dx].T
    result /= np.sqrt(weight.shape[2] * weight.shape[3] * channels)
    return result + bias * next(drawn)[:, None, None] if bias else result


def written_out_dense(arch: MLP | ResMLP | DenseMLP, network: torch.nn.Module, x: Array) -> Array:
    drawn = parameters_in_order(network)
    bias = getattr(arch, "bias", 0.0)
    y = linear(x, drawn, bias)
    if isinstance(arch, MLP):
        for _ in range(arch.depth - 1):
            y = linear(np.sqrt(2) * relu(y), drawn, bias)
        y = np.sqrt(2) * relu(y)
    elif isinstance(arch, ResMLP):
        for _ in range(arch.depth):
            branch = linear(y, drawn, bias)
            for _ in range(arch.branch_depth - 1):
                branch = linear(np.sqrt(2) * relu(branch), drawn, bias)
            y = y + arch.alpha_value * branch
    else:
        passed, width = [np.sqrt(2) * relu(y)], y.shape[1]
        for layer in range(1, arch.depth + 1):
            matrices = np.split(next(drawn), layer, axis=1)
            y = np.sqrt(arch.alpha_value / (width * layer)) * sum(q @ w.T for q, w in zip(passed, matrices, strict=True))
            passed.append(np.sqrt(2) * relu(y))
    return linear(y, drawn, 0.0)


def written_out_convolutional(arch: CNN | ResCNN, network: torch.nn.Module, x: Array) -> Array:
    drawn = parameters_in_order(network)
    y = convolution(x, drawn, arch.bias, arch.padding)
    if isinstance(arch, CNN):
        for _ in range(arch.depth - 1):
            y = convolution(np.sqrt(2) * relu(y), drawn, arch.bias, arch.padding)
        y = np.sqrt(2) * relu(y)
    else:
        for _ in range(arch.depth):
            branch = convolution(y, drawn, arch.bias, arch.padding)
            for _ in range(arch.branch_depth - 1):
                branch = convolution(np.sqrt(2) * relu(branch), drawn, arch.bias, arch.padding)
            y = y + arch.alpha_value * branch
    height, width = y.shape[2:]
    if arch.readout == "eq":
        return linear(y[:, :, height // 2, width // 2], drawn, 0.0)
    return linear(y.mean(axis=(2, 3)), drawn, 0.0) if arch.readout == "gap" else linear(y.reshape(len(y), -1), drawn, 0.0)


@settings(max_examples=40, deadline=None)
@given(arch=dense_architectures(), x=vectors(n=3), width=st.integers(1, 7), outputs=st.integers(1, 3))
def test_a_dense_network_is_its_definition_written_out(arch, x, width, outputs):
    network = build_network(arch, width=width, input_shape=x.shape[1:], outputs=outputs, seed=3, dtype=torch.float64)
    expected = written_out_dense(arch, network, x)
    found = network(torch.from_numpy(x)).detach().numpy()
    assert found.shape == (3, outputs)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())  # sums in another order


@settings(max_examples=40, deadline=None)
@given(arch=convolutional_architectures(), x=images(n=2), width=st.integers(1, 4), outputs=st.integers(1, 3))
def test_a_convolutional_network_is_its_definition_written_out(arch, x, width, outputs):
    network = build_network(arch, width=width, input_shape=x.shape[1:], outputs=outputs, seed=3, dtype=torch.float64)
    expected = written_out_convolutional(arch, network, x)
    found = network(torch.from_numpy(x)).detach().numpy()
    assert found.shape == (2, outputs)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())  # sums in another order


@pytest.mark.parametrize("filter_size", [5, 7, 13])
def test_a_circular_filter_that_wraps_more_than_once_is_taken_modulo_the_side(filter_size):
    arch = CNN(depth=2, filter_size=filter_size, padding="circular", readout="tr")
    network = build_network(arch, width=3, input_shape=(2, 1, 3), outputs=2, dtype=torch.float64)
    x = np.random.default_rng(0).normal(size=(2, 2, 1, 3))
    expected = written_out_convolutional(arch, network, x)
    np.testing.assert_allclose(network(torch.from_numpy(x)).detach().numpy(), expected, rtol=1e-10, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(arch=st.one_of(dense_architectures(), convolutional_architectures()))
def test_all_parameters_are_standard_normal_and_there_are_biases_only_where_bias_is_above_0(arch):
    shape = (3, 5, 4) if arch.is_convolutional else (40,)
    network = build_network(arch, width=48, input_shape=shape, outputs=10)
    values = torch.cat([parameter.detach().flatten() for parameter in network.parameters()]).double()
    assert abs(float(values.mean())) < 5 / len(values) ** 0.5
    assert abs(float(values.var()) - 1) < 5 * (2 / len(values)) ** 0.5
    biases = [name for name, _ in network.named_parameters() if name.endswith("bias")]
    assert bool(biases) == (getattr(arch, "bias", 0.0) > 0)
    assert not any("readout" in name for name in biases)


@pytest.mark.parametrize("arch", [ResMLP(depth=2, bias=0.5, train_ends=False), ResCNN(depth=2, bias=0.5, train_ends=False)])
def test_frozen_ends_are_the_first_layer_with_its_bias_and_the_readout_and_nothing_else(arch):
    network = build_network(arch, width=4, input_shape=(1, 3, 2) if arch.is_convolutional else (3,), outputs=2)
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    trainable = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert {"first.weight", "first.bias"} < frozen
    assert all(name.startswith(("first.", "readout.")) for name in frozen)
    assert len(frozen) == 3
    assert trainable
    assert all(name.startswith("branches.") for name in trainable)


def test_everything_is_trainable_by_default():
    for arch, shape in ((MLP(depth=2), (3,)), (ResMLP(depth=2), (3,)), (DenseMLP(depth=2), (3,)), (CNN(depth=2), (1, 3, 3))):
        assert all(parameter.requires_grad for parameter in build_network(arch, width=4, input_shape=shape, outputs=2).parameters())


def test_a_seed_decides_every_weight_and_another_seed_gives_others():
    first, same, other = (build_network(MLP(depth=2), width=8, input_shape=(3,), outputs=2, seed=seed) for seed in (1, 1, 2))
    for left, right, different in zip(first.parameters(), same.parameters(), other.parameters(), strict=True):
        assert torch.equal(left, right)
        assert not torch.equal(left, different)


def test_the_global_generator_is_neither_read_nor_moved():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = build_network(MLP(depth=1), width=4, input_shape=(3,), outputs=2)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    second = build_network(MLP(depth=1), width=4, input_shape=(3,), outputs=2)
    assert all(torch.equal(left, right) for left, right in zip(first.parameters(), second.parameters(), strict=True))


def test_float32_and_float64_networks_of_a_seed_are_the_same_up_to_rounding():
    single, double = (build_network(MLP(depth=2), width=8, input_shape=(3,), outputs=2, dtype=t) for t in (torch.float32, torch.float64))
    for left, right in zip(single.parameters(), double.parameters(), strict=True):
        assert left.dtype == torch.float32
        assert torch.equal(left, right.float())


@pytest.mark.parametrize("width", [0, -3, 2.5, True, "64", None, float("nan")])
def test_a_width_that_is_no_positive_whole_number_is_named(width):
    with pytest.raises(SkipbenchError, match=r"build_network: width=.* use a whole number of at least 1"):
        build_network(MLP(depth=1), width=width, input_shape=(3,), outputs=2)


@pytest.mark.parametrize("outputs", [0, -1, 1.5])
def test_a_number_of_outputs_below_1_is_named(outputs):
    with pytest.raises(SkipbenchError, match=r"build_network: outputs="):
        build_network(MLP(depth=1), width=4, input_shape=(3,), outputs=outputs)


@pytest.mark.parametrize(
    ("arch", "shape", "message"),
    [
        (MLP(depth=1), (3, 8, 8), r"MLP reads vectors.*but got images of shape \(3, 8, 8\): use CNN or ResCNN"),
        (ResCNN(depth=1), (64,), r"ResCNN reads images.*but got vectors of shape \(64,\): use MLP"),
        (CNN(depth=1), (3, 8), r"CNN reads images.*arrays of 2 axes"),
        (CNN(depth=1), (3, 0, 8), r"input_shape=\(3, 0, 8\), but every side"),
        (MLP(depth=1), (2.5,), r"input_shape=\(2.5,\), but every side"),
        (MLP(depth=1), 3, r"input_shape=3, but it reads vectors"),
        (MLP(depth=1), (), r"arrays of 0 axes"),
    ],
)
def test_a_shape_of_the_wrong_kind_is_named_with_what_the_architecture_reads(arch, shape, message):
    with pytest.raises(SkipbenchError, match=message):
        build_network(arch, width=4, input_shape=shape, outputs=2)


def test_what_is_no_architecture_seed_or_dtype_is_named():
    with pytest.raises(SkipbenchError, match="is no architecture"):
        build_network("MLP", width=4, input_shape=(3,), outputs=2)
    with pytest.raises(SkipbenchError, match="seed=-1, but a seed is"):
        build_network(MLP(depth=1), width=4, input_shape=(3,), outputs=2, seed=-1)
    with pytest.raises(SkipbenchError, match=r"dtype=torch\.float16"):
        build_network(MLP(depth=1), width=4, input_shape=(3,), outputs=2, dtype=torch.float16)


def test_a_branch_without_relu_makes_a_linear_network():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        arch = ResMLP(depth=3, branch_depth=1)
    network = build_network(arch, width=5, input_shape=(4,), outputs=2, dtype=torch.float64)
    x, z = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(network(x - 2 * z), network(x) - 2 * network(z), rtol=1e-10, atol=1e-12)
