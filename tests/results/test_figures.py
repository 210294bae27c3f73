"""Figures: something to see where there is something, the same bytes each time, nobody's settings changed."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest

from skipbench.checks import SkipbenchError
from skipbench.results.figures import FIGURES, iterations_figure, run_times_figure, svg_text, write_figures
from skipbench.results.figures.convergence import timed_cells
from skipbench.results.figures.style import drawn_name, power_text

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_a_figure_is_a_wellformed_svg_that_is_the_same_each_time_and_without_date(name, suite_cells, swept_cells, twin_cells, make_frame):
    first, second = (svg_text(FIGURES[name](make_frame([*suite_cells, *swept_cells, *twin_cells]))) for _ in range(2))
    assert first == second
    assert ET.fromstring(first).tag == f"{SVG}svg"
    assert "dc:date" not in first
    assert len(first) < 1_000_000


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_without_finished_cells_there_is_no_figure(name, make_cell, make_frame):
    assert FIGURES[name](make_frame([])) is None
    assert FIGURES[name](make_frame([make_cell(status="failed", reason="x")])) is None


def test_drawing_leaves_the_settings_of_matplotlib_alone_and_opens_no_window(suite_cells, swept_cells, twin_cells, make_frame):
    import matplotlib.pyplot as plt

    before = dict(mpl.rcParams)
    with mpl.rc_context({"axes.facecolor": "pink"}):
        for draw in FIGURES.values():
            svg_text(draw(make_frame([*suite_cells, *swept_cells, *twin_cells])))
        assert mpl.rcParams["axes.facecolor"] == "pink"
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []


def test_the_overview_survives_missing_parts(make_cell, make_frame):
    figure = FIGURES["overview"](make_frame([make_cell(family="baseline", architecture=None, convergence=None)]))
    assert "no cells for this panel" in [text.get_text() for axis in figure.axes for text in axis.texts]


def test_misses_are_open_marks_beyond_the_reached_ones_and_counted(make_cell, make_frame):
    cells = [
        make_cell(split=split, condition_number=10.0**split, iterations=(1, steps, None)) for split, steps in ((1, 10), (2, 100), (3, None))
    ]
    figure = iterations_figure(make_frame([*cells, make_cell(split=4, condition_number=None, iterations=(1, 50, None))]))
    axis = figure.axes[1]
    assert axis.get_title(loc="left") == "to 99 % loss reduction"
    filled, missed = [line for line in axis.lines if line.get_marker() == "o"]
    assert filled.get_ydata().tolist() == [10, 100]
    assert missed.get_markerfacecolor() == "none"
    assert (missed.get_ydata()[0] > 100, missed.get_xdata()[1] > 1000) == (True, True)
    assert [text.get_text().strip() for text in axis.texts] == ["1 never reached (open)", "1 singular"]
    assert np.isfinite(axis.get_ylim()).all()


def test_run_times_are_of_one_kind_of_machine(make_cell, make_frame):
    other = make_cell().environment.model_copy(update={"machine_class": "ffff"})
    cells = [make_cell(split=split) for split in range(3)] + [make_cell(split=3, environment=other.model_dump())]
    own, left_out = timed_cells(make_frame(cells))
    assert (sorted(own["split"]), left_out) == ([0, 1, 2], 1)
    assert run_times_figure(make_frame(cells)) is not None


def test_names_with_dollars_other_scripts_and_10_kilobytes_are_drawn(make_cell, make_frame, suite_cells, swept_cells, twin_cells):
    labels = ["$\\frac{1}{2}$ & <b>", "\u05d0\u05d1 \u202e \U0001f600 \x00", "x" * 10_000]
    cells = [make_cell(label=label, parameters={"name": label}, dataset="d$_\u4e2d") for label in labels]
    swept = [*swept_cells, *twin_cells]
    hostile = [record.model_copy(update={"method": record.method.model_copy(update={"label": labels[1]})}) for record in swept]
    for draw in FIGURES.values():
        svg_text(draw(make_frame([*suite_cells, *twin_cells, *cells, *hostile])))
    assert drawn_name("a\u05d0\u4e2db") == "a□□b"
    assert len(drawn_name("x" * 10_000)) == 44


def test_write_figures_writes_one_file_for_each_figure(tmp_path, suite_cells, swept_cells, twin_cells, make_frame):
    paths = write_figures(make_frame([*suite_cells, *swept_cells, *twin_cells]), tmp_path / "new")
    assert sorted(path.name for path in paths) == sorted(f"{name}.svg" for name in FIGURES)
    assert all(re.match(r"<\?xml", path.read_text()) for path in paths)
    assert write_figures(make_frame([]), tmp_path / "none") == []


def test_an_unwritable_place_for_figures_is_named(tmp_path, suite_cells, make_frame):
    (tmp_path / "file").write_text("")
    with pytest.raises(SkipbenchError, match=r"file/overview\.svg cannot be written"):
        write_figures(make_frame(suite_cells), tmp_path / "file")


def test_powers_of_ten_are_written_with_superscripts():
    assert [power_text(value) for value in (1000.0, 0.01, 1.0, 2e5)] == ["10³", "10⁻²", "10⁰", "200000"]
