"""Runs as users start them: real worker processes, real records, and cells that misbehave."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest

from skipbench.results import ResultStore, load_records

RIDGE = "  - ridge: {kernel: [nngp, ntk], architecture: {ResMLP: {depth: 2}}}"


def records(tmp_path, suite):
    return {record.key: record for record in ResultStore(tmp_path / "results" / "runs" / suite).records()}


def by_deed(tmp_path, suite):
    return {record.method.parameters.get("deed"): record for record in records(tmp_path, suite).values()}


def test_a_run_writes_measured_records_and_running_again_computes_nothing(command, suite_file, tmp_path):
    suite_file("small", RIDGE + "\n  - random-forest: {seeds: 2}")
    first = command("run", "small.yaml", "--jobs", "1")
    assert first.returncode == 0, first.stderr
    assert "computed 4 cells" in first.stdout
    assert "[4/4] iris, split 0: " in first.stdout
    frame = load_records(tmp_path / "results" / "runs" / "small")
    assert (frame["status"] == "ok").all()
    assert (frame["accuracy"] > 0.8).all()
    kernels = frame[frame["family"] == "kernel"]
    assert (kernels["iterations_90"] <= kernels["iterations_99"]).all()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "results").rglob("*.json")}
    again = command("run", "small.yaml", "--jobs", "1", "--timeout", "77")
    assert "computed 0 cells" in again.stdout
    assert "reused 4" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "results").rglob("*.json")} == before


def test_cells_that_share_a_gram_matrix_compute_it_once(command, suite_file, tmp_path):
    suite_file("sharing", RIDGE)
    assert command("run", "sharing.yaml", "--jobs", "2").returncode == 0
    nngp, ntk = sorted(records(tmp_path, "sharing").values(), key=lambda record: record.method.kernel)
    assert nngp.shared_phases == ()
    assert ntk.shared_phases == ("kernel",)
    assert ntk.phases["kernel"] >= nngp.phases["kernel"] * 0.2  # the seconds of the first computation are told, not hidden


def test_a_record_holds_no_folder_and_no_host(command, suite_file, tmp_path):
    suite_file("private", "  - misbehaving: {deed: raise}")
    command("run", str(tmp_path / "private.yaml"))
    (path,) = (tmp_path / "results").rglob("*.json")
    text = path.read_text()
    assert "a fault in method.py" in json.loads(text)["reason"]
    for secret in (str(tmp_path), "/home/", os.uname().nodename):
        assert secret not in text


def test_a_cell_that_fails_takes_only_itself(command, suite_file, tmp_path):
    suite_file("faults", "  - misbehaving: {deed: [raise, leave, kill, exhaust, nothing]}")
    done = command("run", "faults.yaml", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    found = by_deed(tmp_path, "faults")
    assert {deed: record.status for deed, record in found.items()} == {
        "raise": "failed",
        "leave": "failed",
        "kill": "failed",
        "exhaust": "oom",
        "nothing": "ok",
    }
    assert "RuntimeError" in found["raise"].reason
    assert "exit status 3" in found["leave"].reason
    assert "last words of a cell" in found["leave"].reason
    assert "SIGKILL" in found["kill"].reason


def test_failed_cells_are_left_alone_unless_a_retry_is_asked_for(command, suite_file):
    suite_file("retry", "  - misbehaving: {deed: [raise, nothing]}")
    command("run", "retry.yaml")
    again = command("run", "retry.yaml")
    assert "computed 0 cells" in again.stdout
    assert "left 1 that failed before" in again.stdout
    assert "computed 1 cells" in command("run", "retry.yaml", "--retry", "failed").stdout


def test_a_cell_beyond_its_time_is_stopped_with_all_that_it_started(command, suite_file, tmp_path):
    suite_file("slow", "  - misbehaving: {deed: [sleep, nothing]}")
    done = command("run", "slow.yaml", "--timeout", "6", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    found = by_deed(tmp_path, "slow")
    assert found["sleep"].status == "timeout"
    assert "longer than 6 s" in found["sleep"].reason
    assert found["nothing"].status == "ok"
    left = [process for process in psutil.process_iter(["cmdline"]) if "skipbench-child-of-a-cell" in (process.info["cmdline"] or [])]
    assert left == []


def test_a_cell_beyond_its_memory_is_stopped(command, suite_file, tmp_path):
    suite_file("hoard", "  - misbehaving: {deed: [hoard, nothing]}", "{gigabytes_per_worker: 2.0, seconds_per_cell: 60}")
    assert command("run", "hoard.yaml").returncode == 0
    found = by_deed(tmp_path, "hoard")
    assert found["hoard"].status == "oom"
    assert "GiB of memory" in found["hoard"].reason
    assert found["nothing"].status == "ok"


@pytest.mark.skipif(sys.platform != "linux", reason="reads the process table as Linux has it")
def test_a_killed_run_loses_only_the_cells_in_flight_and_goes_on(command, suite_file, tmp_path, misbehaving_package):
    suite_file("killed", "  - misbehaving: {deed: dawdle, seeds: 12}")
    run = subprocess.Popen(
        [sys.executable, "-m", "skipbench", "run", "killed.yaml", "--jobs", "2"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(misbehaving_package)},
        stdout=subprocess.DEVNULL,
    )
    folder = tmp_path / "results" / "runs" / "killed"
    deadline = time.monotonic() + 60
    while len(list(folder.glob("*.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    workers = psutil.Process(run.pid).children(recursive=True)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    kept = len(records(tmp_path, "killed"))
    assert kept >= 3
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert alive == []
    again = command("run", "killed.yaml", "--jobs", "2")
    assert f"computed {12 - kept} cells" in again.stdout
    assert f"reused {kept}" in again.stdout
    assert len(records(tmp_path, "killed")) == 12


def test_filters_and_seeds_choose_cells(command, suite_file, tmp_path):
    suite_file("filters", RIDGE + "\n  - random-forest: {seeds: 5}")
    assert "computed 2 cells" in command("run", "filters.yaml", "-m", "random-forest", "--seeds", "2").stdout
    assert {record.seeds.init for record in records(tmp_path, "filters").values()} == {0, 1}
    assert "computed 2 cells" in command("run", "filters.yaml", "-d", "iris", "-m", "ridge").stdout


def test_an_estimate_says_cells_time_and_memory_and_computes_nothing(command, suite_file, tmp_path):
    suite_file("estimated", RIDGE)
    done = command("estimate", "estimated.yaml", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    assert "2 cells, 2 to compute" in done.stdout
    assert "GiB" in done.stdout
    assert list((tmp_path / "results").rglob("*.json")) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "quikc"], 'Error: no suite "quikc". Nearest: quick'),
        (["run", "quick", "-d", "irsi"], 'Error: no data set "irsi" in suite quick. Nearest: iris. All of them: skipbench data list'),
        (["run", "quick", "-m", "rigde"], 'Error: no method "rigde" in suite quick. Nearest: ridge'),
        (["run", "quick", "--device", "cuda:9"], "Error: .*cuda:9.*cpu"),
        (["run", "quick", "--jobs", "0"], "Error: --jobs 0"),
        (["run", "quick", "--timeout", "-1"], "Error: --timeout -1"),
        (["estimate", "nowhere.yaml"], r"Error: no suite file 'nowhere\.yaml'"),
        (["check", "rigde"], 'Error: no method "rigde". Nearest: ridge'),
    ],
)
def test_bad_arguments_are_refused_without_a_traceback(command, arguments, message):
    done = command(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert re.search(message, done.stderr), done.stderr


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ("  - rigde: {}", 'bad.yaml, line 4: no method "rigde". Nearest: ridge'),
        ("  - ridge: {kernell: ntk}", "bad.yaml, line 4: .*Nearest: kernel"),
        ("  - ridge: {kernel: ntkk}", "bad.yaml, line 4: .*ntk"),
        ("  - ridge:\n      architecture:\n        ResMLP: {depth: 2,\n          alpha: 0}", "bad.yaml, line 7: ResMLP: alpha=0"),
        ("  - ridge:\n      architecture: {ResMPL: {depth: 2}}", "bad.yaml, line 5: no architecture"),
        ("  - ridge: {architecture: ResMLP}", "an architecture is written"),
        ("  - ridge: {seeds: 3}", "ridge draws no random numbers"),
        ("  - network: {width: 0}", "bad.yaml, line 4: .*width=0"),
        ("  - ridge: {architecture: {CNN: {depth: 2}}}", "none of the chosen methods can read the chosen data sets, which are vectors"),
    ],
)
def test_bad_values_in_a_suite_are_refused_with_their_line(command, suite_file, methods, message):
    suite_file("bad", methods)
    done = command("run", "bad.yaml")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert re.search(message, done.stderr), done.stderr


def test_an_unwritable_results_folder_is_said_before_anything_is_computed(command, suite_file, tmp_path):
    suite_file("unwritable", RIDGE)
    (tmp_path / "occupied").write_text("a file, not a folder")
    done = command("run", "unwritable.yaml", "--results", "occupied")
    assert done.returncode == 2
    assert "Error: " in done.stderr
    assert "occupied" in done.stderr
    assert "[1/" not in done.stdout


def test_a_foreign_file_in_the_store_is_named_and_stays(command, suite_file, tmp_path):
    suite_file("foreign", "  - misbehaving")
    command("run", "foreign.yaml")
    stranger = tmp_path / "results" / "runs" / "foreign" / "notes.json"
    stranger.write_text("{broken")
    done = command("run", "foreign.yaml")
    assert done.returncode == 0
    assert "notes.json" in done.stderr
    assert stranger.read_text() == "{broken"


def test_missing_data_are_refused_with_the_places_and_the_command_that_fetches_them(command, tmp_path):
    done = command("run", "cifar10-small", SKIPBENCH_DATA=str(tmp_path / "nowhere"))
    assert done.returncode == 2
    assert "nowhere" in done.stderr
    assert "skipbench data fetch cifar10" in done.stderr
    assert "Traceback" not in done.stderr
