"""From a suite to its cells: every method, on every split of every data set that it can read, with every seed."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skipbench.architecture import Architecture, architecture_from_dict
from skipbench.checks import SkipbenchError, shown, unknown_name
from skipbench.datasets import Dataset, load
from skipbench.kernels.depth_sweeps import sweep_key
from skipbench.results.record import SCHEMA_VERSION
from skipbench.suite import DataEntry, MethodEntry, SuiteFile
from skipbench.trainers.registry import input_kinds, method_label, method_parameters, sequence_parameters, source_version

MOST_CELLS = 100_000


@dataclass(frozen=True)
class MethodSpec:
    """One method with one value for each parameter that the suite gives.

    candidates: values of further parameters, among which the validation rows choose; empty where nothing is left to choose.
    """

    name: str
    parameters: Mapping[str, Any]
    candidates: tuple[Mapping[str, Any], ...] = ()

    @property
    def variants(self) -> tuple[dict[str, Any], ...]:
        """All parameters, once for each candidate."""
        return tuple({**self.parameters, **candidate} for candidate in self.candidates or ({},))

    @property
    def architecture(self) -> Architecture | None:
        """The architecture among the parameters; None where there is none, or where it is left to be chosen."""
        value: Architecture | None = self.parameters.get("architecture")
        return value

    def plain_parameters(self) -> dict[str, Any]:
        """The parameters as plain JSON values, and the candidates under `choose`."""
        chosen = {"choose": [_plain_mapping(candidate) for candidate in self.candidates]} if self.candidates else {}
        return {**_plain_mapping(self.parameters), **chosen}


@dataclass(frozen=True)
class Cell:
    """One run: a method fitted on one split of one data set, with one seed where the method draws random numbers.

    selection: the split on which hyper-parameters are chosen where that is not the same one (protocol `collection` of uci/NAME).
    """

    data: DataEntry
    split: int
    method: MethodSpec
    method_label: str
    seed: int | None
    selection: int | None = None

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
    def kernel_needed(self) -> str:
        """Cells that agree in this need the same kernel matrices, or make the same choice, which the first of them pays for."""
        arch, engine = self.kernel_architecture, self.method.parameters.get("engine")
        return json.dumps([*self._shared_place(), engine, None if arch is None else arch.key])

    @property
    def sharing(self) -> str:
        """Cells that agree in this run one after the other in one worker: their kernel matrices are the same, or come out of one pass."""
        return json.dumps([*self._shared_place(), None if self.kernel_architecture is None else sweep_key(self.kernel_architecture)])

    def _shared_place(self) -> list[Any]:
        split = self.split if self.selection is None else self.selection  # what was chosen once serves every fold
        if self.kernel_architecture is None:
            return [self.data.model_dump(), split, self.method.name, self.method.plain_parameters(), self.seed]
        return [self.data.model_dump(), split, self.method.parameters.get("dtype")]

    @property
    def kernel_architecture(self) -> Architecture | None:
        """The architecture whose kernel matrices the cell needs, where it is known before it runs."""
        return self.method.architecture if "kernel" in self.method.parameters else None

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
        if self.selection is not None:
            chosen_on = dataset.splits[self.selection]
            described["selection"] = [_digest(rows) for rows in (chosen_on.train, chosen_on.validation)]
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def load_entry(entry: DataEntry) -> Dataset:
    """The data set that a suite's entry asks for; for uci/NAME hyper-parameters are chosen inside each split unless it says otherwise."""
    protocol = "nested" if entry.protocol is None and entry.name.startswith("uci/") else entry.protocol
    return load(entry.name, None, n=entry.n, n_test=entry.n_test, seed=entry.seed, protocol=protocol, **dict(entry.parameters))


def check_methods(suite_file: SuiteFile, methods: Sequence[str] = ()) -> None:
    """Refuse what no data could make right, such as a GPU that is absent, before any data set is loaded: as `expand`, with the line."""
    for index, entry in enumerate(suite_file.suite.methods):
        if not methods or entry.name in methods:
            for _ in _method_specs(suite_file, index, entry):
                pass


def expand(
    suite_file: SuiteFile, datasets: Mapping[DataEntry, Dataset], *, methods: Sequence[str] = (), seeds: int | None = None
) -> list[Cell]:
    """The cells of a suite on the given data sets, in the suite's order: every method on every data set that it can read.

    methods: registered names, all of the suite's without one. seeds: how many seeds instead of the suite's own.
    Raises SkipbenchError, with the line, for a method that has a parameter it cannot have, and for a split that cannot be used.
    """
    suite = suite_file.suite
    cells: dict[str, Cell] = {}
    for index, entry in enumerate(suite.methods):
        if methods and entry.name not in methods:
            continue
        specs = list(_method_specs(suite_file, index, entry))
        if len(specs) * len(datasets) > MOST_CELLS:
            raise suite_file.error(("methods", index), f"this expands to more than {MOST_CELLS} cells: shorten its lists")
        for data, dataset in datasets.items():
            splits = splits_of(suite_file, data, dataset)
            for spec, label, kinds in specs:
                if dataset.kind in kinds:
                    for split, seed in itertools.product(splits, _seeds(suite_file, index, entry, seeds)):
                        cell = Cell(data, split, spec, label, seed, selection_of(dataset, split))
                        cells[cell.identity] = cell
    return list(cells.values())


def splits_of(suite_file: SuiteFile, entry: DataEntry, dataset: Dataset) -> tuple[int, ...]:
    """Indices of the splits that a suite asks for: by itself, or by the split on which it is chosen, each has validation rows."""
    if dataset.task != "classification":
        raise suite_file.data_error(
            entry,
            None,
            f"{entry.name} is a regression set, and the methods of a suite are classifiers: use it in Python (skipbench.datasets)",
        )
    testing = tuple(index for index, split in enumerate(dataset.splits) if len(split.test))
    wanted = testing if entry.splits is None else entry.splits
    for index in wanted:
        if not 0 <= index < len(dataset.splits):
            raise suite_file.data_error(entry, "splits", f"{entry.name} has splits 0 to {len(dataset.splits) - 1}, found {index}")
        if index not in testing:
            allowed = ", ".join(map(str, testing))
            message = f'{entry.name}: split {index} ("{dataset.splits[index].name}") has no test rows: use some of {allowed}'
            raise suite_file.data_error(entry, "splits", message)
        if not len(dataset.splits[index].validation) and selection_of(dataset, index) is None:
            message = f'{entry.name}: split {index} ("{dataset.splits[index].name}") has no validation rows to choose on'
            raise suite_file.data_error(entry, "splits", message)
    return wanted


def selection_of(dataset: Dataset, split: int) -> int | None:
    """The split on which the hyper-parameters of `split` are chosen, where it has no validation rows of its own: the first without test
    rows, as the protocol `collection` has one. None where there is no such split, or no need of it."""
    if len(dataset.splits[split].validation):
        return None
    for index, other in enumerate(dataset.splits):
        if len(other.validation) and not len(other.test):
            return index
    return None


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
    choices = {name: _values(suite_file, (*place, name), name, value, entry.name) for name, value in entry.parameters.items()}
    if math.prod(map(len, choices.values())) > MOST_CELLS:
        raise suite_file.error(place, f"this expands to more than {MOST_CELLS} cells: shorten its lists")
    for name in entry.choose:
        if name not in choices:
            raise suite_file.error((*place, "choose"), unknown_name(f"{entry.name}: choose names the parameter", name, choices))
    candidates = _combinations({name: choices.pop(name) for name in entry.choose}) if entry.choose else ()
    for combination in _combinations(choices):
        spec = MethodSpec(entry.name, combination, candidates)
        try:
            kinds, label = _kinds(spec), _label(spec)
        except SkipbenchError as error:
            raise suite_file.error(_named_in(place, str(error), spec), str(error)) from error
        yield spec, label, kinds


def _combinations(choices: Mapping[str, Sequence[Any]]) -> tuple[dict[str, Any], ...]:
    return tuple(dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values()))


def _kinds(spec: MethodSpec) -> tuple[str, ...]:
    """The kinds of input that every variant reads."""
    kinds = [input_kinds(spec.name, variant) for variant in spec.variants]
    shared = tuple(kind for kind in kinds[0] if all(kind in others for others in kinds))
    if not shared:
        raise SkipbenchError(f"{spec.name}: of the candidates some read vectors and some images, so none can be chosen")
    return shared


def _label(spec: MethodSpec) -> str:
    """The method's own label; with candidates what their labels have in common, and how many there are."""
    labels = [method_label(spec.name, variant) for variant in spec.variants]
    if not spec.candidates:
        return labels[0]
    same = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*labels, strict=False))
    return f"{''.join(letters[0] for letters in same).rstrip(' (,=')}, best of {len(labels)}"


def _named_in(place: tuple[str | int, ...], message: str, spec: MethodSpec) -> tuple[str | int, ...]:
    """The place of the parameter that a message names, so that the error points to its line."""
    named = [name for name in spec.variants[0] if f"{name}=" in message]
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
    if math.prod(map(len, listed)) > MOST_CELLS:
        raise suite_file.error(place, f"this expands to more than {MOST_CELLS} architectures: shorten its lists")
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


def _plain_mapping(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in sorted(parameters.items())}


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dict"):
        return value.to_dict()
    return list(value) if isinstance(value, tuple) else value


def _digest(rows: Any) -> str:
    return hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest()
