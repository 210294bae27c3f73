"""What an estimate counts and measures, and, where a quiet machine is promised, how near it comes to what a run takes."""

from __future__ import annotations

import os

import pytest
import torch
from rich.console import Console

from skipbench.results import ResultStore
from skipbench.runner import estimate
from skipbench.runner.estimate import estimate_plan, total_seconds
from skipbench.runner.plan import Selection, make_plan
from skipbench.runner.progress import seconds_spent
from skipbench.runner.run import RunOptions, run_suite
from skipbench.suite import load_suite

_FACTOR = 1.5


@pytest.fixture
def suite(tmp_path):
    """Write a suite of one data set and load it."""

    def write(data, methods):
        path = tmp_path / "estimated.yaml"
        path.write_text(f"description: a test?\ndata: [{data}]\nmethods:\n{methods}\n")
        return load_suite(str(path))

    return write


def plan_of(suite_file, folder):
    return make_plan(suite_file, Selection(), ResultStore(folder), device="cpu", command="")


def test_there_is_a_row_for_each_method_that_counts_its_cells(suite, tmp_path):
    plan = plan_of(suite("{name: iris, splits: [0, 1]}", "  - logistic-regression\n  - random-forest: {seeds: 3}"), tmp_path)
    rows = {row.method: row for row in estimate_plan(plan, threads=1)}
    assert {name: row.cells for name, row in rows.items()} == {"logistic regression": 2, "random forest": 6}
    assert total_seconds(rows.values(), 2) == pytest.approx(total_seconds(rows.values(), 1) / 2)


def test_a_network_is_measured_once_for_all_its_cells(suite, tmp_path, monkeypatch):
    built = []
    build = estimate.build_network
    monkeypatch.setattr(estimate, "build_network", lambda arch, **sizes: built.append((arch, sizes["width"])) or build(arch, **sizes))
    methods = "  - network: {architecture: {ResMLP: {depth: 2}}, width: [17, 19], epochs: 3, seeds: 4}"
    estimate_plan(plan_of(suite("{name: iris, splits: [0, 1]}", methods), tmp_path), threads=1)
    assert sorted(width for _, width in built) == [17, 19]


def test_a_network_s_partners_cost_what_they_do_beside_it(suite, tmp_path, monkeypatch):
    networks = []
    monkeypatch.setattr(estimate, "_row_seconds", lambda network, shape: networks.append(type(network).__name__) or 1e-3)
    estimate._twin_row_seconds.cache_clear()
    settings = "architecture: {ResMLP: {depth: 2}}, width: 23, epochs: 10"
    methods = f"""  - network: {{{settings}}}
  - linearised-network: {{{settings}}}
  - network-ensemble: {{{settings}, members: 6}}
  - network: {{{settings}, compare_with_kernel: true, momentum: 0.5}}"""
    plain, linearised, ensemble, compared = estimate_plan(plan_of(suite("{name: iris, splits: [0]}", methods), tmp_path), threads=1)
    estimate._twin_row_seconds.cache_clear()  # the times above are made up
    assert networks == ["ResidualNetwork", "LinearisedNetwork"]  # each measured once, the ensemble's members as the twin
    assert linearised.seconds == plain.seconds  # as both rows were said to take equally long
    assert ensemble.seconds / ensemble.cells - 0.5 == pytest.approx(6 * 4 / 3 * (plain.seconds / plain.cells - 0.5))
    assert compared.seconds > plain.seconds
    assert compared.bytes > plain.bytes


def test_the_second_kernel_of_an_architecture_costs_less_than_the_first(suite, tmp_path):
    data, arch = "{name: digits, n: 300, splits: [0]}", "architecture: {ResMLP: {depth: 2}}"
    (one,) = estimate_plan(plan_of(suite(data, f"  - ridge: {{kernel: nngp, {arch}}}"), tmp_path), threads=1)
    first, second = estimate_plan(plan_of(suite(data, f"  - ridge: {{kernel: [nngp, ntk], {arch}}}"), tmp_path), threads=1)
    assert first.seconds == pytest.approx(one.seconds)  # the rates are measured once in a process
    assert second.seconds < first.seconds


def test_each_engine_is_measured_and_paid_for_by_itself(suite, tmp_path, monkeypatch):
    asked = []
    cost = estimate.kernel_cost
    monkeypatch.setattr(estimate, "kernel_cost", lambda *sizes, **how: asked.append((how["engine"], sizes[2:])) or cost(*sizes, **how))
    methods = "  - ridge: {engine: [reference, fused], kernel: [nngp, ntk], architecture: {ResMLP: {depth: [1, 2]}}}"
    estimate_plan(plan_of(suite("{name: iris, splits: [0]}", methods), tmp_path), threads=1)
    # the reference computes either depth by itself, the fused engine both in one pass; the second kernel of a pair costs nothing
    assert [engine for engine, sizes in asked if len(sizes) == 1] == ["reference", "fused", "reference"]


def test_half_precision_is_measured_as_such(suite, tmp_path, monkeypatch):
    enabled = []
    monkeypatch.setattr(estimate, "_row_seconds", lambda network, shape: enabled.append(torch.is_autocast_enabled("cpu")) or 1e-3)
    estimate._practical_row_seconds.cache_clear()
    methods = "  - practical-network: {width: 21, precision: [32-true, bf16-mixed]}"
    estimate_plan(plan_of(suite("{name: iris, splits: [0]}", methods), tmp_path), threads=1)
    estimate._practical_row_seconds.cache_clear()  # the times above are made up
    assert enabled == [False, True]


def test_estimates_leave_the_number_of_threads_as_it_was(suite, tmp_path):
    before = torch.get_num_threads()
    estimate_plan(plan_of(suite("{name: iris, splits: [0]}", "  - logistic-regression"), tmp_path), threads=before + 1)
    assert torch.get_num_threads() == before


@pytest.mark.skipif("SKIPBENCH_TIMING" not in os.environ, reason="set SKIPBENCH_TIMING=1 on a quiet machine to compare times")
@pytest.mark.parametrize(
    ("data", "methods"),
    [
        ("{name: digits-images, n: 600, splits: [0]}", "  - ridge: {kernel: ntk, architecture: {ResCNN: {depth: 5, readout: gap}}}"),
        ("{name: digits, n: 1797, splits: [0]}", "  - ridge: {kernel: ntk, architecture: {ResMLP: {depth: 5}}}"),
    ],
)
def test_an_estimate_is_near_what_a_cell_takes(suite, tmp_path, data, methods):
    suite_file = suite(data, methods)
    threads = torch.get_num_threads()
    expected = total_seconds(estimate_plan(plan_of(suite_file, tmp_path / "plan"), threads=threads), 1)
    run_suite(suite_file, Selection(), RunOptions(tmp_path / "results", jobs=1), Console(quiet=True))
    (record,) = ResultStore(tmp_path / "results" / "estimated").records()
    assert record.status == "ok"
    taken = seconds_spent(record) - record.phases.get("warm-up", 0.0)  # compilation happens once in a process
    assert expected / _FACTOR <= taken <= expected * _FACTOR, record.phases
