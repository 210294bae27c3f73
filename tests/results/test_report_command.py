"""`skipbench report`: what it reads, prints and writes, and how it refuses."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from skipbench.cli.app import app
from skipbench.results import ResultStore


@pytest.fixture
def report(tmp_path, monkeypatch):
    """Run `skipbench report ARGUMENTS` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        return CliRunner().invoke(app, ["report", *map(str, arguments)])

    return run


def test_the_ranking_comes_first_and_the_path_of_the_page_last(report, tmp_path, suite_cells):
    store = ResultStore(tmp_path / "results" / "runs" / "quick")
    for cell in suite_cells:
        store.write(cell)
    done = report("quick")
    assert done.exit_code == 0, done.output
    assert done.output.startswith("Suite quick, images\n6 methods on 1 data set (digits-images)")
    assert done.output.splitlines()[-1] == "page: results/runs/report/index.html"
    assert "NTK ResMLP(2)" in (tmp_path / "results" / "runs" / "report" / "index.html").read_text()


def test_committed_records_are_read_too_and_a_run_of_the_same_key_wins(report, tmp_path, make_cell):
    committed, shared = make_cell(split=0, accuracy=0.2), make_cell(split=1, accuracy=0.2)
    for cell in (committed, shared):
        ResultStore(tmp_path / "results" / "records" / "quick").write(cell)
    ResultStore(tmp_path / "results" / "runs" / "quick").write(make_cell(split=1, accuracy=0.8, key=shared.key))
    line = next(line for line in report().output.splitlines() if "NTK MLP(2)" in line)
    assert line.split()[3] == "50.0"


def test_only_the_named_suite_is_shown(report, tmp_path, make_cell):
    for suite, accuracy in (("quick", 0.9), ("other", 0.3)):
        ResultStore(tmp_path / "results" / "runs" / suite).write(make_cell(suite=suite, accuracy=accuracy))
    output = report("other").output
    assert "Suite other" in output
    assert "Suite quick" not in output
    assert "Suite quick" in report().output


def test_a_suite_file_stands_for_the_suite_of_its_name(report, tmp_path, make_cell):
    ResultStore(tmp_path / "results" / "runs" / "mine").write(make_cell(suite="mine"))
    assert "1 cell: 1 ok." in report("somewhere/mine.yaml").output


def test_an_unknown_suite_is_named_with_those_present(report, tmp_path, make_cell):
    ResultStore(tmp_path / "results" / "runs" / "quick").write(make_cell())
    done = report("quik")
    assert done.exit_code != 0
    assert str(done.exception).startswith('no suite "quik" among the records in results/records, results/runs. Nearest: quick.')
    assert str(done.exception).endswith("To compute its cells: skipbench run quik")
    assert not (tmp_path / "results" / "runs" / "report").exists()


def test_without_any_record_the_page_says_how_to_make_some(report, tmp_path):
    done = report()
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[0] == "No records yet."
    assert "skipbench run quick" in (tmp_path / "results" / "runs" / "report" / "index.html").read_text()


def test_given_folders_replace_the_default_ones_and_a_missing_one_is_named(report, tmp_path, make_cell):
    ResultStore(tmp_path / "results" / "runs" / "quick").write(make_cell())
    ResultStore(tmp_path / "mine").write(make_cell(split=1))
    ResultStore(tmp_path / "yours").write(make_cell(split=2))
    assert "2 cells: 2 ok." in report("--results", "mine", "--results", "yours").output
    done = report("--results", "nowhere")
    assert 'no results folder "nowhere"' in str(done.exception)


def test_figures_and_a_markdown_table_are_written_on_request(report, tmp_path, suite_cells):
    for cell in suite_cells:
        ResultStore(tmp_path / "store").write(cell)
    done = report("--results", "store", "--out", "page", "--figures", "docs/figures", "--table", "docs/table.md")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "docs" / "figures" / "overview.svg").read_text().startswith("<?xml")
    assert "| NTK ResMLP(2) |" in (tmp_path / "docs" / "table.md").read_text()
    assert (tmp_path / "page" / "index.html").exists()
    assert not (tmp_path / "results").exists()


def test_a_corrupt_file_in_the_store_is_named_and_the_report_goes_on(report, tmp_path, make_cell):
    store = ResultStore(tmp_path / "results" / "runs" / "quick")
    store.write(make_cell())
    (store.folder / "broken.json").write_text("{")
    with pytest.warns(UserWarning, match=r'"broken\.json" is no strict JSON'):
        done = report()
    assert "1 cell: 1 ok." in done.output
    assert (store.folder / "broken.json").read_text() == "{"
