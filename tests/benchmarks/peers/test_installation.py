"""The peer's own environment: made once, made afresh when its requirements change, and never over something else."""

from __future__ import annotations

import re
import subprocess

import pytest

from skipbench.benchmarks.peers import installation
from skipbench.benchmarks.peers.installation import peer_python, requirements
from skipbench.checks import SkipbenchError


def test_every_package_is_pinned_and_the_traps_are_kept():
    lines = [line for line in requirements().splitlines() if line and not line.startswith("#")]
    pins = dict(line.split("==") for line in lines)
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9.]+", line) for line in lines)
    assert (pins["neural-tangents"], pins["jax"], pins["jaxlib"]) == ("0.6.5", "0.4.30", "0.4.30")
    assert pins["numpy"].startswith("2.2.")
    assert pins["scipy"].startswith("1.13.")
    assert "tensorflow" in pins


def test_an_environment_is_made_once(tmp_path, monkeypatch):
    python = peer_python(tmp_path / "peer", wanted="")
    done = subprocess.run([str(python), "-I", "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(tmp_path / "peer")
    monkeypatch.setattr(installation, "_install", lambda *arguments: pytest.fail("it is there already"))
    assert peer_python(tmp_path / "peer", wanted="") == python


def test_other_requirements_or_a_broken_off_installation_make_it_afresh(tmp_path, monkeypatch):
    folder = tmp_path / "peer"
    peer_python(folder, wanted="")
    (folder / "left-over").touch()
    peer_python(folder, wanted="\n")  # other text, still no package
    assert not (folder / "left-over").exists()
    (folder / "left-over").touch()
    (folder / "skipbench-requirements.sha256").unlink()
    peer_python(folder, wanted="\n")
    assert not (folder / "left-over").exists()


def test_a_failing_pip_is_an_error_with_its_last_words_and_leaves_no_stamp(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(SkipbenchError, match=r"environment of neural-tangents was not made: pip failed: .*no-such-package"):
        peer_python(tmp_path / "peer", wanted="no-such-package==1.0\n")
    assert not (tmp_path / "peer" / "skipbench-requirements.sha256").exists()


def test_constraints_of_our_environment_do_not_reach_the_peers_pip(monkeypatch):
    seen = []
    monkeypatch.setenv("PIP_CONSTRAINT", "ours.txt")
    monkeypatch.setenv("PIP_FIND_LINKS", "wheels")
    monkeypatch.setattr(
        installation.subprocess, "run", lambda command, **options: seen.append(options["env"]) or subprocess.CompletedProcess(command, 0)
    )
    installation._run(["pip"])
    assert "PIP_CONSTRAINT" not in seen[0]
    assert seen[0]["PIP_FIND_LINKS"] == "wheels"


def test_a_folder_with_other_things_is_refused_and_kept(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(SkipbenchError, match="holds other things than an environment: name an empty or a new folder"):
        peer_python(tmp_path, wanted="")
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_another_python_is_refused_before_anything_is_downloaded(tmp_path, monkeypatch):
    monkeypatch.setattr(installation, "PYTHONS", ((2, 7),))
    with pytest.raises(
        SkipbenchError, match=r"neural-tangents is pinned to versions for Python 2\.7, but this is 3\.\d+: run this command"
    ):
        peer_python(tmp_path / "peer")
    assert not (tmp_path / "peer").exists()
