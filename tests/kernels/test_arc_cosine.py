"""The arc-cosine functions at their special points, against quadrature, and under differentiation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skipbench.kernels.arc_cosine import kappa0, kappa1, relu_dual


def doubles(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_special_values_are_exact():
    assert kappa0(doubles(-1, 0, 1)).tolist() == pytest.approx([0, 0.5, 1], abs=1e-15)
    assert kappa1(doubles(-1, 0, 1)).tolist() == pytest.approx([0, 1 / np.pi, 1], abs=1e-15)


def test_values_beyond_one_are_clipped():
    assert torch.equal(kappa1(doubles(1 + 1e-12, -1 - 1e-12)), kappa1(doubles(1, -1)))


@pytest.mark.parametrize("correlation", [-0.9, -0.2, 0.4, 0.95])
def test_both_are_twice_the_expectations_that_define_them(correlation):
    angle = np.arange(10**5) * 2 * np.pi / 10**5  # in polar coordinates the radius integrates to 1 (slopes) and to 2 (values)
    u, v = np.cos(angle), correlation * np.cos(angle) + np.sqrt(1 - correlation**2) * np.sin(angle)
    slopes = np.mean((u > 0) & (v > 0))
    values = 2 * np.mean(np.maximum(u, 0) * np.maximum(v, 0))
    assert float(kappa0(doubles(correlation))[0]) == pytest.approx(2 * slopes, abs=1e-4)  # a step function on 1e5 nodes
    assert float(kappa1(doubles(correlation))[0]) == pytest.approx(2 * values, abs=1e-8)


def test_the_derivative_of_kappa1_is_kappa0_even_at_one():
    correlation = doubles(-1, -0.5, 0, 0.7, 1).requires_grad_()
    kappa1(correlation).sum().backward()
    assert torch.allclose(correlation.grad, kappa0(correlation.detach()))


def test_near_one_the_expansions_hold():
    angle = torch.logspace(-3, -1, 20, dtype=torch.float64)
    correlation = torch.cos(angle)
    assert torch.allclose(kappa0(correlation), 1 - angle / np.pi, atol=1e-9)
    assert torch.allclose(kappa1(correlation), 1 - angle**2 / 2 + angle**3 / (3 * np.pi), atol=float(angle.max()) ** 4)


def test_a_zero_variance_gives_zero_and_a_marked_entry_gives_its_variance():
    pre, scale = doubles(0.0, 0.3, 2.0), doubles(0.0, 0.3 * (1 - 1e-9), 4.0)
    post, slope = relu_dual(pre, scale, torch.tensor([False, True, False]))
    assert float(post[0]) == 0
    assert float(post[1]) == float(scale[1])
    assert float(slope[1]) == 1
    assert float(post[2]) == pytest.approx(4 * float(kappa1(doubles(0.5))[0]))
