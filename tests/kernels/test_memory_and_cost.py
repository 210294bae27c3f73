"""Kernel matrices computed once for several methods, and what they are predicted to take."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from sklearn.base import clone

from skipbench.architecture import ResCNN, ResMLP
from skipbench.kernels import KernelMemory, cost, kernel_matrices
from skipbench.kernels.cost import kernel_cost


def test_the_same_matrices_are_computed_once_and_others_are_not_confused():
    memory, x = KernelMemory(), np.random.default_rng(0).normal(size=(5, 3))
    first = memory.kernel_matrices(ResMLP(2), x)
    again = memory.kernel_matrices(ResMLP(2), x.copy())
    assert (memory.hits, memory.misses) == (1, 1)
    assert first[1] is again[1]
    assert memory.seconds_spared == 0  # one consumer that asks twice is spared nothing
    memory.new_consumer()
    memory.kernel_matrices(ResMLP(2), x)
    spared = memory.seconds_spared
    assert spared > 0
    memory.kernel_matrices(ResMLP(2), x)
    assert memory.seconds_spared == spared
    for others in ((ResMLP(3), x), (ResMLP(2), x + 1), (ResMLP(2), x, x)):
        for found, truth in zip(memory.kernel_matrices(*others), kernel_matrices(*others), strict=True):
            assert torch.equal(found, truth)
    assert memory.misses == 4


def test_the_oldest_matrices_make_room_when_the_capacity_is_reached():
    memory, x = KernelMemory(capacity_bytes=2 * 5 * 5 * 8), np.random.default_rng(0).normal(size=(5, 3))
    for arch in (ResMLP(1), ResMLP(2), ResMLP(1)):
        memory.kernel_matrices(arch, x)
    assert (memory.hits, memory.misses) == (0, 3)


def test_clones_and_copies_share_the_memory():
    memory = KernelMemory()
    assert copy.deepcopy(memory) is memory
    assert clone(memory, safe=False) is memory


@pytest.mark.parametrize(("arch", "shape", "computed"), [(ResMLP(3), (20,), 100 * 100), (ResCNN(2, readout="tr"), (1, 8, 8), 100 * 58)])
def test_the_predicted_time_follows_the_pairs_and_the_memory_both_matrices(arch, shape, computed):
    """computed: entries of the Gram matrix that an engine computes, whole vectors or blocks around the diagonal."""
    gram, cross = kernel_cost(arch, shape, 100), kernel_cost(arch, shape, 100, 30)
    assert gram.seconds > 0
    assert cross.seconds / gram.seconds == pytest.approx(100 * 30 / computed)
    assert gram.bytes == 2 * 100 * 100 * 8
    assert cross.bytes == 2 * 100 * 30 * 8
    assert kernel_cost(arch, shape, 100, dtype=torch.float32).bytes == gram.bytes // 2


def test_several_depths_cost_their_memory_each_and_are_timed_in_one_pass(monkeypatch):
    timed = []
    monkeypatch.setattr(
        cost, "kernel_matrices", lambda *rows, **settings: timed.append(settings["depths"]) or kernel_matrices(*rows, **settings)
    )
    one, four = kernel_cost(ResMLP(8), (20,), 100), kernel_cost(ResMLP(8), (20,), 100, depths=[8, 7, 6, 5])
    assert four.bytes == 4 * one.bytes
    assert [8, 7, 6, 5] in [list(depths) for depths in timed if depths is not None]  # one call for all of them, whose time it is
