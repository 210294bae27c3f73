"""What the tests of the peer share: a stand-in for its script, and a folder that passes for its environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from skipbench.benchmarks.peers import measure, peer_process

FAKE = Path(__file__).with_name("fake_worker.py")


@pytest.fixture
def fake(monkeypatch):
    """A function that says what is wrong with the stand-in; it returns the command that starts it."""

    def with_fault(fault: str = "") -> list[str]:
        monkeypatch.setenv("FAKE_PEER", fault)
        return [sys.executable, "-I", str(FAKE)]

    return with_fault


@pytest.fixture
def no_pause(monkeypatch):
    """Nothing spins between the turns of a test."""
    monkeypatch.setattr(measure, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(peer_process, "LONGEST_ANSWER_SECONDS", 60.0)


@pytest.fixture
def real_python() -> Path:
    """The interpreter of an environment with neural-tangents, named by SKIPBENCH_PEER; the test is skipped without one."""
    named = os.environ.get("SKIPBENCH_PEER", "")
    if not named:
        pytest.skip("neural-tangents is not here: set SKIPBENCH_PEER to the python of an environment with it; tox run -e peer makes one")
    return Path(named)
