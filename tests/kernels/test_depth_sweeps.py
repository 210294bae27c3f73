"""What a pass to a deep network computes on its way, and that a memory which expects a sweep asks for each input only once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from skipbench.architecture import CNN, MLP, DenseMLP, ResCNN, ResMLP
from skipbench.checks import SkipbenchError
from skipbench.kernels import KernelMemory, kernel_matrices
from skipbench.kernels import memory as memory_module
from skipbench.kernels.depth_sweeps import on_the_way, sweep_key
from skipbench.kernels.memory import fitting_pairs

DEPTHS = (7, 5, 2, 1)
PAIR_BYTES = 2 * 6 * 6 * 8  # of six inputs


@pytest.fixture
def passes(monkeypatch):
    """The depths of every call that the memory makes."""
    asked = []

    def counted(arch, x, z=None, *, depths, **how):
        asked.append(list(depths))
        return kernel_matrices(arch, x, z, depths=depths, **how)

    monkeypatch.setattr(memory_module, "kernel_matrices", counted)
    return asked


def vectors(n=6):
    return np.random.default_rng(0).normal(size=(n, 3))


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (MLP(2), MLP(9), True),
        (ResMLP(2, alpha=0.5), ResMLP(9, alpha=0.5), True),
        (ResMLP(2, alpha=0.5), ResMLP(9, alpha=0.25), False),
        (ResMLP(2, alpha="L^-0.5"), ResMLP(9, alpha="L^-0.5"), False),
        (ResMLP(4, alpha="L^-0.5"), ResMLP(4, alpha=0.5), True),  # one α at one depth: one kernel
        (ResCNN(2, readout="tr"), ResCNN(9, readout="tr"), True),
        (ResCNN(2, readout="tr"), ResCNN(9, readout="eq"), False),
        (MLP(2), DenseMLP(2), False),
        (CNN(2, bias=0.1), CNN(3), False),
    ],
)
def test_a_sweep_holds_what_differs_in_depth_only_and_has_one_alpha(one, other, is_same):
    assert (sweep_key(one) == sweep_key(other)) == is_same


def test_only_shallower_members_of_the_sweep_are_on_the_way_and_each_once():
    others = [ResMLP(9), ResMLP(3), MLP(2), ResMLP(2, bias=0.1), ResMLP(3), ResMLP(5), ResMLP(1, alpha="L^-1")]
    assert on_the_way(ResMLP(5), others) == (ResMLP(3), ResMLP(1, alpha="L^-1"))


def test_nothing_is_on_the_way_of_an_engine_that_computes_each_depth_by_itself():
    assert on_the_way(ResMLP(5), [ResMLP(3)], engine="reference") == ()
    assert on_the_way(ResMLP(5), [ResMLP(3)], engine="fused") == (ResMLP(3),)
    with pytest.raises(SkipbenchError, match="no engine"):
        on_the_way(ResMLP(5), [], engine="fuzed")


@pytest.mark.parametrize("arch", [MLP(1), ResMLP(1, alpha=0.5), DenseMLP(1), ResCNN(1, readout="eq")], ids=lambda arch: arch.label)
def test_a_sweep_asks_for_every_pair_of_inputs_once_and_has_the_bits_of_single_calls(passes, arch):
    shape = (3, 5, 5) if arch.is_convolutional else (4,)
    x, z = np.random.default_rng(0).normal(size=(6, *shape)), np.random.default_rng(1).normal(size=(3, *shape))
    memory, archs = KernelMemory(), [replace(arch, depth=depth) for depth in DEPTHS]
    for place, each in enumerate(archs):
        memory.expect(archs[place:])
        for inputs in ((x,), (z, x)):
            for found, truth in zip(memory.kernel_matrices(each, *inputs), kernel_matrices(each, *inputs), strict=True):
                assert torch.equal(found, truth)
    assert passes == [list(DEPTHS)] * 2
    assert (memory.misses, memory.hits) == (2, 2 * len(DEPTHS) - 2)


@pytest.mark.parametrize("readout", ["tr", "gap"])
def test_means_over_pixels_agree_with_single_calls_to_rounding(readout):
    x, archs = np.random.default_rng(0).normal(size=(5, 2, 5, 3)), [ResCNN(depth, readout=readout) for depth in DEPTHS]
    memory = KernelMemory()
    memory.expect(archs)
    for arch in archs:
        for found, truth in zip(memory.kernel_matrices(arch, x), kernel_matrices(arch, x), strict=True):
            scale = torch.sqrt(torch.outer(truth.diagonal(), truth.diagonal()))
            assert ((found - truth).abs() / scale).max() < 1e-14  # some tens of roundings of 1e-16
    assert memory.misses == 1


def test_a_request_never_computes_a_deeper_network(passes):
    memory, x = KernelMemory(), vectors()
    memory.expect([ResMLP(2), ResMLP(5), ResMLP(1)])
    memory.kernel_matrices(ResMLP(2), x)
    memory.kernel_matrices(ResMLP(5), x)
    assert passes == [[2, 1], [5]]


def test_what_was_not_announced_and_what_is_announced_no_more_is_computed_alone(passes):
    memory, x = KernelMemory(), vectors()
    memory.expect([ResMLP(5), ResMLP(1)])
    memory.kernel_matrices(ResMLP(7), x)
    memory.expect([ResMLP(5)])
    memory.kernel_matrices(ResMLP(5), x)
    assert passes == [[7], [5]]


def test_depths_that_are_there_are_not_computed_again(passes):
    memory, x = KernelMemory(), vectors()
    memory.kernel_matrices(ResMLP(2), x)
    memory.expect([ResMLP(5), ResMLP(2), ResMLP(1)])
    memory.kernel_matrices(ResMLP(5), x)
    assert passes == [[2], [5, 1]]


def test_a_depth_rule_leaves_every_depth_to_itself(passes):
    memory, archs = KernelMemory(), [ResMLP(depth, alpha="L^-0.5") for depth in DEPTHS]
    memory.expect(archs)
    for arch in archs:
        memory.kernel_matrices(arch, vectors())
    assert passes == [[depth] for depth in DEPTHS]


def test_a_pass_holds_a_quarter_of_the_capacity_and_the_next_ones_first(passes):
    memory, x = KernelMemory(capacity_bytes=4 * 2 * PAIR_BYTES), vectors()
    archs = [ResMLP(depth) for depth in DEPTHS]
    for place, arch in enumerate(archs):
        memory.expect(archs[place:])
        for inputs in ((x,), (x, x), (x, x + 1), (x, x - 1)):  # as a cell asks, and none drives out what a later one needs
            memory.kernel_matrices(arch, *inputs)
    assert passes == [[7, 5]] * 4 + [[2, 1]] * 4
    assert fitting_pairs(6, 6, torch.float64, 8 * PAIR_BYTES) == 2
    assert fitting_pairs(10**6, 10**6, torch.float32) == 1  # it was asked for, whether or not it can be kept


def test_a_dropped_pass_takes_all_its_kernels_along(passes):
    memory, x = KernelMemory(capacity_bytes=8 * PAIR_BYTES), vectors()
    memory.expect([ResMLP(5), ResMLP(1)])
    memory.kernel_matrices(ResMLP(5), x)
    for shift in range(1, 8):
        memory.kernel_matrices(ResMLP(9), x + shift)
    memory.kernel_matrices(ResMLP(1), x)
    assert passes == [[5, 1], *([[9]] * 7), [1]]


def test_a_pass_spares_each_later_consumer_its_seconds_once_and_its_own_nothing():
    memory, x = KernelMemory(), vectors()
    memory.expect([ResMLP(5), ResMLP(2), ResMLP(1)])
    for arch in (ResMLP(5), ResMLP(2)):
        memory.kernel_matrices(arch, x)
    assert memory.seconds_spared == 0
    spared = []
    for archs in ([ResMLP(2)], [ResMLP(2), ResMLP(1), ResMLP(1)]):
        memory.new_consumer()
        for arch in archs:
            memory.kernel_matrices(arch, x)
        spared.append(memory.seconds_spared)
    assert spared[0] == spared[1] > 0  # the seconds of the whole pass, though the second one used two of its kernels
