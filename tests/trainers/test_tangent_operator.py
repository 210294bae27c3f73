"""Products with a network's tangent kernel, and its spectrum by Lanczos, against the matrix itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skipbench.architecture import CNN, ResMLP
from skipbench.checks import SkipbenchError
from skipbench.kernels.spectra import measure_spectrum, unit_diagonal
from skipbench.trainers import build_network, empirical_ntk
from skipbench.trainers.tangent_operator import TangentOperator, tangent_extremes, tangent_spectrum

CASES = {"vectors": (ResMLP(depth=2), (5,)), "images": (CNN(depth=2, readout="tr"), (2, 4, 3))}


def example(kind, n=13, width=7):
    arch, shape = CASES[kind]
    network = build_network(arch, width=width, input_shape=shape, outputs=3, seed=1, dtype=torch.float64)
    return network, np.random.default_rng(0).normal(size=(n, *shape))


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("batch_rows", [1, 5, 100])
def test_products_are_those_of_the_matrix_however_rows_are_cut(kind, batch_rows):
    network, x = example(kind)
    vector = np.random.default_rng(1).normal(size=(len(x), 1))
    product = TangentOperator(network, x, batch_rows=batch_rows)(vector)
    np.testing.assert_allclose(product, empirical_ntk(network, x).numpy() @ vector, rtol=1e-10)


@pytest.mark.parametrize("kind", CASES)
def test_with_as_many_steps_as_rows_the_extremes_are_the_eigenvalues(kind):
    network, x = example(kind)
    exact = np.linalg.eigvalsh(empirical_ntk(network, x).numpy())
    found = tangent_extremes(network, x, steps=len(x))
    assert found.largest == pytest.approx(exact[-1], rel=1e-10)
    assert found.smallest == pytest.approx(exact[0], rel=1e-6)
    assert found.condition(0.0).number == pytest.approx(exact[-1] / exact[0], rel=1e-6)


def test_after_few_steps_the_bounds_hold_and_say_how_little_is_known_of_the_smallest():
    network, x = example("vectors", n=60, width=100)  # wide enough for a matrix of full rank
    exact = np.linalg.eigvalsh(empirical_ntk(network, x).numpy())
    found = tangent_extremes(network, x, steps=12)
    assert found.largest <= exact[-1] * (1 + 1e-12)
    assert exact[-1] <= found.largest_high
    assert found.smallest_low <= exact[0] <= found.smallest_high
    condition = found.condition(0.0)
    assert condition.low <= exact[-1] / exact[0] <= condition.high


@pytest.mark.parametrize(("settings", "message"), [({"steps": 0}, "steps=0"), ({"batch_rows": 0}, "batch_rows=0")])
def test_counts_that_are_none_are_refused(settings, message):
    network, x = example("vectors")
    with pytest.raises(SkipbenchError, match=message):
        tangent_extremes(network, x, **settings)


def test_no_rows_are_refused():
    network, x = example("vectors")
    with pytest.raises(SkipbenchError, match="x has no rows"):
        TangentOperator(network, x[:0])


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("scaling", ["raw", "unit_diagonal"])
def test_the_spectrum_without_the_matrix_is_that_of_the_matrix(kind, scaling):
    network, x = example(kind, n=20, width=40)
    targets = np.eye(3)[np.arange(20) % 3] - 1 / 3
    gram = empirical_ntk(network, x)
    np.testing.assert_allclose(TangentOperator(network, x, batch_rows=7).diagonal(), gram.diagonal(), rtol=1e-10)
    matrix = gram if scaling == "raw" else unit_diagonal(gram)
    exact = measure_spectrum(matrix, dtype="float64", ridge=0.1, targets=torch.from_numpy(targets))
    found = tangent_spectrum(network, x, ridge=0.1, targets=targets, scaling=scaling, probes=3, batch_rows=7)
    assert found.steps == 20
    assert found.condition_with_ridge.number == pytest.approx(exact.matrices[1].condition_number, rel=1e-6)
    assert found.label_conditions["90"].value == pytest.approx(exact.label_condition_90, rel=1e-6)
    assert found.double_constant_bound == pytest.approx(exact.double_constant_bound, rel=1e-8)


def test_the_spectrum_of_a_network_in_float32_is_taken_in_float64():
    network, x = example("vectors", n=20, width=40)
    exact = np.linalg.eigvalsh(empirical_ntk(network.float(), x, dtype=torch.float64).numpy())
    found = tangent_spectrum(network, x, probes=2)
    assert found.condition.number == pytest.approx(exact[-1] / exact[0], rel=1e-8)
    assert next(network.parameters()).dtype == torch.float32
