"""Engines are compared on the cells that both finished, and a kernel that served several cells counts once."""

from __future__ import annotations

import pytest

from skipbench.architecture import MLP
from skipbench.results import records_frame
from skipbench.results.statistics.engine_times import engine_times
from skipbench.results.statistics.study import study_markdown


@pytest.fixture
def timed(make_cell):
    """A cell of ridge regression with seconds by phase."""

    def make(engine, kernel="ntk", *, seconds=10.0, shared=(), depth=2, accuracy=0.9, **changes):
        parameters = {"kernel": kernel} | ({} if engine is None else {"engine": engine})
        cell = make_cell(kernel=kernel, architecture=MLP(depth), parameters=parameters, accuracy=accuracy, suite="engines", **changes)
        phases = {"kernel": seconds, "evaluate": 1.0, "warm-up": 100.0}
        return cell.model_copy(update={"phases": phases, "shared_phases": shared, "convergence": None})

    return make


def test_a_shared_kernel_counts_once_in_what_was_spent_and_everywhere_in_what_a_cell_takes(timed):
    cells = [timed("reference", "nngp", seconds=20.0), timed("reference", "ntk", seconds=20.0, shared=("kernel",), accuracy=0.88)]
    cells += [timed("fused", "nngp", seconds=1.0), timed("fused", "ntk", seconds=1.0, shared=("kernel",), accuracy=0.9)]
    (found,) = engine_times(records_frame(cells))
    assert (found.engine, found.n) == ("fused", 2)
    assert (found.own_before, found.own) == (22.0, 3.0)  # compilation is nobody's
    assert (found.alone_before, found.alone) == (42.0, 4.0)
    assert found.accuracy_difference == pytest.approx(0.02)


def test_cells_that_only_one_engine_finished_are_left_out(timed):
    cells = [timed("reference"), timed("fused", seconds=4.0), timed("reference", depth=9), timed("fused", depth=8), timed(None, depth=9)]
    cells += [timed("reference", depth=7, status="timeout"), timed("fused", depth=7)]
    (found,) = engine_times(records_frame(cells))
    assert (found.n, found.own_before, found.own) == (1, 11.0, 5.0)


def test_the_study_has_a_row_for_each_data_set(timed):
    cells = [
        timed(engine, dataset=name, seconds=9.0 if engine == "reference" else 2.0) for engine in ("reference", "fused") for name in "ab"
    ]
    text = study_markdown(records_frame(cells))
    assert "| engines | a | fused | 1 | 10 s → 3 s | 3.33 | 10 s → 3 s | 3.33 | 0 |" in text
    assert "| engines | b | fused | 1 |" in text


def test_without_two_engines_there_is_nothing_to_compare(timed):
    assert engine_times(records_frame([timed("fused"), timed(None)])) == []
