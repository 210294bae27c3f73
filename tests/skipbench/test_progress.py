"""What a run shows while it goes on: a live table in a terminal, lines elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from skipbench.results.record import CellRecord, Metric
from skipbench.results.store import ResultStore
from skipbench.runner.plan import Selection, make_plan
from skipbench.runner.progress import LineProgress, LiveProgress, RemainingTime, make_progress, readable_seconds
from skipbench.suite import load_suite


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "shown.yaml"
    path.write_text("description: a test?\ndata: [iris]\nmethods: [logistic-regression, {ridge: {architecture: {MLP: {depth: 1}}}}]\n")
    return make_plan(load_suite(str(path)), Selection(), ResultStore(tmp_path / "runs"), device="cpu", command="skipbench run")


def finished(item, seconds=2.0, **changes) -> CellRecord:
    update = {"status": "ok", "metrics": (Metric(name="accuracy", value=0.9, direction="higher"),), "phases": {"fit": seconds}, **changes}
    return item.blank.model_copy(update=update)


def test_the_remaining_time_follows_each_methods_own_mean(plan):
    items = [item for group in plan.groups for item in group]
    remaining = RemainingTime(plan, jobs=2)
    assert remaining.seconds() is None
    quick = next(item for item in items if item.cell.method.name == "logistic-regression")
    slow = next(item for item in items if item.cell.method.name == "ridge")
    remaining.ended(finished(quick, 1.0))
    remaining.ended(finished(slow, 10.0))
    assert remaining.seconds() == pytest.approx((4 * 1.0 + 4 * 10.0) / 2)


def test_seconds_of_a_shared_phase_are_not_counted_again(plan):
    item = plan.groups[0][0]
    remaining = RemainingTime(plan, jobs=1)
    remaining.ended(finished(item, phases={"kernel": 100.0, "solve": 1.0}, shared_phases=("kernel",)))
    assert remaining.seconds() == pytest.approx(9 * 1.0)


def test_a_line_names_the_cell_its_outcome_and_the_time_left(plan):
    output = io.StringIO()
    console = Console(file=output, width=200)
    with make_progress(console, plan, 1) as progress:
        assert isinstance(progress, LineProgress)
        progress.update(None, [])
        progress.update(finished(plan.groups[0][0]), [])
        progress.update(finished(plan.groups[1][0], status="timeout", reason="took longer than 5 s", metrics=()), [])
    first, second = output.getvalue().splitlines()
    assert first.startswith("[ 1/10] iris, split 0: ")
    assert "accuracy 0.900 (2.0 s), 18 s left" in first
    assert "timeout: took longer than 5 s" in second


def test_the_live_table_counts_cells_and_shows_those_in_flight(plan):
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    progress = make_progress(console, plan, 1)
    assert isinstance(progress, LiveProgress)
    with progress:
        progress.update(finished(plan.groups[0][0]), [(plan.groups[1][0], 3.25)])
        progress.update(finished(plan.groups[1][0], status="failed", reason="x", metrics=()), [])
        with console.capture() as capture:
            console.print(progress._table())
    assert capture.get().split()[-4:] == ["iris", "2", "10", "1"]


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_seconds_are_told_in_words(seconds, text):
    assert readable_seconds(seconds) == text
