"""Records as a pandas table: one row for each, with plain columns."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from skipbench.results.record import AnyRecord, CellRecord, ClaimRecord
from skipbench.results.store import ResultStore

Kind = Literal["cell", "claim", "performance"]
Folder = str | os.PathLike[str]
ARCHITECTURE_FIELDS = ("family", "depth", "alpha", "filter_size", "padding", "readout", "bias", "branch_depth", "train_ends")


def load_records(folders: Folder | Sequence[Folder], suite: str | None = None, kind: Kind = "cell") -> pd.DataFrame:
    """The records of one kind in one or several folders (each with its sub-folders), one row each.

    Where a key stands in several folders the last folder wins. suite: only this suite's. Numbers that a record holds as null because they are
    infinite (a condition number, iterations that were never reached) are infinite here; what was not measured is NaN. Seconds are
    in `seconds` (all phases) and `seconds_PHASE`; memory is in bytes. Unreadable files are skipped with a StoreWarning.
    """
    return records_frame(read_folders(folders), suite=suite, kind=kind)


def read_folders(folders: Folder | Sequence[Folder]) -> list[AnyRecord]:
    """The records of the folders and their sub-folders, each key once, the last folder's first choice."""
    listed = [folders] if isinstance(folders, str | os.PathLike) else list(folders)
    found: dict[str, AnyRecord] = {}
    for folder in listed:
        root = Path(folder)
        inner = sorted(path for path in root.rglob("*") if path.is_dir() and not path.is_symlink()) if root.is_dir() else []
        for place in (root, *inner):
            found.update((record.key, record) for record in ResultStore(place).records())
    return list(found.values())


def records_frame(records: Iterable[AnyRecord], suite: str | None = None, kind: Kind = "cell") -> pd.DataFrame:
    """The table of some records; `load_records` says what its columns mean."""
    chosen = (record for record in records if record.kind == kind and suite in (None, record.suite))
    frame = pd.DataFrame([_row(record) for record in chosen])
    return frame if len(frame) else pd.DataFrame({name: [] for name in ("suite", "kind", "status", "dataset", "label", "accuracy")})


def _row(record: AnyRecord) -> dict[str, Any]:
    shared = {
        "key": record.key,
        "kind": record.kind,
        "suite": record.suite,
        "status": record.status,
        "reason": record.reason,
        "created": record.created,
        "version": record.source.version,
        "git_commit": record.source.git_commit,
        "cpu": record.environment.cpu,
        "machine_class": record.environment.machine_class,
        "threads": record.environment.threads.torch,
    }
    metrics = {metric.name: metric.value for metric in record.metrics}
    if isinstance(record, CellRecord):
        return {**shared, **_cell_columns(record), **metrics}
    named = {"claim": record.claim, "verdict": record.verdict} if isinstance(record, ClaimRecord) else {"benchmark": record.benchmark}
    return {**shared, **named, **metrics}


def _cell_columns(record: CellRecord) -> dict[str, Any]:
    return {
        "dataset": record.dataset.name,
        "split": record.dataset.split,
        "protocol": record.dataset.protocol,
        "inputs": "vectors" if len(record.dataset.input_shape) == 1 else "images",
        "n_train": record.dataset.n_train,
        "n_test": record.dataset.n_test,
        "method": record.method.name,
        "family": record.method.family,
        "label": record.method.label,
        "kernel": record.method.kernel,
        "residual": record.method.residual,
        "width": record.method.width,
        "seed": record.seeds.init,
        "device": record.device,
        "dtype": record.dtype,
        **_architecture_columns(record),
        **_spectrum_columns(record),
        **_convergence_columns(record),
        **_cost_columns(record),
        **{f"chosen_{choice.name}": choice.value for choice in record.method.choices},
    }


def _architecture_columns(record: CellRecord) -> dict[str, Any]:
    fields: Mapping[str, Any] = record.method.architecture or {}
    columns = {name: fields.get(name) for name in ARCHITECTURE_FIELDS}
    columns["architecture"] = columns.pop("family")
    return {**columns, "alpha": record.method.alpha_value or fields.get("alpha")}


def _spectrum_columns(record: CellRecord) -> dict[str, Any]:
    spectrum = record.spectrum
    if spectrum is None:
        return {}
    raw = next((matrix for matrix in spectrum.matrices if matrix.scaling == "raw" and matrix.ridge == 0), None)
    unit = next((matrix for matrix in spectrum.matrices if matrix.scaling == "unit_diagonal" and matrix.ridge == 0), None)
    return {
        "condition_number": math.nan if raw is None else _infinite_if_null(raw.condition_number),
        "unit_condition_number": math.nan if unit is None else _infinite_if_null(unit.condition_number),
        "numerical_rank": None if raw is None else raw.numerical_rank,
        "lambda_max": None if raw is None else raw.lambda_max,
        "lambda_min": None if raw is None else raw.lambda_min,
        "effective_dimension": spectrum.effective_dimension,
        "double_constant_bound": spectrum.double_constant_bound,
    }


def _convergence_columns(record: CellRecord) -> dict[str, Any]:
    convergence = record.convergence
    if convergence is None:
        return {}
    return {
        "convergence": convergence.source,
        "learning_rate": convergence.learning_rate,
        "momentum": convergence.momentum,
        "iterations_90": _infinite_if_null(convergence.iterations_90),
        "iterations_99": _infinite_if_null(convergence.iterations_99),
        "iterations_99_9": _infinite_if_null(convergence.iterations_99_9),
        "last_step": convergence.last_step,
    }


def _cost_columns(record: CellRecord) -> dict[str, Any]:
    memory = record.peak_memory
    phases = {f"seconds_{name.replace(' ', '_')}": seconds for name, seconds in record.phases.items()}
    return {"seconds": sum(record.phases.values()), **phases, "peak_memory": None if memory is None else memory.host_bytes}


def _infinite_if_null(value: float | None) -> float:
    return math.inf if value is None else float(value)
