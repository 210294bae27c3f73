"""Closed-form gradient descent against the iteration it stands for, and what it says of steps nobody could iterate."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import gram_matrices

from skipbench.checks import SkipbenchError
from skipbench.trainers.gradient_descent import iterations_to, kernel_gradient_descent

MOMENTA = st.sampled_from([0.0, 0.1, 0.5, 0.9, 0.99])
SHARES = st.sampled_from([0.01, 0.3, 0.5, 0.95, 1.0])  # of 2 (1 + β), where the descent stops being stable


def iterate(gram, cross, targets, *, learning_rate, momentum, steps):
    """Outputs on training and test points and the loss after 0, 1, ..., `steps` steps, one after the other."""
    n = len(gram)
    train, test = np.zeros_like(targets), np.zeros((len(cross), targets.shape[1]))
    last_train, last_test = train, test
    history = []
    for _ in range(steps + 1):
        residual = train - targets
        history.append((train, test, float((residual**2).sum()) / (2 * n)))
        train, last_train = train - learning_rate / n * gram @ residual + momentum * (train - last_train), train
        test, last_test = test - learning_rate / n * cross @ residual + momentum * (test - last_test), test
    return history


@st.composite
def descents(draw):
    gram = draw(gram_matrices(max_n=6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, momentum = len(gram), draw(MOMENTA)
    largest = np.linalg.eigvalsh(gram)[-1]
    # the two rates at which the largest eigenvalue's characteristic roots meet are where a closed form is easily wrong
    meeting = st.sampled_from([(1 - momentum**0.5) ** 2, (1 + momentum**0.5) ** 2])
    rate = draw(st.one_of(SHARES.map(lambda share: share * 2 * (1 + momentum)), meeting))
    return {
        "gram": gram,
        "targets": rng.normal(size=(n, 2)),
        "cross": rng.normal(size=(3, n)),
        "learning_rate": rate * n / largest,
        "momentum": momentum,
    }


@given(descent=descents())
def test_the_closed_form_is_the_iteration(descent):
    history = iterate(**descent, steps=60)
    cross = descent.pop("cross")
    curve = kernel_gradient_descent(**descent)
    elsewhere = kernel_gradient_descent(**descent, cross=cross)
    for steps in (0, 1, 2, 3, 10, 59, 60):
        train, test, loss = history[steps]
        scale = 1 + np.abs(train).max() + np.abs(test).max()
        # sixty rounded steps, and directions whose eigenvalue is not told from 0
        np.testing.assert_allclose(curve.predict(steps), train, atol=1e-9 * scale, rtol=0)
        np.testing.assert_allclose(elsewhere.predict(steps), test, atol=1e-9 * scale, rtol=0)
        assert curve.loss(steps) == pytest.approx(loss, rel=1e-7, abs=1e-12)


@given(descent=descents(), reduction=st.sampled_from([0.3, 0.9, 0.99]))
def test_iterations_to_is_the_first_step_of_the_iteration_that_reaches_the_loss(descent, reduction):
    losses = np.array([loss for _, _, loss in iterate(**descent, steps=300)])
    target = (1 - reduction) * losses[0]
    assume(not np.isclose(losses, target, rtol=1e-9, atol=0).any())  # a tie is decided by rounding
    del descent["cross"]
    found = iterations_to(kernel_gradient_descent(**descent), reduction)
    reached = np.flatnonzero(losses <= target)
    if len(reached):
        assert found == reached[0]
        assert isinstance(found, int)
    else:
        assert found > 300


def test_the_default_learning_rate_wipes_out_the_largest_direction_in_one_step():
    gram = np.diag([4.0, 1.0])
    curve = kernel_gradient_descent(gram, np.array([1.0, 1.0]))
    assert curve.learning_rate == 2 / 4
    np.testing.assert_allclose(curve.predict(1), [1.0, 0.25], rtol=1e-15)
    assert curve.loss(0) == 0.5
    for steps in (1, 2, 7):
        assert curve.loss(steps) == pytest.approx(0.25 * 0.75 ** (2 * steps), rel=1e-12)


@pytest.mark.parametrize("reduction", [0.9, 0.99, 0.999])
@pytest.mark.parametrize("condition", [2.0, 1e3, 1e9])
def test_one_slow_direction_takes_the_iterations_of_its_closed_form(condition, reduction):
    gram = np.diag([1.0, 1 / condition])
    curve = kernel_gradient_descent(gram, np.array([0.0, 1.0]))
    assert iterations_to(curve, reduction) == math.ceil(math.log(1 - reduction) / (2 * math.log1p(-1 / condition)))


def test_a_residual_in_a_null_direction_is_never_learned():
    gram = np.ones((2, 2))  # rows of different labels that are the same input
    curve = kernel_gradient_descent(gram, np.array([1.0, 0.0]))
    assert curve.loss(10**18) == pytest.approx(0.125, rel=1e-12)  # half of the first loss, 1/4
    assert iterations_to(curve, 0.49) == 1
    assert iterations_to(curve, 0.51) == math.inf


def test_eigenvalues_below_n_eps_times_the_largest_count_as_null():
    targets = np.array([0.0, 1.0])
    assert iterations_to(kernel_gradient_descent(np.diag([1.0, 1e-17]), targets)) == math.inf
    assert iterations_to(kernel_gradient_descent(np.diag([1.0, 1e-15]), targets)) == pytest.approx(math.log(10) * 1e15, rel=1e-9)


def test_steps_beyond_the_integers_of_float64_do_not_overflow():
    curve = kernel_gradient_descent(np.diag([1.0, 1e-15]), np.array([1.0, 1.0]), momentum=0.9)
    # momentum 0.9 makes a slow direction ten times as fast
    for steps, exponent in ((10**13, 0.1), (10**15, 10.0), (3 * 10**15 + 1, 30.0)):
        assert curve.loss(steps) == pytest.approx(0.25 * math.exp(-2 * exponent), rel=1e-9)
    assert curve.loss(2**200) == 0.0


@given(gram=gram_matrices(), momentum=MOMENTA)
def test_predictions_elsewhere_agree_with_the_training_points_where_the_points_are_the_same(gram, momentum):
    targets = np.random.default_rng(len(gram)).normal(size=(len(gram), 3))
    steps = [0, 1, 5, 1000]
    on_training = kernel_gradient_descent(gram, targets, momentum=momentum).predict(steps)
    elsewhere = kernel_gradient_descent(gram, targets, momentum=momentum, cross=gram).predict(steps)
    np.testing.assert_allclose(elsewhere, on_training, atol=1e-8)  # gram's null directions are null to 1e-16, times 1000 steps


def test_after_many_steps_the_prediction_is_ridgeless_regression():
    factor = np.random.default_rng(5).normal(size=(6, 6))
    gram, cross, targets = factor @ factor.T, np.ones((2, 6)), np.arange(6.0)
    limit = kernel_gradient_descent(gram, targets, cross=cross).predict(10**12)
    np.testing.assert_allclose(limit, cross @ np.linalg.solve(gram, targets), rtol=1e-8)  # condition number about 1e3


def test_the_loss_never_rises_inside_the_stable_range_and_does_beyond_it():
    gram, targets = np.diag([2.0, 0.5, 0.1]), np.ones(3)
    for share in (0.3, 1.0, 1.9):
        curve = kernel_gradient_descent(gram, targets, learning_rate=share * 3 / 2)
        assert curve.stable
        losses = curve.loss(range(50))
        assert bool((losses[1:] <= losses[:-1]).all())
    beyond = kernel_gradient_descent(gram, targets, learning_rate=2.1 * 3 / 2)
    assert not beyond.stable
    assert beyond.loss(1000) > 1e70
    assert beyond.loss(10**6) == math.inf
    assert iterations_to(beyond, 0.99) == math.inf


def test_a_diverging_descent_may_reach_the_loss_before_it_diverges():
    gram, targets = np.diag([2.0, 1.0]), np.array([1e-3, 1.0])
    curve = kernel_gradient_descent(gram, targets, learning_rate=2.2 * 2 / 2)
    losses = curve.loss(range(200))
    assert float(losses[-1]) > float(losses[0])
    assert iterations_to(curve, 0.99) == int(torch.nonzero(losses <= 0.01 * losses[0])[0])


def test_a_direction_without_residual_does_not_spoil_the_loss_when_it_diverges():
    curve = kernel_gradient_descent(np.diag([1.0, 0.1]), np.array([0.0, 1.0]), learning_rate=2 * 5.0)
    assert not curve.stable
    assert curve.loss(10**6) == 0.0


def test_momentum_is_stable_up_to_its_own_bound():
    gram, targets = np.diag([1.0, 0.3]), np.ones(2)
    inside = kernel_gradient_descent(gram, targets, learning_rate=2 * 3.79, momentum=0.9)
    beyond = kernel_gradient_descent(gram, targets, learning_rate=2 * 3.81, momentum=0.9)
    assert inside.stable
    assert inside.loss(10**5) < 1e-12
    assert not beyond.stable
    assert beyond.loss(10**5) > 1.0


def test_targets_of_zero_need_no_iteration():
    assert iterations_to(kernel_gradient_descent(np.eye(3), np.zeros((3, 2)))) == 0


def test_shapes_follow_the_steps_and_the_targets():
    gram, cross = np.eye(3), np.ones((5, 3))
    many = kernel_gradient_descent(gram, np.ones((3, 2)), cross=cross)
    assert many.predict(4).shape == (5, 2)
    assert many.predict(np.array([[0, 1, 2], [3, 4, 5]])).shape == (2, 3, 5, 2)
    assert many.predict([]).shape == (0, 5, 2)
    assert many.loss(torch.tensor([1, 2])).shape == (2,)
    assert isinstance(many.loss(np.int64(3)), float)
    one = kernel_gradient_descent(gram, np.ones(3))
    assert one.predict(4).shape == (3,)
    assert one.predict([4, 5]).shape == (2, 3)


def test_gram_and_targets_are_left_as_they_were():
    gram, targets = torch.eye(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    kernel_gradient_descent(gram, targets).predict(3)
    assert torch.equal(gram, torch.eye(3, dtype=torch.float64))
    assert torch.equal(targets, torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate=0.0, but it is a finite number above 0"),
        ({"learning_rate": math.nan}, "learning_rate=nan, but it is a finite number above 0"),
        ({"learning_rate": "fast"}, "learning_rate='fast', but it is a finite number above 0"),
        ({"momentum": 1.0}, "momentum=1.0, but momentum is a number of at least 0 and below 1"),
        ({"momentum": -0.1}, "momentum=-0.1, but momentum is a number"),
        ({"targets": np.ones(4)}, r"targets: shape \(4,\), but gram has 3 rows"),
        ({"targets": np.array([1.0, np.nan, 0.0])}, "targets: it has NaN or infinite entries"),
        ({"cross": np.ones((2, 4))}, r"cross: shape \(2, 4\), but gram has 3 rows"),
        ({"gram": np.diag([1.0, 1.0, -0.1])}, "eigenvalues from -0.1 to 1, but a Gram matrix is positive semidefinite"),
        ({"gram": np.zeros((3, 3))}, "gram is zero, so learning_rate=n/λ_max is undefined"),
        ({"gram": np.ones((3, 2))}, "a Gram matrix is square"),
    ],
)
def test_bad_input_is_refused_by_name(options, message):
    with pytest.raises(SkipbenchError, match=message):
        kernel_gradient_descent(**({"gram": np.eye(3), "targets": np.ones(3)} | options))


@pytest.mark.parametrize("steps", [-1, 1.5, True, [1, 2.0], np.array([0.5]), "3", None])
def test_steps_that_are_no_whole_numbers_are_refused(steps):
    curve = kernel_gradient_descent(np.eye(2), np.ones(2))
    with pytest.raises(SkipbenchError, match="gradient descent makes whole steps: use integers of at least 0"):
        curve.loss(steps)


@pytest.mark.parametrize("reduction", [0.0, 1.0, -0.1, 99, "0.9", math.nan])
def test_a_reduction_outside_its_range_is_refused(reduction):
    with pytest.raises(SkipbenchError, match="a share of the first loss between 0 and 1"):
        iterations_to(kernel_gradient_descent(np.eye(2), np.ones(2)), reduction)
