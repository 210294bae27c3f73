"""One cell, from the data to a finished record; whatever goes wrong inside becomes the record's status and reason."""

from __future__ import annotations

import contextlib
import functools
import resource
import sys
import traceback
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from skipbench.cells import Cell, load_entry
from skipbench.checks import SkipbenchError
from skipbench.clock import Clock
from skipbench.datasets import Dataset
from skipbench.datasets.preprocess import PreparedSplit, preprocess
from skipbench.kernels import KernelMemory
from skipbench.results.privacy import without_folders
from skipbench.results.record import CellRecord, Metric, PeakMemory, RidgePoint, Status
from skipbench.runner.messages import PlannedCell
from skipbench.suite import DataEntry
from skipbench.trainers.networks import TrainingDiverged
from skipbench.trainers.registry import make_method, method_label
from skipbench.trainers.selection import Selected, fit_chosen, select

_MEASURED = ("spectrum", "convergence", "curve", "tangent_kernel", "kernel_comparison")  # goes from the method into the record as it is
_KEPT_DATASETS = 4
_KEPT_SELECTIONS = 4
_LONGEST_REASON = 2000


class CellRunner:
    """Runs cells one after the other, keeping the data sets and kernel matrices that the next one may need."""

    def __init__(self) -> None:
        self._memory = KernelMemory()
        self._datasets: OrderedDict[DataEntry, Dataset] = OrderedDict()
        self._selections: OrderedDict[tuple[Any, ...], Selected] = OrderedDict()

    def run(self, planned: PlannedCell) -> CellRecord:
        """The finished record; never raises for what a cell may do wrong."""
        _restart_peak_memory(planned.blank.device)
        clock, partial = Clock(), dict[str, Any]()
        self._memory.new_consumer()
        own = planned.cell.kernel_architecture
        self._memory.expect(() if own is None else (own, *planned.coming))
        try:
            self._fit_and_measure(planned, clock, partial)
            status: Status = "ok"
        except Exception as error:  # noqa: BLE001 - a cell must not take the others with it
            status, partial["reason"] = _status_of(error), _reason(error)
            if isinstance(error, TrainingDiverged):
                partial["curve"] = tuple(error.curve)
        phases = {**clock.seconds, **partial.pop("phases", {})}
        if self._memory.seconds_spared > 0:
            phases["kernel"] = phases.get("kernel", 0.0) + self._memory.seconds_spared
            partial["shared_phases"] = ("kernel",)
        partial |= {"status": status, "phases": phases, "peak_memory": _peak_memory(planned.blank.device), "created": datetime.now(UTC)}
        return CellRecord.model_validate({**dict(planned.blank), **partial})

    def _fit_and_measure(self, planned: PlannedCell, clock: Clock, partial: dict[str, Any]) -> None:
        cell, device = planned.cell, planned.blank.device
        with clock.phase("load"):
            dataset = self._dataset(cell.data)
            _check_content(dataset, planned)
            data = preprocess(dataset, dataset.splits[cell.split], cell.data.preprocess)
        selected: Selected | None = None
        if cell.selection is None and not cell.method.candidates:
            method = self._method(cell, device, cell.method.parameters, planned.checkpoint_dir)
            with clock.phase("fit"):
                method.fit(data.x_train, data.y_train, data.x_validation, data.y_validation)
        else:
            with clock.phase("selection"):
                selected = self._selected(cell, device, dataset)
            method = selected.method
            if cell.selection is not None:
                with clock.phase("fit"):
                    method = fit_chosen(functools.partial(self._method, cell, device), selected, data.x_train, data.y_train)
        with clock.phase("evaluate"):
            partial["metrics"] = _metrics(method, data, selected)
        self._add_measurements(planned, method, data, selected, clock, partial)

    def _add_measurements(
        self, planned: PlannedCell, method: Any, data: PreparedSplit, selected: Selected | None, clock: Clock, partial: dict[str, Any]
    ) -> None:
        """What the method measured and chose, as the record has it."""
        measured = dict(getattr(method, "measurements_", {}))
        path, choices = measured.pop("ridge_path", ()), tuple(measured.pop("choices", ()))
        if selected is not None:
            path, choices = selected.ridge_path, selected.choices
        partial["ridge_path"] = _with_test_accuracies(method, data, path, clock)
        partial["method"] = planned.blank.method.model_copy(update={"choices": choices})
        phases = measured.pop("phases", None)
        if phases and "fit" in clock.seconds:  # the method's own phases stand for the one around them
            clock.seconds["other"] = max(0.0, clock.seconds.pop("fit") - sum(phases.values()))
            partial["phases"] = {name: clock.seconds.get(name, 0.0) + seconds for name, seconds in phases.items()}
        partial.update({name: measured[name] for name in _MEASURED if name in measured})

    def _selected(self, cell: Cell, device: str, dataset: Dataset) -> Selected:
        """The best candidate on the split on which this cell is chosen; remembered, since the folds of a set share that split."""
        split = cell.split if cell.selection is None else cell.selection
        place = (cell.data, split, cell.method.name, str(cell.method.plain_parameters()), cell.seed, device)
        if place not in self._selections:
            data = preprocess(dataset, dataset.splits[split], cell.data.preprocess)
            labels = [method_label(cell.method.name, variant) for variant in cell.method.variants]
            rows = (data.x_train, data.y_train, data.x_validation, data.y_validation)
            self._selections[place] = select(functools.partial(self._method, cell, device), cell.method.variants, labels, *rows)
            while len(self._selections) > _KEPT_SELECTIONS:
                self._selections.popitem(last=False)
        return self._selections[place]

    def _dataset(self, entry: DataEntry) -> Dataset:
        if entry not in self._datasets:
            self._datasets[entry] = load_entry(entry)
            while len(self._datasets) > _KEPT_DATASETS:
                self._datasets.popitem(last=False)
        return self._datasets[entry]

    def _method(self, cell: Cell, device: str, parameters: Mapping[str, Any], checkpoint_dir: Path | None = None) -> Any:
        """The unfitted method. checkpoint_dir: of a cell with one fit only, as a checkpoint belongs to one training."""
        method: Any = make_method(cell.method.name, parameters)
        _check_processes(cell, method)
        offered = {
            "seed": cell.seed,
            "device": device,
            "memory": self._memory,
            "checkpoint_dir": None if checkpoint_dir is None else str(checkpoint_dir),
        }
        open_parameters = {name for name in method.get_params(deep=False) if name not in parameters}
        method.set_params(**{name: value for name, value in offered.items() if name in open_parameters and value is not None})
        return method


def _check_content(dataset: Dataset, planned: PlannedCell) -> None:
    """The record's key names the data that the run was planned with; a worker on another machine reads files of its own."""
    wanted = planned.blank.dataset.sha256
    if dataset.sha256 != wanted:
        raise SkipbenchError(
            f"{dataset.name}: this worker's data have SHA-256 {dataset.sha256[:12]}..., but the run was planned with {wanted[:12]}...: "
            "give every worker the same files (skipbench data verify)"
        )


def _check_processes(cell: Cell, method: Any) -> None:
    """Several devices are several processes, which Lightning starts from a script: what it would find here is this worker."""
    devices = getattr(method, "devices", 1)
    if devices != 1:
        raise SkipbenchError(
            f"{cell.method.name}: devices={devices!r}, but a cell of a suite runs in one process on one device: leave it out, "
            "use --jobs for several cells at once, or fit in a script of your own"
        )


def _metrics(method: Any, data: PreparedSplit, selected: Selected | None) -> tuple[Metric, ...]:
    def accuracy(x: Any, y: Any) -> float:
        return float(np.mean(method.predict(x) == y))

    accuracies = {
        "accuracy": accuracy(data.x_test, data.y_test),
        "validation_accuracy": accuracy(data.x_validation, data.y_validation) if selected is None else selected.validation_accuracy,
        "train_accuracy": accuracy(data.x_train, data.y_train),
    }
    return tuple(Metric(name=name, value=value, direction="higher") for name, value in accuracies.items())


def _with_test_accuracies(method: Any, data: PreparedSplit, path: tuple[RidgePoint, ...], clock: Clock) -> tuple[RidgePoint, ...]:
    """The ridge path with its test column, which is recorded and chooses nothing."""
    if not path or not hasattr(method, "score_path"):
        return path
    with clock.phase("evaluate"):
        on_test = method.score_path(data.x_test, data.y_test)
    return tuple(point.model_copy(update={"test_accuracy": on_test.get(point.ridge)}) for point in path)


def _status_of(error: Exception) -> Status:
    if isinstance(error, TrainingDiverged):
        return "diverged"
    text = str(error).lower()
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError) or "can't allocate memory" in text or "unable to allocate" in text:
        return "oom"
    return "failed"


def _reason(error: Exception) -> str:
    """The message of our own errors; for others also their type and the place in the code."""
    if isinstance(error, SkipbenchError):
        text = str(error)
    else:
        frames = traceback.extract_tb(error.__traceback__)
        place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno}, in {frames[-1].name})" if frames else ""
        text = f"{type(error).__name__}: {error}{place}"
    return without_folders(text)[:_LONGEST_REASON]


def _restart_peak_memory(device: str) -> None:
    """Let the peak count from here, where the system can: a reused worker would else report the largest cell before this one."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)


def _peak_memory(device: str) -> PeakMemory:
    on_device = torch.cuda.max_memory_allocated(device) if device.startswith("cuda") else None
    return PeakMemory(host_bytes=_first_success(_high_water_mark, _largest_resident_set), device_bytes=on_device)


def _first_success(*readers: Callable[[], int]) -> int:
    for reader in readers[:-1]:
        with contextlib.suppress(OSError, StopIteration, ValueError):
            return reader()
    return readers[-1]()


def _high_water_mark() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def _largest_resident_set() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
