"""Lines through censored points: against least squares, against what made the points, and under changes that must not matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import check_grad

from skipbench.checks import SkipbenchError
from skipbench.results.statistics.censored_fits import _cost, bootstrap_fit, fit_line, interval_of


def points(seed, n=200, slope=0.8, deviation=0.2, limit=np.inf):
    rng = np.random.default_rng(seed)
    x = rng.uniform(1, 5, n)
    y = 0.5 + slope * x + deviation * rng.normal(size=n)
    return x, np.minimum(y, limit), y > limit


@given(seed=st.integers(0, 50))
def test_without_censoring_it_is_least_squares(seed):
    x, y, censored = points(seed, n=30)
    line, expected = fit_line(x, y, censored), stats.linregress(x, y)
    assert (line.slope, line.intercept) == pytest.approx((expected.slope, expected.intercept))
    assert line.deviation == pytest.approx(np.std(y - expected.intercept - expected.slope * x))
    assert line.log_likelihood == pytest.approx(stats.norm.logpdf(y, line.intercept + line.slope * x, line.deviation).sum())


def test_misses_do_not_flatten_the_slope_as_they_do_under_least_squares():
    slopes, flattened = [], []
    for seed in range(20):
        x, y, censored = points(seed, limit=3.5)
        assert 0.2 < censored.mean() < 0.4
        slopes.append(fit_line(x, y, censored).slope)
        flattened.append(stats.linregress(x, y).slope)
    error = np.std(slopes) / np.sqrt(len(slopes))
    assert abs(np.mean(slopes) - 0.8) < 4 * error  # four standard errors of the mean of twenty fits
    assert np.mean(flattened) < 0.7


@given(seed=st.integers(0, 50), factor=st.floats(0.1, 10))
def test_a_predictor_in_other_units_moves_the_intercept_only(seed, factor):
    x, y, censored = points(seed, n=60, limit=3.8)
    line, moved = fit_line(x, y, censored), fit_line(x + np.log10(factor), y, censored)
    assert moved.slope == pytest.approx(line.slope, rel=1e-3)  # what the search stops at
    assert moved.deviation == pytest.approx(line.deviation, rel=1e-3)
    assert moved.intercept == pytest.approx(line.intercept - line.slope * np.log10(factor), abs=5e-3)


def test_every_point_twice_changes_no_estimate_and_doubles_the_likelihood():
    x, y, censored = points(3, limit=3.8)
    line, twice = fit_line(x, y, censored), fit_line(*(np.tile(part, 2) for part in (x, y, censored)))
    assert (twice.slope, twice.deviation) == pytest.approx((line.slope, line.deviation), rel=1e-3)
    assert twice.log_likelihood == pytest.approx(2 * line.log_likelihood, rel=1e-6)


def test_the_gradient_is_that_of_the_likelihood():
    x, y, censored = points(1, n=40, limit=3.5)
    design = np.column_stack([np.ones_like(x), x])
    arguments = (design[~censored], y[~censored], design[censored], y[censored])
    at = np.array([2.0, 3.0, 4.0])
    difference = check_grad(lambda p: _cost(p, *arguments)[0], lambda p: _cost(p, *arguments)[1], at)
    assert difference < 1e-5 * np.abs(_cost(at, *arguments)[1]).max()


def test_the_interval_holds_the_slope_as_often_as_it_says_where_clusters_move_together():
    held = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        clusters = np.repeat(np.arange(12), 10)
        x = rng.uniform(1, 5, 120)
        y = 0.8 * x + 0.3 * rng.normal(size=12)[clusters] + 0.05 * rng.normal(size=120)
        low, high = bootstrap_fit(x, y, np.zeros(120, bool), clusters, draws=200).slope_interval
        held += low <= 0.8 <= high
    assert held >= 32  # of 40; a 95 % interval from twelve clusters is known to be somewhat short, and 31 has a chance of 2 % at 90 %


def test_with_two_clusters_there_is_no_interval():
    x, y, censored = points(0, n=20)
    fit = bootstrap_fit(x, y, censored, [0] * 10 + [1] * 10)
    assert (fit.slope_interval, fit.deviation_interval, fit.n_clusters) == (None, None, 2)
    assert interval_of([1.0] * 19) is None


def test_equal_seeds_draw_equal_intervals():
    x, y, censored = points(0, n=40, limit=3.8)
    clusters = np.repeat(np.arange(8), 5)
    fits = [bootstrap_fit(x, y, censored, clusters, draws=50, seed=seed) for seed in (1, 1, 2)]
    assert fits[0] == fits[1] != fits[2]


@pytest.mark.parametrize(
    ("x", "y", "censored", "message"),
    [
        ([1, 2, 3], [1, 2], [False] * 3, "3, 2 and 3 entries"),
        ([1, 2, np.inf], [1, 2, 3], [False] * 3, "not finite"),
        ([1, 1, 1], [1, 2, 3], [False] * 3, "a line needs three at two"),
        ([1, 2, 3], [1, 2, 3], [False, False, True], "2 known points"),
    ],
)
def test_points_without_a_line_are_refused(x, y, censored, message):
    with pytest.raises(SkipbenchError, match=message):
        fit_line(np.array(x, float), np.array(y, float), np.array(censored))
