"""Records as a flat table: one row each, columns that people can read."""

from __future__ import annotations

import hashlib
import json
import math
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from skipbench.checks import SkipbenchError, shown_name, unknown_name
from skipbench.results.columns import ACCURACIES, COLUMNS, COMMON_COLUMNS, KINDS, REAL, TEXT, TIME, Kind
from skipbench.results.record import AnyRecord, CellRecord, ClaimRecord, Convergence, KernelComparison, MatrixSpectrum
from skipbench.results.store import ResultStore, StoreWarning

Folder = str | os.PathLike[str]
METRIC_NAMES = {"test_accuracy": "accuracy"}  # another name for the same column
LEAST_LOSS = 1e-8  # of the first one: outputs in float32 are wrong by 1e-7 to 1e-5, and the loss is their square
NOT_COUNTED_PHASES = ("warmup", "warm_up", "warm-up", "warm up")  # compilation and first calls say nothing about the method


def load_records(folders: Folder | Sequence[Folder], suite: str | None = None, kind: Kind = "cell") -> pd.DataFrame:
    """Read every record of one kind into a table, one row each; `skipbench.results.columns` lists the columns.

    folders: one store or several, each read with the folders in it (one a suite). Where one suite has a key twice, the last folder
    wins. suite: keep this suite's records only.

    `condition_number` is inf where the matrix is numerically singular, `iterations_*` is inf where the loss reduction was never
    reached; both are NaN where nothing of the kind was measured. `seconds` adds up all phases but warm-up, `own_seconds` those
    that no other cell paid for, `seconds_PHASE` is one of them; memory is in bytes; `chosen_NAME` is a hyper-parameter that validation
    chose. Without records the columns are the same.

    Raises SkipbenchError for a folder that is not there. What cannot be read is skipped with a StoreWarning.
    """
    return records_frame(read_folders(folders), suite=suite, kind=kind)


def read_folders(folders: Folder | Sequence[Folder]) -> list[AnyRecord]:
    """The records in the folders and the folders below them, each key of a suite once: the last folder's."""
    found: dict[tuple[str, str], AnyRecord] = {}
    for folder in [folders] if isinstance(folders, str | os.PathLike) else folders:
        for place in _places(Path(folder)):
            found.update(((record.suite, record.key), record) for record in ResultStore(place).records())
    return list(found.values())


def records_frame(records: Iterable[AnyRecord], suite: str | None = None, kind: Kind = "cell") -> pd.DataFrame:
    """The table of `load_records` from records in memory."""
    if kind not in KINDS:
        raise SkipbenchError(unknown_name("kind of record", str(kind), KINDS))
    rows = [_row(record) for record in records if record.kind == kind and suite in (None, record.suite)]
    types = {**_extra_types(rows), **COLUMNS[kind]}
    ordered = [*COLUMNS[kind], *(name for name in types if name not in COLUMNS[kind])]
    return pd.DataFrame({name: _column([row.get(name) for row in rows], types[name]) for name in ordered})


def _places(root: Path) -> Iterator[Path]:
    """The folder and every one below it, by name; hidden ones and symbolic links are left alone."""
    if not root.is_dir():
        raise SkipbenchError(f"no results folder {shown_name(str(root), 200)}: `skipbench run SUITE --results DIR` makes one")
    for folder, inner, _ in os.walk(root):
        for name in [name for name in inner if os.path.islink(os.path.join(folder, name))]:
            warnings.warn(f"skipped: {shown_name(name, 200)} is a symbolic link, and links are not followed", StoreWarning, stacklevel=4)
        inner[:] = sorted(name for name in inner if not name.startswith(".") and not os.path.islink(os.path.join(folder, name)))
        yield Path(folder)


def _column(values: list[Any], of: str) -> pd.Series[Any]:
    if of == TEXT:
        values = [None if value is None else str(value) for value in values]
        return pd.Series(values, dtype="str" if _has_string_type() else "object")
    if of == TIME:
        return pd.to_datetime(pd.Series(values, dtype="object"), utc=True).astype("datetime64[us, UTC]")
    return pd.Series(values, dtype=of)


def _has_string_type() -> bool:
    """pandas 3 has a string type in which a missing text is NaN; before, "str" turned None into a text."""
    return int(pd.__version__.split(".")[0]) >= 3


def _extra_types(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Types of the columns that depend on the records (phases, choices, metrics): text where any row has text there."""
    types: dict[str, str] = {}
    for row in rows:
        for name, value in row.items():
            if isinstance(value, str) or name not in types:
                types[name] = TEXT if isinstance(value, str) else REAL
    return types


def _row(record: AnyRecord) -> dict[str, Any]:
    environment, source = record.environment, record.source
    shared = {
        **{name: getattr(record, name) for name in COMMON_COLUMNS},
        "created": record.created,
        "command": record.command,
        "version": source.version,
        "git_commit": source.git_commit,
        "dirty": source.dirty,
        "machine_class": environment.machine_class,
        "cpu": environment.cpu,
        "gpu": environment.gpu,
        "threads": environment.threads.torch,
    }
    metrics = {METRIC_NAMES.get(metric.name, metric.name): metric.value for metric in record.metrics}
    if isinstance(record, CellRecord):
        measured = (_spectrum(record), _convergence(record), _tangent_kernel(record), _kernel_comparison(record))
        parts = (_dataset(record), _method(record), *measured, _costs(record), _choices(record))
        named = {name if name in ACCURACIES else f"metric_{name}": value for name, value in metrics.items()}
        return {**shared, **{name: value for part in parts for name, value in part.items()}, **named}
    named = {f"metric_{name}": value for name, value in metrics.items()}
    if isinstance(record, ClaimRecord):
        return {**shared, **named, "claim": record.claim, "verdict": record.verdict}
    return {**shared, **named, "benchmark": record.benchmark, "parameters": _compact(record.parameters)}


def _dataset(record: CellRecord) -> dict[str, Any]:
    used = record.dataset
    return {
        **{name: getattr(used, name) for name in ("protocol", "split", "n_train", "n_validation", "n_test", "classes")},
        "dataset": used.name,
        "dataset_sha256": used.sha256,
        "inputs": "vectors" if len(used.input_shape) == 1 else "images",
        "input_shape": "x".join(str(side) for side in used.input_shape),
        "preprocessing": ", ".join(used.preprocessing),
    }


def _method(record: CellRecord) -> dict[str, Any]:
    used = record.method
    architecture = used.architecture or {}
    fields = ("depth", "filter_size", "padding", "readout", "bias", "branch_depth", "train_ends")
    alpha = architecture.get("alpha")
    return {
        **{name: architecture.get(name) for name in fields},
        **{name: getattr(used, name) for name in ("family", "label", "kernel", "residual", "width", "source_version")},
        "method": used.name,
        "architecture": architecture.get("family"),
        "architecture_key": _compact(architecture) if architecture else None,
        "alpha": None if alpha is None else str(alpha),
        "alpha_value": float(alpha) if used.alpha_value is None and isinstance(alpha, int | float) else used.alpha_value,
        "parameters": _compact(used.parameters),
        "method_key": _method_key(record),
        "seed": record.seeds.init,
        "data_seed": record.seeds.data,
        "order_seed": record.seeds.order,
        "device": record.device,
        "dtype": record.dtype,
    }


def _method_key(record: CellRecord) -> str:
    """Ten digits that are equal exactly where the same thing was fitted, whatever the data, the seed and the source version."""
    used = record.method
    identity = [used.name, used.family, used.kernel, used.architecture, used.width, used.parameters, record.dtype]
    return hashlib.sha256(_compact(identity).encode()).hexdigest()[:10]


def _spectrum(record: CellRecord) -> dict[str, Any]:
    spectrum = record.spectrum
    if spectrum is None:
        return {}
    names = ("double_constant_bound", "mean_off_diagonal", "effective_dimension")
    row: dict[str, Any] = {name: getattr(spectrum, name) for name in names}
    bare = {matrix.scaling: matrix for matrix in spectrum.matrices if matrix.ridge == 0.0}
    if raw := bare.get("raw"):
        row |= {name: getattr(raw, name) for name in ("lambda_max", "lambda_min", "numerical_rank")}
        row["condition_number"] = _condition(raw)
    if unit := bare.get("unit_diagonal"):
        row["unit_condition_number"] = _condition(unit)
    if spectrum.decay is not None:
        row |= {f"decay_{name}": getattr(spectrum.decay, name) for name in ("exponent", "low", "high")}
    if spectrum.label_energy:
        row |= {
            name: _or_infinite(getattr(spectrum, name)) for name in ("label_condition_90", "label_condition_99", "label_condition_99_9")
        }
    return row


def _condition(matrix: MatrixSpectrum) -> float:
    return _or_infinite(matrix.condition_number)


def _or_infinite(value: float | None) -> float:
    return math.inf if value is None else float(value)


def _convergence(record: CellRecord) -> dict[str, Any]:
    measured = record.convergence
    if measured is None:
        return {}
    settings = {name: getattr(measured, name) for name in ("last_step", "learning_rate", "momentum", "predicted_rate", "measured_rate")}
    return {**_iterations(measured), **settings, "convergence": measured.source}


def _iterations(measured: Convergence) -> dict[str, float]:
    return {name: _or_infinite(getattr(measured, name)) for name in ("iterations_90", "iterations_99", "iterations_99_9")}


def _tangent_kernel(record: CellRecord) -> dict[str, Any]:
    track = record.tangent_kernel
    if track is None or not track.points:
        return {}
    first, last = track.points[0], track.points[-1]
    return {
        "tangent_drift": last.drift,
        "tangent_distance_start": first.distance_to_limit,
        "tangent_distance_end": last.distance_to_limit,
        "tangent_condition_start": _or_infinite(first.condition_number),
        "tangent_condition_end": _or_infinite(last.condition_number),
    }


def _kernel_comparison(record: CellRecord) -> dict[str, Any]:
    compared = record.kernel_comparison
    if compared is None:
        return {}
    names = ("prediction_distance", "agreement", "kernel_accuracy", "kernel_loss", "network_loss")
    predictions = {"predicted": compared.predicted, "start": compared.predicted_at_start}
    iterations = {
        f"{source}_{name}": value
        for source, predicted in predictions.items()
        if predicted is not None
        for name, value in _iterations(predicted).items()
    }
    return {**{name: getattr(compared, name) for name in names}, "kept_pace": _kept_pace(record, compared), **iterations}


def _kept_pace(record: CellRecord, compared: KernelComparison) -> float | None:
    """Decades of training loss that the network lost by those that its kernel predicts; 1 is the kernel's pace.

    At the last step at which both are above what float32 holds: beyond it a network that trains fast would seem slow.
    """
    measured = {point.step: point.loss for point in record.curve}
    pairs = [(measured[point.step], point.loss) for point in compared.curve if point.step in measured]
    shares = [(own / pairs[0][0], kernel / pairs[0][1]) for own, kernel in pairs[1:]] if pairs and min(pairs[0]) > 0 else []
    held = [(own, kernel) for own, kernel in shares if own > LEAST_LOSS and LEAST_LOSS < kernel < 1]
    return math.log(held[-1][0]) / math.log(held[-1][1]) if held else None


def _costs(record: CellRecord) -> dict[str, Any]:
    row: dict[str, Any] = {f"seconds_{phase.replace(' ', '_')}": seconds for phase, seconds in record.phases.items()}
    if record.phases:
        counted = {phase: seconds for phase, seconds in record.phases.items() if phase not in NOT_COUNTED_PHASES}
        row["seconds"] = sum(counted.values())
        row["own_seconds"] = sum(seconds for phase, seconds in counted.items() if phase not in record.shared_phases)
    if record.peak_memory is not None:
        row |= {"peak_memory": record.peak_memory.host_bytes, "peak_device_memory": record.peak_memory.device_bytes}
    return row


def _choices(record: CellRecord) -> dict[str, Any]:
    return {f"chosen_{choice.name}": choice.value for choice in record.method.choices}


def _compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
