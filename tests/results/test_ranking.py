"""The ranking: on complete common blocks only, the same whatever the order of the records, and honest about chance."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from skipbench.results.statistics.ranking import rank_methods
from skipbench.results.statistics.resampling import (
    Repeats,
    bootstrap_means,
    letters,
    position_intervals,
    separable_pairs,
    tie_groups,
)


def grid(make_cell, accuracies, **changes):
    """Cells from {method: {data set: [accuracy of split 0, 1, ...]}}."""
    return [
        make_cell(label=label, parameters={"name": label}, dataset=dataset, split=split, accuracy=accuracy, **changes)
        for label, by_dataset in accuracies.items()
        for dataset, values in by_dataset.items()
        for split, accuracy in enumerate(values)
    ]


def noisy_table(make_cell, make_frame, seed):
    """Four methods on up to three data sets, accuracies on a coarse grid so that ties occur, some cells failed."""
    generator = np.random.default_rng(seed)
    cells = []
    for label in "ABCD":
        for dataset in ("iris", "wine", "digits")[: 1 + seed % 3]:
            for split in range(3):
                common = {"label": label, "parameters": {"name": label}, "dataset": dataset, "split": split}
                failed = generator.random() < 0.1
                accuracy = round(float(generator.integers(8, 16)) / 16, 4)
                cells.append(make_cell(status="failed", reason="x", **common) if failed else make_cell(accuracy=accuracy, **common))
    return make_frame(cells)


def only_block(frame):
    (block,) = rank_methods(frame).blocks
    return block


def test_methods_are_ordered_by_their_mean_over_data_sets_not_over_cells(make_cell, make_frame):
    cells = grid(make_cell, {"A": {"iris": [0.9] * 4, "wine": [0.5]}, "B": {"iris": [0.8] * 4, "wine": [0.7]}})
    first, second = only_block(make_frame(cells)).methods
    assert (first.label, second.label) == ("B", "A")  # A is better on more cells
    assert (first.mean_accuracy, second.mean_accuracy) == (pytest.approx(0.75), pytest.approx(0.7))
    assert (first.position, second.position) == (1, 2)
    assert (first.mean_rank, second.mean_rank) == (1.5, 1.5)


def test_shares_of_the_best_accuracy_are_over_data_sets(make_cell, make_frame):
    cells = grid(
        make_cell, {"A": {"iris": [1.0], "wine": [0.5]}, "B": {"iris": [0.94], "wine": [1.0]}, "C": {"iris": [0.9], "wine": [0.96]}}
    )
    by_label = {method.label: method for method in only_block(make_frame(cells)).methods}
    assert [by_label[name].p90 for name in "ABC"] == [0.5, 1.0, 1.0]
    assert [by_label[name].p95 for name in "ABC"] == [0.5, 0.5, 0.5]
    assert by_label["A"].pma == pytest.approx(0.75)
    assert by_label["C"].pma == pytest.approx((0.9 + 0.96) / 2)


def test_one_data_set_has_no_statistics_over_data_sets(make_cell, make_frame):
    block = only_block(make_frame(grid(make_cell, {"A": {"iris": [0.9, 0.8]}, "B": {"iris": [0.7, 0.6]}})))
    assert [(method.mean_rank, method.p90, method.p95, method.pma) for method in block.methods] == [(None,) * 4] * 2
    assert block.note.startswith("One data set")


def test_spread_is_the_standard_deviation_over_splits_and_seeds(make_cell, make_frame):
    cells = [
        make_cell(family="network", width=8, seed=seed, split=split, accuracy=0.5 + 0.1 * split + 0.03 * seed)
        for seed in (0, 1)
        for split in (0, 1)
    ]
    (method,) = only_block(make_frame(cells)).methods
    expected = np.std([0.5, 0.53, 0.6, 0.63], ddof=1)
    assert method.spread == pytest.approx(expected)
    assert method.scores[0].spread == pytest.approx(expected)
    assert (method.n_cells, method.scores[0].n_cells) == (4, 4)


def test_vectors_and_images_are_ranked_apart(suite_cells, make_frame):
    blocks = rank_methods(make_frame(suite_cells)).blocks
    assert [(block.inputs, block.datasets) for block in blocks] == [("images", ("digits-images",)), ("vectors", ("iris", "wine"))]
    assert all("CNN" in method.label for method in blocks[0].methods)


def test_suites_are_ranked_apart(make_cell, make_frame):
    cells = [make_cell(suite=suite, accuracy=accuracy) for suite, accuracy in (("quick", 0.9), ("other", 0.2))]
    blocks = rank_methods(make_frame(cells)).blocks
    assert [(block.suite, block.methods[0].mean_accuracy) for block in blocks] == [("other", 0.2), ("quick", 0.9)]


def test_data_sets_with_other_methods_form_a_block_of_their_own(make_cell, make_frame):
    cells = grid(make_cell, {"A": {"iris": [0.9] * 3}, "B": {"iris": [0.8] * 3, "wine": [0.7]}, "C": {"wine": [0.6]}})
    blocks = rank_methods(make_frame(cells)).blocks
    assert [([method.label for method in block.methods], block.datasets) for block in blocks] == [
        (["A", "B"], ("iris",)),
        (["B", "C"], ("wine",)),
    ]


def test_a_split_that_one_method_did_not_finish_is_left_out_for_all_and_said(make_cell, make_frame):
    cells = grid(make_cell, {name: {"iris": [0.9, 0.8, 0.7, 0.6]} for name in "ABCD"})
    cells[1] = make_cell(label="A", parameters={"name": "A"}, split=1, status="timeout", reason="60 s")
    block = only_block(make_frame(cells))
    assert (block.n_splits, block.n_cells, block.n_cells_left_out) == (3, 12, 4)
    assert [(left.dataset, left.split, left.missing) for left in block.left_out_splits] == [("iris", 1, ("A",))]
    assert {method.label: method.not_ok for method in block.methods} == {"A": {"timeout": 1}, "B": {}, "C": {}, "D": {}}
    assert [method.mean_accuracy for method in block.methods] == pytest.approx([(0.9 + 0.7 + 0.6) / 3] * 4)


def test_a_method_that_never_finished_is_named_and_costs_the_others_nothing(make_cell, make_frame):
    cells = grid(make_cell, {"A": {"iris": [0.9, 0.8]}, "B": {"iris": [0.7, 0.6]}})
    cells += [make_cell(label="C", parameters={"name": "C"}, split=split, status="oom", reason="no memory") for split in (0, 1)]
    ranking = rank_methods(make_frame(cells))
    (block,) = ranking.blocks
    assert (block.n_splits, [method.label for method in block.methods]) == (2, ["A", "B"])
    assert [(left.label, left.n_complete, left.mean_accuracy, left.statuses) for left in block.left_out_methods] == [
        ("C", 0, None, {"oom": 2})
    ]
    assert ranking.statuses == {"ok": 4, "oom": 2}


def test_a_split_with_a_missing_seed_is_incomplete(make_cell, make_frame):
    network = {"family": "network", "width": 8, "label": "network"}
    cells = [make_cell(split=split, seed=seed, **network) for split in (0, 1, 2) for seed in (0, 1) if (split, seed) != (2, 1)]
    cells += [make_cell(split=split) for split in (0, 1, 2)]
    assert only_block(make_frame(cells)).n_splits == 2


def test_no_records_and_no_finished_records_give_no_blocks(make_cell, make_frame):
    assert rank_methods(make_frame([])).blocks == ()
    ranking = rank_methods(make_frame([make_cell(status="failed", reason="x")]))
    assert (ranking.blocks, ranking.statuses) == ((), {"failed": 1})


def test_the_newest_run_of_a_cell_counts(make_cell, make_frame):
    old = make_cell(accuracy=0.1, source_version="1", created="2026-01-01T00:00:00Z")
    new = make_cell(accuracy=0.9, source_version="2", created="2026-02-01T00:00:00Z")
    for cells in ([old, new], [new, old]):
        ranking = rank_methods(make_frame(cells))
        assert ranking.blocks[0].methods[0].mean_accuracy == 0.9
        assert (ranking.n_cells, ranking.n_superseded) == (1, 1)


def test_two_methods_with_one_label_and_two_variants_of_a_data_set_are_told_apart(make_cell, make_frame):
    cells = [make_cell(label="net", family="network", width=width, seed=0) for width in (8, 64)]
    assert [method.label for method in only_block(make_frame(cells)).methods] == ["net [64]", "net [8]"]
    cells = [make_cell(dataset="cifar10", n=n) for n in (100, 500)]
    assert only_block(make_frame(cells)).datasets == ("cifar10 (n=100)", "cifar10 (n=500)")
    cells = [make_cell(preprocessing=steps) for steps in ((), ("standardise",))]
    assert only_block(make_frame(cells)).datasets == ("iris (as loaded)", "iris (standardise)")


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 1000))
def test_the_order_of_the_records_changes_nothing(seed, make_cell, make_frame):
    frame = noisy_table(make_cell, make_frame, seed)
    shuffled = frame.sample(frac=1.0, random_state=seed).reset_index(drop=True)
    assert rank_methods(frame, draws=50) == rank_methods(shuffled, draws=50)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 1000), factor=st.sampled_from([0.5, 0.25]), shift=st.sampled_from([0.0, 0.25]))
def test_scaling_and_shifting_all_accuracies_moves_no_method(seed, factor, shift, make_cell, make_frame):
    frame = noisy_table(make_cell, make_frame, seed)
    scaled = frame.assign(accuracy=frame["accuracy"] * factor + shift)  # powers of two, so that rounding changes no tie
    for before, after in zip(rank_methods(frame, draws=50).blocks, rank_methods(scaled, draws=50).blocks, strict=True):
        standing = [[(m.label, m.position, m.position_interval, m.groups, m.mean_rank) for m in block.methods] for block in (before, after)]
        assert standing[0] == standing[1]


def test_a_clear_winner_is_in_a_group_of_its_own_and_noise_is_not(make_cell, make_frame):
    generator = np.random.default_rng(0)
    noise = {name: {f"set{d}": (0.7 + 0.02 * generator.standard_normal(5)).tolist() for d in range(8)} for name in "BCD"}
    block = only_block(make_frame(grid(make_cell, {"A": {f"set{d}": [0.9] * 5 for d in range(8)}, **noise})))
    winner, *others = block.methods
    assert (winner.label, winner.position_interval, winner.group_letters) == ("A", (1, 1), "a")
    assert {method.group_letters for method in others} == {"b"}
    assert all(method.position_interval[0] >= 2 for method in others)


def test_a_single_run_says_nothing_about_chance(make_cell, make_frame):
    block = only_block(make_frame(grid(make_cell, {"A": {"iris": [0.9]}, "B": {"iris": [0.1]}})))
    assert [(m.position_interval, m.accuracy_interval, m.spread, m.groups) for m in block.methods] == [(None, None, None, (1,))] * 2
    assert "nothing can be said about chance" in block.note


def test_one_split_separates_no_two_methods_without_seeds(make_cell, make_frame):
    cells = grid(make_cell, {"A": {"iris": [0.9]}, "B": {"iris": [0.1]}})
    cells += [make_cell(family="network", width=8, seed=seed, accuracy=0.5 + 0.1 * seed) for seed in range(3)]
    block = only_block(make_frame(cells))
    by_label = {method.label: method for method in block.methods}
    assert block.note.startswith("One split only")
    assert by_label["A"].mean_accuracy == 0.9
    groups = tie_groups(separable_pairs(np.array([0.9, 0.1]), np.tile([0.9, 0.1], (100, 1)), trust_constant=False))
    assert groups == [(1,), (1,)]


def test_the_bootstrap_over_data_sets_agrees_with_scipy():
    values = np.random.default_rng(3).normal(0.7, 0.1, size=30)
    repeats = [Repeats((np.array([[value]]),)) for value in values]
    ours = np.quantile(bootstrap_means(repeats, draws=20_000, seed=0)[:, 0], [0.025, 0.975])
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)).confidence_interval
    assert ours == pytest.approx([theirs.low, theirs.high], abs=2e-3)  # 20,000 draws: quantiles of a 0.018 wide law to about 1 %


def test_the_bootstrap_over_splits_has_the_variance_of_a_mean():
    values = np.random.default_rng(4).normal(0.7, 0.1, size=(12, 1))
    sampled = bootstrap_means([Repeats((values,))], draws=20_000, seed=0)[:, 0]
    assert sampled.mean() == pytest.approx(values.mean(), abs=1e-3)
    assert sampled.var() == pytest.approx(values.var() / 12, rel=0.05)  # 20,000 draws give a variance to about 1 %


def test_methods_are_drawn_on_the_same_splits():
    values = np.random.default_rng(5).random((10, 1))
    sampled = bootstrap_means([Repeats((values, values + 0.1))], draws=200, seed=0)
    assert sampled[:, 1] - sampled[:, 0] == pytest.approx(np.full(200, 0.1))


def test_a_position_interval_holds_the_measured_position():
    sampled = np.array([[0.1, 0.2, 0.3]] * 100)
    assert position_intervals(sampled, np.array([1.0, 2.0, 3.0])) == [(1, 3), (2, 2), (1, 3)]


@given(st.integers(1, 7).flatmap(lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=n, max_size=n)))
def test_methods_of_one_tie_group_are_never_separable_and_neighbours_that_are_not_share_one(table):
    separable = np.array(table) | np.array(table).T
    np.fill_diagonal(separable, val=False)
    groups = tie_groups(separable)
    for i, own in enumerate(groups):
        assert own
        for j, other in enumerate(groups):
            if i != j and set(own) & set(other):
                assert not separable[i, j]
        if i + 1 < len(groups) and not separable[i, i + 1]:
            assert set(own) & set(groups[i + 1])


def test_families_of_ten_noise_methods_are_rarely_split():
    """At 95 % simultaneously, about one table in twenty shows a false separation; a bootstrap over 20 sets is a little worse."""
    false_alarms = 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        data = generator.normal(0.7, 0.05, size=(20, 10))
        repeats = [Repeats(tuple(row.reshape(10, 1, 1))) for row in data]
        sampled = bootstrap_means(repeats, draws=400, seed=seed)
        false_alarms += bool(separable_pairs(data.mean(axis=0), sampled, trust_constant=True).any())
    assert false_alarms <= 12  # with pairwise tests at 95 % it would be about 30


def test_letters_go_on_after_z():
    assert [letters((1,)), letters((1, 2)), letters((26, 27)), letters(())] == ["a", "ab", "za2", ""]


def test_equal_accuracies_share_their_position(make_cell, make_frame):
    block = only_block(make_frame(grid(make_cell, {name: {"iris": [0.9, 0.8]} for name in "AB"} | {"C": {"iris": [0.1, 0.2]}})))
    assert [method.position for method in block.methods] == [1.5, 1.5, 3]
    assert block.methods[0].groups == block.methods[1].groups


def test_a_ranking_is_the_same_in_every_run(suite_cells, make_frame):
    frame = make_frame(suite_cells)
    assert rank_methods(frame) == rank_methods(frame)
    other = rank_methods(frame, seed=1)
    strip = [dataclasses.replace(m, position_interval=None, accuracy_interval=None, groups=()) for m in other.blocks[1].methods]
    mine = [
        dataclasses.replace(m, position_interval=None, accuracy_interval=None, groups=()) for m in rank_methods(frame).blocks[1].methods
    ]
    assert strip == mine  # the seed moves intervals only
