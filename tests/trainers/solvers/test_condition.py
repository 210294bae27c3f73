"""Condition numbers, by the Lanczos algorithm and by both solvers, against all eigenvalues."""

from __future__ import annotations

import math

import numpy as np
import pytest

from skipbench.kernels.spectra.lanczos import Lanczos, random_start
from skipbench.trainers.solvers import solve_ridge_path
from skipbench.trainers.solvers.condition import ritz_extremes, smallest_bounds

METHODS = ["cholesky", "conjugate-gradient"]


def with_eigenvalues(eigenvalues, seed=0):
    vectors = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(eigenvalues),) * 2))[0]
    gram = (vectors * eigenvalues) @ vectors.T
    return (gram + gram.T) / 2


SPECTRA = {
    "powers": np.arange(1, 301) ** -2.0,
    "a gap": np.r_[np.full(299, 1.0), 250.0],
    "a long tail": np.exp(-np.linspace(0, 20, 300)),
    "uniform": np.linspace(0.1, 1, 300),
}


def run(lanczos, multiply):
    while not lanczos.is_done:
        lanczos.advance(multiply(lanczos.vector))
    return lanczos


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("steps", [8, 20, 40])
def test_lanczos_bounds_hold_the_largest_eigenvalue(name, steps):
    gram = with_eigenvalues(SPECTRA[name])
    largest = SPECTRA[name].max()
    for seed in range(20):
        lanczos = run(Lanczos(random_start(300, np.random.default_rng(seed)), steps), lambda vector: gram @ vector)
        low, high = lanczos.largest_bounds()
        assert low <= largest * (1 + 1e-12) <= high * (1 + 2e-12)
        assert high <= low / (1 - lanczos.missing_share()) * (1 + 1e-12)
    assert steps < 40 or lanczos.missing_share() < 0.03


def test_lanczos_on_all_of_a_small_matrix_finds_every_eigenvalue():
    eigenvalues = np.array([0.1, 0.5, 1.0, 3.0, 7.0])
    gram = with_eigenvalues(eigenvalues)
    lanczos = run(Lanczos(random_start(5, np.random.default_rng(0))), lambda vector: gram @ vector)
    np.testing.assert_allclose(lanczos.ritz_values(), eigenvalues, rtol=1e-12)
    assert lanczos.missing_share() == 0


def test_lanczos_ends_with_the_number_of_different_eigenvalues():
    gram = with_eigenvalues(np.r_[np.full(30, 1.0), np.full(20, 4.0)])
    lanczos = run(Lanczos(random_start(50, np.random.default_rng(0))), lambda vector: gram @ vector)
    assert lanczos.steps == 2
    assert lanczos.is_exhausted
    np.testing.assert_allclose(lanczos.ritz_values(), [1, 4], rtol=1e-12)


def test_the_coefficients_of_conjugate_gradients_give_the_ritz_values_of_lanczos():
    gram = with_eigenvalues(np.array([1.0, 2.0, 3.0, 10.0]))
    rest = direction = np.array([1.0, 2.0, 3.0, 4.0])
    steps, growths = [], []
    for _ in range(4):  # the textbook's, on so many dimensions
        image = gram @ direction
        steps.append(float(rest @ rest / (direction @ image)))
        after = rest - steps[-1] * image
        growths.append(float(after @ after / (rest @ rest)))
        rest, direction = after, after + growths[-1] * direction
    assert ritz_extremes(steps, growths) == pytest.approx((1.0, 10.0))


@pytest.mark.parametrize("name", SPECTRA)
def test_bounds_from_random_columns_hold_the_smallest_eigenvalue(name):
    gram, smallest = with_eigenvalues(SPECTRA[name]), SPECTRA[name].min()
    for seed in range(20):
        probes = np.random.default_rng(seed).normal(size=(300, 8))
        solutions = np.linalg.solve(gram, probes)
        low, high = smallest_bounds(probes, solutions, probes - gram @ solutions)
        assert low <= smallest * (1 + 1e-6)
        assert smallest <= high * (1 + 1e-6)
        # solutions that are far from exact say less, but nothing wrong
        rough = solutions + 1e-3 * smallest * np.random.default_rng(seed).normal(size=(300, 8))
        low_rough, high_rough = smallest_bounds(probes, rough, probes - gram @ rough)
        assert low_rough <= smallest * (1 + 1e-6)
        assert smallest <= high_rough * (1 + 1e-6)


@pytest.mark.parametrize("preconditioner", ["nystrom", "pivoted-cholesky", "none"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", SPECTRA)
def test_the_condition_number_lies_within_what_is_stated(name, method, preconditioner):
    gram = with_eigenvalues(SPECTRA[name])
    ridges = [1.0, 1e-2, 1e-4]
    targets = np.random.default_rng(1).normal(size=(300, 2))
    for solution in solve_ridge_path(
        gram, targets, ridges, method=method, preconditioner=preconditioner, tile=128, rank=40, max_iterations=10_000
    ):
        shifted = SPECTRA[name] + solution.shift
        true = shifted.max() / shifted.min()
        condition = solution.condition
        assert condition.low <= true * (1 + 1e-6)
        assert true <= condition.high * (1 + 1e-6)
        assert condition.low <= condition.number <= condition.high
        assert solution.condition_estimate == condition.number == pytest.approx(true, rel=0.3)
        assert condition.number == pytest.approx(condition.largest / condition.smallest)


def test_cholesky_knows_the_condition_number_to_a_few_percent(tangent_kernel):
    gram = tangent_kernel(400)
    eigenvalues = np.linalg.eigvalsh(gram)
    for solution in solve_ridge_path(gram, np.ones((400, 1)), [1e-1, 1e-6], method="cholesky"):
        shifted = eigenvalues + solution.shift
        assert solution.condition.number == pytest.approx(shifted[-1] / shifted[0], rel=1e-3)
        assert solution.condition.high < 1.1 * solution.condition.low


@pytest.mark.parametrize("preconditioner", ["nystrom", "pivoted-cholesky", "none"])
def test_the_preconditioned_condition_number_is_that_of_the_preconditioned_matrix(tangent_kernel, preconditioner):
    gram = tangent_kernel(200)
    targets = np.random.default_rng(2).normal(size=(200, 3))
    options = {"method": "conjugate-gradient", "preconditioner": preconditioner, "rank": 30}
    solution = solve_ridge_path(gram, targets, [1e-2], **options)[0]
    without = solve_ridge_path(gram, targets, [1e-2], method="conjugate-gradient", preconditioner="none")[0]
    eigenvalues = np.linalg.eigvalsh(gram) + solution.shift
    true = eigenvalues[-1] / eigenvalues[0]
    assert without.preconditioned_condition == pytest.approx(true, rel=1e-2)
    assert solution.preconditioned_condition <= true * (1 + 1e-9)
    if preconditioner != "none":
        assert solution.preconditioned_condition < true / 5


@pytest.mark.parametrize("method", METHODS)
def test_a_matrix_with_a_negative_eigenvalue_that_the_ridge_covers_gets_an_honest_condition_number(method):
    eigenvalues = np.r_[np.linspace(1, 2, 59), -0.05]
    solution = solve_ridge_path(with_eigenvalues(eigenvalues), np.random.default_rng(3).normal(size=(60, 1)), [0.1], method=method)[0]
    true = (2 + solution.shift) / (solution.shift - 0.05)
    assert solution.condition.low <= true <= solution.condition.high
    assert solution.condition.number == pytest.approx(true, rel=0.05)
    assert method == "conjugate-gradient" or math.isfinite(solution.condition.high)
