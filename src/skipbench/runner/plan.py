"""What a run has to do: the suite's cells with their keys, those that the store holds already, and the rest in groups that share work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from skipbench.architecture import Architecture
from skipbench.cells import Cell, check_methods, check_names, expand, load_entry
from skipbench.checks import MissingDataError, SkipbenchError
from skipbench.datasets import Dataset, dataset_names
from skipbench.datasets.preprocess import shape_after
from skipbench.environment import current_environment, source
from skipbench.results.record import CellRecord, DatasetUsed, MethodUsed, Seeds
from skipbench.results.store import ResultStore
from skipbench.runner.messages import PlannedCell
from skipbench.suite import DataEntry, SuiteFile, parts_of
from skipbench.trainers.registry import family_of, make_method, source_version


@dataclass(frozen=True)
class Selection:
    """Which part of a suite to run; empty means all of it. skip_missing: leave out data sets whose files are not there."""

    datasets: Sequence[str] = ()
    methods: Sequence[str] = ()
    seeds: int | None = None
    skip_missing: bool = False


@dataclass(frozen=True)
class Plan:
    """Every selected cell, and of these the ones still to compute, in groups that share kernel matrices or passes, in running order.

    missing: for each data set that was left out since its files are not there, the reason.
    """

    suite_file: SuiteFile
    datasets: dict[DataEntry, Dataset]
    cells: list[PlannedCell]
    groups: list[list[PlannedCell]]
    reused: int
    failed_before: int
    missing: dict[str, str]

    @property
    def pending(self) -> int:
        """Cells to compute."""
        return sum(len(group) for group in self.groups)


def selected_datasets(suite_file: SuiteFile, selection: Selection, missing: dict[str, str]) -> dict[DataEntry, Dataset]:
    """Load the selected data sets of a suite without parts; an unknown name is refused with its line.

    missing: receives the reason for each set that the selection lets us leave out.
    """
    for entry in suite_file.suite.data:
        if not entry.name.startswith("uci/"):
            try:
                check_names("data set", [entry.name], dataset_names(), where="", hint="skipbench data list")
            except ValueError as error:
                raise suite_file.data_error(entry, None, str(error)) from error
    loaded = {}
    for entry in suite_file.suite.data:
        if not selection.datasets or entry.name in selection.datasets:
            try:
                loaded[entry] = load_entry(entry)
            except MissingDataError as error:
                if not selection.skip_missing:
                    raise
                missing[entry.name] = str(error)
    return loaded


def make_plan(
    suite_file: SuiteFile,
    selection: Selection,
    store: ResultStore,
    *,
    device: str,
    command: str,
    retry_failed: bool = False,
    checkpoints: Path | None = None,
) -> Plan:
    """Expand the selected part of a suite and look up what the store holds. Only records with status `ok` are reused.

    A cell that failed before is left alone unless `retry_failed`: its record stands in the store, and says why.
    checkpoints: a folder in which each cell that is long may keep one; None for none.
    """
    missing: dict[str, str] = {}
    cells, datasets = _selected_cells(suite_file, selection, missing)
    blank = _BlankRecords(suite_file, datasets, device=device, command=command)
    blanks = [(cell, blank.of(cell)) for cell in cells]
    planned = [PlannedCell(cell, made, checkpoint_dir=None if checkpoints is None else checkpoints / made.key) for cell, made in blanks]
    groups: dict[str, list[PlannedCell]] = {}
    statuses = {record.key: record.status for record in store.records()}  # all of them, so that a foreign file is named
    reused = failed_before = 0
    for item in planned:
        status = statuses.get(item.key)
        if status == "ok":
            reused += 1
        elif status is not None and not retry_failed:
            failed_before += 1
        else:
            groups.setdefault(item.cell.sharing, []).append(item)
    return Plan(suite_file, datasets, planned, [in_running_order(group) for group in groups.values()], reused, failed_before, missing)


def in_running_order(group: Sequence[PlannedCell]) -> list[PlannedCell]:
    """A group as one worker runs it: the deepest networks first, since shallower ones come out of their pass; each knows what is coming."""
    ordered = sorted(group, key=_depth, reverse=True)  # stable: cells of one depth stay in the suite's order
    return [replace(item, coming=_architectures(item, ordered[place:])) for place, item in enumerate(ordered, start=1)]


def _depth(item: PlannedCell) -> int:
    arch = item.cell.kernel_architecture
    return 0 if arch is None else arch.depth


def _architectures(item: PlannedCell, later: Sequence[PlannedCell]) -> tuple[Architecture, ...]:
    needed = (other.cell.kernel_architecture for other in later if other.cell.split == item.cell.split)
    return tuple(dict.fromkeys(arch for arch in needed if arch is not None))


def _selected_cells(suite_file: SuiteFile, selection: Selection, missing: dict[str, str]) -> tuple[list[Cell], dict[DataEntry, Dataset]]:
    """The cells of every part of the suite that the selection leaves, each once, and the data sets they need."""
    parts, suite = parts_of(suite_file), suite_file.suite
    named = {entry.name for part in parts for entry in part.suite.data}
    check_names("data set", selection.datasets, sorted(named), where=f"in suite {suite.name}", hint="skipbench data list")
    methods = {entry.name for part in parts for entry in part.suite.methods}
    check_names("method", selection.methods, sorted(methods), where=f"in suite {suite.name}", hint="skipbench list")
    cells: dict[str, Cell] = {}
    datasets: dict[DataEntry, Dataset] = {}
    for part in parts:
        check_methods(part, selection.methods)
    for part in parts:
        own = selected_datasets(part, selection, missing)
        datasets |= own
        cells |= {cell.identity: cell for cell in expand(part, own, methods=selection.methods, seeds=selection.seeds)}
    if missing and not datasets:
        raise MissingDataError(f"suite {suite.name}: none of its data sets is there. {next(iter(missing.values()))}")
    if not cells:
        kinds = " and ".join(sorted({dataset.kind for dataset in datasets.values()}))
        raise SkipbenchError(f"suite {suite.name}: none of the chosen methods can read the chosen data sets, which are {kinds}")
    return list(cells.values()), datasets


class _BlankRecords:
    """Records as they are before a cell runs: all that does not depend on the outcome."""

    def __init__(self, suite_file: SuiteFile, datasets: dict[DataEntry, Dataset], *, device: str, command: str) -> None:
        self._suite, self._datasets = suite_file.suite, datasets
        self._device, self._command = device, command
        self._environment, self._source, self._created = current_environment(), source(), datetime.now(UTC)

    def of(self, cell: Cell) -> CellRecord:
        dataset = self._datasets[cell.data]
        return CellRecord(
            key=cell.key(dataset, self._device),
            status="failed",
            suite=self._suite.name,
            command=self._command,
            source=self._source,
            environment=self._environment,
            created=self._created,
            dataset=_dataset_used(cell, dataset),
            method=_method_used(cell),
            seeds=Seeds(data=cell.data.seed, init=cell.seed, order=cell.seed),
            device=self._device,
            dtype=str(cell.method.parameters.get("dtype", _default(cell, "dtype") or "float64")),
        )


def _dataset_used(cell: Cell, dataset: Dataset) -> DatasetUsed:
    split = dataset.splits[cell.split]
    return DatasetUsed(
        name=cell.data.label,
        sha256=dataset.sha256,
        split=cell.split,
        protocol=dataset.protocol,
        n_train=len(split.train),
        n_validation=len((split if cell.selection is None else dataset.splits[cell.selection]).validation),
        n_test=len(split.test),
        classes=len(dataset.classes),
        input_shape=shape_after(cell.data.preprocess, dataset.input_shape),
        preprocessing=cell.data.preprocess,
    )


def _method_used(cell: Cell) -> MethodUsed:
    arch = cell.method.architecture
    width = cell.method.parameters.get("width", _default(cell, "width"))
    return MethodUsed(
        name=cell.method.name,
        family=family_of(cell.method.name),
        label=cell.method_label,
        source_version=source_version(cell.method.name),
        kernel=cell.method.parameters.get("kernel", _default(cell, "kernel")),
        architecture=None if arch is None else arch.to_dict(),
        alpha_value=getattr(arch, "alpha_value", None),
        residual=_is_residual(cell),
        width=width,
        parameters={name: value for name, value in cell.method.plain_parameters().items() if name != "architecture"},
    )


def _is_residual(cell: Cell) -> bool | None:
    """Whether what is fitted has skip connections: by its architecture, or as the method itself says; None where neither does, or where
    candidates differ in it."""
    found = set()
    for variant in cell.method.variants:
        arch = variant.get("architecture")
        found.add(getattr(make_method(cell.method.name, variant), "is_residual", None) if arch is None else arch.is_residual)
    return found.pop() if len(found) == 1 else None


def _default(cell: Cell, parameter: str) -> object:
    """A constructor default, where the suite does not give the parameter and the method has it."""
    return make_method(cell.method.name, cell.method.variants[0]).get_params(deep=False).get(parameter)
