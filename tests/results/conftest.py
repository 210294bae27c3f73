"""Makers of records: a complete, plausible cell whose every part can be set, and the table of many of them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from skipbench.architecture import CNN, MLP, Architecture, ResCNN, ResMLP
from skipbench.results import CellRecord, Environment, MachineThreads, Source, records_frame

ENVIRONMENT = Environment(
    python="3.11.9",
    platform="Linux x86_64",
    cpu="a processor",
    cores=2,
    memory_bytes=8 * 2**30,
    packages={"torch": "2.13.0"},
    threads=MachineThreads(torch=1),
    machine_class="0123abcd",
)
CREATED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def key_of(*parts: Any) -> str:
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()


def cell(**changes: Any) -> CellRecord:
    """A cell; `changes` are fields of the record or the short names below."""
    short = {
        "dataset": "iris",
        "split": 0,
        "accuracy": 0.9,
        "architecture": MLP(2),
        "family": "kernel",
        "kernel": None,
        "label": None,
        "width": None,
        "seed": None,
        "input_shape": (4,),
        "n": 150,
        "sha256": None,
        "protocol": "stratified",
        "preprocessing": ("standardise",),
        "condition_number": 1e3,
        "iterations": (10, 40, 200),
        "label_condition": None,
        "bound": 61.0,
        "data_seed": 0,
        "momentum": 0.0,
        "parameters": {},
        "source_version": "1",
    }
    short |= {name: changes.pop(name) for name in list(changes) if name in short}
    architecture: Architecture | None = short["architecture"]
    is_kernel = short["family"] == "kernel"
    kernel = short["kernel"] or ("ntk" if is_kernel else None)
    label = short["label"] or f"{(kernel or short['family']).upper()} {architecture.label if architecture else ''}".strip()
    train, held_out = int(short["n"] * 0.6), int(short["n"] * 0.2)
    fields: dict[str, Any] = {
        "key": key_of(short, changes.get("suite")),
        "status": "ok",
        "suite": "quick",
        "command": "skipbench run quick",
        "source": Source(version="0.1.0", git_commit="a" * 40, dirty=False),
        "environment": ENVIRONMENT,
        "created": CREATED,
        "dataset": {
            "name": short["dataset"],
            "sha256": short["sha256"] or key_of(short["dataset"], short["n"]),
            "split": short["split"],
            "protocol": short["protocol"],
            "n_train": train,
            "n_validation": held_out,
            "n_test": held_out,
            "classes": 3,
            "input_shape": short["input_shape"],
            "preprocessing": short["preprocessing"],
        },
        "method": {
            "name": {"kernel": "ridge", "network": "network"}.get(short["family"], "random-forest"),
            "family": short["family"],
            "label": label,
            "source_version": short["source_version"],
            "kernel": kernel,
            "architecture": architecture.to_dict() if architecture else None,
            "residual": architecture.is_residual if architecture else None,
            "width": short["width"],
            "parameters": short["parameters"],
        },
        "seeds": {"data": short["data_seed"], "init": short["seed"]},
        "device": "cpu",
        "dtype": "float64",
        "phases": {"load": 0.01, "kernel": 0.5, "solve": 0.2, "evaluate": 0.1},
        "peak_memory": {"host_bytes": 2**28},
    }
    if changes.get("status", "ok") == "ok":
        fields["metrics"] = [
            {"name": "accuracy", "value": short["accuracy"], "direction": "higher"},
            {"name": "validation_accuracy", "value": short["accuracy"], "direction": "higher"},
        ]
        reached = dict(zip(("iterations_90", "iterations_99", "iterations_99_9"), short["iterations"], strict=True))
        fields["convergence"] = {"source": "closed_form" if is_kernel else "measured", "learning_rate": 0.1, **reached}
        fields["convergence"]["momentum"] = short["momentum"]
        if is_kernel:
            fields["spectrum"] = spectrum(short["condition_number"]) | {"double_constant_bound": short["bound"]}
            if short["label_condition"] is not None:
                names = ("label_condition_90", "label_condition_99", "label_condition_99_9")
                fields["spectrum"] |= dict.fromkeys(names, short["label_condition"])
                fields["spectrum"]["label_energy"] = [{"directions": 90, "eigenvalue": 0.05, "energy": 1.0}]
    return CellRecord.model_validate(fields | changes)


def spectrum(condition_number: float | None) -> dict[str, Any]:
    largest, smallest = 50.0, 0.0 if condition_number is None else 50.0 / condition_number
    raw = {"scaling": "raw", "lambda_max": largest, "lambda_min": smallest, "condition_number": condition_number, "numerical_rank": 90}
    numbers = {"effective_dimension": 12.5, "mean_off_diagonal": 0.4, "double_constant_bound": 61.0}
    return {"n": 90, "dtype": "float64", "matrices": [raw], **numbers}


def small_suite() -> list[CellRecord]:
    """Two vector sets and one image set, plain and residual kernels and networks of both kinds, two splits, two seeds."""
    cells = []
    for dataset, shape, plain, residual in (
        ("iris", (4,), MLP(2), ResMLP(2)),
        ("wine", (13,), MLP(2), ResMLP(2)),
        ("digits-images", (1, 8, 8), CNN(2), ResCNN(2)),
    ):
        for split in (0, 1):
            common = {"dataset": dataset, "input_shape": shape, "split": split}
            for architecture in (plain, residual):
                gain = 0.02 * architecture.is_residual + 0.01 * split + 0.03 * (dataset == "wine")
                for kernel, condition, steps in (("ntk", 1e3, (10, 40, 200)), ("nngp", 1e7, (60, 5000, None))):
                    accuracy = 0.9 + gain - 0.05 * (kernel == "nngp")
                    changed = {
                        "kernel": kernel,
                        "condition_number": condition * (1 + split),
                        "iterations": (steps[0], steps[1] * (1 + split), steps[2]),
                    }
                    cells.append(cell(architecture=architecture, accuracy=accuracy, **changed, **common))
                for seed in (0, 1):
                    trained = {"family": "network", "width": 64, "seed": seed, "iterations": (5, 100, None)}
                    cells.append(cell(architecture=architecture, accuracy=0.88 + gain + 0.004 * seed, **trained, **common))
    return cells


def swept_suite() -> list[CellRecord]:
    """Kernels of four depths with and without skips on two splits, and classifiers of four sizes of one data set in two draws."""
    cells = []
    for depth in (1, 2, 4, 8):
        for architecture in (CNN(depth, readout="tr"), ResCNN(depth, readout="tr"), ResCNN(depth, alpha="L^-0.5", readout="tr")):
            for split in (0, 1):
                look = {"dataset": "digits-images", "input_shape": (1, 8, 8), "architecture": architecture, "split": split}
                condition, steps = 100.0 * depth * (1 + split), 30 * depth
                numbers = {"condition_number": condition, "label_condition": 0.4 * condition, "iterations": (steps, 4 * steps, 9 * steps)}
                cells.append(cell(suite="depths", **numbers, **look))
    for size in (20, 40, 80, 160):
        for draw in (0, 1):
            for family, architecture in (("baseline", None), ("kernel", MLP(2)), ("network", ResMLP(2))):
                name, accuracy = f"iris (n={size})", 0.5 + 0.002 * size + 0.01 * draw
                drawn = {"seeds": {"data": draw}, "sha256": key_of(size, draw), "key": key_of(size, draw, family)}
                cells.append(
                    cell(suite="sizes", dataset=name, n=size, accuracy=accuracy, family=family, architecture=architecture, **drawn)
                )
    return cells


def twin_suite() -> list[CellRecord]:
    """Plain and residual twins of three widths and two depths, three seeds: distances fall as the root of the width."""
    rng, cells = np.random.default_rng(0), []
    for arch in (CNN(2, readout="tr"), ResCNN(2, readout="tr"), CNN(8, readout="tr"), ResCNN(8, readout="tr")):
        for width in (16, 64, 256):
            for seed in range(3):
                look = {"architecture": arch, "width": width, "seed": seed, "dataset": "digits-images", "input_shape": (1, 8, 8)}
                cells.append(cell(family="network", **look, **_measured_twin(width, math.exp(0.05 * rng.normal()))))
    return cells


def _measured_twin(width: int, noise: float) -> dict[str, Any]:
    predicted = {"source": "closed_form", "learning_rate": 0.1, "iterations_90": 10, "iterations_99": 40, "iterations_99_9": None}
    points = [{"step": step, "loss": math.exp(-step / 20)} for step in (0, 1, 10, 100)]
    return {
        "iterations": (10 + 100 // width, 50, None),
        "curve": [{**point, "loss": point["loss"] * noise} for point in points],
        "tangent_kernel": {"n": 20, "points": [_track_point(step, width, noise) for step in (0, 1, 100)]},
        "kernel_comparison": {
            "step": 100,
            "n_validation": 30,
            "prediction_distance": 2.0 * noise / math.sqrt(width),
            "agreement": 0.9,
            "network_loss": 0.01,
            "kernel_loss": 0.02,
            "kernel_accuracy": 0.9,
            "predicted": predicted,
            "curve": points,
        },
    }


def _track_point(step: int, width: int, noise: float) -> dict[str, float | int]:
    numbers = {"lambda_max": 9.0, "lambda_min": 0.1, "condition_number": 90.0, "trace": 20.0}
    return {"step": step, "drift": noise * step / width, "distance_to_limit": noise * (1 + step / 100) / math.sqrt(width), **numbers}


@pytest.fixture(scope="session")  # it keeps nothing, so that hypothesis may call it again and again
def make_cell() -> Callable[..., CellRecord]:
    """`make_cell(dataset="wine", split=1, accuracy=0.8, ...)`: a cell record."""
    return cell


@pytest.fixture(scope="session")
def make_frame() -> Callable[[Iterable[CellRecord]], pd.DataFrame]:
    """The records table of some cells."""
    return records_frame


@pytest.fixture
def suite_cells() -> list[CellRecord]:
    """The cells of a small suite in which every comparison has something to show."""
    return small_suite()


@pytest.fixture
def swept_cells() -> list[CellRecord]:
    """The cells of a sweep over depth and of a learning curve."""
    return swept_suite()


@pytest.fixture
def twin_cells() -> list[CellRecord]:
    """The cells of `twin_suite`."""
    return twin_suite()
