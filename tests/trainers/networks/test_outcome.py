"""Measured iterations to a loss reduction, and the exception of a diverged training."""

from __future__ import annotations

import pickle

import pytest

from skipbench.checks import SkipbenchError
from skipbench.results.record import CurvePoint
from skipbench.trainers.networks import TrainingDiverged
from skipbench.trainers.networks.outcome import measured_convergence


def converged(steps, losses):
    return measured_convergence(steps, losses, learning_rate=0.5, momentum=0.0, batch_size=None)


def test_iterations_are_the_first_step_at_or_below_the_threshold():
    steps = range(12)
    found = converged(steps, [0.5**step for step in steps])  # 2^-4 < 0.1 <= 2^-3, 2^-7 < 0.01, 2^-10 < 0.001
    assert (found.iterations_90, found.iterations_99, found.iterations_99_9) == (4, 7, 10)
    assert found.last_step == 11
    assert found.source == "measured"
    assert found.measured_rate == pytest.approx(0.5, rel=1e-12)


def test_a_loss_that_rises_again_keeps_its_first_step_and_a_miss_is_none():
    found = converged([0, 1, 2, 3], [10.0, 0.9, 5.0, 0.5])
    assert (found.iterations_90, found.iterations_99, found.iterations_99_9) == (1, None, None)


def test_steps_between_the_recorded_ones_are_rounded_up_to_the_next_recorded_one():
    found = converged([0, 10, 20, 40], [1.0, 0.2, 0.09, 0.045])
    assert found.iterations_90 == 20
    assert found.measured_rate == pytest.approx(0.5 ** (1 / 20), rel=1e-12)


def test_without_steps_or_at_loss_0_there_is_no_rate():
    assert converged([0], [1.0]).measured_rate is None
    assert converged([0, 1, 2], [1.0, 0.0, 0.0]).measured_rate is None


def test_a_diverged_training_carries_its_step_rate_and_curve_through_a_pickle():
    curve = (CurvePoint(step=0, loss=1.0),)
    error = pickle.loads(pickle.dumps(TrainingDiverged("it diverged", step=3, learning_rate=7.0, curve=curve)))
    assert isinstance(error, TrainingDiverged)
    assert isinstance(error, SkipbenchError)
    assert (str(error), error.step, error.learning_rate, error.curve) == ("it diverged", 3, 7.0, curve)
