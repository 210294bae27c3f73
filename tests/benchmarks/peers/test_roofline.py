"""The machine's peaks, and what is counted against them."""

from __future__ import annotations

import numpy as np
import pytest

from skipbench.architecture import CNN, MLP, ResCNN, ResMLP
from skipbench.benchmarks.peers.roofline import _chains, bytes_per_pair, field_elements, measured_peak, operations_per_pair
from skipbench.kernels.engines.fused.vectors import LANES, aligned_zeros


def test_the_peaks_are_those_of_a_machine():
    peak = measured_peak(rounds=2**17, copy_bytes=2**22)
    assert peak.threads >= 1
    assert 1e8 < peak.operations_per_second < 1e14  # a loop of Python does 1e7, and a busy machine may do little more than one core
    assert 1e7 < peak.bytes_per_second < 1e14


def test_the_loop_of_multiply_adds_is_not_optimised_away():
    """Every chain tends to its fixed point t / (1 - s) = 1, in thousands of rounds at s = 0.999; so does the one with s and t exchanged."""
    from numba import njit

    from skipbench.kernels.engines.fused.vectors import pointer

    @njit
    def run(sums, rounds):
        _chains(pointer(sums), 0, rounds)

    few, many = (aligned_zeros(LANES[np.dtype(np.float32)], np.float32) for _ in range(2))
    run(few, 1)
    run(many, 20_000)
    assert many == pytest.approx(12.0, rel=1e-2)  # 1 - s has few digits in float32
    assert not np.allclose(few, many, rtol=1e-3)


def test_a_field_holds_pixels_or_pairs_of_pixels():
    assert field_elements(MLP(3), (50,)) == 1
    assert field_elements(CNN(3, readout="tr"), (3, 5, 4)) == 20
    assert field_elements(CNN(3, readout="eq"), (3, 5, 4)) == 20
    assert field_elements(CNN(3, readout="gap"), (3, 5, 4)) == 400


def test_operations_are_counted_by_hand():
    """MLP(2): d products, 2 for the gains, a ReLU and 2 gains, a last ReLU and 2 for the readout."""
    assert operations_per_pair(MLP(2), (50,)) == 50 + 2 + 25 + 2 + 25 + 2
    box = 4 * 2  # two fields, two directions, two additions
    assert operations_per_pair(CNN(1, readout="tr"), (3, 5, 5)) == 25 * (3 + box + 2 + 25 + 2)
    first = 3 + 2 + box + 2  # products, readout, box average, gains
    assert operations_per_pair(ResCNN(2, readout="tr"), (3, 5, 5)) == 25 * (first + (25 + 2 + 2 * box + 4) + (25 + 2))


@pytest.mark.parametrize("family", [ResMLP, MLP])
def test_operations_grow_by_the_same_number_with_every_layer(family):
    counts = [operations_per_pair(family(depth), (50,)) for depth in (2, 3, 4, 5)]
    assert len(set(np.diff(counts))) == 1


def test_bytes_are_inputs_once_and_two_results():
    assert bytes_per_pair((50,), 10, 10) * 100 == 4 * (2 * 10 * 50 + 2 * 100)
