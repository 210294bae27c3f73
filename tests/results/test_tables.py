"""The ranking in the terminal and as Markdown."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from skipbench.results.statistics.ranking import rank_methods
from skipbench.results.statistics.tables import markdown_ranking, print_ranking
from skipbench.results.words import accuracy_text, number_text, printable, seconds_text


def printed(frame, *, terminal=False, width=100):
    out = io.StringIO()
    print_ranking(Console(file=out, force_terminal=terminal, width=width, highlight=False), rank_methods(frame, draws=100))
    return out.getvalue()


def test_plain_output_has_no_borders_no_escapes_and_whole_lines(suite_cells, make_frame):
    text = printed(make_frame(suite_cells), width=40)
    assert "\x1b" not in text
    assert not set(text) & set("┃│━─")
    (line,) = [line for line in text.splitlines() if "NTK ResMLP(2)" in line]
    assert line.split()[:4] == ["1", "NTK", "ResMLP(2)", "94.0"]


def test_a_terminal_gets_a_table(suite_cells, make_frame):
    assert "│" in printed(make_frame(suite_cells), terminal=True)


def test_the_caption_says_on_what_and_what_was_left_out(suite_cells, make_cell, make_frame):
    broken = make_cell(label="slow", parameters={"x": 1}, status="timeout", reason="60 s")
    text = printed(make_frame([*suite_cells, broken]))
    assert "6 methods on 2 data sets (iris, wine), 4 splits, 32 cells: every method finished every one of them. Left out: 1 cell" in text
    assert "not ranked: slow: complete on 0 of 4 splits (1 timeout)" in text
    assert "49 cells: 48 ok, 1 timeout." in text


def test_nothing_to_rank_is_said(make_cell, make_frame):
    assert printed(make_frame([])) == "No records yet.\n"
    assert "No cell finished" in printed(make_frame([make_cell(status="failed", reason="x")]))


def test_a_hostile_label_steers_no_terminal_and_no_markup(make_cell, make_frame):
    text = printed(make_frame([make_cell(label="[red]\x1b[31m\u202e|x"), make_cell(label="[/]", parameters={"a": 1})]))
    assert "[red]\\x1b[31m\\u202e|x" in text
    assert "[/]" in text


def test_markdown_has_one_row_a_method_with_its_conditioning(suite_cells, make_frame):
    frame = make_frame(suite_cells)
    text = markdown_ranking(rank_methods(frame, draws=100), frame)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    header = rows[next(i for i, row in enumerate(rows) if "iris" in row)]
    assert header == "| rank | method | iris | wine | mean | rank 95 % | ties | condition number | iterations to 99 % |"
    (nngp,) = [row for row in rows if "NNGP MLP(2)" in row]
    assert nngp.split(" | ")[2] == "85.5 ± 0.7"
    assert nngp.endswith("| 1.5e7 | 7500 |")
    (network,) = [row for row in rows if "NETWORK MLP(2)" in row]
    assert network.endswith("| - | 100 |")
    assert {row.count("|") for row in rows} == {8, 10}  # each table has as many cells in every row


def test_markdown_names_singular_matrices_and_misses_and_escapes_bars(make_cell, make_frame):
    frame = make_frame([make_cell(label="a|b <i>", condition_number=None, iterations=(1, None, None))])
    text = markdown_ranking(rank_methods(frame), frame)
    assert "| a\\|b &lt;i> | 90.0 | - | a | singular | not reached |" in text
    assert markdown_ranking(rank_methods(make_frame([])), make_frame([])) == "No finished cells.\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.01234, "0.0123"),
        (1234.5, "1230"),
        (99999, "100000"),
        (1.5e7, "1.5e7"),
        (2e-9, "2.0e-9"),
        (float("inf"), "∞"),
        (None, "-"),
    ],
)
def test_numbers_are_short(value, text):
    assert number_text(value) == text


def test_accuracies_are_in_percent_and_seconds_in_readable_units():
    assert [accuracy_text(0.9333, 0.01234), accuracy_text(1.0), accuracy_text(None)] == ["93.3 ± 1.2", "100.0", "-"]
    assert [seconds_text(s) for s in (0.123, 12.3, 125, 3780)] == ["0.12 s", "12 s", "2 min 5 s", "1 h 3 min"]


def test_long_names_are_cut_in_their_middle():
    assert printable("a" * 50 + "b" * 50, limit=20) == "a" * 13 + "…" + "b" * 6
