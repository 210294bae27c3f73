"""The linearised network: linear in its displacement, and its gradient descent is that of a kernel which stands still."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skipbench.architecture import CNN, MLP, ResCNN, ResMLP
from skipbench.checks import SkipbenchError
from skipbench.trainers import LinearisedClassifier, NetworkClassifier, build_network, empirical_ntk, kernel_gradient_descent
from skipbench.trainers.empirical_ntk import NetworkJacobian
from skipbench.trainers.inputs import centred_one_hot
from skipbench.trainers.networks.linearised import LinearisedNetwork

rng = np.random.default_rng(0)
X, y, X_val = rng.normal(size=(14, 4)), np.arange(14) % 3, rng.normal(size=(6, 4))
y_val = np.arange(6) % 3
IMAGES = torch.from_numpy(rng.normal(size=(4, 2, 3, 4)))


def linearised(arch, shape, **options):
    settings = {"width": 6, "outputs": 3, "seed": 1, "dtype": torch.float64, **options}
    return LinearisedNetwork(build_network(arch, input_shape=shape, **settings))


def displaced(network, size=1.0):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for part in network.displacement:
            part.copy_(size * torch.randn(part.shape, generator=generator, dtype=part.dtype))
    return network


def test_without_displacement_it_is_the_network():
    x = torch.from_numpy(X)
    plain = build_network(MLP(depth=2), width=6, input_shape=(4,), outputs=3, seed=1, dtype=torch.float64)
    assert torch.equal(linearised(MLP(depth=2), (4,))(x), plain(x))


@pytest.mark.parametrize("arch", [MLP(depth=2, bias=0.3), CNN(depth=2), ResCNN(depth=1, padding="circular", train_ends=False)])
def test_it_is_the_tangent_of_the_network_at_its_initial_parameters(arch):
    x = IMAGES if arch.is_convolutional else torch.from_numpy(X)
    network = linearised(arch, x.shape[1:])
    start, moved = network(x).detach(), displaced(network, 1e-6)(x).detach()
    plain = network.network_at_start()
    with torch.no_grad():
        for name, part in zip(network.names, network.displacement, strict=True):
            plain.get_parameter(name).add_(part)
    # a step of 1e-6 leaves curvature at 1e-6 of the change, or a ReLU that switches, and rounding at 1e-10
    assert torch.allclose(moved - start, plain(x).detach() - start, rtol=1e-3, atol=1e-5 * float((moved - start).abs().max()))
    assert torch.allclose(displaced(network, 2.0)(x) - start, 2e6 * (moved - start), rtol=1e-6)  # linear however far


def test_only_what_was_trainable_moves():
    network = linearised(ResMLP(depth=1, train_ends=False), (4,))
    assert [name for name, parameter in network.named_parameters() if parameter.requires_grad] == ["displacement.0", "displacement.1"]
    start = network.network_at_start()
    assert [parameter.requires_grad for parameter in start.parameters()] == [name in network.names for name, _ in start.named_parameters()]


def test_its_tangent_kernel_is_that_of_the_network_wherever_it_is():
    network = linearised(ResMLP(depth=1), (4,))
    expected = empirical_ntk(network.network_at_start(), X)
    # the same sums of float64 products, in another order
    assert torch.allclose(empirical_ntk(displaced(network), X), expected, rtol=1e-12, atol=1e-13)
    track = LinearisedClassifier(width=8, epochs=5, tangent_rows=4, dtype="float64").fit(X, y).measurements_["tangent_kernel"]
    assert max(point.drift for point in track.points) < 1e-12


@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_its_gradient_descent_is_closed_form_descent_on_all_blocks_of_the_tangent_kernel(momentum):
    settings = {"width": 8, "epochs": 60, "momentum": momentum, "dtype": "float64"}
    classifier = LinearisedClassifier(ResMLP(depth=1, bias=0.2), **settings).fit(X, y)
    x, x_val = torch.from_numpy(X), torch.from_numpy(X_val)
    jacobian, other = (_jacobian(classifier.initial_network_.network_at_start(), rows) for rows in (x, x_val))
    targets = centred_one_hot(y, 3, torch.device("cpu")).flatten()
    # the rows of the block kernel are pairs of a point and an output, 3 n of them, and lr/n is the same step
    rate = 3 * classifier.learning_rate_
    gram, cross = jacobian @ jacobian.T, other @ jacobian.T
    curve = kernel_gradient_descent(gram, targets, learning_rate=rate, momentum=momentum, cross=cross)
    np.testing.assert_allclose(classifier.decision_function(X_val), curve.predict(60).reshape(-1, 3), rtol=1e-9, atol=1e-11)
    losses = {point.step: point.loss for point in classifier.measurements_["curve"]}
    for step in (0, 1, 7, 60):
        assert losses[step] == pytest.approx(3 * curve.loss(step), rel=1e-10)  # 1/(2n) of n rows, not of 3 n


def _jacobian(network, x):
    blocks = NetworkJacobian(network).rows(x, 0, 3)
    return torch.cat([block.reshape(3 * len(x), -1) for block in blocks], dim=1)


def test_a_wide_network_and_its_linearisation_train_alike():
    distances = []
    for width in (16, 256):
        settings = {"width": width, "epochs": 30, "seed": 3, "dtype": "float64"}
        network, tangent = (made(ResMLP(depth=1), **settings).fit(X, y) for made in (NetworkClassifier, LinearisedClassifier))
        assert tangent.learning_rate_ == pytest.approx(network.learning_rate_, rel=1e-9)
        difference = network.decision_function(X_val) - tangent.decision_function(X_val)
        distances.append(np.linalg.norm(difference) / np.linalg.norm(tangent.decision_function(X_val)))
    assert distances[1] < distances[0] / 2  # 1/sqrt(width) makes it a fourth


def test_it_is_put_beside_the_kernel_as_its_twin_is():
    settings = {"width": 16, "epochs": 20, "compare_with_kernel": True}
    twin, tangent = (made(**settings).fit(X, y, X_val, y_val).measurements_ for made in (NetworkClassifier, LinearisedClassifier))
    assert tangent["kernel_comparison"].predicted_at_start.iterations_90 == twin["kernel_comparison"].predicted_at_start.iterations_90
    assert tangent["kernel_comparison"].prediction_distance > 0


def test_it_is_named_after_what_it_is():
    assert LinearisedClassifier(width=64, momentum=0.9).label() == "linearised network, ResMLP(2), width 64, momentum 0.9"
    with pytest.raises(SkipbenchError, match=r"LinearisedClassifier: epochs=0"):
        LinearisedClassifier(epochs=0).fit(X, y)
    with pytest.raises(SkipbenchError, match=r"LinearisedClassifier: architecture='MLP'"):
        LinearisedClassifier("MLP").check_parameters()
