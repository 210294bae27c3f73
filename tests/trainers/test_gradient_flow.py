"""Closed-form gradient flow against its differential equation, and against gradient descent of small steps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from strategies import gram_matrices

from skipbench.checks import SkipbenchError
from skipbench.trainers.gradient_descent import iterations_to, kernel_gradient_descent
from skipbench.trainers.gradient_flow import kernel_gradient_flow, time_to


def example(seed=0, n=6, tests=3):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n + tests, 9))
    whole = features @ features.T / 9
    return whole[:n, :n], whole[n:, :n], rng.normal(size=(n, 2))


@pytest.mark.parametrize("time", [0.0, 0.3, 5.0, 40.0])
def test_the_closed_form_solves_the_differential_equation(time):
    gram, cross, targets = example()
    n = len(gram)

    def velocity(_, outputs):
        train = outputs[: 2 * n].reshape(n, 2)
        return -np.concatenate([(gram @ (train - targets)).ravel(), (cross @ (train - targets)).ravel()]) / n

    start = np.zeros(2 * n + 2 * len(cross))
    solved = solve_ivp(velocity, (0, max(time, 1e-12)), start, rtol=1e-10, atol=1e-12).y[:, -1]
    train, test = solved[: 2 * n].reshape(n, 2), solved[2 * n :].reshape(-1, 2)
    curve, elsewhere = kernel_gradient_flow(gram, targets), kernel_gradient_flow(gram, targets, cross=cross)
    np.testing.assert_allclose(curve.predict(time), train, atol=1e-7)  # a thousand times the solver's tolerance
    np.testing.assert_allclose(elsewhere.predict(time), test, atol=1e-7)
    assert curve.loss(time) == pytest.approx(((train - targets) ** 2).sum() / (2 * n), rel=1e-7)


@given(gram=gram_matrices(max_n=6), seed=st.integers(0, 99))
def test_small_steps_of_gradient_descent_follow_the_flow(gram, seed):
    targets = np.random.default_rng(seed).normal(size=len(gram))
    flow = kernel_gradient_flow(gram, targets)
    rate = flow.unit / 1000
    descent = kernel_gradient_descent(gram, targets, learning_rate=rate)
    for steps in (1, 100, 3000):
        # a step of x = 1/1000 loses 1 - x where the flow loses exp(-x): x²/2 apart a step, at most x/2 e^-1 after any number
        np.testing.assert_allclose(descent.predict(steps), flow.predict(rate * steps), atol=1e-3 * np.abs(targets).sum())


@given(gram=gram_matrices(max_n=6), reduction=st.sampled_from([0.5, 0.9, 0.999]), seed=st.integers(0, 99))
def test_the_time_found_is_where_the_loss_crosses(gram, reduction, seed):
    flow = kernel_gradient_flow(gram, np.random.default_rng(seed).normal(size=len(gram)))
    time = time_to(flow, reduction)
    target = (1 - reduction) * flow.loss(0)
    if math.isinf(time):
        assert flow.loss(1e12 * flow.unit) > target
    else:
        assert flow.loss(time) <= target
        assert time == 0 or flow.loss(time * (1 - 1e-6)) > target * (1 - 1e-9)


def test_a_direction_without_eigenvalue_is_never_learned():
    flow = kernel_gradient_flow(np.diag([1.0, 0.0]), np.array([1.0, 1.0]))
    assert time_to(flow, 0.4) == pytest.approx(-math.log(0.2) / 2 * 2)  # the loss is (e^-t + 1)/4, n = 2
    assert time_to(flow, 0.6) == math.inf
    assert flow.least_loss() == pytest.approx(0.25)


def test_the_time_to_a_reduction_is_that_of_many_small_steps():
    gram, _, targets = example(seed=3)
    flow = kernel_gradient_flow(gram, targets)
    rate = flow.unit / 500
    steps = iterations_to(kernel_gradient_descent(gram, targets, learning_rate=rate), 0.9)
    assert steps * rate == pytest.approx(time_to(flow, 0.9), rel=5e-3)  # a step size is 1/500 of the fastest time


@pytest.mark.parametrize("time", [-1.0, math.inf, math.nan, True, "1"])
def test_a_time_that_is_none_is_refused(time):
    with pytest.raises(SkipbenchError, match="gradient flow has run for a finite time of at least 0"):
        kernel_gradient_flow(np.eye(2), np.ones(2)).loss(time)


def test_a_reduction_that_is_no_share_is_refused():
    with pytest.raises(SkipbenchError, match="time_to: reduction=1, but it is a share"):
        time_to(kernel_gradient_flow(np.eye(2), np.ones(2)), 1)
