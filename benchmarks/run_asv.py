"""Run the asv benchmarks of this checkout, keep their result under its commit, and say what moved: `tox run -e asv`.

asv works in a temporary home and results folder. So the user's own asv settings stay as they are, a run that is stopped leaves nothing,
and only files without paths come into the history (`results.performance.tidy`). A result belongs to a commit; with uncommitted changes it
belongs to none, so that it goes to a folder that git ignores.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from skipbench.checks import SkipbenchError, shown_name
from skipbench.results.performance import keep_results, print_performance, read_history, regressions

CONFIGURATION = "asv.conf.json"
HISTORY = Path("results") / "asv"
UNCOMMITTED = Path(".asv") / "uncommitted"
MEASURED_LATER = ("results/asv", "results/records", "docs")  # what a run writes: no benchmark reads it
MACHINE = {"machine": "ci", "os": "linux", "arch": "x86_64", "cpu": "ci", "num_cpu": "2", "ram": "24GB"}  # fixed, as they key the series
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMBA")}  # counts and losses are the same on each run
_ASV_FAILED_BENCHMARKS = 2
_WIDTH_OF_A_FILE = 160


@dataclass(frozen=True, slots=True)
class Checkout:
    """The git repository that is measured. changed: files with uncommitted changes that a benchmark may depend on."""

    root: Path
    commit: str
    changed: tuple[str, ...]


def find_checkout(folder: Path) -> Checkout:
    """The checkout around a folder. Raises SkipbenchError without git, a repository, a commit or the benchmarks' configuration."""
    advice = "Kept results are shown by skipbench performance"
    top = _git(folder, "rev-parse", "--show-toplevel")
    if top is None:
        where = shown_name(str(folder), 200)
        raise SkipbenchError(f"asv keeps results by commit, but {where} is in no git repository: run it in a clone of skipbench. {advice}")
    root = Path(top)
    commit = _git(root, "rev-parse", "--verify", "HEAD")
    if commit is None:
        raise SkipbenchError(f"asv keeps results by commit, but {shown_name(top, 200)} has no commit yet: commit first. {advice}")
    if not (root / CONFIGURATION).is_file():
        raise SkipbenchError(f"{shown_name(top, 200)} has no {CONFIGURATION}: run the benchmarks in a clone of skipbench. {advice}")
    status = _git(root, "status", "--porcelain", "--", ".", *(f":(exclude){name}" for name in MEASURED_LATER)) or ""
    return Checkout(root, commit, tuple(line.split(maxsplit=1)[1] for line in status.splitlines()))


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise SkipbenchError("asv keeps results by commit, but the command git is not there: install git") from error
    return done.stdout.strip() if done.returncode == 0 else None


def run_benchmarks(checkout: Checkout, scratch: Path, *, only: str | None = None) -> Path:
    """Run asv with its files in `scratch`; returns the results folder. only: a regular expression over the benchmarks' names.

    Raises SkipbenchError where asv is not installed or stops before it has measured anything.
    """
    if importlib.util.find_spec("asv") is None:
        raise SkipbenchError("asv is not installed: use tox run -e asv, or pip install 'skipbench[asv]'")
    results, home = scratch / "results", scratch / "home"
    home.mkdir()
    configuration = scratch / CONFIGURATION
    configuration.write_text(json.dumps(_configuration(checkout.root, results)), encoding="utf-8")
    asv = [sys.executable, "-m", "asv"]
    machine = [word for name, value in MACHINE.items() for word in (f"--{name}", value)]
    _call([*asv, "machine", "--config", str(configuration), "--yes", *machine], home, quiet=True)
    chosen = [] if only is None else ["--bench", only]
    options = ["--python=same", "--machine", MACHINE["machine"], "--set-commit-hash", checkout.commit, "--show-stderr", *chosen]
    _call([*asv, "run", "--config", str(configuration), *options], home)
    return results


def _configuration(root: Path, results: Path) -> dict[str, Any]:
    """The checkout's configuration with absolute paths, since asv reads those beside the file, and the scratch folder for results."""
    settings: dict[str, Any] = json.loads((root / CONFIGURATION).read_text(encoding="utf-8"))
    places = {"repo": str(root), "benchmark_dir": str(root / settings["benchmark_dir"]), "env_dir": str(results.parent / "env")}
    return settings | places | {"results_dir": str(results)}


def _call(command: Sequence[str], home: Path, *, quiet: bool = False) -> None:
    """Run asv. Benchmarks that fail are no reason to stop: the result says which, and the gate counts them."""
    done = subprocess.run(command, env=_variables(home), check=False, stdout=subprocess.DEVNULL if quiet else None)
    if done.returncode not in (0, _ASV_FAILED_BENCHMARKS):
        raise SkipbenchError(f"asv {command[3]} stopped with exit status {done.returncode}: what it printed says why")


def _variables(home: Path) -> dict[str, str]:
    """asv's machine file lies in the home folder; caches of other libraries stay where they are."""
    caches = {"XDG_CACHE_HOME": str(Path.home() / ".cache"), "XDG_CONFIG_HOME": str(Path.home() / ".config")}
    git = {"GIT_CONFIG_GLOBAL": str(Path.home() / ".gitconfig")} if (Path.home() / ".gitconfig").is_file() else {}
    return {**caches, **git, **os.environ, **ONE_THREAD, "HOME": str(home)}


def measure(checkout: Checkout, only: str | None, console: Console) -> int:
    """Run, keep and compare; returns the exit status: 1 on a regression."""
    if checkout.changed:
        names = ", ".join(checkout.changed[:3]) + (", ..." if len(checkout.changed) > 3 else "")
        console.print(f"dirty: {len(checkout.changed)} files with uncommitted changes ({names})", markup=False, soft_wrap=True)
    with tempfile.TemporaryDirectory(prefix="skipbench-asv-") as scratch:
        results = run_benchmarks(checkout, Path(scratch), only=only)
        if only is not None:
            console.print("A part of the benchmarks is not kept, and not compared.")
            return 0
        history = _prepared_history(checkout)
        keep_results(results, history, python=".".join(platform.python_version_tuple()[:2]))
    findings = print_performance(console, read_history(history))
    where = history.relative_to(checkout.root).as_posix()
    if checkout.changed:
        console.print(f"dirty: this result belongs to no commit, so it is in {where}, which git ignores", markup=False, soft_wrap=True)
    else:
        console.print(f"result of {checkout.commit[:8]}: kept in {where}", markup=False, soft_wrap=True)
    return 1 if regressions(findings) else 0


def _prepared_history(checkout: Checkout) -> Path:
    """The committed history, or, for a checkout with uncommitted changes, a new copy of it that git ignores."""
    committed = checkout.root / HISTORY
    if not checkout.changed:
        return committed
    copied = checkout.root / UNCOMMITTED
    shutil.rmtree(copied, ignore_errors=True)
    if committed.is_dir():
        shutil.copytree(committed, copied)
    return copied


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 fine, 1 on a regression, 2 where it could not be measured."""
    parser = argparse.ArgumentParser(
        prog="python -m skipbench.benchmarks.run_asv", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("--bench", metavar="REGEX", help="only benchmarks whose name this matches; the result is shown and not kept")
    options = parser.parse_args(arguments)
    width = None if sys.stdout.isatty() else _WIDTH_OF_A_FILE
    try:
        return measure(find_checkout(Path.cwd()), options.bench, Console(highlight=False, width=width))
    except SkipbenchError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
