"""Read asv's result files (format 2) into series, with nothing but the standard library: asv itself need not be installed.

A folder holds `benchmarks.json`, which describes the benchmarks of the newest run, and for each machine a folder with one file a commit
and environment. In such a file a result is a list with one entry for each combination of parameters: a number, null where the benchmark
failed, NaN where it was skipped. A series is one benchmark of one declared version with one combination of parameters.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from skipbench.checks import SkipbenchError, shown, shown_name

FORMAT = 2
DESCRIPTIONS = "benchmarks.json"
MACHINE = "machine.json"
LARGEST_FILE_BYTES = 8 * 2**20
MOST_COMBINATIONS = 10_000

Kind = Literal["seconds", "memory", "tracked"]
Place = tuple[str, str]
_KINDS: dict[str, Kind] = {"time": "seconds", "timeraw": "seconds", "peakmem": "memory", "mem": "memory"}


@dataclass(frozen=True, slots=True, order=True)
class SeriesKey:
    """A benchmark as asv names it, its declared version, and one value for each of its parameters, as Python writes them."""

    benchmark: str
    version: str
    parameters: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """`kernels.DenseGram.time_gram(MLP)`."""
        return self.benchmark + (f"({self.parameters_text})" if self.parameters else "")

    @property
    def parameters_text(self) -> str:
        """The values of the parameters, texts without their quotes."""
        return ", ".join(value.strip("'\"") for value in self.parameters)

    @property
    def kind(self) -> Kind:
        """What is measured, from asv's naming rule: `time_`, `peakmem_` and `mem_`, anything else is tracked."""
        return _KINDS.get(self.benchmark.rpartition(".")[2].partition("_")[0], "tracked")


@dataclass(frozen=True)
class PerformanceRun:
    """One result file: one commit on one machine in one environment. date: the commit's.

    values: a number, or None where the benchmark failed. skipped: those that asv left out because their `setup` asked for it.
    started: when the first benchmark ran, in ms, which orders commits of the same second.
    """

    commit: str
    date: datetime
    machine: str
    environment: str
    values: Mapping[SeriesKey, float | None]
    skipped: frozenset[SeriesKey] = frozenset()
    started: int = 0

    @property
    def place(self) -> Place:
        """Series are compared inside one machine and environment only."""
        return self.machine, self.environment


@dataclass(frozen=True, slots=True)
class Series:
    """The numbers of one key in the order of the commits; NaN where a run has none. unit: as the benchmark declares it."""

    key: SeriesKey
    unit: str
    values: tuple[float, ...]

    @property
    def numbers(self) -> tuple[float, ...]:
        """Those that were measured."""
        return tuple(value for value in self.values if not math.isnan(value))

    @property
    def last(self) -> float | None:
        """The value at the newest commit, None where it has none."""
        return None if not self.values or math.isnan(self.values[-1]) else self.values[-1]

    @property
    def previous(self) -> float | None:
        """The newest number before the newest commit."""
        earlier = [value for value in self.values[:-1] if not math.isnan(value)]
        return earlier[-1] if earlier else None


@dataclass(frozen=True)
class PerformanceHistory:
    """All runs of a folder, the oldest commit first. units: by benchmark, those of the newest run only."""

    runs: tuple[PerformanceRun, ...]
    units: Mapping[str, str]

    @property
    def places(self) -> tuple[Place, ...]:
        """Each machine and environment once, in the order of their newest commits, the newest last."""
        return tuple(dict.fromkeys(run.place for run in reversed(self.runs)))[::-1]

    @property
    def newest_places(self) -> tuple[Place, ...]:
        """Those that measured the newest commit."""
        return tuple(sorted({run.place for run in self.runs if run.commit == self.runs[-1].commit}))

    def runs_at(self, place: Place) -> tuple[PerformanceRun, ...]:
        """The runs of one machine and environment."""
        return tuple(run for run in self.runs if run.place == place)

    def series_at(self, place: Place) -> list[Series]:
        """Every series of one machine and environment, by name, whether or not its newest run still has it."""
        runs = self.runs_at(place)
        keys = sorted({key for run in runs for key in run.values})
        return [Series(key, self.unit(key), tuple(_number(run.values.get(key)) for run in runs)) for key in keys]

    def unit(self, key: SeriesKey) -> str:
        """As declared, or what asv measures in where the newest run no longer describes the benchmark."""
        return self.units.get(key.benchmark, {"seconds": "seconds", "memory": "bytes", "tracked": ""}[key.kind])


def read_history(folder: Path) -> PerformanceHistory:
    """Every result file below an asv results folder.

    Raises SkipbenchError for a folder that is not there or holds no results, and for a file that is not asv's, which it names.
    """
    if not folder.is_dir():
        raise SkipbenchError(f"no asv results in {shown_name(str(folder), 200)}: there is no such folder. To make it: tox run -e asv")
    files = result_files(folder)
    if not files:
        raise SkipbenchError(
            f"no asv results in {shown_name(str(folder), 200)}: it has no file MACHINE/COMMIT-....json. To make one: tox run -e asv"
        )
    runs = sorted((_read_run(path) for path in files), key=lambda run: (run.date, run.started, run.commit, run.place))
    descriptions = folder / DESCRIPTIONS
    return PerformanceHistory(tuple(runs), _units(descriptions) if descriptions.is_file() else {})


def result_files(folder: Path) -> list[Path]:
    """The files of an asv results folder that hold one commit's results each; none where there is no such folder."""
    return [path for path in sorted(folder.glob("*/*.json")) if path.name != MACHINE]


def _units(path: Path) -> dict[str, str]:
    described = read_object(path)
    return {name: str(entry.get("unit", "")) for name, entry in described.items() if isinstance(entry, dict)}


def _read_run(path: Path) -> PerformanceRun:
    found = read_object(path)
    if found.get("version") != FORMAT:
        raise _refused(path, f"its format is {shown(found.get('version'), 40)}, but this skipbench reads {FORMAT}: use asv 0.6")
    try:
        date = datetime.fromtimestamp(int(found["date"]) / 1000, UTC)
        commit, environment = str(found["commit_hash"]), str(found["env_name"])
        columns = list(found["result_columns"])
        values = dict(_values(found["results"], columns))
        started = min((int(row[columns.index("started_at")]) for row in found["results"].values()), default=0)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, OSError, AttributeError) as error:
        raise _refused(path, f"{type(error).__name__} {shown(str(error), 120)}") from error
    skipped = frozenset(key for key, value in values.items() if value is not None and math.isnan(value))
    measured = {key: value for key, value in values.items() if key not in skipped}
    return PerformanceRun(commit, date, path.parent.name, environment, measured, skipped, started)


def _values(results: Mapping[str, Sequence[Any]], columns: Sequence[str]) -> Iterator[tuple[SeriesKey, float | None]]:
    """The results of a file by series. Rows are cut short where the last columns are empty, and null stands for all of them."""
    for benchmark, row in results.items():
        entry = dict(zip(columns, row, strict=False))
        parameters = [[str(value) for value in values] for values in entry.get("params") or []]
        n = math.prod(len(values) for values in parameters)
        if n > MOST_COMBINATIONS:
            raise ValueError(f"{benchmark} has {n} combinations of parameters")
        found = entry["result"] if entry["result"] is not None else [None] * n
        for combination, value in zip(itertools.product(*parameters), found, strict=True):
            yield SeriesKey(benchmark, str(entry.get("version", "")), combination), None if value is None else float(value)


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file of asv's, which may hold NaN. Raises SkipbenchError."""
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise _refused(path, f"it has {path.stat().st_size} bytes, but at most {LARGEST_FILE_BYTES} are read")
        found = json.loads(path.read_bytes().decode())
    except OSError as error:
        raise _refused(path, f"it cannot be read ({error.strerror or error})") from error
    except SkipbenchError:
        raise
    except (ValueError, RecursionError) as error:
        raise _refused(path, f"it is no JSON ({shown(str(error), 120)[1:-1]})") from error
    if not isinstance(found, dict):
        raise _refused(path, "it holds no JSON object")
    return found


def _refused(path: Path, reason: str) -> SkipbenchError:
    return SkipbenchError(f"{shown_name(str(path), 200)} is no result of asv: {reason}")


def _number(value: float | None) -> float:
    return math.nan if value is None else value
