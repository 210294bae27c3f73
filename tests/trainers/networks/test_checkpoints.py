"""Checkpoints: a killed training ends as if it had not been, files of other trainings and damaged ones are refused, nothing is lost."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from skipbench.architecture import ResMLP
from skipbench.checks import SkipbenchError, TamperedDataError
from skipbench.clock import Clock
from skipbench.trainers import NetworkClassifier, PracticalClassifier, TrainingDiverged
from skipbench.trainers.networks import checkpoints, training
from skipbench.trainers.networks.recorder import CurveRecorder

PRACTICAL = {"width": 4, "epochs": 9, "batch_size": 8, "augment": True}
DATA = """
import numpy as np
rng = np.random.default_rng(0)
X, y = rng.normal(size=(41, 2, 8, 7)).astype(np.float32), np.arange(41) % 3
X_val, y_val = rng.normal(size=(9, 2, 8, 7)).astype(np.float32), np.arange(9) % 3
"""
KILLED = (
    DATA
    + """
import os, signal, sys, torch
from skipbench.trainers import PracticalClassifier
from skipbench.trainers.networks.training import NetworkModule

torch.set_num_threads(int(sys.argv[3]))
counted = {"training_step": 0, "fsync": 0}

def killing(place, name, calls):
    original = getattr(place, name)
    def counting(*arguments):
        counted[name] += 1
        if counted[name] == calls:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments)
    setattr(place, name, counting)

if sys.argv[2] == "step":
    killing(NetworkModule, "training_step", 33)  # in the middle of the seventh epoch of five steps
else:
    killing(os, "fsync", 2)  # the second checkpoint is being written
PracticalClassifier(checkpoint_dir=sys.argv[1], checkpoint_every=2, width=4, epochs=9, batch_size=8, augment=True).fit(X, y, X_val, y_val)
"""
)
rng = np.random.default_rng(0)
X, y = rng.normal(size=(41, 2, 8, 7)).astype(np.float32), np.arange(41) % 3
X_val, y_val = rng.normal(size=(9, 2, 8, 7)).astype(np.float32), np.arange(9) % 3


class StoppedError(Exception):
    """Stands for a kill where that would end the tests."""


def stop_at(monkeypatch, epoch):
    """Let the next training stop in the middle of an epoch."""
    original = CurveRecorder.on_before_backward

    def stopping(self, trainer, *arguments):
        if trainer.current_epoch == epoch:
            monkeypatch.setattr(CurveRecorder, "on_before_backward", original)
            raise StoppedError
        original(self, trainer, *arguments)

    monkeypatch.setattr(CurveRecorder, "on_before_backward", stopping)


def same_training(first, second):
    weights = [[value.numpy().tobytes() for value in classifier.network_.state_dict().values()] for classifier in (first, second)]
    curves = [[point.model_copy(update={"seconds": 0.0}) for point in each.measurements_["curve"]] for each in (first, second)]
    counts = [(each.best_epoch_, each.n_epochs_, each.learning_rate_) for each in (first, second)]
    return weights[0] == weights[1] and curves[0] == curves[1] and counts[0] == counts[1]


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """A folder with the checkpoint of a training that was stopped in its fifth epoch."""
    stop_at(monkeypatch, 5)
    with pytest.raises(StoppedError):
        PracticalClassifier(checkpoint_dir=str(tmp_path), checkpoint_every=2, **PRACTICAL).fit(X, y, X_val, y_val)
    return tmp_path


@pytest.fixture(scope="module")
def uninterrupted():
    return PracticalClassifier(**PRACTICAL).fit(X, y, X_val, y_val)


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
@pytest.mark.parametrize(("moment", "epochs_kept"), [("step", 6), ("write", 2)])
def test_a_killed_training_ends_to_the_last_bit_as_one_that_was_not(tmp_path, uninterrupted, moment, epochs_kept):
    threads = str(torch.get_num_threads())
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), moment, threads], capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert checkpoints.FILE_NAME in [path.name for path in tmp_path.iterdir()]
    resumed, steps = fit_and_count(PracticalClassifier(checkpoint_dir=str(tmp_path), checkpoint_every=2, **PRACTICAL))
    assert steps == 5 * (9 - epochs_kept)  # it did go on, and did not begin anew
    assert same_training(resumed, uninterrupted)
    assert list(tmp_path.iterdir()) == []


def fit_and_count(classifier):
    """The fitted classifier, and how many steps its training took."""
    original, steps = training.NetworkModule.training_step, []

    def counting(module, *arguments):
        steps.append(1)
        return original(module, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.NetworkModule, "training_step", counting)
        return classifier.fit(X, y, X_val, y_val), len(steps)


@pytest.mark.parametrize("epoch", [1, 2, 7])
@pytest.mark.parametrize(
    "settings",
    [
        {"batch_size": 8, "momentum": 0.5},
        {"patience": 3},
        {"target_reduction": 0.3},
        {"loss": "cross_entropy", "evaluate_every": 4},
        {"tangent_rows": 5, "compare_with_kernel": True},
    ],
)
def test_a_twin_goes_on_to_the_same_end(tmp_path, monkeypatch, settings, epoch):
    rows, validation = (X.reshape(len(X), -1), y), (X_val.reshape(len(X_val), -1), y_val)
    given = {"width": 8, "epochs": 12, **settings}
    whole = NetworkClassifier(**given).fit(*rows, *validation)
    given |= {"checkpoint_dir": str(tmp_path), "checkpoint_every": 1}
    if epoch < whole.n_epochs_:
        stop_at(monkeypatch, epoch)
        with pytest.raises(StoppedError):
            NetworkClassifier(**given).fit(*rows, *validation)
    resumed = NetworkClassifier(**given).fit(*rows, *validation)
    assert same_training(resumed, whole)
    for name in ("convergence", "tangent_kernel", "kernel_comparison"):
        assert resumed.measurements_.get(name) == whole.measurements_.get(name)


def test_seconds_go_on_and_writing_is_outside_the_clock_of_training(interrupted):
    resumed = PracticalClassifier(checkpoint_dir=str(interrupted), **PRACTICAL).fit(X, y, X_val, y_val)
    phases, curve = resumed.measurements_["phases"], resumed.measurements_["curve"]
    assert set(phases) == {"set_up", "train", "evaluate", "checkpoint"}
    seconds = [point.seconds for point in curve]
    assert seconds == sorted(seconds)
    assert seconds[-1] <= phases["train"]


@pytest.mark.parametrize(
    ("changes", "rows", "part"),
    [
        ({"width": 5}, 41, "parameters"),
        ({"residual": False}, 41, "parameters"),
        ({"seed": 1}, 41, "network"),
        ({"learning_rate": 0.05}, 41, "parameters"),
        ({}, 40, "data"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused_with_both_fingerprints_and_stays(interrupted, uninterrupted, changes, rows, part):
    file = interrupted / checkpoints.FILE_NAME
    before = file.read_bytes()
    other = PracticalClassifier(checkpoint_dir=str(interrupted), **{**PRACTICAL, **changes})
    message = (
        rf"training\.ckpt'? is of another training \(.*{part}: [0-9a-f]{{12}}\.\.\. there, [0-9a-f]{{12}}\.\.\. here.*a folder of its own"
    )
    with pytest.raises(SkipbenchError, match=message):
        other.fit(X[:rows], y[:rows], X_val, y_val)
    assert file.read_bytes() == before
    right = PracticalClassifier(checkpoint_dir=str(interrupted), **PRACTICAL).fit(X, y, X_val, y_val)
    assert same_training(right, uninterrupted)


def test_other_software_is_named_in_words(interrupted, monkeypatch):
    monkeypatch.setattr(checkpoints.importlib.metadata, "version", lambda name: "99.1")
    with pytest.raises(SkipbenchError, match=r"software: skipbench \d.* there, skipbench 99\.1, torch 99\.1, pytorch-lightning 99\.1 here"):
        PracticalClassifier(checkpoint_dir=str(interrupted), **PRACTICAL).fit(X, y, X_val, y_val)


def damaged(content, how):
    line, _, rest = content.partition(b"\n")
    changed = bytearray(content)
    changed[-100] ^= 1
    return {
        "truncated": content[:-1000],
        "one bit": bytes(changed),
        "empty": b"",
        "no seal": rest,
        "half a seal": line[:20],
        "a list": b"[]\n" + rest,
        "a later format": json.dumps({**json.loads(line), "format": 2}).encode() + b"\n" + rest,
    }[how]


@pytest.mark.parametrize("how", ["truncated", "one bit", "empty", "no seal", "half a seal", "a list", "a later format"])
def test_a_damaged_checkpoint_is_refused_and_stays(interrupted, how):
    file = interrupted / checkpoints.FILE_NAME
    content = damaged(file.read_bytes(), how)
    file.write_bytes(content)
    with pytest.raises(TamperedDataError, match=r"training\.ckpt'? is damaged \(.*Remove it to train from the start"):
        PracticalClassifier(checkpoint_dir=str(interrupted), **PRACTICAL).fit(X, y, X_val, y_val)
    assert file.read_bytes() == content


class Harmful:
    """What a pickle would call when it is read."""

    def __reduce__(self):
        return (pytest.fail, ("code in a checkpoint was run",))


def test_a_sealed_file_that_carries_code_is_not_run(interrupted):
    file = interrupted / checkpoints.FILE_NAME
    own = json.loads(file.read_bytes().partition(b"\n")[0])["training"]
    checkpoints.SealedFiles(own).save_checkpoint({"state_dict": Harmful()}, file)
    with pytest.raises(TamperedDataError, match=r"is damaged \(it holds more than tensors and numbers"):
        PracticalClassifier(checkpoint_dir=str(interrupted), **PRACTICAL).fit(X, y, X_val, y_val)


def test_a_short_training_writes_nothing_and_one_that_diverged_leaves_nothing(tmp_path):
    PracticalClassifier(checkpoint_dir=str(tmp_path / "new"), **PRACTICAL).fit(X, y)
    assert list(tmp_path.iterdir()) == []
    rows = X.reshape(len(X), -1)
    with pytest.raises(TrainingDiverged):
        NetworkClassifier(width=8, learning_rate=1e3, epochs=50, checkpoint_dir=str(tmp_path / "new"), checkpoint_every=1).fit(rows, y)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_disk_that_is_full_is_said_and_training_goes_on(tmp_path, monkeypatch, uninterrupted):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.os, "fsync", full)
    with pytest.warns(UserWarning, match=r"no checkpoint was written \(No space left on device\); training goes on"):
        classifier = PracticalClassifier(checkpoint_dir=str(tmp_path), checkpoint_every=3, **PRACTICAL).fit(X, y, X_val, y_val)
    assert same_training(classifier, uninterrupted)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"checkpoint_dir": 3}, r"Classifier: checkpoint_dir=3, but it is the name of a folder, or None"),
        ({"checkpoint_dir": ""}, r"checkpoint_dir='', but it is the name of a folder"),
        ({"checkpoint_every": 0}, r"checkpoint_every=0, but it counts the epochs between checkpoints: use a whole number"),
    ],
)
@pytest.mark.parametrize("kind", [PracticalClassifier, NetworkClassifier])
def test_what_names_no_folder_or_number_of_epochs_is_refused(kind, parameters, message):
    with pytest.raises(SkipbenchError, match=message):
        kind(**parameters).check_parameters()


def test_a_folder_that_cannot_be_made_is_refused_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SkipbenchError, match=r"checkpoint_dir='.* cannot be used \('.*file' is no folder\): give a folder in which files"):
        PracticalClassifier(checkpoint_dir=str(tmp_path / "file" / "below"), **PRACTICAL).fit(X, y)


def test_a_fingerprint_sees_every_weight_row_and_label_but_no_running_average():
    network = NetworkClassifier(ResMLP(depth=1), width=3, epochs=1).fit(X[:6].reshape(6, -1), y[:6]).network_
    samples = training.Samples(torch.zeros(4, 3), torch.zeros(4, 2), torch.zeros(4, dtype=torch.long))
    base = checkpoints.fingerprint({"a": 1}, network, samples, None)
    assert checkpoints.fingerprint({"a": 1}, network, samples, None) == base
    with torch.no_grad():
        next(network.parameters()).flatten()[0] += 1e-6
    assert differing(base, checkpoints.fingerprint({"a": 1}, network, samples, None)) == {"network"}
    base = checkpoints.fingerprint({"a": 1}, network, samples, None)
    assert differing(base, checkpoints.fingerprint({"a": 2}, network, samples, None)) == {"parameters"}
    assert differing(base, checkpoints.fingerprint({"a": 1}, network, samples, samples)) == {"data"}
    assert differing(base, checkpoints.fingerprint({"a": 1}, network, samples._replace(labels=samples.labels + 1), None)) == {"data"}
    normalised = torch.nn.BatchNorm1d(3)
    before = checkpoints.fingerprint({}, normalised, samples, None)
    normalised(torch.ones(4, 3))
    assert checkpoints.fingerprint({}, normalised, samples, None) == before


def differing(first, second):
    return {part for part in first if first[part] != second[part]}


def test_a_clock_adds_seconds_from_before():
    clock = Clock()
    clock.add("train", 2.0)
    clock.add("train", 0.5)
    assert clock.seconds == {"train": 2.5}
