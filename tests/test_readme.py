"""The README's examples run as they stand, and its numbers come from the committed records."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from skipbench.results import load_records
from skipbench.results.statistics.ranking import rank_methods
from skipbench.results.statistics.tables import markdown_ranking

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
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


def test_the_rankings_are_those_of_the_committed_records():
    frame = load_records(ROOT / "results" / "records")
    shown = README.partition("<!-- rankings: begin -->\n")[2].partition("\n<!-- rankings: end -->")[0]
    assert shown == markdown_ranking(rank_methods(frame), frame).strip()


def test_every_committed_record_is_read_and_names_no_folder():
    files = list((ROOT / "results" / "records").rglob("*.json"))
    assert len(load_records(ROOT / "results" / "records")) == len(files) > 200
    assert [path.name for path in files if re.search(r"/(home|root|Users|tmp)/", path.read_text(encoding="utf-8"))] == []
