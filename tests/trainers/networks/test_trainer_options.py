"""Precision, processes and compilation: what reaches Lightning's Trainer, what it changes, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from skipbench.checks import SkipbenchError
from skipbench.trainers import PracticalClassifier
from skipbench.trainers.networks import trainer_options, training
from skipbench.trainers.networks.trainer_options import TrainerOptions

SMALL = {"width": 4, "epochs": 3, "batch_size": 10}
rng = np.random.default_rng(0)
X, y = rng.normal(size=(41, 2, 8, 7)).astype(np.float32), np.arange(41) % 3


def weights(classifier):
    return torch.cat([value.flatten().double() for value in classifier.network_.state_dict().values()])


@pytest.fixture
def gpus(monkeypatch):
    def pretend(count: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return pretend


@pytest.fixture
def given_to_trainer(monkeypatch):
    """What the next Trainer is given; it trains on one CPU in full precision all the same."""
    seen = {}

    class Watched(pl.Trainer):
        def __init__(self, **arguments):
            seen.update(arguments)
            super().__init__(**{**arguments, "accelerator": "cpu", "devices": 1, "strategy": "auto", "precision": "32-true"})

    monkeypatch.setattr(training.pl, "Trainer", Watched)
    return seen


@pytest.fixture
def process_group(monkeypatch):
    """Takes back what "ddp" leaves in this process."""
    for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.setenv(name, "")  # so that monkeypatch knows the state before
        monkeypatch.delenv(name)
    yield
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def test_the_trainer_gets_what_was_asked_for(given_to_trainer):
    PracticalClassifier(precision="bf16-mixed", strategy="ddp", **SMALL).fit(X, y)
    expected = {"accelerator": "cpu", "devices": 1, "strategy": "ddp", "precision": "bf16-mixed"}
    assert {name: given_to_trainer[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("parameters", "accelerator", "devices", "strategy"),
    [
        ({"device": "cuda"}, "gpu", [0], "auto"),
        ({"device": "cuda:1", "strategy": "ddp"}, "gpu", [1], "ddp"),
        ({"device": "cuda", "devices": 2}, "gpu", 2, "ddp"),
        ({"device": "auto", "devices": "auto", "precision": "16-mixed"}, "gpu", 3, "ddp"),
        ({"device": "cuda:2", "devices": "auto"}, "gpu", [2], "auto"),
        ({"device": "cpu", "devices": "auto"}, "cpu", 1, "auto"),
    ],
)
def test_gpus_are_named_for_the_trainer(gpus, parameters, accelerator, devices, strategy):
    gpus(3)
    classifier = PracticalClassifier(**parameters)
    found = TrainerOptions.of(classifier).trainer_arguments(torch.device(parameters["device"].replace("auto", "cuda")))
    assert found == {"accelerator": accelerator, "devices": devices, "strategy": strategy, "precision": classifier.precision}


def test_one_process_under_ddp_trains_to_the_same_bits(process_group):
    assert torch.equal(weights(PracticalClassifier(strategy="ddp", **SMALL).fit(X, y)), weights(PracticalClassifier(**SMALL).fit(X, y)))


TWO_PROCESSES = """
import hashlib, json
import numpy as np
from skipbench.trainers import PracticalClassifier
from skipbench.trainers.networks import slices

rows = []
original = slices.SlicingLoader._shared
slices.SlicingLoader._shared = lambda self, batch: rows.append(len(original(self, batch).labels)) or original(self, batch)
rng = np.random.default_rng(0)
X, y = rng.normal(size=(41, 2, 8, 7)).astype(np.float32), np.arange(41) % 3
classifier = PracticalClassifier(width=4, epochs=3, batch_size=10, devices=2).fit(X, y, X[:9], y[:9])
state = b"".join(value.numpy().tobytes() for value in classifier.network_.state_dict().values())
curve = [point.loss for point in classifier.measurements_["curve"]]
print(json.dumps([rows, classifier.best_epoch_, curve, hashlib.sha256(state).hexdigest()]), flush=True)
"""


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two cores: each process has one")
def test_two_processes_share_every_batch_and_end_with_one_network(tmp_path):
    script = tmp_path / "two.py"
    script.write_text(TWO_PROCESSES)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (rows, *trained), (other_rows, *also_trained) = sorted(json.loads(line) for line in done.stdout.splitlines())
    assert trained == also_trained
    assert (rows, other_rows) == ([5, 5, 5, 5] * 3, [5, 5, 5, 6] * 3)  # 41 rows: batches of 10, 10, 10 and 11, halved


def test_mixed_precision_changes_the_steps_a_little_and_evaluates_in_full(monkeypatch):
    full, mixed = (PracticalClassifier(precision=precision, **SMALL).fit(X, y) for precision in ("32-true", "bf16-mixed"))
    assert not torch.equal(weights(full), weights(mixed))
    first, also = (classifier.measurements_["curve"][0] for classifier in (full, mixed))
    assert first.loss == also.loss  # before the first step nothing is mixed
    assert mixed.measurements_["curve"][-1].loss == pytest.approx(full.measurements_["curve"][-1].loss, rel=0.2)  # 8 bits a number
    assert all(parameter.dtype == torch.float32 for parameter in mixed.network_.parameters())


def test_divergence_is_judged_by_the_loss_and_not_by_what_float16_scales(monkeypatch):
    def training_step(self, batch, batch_index):
        return 65536.0 * original(self, batch, batch_index) * 0.0 + 65536.0  # what Lightning would give the hooks; no step is taken by it

    original = training.NetworkModule.training_step
    monkeypatch.setattr(training.NetworkModule, "training_step", training_step)
    PracticalClassifier(**SMALL).fit(X, y)  # 65536 is beyond 10^4 times the loss at the start


def test_compilation_takes_the_training_step_only(monkeypatch):
    compiled = []

    def fake(function):
        compiled.append(function)
        return lambda inputs: function(inputs)

    monkeypatch.setattr(torch, "compile", fake)  # the real one takes a minute
    classifier = PracticalClassifier(compile=True, **SMALL).fit(X, y)
    assert [function.__self__ for function in compiled] == [classifier.network_]
    assert torch.equal(weights(classifier), weights(PracticalClassifier(**SMALL).fit(X, y)))
    assert len(compiled) == 1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"precision": "bf16"}, r"Classifier: precision='bf16', but it is one of: 32-true, bf16-mixed, 16-mixed$"),
        ({"precision": 32}, r"precision=32, but it is one of"),
        ({"precision": "16-mixed"}, r"precision='16-mixed', but Lightning has no float16 on the CPU: use 'bf16-mixed'"),
        ({"precision": "bf16-mixed", "dtype": "float64"}, r"mixed precision works beside dtype='float32', not 'float64'"),
        ({"strategy": "fsdp"}, r"strategy='fsdp', but it is one of: auto, ddp$"),
        ({"devices": 0}, r"devices=0, but it counts GPUs, or processes on the CPU: use a whole number of at least 1, or 'auto'"),
        ({"devices": True}, r"devices=True, but it counts"),
        ({"devices": "two"}, r"devices='two', but it counts"),
        ({"devices": 5}, r"devices=5, but this machine has 4 cores for device='cpu'"),
        ({"device": "cuda", "devices": 3}, r"devices=3, but this machine has 2 GPUs for device='cuda'"),
        ({"device": "cuda:1", "devices": 2}, r"devices=2, but device='cuda:1' names one GPU: use device='cuda' for the first 2"),
        ({"compile": 1}, r"compile=1, but it is either True or False"),
    ],
)
def test_what_no_trainer_could_do_is_refused_before_training(gpus, monkeypatch, parameters, message):
    gpus(2)
    monkeypatch.setattr(trainer_options.os, "cpu_count", lambda: 4)
    with pytest.raises(SkipbenchError, match=message):
        PracticalClassifier(**parameters).check_parameters()
    with pytest.raises(SkipbenchError, match=message):
        PracticalClassifier(**parameters).fit(X, y)
