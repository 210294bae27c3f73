"""The README's examples run as they stand, and its numbers come from the committed records."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from skipbench.benchmarks.peers.tables import peer_table
from skipbench.cli.gram_tables import gram_table, spectrum_table
from skipbench.results import load_records
from skipbench.results.columns import KINDS
from skipbench.results.frame import read_folders
from skipbench.results.statistics.ranking import rank_methods
from skipbench.results.statistics.study import study_markdown
from skipbench.results.statistics.tables import markdown_ranking

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
RECORDS = ROOT / "results" / "records"
UNRANKED = {
    "nightly",
    "peer",
    "peer-epyc",
    "gram",
    "gram-spectrum",
}  # the nightly's records are slices of the others', the others are times
STUDIES = ("convergence", "convergence-networks", "width-study", "cifar10-recipes", "uci-recipes", "engines", "cifar10-networks")
RANKED_STUDIES = ("cifar10-networks",)  # the other studies compare no test accuracies: docs/SUITE/study.md has what they found
SHOWN_SUITES = sorted(path.name for path in RECORDS.iterdir() if path.name not in {*UNRANKED, *STUDIES} - set(RANKED_STUDIES))
PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("results", "engines")}
QUOTED = [
    ("results", "convergence", "convergence"),
    ("results", "networks", "convergence-networks"),
    ("results", "recipes", "cifar10-recipes"),
]
QUOTED += [("results", "uci-recipes", "uci-recipes"), ("results", "times", "cifar10-networks"), ("engines", "suites", "engines")]
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=["smallest", "kernels"])
def test_an_example_runs_and_prints_numbers(example):
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(float(line) > 0 for line in done.stdout.split())


def test_the_picture_and_every_linked_file_are_there():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []


def ranking_of(suite: str) -> str:
    frame = load_records(RECORDS / suite)
    return markdown_ranking(rank_methods(frame), frame).strip()


def test_the_ranking_of_quick_is_that_of_the_committed_records():
    shown = README.partition("<!-- rankings: begin -->\n")[2].partition("\n<!-- rankings: end -->")[0]
    assert shown == ranking_of("quick")


def region(name: str) -> str:
    return README.partition(f"<!-- {name}: begin -->\n")[2].partition(f"\n<!-- {name}: end -->")[0]


def test_the_speeds_beside_the_peer_are_those_of_the_committed_records():
    if not (RECORDS / "peer").is_dir():
        pytest.skip("no measurement beside the peer is committed: tox run -e peer makes one")
    assert region("peer") == peer_table(read_folders(RECORDS / "peer")).strip()


def test_the_large_gram_matrix_is_that_of_the_committed_record():
    (record,) = read_folders(RECORDS / "gram")
    assert region("gram") == gram_table(record)


def test_the_spectrum_of_the_large_gram_matrix_is_that_of_the_committed_record():
    (record,) = read_folders(RECORDS / "gram-spectrum")
    shown = PAGES["results"].partition("<!-- spectrum: begin -->\n")[2].partition("\n<!-- spectrum: end -->")[0]
    assert shown == spectrum_table(record)


@pytest.mark.parametrize("suite", SHOWN_SUITES)
def test_the_rankings_of_every_suite_are_those_of_the_committed_records(suite):
    assert (ROOT / "docs" / suite / "rankings.md").read_text(encoding="utf-8").strip() == ranking_of(suite)


@pytest.mark.parametrize("suite", STUDIES)
def test_the_study_of_every_suite_is_that_of_the_committed_records(suite):
    assert (ROOT / "docs" / suite / "study.md").read_text(encoding="utf-8") == study_markdown(load_records(RECORDS / suite))


@pytest.mark.parametrize(("page", "name", "suite"), QUOTED)
def test_the_rows_that_a_page_quotes_stand_in_the_study(page, name, suite):
    quoted = PAGES[page].partition(f"<!-- {name}: begin -->\n")[2].partition(f"<!-- {name}: end -->")[0].splitlines()
    study = (ROOT / "docs" / suite / "study.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in quoted if line.startswith("| ")]
    assert len(rows) > 2
    assert [row for row in rows if row not in study] == []


def test_every_picture_of_the_results_is_there_and_every_suite_is_shown():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", PAGES["results"])
    assert [link for link in links if not (ROOT / "docs" / link).is_file()] == []
    assert [suite for suite in SHOWN_SUITES if f"({suite}/rankings.md)" not in PAGES["results"]] == []
    assert [suite for suite in STUDIES if not any(f"({suite}/study.md)" in page for page in PAGES.values())] == []


def test_every_committed_record_is_read_and_names_no_folder():
    files = list(RECORDS.rglob("*.json"))
    folders = [folder for folder in RECORDS.iterdir() if folder.is_dir()]  # one at a time: two machines may have measured the same
    assert sum(len(load_records(folder, kind=kind)) for folder in folders for kind in KINDS) == len(files) > 200
    assert [path.name for path in files if re.search(r"/(home|root|Users|tmp)/", path.read_text(encoding="utf-8"))] == []
