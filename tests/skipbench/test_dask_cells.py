"""Runs on a Dask cluster: what the pool of worker processes gives, to the last bit, and only what was lost is repeated."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter, deque
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from skipbench.architecture import MLP
from skipbench.checks import MissingDataError, SkipbenchError
from skipbench.dask_clients import dask_client
from skipbench.environment import available_cores
from skipbench.results import ResultStore
from skipbench.runner import dask_cells, resources
from skipbench.runner.cell_run import CellRunner
from skipbench.runner.dask_cells import DaskCells
from skipbench.runner.messages import PlannedCell
from skipbench.runner.plan import Selection, make_plan
from skipbench.runner.resources import cluster_resources
from skipbench.runner.run import RunOptions, run_suite
from skipbench.runner.worker_process import Limits
from skipbench.suite import load_suite

distributed = pytest.importorskip("distributed", reason="the extra `dask` is not installed")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="ends processes by signals")

_PACKAGE = '''
import os, signal, time
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import validate_data
from skipbench.architecture import MLP
from skipbench.checks import MissingDataError
from skipbench.datasets import Dataset, DatasetEntry, Split


class Logged(ClassifierMixin, BaseEstimator):
    """A classifier that writes down when and where it is fitted, and takes its time or ends the process that watches it."""

    def __init__(self, deed="dawdle", seed=0):
        self.deed = deed
        self.seed = seed

    def fit(self, X, y, X_val=None, y_val=None):
        self.classes_ = np.unique(y)
        with open(os.environ["LOGGED_TO"], "a") as log:
            log.write(f"{self.deed} {self.seed} {os.getppid()} {os.getpid()}\\n")
        if self.deed == "kill_watcher":
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(1000)
        time.sleep({"dawdle": 0.7, "nothing": 0.0, "sleep": 1000.0}[self.deed])
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


def load_travelling(name, options):
    """A data set whose files are elsewhere, or others, on another machine."""
    seed = os.environ.get("TRAVELLING_DATA")
    if seed is None:
        raise MissingDataError("travelling: no files here. Get them: skipbench data fetch travelling")
    inputs = np.random.default_rng(int(seed)).normal(size=(30, 3)).astype(np.float32)
    rows = np.arange(30).reshape(3, 10)
    return Dataset(name="travelling", inputs=inputs, labels=np.arange(30) % 2, classes=("a", "b"), splits=(Split("0", *rows),))


travelling = DatasetEntry(name="travelling", kind="vectors", load=load_travelling, protocols=("fixed",), source="", licence="")
'''
WORKERS = 2
_ENTRY_POINTS = "[skipbench.methods]\nlogged = logged:Logged\n[skipbench.datasets]\ntravelling = logged:travelling\n"


@pytest.fixture(scope="module")
def variables(tmp_path_factory, misbehaving_package):
    """Environment variables with which the packages `logged` and `misbehaving` are installed; the log is empty at first."""
    folder = tmp_path_factory.mktemp("logged")
    (folder / "logged.py").write_text(_PACKAGE)
    info = folder / "logged-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: logged\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(_ENTRY_POINTS)
    paths = os.pathsep.join([str(folder), str(misbehaving_package)])
    return {"PYTHONPATH": paths, "LOGGED_TO": str(folder / "log.txt")}


@pytest.fixture(scope="module")
def shared_cluster(variables):
    """A client of two Dask workers that have the packages."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        with dask_client("local", n_workers=WORKERS) as client:
            yield client


@pytest.fixture
def cluster(shared_cluster):
    """That client, with both workers there: those that the test before has killed are started again."""
    shared_cluster.wait_for_workers(WORKERS, timeout=60)
    return shared_cluster


@pytest.fixture
def log(variables):
    """Read what was fitted in this test: deed, seed, and the processes of the Dask worker and of the cell."""
    path = Path(variables["LOGGED_TO"])
    path.write_text("")

    def read():
        return [tuple(line.split()) for line in path.read_text().splitlines()]

    return read


@pytest.fixture
def on_cluster(command, cluster, variables):
    """Run `skipbench run ARGUMENTS` on the cluster."""

    def run(*arguments, **more):
        return command("run", *arguments, "--scheduler", cluster.scheduler.address, **{**variables, **more})

    return run


def records(folder, suite):
    return {record.key: record for record in ResultStore(folder / suite).records()}


def run_in_process(suite, folder, **options):
    return run_suite(load_suite(suite), Selection(), RunOptions(folder / "results", **options), Console(quiet=True))


def by_deed(folder, suite):
    return {(record.method.parameters.get("deed"), record.seeds.init): record for record in records(folder, suite).values()}


def timeless(record):
    """All that a record says, without the times, the memory and the machine."""
    told = record.model_dump(exclude={"phases", "shared_phases", "environment", "created", "peak_memory"})
    told["curve"] = [{**point, "seconds": None} for point in told["curve"] or ()]
    return told


def wait_until(true, seconds=60):
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert true()


def test_a_local_cluster_gives_the_records_of_the_pool_to_the_last_bit(command, suite_file, tmp_path):
    ridge = "  - ridge: {kernel: [nngp, ntk], architecture: [{ResMLP: {depth: 2}}, {MLP: {depth: 2}}]}"
    network = "  - network: {architecture: {ResMLP: {depth: 2}}, width: 16, epochs: 5}"
    suite_file("same", f"{ridge}\n{network}\n  - logistic-regression\n  - random-forest")
    for folder, where in (("pool", ()), ("dask", ("--scheduler", "local"))):
        done = command("run", "same.yaml", "--jobs", "2", "--results", folder, *where)
        assert done.returncode == 0, done.stderr
        assert "computed 7 cells" in done.stdout
        assert "[7/7] iris, split 0: " in done.stdout
    pool, dask = records(tmp_path / "pool", "same"), records(tmp_path / "dask", "same")
    assert pool.keys() == dask.keys()
    for key, record in pool.items():
        assert record.status == "ok"
        assert timeless(dask[key]) == timeless(record)
        assert dask[key].environment == record.environment  # the threads among it: other numbers of them round differently
    sharing = [record.method.label for record in dask.values() if record.shared_phases == ("kernel",)]
    assert len(sharing) == 2  # the second kernel of each architecture found the matrices of the first


def test_what_goes_wrong_in_a_cell_stays_in_its_record(on_cluster, suite_file, tmp_path):
    suite_file("faults", "  - misbehaving: {deed: [leave, sleep, hoard, nothing]}", "{gigabytes_per_worker: 2.0}")
    done = on_cluster("faults.yaml", "--timeout", "8")
    assert done.returncode == 0, done.stderr
    found = {deed: record for (deed, _), record in by_deed(tmp_path / "results" / "runs", "faults").items()}
    assert {deed: record.status for deed, record in found.items()} == {
        "leave": "failed",
        "sleep": "timeout",
        "hoard": "oom",
        "nothing": "ok",
    }
    assert "last words of a cell" in found["leave"].reason
    assert "longer than 8 s" in found["sleep"].reason
    assert "GiB of memory" in found["hoard"].reason
    left = [process for process in psutil.process_iter(["cmdline"]) if "skipbench-child-of-a-cell" in (process.info["cmdline"] or [])]
    assert left == []


def test_a_worker_killed_in_the_middle_costs_only_the_cell_it_was_running(on_cluster, suite_file, tmp_path, cluster, variables, log):
    suite_file("killed", "  - logged: {seeds: 8}")
    run = subprocess.Popen(
        [sys.executable, "-m", "skipbench", "run", "killed.yaml", "--scheduler", cluster.scheduler.address],
        cwd=tmp_path,
        env={**os.environ, **variables, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: len(log()) >= 3)
    _, in_flight, watcher, _ = log()[-1]
    os.kill(int(watcher), signal.SIGKILL)
    output, _ = run.communicate(timeout=120)
    assert run.returncode == 0
    assert "computed 8 cells" in output
    assert "(8 ok)" in output
    times = Counter(seed for _, seed, *_ in log())
    assert times == {str(seed): 1 + (str(seed) == in_flight) for seed in range(8)}


def test_a_cell_that_ends_its_workers_fails_and_the_others_do_not(on_cluster, suite_file, tmp_path, cluster, log):
    suite_file("killer", "  - logged: {deed: [kill_watcher, nothing]}")
    scheduler = cluster.cluster.scheduler
    scheduler.allowed_failures, before = 0, scheduler.allowed_failures  # each death costs seconds, and two are enough to see it
    try:
        done = on_cluster("killer.yaml")
    finally:
        scheduler.allowed_failures = before
    assert done.returncode == 0, done.stderr
    found = by_deed(tmp_path / "results" / "runs", "killer")
    assert {place: record.status for place, record in found.items()} == {
        ("kill_watcher", 0): "failed",
        ("nothing", 0): "ok",
    }
    assert "every Dask worker that ran this cell ended with it" in found["kill_watcher", 0].reason
    assert Counter(seed for deed, seed, *_ in log() if deed == "kill_watcher") == {"0": 2}  # beside another cell, then alone


@pytest.mark.skipif(sys.platform != "linux", reason="reads the process table as Linux has it")
def test_a_killed_run_leaves_no_cell_behind_and_goes_on(on_cluster, suite_file, tmp_path, cluster, variables, log):
    suite_file("left", "  - logged: {deed: [nothing, sleep], seeds: 1}")
    run = subprocess.Popen(
        [sys.executable, "-m", "skipbench", "run", "left.yaml", "--scheduler", cluster.scheduler.address],
        cwd=tmp_path,
        env={**os.environ, **variables},
        stdout=subprocess.DEVNULL,
    )
    folder = tmp_path / "results" / "runs" / "left"
    wait_until(lambda: len(list(folder.glob("*.json"))) == 1 and any(deed == "sleep" for deed, *_ in log()))
    (asleep,) = (int(process) for deed, *_, process in log() if deed == "sleep")
    assert psutil.pid_exists(asleep)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    wait_until(lambda: not psutil.pid_exists(asleep), seconds=10)  # half of the time after which an idle one would end
    done = on_cluster("left.yaml", "--timeout", "1")
    assert "computed 1 cells" in done.stdout
    assert "reused 1" in done.stdout


def test_a_worker_without_the_data_says_so_in_the_record(on_cluster, tmp_path):
    (tmp_path / "away.yaml").write_text("description: elsewhere?\ndata: [travelling]\nmethods: [logistic-regression]\n")
    assert on_cluster("away.yaml", TRAVELLING_DATA="1").returncode == 0
    (record,) = records(tmp_path / "results" / "runs", "away").values()
    assert record.status == "failed"
    assert record.reason == "travelling: no files here. Get them: skipbench data fetch travelling"


def test_a_worker_with_other_data_than_the_plan_says_so_in_the_record(suite_file, tmp_path):
    suite = load_suite(str(suite_file("other", "  - logistic-regression")))
    (planned,) = make_plan(suite, Selection(), ResultStore(tmp_path), device="cpu", command="").cells
    other = planned.blank.dataset.model_copy(update={"sha256": "0" * 64})
    record = CellRunner().run(PlannedCell(planned.cell, planned.blank.model_copy(update={"dataset": other})))
    assert record.status == "failed"
    assert re.search(r"iris: this worker's data have SHA-256 [0-9a-f]{12}\.\.\., but the run was planned with 000000000000", record.reason)
    assert CellRunner().run(planned).status == "ok"


def test_a_run_without_the_data_itself_is_refused_as_ever(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("SKIPBENCH_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(MissingDataError, match="skipbench data fetch cifar10"):
        run_in_process("cifar10-small", tmp_path, scheduler=cluster.scheduler.address)


def test_a_cluster_gives_every_cell_the_same_threads_and_its_share_of_memory(cluster):
    found = cluster_resources(cluster, "cpu")
    assert found.jobs == 2
    assert found.threads == max(1, available_cores() // 2)
    assert found.device == "cpu"
    assert 0 < found.bytes <= psutil.virtual_memory().total / 2


def test_a_worker_with_another_version_or_without_the_device_is_refused(cluster, monkeypatch):
    with pytest.raises(SkipbenchError, match=r"Dask worker tcp://.* cannot run cells: device='cuda:77' is absent on this machine"):
        cluster_resources(cluster, "cuda:77")
    monkeypatch.setattr(resources.importlib.metadata, "version", lambda name: "9.9")
    with pytest.raises(SkipbenchError, match=r"Dask worker tcp://.* has skipbench .*, but this is 9\.9: install the same everywhere"):
        cluster_resources(cluster, "cpu")


@pytest.fixture
def empty_cluster():
    """A client of a scheduler without workers."""
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=None, silence_logs=logging.CRITICAL) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture
def groups(suite_file, tmp_path):
    suite = load_suite(str(suite_file("planned", "  - logistic-regression\n  - random-forest")))
    return make_plan(suite, Selection(), ResultStore(tmp_path), device="cpu", command="").groups


def test_a_cluster_that_stays_without_workers_ends_the_run(empty_cluster, groups, monkeypatch):
    monkeypatch.setattr(dask_cells, "_LOOK_SECONDS", 0.1)
    monkeypatch.setattr(dask_cells, "_NO_WORKER_SECONDS", 0.5)
    cells = DaskCells(empty_cluster, threads=1, limits=Limits(60.0, 2**30))
    with pytest.raises(SkipbenchError, match=r"has had no worker for .*start some with `dask worker ADDRESS`.*finished cells are kept"):
        list(cells.run(groups))
    assert cells.running == []


def test_a_suspect_is_tried_again_without_what_comes_after_it(groups):
    cells = DaskCells(None, threads=1, limits=Limits(60.0, 2**30))
    planned = replace(groups[0][0], coming=(MLP(3),))  # the rest of its group goes on elsewhere
    assert cells._killed(dask_cells._InFlight(planned, dask_cells._Group(deque()), None, 0.0)) is None
    assert list(cells._suspects) == [replace(planned, coming=())]


def test_a_scheduler_that_goes_away_ends_the_run(empty_cluster, groups):
    cells = DaskCells(empty_cluster, threads=1, limits=Limits(60.0, 2**30))
    answers = cells.run(groups)
    assert next(answers) is None
    assert len(cells.running) == 1  # without workers one cell waits, so that a cluster that grows by need sees it
    empty_cluster.cluster.close()
    with pytest.raises(SkipbenchError, match=r"the Dask scheduler no longer answers: .*finished cells are kept"):
        list(answers)


def test_an_address_where_no_scheduler_answers_is_refused_before_anything_runs(command, tmp_path):
    done = command("run", "quick", "-d", "iris", "--scheduler", "tcp://127.0.0.1:9")
    assert done.returncode == 2
    assert "Error: no Dask scheduler answers at 'tcp://127.0.0.1:9'" in done.stderr
    assert "Traceback" not in done.stderr
    assert "[" not in done.stdout
    assert list((tmp_path / "results").rglob("*.json")) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheduler": "tcp://127.0.0.1:9", "jobs": 2}, "--jobs 2 with --scheduler tcp://127.0.0.1:9: .*leave --jobs out"),
        ({"scheduler": "lcoal"}, "scheduler='lcoal' is no scheduler: use \"local\""),
        ({"scheduler": ""}, "scheduler='' is no scheduler: use \"local\""),
        ({"scheduler": "local", "jobs": 0}, "--jobs 0"),
    ],
)
def test_a_scheduler_that_cannot_be_used_is_refused(tmp_path, options, message):
    with pytest.raises(SkipbenchError, match=message):
        run_in_process("quick", tmp_path, **options)
