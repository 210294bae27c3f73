"""Run tests/kernels on copies of the packages with one planted error each; a copy whose tests all pass shows what they do not see.

    tox run -e mutations                   all of them
    tox run -e mutations -- padding        those with "padding" in their name

First the copy without an error must pass. The exit status is 1 where an error survived or the copy without one fails.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mutations.planted import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDERS = ("datasets", "kernels", "trainers", "benchmarks", "results")
TESTS = "tests/kernels"
FIRST = ("test_arc_cosine.py", "test_engine_contract.py", "test_kernel_matrices.py")  # most errors fail here: the run is short
SECONDS_PER_MUTATION = 600
WRONG_MODULE = 9
_NUMBA, _NO_NUMBA = '"cpu": ("numba",)', '"cpu": ("not_in_a_copy",)'

# The tests of a copy must meet the copy, and a counterexample need not be made small.
_CONFTEST = """
import importlib
from pathlib import Path

import pytest
from hypothesis import Phase, settings

settings.register_profile("mutations", phases=[Phase.explicit, Phase.generate], derandomize=True, database=None, deadline=None)
settings.load_profile("mutations")

def pytest_sessionstart(session):
    found = Path(importlib.import_module({module!r}).__file__)
    if not found.is_relative_to({root!r}):
        pytest.exit(f"{{found}} was imported, not the copy in {root}", returncode={wrong_module})
"""


@dataclass(frozen=True)
class Outcome:
    """What became of one copy. killed_by: the first test that failed, empty where all passed."""

    name: str
    killed_by: str
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Test the copies and print the table; the exit status."""
    options = _options().parse_args(arguments)
    chosen = [mutation for mutation in MUTATIONS if options.word in mutation.name]
    if not chosen:
        print(f"Error: no mutation has {options.word!r} in its name. There are: {'; '.join(mutation.name for mutation in MUTATIONS)}")
        return 2
    start = time.monotonic()
    with ThreadPoolExecutor(options.jobs) as pool:
        unharmed, *rest = (pool.submit(run_tests, mutation) for mutation in (None, *chosen))
        print(f"without an error: {unharmed.result().killed_by or 'all tests pass'}, {unharmed.result().seconds:.0f} s", flush=True)
        if unharmed.result().killed_by:  # then a failure says nothing about the error
            pool.shutdown(cancel_futures=True)
            return 1
        outcomes = []
        for future in rest:
            outcomes.append(outcome := future.result())
            print(f"{outcome.name:64}  {outcome.killed_by or 'SURVIVED':110}  {outcome.seconds:4.0f} s", flush=True)
    survivors = [outcome.name for outcome in outcomes if not outcome.killed_by]
    print(f"{len(outcomes) - len(survivors)} of {len(outcomes)} errors are noticed, {time.monotonic() - start:.0f} s in all")
    for name in survivors:
        print(f"SURVIVED: {name}. Write the test in {TESTS} that notices it")
    return 1 if survivors else 0


def run_tests(mutation: Mutation | None) -> Outcome:
    """Run the kernels' tests on a fresh copy, with one error or none, until the first failure."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="skipbench-mutation-") as folder:
        copy = Path(folder).resolve()
        copy_packages(copy)
        if mutation is not None:
            mutation.plant(copy)
        module = "skipbench.kernels" if mutation is None else mutation.module
        (copy / "conftest.py").write_text(_CONFTEST.format(module=module, root=str(copy), wrong_module=WRONG_MODULE))
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-n", "0", "--tb=no", *test_files(copy)],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=SECONDS_PER_MUTATION,
            check=False,
        )
    name = "no error" if mutation is None else mutation.name
    return Outcome(name, first_failure(name, done.returncode, done.stdout + done.stderr), time.monotonic() - start)


def copy_packages(copy: Path) -> None:
    """The package `skipbench` as it is when installed, and what tests/kernels needs, below `copy`.

    The errors are planted in the reference and what lies below it, so the copy believes that numba is not there: with it "auto" would
    take the fused engine, which would be compiled anew in every copy.
    """
    ignored = shutil.ignore_patterns("__pycache__", "records", "runs", "asv")
    shutil.copytree(ROOT / "src" / "skipbench", copy / "skipbench", ignore=ignored)
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, copy / "skipbench" / folder, ignore=ignored)
    registry = copy / "skipbench" / "kernels" / "engines" / "registry.py"
    text = registry.read_text(encoding="utf-8")
    assert text.count(_NUMBA) == 1
    registry.write_text(text.replace(_NUMBA, _NO_NUMBA), encoding="utf-8")
    shutil.copytree(ROOT / TESTS, copy / TESTS, ignore=ignored)
    for file in ("tests/strategies.py", "pyproject.toml"):
        shutil.copy(ROOT / file, copy / file)


def test_files(copy: Path) -> list[str]:
    """The test files of the kernels, those first that notice most."""
    found = sorted(path.name for path in (copy / TESTS).glob("test_*.py"))
    return [f"{TESTS}/{name}" for name in sorted(found, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name))]


test_files.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test where it is imported


def first_failure(name: str, status: int, output: str) -> str:
    """The test that failed, from pytest's exit status and output; empty where all passed. Raises RuntimeError where they did not run."""
    if status == 0:
        return ""
    failed = re.search(rf"^FAILED {TESTS}/([^\[\n]+?(?:\[.*?\])?)(?: - |$)", output, re.MULTILINE)
    if status != 1 or failed is None:
        raise RuntimeError(f"{name}: pytest ended with {status}, which is neither passed nor failed:\n{output[-3000:]}")
    return failed[1]


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mutations", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("word", nargs="?", default="", help="only the mutations with this in their name")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="copies tested at once, by default one per core")
    return parser


if __name__ == "__main__":
    sys.exit(main())
