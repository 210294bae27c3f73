"""From a suite to its cells: every method, on every split of every data set that it can read, with every seed."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skipbench.architecture import Architecture, architecture_from_dict
from skipbench.checks import SkipbenchError, shown, unknown_name
from skipbench.datasets import Dataset, load
from skipbench.results.record import SCHEMA_VERSION
from skipbench.suite import DataEntry, MethodEntry, SuiteFile
from skipbench.trainers.registry import input_kinds, method_label, method_parameters, sequence_parameters, source_version

MOST_CELLS = 100_000


@dataclass(frozen=True)
class MethodSpec:
    """One method with one value for each parameter that the suite gives."""

    name: str
    parameters: Mapping[str, Any]

    @property
    def architecture(self) -> Architecture | None:
        """The architecture among the parameters, if there is one."""
        value: Architecture | None = self.parameters.get("architecture")
        return value

    def plain_parameters(self) -> dict[str, Any]:
        """The parameters as plain JSON values."""
        return {name: _plain(value) for name, value in sorted(self.parameters.items())}


@dataclass(frozen=True)
class Cell:
    """One run: a method fitted on one split of one data set, with one seed where the method draws random numbers."""

    data: DataEntry
    split: int
    method: MethodSpec
    method_label: str
    seed: int | None

    @property
    def label(self) -> str:
        """What a progress line shows."""
        seed = "" if self.seed is None else f", seed {self.seed}"
        return f"{self.data.label}, split {self.split}: {self.method_label}{seed}"

    @property
    def identity(self) -> str:
        """Equal for equal cells of a suite, without the data's content."""
        return json.dumps([self.data.model_dump(), self.split, self.method.name, self.method.plain_parameters(), self.seed])

    @property
    def sharing(self) -> str:
        """Cells that agree in this need the same kernel matrices, and run one after the other in one worker."""
        if self.method.architecture is None or "kernel" not in self.method.parameters:
            return self.identity
        needed = [self.data.model_dump(), self.split, self.method.architecture.key, self.method.parameters.get("dtype")]
        return json.dumps(needed)

    def key(self, dataset: Dataset, device: str) -> str:
        """SHA-256 of what decides the result: data, split, configuration, seeds, kind of device, schema and declared source version."""
        split = dataset.splits[self.split]
        described = {
            "schema": SCHEMA_VERSION,
            "data": [dataset.name, dataset.sha256, *(_digest(rows) for rows in (split.train, split.validation, split.test))],
            "preprocess": list(self.data.preprocess),
            "method": [self.method.name, self.method.plain_parameters(), source_version(self.method.name)],
            "seed": self.seed,
            "device": device.partition(":")[0],
        }
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def load_entry(entry: DataEntry) -> Dataset:
    """The data set that a suite's entry asks for; for uci/NAME hyper-parameters are chosen inside each split unless it says otherwise."""
    protocol = "nested" if entry.protocol is None and entry.name.startswith("uci/") else entry.protocol
    return load(entry.name, n=entry.n, n_test=entry.n_test, seed=entry.seed, protocol=protocol)


def expand(
    suite_file: SuiteFile, datasets: Mapping[DataEntry, Dataset], *, methods: Sequence[str] = (), seeds: int | None = None
) -> list[Cell]:
    """The cells of a suite on the given data sets, in the suite's order.

    methods: registered names, all of the suite's without one. seeds: how many seeds instead of the suite's own.
    Raises SkipbenchError, with the line, for a method that can read none of the suite's data sets or has a parameter it cannot have.
    """
    suite = suite_file.suite
    check_names("method", methods, [entry.name for entry in suite.methods], where=f"in suite {suite.name}", hint="skipbench list")
    cells: dict[str, Cell] = {}
    for index, entry in enumerate(suite.methods):
        if methods and entry.name not in methods:
            continue
        specs = list(_method_specs(suite_file, index, entry))
        if len(specs) * len(datasets) > MOST_CELLS:
            raise suite_file.error(("methods", index), f"this expands to more than {MOST_CELLS} cells: shorten its lists")
        for data, dataset in datasets.items():
            for spec, label, kinds in specs:
                if dataset.kind in kinds:
                    for split, seed in itertools.product(splits_of(suite_file, data, dataset), _seeds(suite_file, index, entry, seeds)):
                        cell = Cell(data, split, spec, label, seed)
                        cells[cell.identity] = cell
    if not cells:
        found = sorted({dataset.kind for dataset in datasets.values()})
        found_kinds = " and ".join(found)
        raise SkipbenchError(f"suite {suite.name}: none of the chosen methods can read the chosen data sets, which are {found_kinds}")
    return list(cells.values())


def splits_of(suite_file: SuiteFile, entry: DataEntry, dataset: Dataset) -> tuple[int, ...]:
    """Indices of the splits that a suite asks for, each with training, validation and test rows."""
    place: tuple[str | int, ...] = ("data", suite_file.suite.data.index(entry), "splits")
    wanted = tuple(range(len(dataset.splits))) if entry.splits is None else entry.splits
    for index in wanted:
        if not 0 <= index < len(dataset.splits):
            raise suite_file.error(place, f"{entry.name} has splits 0 to {len(dataset.splits) - 1}, found {index}")
        split = dataset.splits[index]
        empty = [part for part in ("train", "validation", "test") if len(getattr(split, part)) == 0]
        if empty:
            raise suite_file.error(place, f"{entry.name}: split {index} ({split.name}) has no {empty[0]} rows; use protocol: nested")
    return wanted


def check_names(kind: str, names: Sequence[str], allowed: Sequence[str], *, where: str, hint: str) -> None:
    """Refuse a name that is not among the allowed ones."""
    for name in names:
        if name not in allowed:
            raise SkipbenchError(unknown_name(kind, name, set(allowed), where=where, hint=hint))


def _method_specs(suite_file: SuiteFile, index: int, entry: MethodEntry) -> Iterator[tuple[MethodSpec, str, tuple[str, ...]]]:
    """Every combination of the entry's listed values, with its label and the kinds of input that it reads."""
    place = ("methods", index, entry.name)
    try:
        allowed = method_parameters(entry.name)
        for name in entry.parameters:
            if name not in allowed:
                raise SkipbenchError(unknown_name(f"{entry.name}: parameter", name, [*allowed, "seeds"]))
    except SkipbenchError as error:
        raise suite_file.error(place, str(error)) from error
    choices = [_values(suite_file, (*place, name), name, value, entry.name) for name, value in entry.parameters.items()]
    for combination in itertools.product(*choices):
        spec = MethodSpec(entry.name, dict(zip(entry.parameters, combination, strict=True)))
        try:
            kinds, label = input_kinds(spec.name, spec.parameters), method_label(spec.name, spec.parameters)
        except SkipbenchError as error:
            raise suite_file.error(_named_in(place, str(error), spec), str(error)) from error
        yield spec, label, kinds


def _named_in(place: tuple[str | int, ...], message: str, spec: MethodSpec) -> tuple[str | int, ...]:
    """The place of the parameter that a message names, so that the error points to its line."""
    named = [name for name in spec.parameters if f"{name}=" in message]
    return (*place, named[0]) if named else place


def _values(suite_file: SuiteFile, place: tuple[str | int, ...], name: str, value: Any, method: str) -> list[Any]:
    """The values that a parameter takes: each item of a list, unless the parameter itself is a sequence."""
    if name == "architecture":
        descriptions = value if isinstance(value, list) else [value]
        return [arch for description in descriptions for arch in _architectures(suite_file, place, description)]
    if name in sequence_parameters(method):
        return [tuple(value) if isinstance(value, list) else value]
    if isinstance(value, list) and not value:
        raise suite_file.error(place, f"{name} is an empty list: give at least one value")
    return value if isinstance(value, list) else [value]


def _architectures(suite_file: SuiteFile, place: tuple[str | int, ...], description: Any) -> list[Architecture]:
    if not isinstance(description, dict) or len(description) != 1 or not isinstance(next(iter(description.values())), dict):
        raise suite_file.error(place, f"an architecture is written {{FAMILY: {{depth: 3}}}}, found {shown(description)}")
    ((family, fields),) = description.items()
    listed = [value if isinstance(value, list) else [value] for value in fields.values()]
    try:
        combinations = (dict(zip(fields, values, strict=True)) for values in itertools.product(*listed))
        return [architecture_from_dict({"family": family, **chosen}) for chosen in combinations]
    except SkipbenchError as error:
        named = [name for name in fields if f"{name}=" in str(error) or f'"{name}"' in str(error)]
        raise suite_file.error((*place, family, *named[:1]), str(error)) from error


def _seeds(suite_file: SuiteFile, index: int, entry: MethodEntry, count: int | None) -> Sequence[int | None]:
    """The seeds of a method that draws random numbers, [None] for another."""
    if "seed" not in method_parameters(entry.name):
        if entry.seeds is not None:
            raise suite_file.error(("methods", index, entry.name, "seeds"), f"{entry.name} draws no random numbers: remove seeds")
        return [None]
    return range(count) if count is not None else (entry.seeds or (0,))


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dict"):
        return value.to_dict()
    return list(value) if isinstance(value, tuple) else value


def _digest(rows: Any) -> str:
    return hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest()
