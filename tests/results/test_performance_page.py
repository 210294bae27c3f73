"""The page's section on performance, and the figure in it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from skipbench.cli.app import app
from skipbench.results.figures.performance import MOST_COMMITS, performance_figure
from skipbench.results.figures.style import svg_text
from skipbench.results.performance import PerformanceHistory, PerformanceRun, SeriesKey, read_history
from skipbench.results.site.performance_section import performance_section
from skipbench.results.site.report import render_report

THREE_COMMITS = Path(__file__).parent / "asv_history"
PLACE = ("ci", "existing-py3.11")


def section(page):
    return re.search(r'<section aria-labelledby="performance">(.*?)</section>', page, re.DOTALL)[1]


def one_commit(history):
    return PerformanceHistory(history.runs[-1:], history.units)


def test_without_a_history_the_page_says_how_to_make_one(make_frame):
    shown = section(render_report(make_frame([])))
    assert "tox run -e asv" in shown
    assert "<svg" not in shown


def test_the_section_draws_the_series_and_lists_the_newest_numbers(make_frame):
    shown = section(render_report(make_frame([]), read_history(THREE_COMMITS)))
    assert "Machine ci, existing-py3.11: 3 commits, newest bbbbbbbb of 2026-01-03" in shown
    assert "8 series at bbbbbbbb, compared with aaaaaaaa and before: no regression." in shown
    assert '<td class="n">6,483,535</td><td class="n strong">6,480,000</td><td class="n">-0.055 %</td>' in shown
    assert shown.count("<svg") == 1
    assert 'role="img"' in shown
    assert "<title" in shown
    assert len(shown) < 60_000


def test_the_section_of_one_commit_has_points_and_says_so(make_frame):
    shown = section(render_report(make_frame([]), one_commit(read_history(THREE_COMMITS))))
    assert "there is nothing to compare with yet" in shown
    assert "with one commit there are points only" in shown


def test_a_regression_stands_above_the_figure(tmp_path):
    shutil.copytree(THREE_COMMITS, tmp_path / "asv")
    path = tmp_path / "asv" / "ci" / "bbbbbbbb-existing-py3.11.json"
    content = json.loads(path.read_text())
    content["results"]["ridge.Path.track_error"][0] = [None]
    path.write_text(json.dumps(content))
    (place,) = performance_section(read_history(tmp_path / "asv"))
    assert place["findings"][0] == {"text": "ridge.Path.track_error: failed", "bad": True}
    assert [row["last"] for row in place["rows"] if row["benchmark"] == "ridge.Path.track_error"] == ["failed"]


def test_names_from_a_history_are_text_and_nothing_else(make_frame):
    hostile = "</script><img src=x onerror=alert(1)>{{ 7*7 }}\u202e$x$" + "y" * 10_000
    newest = read_history(THREE_COMMITS).runs[-1]
    run = PerformanceRun(hostile, newest.date, hostile, hostile, {SeriesKey(hostile, hostile, (hostile,)): 1.0})
    shown = section(render_report(make_frame([]), PerformanceHistory((run,), {hostile: hostile})))
    assert "<img" not in shown
    assert "49" not in re.sub(r"\d{3,}|\.\d+", "", shown.split("<figure>")[0])
    assert "\u202e" not in shown
    assert len(shown) < 30_000


def test_a_panel_has_a_line_for_each_combination_of_parameters_from_left_to_right():
    figure = performance_figure(read_history(THREE_COMMITS), PLACE)
    titles = {axis.get_title(loc="left"): axis for axis in figure.axes if axis.get_title(loc="left")}
    assert len(titles) == 5  # one a benchmark; the skipped one has no number
    panel = titles["kernels.Gram\ntrack_elements"]
    assert [line.get_ydata().tolist() for line in panel.lines] == [[4851583, 4851583, 4851583], [6483535, 6483535, 6480000]]
    assert panel.get_yscale() == "log"


def test_the_figure_is_the_same_each_time_and_shows_the_last_commits_only():
    history = read_history(THREE_COMMITS)
    many = PerformanceHistory(history.runs[:1] * 100, history.units)
    assert svg_text(performance_figure(history, PLACE)) == svg_text(performance_figure(history, PLACE))
    assert len(performance_figure(many, PLACE).axes[0].lines[0].get_ydata()) == MOST_COMMITS
    assert len(svg_text(performance_figure(many, PLACE), as_paths=False)) < 60_000


def test_failed_and_infinite_and_zero_values_leave_gaps_or_a_linear_axis():
    first = read_history(THREE_COMMITS).runs[0]
    key = SeriesKey("m.C.track_x", "1")
    for value in (None, float("inf"), 0.0):
        run = PerformanceRun("d" * 40, first.date, *PLACE, {key: value})
        figure = performance_figure(PerformanceHistory((PerformanceRun("e" * 40, first.date, *PLACE, {key: 1.0}), run), {}), PLACE)
        assert figure.axes[0].get_yscale() == ("linear" if value == 0.0 else "log")
        svg_text(figure)
    assert performance_figure(PerformanceHistory((PerformanceRun("d" * 40, first.date, *PLACE, {key: None}),), {}), PLACE) is None


@pytest.mark.parametrize("where", ["default", "given"])
def test_skipbench_report_takes_the_history_into_the_page(tmp_path, monkeypatch, where):
    monkeypatch.chdir(tmp_path)
    place = tmp_path / ("results/asv" if where == "default" else "elsewhere")
    shutil.copytree(THREE_COMMITS, place)
    done = CliRunner().invoke(app, ["report", *([] if where == "default" else ["--performance", "elsewhere"])])
    assert done.exit_code == 0, done.output
    assert "newest bbbbbbbb" in section((tmp_path / "results" / "runs" / "report" / "index.html").read_text())
