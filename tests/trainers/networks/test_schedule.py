"""The one-cycle schedule: its shape, its ends, and trainings of few steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skipbench.trainers.networks.schedule import FIRST, WARM_UP, one_cycle


@given(steps=st.integers(1, 300))
def test_every_step_has_a_size_above_0_and_at_most_the_largest(steps):
    sizes = [one_cycle(step, steps) for step in range(steps)]
    assert all(0 < size <= 1 for size in sizes)
    top = sizes.index(max(sizes))
    assert sizes[: top + 1] == sorted(sizes[: top + 1])
    assert sizes[top:] == sorted(sizes[top:], reverse=True)


def test_it_begins_small_reaches_the_largest_after_the_warm_up_and_ends_near_0():
    assert one_cycle(0, 10**6) == pytest.approx(FIRST, rel=1e-4)
    assert one_cycle(int(WARM_UP * 10**6), 10**6) == pytest.approx(1, rel=1e-6)
    assert one_cycle(10**6 - 1, 10**6) == pytest.approx(0, abs=1e-6)
    assert one_cycle(int(0.15 * 10**6), 10**6) == pytest.approx(FIRST + (1 - FIRST) / 2, rel=1e-4)  # half of the way up
    assert one_cycle(int(0.65 * 10**6), 10**6) == pytest.approx(0.5, rel=1e-4)  # half of the way down


def test_beyond_its_last_step_it_stays_at_0():
    """Lightning asks for the size of the step after the last one."""
    assert one_cycle(10, 10) == one_cycle(99, 10) == 0
