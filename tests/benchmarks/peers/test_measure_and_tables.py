"""A whole quick run with a stand-in for the peer: its records, its tables, its page, its exit status."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from skipbench.benchmarks.peers import measure as measuring
from skipbench.benchmarks.peers.cases import QUICK_CASES, chosen_cases
from skipbench.benchmarks.peers.measure import Plan, measurements
from skipbench.benchmarks.peers.roofline import operations_per_pair
from skipbench.benchmarks.peers.tables import peer_table, peer_text
from skipbench.checks import SkipbenchError
from skipbench.cli import peer as command
from skipbench.results import load_records, strict_json
from skipbench.results.frame import read_folders
from skipbench.results.record import RECORD_ADAPTER

FAKE = Path(__file__).with_name("fake_worker.py")
ROOT = Path(__file__).parents[3]
ONE = ("rescnn-gap-3x3-depth-5",)


@pytest.fixture
def peer_command(monkeypatch, fake, no_pause):
    """Run `skipbench peer ...` with the stand-in in place of the library's environment and script."""
    fake()
    monkeypatch.setattr(command, "peer_python", lambda folder: Path(sys.executable))
    monkeypatch.setattr(measuring, "WORKER", FAKE)
    return lambda *arguments: CliRunner().invoke(command.app, [str(argument) for argument in arguments])


def quick_plan(names=ONE, **options):
    return Plan(chosen_cases(names, quick=True), Path(sys.executable), quick=True, repeats=2, worker=FAKE, **options)


def test_a_run_measures_the_machine_the_cases_growth_and_depths(fake, no_pause):
    fake()
    found = {each.benchmark: each for each in measurements(quick_plan(("mlp-5-depth-10",)))}
    assert list(found) == [
        "machine.peak",
        "peer.mlp-5-depth-10",
        "growth.n.resmlp-13-depth-10",
        "growth.side.rescnn-tr-5x5-depth-2",
        "growth.depth.rescnn-gap-3x3-depth-2",
        "depths.mlp-5-depth-10",
    ]
    assert {each.status for each in found.values()} == {"ok"}
    assert len({each.key for each in found.values()}) == len(found)


def test_the_ratio_is_that_of_pairs_per_second(fake, no_pause):
    fake()
    machine, case = measurements(quick_plan(own=False))
    ours, theirs = case.timings
    assert (ours.label, theirs.label, theirs.pairs_per_second) == ("skipbench", "neural-tangents", 128 / 0.25)
    assert len(ours.seconds) == len(theirs.seconds) == 2
    assert case.value("ratio") == pytest.approx(ours.pairs_per_second / 512, rel=1e-12)
    assert case.value("ratio_lowest") <= case.value("ratio") <= case.value("ratio_highest")
    assert case.value("difference_peer_ntk") < 1e-6
    updates = ours.pairs_per_second * 81 * 5  # 9 x 9 pairs of pixels, 5 blocks
    assert case.value("updates_per_second") == pytest.approx(updates, rel=1e-12)
    arithmetic = ours.pairs_per_second * operations_per_pair(QUICK_CASES[-1].arch, (3, 3, 3)) / machine.value("operations_per_second")
    assert case.value("arithmetic_fraction") == pytest.approx(arithmetic, rel=1e-12)
    n = ours.settings["n"]
    memory = ours.pairs_per_second * 4 * (27 * 2 / n + 2) / machine.value("bytes_per_second")
    assert case.value("memory_fraction") == pytest.approx(memory, rel=1e-12)


@pytest.mark.parametrize(("fault", "reason"), [("unequal", "not the same kernels, so not timed"), ("death", "ended at `prepare`")])
def test_unequal_kernels_or_a_dead_peer_are_a_failure_without_a_ratio(fake, no_pause, fault, reason):
    fake(fault)
    _, case = measurements(quick_plan(own=False))
    assert case.status == "failed"
    assert reason in case.reason
    assert case.value("ratio") is None
    assert case.timings == ()


def test_a_key_says_what_was_measured_not_when(fake, no_pause):
    fake()
    first, second = ([each.key for each in measurements(quick_plan(own=False))] for _ in range(2))
    assert first == second
    assert len(set(first)) == 2


def test_the_command_writes_records_tables_and_the_page(peer_command, tmp_path):
    store, page = tmp_path / "store", tmp_path / "docs" / "peer.md"
    arguments = ("--environment", tmp_path, "--quick", "--repeats", 2, "--case", *ONE, "--results", store, "--markdown", page)
    done = peer_command("measure", *arguments)
    assert done.exit_code == 0, done.output
    assert "peer.rescnn-gap-3x3-depth-5: ratio " in done.output
    assert "2 records in" in done.output
    records = read_folders(store)
    assert page.read_text(encoding="utf-8") == peer_text(records)
    assert "**A quick run: its inputs are so small that its numbers mean nothing.**" in peer_text(records)
    frame = load_records(store, kind="performance")
    assert set(frame["benchmark"]) == {"machine.peak", "peer.rescnn-gap-3x3-depth-5"}
    assert frame["metric_ratio"].notna().sum() == 1
    again = peer_command("measure", *arguments)
    assert again.exit_code == 0
    assert len(list(store.iterdir())) == 2  # a new measurement takes the old one's place


def test_show_makes_the_same_page_again(peer_command, tmp_path):
    store, pages = tmp_path / "store", [tmp_path / "a.md", tmp_path / "b.md"]
    peer_command("measure", "--environment", tmp_path, "--quick", "--case", *ONE, "--results", store, "--markdown", pages[0])
    done = peer_command("show", "--results", store, "--markdown", pages[1])
    assert done.exit_code == 0
    assert "rescnn-gap-3x3-depth-5" in done.output
    assert pages[0].read_text() == pages[1].read_text()


def test_a_failed_case_is_recorded_shown_and_the_exit_status_is_1(peer_command, fake, tmp_path):
    fake("unequal")
    done = peer_command("measure", "--environment", tmp_path, "--quick", "--case", *ONE, "--results", tmp_path / "store")
    assert done.exit_code == 1
    (record,) = [each for each in read_folders(tmp_path / "store") if each.status != "ok"]
    assert record.reason.startswith("not the same kernels")
    assert "| rescnn-gap-3x3-depth-5 | failed: not the same kernels" in peer_text([record])
    assert peer_table([record]).splitlines()[-1] == "| rescnn-gap-3x3-depth-5 | - | - | - | - |"


def test_a_process_held_to_one_core_is_refused_before_anything_is_installed(peer_command, monkeypatch, tmp_path):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(command, "available_cores", lambda: 512)
    monkeypatch.setattr(command, "peer_python", lambda folder: pytest.fail("not yet"))
    done = peer_command("measure", "--environment", tmp_path, "--results", tmp_path / "store")
    assert isinstance(done.exception, SkipbenchError)
    assert "fewer threads than its 512 cores (torch to " in str(done.exception)
    assert "and the peer uses all: unset " in str(done.exception)
    assert "OMP_NUM_THREADS" in str(done.exception)


def test_an_unknown_case_is_refused_with_the_nearest(peer_command, tmp_path):
    done = peer_command("measure", "--environment", tmp_path, "--quick", "--case", "rescnn-gap-3x3")
    assert isinstance(done.exception, SkipbenchError)
    assert "Nearest: rescnn-gap-3x3-depth-5" in str(done.exception)


def test_without_a_measurement_there_is_no_table():
    with pytest.raises(SkipbenchError, match="no measurement beside a peer is among these records: tox run -e peer"):
        peer_table([])


def test_a_record_survives_its_file_and_cannot_break_the_page(fake, no_pause):
    fake()
    _, case = measurements(quick_plan(own=False))
    record = command._record(case, "peer-quick")
    text = strict_json.to_text(record.model_dump(mode="json"))
    assert RECORD_ADAPTER.validate_python(strict_json.from_text(text)) == record
    document = json.loads(text)
    document["benchmark"] = "peer.<script>|x|"
    document["timings"][0]["settings"] = {"n": "<b>", "calls": "many", "engine": ["|"]}
    document["environment"]["cpu"] = "<img src=x>"
    page = peer_text([RECORD_ADAPTER.validate_python(document)])
    assert "<" not in page
    assert {line.count("|") - line.count("\\|") for line in page.splitlines() if line.startswith("| ")} == {11}


@pytest.mark.skipif(not (ROOT / "results" / "records" / "peer").is_dir(), reason="no measurement beside the peer is committed yet")
def test_the_page_is_that_of_the_committed_records():
    records = read_folders(ROOT / "results" / "records" / "peer")
    assert (ROOT / "docs" / "peer.md").read_text(encoding="utf-8") == peer_text(records)


@pytest.mark.skipif(not (ROOT / "results" / "records" / "peer").is_dir(), reason="no measurement beside the peer is committed yet")
def test_the_committed_measurement_is_complete_and_finished():
    records = {record.benchmark: record for record in read_folders(ROOT / "results" / "records" / "peer")}
    assert {f"peer.{case.name}" for case in chosen_cases([], quick=False)} <= set(records)
    assert {record.status for record in records.values()} == {"ok"}
    assert all(len(timing.seconds) >= 5 for record in records.values() for timing in record.timings)


def test_the_quick_cases_cover_every_family_and_readout():
    assert {type(case.arch).__name__ for case in QUICK_CASES} == {"MLP", "ResMLP", "CNN", "ResCNN"}
    assert {getattr(case.arch, "readout", None) for case in QUICK_CASES} == {None, "tr", "gap"}


def test_the_tox_environment_calls_the_command():
    text = (ROOT / "tox.ini").read_text(encoding="utf-8").partition("[testenv:peer]")[2].partition("[testenv")[0]
    assert "skipbench peer measure --environment {work_dir}/neural-tangents {posargs}" in text
    assert "OMP_NUM_THREADS" not in text
