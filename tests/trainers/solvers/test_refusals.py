"""What cannot be solved, and what is no question at all."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch

from skipbench.checks import SkipbenchError
from skipbench.trainers.ridge_path import SingularGramError, ridge_path
from skipbench.trainers.solvers import NotConvergedError, SolverSettings, solve_ridge, solve_ridge_path

METHODS = ["cholesky", "conjugate-gradient"]
SINGULAR = {
    "rank one": np.ones((50, 50)),
    "a negative eigenvalue": np.diag(np.r_[np.linspace(1, 2, 99), -0.3]),
    "float32 rounding": np.diag([3.0, 1.0, -1e-4]),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", SINGULAR)
def test_a_singular_matrix_says_its_eigenvalues_and_a_ridge_that_can_be_used(name, method):
    gram = SINGULAR[name]
    targets = np.random.default_rng(0).normal(size=(len(gram), 2))
    with pytest.raises(
        SingularGramError, match=r"gram is singular at ridge=1e-20: its eigenvalues run from .* use a ridge of at least"
    ) as caught:
        solve_ridge(gram, targets, 1e-20, method=method)
    error = caught.value
    eigenvalues = np.linalg.eigvalsh(gram)
    assert error.s_max == pytest.approx(eigenvalues[-1], rel=0.02)
    assert error.s_min == pytest.approx(eigenvalues[0], rel=0.02, abs=1e-12)
    solved = solve_ridge(gram, targets, error.smallest_usable_ridge, method=method)
    expected = ridge_path(torch.from_numpy(gram), torch.from_numpy(targets), [error.smallest_usable_ridge])[0].numpy()
    # at a condition number near 1/(n eps) few digits are left; what matters is that it answers
    assert np.linalg.norm(solved.coefficients - expected) <= np.linalg.norm(expected)


@pytest.mark.parametrize("method", METHODS)
def test_the_smallest_ridge_of_a_path_is_the_one_that_is_named(method):
    targets = np.random.default_rng(1).normal(size=(100, 1))
    with pytest.raises(SingularGramError, match=r"singular at ridge=0\.001:"):
        solve_ridge_path(SINGULAR["a negative eigenvalue"], targets, [1.0, 1e-3, 1e-2], method=method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("gram", [np.zeros((5, 5)), -np.eye(5)])
def test_without_a_positive_trace_no_ridge_helps(gram, method):
    with pytest.raises(SingularGramError, match="no ridge helps, as the trace is not positive") as caught:
        solve_ridge(gram, np.ones(5), 1e-2, method=method)
    assert math.isinf(caught.value.smallest_usable_ridge)


def test_too_few_iterations_are_an_error_that_keeps_what_was_reached(tangent_kernel):
    gram, targets = tangent_kernel(200), np.random.default_rng(2).normal(size=(200, 1))
    with pytest.raises(NotConvergedError, match=r"at ridge=0.0001 after 5 iterations, above tolerance=1e-08: use a larger rank") as caught:
        solve_ridge_path(gram, targets, [1e3, 1e-4], method="conjugate-gradient", max_iterations=5, preconditioner="none")
    large, small = caught.value.solutions
    assert large.residual <= 1e-8 < small.residual
    assert small.iterations == 5
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert np.array_equal(again.solutions[1].coefficients, small.coefficients)


def test_too_little_memory_is_said_before_anything_is_computed(counting_matrix, tangent_kernel):
    matrix = counting_matrix(tangent_kernel(300), tile=50)
    with pytest.raises(
        SkipbenchError, match=r'method="cholesky" takes \d+ kB of memory for n=300, and 700 kB are allowed by memory_bytes'
    ) as caught:
        solve_ridge(matrix, np.ones(300), 1e-2, method="cholesky", memory_bytes=700_000, rank=2)
    assert 'method="conjugate-gradient" takes' in str(caught.value)
    assert len(matrix.reads) == 6  # the diagonal
    with pytest.raises(SkipbenchError, match=r'method="conjugate-gradient" takes .* and 1 kB are allowed.*use a smaller tile'):
        solve_ridge(matrix, np.ones(300), 1e-2, memory_bytes=1000)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (np.ones(4), r"targets of shape \(4,\), but gram has 5 rows: use \(5, outputs\)"),
        (np.ones((4, 2)), r"targets of shape \(4, 2\), but gram has 5 rows"),
        (np.ones((5, 0)), r"targets of shape \(5, 0\)"),
        (np.ones((5, 2, 2)), r"targets of shape \(5, 2, 2\)"),
        (np.array([1, 2, np.nan, 4, np.inf]), "2 of 5 numbers are NaN or infinite"),
        (np.array(list("abcde")), "an array of <U1, but targets are real numbers"),
    ],
)
def test_bad_targets_are_refused(targets, message):
    for method in METHODS:
        with pytest.raises(SkipbenchError, match=message):
            solve_ridge(np.eye(5), targets, 1e-2, method=method)


@pytest.mark.parametrize("ridge", [0, -1.0, math.nan, math.inf, "1", True, None])
def test_bad_ridges_are_refused(ridge):
    with pytest.raises(SkipbenchError, match="solve_ridge: ridge="):
        solve_ridge(np.eye(5), np.ones(5), ridge)


@pytest.mark.parametrize("ridges", [[], "1e-2", 1e-2, None])
def test_what_is_no_list_of_ridges_is_refused(ridges):
    with pytest.raises(SkipbenchError, match=r"ridges=.* but it is a list of at least one ridge"):
        solve_ridge_path(np.eye(5), np.ones(5), ridges)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "cholesk"}, 'no method "cholesk" of a solver. Nearest: cholesky'),
        ({"preconditioner": "nystroem"}, 'no preconditioner "nystroem" of a solver. Nearest: nystrom'),
        ({"tolerance": 0}, "tolerance=0, but a relative residual lies between 0 and 1"),
        ({"tolerance": "1e-8"}, "tolerance='1e-8'"),
        ({"max_iterations": 0}, "max_iterations=0, but it is a whole number of at least 1"),
        ({"rank": -1}, "rank=-1"),
        ({"rank": 2.5}, "rank=2.5"),
        ({"memory_bytes": 0}, "memory_bytes=0"),
        ({"seed": -1}, "seed=-1, but it is a whole number of at least 0"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(SkipbenchError, match=message):
        SolverSettings(**options)


def test_an_unknown_option_is_refused():
    with pytest.raises(TypeError, match="tolerence"):
        solve_ridge(np.eye(5), np.ones(5), 1e-2, tolerence=1e-3)
