"""Paired comparisons: only pairs that differ in one thing, on the splits that both finished."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from skipbench.architecture import CNN, MLP, DenseMLP, ResCNN, ResMLP
from skipbench.results.statistics.comparisons import kernel_against_network, paired_interval, residual_against_plain

IMAGES = {"dataset": "digits-images", "input_shape": (1, 8, 8)}


def pairs(comparisons):
    return [(comparison.first, comparison.second) for comparison in comparisons]


def test_residual_meets_plain_for_each_kernel_and_network(suite_cells, make_frame):
    compared = residual_against_plain(make_frame(suite_cells))
    assert {(c.inputs, c.what) for c in compared} == {
        (inputs, what) for inputs in ("images", "vectors") for what in ("NTK", "NNGP", "network of width 64")
    }
    assert all("Res" in c.first and "Res" not in c.second for c in compared)
    for c in compared:
        assert c.difference == pytest.approx(0.02)
        assert c.first_accuracy - c.second_accuracy == pytest.approx(c.difference)
        assert [entry.dataset for entry in c.by_dataset] == (["iris", "wine"] if c.inputs == "vectors" else ["digits-images"])


@pytest.mark.parametrize(
    "changed",
    [
        {"architecture": MLP(3)},
        {"architecture": MLP(2, bias=0.1)},
        {"kernel": "nngp"},
        {"parameters": {"ridges": [1.0]}},
        {"dtype": "float32"},
        {"split": 1},
        {"suite": "other"},
        {"dataset": "wine"},
        {"family": "network", "width": 64, "seed": 0},
    ],
)
def test_what_differs_in_more_than_its_skips_is_no_pair(make_cell, make_frame, changed):
    residual = make_cell(architecture=ResMLP(2))
    assert len(residual_against_plain(make_frame([residual, make_cell(architecture=MLP(2))]))) == 1
    assert residual_against_plain(make_frame([residual, make_cell(**{"architecture": MLP(2), **changed})])) == []


@pytest.mark.parametrize("changed", [{"readout": "tr"}, {"filter_size": 5}, {"padding": "circular"}])
def test_convolutional_pairs_agree_in_every_shared_field(make_cell, make_frame, changed):
    residual = make_cell(architecture=ResCNN(2), **IMAGES)
    assert residual_against_plain(make_frame([residual, make_cell(architecture=CNN(2, **changed), **IMAGES)])) == []


def test_every_alpha_and_the_dense_network_meet_the_same_plain_one(make_cell, make_frame):
    skips = [ResMLP(2), ResMLP(2, alpha="L^-0.5"), ResMLP(2, branch_depth=3), DenseMLP(2)]
    cells = [make_cell(architecture=MLP(2)), *(make_cell(architecture=architecture) for architecture in skips)]
    compared = residual_against_plain(make_frame(cells))
    assert {c.second for c in compared} == {"NTK MLP(2)"}
    assert len(compared) == 4


def test_a_kernel_meets_the_networks_of_exactly_its_architecture(make_cell, make_frame):
    cells = [make_cell(architecture=ResMLP(2, alpha=0.5), accuracy=0.9)]
    cells += [make_cell(architecture=ResMLP(2, alpha=0.5), family="network", width=width, seed=0, accuracy=0.8) for width in (8, 64)]
    cells += [make_cell(architecture=ResMLP(2), family="network", width=8, seed=0), make_cell(architecture=MLP(2))]
    compared = kernel_against_network(make_frame(cells))
    assert sorted(c.what for c in compared) == ["NTK against network of width 64", "NTK against network of width 8"]
    assert [c.difference for c in compared] == pytest.approx([0.1, 0.1])


def test_seeds_are_averaged_before_splits_are_paired(make_cell, make_frame):
    network = {"family": "network", "width": 8, "architecture": MLP(2)}
    cells = [make_cell(split=split, accuracy=0.8) for split in (0, 1)]
    cells += [make_cell(split=0, seed=seed, accuracy=0.7, **network) for seed in range(9)]
    cells += [make_cell(split=1, seed=seed, accuracy=accuracy, **network) for seed, accuracy in enumerate((0.4, 0.6))]
    (compared,) = kernel_against_network(make_frame(cells))
    assert [(s.split, s.first, s.second) for s in compared.splits] == [(0, 0.8, pytest.approx(0.7)), (1, 0.8, pytest.approx(0.5))]
    assert compared.difference == pytest.approx(0.2)


def test_failed_cells_make_no_pair(make_cell, make_frame):
    cells = [make_cell(), make_cell(family="network", width=8, seed=0, status="diverged", reason="loss is infinite")]
    assert kernel_against_network(make_frame(cells)) == []
    assert kernel_against_network(make_frame([])) == []
    assert residual_against_plain(make_frame([])) == []


def test_the_interval_is_over_data_sets_where_there_are_several(make_cell, make_frame):
    gains = {"iris": (0.01, 0.03), "wine": (0.0, 0.02), "digits": (0.05, 0.03)}
    cells = []
    for dataset, values in gains.items():
        for split, gain in enumerate(values):
            cells.append(make_cell(dataset=dataset, split=split, accuracy=0.8, architecture=MLP(2)))
            cells.append(make_cell(dataset=dataset, split=split, accuracy=0.8 + gain, architecture=ResMLP(2)))
    (compared,) = residual_against_plain(make_frame(cells))
    means = [np.mean(values) for values in gains.values()]
    expected = stats.ttest_1samp(means, 0.0).confidence_interval(0.95)
    assert compared.interval == pytest.approx((expected.low, expected.high))
    assert not compared.is_decided


def test_the_interval_of_one_data_set_is_widened_for_the_rows_that_its_splits_share(make_cell, make_frame):
    gains = (0.02, 0.03, 0.04)
    cells = [make_cell(split=split, accuracy=0.8) for split in range(3)]
    cells += [make_cell(split=split, accuracy=0.8 + gain, architecture=ResMLP(2)) for split, gain in enumerate(gains)]
    (compared,) = residual_against_plain(make_frame(cells))
    independent = stats.ttest_1samp(gains, 0.0).confidence_interval(0.95)
    half = (independent.high - independent.low) / 2 * math.sqrt((1 / 3 + 30 / 90) / (1 / 3))  # n = 150: 90 rows train, 30 test
    assert compared.interval == pytest.approx((0.03 - half, 0.03 + half))


def test_one_split_has_no_interval_and_decides_nothing(make_cell, make_frame):
    (compared,) = residual_against_plain(make_frame([make_cell(accuracy=0.1), make_cell(architecture=ResMLP(2), accuracy=0.9)]))
    assert compared.interval is None
    assert not compared.is_decided


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=20).filter(lambda values: np.std(values) > 1e-3))
def test_the_interval_of_independent_differences_is_the_t_interval(differences):
    expected = stats.ttest_1samp(differences, 0.0).confidence_interval(0.95)
    assert paired_interval(differences) == pytest.approx((expected.low, expected.high))


def test_conditions_and_iterations_are_compared_by_their_ratio_where_both_are_finite(make_cell, make_frame):
    cells = [
        make_cell(split=split, condition_number=condition, iterations=(1, steps, None))
        for split, condition, steps in (
            (0, 100.0, 10),
            (1, 400.0, None),
            (2, None, 40),
        )
    ]
    cells += [make_cell(split=split, condition_number=50.0, iterations=(1, 20, None), architecture=ResMLP(2)) for split in range(3)]
    (compared,) = residual_against_plain(make_frame(cells))
    assert (compared.condition_ratio, compared.n_conditions) == (pytest.approx(0.25), 2)  # geometric mean of 1/2 and 1/8
    assert (compared.iterations_ratio, compared.n_iterations) == (pytest.approx(1.0), 2)  # of 2 and 1/2


def test_a_method_without_architecture_meets_itself_without_skips(make_cell, make_frame):
    cells = [
        make_cell(
            family="network",
            architecture=None,
            label=f"practical network {residual}",
            parameters={"residual": residual, "blocks": blocks},
            split=split,
            accuracy=0.8 + 0.05 * residual + 0.01 * split,
        )
        for residual in (False, True)
        for blocks in (1, 2)
        for split in (0, 1)
    ]
    said = [
        record.model_copy(update={"method": record.method.model_copy(update={"residual": record.method.parameters["residual"]})})
        for record in cells
    ]
    comparisons = residual_against_plain(make_frame(said))
    assert len(comparisons) == 2
    assert [comparison.difference for comparison in comparisons] == pytest.approx([0.05, 0.05])
    assert residual_against_plain(make_frame(cells)) == []  # where it is not known to have skips, nothing is compared
