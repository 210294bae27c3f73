"""The spectrum from products with a matrix, against its eigendecomposition: what is exact, what the bounds hold, what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from skipbench.architecture import ResMLP
from skipbench.checks import SkipbenchError
from skipbench.kernels import kernel_matrices
from skipbench.kernels.spectra import eigensystem, estimate, estimate_spectrum, measure_spectrum, unit_diagonal
from skipbench.kernels.spectra.lanczos import Lanczos, random_start
from skipbench.kernels.spectra.quadrature import converged_values, gauss_rule, radau_rule

SHARES = ("90", "99", "99_9")
SPECTRA = {
    "power law": np.arange(1.0, 301) ** -1.5,
    "exponential": 2.0 ** -np.arange(300.0) + 1e-14,
    "two clusters": np.r_[np.full(20, 5.0), np.full(280, 0.01)],
    "one large": np.r_[1e6, np.linspace(0.5, 1.5, 299)],
    "half null": np.r_[np.linspace(1, 2, 150), np.zeros(150)],
}


def with_eigenvalues(eigenvalues, seed=0):
    basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(eigenvalues),) * 2))[0]
    gram = basis * eigenvalues @ basis.T
    return (gram + gram.T) / 2


def labels_of(gram, seed=1):
    """Three classes that lean towards the leading directions, as real labels do."""
    rng = np.random.default_rng(seed)
    values = gram @ rng.normal(size=(len(gram), 3)) / np.abs(gram).sum(axis=1).max() + 0.05 * rng.normal(size=(len(gram), 3))
    return np.eye(3)[values.argmax(axis=1)] - 1 / 3


def estimated(gram, **settings):
    return estimate_spectrum(lambda columns: gram @ columns, np.diag(gram), **settings)


def exact_conditions(measured):
    return {share: getattr(measured, f"label_condition_{share}") or math.inf for share in SHARES}


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("steps", [5, 25, 300])
def test_the_bounds_hold_the_numbers_of_a_decomposition(name, steps):
    gram = with_eigenvalues(SPECTRA[name])
    targets = labels_of(gram)
    exact = measure_spectrum(gram, dtype="float64", ridge=1e-2, targets=torch.from_numpy(targets))
    found = estimated(gram, ridge=1e-2, targets=targets, steps=steps)
    assert found.effective_dimension.low * (1 - 1e-9) <= exact.effective_dimension <= found.effective_dimension.high * (1 + 1e-9)
    for share, number in exact_conditions(exact).items():
        bounds = found.label_conditions[share]
        assert bounds.low * (1 - 1e-9) <= number <= bounds.high * (1 + 1e-9) or bounds.low > 1e13  # beyond it rounding decides
        assert bounds.low <= bounds.value <= bounds.high
    with_ridge = exact.matrices[1].condition_number
    assert found.condition_with_ridge.low * (1 - 1e-9) <= with_ridge <= found.condition_with_ridge.high * (1 + 1e-9)
    assert found.mean_off_diagonal == pytest.approx(exact.mean_off_diagonal, abs=1e-12)


def test_many_steps_leave_little_open_and_unit_diagonal_is_that_of_the_scaled_matrix():
    x = np.random.default_rng(0).normal(size=(150, 8))
    gram = kernel_matrices(ResMLP(depth=2), x)[1].numpy()
    targets = labels_of(gram)
    for scaling, matrix in (("raw", gram), ("unit_diagonal", unit_diagonal(gram).numpy())):
        exact = measure_spectrum(matrix, dtype="float64", ridge=1e-3, targets=torch.from_numpy(targets))
        found = estimated(gram, ridge=1e-3, targets=targets, scaling=scaling, steps=150)
        assert found.condition.number == pytest.approx(exact.matrices[0].condition_number, rel=1e-8)
        assert found.condition_with_ridge.number == pytest.approx(exact.matrices[1].condition_number, rel=1e-8)
        assert {share: each.value for share, each in found.label_conditions.items()} == pytest.approx(exact_conditions(exact), rel=1e-6)
        assert found.double_constant_bound == pytest.approx(exact.double_constant_bound, rel=1e-9)
        assert found.effective_dimension.value == pytest.approx(exact.effective_dimension, rel=0.2)


def test_the_interval_of_the_effective_dimension_holds_as_often_as_it_says():
    gram = with_eigenvalues(SPECTRA["power law"])
    eigenvalues = SPECTRA["power law"]
    shift = 1e-2 * eigenvalues.mean()
    truth = (eigenvalues / (eigenvalues + shift)).sum()
    intervals = [estimated(gram, ridge=1e-2, steps=40, probes=5, seed=seed).effective_dimension for seed in range(100)]
    held = sum(each.low <= truth <= each.high for each in intervals)
    assert 88 <= held <= 100  # 95 expected, with a standard deviation of 2.2
    assert np.mean([each.high - each.low for each in intervals]) < truth / 2


def test_the_decay_is_that_of_the_leading_eigenvalues():
    found = estimated(with_eigenvalues(SPECTRA["power law"]), steps=80).decay
    assert found.exponent == pytest.approx(1.5, abs=0.02)
    assert 20 <= found.last < 80
    assert estimated(with_eigenvalues(SPECTRA["two clusters"]), steps=80).decay is None


@given(seed=st.integers(0, 10**6), n=st.integers(2, 40), steps=st.integers(1, 45), power=st.floats(0, 4))
def test_rules_bound_any_measure_and_integrate_polynomials(seed, n, steps, power):
    rng = np.random.default_rng(seed)
    eigenvalues = np.sort(rng.uniform(0.1, 1, n) * np.arange(1.0, n + 1) ** -power)
    basis = np.linalg.qr(rng.normal(size=(n, n)))[0]
    gram, start = basis * eigenvalues @ basis.T, random_start(n, rng)
    lanczos = Lanczos(start, steps)
    while not lanczos.is_done:
        lanczos.advance(gram @ lanczos.vector)
    weights = (basis.T @ start) ** 2 / (start @ start)
    rule, other = gauss_rule(lanczos), radau_rule(lanczos, 0.0)
    for each in (rule, other):
        assert each.weights.sum() == pytest.approx(1)
        assert each.integral(lambda s: s) == pytest.approx(weights @ eigenvalues, rel=1e-9)

    def share(values):
        return values / (values + 0.03)

    truth = float(weights @ share(eigenvalues))
    assert other.integral(share) <= truth * (1 + 1e-9)
    assert truth <= rule.integral(share) * (1 + 1e-9)
    values = rng.uniform(0, 1.1, 20)
    above = (weights * (eigenvalues >= values[:, None])).sum(axis=1)
    assert (rule.least_above(values) <= above + 1e-9).all()
    assert (above <= rule.most_above(values) + 1e-9).all()
    converged = converged_values(lanczos, 1e-3)
    nearest = np.abs(converged[:, None] - eigenvalues).min(axis=1)
    assert (nearest <= 1e-3 * converged + 1e-12).all()


def test_starts_that_do_not_fit_in_memory_together_give_the_same(monkeypatch):
    gram = with_eigenvalues(SPECTRA["power law"])
    settings = {"ridge": 1e-2, "targets": labels_of(gram), "steps": 30}
    together, columns = estimated(gram, **settings), []
    monkeypatch.setattr(estimate, "BASES_BYTES", 4 * 300 * 30 * 8)
    apart = estimate_spectrum(lambda block: (columns.append(block.shape[1]), gram @ block)[1], np.diag(gram), **settings)
    assert max(columns) == 4
    assert apart.effective_dimension.value == pytest.approx(together.effective_dimension.value, rel=1e-9)
    assert apart.label_conditions["99"].value == pytest.approx(together.label_conditions["99"].value, rel=1e-9)


def test_a_matrix_of_zeros_one_row_and_labels_without_energy():
    zeros = estimated(np.zeros((6, 6)), ridge=0.1, targets=np.ones(6))
    assert (zeros.condition.number, zeros.effective_dimension.value, zeros.label_conditions["90"].value) == (math.inf, 0, math.inf)
    assert zeros.mean_off_diagonal is None
    one = estimated(np.array([[2.0]]), ridge=0.5, targets=np.zeros((1, 2)))
    assert (one.condition.number, one.effective_dimension.value, one.label_conditions) == (1, pytest.approx(2 / 3), {})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps=0"),
        ({"probes": 1}, "probes=1"),
        ({"ridge": -1.0}, "ridge=-1.0"),
        ({"scaling": "unit"}, "scaling='unit'"),
        ({"targets": np.ones((3, 2))}, r"targets of shape \(3, 2\)"),
        ({"targets": np.full(4, np.nan)}, "finite ones"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(SkipbenchError, match=message):
        estimated(np.eye(4), **settings)


def test_a_diagonal_that_is_none_is_refused():
    with pytest.raises(SkipbenchError, match="diagonal has shape"):
        estimate_spectrum(lambda columns: columns, np.eye(3))
    with pytest.raises(SkipbenchError, match=r"diagonal entry 1 is 0\.0"):
        estimate_spectrum(lambda columns: columns, [1.0, 0.0], scaling="unit_diagonal")


@pytest.mark.parametrize(
    ("product", "found"), [(lambda columns: columns[:, :1], r"shape \(5, 1\)"), (lambda columns: columns / 0, "NaN or")]
)
def test_a_product_that_is_none_is_refused(product, found):
    with np.errstate(all="ignore"), pytest.raises(SkipbenchError, match=f"times_matrix took columns of shape .* to {found}"):
        estimate_spectrum(product, np.ones(5))


def test_eigenvectors_are_not_needed_but_agree():
    gram = with_eigenvalues(SPECTRA["one large"])
    found = estimated(gram, targets=eigensystem(gram).eigenvectors[:, -1].numpy(), steps=20)
    assert found.label_conditions["99_9"].value == pytest.approx(1)
