"""Cells in flight: what a killed run leaves of a long training, and that a cell which ended leaves nothing."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
import torch
from rich.console import Console

from skipbench.results.store import ResultStore
from skipbench.runner import run
from skipbench.runner.cell_run import CellRunner
from skipbench.runner.plan import Selection, make_plan
from skipbench.suite import load_suite
from skipbench.trainers.networks.recorder import CurveRecorder
from skipbench.trainers.networks.training import NetworkModule


def planned(tmp_path, method, checkpoints):
    path = tmp_path / "long.yaml"
    path.write_text(f"description: a test?\ndata: [{{name: iris, splits: [0], preprocess: [standardise]}}]\nmethods: [{method}]\n")
    store = ResultStore(tmp_path / "runs")
    return make_plan(load_suite(str(path)), Selection(), store, device="cpu", command="skipbench run", checkpoints=checkpoints)


def interrupted_in_epoch(monkeypatch, epoch):
    original = CurveRecorder.on_before_backward

    def stopping(self, trainer, *arguments):
        if trainer.current_epoch == epoch:
            monkeypatch.setattr(CurveRecorder, "on_before_backward", original)
            raise KeyboardInterrupt
        original(self, trainer, *arguments)

    monkeypatch.setattr(CurveRecorder, "on_before_backward", stopping)


def test_a_cell_of_a_killed_run_goes_on_in_the_middle_of_its_training(tmp_path, monkeypatch):
    method = "{network: {width: 8, epochs: 8, batch_size: 20, checkpoint_every: 3}}"
    ((whole,),) = planned(tmp_path, method, None).groups
    ((cell,),) = planned(tmp_path, method, tmp_path / "kept").groups
    assert cell.key == whole.key  # where checkpoints lie is no part of what is compared
    expected = CellRunner().run(whole)
    interrupted_in_epoch(monkeypatch, 5)
    with pytest.raises(KeyboardInterrupt):
        CellRunner().run(cell)
    assert [path.parent.name for path in tmp_path.rglob("*.ckpt")] == [cell.key]
    epochs = []
    original = NetworkModule.training_step
    monkeypatch.setattr(NetworkModule, "training_step", lambda self, *batch: epochs.append(self.current_epoch) or original(self, *batch))
    record = CellRunner().run(cell)
    assert set(epochs) == {3, 4, 5, 6, 7}
    assert (record.status, record.metrics, record.convergence) == ("ok", expected.metrics, expected.convergence)
    assert [(point.step, point.loss) for point in record.curve] == [(point.step, point.loss) for point in expected.curve]
    assert record.method == expected.method


@pytest.mark.skipif(sys.platform != "linux", reason="waits until the killed run's processes are gone, as Linux ends them")
def test_a_whole_run_that_was_killed_goes_on_in_the_middle_of_its_training(command, suite_file, tmp_path):
    method = "  - network: {width: 8, epochs: 100, batch_size: 20, evaluate_every: 10, checkpoint_every: 20}"
    suite_file("long", method, "{seconds_per_cell: 280}")  # much, as other work may share the machine
    assert command("run", "long.yaml", "--results", "whole").returncode == 0
    run = subprocess.Popen([sys.executable, "-m", "skipbench", "run", "long.yaml"], cwd=tmp_path, stdout=subprocess.DEVNULL)
    folder, deadline = tmp_path / "results" / "runs" / "long", time.monotonic() + 120
    while not (found := list(folder.rglob("*.ckpt"))) and time.monotonic() < deadline:
        time.sleep(0.02)
    workers = psutil.Process(run.pid).children(recursive=True)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []
    assert list(folder.glob("*.json")) == []
    saved = torch.load(io.BytesIO(found[0].read_bytes().partition(b"\n")[2]), weights_only=True)
    (kept,) = (state["curve"] for name, state in saved["callbacks"].items() if "CurveRecorder" in name)
    assert command("run", "long.yaml").returncode == 0
    (record,), (whole,) = (tuple(ResultStore(tmp_path / place).records()) for place in ("results/runs/long", "whole/long"))
    assert (record.status, record.reason) == ("ok", "")
    assert [point.model_dump() for point in record.curve[: len(kept)]] == kept  # its seconds are those of the run that was killed
    assert [(point.step, point.loss) for point in record.curve] == [(point.step, point.loss) for point in whole.curve]
    assert (record.metrics, record.convergence) == (whole.metrics, whole.convergence)
    assert list(folder.rglob("*.ckpt")) == []


def test_cells_with_candidates_keep_no_checkpoint_since_they_fit_more_than_once(tmp_path):
    method = "{network: {width: 8, epochs: [2, 3], batch_size: 20, checkpoint_every: 1, choose: [epochs]}}"
    ((cell,),) = planned(tmp_path, method, tmp_path / "kept").groups
    assert CellRunner().run(cell).status == "ok"
    assert not (tmp_path / "kept").exists()


def test_a_cell_that_asks_for_several_processes_is_told_that_it_has_one(tmp_path):
    ((cell,),) = planned(tmp_path, "{practical-network: {devices: auto}}", None).groups
    record = CellRunner().run(cell)
    assert record.status == "failed"
    assert "devices='auto', but a cell of a suite runs in one process on one device: leave it out" in record.reason


@pytest.mark.parametrize("others", [0, 1])
def test_a_cell_that_ended_leaves_no_checkpoint_and_others_keep_theirs(tmp_path, others):
    folder = tmp_path / "runs" / run.CHECKPOINTS
    plan = planned(tmp_path, "logistic-regression", folder)
    ((cell,),) = plan.groups
    assert cell.checkpoint_dir == folder / cell.key
    kept = [folder / cell.key, *(folder / f"{number}" for number in range(others))]
    for place in kept:
        place.mkdir(parents=True)
        (place / "training.ckpt").write_text("some epochs")

    class Executor:
        running = ()

        def run(self, groups):
            yield cell.blank

    run._compute(plan, ResultStore(tmp_path / "runs"), Executor(), 1, Console(file=io.StringIO()))
    assert sorted(tmp_path.rglob("*.ckpt")) == sorted(place / "training.ckpt" for place in kept[1:])
    assert folder.exists() == bool(others)
