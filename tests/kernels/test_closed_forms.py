"""The closed forms that engines are held to, at points where their values are known by other means."""

from __future__ import annotations

import numpy as np
import pytest

from skipbench.architecture import CNN
from skipbench.kernels.engines import closed_forms

ONE = np.array([1.0])


def test_the_arc_cosine_functions_have_their_known_values():
    kappa0, kappa1 = closed_forms.kappas(np.array([-1.0, 0.0, 0.5, 1.0]))
    assert kappa0.tolist() == pytest.approx([0, 1 / 2, 2 / 3, 1], abs=1e-15)
    assert kappa1.tolist() == pytest.approx([0, 1 / np.pi, 1 / 3 + np.sqrt(3) / (2 * np.pi), 1], abs=1e-15)


@pytest.mark.parametrize("depth", [1, 2, 7])
def test_on_the_diagonal_a_plain_tangent_kernel_counts_the_layers(depth):
    nngp, ntk = closed_forms.plain_kernels(ONE, depth)
    assert (float(nngp[0]), float(ntk[0])) == pytest.approx((1, depth + 1), rel=1e-12)


def test_a_plain_kernel_of_one_layer_is_the_two_layer_kernel():
    u = np.array([0.5])
    kappa0, kappa1 = closed_forms.kappas(u)
    nngp, ntk = closed_forms.plain_kernels(u, 1)
    assert float(nngp[0]) == float(kappa1[0])
    assert float(ntk[0]) == pytest.approx(float((kappa1 + u * kappa0)[0]), rel=1e-15)


@pytest.mark.parametrize(("depth", "alpha"), [(1, 1.0), (4, 0.5), (6, 2.0)])
def test_on_the_diagonal_a_residual_kernel_with_frozen_ends_has_the_value_of_belfer_et_al(depth, alpha):
    nngp, ntk = closed_forms.frozen_residual_kernels(ONE, depth, alpha)
    assert float(nngp[0]) == pytest.approx((1 + alpha**2) ** depth, rel=1e-12)
    assert float(ntk[0]) == pytest.approx(2 * depth * alpha**2 * (1 + alpha**2) ** (depth - 1), rel=1e-12)


def test_a_deep_residual_kernel_with_small_branches_tends_to_the_two_layer_kernel():
    u = np.linspace(-0.9, 0.9, 7)
    kappa0, kappa1 = closed_forms.kappas(u)
    _, ntk = closed_forms.frozen_residual_kernels(u, 1000, 1 / 1000)
    _, at_one = closed_forms.frozen_residual_kernels(ONE, 1000, 1 / 1000)
    assert np.abs(ntk / at_one - (kappa1 + u * kappa0) / 2).max() < 1e-3  # the rate is about 1/depth


def test_dense_connections_have_the_variances_of_their_sums():
    # alpha = 1: every layer has variance 1 and is the mean of those before; H_1 = 2, H_2 = (2 + 3)/2, H_3 = (2 + 3 + 3.5)/3
    nngp, ntk = closed_forms.densely_connected_kernels(ONE, 3, 1.0)
    assert (float(nngp[0]), float(ntk[0])) == pytest.approx((1, 1 + 8.5 / 3), rel=1e-12)
    nngp, _ = closed_forms.densely_connected_kernels(ONE, 2, 0.5)
    assert float(nngp[0]) == pytest.approx(0.25 * (1 + 0.5), rel=1e-12)


def test_one_convolution_without_a_border_is_a_plain_kernel_of_the_pixel():
    x = np.sqrt(2) * np.array([[1.0, 0.0], [0.6, 0.8]])[:, :, None, None]
    truth = closed_forms.plain_kernels(np.array([0.6]), 1)
    for readout in ("eq", "tr", "gap"):
        for found, expected in zip(closed_forms.one_convolution_kernels(CNN(1, 1, readout=readout), x, x), truth, strict=True):
            assert float(found[0, 1]) == pytest.approx(float(expected[0]), rel=1e-12)


def test_zero_padding_loses_what_lies_outside_and_circular_padding_does_not():
    x = np.ones((1, 1, 1, 1))
    zero, _ = closed_forms.one_convolution_kernels(CNN(1, 3, "zero", "tr"), x, x)
    circular, _ = closed_forms.one_convolution_kernels(CNN(1, 3, "circular", "tr"), x, x)
    assert float(zero[0, 0]) == pytest.approx(1 / 9, rel=1e-12)
    assert float(circular[0, 0]) == pytest.approx(1, rel=1e-12)
