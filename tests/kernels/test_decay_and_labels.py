"""The exponent of eigenvalue decay, and where in the spectrum the labels' energy lies."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import gram_matrices

from skipbench.checks import SkipbenchError
from skipbench.kernels.spectra import condition_number, eigensystem, eigenvalue_decay, label_condition, label_energies, measure_spectrum
from skipbench.trainers.gradient_descent import iterations_to, kernel_gradient_descent


def ascending(values):
    return torch.tensor(sorted(values), dtype=torch.float64)


@given(exponent=st.floats(0.5, 4.0), scale=st.floats(1e-3, 1e3), n=st.integers(60, 400))
def test_a_power_law_has_its_exponent_and_no_width(exponent, scale, n):
    decay = eigenvalue_decay(ascending(scale * np.arange(1, n + 1) ** -exponent), last=n)
    assert decay.low <= decay.exponent <= decay.high
    # means of logarithms over a band lie on the line up to the band's curvature, which a straight line does not have
    assert decay.exponent == pytest.approx(exponent, abs=1e-6)
    assert decay.high - decay.low < 1e-5


def test_ranks_before_the_first_and_behind_the_last_change_nothing():
    values = np.arange(1, 201.0) ** -2
    bent = values.copy()
    bent[:3] *= 100
    bent[100:] *= 1e-3
    assert eigenvalue_decay(ascending(bent)).exponent == pytest.approx(2.0, abs=1e-6)
    assert (eigenvalue_decay(ascending(bent)).first, eigenvalue_decay(ascending(bent)).last) == (4, 100)


def test_a_bent_decay_has_a_wide_interval():
    ranks = np.arange(1, 401.0)
    straight, bent = (eigenvalue_decay(ascending(values), last=400) for values in (ranks**-2.0, np.exp(-ranks / 40)))
    assert bent.high - bent.low > 100 * (straight.high - straight.low)


def test_what_is_numerically_zero_is_no_decay_and_few_ranks_have_no_exponent():
    values = [10.0**-k for k in range(1, 9)] + [1e-30] * 100
    assert eigenvalue_decay(ascending(values)) is None
    assert eigenvalue_decay(ascending([1.0, 2.0, 3.0])) is None
    assert eigenvalue_decay(torch.zeros(5, dtype=torch.float64)) is None


@pytest.mark.parametrize(
    ("ranks", "message"), [({"first": 0}, "first=0, but ranks count from 1"), ({"last": 9}, "last=9, but there are 8")]
)
def test_ranks_that_are_none_are_refused(ranks, message):
    with pytest.raises(SkipbenchError, match=message):
        eigenvalue_decay(ascending(range(1, 9)), **ranks)


@given(gram=gram_matrices(max_n=8), seed=st.integers(0, 99))
def test_energies_are_shares_from_the_largest_direction_on(gram, seed):
    system = eigensystem(gram)
    targets = np.random.default_rng(seed).normal(size=(len(gram), 3))
    energies = label_energies(system, torch.from_numpy(targets))
    direct = [float((system.eigenvectors[:, k] @ torch.from_numpy(targets)).square().sum()) for k in range(len(gram) - 1, -1, -1)]
    np.testing.assert_allclose(energies, np.array(direct) / (targets**2).sum(), atol=1e-12)
    assert float(energies.sum()) == pytest.approx(1.0)


def test_labels_in_leading_directions_have_a_small_condition_whatever_the_smallest_eigenvalue_is():
    gram = np.diag([100.0, 10.0, 1.0, 1e-9])
    system = eigensystem(gram)
    leading, even = np.array([3.0, 1.0, 0.0, 0.0]), np.array([1.0, 1.0, 1.0, 1.0])
    energies = label_energies(system, torch.from_numpy(leading))
    assert [label_condition(system, energies, share) for share in (0.5, 0.9, 0.91, 1.0)] == pytest.approx([1, 1, 10, 10])
    energies = label_energies(system, torch.from_numpy(even))
    assert [label_condition(system, energies, share) for share in (0.25, 0.26, 0.75, 0.76)] == pytest.approx([1, 10, 100, 1e11])
    assert label_condition(system, energies, 1.0) == pytest.approx(condition_number(gram))


def test_energy_in_a_direction_that_is_numerically_zero_has_an_infinite_condition_and_stands_as_none_in_the_record():
    gram = np.diag([1.0, 1e-20])
    system = eigensystem(gram)
    targets = torch.tensor([[1.0], [1.0]], dtype=torch.float64)
    assert label_condition(system, label_energies(system, targets), 0.99) == math.inf
    spectrum = measure_spectrum(gram, dtype="float64", system=system, targets=targets)
    assert spectrum.label_condition_99 is None
    assert [(point.directions, point.energy) for point in spectrum.label_energy] == [(1, pytest.approx(0.5)), (2, pytest.approx(1.0))]


@given(seed=st.integers(0, 99), reduction=st.sampled_from([0.9, 0.99]))
def test_the_label_condition_bounds_the_iterations_of_gradient_descent(seed, reduction):
    """After ln(2/(1-ρ))/2 κ_ρ' steps, the directions that hold all but (1-ρ)/2 of the energy have lost all but (1-ρ)/2 of theirs."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(12, 4)) * np.array([8.0, 4.0, 2.0, 1.0])
    gram, targets = values @ values.T + 0.1 * np.eye(12), rng.normal(size=(12, 2))
    system = eigensystem(gram)
    share = 1 - (1 - reduction) / 2
    condition = label_condition(system, label_energies(system, torch.from_numpy(targets)), share)
    assert iterations_to(kernel_gradient_descent(gram, targets), reduction) <= math.log(2 / (1 - reduction)) / 2 * condition + 1


@pytest.mark.parametrize("share", [0, 1.5, True, "0.9"])
def test_a_share_that_is_none_is_refused(share):
    system = eigensystem(np.eye(2))
    with pytest.raises(SkipbenchError, match=r"share=.*above 0 and at most 1"):
        label_condition(system, label_energies(system, torch.ones(2, 1, dtype=torch.float64)), share)


def test_targets_of_another_length_are_refused():
    with pytest.raises(SkipbenchError, match=r"targets: shape \(3, 1\), but the Gram matrix has 2 rows"):
        label_energies(eigensystem(np.eye(2)), torch.ones(3, 1, dtype=torch.float64))
