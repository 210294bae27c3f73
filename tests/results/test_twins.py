"""Twins beside their kernels: the long tables, the slopes over width, and the three pictures, from records whose truth is known."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from skipbench.results import records_frame
from skipbench.results.curves import read_curves
from skipbench.results.figures import laziness_figure, loss_curves_figure, svg_text, width_study_figure
from skipbench.results.record import CurvePoint
from skipbench.results.site import write_report
from skipbench.results.statistics.study import study_markdown
from skipbench.results.statistics.width_study import width_slopes


def test_the_long_tables_have_every_point_and_its_prediction(twin_cells):
    curves = read_curves(twin_cells)
    assert curves.losses.groupby("key")["step"].apply(list).tolist() == [[0, 1, 10, 100]] * len(twin_cells)
    row = curves.losses[(curves.losses["key"] == twin_cells[0].key) & (curves.losses["step"] == 10)].iloc[0]
    assert row["predicted_loss"] == pytest.approx(math.exp(-0.5))
    assert curves.tangents.groupby("key").size().tolist() == [3] * len(twin_cells)
    empty = read_curves([])
    assert list(empty.losses.columns) == list(curves.losses.columns)
    assert len(empty.losses) == len(empty.tangents) == 0


def test_a_cell_without_a_kernel_beside_it_has_no_prediction(make_cell):
    cell = make_cell(curve=[{"step": 0, "loss": 1.0}])
    assert read_curves([cell]).losses["predicted_loss"].isna().all()


def test_the_slope_over_width_is_that_of_the_distances(twin_cells):
    slopes = width_slopes(records_frame(twin_cells))
    assert len(slopes) == 4 * 3
    for slope in slopes:
        assert slope.widths == (16, 64, 256)
        assert slope.slope == pytest.approx(-0.5, abs=0.05)  # 5 % of noise on nine points over a factor of 16
        assert slope.interval is not None
        assert slope.interval[0] <= slope.slope <= slope.interval[1]
    assert {(slope.architecture, slope.residual) for slope in slopes} == {
        ("CNN(2)", False),
        ("ResCNN(2, α = 1.0)", True),
        ("CNN(8)", False),
        ("ResCNN(8, α = 1.0)", True),
    }


def test_two_widths_have_no_slope(twin_cells):
    assert width_slopes(records_frame(cell for cell in twin_cells if cell.method.width != 64)) == []


@pytest.mark.parametrize("draw", [loss_curves_figure, laziness_figure])
def test_the_figures_of_curves_are_drawn_from_twins_and_from_nothing_else(draw, twin_cells, suite_cells):
    assert "<svg" in svg_text(draw(records_frame(twin_cells), read_curves(twin_cells)))
    assert draw(records_frame(suite_cells), read_curves(suite_cells)) is None


def test_loss_curves_have_a_line_for_each_seed_and_prediction(twin_cells):
    figure = loss_curves_figure(records_frame(twin_cells), read_curves(twin_cells))
    assert [len(axis.lines) for axis in figure.axes] == [2 * 9] * 4
    first = figure.axes[0].lines[0]
    assert first.get_ydata()[0] == 1.0  # relative to the start


def test_drift_is_drawn_by_width_and_the_pace_beside_it(twin_cells):
    figure = laziness_figure(records_frame(twin_cells), read_curves(twin_cells))
    drift, ratio = figure.axes
    ends = sorted(line.get_ydata()[-1] for line in drift.lines)
    assert ends[0] == pytest.approx(100 / 256, rel=0.1)
    assert ends[-1] == pytest.approx(100 / 16, rel=0.1)
    assert ratio.lines[0].get_ydata() == pytest.approx(1)  # both lose e^-1 in 20 steps


@pytest.mark.parametrize(
    ("own", "kernel", "pace"),
    [
        ([4.0, 0.4, 4e-5], [2.0, 0.02, 2e-7], 5 / 7),
        ([4.0, 0.4, 4e-5, 4e-10], [2.0, 0.02, 2e-7, 2e-25], 5 / 7),  # float32 has ended
        ([4.0, 8.0], [2.0, 0.2], math.log10(2.0) / -1),
        ([4.0, 4e-12], [2.0, 2e-12], None),
        ([4.0], [2.0], None),
    ],
)
def test_the_pace_is_that_of_the_last_step_that_float32_can_tell(twin_cells, own, kernel, pace):
    cell = twin_cells[0]
    curves = [tuple(CurvePoint(step=step, loss=loss) for step, loss in enumerate(losses)) for losses in (own, kernel)]
    compared = cell.kernel_comparison.model_copy(update={"curve": curves[1]})
    frame = records_frame([cell.model_copy(update={"curve": curves[0], "kernel_comparison": compared})])
    assert frame["kept_pace"].iloc[0] == (pytest.approx(pace) if pace is not None else pytest.approx(math.nan, nan_ok=True))


def test_the_page_and_the_study_show_twins(twin_cells, tmp_path):
    page = write_report(twin_cells, tmp_path).read_text()
    assert page.count('id="twins"') == 1
    assert all(f'aria-label="Figure: {name}"' in page for name in ("loss curves", "laziness", "width study"))
    assert "How twins approach their kernel" in study_markdown(records_frame(twin_cells), draws=30)
    without = write_report(pd.DataFrame(records_frame(twin_cells)), tmp_path / "frame").read_text()
    assert 'aria-label="Figure: loss curves"' not in without


def test_the_width_figure_needs_three_widths(twin_cells):
    assert "<svg" in svg_text(width_study_figure(records_frame(twin_cells)))
    assert width_study_figure(records_frame(cell for cell in twin_cells if cell.method.width == 16)) is None
