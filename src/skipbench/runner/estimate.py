"""What a suite will take, before anything runs: cells, seconds and memory, from short measurements on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import torch
from torch import nn

from skipbench.architecture import Architecture
from skipbench.cells import Cell
from skipbench.datasets import Dataset
from skipbench.datasets.preprocess import shape_after
from skipbench.kernels.cost import kernel_cost
from skipbench.kernels.depth_sweeps import on_the_way
from skipbench.kernels.engines.registry import AUTO
from skipbench.kernels.memory import fitting_pairs
from skipbench.runner.messages import PlannedCell
from skipbench.runner.plan import Plan
from skipbench.trainers.networks import build_network
from skipbench.trainers.networks.batch_normalised import build_practical_network
from skipbench.trainers.networks.linearised import LinearisedNetwork
from skipbench.trainers.registry import make_method

WORKER_BYTES = 600 * 2**20  # Python with torch, scikit-learn and Lightning imported
_MATRICES_AT_ONCE = 5  # Gram matrix twice (both kernels), eigenvectors, and work space of the eigendecomposition
_TRAINING_PAIRS_KEPT = 2  # of both kernels, between training rows: to fit, and to predict the training labels
_BASELINE_SECONDS = 1.5
_EVALUATION_SHARE = 1.5  # a network's curve is evaluated on training and validation rows
_MEMBER_PASSES = 4 / 3  # a member of an ensemble, beside a pass forward and back, is evaluated at its initial weights
_CALIBRATION_ROWS = 64
_CALIBRATION_MATRIX = 400


@dataclass(frozen=True)
class Estimate:
    """Cells of one method on one data set: how many, their seconds on one worker, and the largest worker's bytes."""

    dataset: str
    method: str
    cells: int
    seconds: float
    bytes: int


def estimate_plan(plan: Plan, *, threads: int) -> list[Estimate]:
    """Estimates of all cells still to compute, one for each data set and method, in the suite's order.

    threads: how many a worker will have; the measurements are made with as many.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return _estimates(plan)
    finally:
        torch.set_num_threads(before)


def _estimates(plan: Plan) -> list[Estimate]:
    table: dict[tuple[str, str], Estimate] = {}
    paid: set[str] = set()
    for group in plan.groups:
        for place, item in enumerate(group):
            is_paid = item.cell.kernel_needed in paid
            carried = () if is_paid else _carried(item)
            served = [other for other in group[place:] if other is item or _is_served(other, item, carried)]
            paid.update(other.cell.kernel_needed for other in served)
            seconds, needed = _cell_cost(item, plan.datasets[item.cell.data], kernel_paid=is_paid, carried=carried)
            row = (item.cell.data.label, item.cell.method_label)
            before = table.get(row, Estimate(*row, 0, 0.0, 0))
            table[row] = Estimate(*row, before.cells + 1, before.seconds + seconds, max(before.bytes, needed))
    in_order = dict.fromkeys((item.cell.data.label, item.cell.method_label) for item in plan.cells)
    return [table[row] for row in in_order if row in table]


def _carried(item: PlannedCell) -> tuple[Architecture, ...]:
    """The shallower networks whose kernels come out of the pass that this cell pays for, as `KernelMemory` has it.

    Of cells that choose among candidates none is counted: what these share is left out of the estimate.
    """
    arch, n = item.cell.kernel_architecture, item.blank.dataset.n_train
    if arch is None or _selects(item):
        return ()
    return on_the_way(arch, item.coming, dtype=_dtype(item), engine=_engine(item))[: fitting_pairs(n, n, _dtype(item)) - 1]


def _is_served(other: PlannedCell, item: PlannedCell, carried: tuple[Architecture, ...]) -> bool:
    return other.cell.split == item.cell.split and other.cell.kernel_architecture in carried and _engine(other) == _engine(item)


def total_seconds(estimates: Iterable[Estimate], jobs: int) -> float:
    """Wall-clock seconds with this many workers that are never idle."""
    return sum(estimate.seconds for estimate in estimates) / jobs


def _selects(item: PlannedCell) -> bool:
    return bool(item.cell.method.candidates) or item.cell.selection is not None


def _dtype(item: PlannedCell) -> torch.dtype:
    return torch.float32 if item.blank.dtype == "float32" else torch.float64


def _engine(item: PlannedCell) -> str:
    return str(item.cell.method.parameters.get("engine", AUTO))


def _cell_cost(item: PlannedCell, dataset: Dataset, *, kernel_paid: bool, carried: tuple[Architecture, ...]) -> tuple[float, int]:
    """Seconds and bytes of one cell; where candidates are compared, or chosen on another split, that is paid by the group's first cell.

    carried: networks of which it also computes the kernels, which are kept for later cells.
    """
    sizes, spec, selects = item.blank.dataset, item.cell.method, _selects(item)
    fits: list[Mapping[str, Any]] = [spec.variants[0]] if not selects else []
    if selects:
        fits += [] if item.cell.selection is None else [spec.variants[0]]
        fits += [] if kernel_paid and item.cell.selection is not None else list(spec.variants)
    data_bytes = dataset.inputs.nbytes
    if item.blank.method.family == "kernel":
        shared = kernel_paid and not selects
        seconds = sum(_factor_seconds(sizes.n_train) + (0.0 if shared else _kernel_seconds(item, fit, carried)) for fit in fits)
        cross_bytes = 2 * sizes.n_train * (sizes.n_test + sizes.n_validation) * 8
        kept_bytes = len(carried) * (2 * _TRAINING_PAIRS_KEPT * sizes.n_train**2 * 8 + cross_bytes)
        return seconds, WORKER_BYTES + data_bytes + _MATRICES_AT_ONCE * sizes.n_train**2 * 8 + cross_bytes + kept_bytes
    if item.blank.method.family == "network":
        seconds = sum(_network_seconds(item.cell, fit, dataset) for fit in fits)
        compared = [fit for fit in fits if fit.get("compare_with_kernel")]
        seconds += sum(_kernel_seconds(item, fit, ()) + _factor_seconds(sizes.n_train) for fit in compared)
        matrices = _MATRICES_AT_ONCE * sizes.n_train**2 * 8 if compared else 0
        return seconds, WORKER_BYTES + 2 * data_bytes + matrices
    return _BASELINE_SECONDS * len(fits), WORKER_BYTES + 2 * data_bytes


def _kernel_seconds(item: PlannedCell, parameters: Mapping[str, Any], carried: tuple[Architecture, ...]) -> float:
    arch, sizes = parameters.get("architecture"), item.blank.dataset
    if arch is None:
        return 0.1
    of_kernel = item.blank.method.family == "kernel"  # a network is compared with its kernel in float64, however it is trained
    dtype = _dtype(item) if of_kernel else torch.float64
    cost = partial(kernel_cost, arch, sizes.input_shape, dtype=dtype, engine=str(parameters.get("engine", AUTO)))
    if carried:
        cost = partial(cost, depths=[arch.depth, *(other.depth for other in carried)])
    parts = [cost(sizes.n_train), *(cost(other, sizes.n_train) for other in (sizes.n_validation, sizes.n_test))]
    return sum(part.seconds for part in parts)


def _factor_seconds(n: int) -> float:
    """Eigendecompositions of the raw and of the unit-diagonal matrix: cubic in n."""
    return 2 * _eigendecomposition_seconds() * (n / _CALIBRATION_MATRIX) ** 3


@lru_cache(maxsize=1)
def _eigendecomposition_seconds() -> float:
    matrix = torch.randn(_CALIBRATION_MATRIX, _CALIBRATION_MATRIX, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    gram = matrix @ matrix.T
    torch.linalg.eigh(gram[:50, :50])  # the first call loads the library
    return _fastest(lambda: torch.linalg.eigh(gram))


def _network_seconds(cell: Cell, given: Mapping[str, Any], dataset: Dataset) -> float:
    """Rows × epochs × the measured time of a row's forward and backward pass; early stopping may end sooner."""
    parameters = make_method(cell.method.name, given).get_params(deep=False)
    width, epochs = parameters.get("width"), parameters.get("epochs")
    if width is None or epochs is None:
        return _BASELINE_SECONDS
    shape, classes = shape_after(cell.data.preprocess, dataset.input_shape), len(dataset.classes)
    if (arch := parameters.get("architecture")) is not None:
        members = parameters.get("members")
        per_row = _twin_row_seconds(arch, width, shape, classes, cell.method.name == "linearised-network")
        per_row *= 1.0 if members is None else members * _MEMBER_PASSES
    elif "residual" in parameters and "blocks" in parameters:
        is_half = parameters.get("precision") == "bf16-mixed"
        per_row = _practical_row_seconds(parameters["residual"], parameters["blocks"], width, shape, classes, is_half)
    else:
        return _BASELINE_SECONDS
    rows = len(dataset.splits[cell.split].train) * int(epochs)
    return 0.5 + rows * _EVALUATION_SHARE * per_row


@lru_cache(maxsize=256)
def _twin_row_seconds(arch: Architecture, width: int, input_shape: tuple[int, ...], classes: int, linearised: bool) -> float:
    network = build_network(arch, width=width, input_shape=input_shape, outputs=classes)
    return _row_seconds(LinearisedNetwork(network) if linearised else network, input_shape)


@lru_cache(maxsize=256)
def _practical_row_seconds(
    residual: bool, blocks: int, width: int, input_shape: tuple[int, ...], classes: int, is_half_precision: bool
) -> float:
    network = build_practical_network(residual=residual, blocks=blocks, width=width, input_shape=input_shape, outputs=classes)
    with torch.autocast("cpu", torch.bfloat16, enabled=is_half_precision):
        return _row_seconds(network, input_shape)


def _row_seconds(network: nn.Module, input_shape: tuple[int, ...]) -> float:
    """Seconds of a forward and a backward pass for one row."""
    x = torch.randn(_CALIBRATION_ROWS, *input_shape, generator=torch.Generator().manual_seed(0))
    x = x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x
    return _fastest(lambda: network(x).square().sum().backward()) / _CALIBRATION_ROWS


def _fastest(call: Callable[[], object], repeats: int = 3) -> float:
    """Seconds of the fastest of some calls: other work on the machine only ever adds."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
