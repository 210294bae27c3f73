"""The default display is silent for what is quick, writes lines where stderr is no terminal, and draws a bar where it is one."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from skipbench.kernels.stored import display


class Hands:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Hands:
    hands = Hands()
    monkeypatch.setattr(display.time, "monotonic", hands.monotonic)
    return hands


def test_what_is_quick_shows_nothing(clock: Hands, capsys: pytest.CaptureFixture[str]) -> None:
    with display.tile_progress(True) as report:
        for done in range(5):
            report(done, 4)
            clock.now += 0.5
    assert capsys.readouterr() == ("", "")


def test_lines_tell_the_remaining_time_but_not_at_every_tile(clock: Hands, capsys: pytest.CaptureFixture[str]) -> None:
    with display.tile_progress(True) as report:
        for done in range(10, 111):
            report(done, 110)
            clock.now += 10.0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "tiles: 11 of 110, 0:16:30 left"  # 99 more of 10 s each; the 10 that were there count for nothing
    assert lines[1] == "tiles: 14 of 110, 0:16:00 left"
    assert lines[-1] == "tiles: 110 of 110, 0:00:00 left"
    assert len(lines) == 34


def test_a_terminal_gets_a_bar_with_the_remaining_time(clock: Hands) -> None:
    screen = io.StringIO()
    shown = display._Display(Console(file=screen, force_terminal=True, width=100))
    shown(0, 4)
    assert screen.getvalue() == ""
    clock.now += 60.0
    shown(1, 4)
    shown.close()
    assert "1/4" in screen.getvalue()
    assert "0:03:00 left" in screen.getvalue()


def test_false_shows_nothing_and_a_callable_is_used_as_it_is(clock: Hands, capsys: pytest.CaptureFixture[str]) -> None:
    with display.tile_progress(False) as report:
        report(0, 2)
        clock.now += 1000.0
        report(1, 2)
    assert capsys.readouterr() == ("", "")
    calls: list[tuple[int, int]] = []
    with display.tile_progress(lambda done, total: calls.append((done, total))) as report:
        report(1, 2)
    assert calls == [(1, 2)]
