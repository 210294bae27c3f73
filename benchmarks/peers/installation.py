"""The peer's own environment: neural-tangents needs an older numpy and jax than anything else here, and 2.6 GB."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

from skipbench.benchmarks.peers.cases import PEER
from skipbench.checks import SkipbenchError, shown, shown_name

PYTHONS = ((3, 11), (3, 12))  # of which jaxlib 0.4.30 and the other pinned versions have wheels
_STAMP = "skipbench-requirements.sha256"
_PIP_LIMITS = ("PIP_CONSTRAINT", "PIP_REQUIREMENT", "PIP_TARGET", "PIP_USER", "PYTHONPATH", "PYTHONHOME")  # meant for our environment


def requirements() -> str:
    """Every package of the environment at one version, as pip reads them."""
    return (files("skipbench.benchmarks.peers") / "neural_tangents_requirements.txt").read_text(encoding="utf-8")


def peer_python(folder: Path, *, wanted: str | None = None) -> Path:
    """The interpreter of the peer's environment in `folder`, made there where it is not, or was made from other requirements.

    wanted: requirements other than the peer's, for tests. A stamp is written last: an installation that broke off is made afresh.
    A folder that holds something else is refused, never emptied. Raises SkipbenchError with the end of what pip said.
    """
    lines = requirements() if wanted is None else wanted
    stamp = hashlib.sha256(f"{sys.version_info[:2]}\n{lines}".encode()).hexdigest()
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if python.is_file() and _read(folder / _STAMP) == stamp:
        return python
    if wanted is None and sys.version_info[:2] not in PYTHONS:
        allowed = " or ".join(f"{major}.{minor}" for major, minor in PYTHONS)
        found = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise SkipbenchError(f"{PEER} is pinned to versions for Python {allowed}, but this is {found}: run this command with one of those")
    if folder.exists() and not (folder / "pyvenv.cfg").is_file() and any(folder.iterdir()):
        raise SkipbenchError(f"{shown_name(str(folder), 200)} holds other things than an environment: name an empty or a new folder")
    _install(folder, python, lines)
    (folder / _STAMP).write_text(stamp, encoding="utf-8")
    return python


def _install(folder: Path, python: Path, lines: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _run([sys.executable, "-m", "venv", "--without-pip", str(folder)] if not lines.strip() else [sys.executable, "-m", "venv", str(folder)])
    if lines.strip():
        wanted = folder / "requirements.txt"
        wanted.write_text(lines, encoding="utf-8")
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", str(wanted)])


def _run(command: list[str]) -> None:
    variables = {name: value for name, value in os.environ.items() if name not in _PIP_LIMITS}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    if done.returncode != 0:
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()][-3:]
        what = "pip" if "pip" in command else "python -m venv"
        raise SkipbenchError(f"the environment of {PEER} was not made: {what} failed: {shown(' | '.join(said), 600)[1:-1]}")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
