"""How refusals are phrased, and how phases are timed."""

from __future__ import annotations

import time

import pytest

from skipbench.checks import nearest_names, shown, unknown_name
from skipbench.clock import Clock


def test_an_unknown_name_is_answered_with_the_nearest_and_the_command_that_lists_all():
    message = unknown_name("data set", "irsi", ["iris", "wine"], where="in suite quick", hint="skipbench data list")
    assert message == 'no data set "irsi" in suite quick. Nearest: iris. All of them: skipbench data list'


def test_without_a_near_name_all_are_listed():
    assert unknown_name("readout", "zzz", ["eq", "tr"]) == 'no readout "zzz". Allowed: eq, tr.'


def test_case_does_not_hide_a_name():
    assert nearest_names("rescnn", ["CNN", "ResCNN"])[0] == "ResCNN"


def test_control_characters_and_huge_values_stay_readable():
    assert "\x1b" not in unknown_name("suite", "\x1b[31mred", ["quick"])
    assert len(shown("x" * 10**6)) == 80


def test_an_inner_phase_stops_the_clock_of_the_outer_one(monkeypatch):
    ticks = iter([0.0, 1.0, 3.0, 10.0, 15.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks))
    clock = Clock()
    with clock.phase("train"), clock.phase("evaluate"):
        pass
    assert clock.seconds == {"train": (3.0 - 1.0) + (15.0 - 10.0), "evaluate": 10.0 - 3.0}
    assert clock.total() == 14.0


def test_a_phase_that_raises_is_counted():
    clock = Clock()
    with pytest.raises(KeyError), clock.phase("load"):
        raise KeyError
    assert clock.seconds["load"] >= 0
