"""Figures along one axis, and what counts as a draw of a data set."""

from __future__ import annotations

import numpy as np
import pytest

from skipbench.architecture import CNN, ResCNN
from skipbench.results.figures import depth_figure, learning_curve_figure, svg_text
from skipbench.results.figures.conditioning import conditioning_figure
from skipbench.results.figures.sweeps import sized_cells, swept_depths
from skipbench.results.site.report import render_report
from skipbench.results.statistics.cells import current_cells
from skipbench.results.statistics.comparisons import residual_against_plain
from skipbench.results.statistics.ranking import rank_methods


def test_the_depth_figure_draws_the_median_of_every_variant(swept_cells, make_frame):
    figure = depth_figure(make_frame(swept_cells))
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert set(lines) == {"CNN", "ResCNN, α = 1.0", "ResCNN, α = L^-0.5"}
    assert lines["CNN"].get_xdata().tolist() == [1, 2, 4, 8]
    np.testing.assert_allclose(lines["CNN"].get_ydata(), [150, 300, 600, 1200])  # of 100 and 200 times the depth
    assert [axis.get_ylabel() for axis in figure.axes[:3]] == ["condition number", "its bound 1 + n b/(1 − b)", "iterations to 99 %"]


def test_two_depths_are_no_sweep(make_cell, make_frame):
    cells = [make_cell(architecture=kind(depth, readout="tr"), input_shape=(1, 8, 8)) for depth in (1, 2) for kind in (CNN, ResCNN)]
    assert swept_depths(make_frame(cells)).empty
    assert depth_figure(make_frame(cells)) is None


def test_a_depth_that_is_singular_is_left_out_of_its_line(make_cell, make_frame):
    conditions = {1: 10.0, 2: 100.0, 4: None}
    cells = [
        make_cell(architecture=CNN(depth, readout="tr"), input_shape=(1, 8, 8), condition_number=condition)
        for depth, condition in conditions.items()
    ]
    (line,) = depth_figure(make_frame(cells)).axes[0].lines
    assert line.get_xdata().tolist() == [1, 2]


@pytest.mark.parametrize("draw", [depth_figure, conditioning_figure])
def test_a_sweep_that_is_singular_at_every_depth_leaves_its_panel_empty(draw, make_cell, make_frame):
    cells = [
        make_cell(architecture=CNN(depth, readout="tr"), input_shape=(1, 8, 8), condition_number=None, bound=None) for depth in (1, 2, 4)
    ]
    figure = draw(make_frame(cells))
    assert not figure.axes[0].axison
    assert "<svg" in svg_text(figure)  # a logarithmic axis without a number above 0 cannot be written


def test_the_learning_curve_shows_means_over_draws(swept_cells, make_frame):
    figure = learning_curve_figure(make_frame(swept_cells))
    (axis,) = figure.axes
    assert axis.get_title(loc="left") == "iris (suite sizes)"
    means = sorted(line.lines[0].get_ydata().tolist() for line in axis.containers)
    np.testing.assert_allclose(means, [[0.545, 0.585, 0.665, 0.825]] * 3)
    assert set(sized_cells(make_frame(swept_cells))["sized_name"]) == {"iris"}


def test_draws_of_one_data_set_count_as_its_splits(swept_cells, make_frame):
    frame = make_frame([record for record in swept_cells if record.suite == "sizes"])
    (block,) = rank_methods(frame).blocks
    assert block.datasets == ("iris (n=20)", "iris (n=40)", "iris (n=80)", "iris (n=160)")
    assert block.n_splits == 8
    assert {method.n_cells for method in block.methods} == {8}


def test_other_rows_at_the_same_seed_are_another_data_set(make_cell, make_frame):
    cells = [make_cell(sha256=digit * 64, split=split, key=digit * 63 + str(split)) for digit in "ab" for split in (0, 1)]
    assert set(current_cells(make_frame(cells))["dataset_label"]) == {"iris (aaaaaaaa)", "iris (bbbbbbbb)"}


def test_two_protocols_of_one_data_set_are_ranked_apart(make_cell, make_frame):
    cells = [make_cell(protocol=protocol, split=split) for protocol in ("collection", "nested") for split in (0, 1)]
    cells += [make_cell(protocol="stratified", dataset="wine", split=split) for split in (0, 1)]
    blocks = rank_methods(make_frame(cells)).blocks
    assert [(block.setting, block.datasets) for block in blocks] == [
        ("", ("wine",)),
        ("collection", ("iris (collection)",)),
        ("nested", ("iris (nested)",)),
    ]


def test_differences_over_draws_are_not_widened_as_those_over_splits_of_the_same_rows(make_cell, make_frame):
    def cells(seeds):
        return [
            make_cell(
                architecture=kind(2, readout="tr"), input_shape=(1, 8, 8), accuracy=0.8 + 0.1 * kind(2).is_residual * (1 + number), **seed
            )
            for kind in (CNN, ResCNN)
            for number, seed in enumerate(seeds)
        ]

    splits = cells([{"split": 0}, {"split": 1}])
    draws = cells([{"seeds": {"data": seed}, "key": f"{seed}" * 64, "sha256": f"{seed}" * 64} for seed in (0, 1)])
    draws = [record.model_copy(update={"key": record.key[:-1] + str(number)}) for number, record in enumerate(draws)]
    widths = []
    for records in (splits, draws):
        (comparison,) = residual_against_plain(make_frame(records))
        widths.append(comparison.interval[1] - comparison.interval[0])
    assert widths[0] > widths[1]


def test_the_page_has_a_section_for_sweeps_only_where_there_are_some(swept_cells, suite_cells, make_frame):
    assert 'id="sweeps"' not in render_report(make_frame(suite_cells))
    page = render_report(make_frame([*suite_cells, *swept_cells]))
    assert page.count('<section aria-labelledby="sweeps">') == 1
    assert 'id="depth-title"' in page
    assert 'id="sizes-title"' in page
