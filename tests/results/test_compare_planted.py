"""One planted regression of each kind, in a copy of the committed records of the suite quick, is caught; unchanged reruns are not.

As a table: `pytest -s tests/results/test_compare_planted.py -k table`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from skipbench.cli.app import app
from skipbench.results.comparison import compare_folders, compare_records, read_store
from skipbench.results.comparison.report import print_comparison

RECORDS = Path(__file__).parents[2] / "results" / "records" / "quick"
RERUNS = 5

pytestmark = pytest.mark.skipif(not RECORDS.is_dir(), reason="the committed records of the suite quick are not here")


@dataclass(frozen=True)
class Planted:
    """A change made to the record files that `files` matches, and what must be said about it."""

    files: str
    change: Callable[[dict[str, Any]], None] | None  # None: the files are deleted
    kind: str
    n_records: int  # in the movement
    says: str  # a part of the line


def lower_accuracy(points: float) -> Callable[[dict[str, Any]], None]:
    def change(record: dict[str, Any]) -> None:
        test = next(metric for metric in record["metrics"] if metric["name"] == "accuracy")
        test["value"] -= points / 100

    return change


def scale_condition(scaling: str, factor: float | None) -> Callable[[dict[str, Any]], None]:
    def change(record: dict[str, Any]) -> None:
        matrix = next(entry for entry in record["spectrum"]["matrices"] if entry["scaling"] == scaling and entry["ridge"] == 0)
        matrix["condition_number"] = None if factor is None else matrix["condition_number"] * factor

    return change


def set_iterations(name: str, factor: float | None) -> Callable[[dict[str, Any]], None]:
    def change(record: dict[str, Any]) -> None:
        before = record["convergence"][name]
        record["convergence"][name] = None if factor is None else round(before * factor)

    return change


def multiply_seconds(record: dict[str, Any]) -> None:
    record["phases"] = {phase: 3 * seconds for phase, seconds in record["phases"].items()}


def multiply_memory(record: dict[str, Any]) -> None:
    record["peak_memory"]["host_bytes"] *= 3


def fail(record: dict[str, Any]) -> None:
    record |= {"status": "failed", "reason": "LinAlgError: the factorisation did not converge", "metrics": [], "ridge_path": []}
    record |= {"spectrum": None, "convergence": None}


def lose_spectrum(record: dict[str, Any]) -> None:
    record["spectrum"] = None


def raise_version(record: dict[str, Any]) -> None:
    record["method"]["source_version"] = "2"
    record["key"] = hashlib.sha256(record["key"].encode()).hexdigest()


PLANTED = {
    "accuracy of a kernel, 3 points": Planted("wine-ntk-ridge-mlp-*split0-*", lower_accuracy(3), "accuracy", 1, "1.05 test rows lost"),
    "accuracy of a network, 6 points": Planted("digits-n-600-network-mlp-*", lower_accuracy(6), "accuracy", 9, "seed noise explains"),
    "condition number x 1.01": Planted("wine-nngp-ridge-mlp-*split1-*", scale_condition("raw", 1.01), "condition number", 1, "+1 %"),
    "condition number x (1 + 1e-5)": Planted(
        "wine-nngp-ridge-mlp-*split1-*", scale_condition("raw", 1 + 1e-5), "condition number", 1, "+0.001 %"
    ),
    "condition number at unit diagonal": Planted(
        "iris-laplace-ridge-split0-*", scale_condition("unit_diagonal", 1.01), "condition number", 1, "at unit diagonal"
    ),
    "infinite condition number": Planted("wine-nngp-*split1-*", scale_condition("raw", None), "condition number", 1, "infinite now"),
    "iterations of a kernel, +1 %": Planted(
        "breast-cancer-gaussian-ridge-split0-*", set_iterations("iterations_99", 1.01), "iterations", 1, "+1 %"
    ),
    "iterations never reached": Planted("wine-ntk-ridge-mlp-*split0-*", set_iterations("iterations_99", None), "iterations", 1, "never"),
    "iterations of a network, +50 %": Planted(
        "wine-network-mlp-*split0-seed0-*", set_iterations("iterations_99", 1.5), "iterations", 1, "iterations to 99 %"
    ),
    "seconds x 3": Planted("digits-n-600-network-resmlp-*", multiply_seconds, "seconds", 9, "x 3"),
    "memory x 3": Planted("digits-n-600-network-mlp-*", multiply_memory, "memory", 9, "x 3"),
    "a vanished cell": Planted("iris-random-forest-split1-seed1-*", None, "vanished", 1, "no record"),
    "a newly failing cell": Planted("iris-gaussian-ridge-split0-*", fail, "failing", 1, "the factorisation did not converge"),
    "a measurement lost": Planted("iris-laplace-ridge-split2-*", lose_spectrum, "missing", 1, "measured no longer"),
    "a changed key": Planted("breast-cancer-laplace-ridge-*", raise_version, "key", 3, "source version 1 -> 2"),
}


def plant(folder: Path, planted: Planted) -> list[str]:
    """Change the files; returns their names."""
    paths = sorted(folder.glob(planted.files))
    for path in paths:
        if planted.change is None:
            path.unlink()
            continue
        record = json.loads(path.read_text())
        planted.change(record)
        path.write_text(json.dumps(record))
    return [path.name for path in paths]


@pytest.fixture
def copied(tmp_path) -> Path:
    """A copy of the committed records, to be changed."""
    return Path(shutil.copytree(RECORDS, tmp_path / "runs" / "quick"))


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_regression_is_caught_named_and_fails(name, copied):
    planted = PLANTED[name]
    changed = plant(copied, planted)
    assert len(changed) >= planted.n_records
    done = CliRunner().invoke(app, ["compare", str(RECORDS), str(copied)])
    assert done.exit_code == 1, done.output
    worse = [movement for movement in compare_folders(RECORDS, copied).movements if movement.regression]
    assert {movement.kind for movement in worse} == {planted.kind}
    assert sum(len(movement.records) for movement in worse) == planted.n_records * len(worse)
    line = next(line for line in done.output.splitlines() if line.startswith("REGRESSION"))
    assert planted.says in line
    assert any(file in line for file in changed)


@pytest.mark.parametrize("name", [name for name in PLANTED if PLANTED[name].kind not in ("vanished", "key")])
def test_the_same_change_read_backwards_is_an_improvement_and_passes(name, copied):
    plant(copied, PLANTED[name])
    done = CliRunner().invoke(app, ["compare", str(copied), str(RECORDS)])
    assert done.exit_code == 0, done.output
    movements = compare_folders(copied, RECORDS).movements
    assert movements
    assert {movement.direction for movement in movements} == {"better"}
    assert CliRunner().invoke(app, ["compare", str(copied), str(RECORDS), "--strict"]).exit_code == 1


def test_all_planted_regressions_together_make_one_table(copied):
    chosen = {
        "accuracy of a kernel, 3 points",
        "accuracy of a network, 6 points",
        "condition number x (1 + 1e-5)",
        "iterations of a kernel, +1 %",
        "seconds x 3",
        "a vanished cell",
        "a newly failing cell",
        "a changed key",
    }
    for name in sorted(chosen):
        plant(copied, PLANTED[name])
    plant(copied, replace(PLANTED["memory x 3"], files="wine-network-mlp-*"))  # of a method that nothing else befell
    comparison = compare_folders(RECORDS, copied)
    print()
    print_comparison(Console(highlight=False, width=250), comparison)
    expected = {"accuracy", "condition number", "iterations", "seconds", "memory", "vanished", "failing", "key"}
    assert {movement.kind for movement in comparison.regressions} == expected
    assert [movement.kind for movement in comparison.movements][:2] == ["failing", "vanished"]


def test_the_committed_records_against_themselves_raise_nothing():
    comparison = compare_folders(RECORDS, RECORDS)
    assert comparison.movements == ()
    assert comparison.n_pairs == 240
    assert comparison.exit_status(strict=True) == 0


@pytest.fixture(scope="module")
def committed() -> tuple[Any, ...]:
    return read_store(RECORDS, name="BASE").records


def redrawn(records: tuple[Any, ...], generator: np.random.Generator, *, elsewhere: bool) -> list[Any]:
    """The records as another run of the same code might have left them.

    Accuracies of methods with seeds are drawn anew around their split's mean, with the spread of its seeds and rounded to test rows; so
    are those of the baseline, since it is a draw itself. Spectra and counts move by 0.2 roundings (the most that was seen), a kernel
    loses one test row. Seconds and memory vary by what two busy machines of one class showed, and by a factor common to all.
    """
    slower = generator.uniform(0.7, 1.6)
    flipped = generator.integers(len(records))
    changed = []
    for index, record in enumerate(records):
        update: dict[str, Any] = {"phases": {p: s * slower * generator.lognormal(0, 0.2) for p, s in record.phases.items()}}
        update["peak_memory"] = record.peak_memory.model_copy(
            update={"host_bytes": int(record.peak_memory.host_bytes * generator.uniform(0.75, 1.3))}
        )
        if elsewhere:
            threads = record.environment.threads.model_copy(update={"torch": 2})
            update["environment"] = record.environment.model_copy(update={"threads": threads, "machine_class": "another"})
            update |= rounded_otherwise(record, generator)
        rows = record.dataset.n_test
        if record.seeds.init is not None:
            update["metrics"] = with_accuracy(record, drawn_accuracy(record, records, generator))
        elif elsewhere and index == flipped:
            update["metrics"] = with_accuracy(record, max(0.0, record.metrics[0].value - 1 / rows))
        changed.append(record.model_copy(update=update))
    return changed


def drawn_accuracy(record: Any, records: tuple[Any, ...], generator: np.random.Generator) -> float:
    seeds = [
        other.metrics[0].value
        for other in records
        if (other.dataset.name, other.dataset.split, other.method.label) == (record.dataset.name, record.dataset.split, record.method.label)
    ]
    rows = record.dataset.n_test
    value = generator.normal(np.mean(seeds), np.std(seeds, ddof=1) + 0.3 / rows)
    return float(np.clip(round(value * rows), 0, rows) / rows)


def with_accuracy(record: Any, value: float) -> tuple[Any, ...]:
    return (record.metrics[0].model_copy(update={"value": value}), *record.metrics[1:])


def rounded_otherwise(record: Any, generator: np.random.Generator) -> dict[str, Any]:
    """Condition numbers and counts of a kernel after a rounding of its matrix; a network counts something else elsewhere."""
    unit = 0.2 * 2.0**-52
    update: dict[str, Any] = {}
    if record.spectrum is not None:
        matrices = tuple(
            matrix.model_copy(
                update={"condition_number": matrix.condition_number * (1 + unit * generator.uniform(-1, 1) * matrix.condition_number)}
            )
            if matrix.condition_number is not None
            else matrix
            for matrix in record.spectrum.matrices
        )
        update["spectrum"] = record.spectrum.model_copy(update={"matrices": matrices})
    if record.convergence is not None:
        names = ("iterations_90", "iterations_99", "iterations_99_9")
        reached = {name: steps for name in names if (steps := getattr(record.convergence, name)) is not None}
        closed_form = record.convergence.source == "closed_form"
        moved = {name: round(steps + (unit * steps**2 if closed_form else 3) * generator.uniform(-1, 1)) for name, steps in reached.items()}
        update["convergence"] = record.convergence.model_copy(update=moved)
    return update


@pytest.mark.parametrize("elsewhere", [False, True], ids=["on the same machine", "on another machine"])
def test_unchanged_reruns_raise_nothing(committed, elsewhere):
    generator = np.random.default_rng(20261124)
    for _ in range(RERUNS * 4):
        base, new = (redrawn(committed, generator, elsewhere=elsewhere and is_new) for is_new in (False, True))
        comparison = compare_records(base, new)
        assert comparison.movements == ()
        assert any("times and memory not compared" in note for note in comparison.notes) == elsewhere
