"""A suite that sweeps depth: which cells share a pass, in which order they run, what records say of it, and what is estimated."""

from __future__ import annotations

import pytest

from skipbench.architecture import ResMLP
from skipbench.results import ResultStore
from skipbench.results.record import CellRecord
from skipbench.runner import estimate
from skipbench.runner.cell_run import CellRunner
from skipbench.runner.estimate import estimate_plan
from skipbench.runner.plan import Selection, make_plan
from skipbench.suite import load_suite

SWEEP = "ridge: {kernel: [nngp, ntk], architecture: {ResMLP: {depth: [2, 6, 4], alpha: 0.5}}}"


@pytest.fixture
def suite(tmp_path):
    """Write a suite of one data set and load it."""

    def write(methods, data="{name: iris, splits: [0]}"):
        path = tmp_path / "swept.yaml"
        path.write_text(f"description: a test?\ndata: [{data}]\nmethods: [{methods}]\n")
        return load_suite(str(path))

    return write


def plan_of(suite_file, folder):
    return make_plan(suite_file, Selection(), ResultStore(folder), device="cpu", command="")


def depths(items):
    return [item.cell.kernel_architecture.depth for item in items]


def coming(items):
    return [[arch.depth for arch in item.coming] for item in items]


def test_a_sweep_is_one_group_that_runs_the_deepest_first_and_knows_what_comes(suite, tmp_path):
    (group,) = plan_of(suite(SWEEP), tmp_path).groups
    assert depths(group) == [6, 6, 4, 4, 2, 2]
    assert [item.cell.method.parameters["kernel"] for item in group] == ["nngp", "ntk"] * 3
    assert coming(group) == [[6, 4, 2], [4, 2], [4, 2], [2], [2], []]


@pytest.mark.parametrize(
    ("methods", "data", "sizes"),
    [
        (SWEEP, "{name: iris, splits: [0, 3]}", [6, 6]),
        (SWEEP, "{name: iris, splits: [0], draws: 2}", [6, 6]),
        ("ridge: {kernel: ntk, dtype: [float32, float64], architecture: {MLP: {depth: [1, 2, 3]}}}", "{name: iris, splits: [0]}", [3, 3]),
        ("ridge: {kernel: ntk, architecture: {ResMLP: {depth: [1, 2], bias: [0, 0.1]}}}", "{name: iris, splits: [0]}", [2, 2]),
        ("ridge: {kernel: ntk, architecture: {ResMLP: {depth: [1, 2, 3], alpha: L^-0.5}}}", "{name: iris, splits: [0]}", [1, 1, 1]),
        ("ridge: {architecture: {MLP: {depth: [1, 2]}}}", "{name: iris, splits: [0]}", [1, 1]),  # which kernel is left to the method
        ("random-forest: {seeds: 2}", "{name: iris, splits: [0]}", [1, 1]),
    ],
)
def test_groups_differ_in_data_split_dtype_and_all_but_the_depth(suite, tmp_path, methods, data, sizes):
    assert sorted(map(len, plan_of(suite(methods, data), tmp_path).groups)) == sizes


def test_methods_of_one_sweep_share_its_group(suite, tmp_path):
    svm = "svm: {kernel: ntk, architecture: {ResMLP: {depth: [4, 8], alpha: 0.5}}}"
    (group,) = plan_of(suite(f"{SWEEP}, {svm}"), tmp_path).groups
    assert depths(group) == [8, 6, 6, 4, 4, 4, 2, 2]


def run(plan) -> dict[tuple[int, str], CellRecord]:
    """Run the groups as one worker does."""
    runner = CellRunner()
    found = [runner.run(item) for group in plan.groups for item in group]
    return {(record.method.architecture["depth"], record.method.kernel): record for record in found}


def test_records_of_a_sweep_say_whose_pass_they_used_and_hold_what_single_cells_hold(suite, tmp_path):
    swept = run(plan_of(suite(SWEEP), tmp_path))
    assert {record.status for record in swept.values()} == {"ok"}
    assert [place for place, record in swept.items() if record.shared_phases == ()] == [(6, "nngp")]
    for place, record in swept.items():
        if place != (6, "nngp"):
            assert record.shared_phases == ("kernel",)
            # told, not hidden: the seconds of the passes, without the first cell's work around them
            assert record.phases["kernel"] >= 0.2 * swept[6, "nngp"].phases["kernel"]
    alone = run(plan_of(suite("ridge: {kernel: ntk, architecture: {ResMLP: {depth: 4, alpha: 0.5}}}"), tmp_path))[4, "ntk"]
    assert alone.shared_phases == ()
    for field in ("key", "metrics", "spectrum", "convergence", "curve", "ridge_path"):
        assert getattr(alone, field) == getattr(swept[4, "ntk"], field), field  # vectors: to the last bit


def test_a_resumed_run_expects_only_what_is_missing(suite, tmp_path):
    suite_file, store = suite(SWEEP), ResultStore(tmp_path / "runs")
    runner = CellRunner()
    for item in plan_of(suite_file, tmp_path / "runs").cells:
        if item.cell.kernel_architecture.depth == 4 or item.cell.method.parameters["kernel"] == "nngp":
            store.write(runner.run(item))
    (group,) = plan_of(suite_file, tmp_path / "runs").groups
    assert depths(group) == [6, 2]
    assert coming(group) == [[2], []]


def test_the_first_cell_pays_for_the_pass_to_all_depths_and_the_others_for_none(suite, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(estimate, "kernel_cost", lambda *args, **options: asked.append((args, options)) or COST(*args, **options))
    rows = estimate_plan(plan_of(suite(SWEEP), tmp_path), threads=1)
    assert [row.method for row in rows][::3] == ["NNGP ridge, ResMLP(2, alpha=0.5)", "NTK ridge, ResMLP(2, alpha=0.5)"]  # the suite's order
    assert [(args[0], options.get("depths")) for args, options in asked] == [(ResMLP(6, alpha=0.5), [6, 4, 2])] * 3
    assert [row.cells for row in rows] == [1] * 6
    first, *others = sorted(rows, key=lambda row: row.seconds, reverse=True)
    assert first.method == "NNGP ridge, ResMLP(6, alpha=0.5)"
    assert len({row.seconds for row in others}) == 1
    assert all(first.bytes > row.bytes for row in others)


COST = estimate.kernel_cost


def test_a_sweep_is_estimated_below_the_sum_of_its_depths(suite, tmp_path):
    def seconds(methods):
        data = "{name: digits-images, n: 60, splits: [0]}"
        return sum(row.seconds for row in estimate_plan(plan_of(suite(methods, data), tmp_path), threads=1))

    ridge = "ridge: {{kernel: ntk, architecture: {{ResCNN: {{depth: {}, readout: gap, alpha: {}}}}}}}"
    together = seconds(ridge.format([12, 11, 10, 9], 0.5))
    assert together < 0.7 * seconds(ridge.format([12, 11, 10, 9], "L^-0.5"))  # about a third; measured rates differ by some 10 %


def test_what_cannot_be_kept_is_estimated_as_a_pass_of_its_own(suite, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(estimate, "kernel_cost", lambda *args, **options: asked.append(options.get("depths")) or COST(*args, **options))
    monkeypatch.setattr(estimate, "fitting_pairs", lambda n, m, dtype: 2)
    estimate_plan(plan_of(suite(SWEEP), tmp_path), threads=1)
    assert asked == [[6, 4]] * 3 + [None] * 3
