"""What training leaves alone: the clock during evaluation, log levels, generators, files, the terminal, and Ctrl-C."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
import torch

from skipbench.trainers import NetworkClassifier
from skipbench.trainers.networks import recorder
from skipbench.trainers.networks.outcome import TrainingDiverged
from skipbench.trainers.networks.training import NetworkModule, quiet_lightning

rng = np.random.default_rng(0)
X, y = rng.normal(size=(40, 5)), np.arange(40) % 3
X_val, y_val = rng.normal(size=(20, 5)), np.arange(20) % 3


def test_the_clock_of_training_stands_still_during_evaluation(monkeypatch):
    NetworkClassifier(width=8, epochs=1).fit(X, y)  # whatever is slow the first time
    original = recorder.network_outputs

    def slow(network, samples):
        time.sleep(0.05)
        return original(network, samples)

    monkeypatch.setattr(recorder, "network_outputs", slow)
    started = time.perf_counter()
    classifier = NetworkClassifier(width=8, epochs=6, evaluate_every=1, batch_size=20).fit(X, y, X_val, y_val)
    phases, curve = classifier.measurements_["phases"], classifier.measurements_["curve"]
    elapsed = time.perf_counter() - started
    assert set(phases) == {"set_up", "train", "evaluate"}
    assert phases["evaluate"] >= 7 * 2 * 0.05
    assert phases["train"] <= elapsed - 7 * 2 * 0.05
    seconds = [point.seconds for point in curve]
    assert seconds == sorted(seconds)
    assert seconds[-1] <= phases["train"]


def test_where_losses_are_read_seldom_a_divergence_is_found_late_but_told_the_same(monkeypatch):
    def diverged(per_check):
        monkeypatch.setitem(recorder.STEPS_PER_CHECK, "cpu", per_check)
        n_read.clear()
        with pytest.raises(TrainingDiverged) as caught:
            NetworkClassifier(width=16, learning_rate=1e4, batch_size=4, epochs=9, evaluate_every=4).fit(X, y)
        return str(caught.value), caught.value.step, [(point.step, point.loss) for point in caught.value.curve]

    n_read: list[int] = []
    check = recorder.CurveRecorder._check_steps
    monkeypatch.setattr(recorder.CurveRecorder, "_check_steps", lambda self: (n_read.append(len(self._unchecked)), check(self))[1])
    at_once = diverged(1)
    assert at_once[1] == n_read.count(1) - 1  # steps count from 0; the last one read is the one that diverged
    assert diverged(7) == at_once
    assert max(n_read) == 7
    assert diverged(1000) == at_once  # at the latest when the next epoch is evaluated
    assert max(n_read) == 40


def test_nothing_is_written_printed_warned_or_left_changed(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    levels = {name: logging.getLogger(name).level for name in ("pytorch_lightning", "lightning_fabric")}
    torch.manual_seed(3)
    np.random.seed(3)
    torch_state, numpy_state, default_type = torch.get_rng_state(), np.random.get_state()[1].copy(), torch.get_default_dtype()
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        NetworkClassifier(width=8, epochs=3, batch_size=8, dtype="float64").fit(X, y, X_val, y_val)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert levels == {name: logging.getLogger(name).level for name in levels}
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)
    assert torch.get_default_dtype() == default_type
    assert not torch.are_deterministic_algorithms_enabled()
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


def test_log_levels_come_back_after_an_error_too():
    logger = logging.getLogger("pytorch_lightning")
    before = logger.level
    with quiet_lightning():
        assert not logger.isEnabledFor(logging.WARNING)
    with pytest.raises(ZeroDivisionError), quiet_lightning():
        raise ZeroDivisionError
    assert logger.level == before


def test_ctrl_c_is_a_keyboard_interrupt_and_can_be_pressed_again(monkeypatch):
    handler = signal.getsignal(signal.SIGINT)

    def interrupted(self, batch, batch_index):
        raise KeyboardInterrupt

    monkeypatch.setattr(NetworkModule, "training_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        NetworkClassifier(width=8, epochs=3).fit(X, y)
    assert signal.getsignal(signal.SIGINT) is handler


def test_importing_the_classifier_does_not_import_lightning():
    code = "import sys, skipbench.trainers.networks; print('pytorch_lightning' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_it_trains_inside_a_batch_systems_job(monkeypatch):
    for name, value in {"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "suite", "SLURM_PROCID": "1", "SLURM_LOCALID": "1"}.items():
        monkeypatch.setenv(name, value)
    assert NetworkClassifier(width=8, epochs=2).fit(X, y).n_epochs_ == 2
