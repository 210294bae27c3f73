"""`skipbench gram`: a Gram matrix too large to compute in one sitting, and ridge regression from it."""

from __future__ import annotations

import hashlib
import json
import math
import resource
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.table import Table

from skipbench.architecture import Architecture, architecture_from_dict
from skipbench.checks import SkipbenchError, shown
from skipbench.cli.gram_tables import spectra_on_screen, spectrum_numbers
from skipbench.cli.terminal import make_console
from skipbench.datasets import load
from skipbench.datasets.preprocess import PerChannel, Standardise
from skipbench.environment import current_environment, source
from skipbench.kernels.cost import kernel_cost
from skipbench.results.record import Metric, PerformanceRecord
from skipbench.results.store import ResultStore
from skipbench.runner.progress import readable_seconds
from skipbench.trainers.solvers.stored_study import StoredStudy, stored_study

DTYPES = {"float32": torch.float32, "float64": torch.float64}


def gram(
    dataset: Annotated[str, typer.Argument(help="A data set (skipbench data list); its first split is used.", metavar="DATASET")],
    architecture: Annotated[
        str, typer.Option(help='Family and fields as JSON, e.g. {"family": "ResCNN", "depth": 10, "readout": "tr"}.', metavar="JSON")
    ],
    store: Annotated[Path, typer.Option(help="Folder for the tiles; a second call takes up what is there.", metavar="FOLDER")],
    rows: Annotated[int | None, typer.Option("-n", "--rows", min=2, help="Training rows, instead of all.")] = None,
    test_rows: Annotated[int | None, typer.Option(min=1, help="Test rows, instead of all.")] = None,
    all_depths: Annotated[bool, typer.Option("--all-depths", help="Every depth up to the architecture's, in one pass.")] = False,
    dtype: Annotated[str, typer.Option(help="float32 or float64, of the fields and of the tiles.")] = "float64",
    ridge: Annotated[float, typer.Option(help="Relative to tr(K)/n; nothing is chosen.")] = 1e-4,
    tile: Annotated[int, typer.Option(min=1, help="Side of a tile.")] = 1024,
    scheduler: Annotated[str | None, typer.Option(help="Dask: local, or the address of a scheduler.", metavar="local|ADDRESS")] = None,
    spectrum: Annotated[bool, typer.Option("--spectrum", help="The spectrum of every Gram matrix, by 100 passes over its tiles.")] = False,
    results: Annotated[Path | None, typer.Option(help="Write a record of times and accuracies into this folder.", metavar="FOLDER")] = None,
) -> None:
    """Compute a Gram matrix in tiles on disk, and the test accuracy of ridge regression from it; after any interruption call it again."""
    console = make_console()
    arch, chosen = _architecture(architecture), _dtype(dtype)
    depths = list(range(1, arch.depth + 1)) if all_depths else [arch.depth]
    train, test = _inputs(dataset, rows, test_rows)
    cost = kernel_cost(arch, train[0].shape[1:], len(train[0]), dtype=chosen)
    cross = kernel_cost(arch, train[0].shape[1:], len(test[0]), len(train[0]), dtype=chosen)
    console.print(
        f"{arch.label}, {len(train[0])} training and {len(test[0])} test rows: about {readable_seconds(cost.seconds)} for the Gram matrix, "
        f"{readable_seconds(cross.seconds)} for the test rows, where nothing is stored yet",
        markup=False,
        soft_wrap=True,
    )
    options: dict[str, Any] = {"store": store, "depths": depths, "ridge": ridge, "dtype": chosen, "tile": tile, "scheduler": scheduler}
    study = stored_study(arch, train, test, is_spectrum_wanted=spectrum, **options)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    _print(study, peak)
    if results is not None:
        parameters = {
            "dataset": dataset,
            "architecture": arch.to_dict(),
            "n_train": len(train[0]),
            "n_test": len(test[0]),
            "dtype": dtype,
            "ridge": ridge,
            "tile": tile,
            "predicted_gram_seconds": cost.seconds,
        } | ({"spectrum": True} if spectrum else {})
        ResultStore(results).write(_record(parameters, study, peak))


def _architecture(text: str) -> Architecture:
    try:
        description = json.loads(text)
    except json.JSONDecodeError as error:
        raise SkipbenchError(
            f'--architecture {shown(text)} is not JSON ({error.msg}): use e.g. {{"family": "ResCNN", "depth": 10}}'
        ) from error
    if not isinstance(description, dict):
        raise SkipbenchError(f'--architecture {shown(text)} is no object: use e.g. {{"family": "ResCNN", "depth": 10}}')
    return architecture_from_dict(description)


def _dtype(name: str) -> torch.dtype:
    if name not in DTYPES:
        raise SkipbenchError(f"--dtype {shown(name)}: use one of {', '.join(DTYPES)}")
    return DTYPES[name]


def _inputs(name: str, rows: int | None, test_rows: int | None) -> Any:
    """Training and test rows of the first split, standardised as the suites do: by channel or feature, with the training rows."""
    dataset = load(name)
    split = dataset.splits[0]
    kept, held = split.train[:rows], split.test[:test_rows]
    for option, wanted, found in (("--rows", rows, len(kept)), ("--test-rows", test_rows, len(held))):
        if wanted is not None and found < wanted:
            raise SkipbenchError(f"{option} {wanted}, but {name} has {found}: ask for at most that many")
    step = (PerChannel if dataset.inputs.ndim == 4 else Standardise).fit(dataset.inputs[kept])
    labels = np.asarray(dataset.labels)
    return tuple((step.transform(dataset.inputs[part]), labels[part]) for part in (kept, held))


def _print(study: StoredStudy, peak: int) -> None:
    console = make_console()
    table = Table("kernel", "depth", "test accuracy", "residual", "condition number of K + ridge", "solver", "seconds", box=None)
    for each in study.accuracies:
        table.add_row(
            each.kernel.upper(),
            str(each.depth),
            f"{100 * each.accuracy:.2f} %",
            f"{each.residual:.1e}",
            f"{each.condition_number:.3g}",
            each.method,
            f"{each.seconds:.1f}",
        )
    console.print(table)
    if any(each.spectrum is not None for each in study.accuracies):
        console.print(spectra_on_screen(study))
    console.print(
        f"tiles of this call: Gram matrix {readable_seconds(study.gram_seconds)}, test rows {readable_seconds(study.cross_seconds)}; "
        f"peak memory {peak / 2**20:.0f} MiB"
    )


def _record(parameters: dict[str, Any], study: StoredStudy, peak: int) -> PerformanceRecord:
    metrics = [
        Metric(name="gram_seconds", value=study.gram_seconds, direction="lower", unit="s"),
        Metric(name="cross_seconds", value=study.cross_seconds, direction="lower", unit="s"),
        Metric(name="peak_memory", value=peak, direction="lower", unit="byte"),
    ]
    for each in study.accuracies:
        name = f"{each.kernel}_depth_{each.depth}"
        metrics += [
            Metric(name=f"{name}_accuracy", value=100 * each.accuracy, direction="higher", unit="%"),
            Metric(name=f"{name}_residual", value=each.residual, direction="lower"),
            Metric(name=f"{name}_condition_number", value=each.condition_number, direction="lower"),
        ]
        for number, values in ({} if each.spectrum is None else spectrum_numbers(each.spectrum)).items():
            for value, bound in zip(values, ("", "_low", "_high"), strict=True):
                if math.isfinite(value):
                    metrics.append(Metric(name=f"{name}_{number}{bound}", value=value, direction="lower"))
    text = json.dumps({**parameters, "predicted_gram_seconds": None}, sort_keys=True)
    return PerformanceRecord(
        key=hashlib.sha256(text.encode()).hexdigest(),
        status="ok",
        suite="gram",
        command="skipbench gram " + shlex.join([str(parameters["dataset"]), "--rows", str(parameters["n_train"])]),
        source=source(),
        environment=current_environment(),
        created=datetime.now(UTC),
        benchmark=f"gram.{parameters['dataset']}",
        parameters=parameters,
        metrics=tuple(metrics),
    )
