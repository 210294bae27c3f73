"""A package of misbehaving methods, installed as any other package would be, and the command line as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

_METHODS = '''
import os, signal, subprocess, sys, time
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import validate_data


class Misbehaving(ClassifierMixin, BaseEstimator):
    """A classifier that does one wrong thing in fit."""

    def __init__(self, deed="nothing", seed=0):
        self.deed = deed
        self.seed = seed

    def fit(self, X, y, X_val=None, y_val=None):
        self.classes_ = np.unique(y)
        getattr(self, "_" + self.deed)()
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])

    def _nothing(self):
        pass

    def _dawdle(self):
        time.sleep(0.4)

    def _sleep(self):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)", "skipbench-child-of-a-cell"])
        time.sleep(1000)

    def _leave(self):
        print("last words of a cell", file=sys.stderr, flush=True)
        os._exit(3)

    def _kill(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def _hoard(self):
        self.hoard = [np.ones(2**24) for _ in range(40)]
        time.sleep(1000)

    def _raise(self):
        raise RuntimeError("a fault in /home/somebody/private/method.py")

    def _exhaust(self):
        raise MemoryError("Unable to allocate 9 TiB")
'''


@pytest.fixture(scope="session")
def misbehaving_package(tmp_path_factory) -> Path:
    """A folder for PYTHONPATH that holds the package `misbehaving`, with the entry point of its method."""
    folder = tmp_path_factory.mktemp("packages")
    (folder / "misbehaving.py").write_text(_METHODS)
    info = folder / "misbehaving-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: misbehaving\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[skipbench.methods]\nmisbehaving = misbehaving:Misbehaving\n")
    return folder


@pytest.fixture
def command(misbehaving_package, tmp_path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `skipbench ARGUMENTS` in an empty folder of its own."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "skipbench", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(misbehaving_package), "OMP_NUM_THREADS": "1", "COLUMNS": "200", **variables},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


@pytest.fixture
def suite_file(tmp_path) -> Callable[[str, str], Path]:
    """Write a suite of iris and some methods to NAME.yaml."""

    def write(name: str, methods: str, budget: str = "{seconds_per_cell: 60}") -> Path:
        path = tmp_path / f"{name}.yaml"
        data = "[{name: iris, splits: [0], preprocess: [standardise]}]"
        path.write_text(f"description: a test?\ndata: {data}\nmethods:\n{methods}\nbudget: {budget}\n")
        return path

    return write
