"""The memory of a training is known before anything large is made."""

from __future__ import annotations

import pickle
import time

import numpy as np
import pytest
import torch

from skipbench.architecture import CNN, MLP, DenseMLP, ResCNN, ResMLP
from skipbench.checks import SkipbenchError
from skipbench.runner import cell_run
from skipbench.trainers import LinearisedClassifier, NetworkClassifier, build_network
from skipbench.trainers.networks import memory_need
from skipbench.trainers.networks.memory_need import NetworkTooLargeError, network_size

X, y = np.random.default_rng(0).normal(size=(20, 5)), np.arange(20) % 2


@pytest.mark.parametrize(
    "arch", [MLP(depth=3, bias=0.2), ResMLP(depth=2, train_ends=False), DenseMLP(depth=3), CNN(depth=2), ResCNN(depth=1, readout="tr")]
)
def test_three_narrow_networks_tell_the_size_of_any(arch):
    shape = (2, 5, 4) if arch.is_convolutional else (5,)

    def build(width):
        return build_network(arch, width=width, input_shape=shape, outputs=3)

    size = network_size(build, 13, shape)
    parameters = list(build(13).parameters())
    assert size.parameters == sum(4 * parameter.numel() for parameter in parameters)
    assert size.trainable == sum(4 * parameter.numel() for parameter in parameters if parameter.requires_grad)
    exact = memory_need._measured(build(13), shape)
    assert (size.kept, size.kept_by_row) == exact[2:]
    assert size.kept_by_row > 0


def test_what_a_pass_keeps_is_what_it_computes_between_layers():
    size = network_size(lambda width: build_network(MLP(depth=2), width=width, input_shape=(5,), outputs=3), 100, (5,))
    assert size.kept_by_row == 4 * (100 + 100)  # what both ReLUs pass on, in float32
    assert size.training_bytes(10, momentum=True, copies=3) == 3 * size.parameters + 2 * size.trainable + size.kept + 8000
    assert size.training_bytes(10, momentum=False, copies=2) == 2 * size.parameters + size.trainable + size.kept + 8000


@pytest.mark.parametrize("made", [NetworkClassifier, LinearisedClassifier])
def test_a_width_that_cannot_fit_is_refused_at_once_with_what_to_do(made):
    started = time.perf_counter()
    message = rf"{made.__name__}: width=10000000 with 20 rows in a batch.*GiB are free on cpu: use a smaller width"
    with pytest.raises(NetworkTooLargeError, match=message):
        made(width=10**7, epochs=1).fit(X, y)
    assert time.perf_counter() - started < 5.0  # nothing of that width was built


def test_a_batch_size_lowers_the_need(monkeypatch):
    images, labels = np.zeros((2000, 1, 16, 16), dtype=np.float32), np.arange(2000) % 2
    monkeypatch.setattr(memory_need, "available_bytes", lambda device: 2**28)
    with pytest.raises(NetworkTooLargeError, match="or a batch_size below 2000"):
        NetworkClassifier(CNN(depth=3), width=64, epochs=1, learning_rate=0.1).fit(images, labels)
    small = NetworkClassifier(CNN(depth=1), width=2, epochs=1, batch_size=8, learning_rate=0.1).fit(images[:16], labels[:16])
    assert small.n_epochs_ == 1


def test_it_is_a_memory_error_that_passes_between_processes():
    error = NetworkTooLargeError("too wide")
    assert isinstance(error, MemoryError)
    assert cell_run._status_of(error) == "oom"  # the record's status
    assert isinstance(error, SkipbenchError)
    assert str(pickle.loads(pickle.dumps(error))) == "too wide"


def test_free_memory_is_asked_of_the_device():
    assert 0 < memory_need.available_bytes(torch.device("cpu")) < 2**60
