"""Paired comparisons: with skip connections against without, and a kernel against the network of its own architecture."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from skipbench.results.statistics.cells import current_cells, ok_cells

PLAIN_OF = {"ResMLP": "MLP", "DenseMLP": "MLP", "ResCNN": "CNN", "residual": "plain"}
LEVEL = 0.95
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class PairedSplit:
    """One split of one data set that both finished; each accuracy is the mean over the method's seeds."""

    dataset: str
    split: int
    first: float
    second: float
    test_share: float  # n_test / n_train; 0 for draws, which share next to no training rows


@dataclass(frozen=True, slots=True)
class DatasetDifference:
    """First minus second on one data set: the mean over splits and its interval (None with one split)."""

    dataset: str
    n_splits: int
    first: float
    second: float
    difference: float
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two methods on what both finished. `difference` is first minus second in accuracy, the mean over data sets.

    interval: 95 % t interval of the difference: over data sets where there are two or more, else over the splits of the one,
    widened for their shared rows (Nadeau and Bengio 2003); None where there is a single split. condition_ratio, iterations_ratio:
    geometric mean of first / second over splits on which both are finite (None without any), and how many splits those are.
    """

    suite: str
    what: str
    first: str
    second: str
    inputs: str
    first_accuracy: float
    second_accuracy: float
    difference: float
    interval: Interval | None
    by_dataset: tuple[DatasetDifference, ...]
    splits: tuple[PairedSplit, ...]
    condition_ratio: float | None
    n_conditions: int
    iterations_ratio: float | None
    n_iterations: int

    @property
    def is_decided(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]


def residual_against_plain(frame: pd.DataFrame) -> list[Comparison]:
    """Each method with skip connections (first) against the one that differs from it in these alone (second).

    Same suite, method, kernel, width and parameters; same depth, readout, bias, filter and padding; ResMLP and DenseMLP against
    MLP, ResCNN against CNN. Several alphas of one residual network each meet the same plain one. A method without an architecture that
    has a parameter `residual` meets itself with the other value.
    """
    cells = ok_cells(current_cells(frame))
    methods = _methods(cells)
    plain = {(_without_skips(method), _family(method)): method.method_label for method in methods}
    pairs = []
    for method in methods:
        counterpart = PLAIN_OF.get(_family(method))
        twin = None if counterpart is None else plain.get((_without_skips(method), counterpart))
        if twin is not None:
            pairs.append((method.suite, _realisation(method), method.method_label, twin))
    return list(_compared(cells, pairs))


def kernel_against_network(frame: pd.DataFrame) -> list[Comparison]:
    """Each kernel (first) against each trained network of the same architecture, field by field (second)."""
    cells = ok_cells(current_cells(frame))
    methods = [method for method in _methods(cells) if isinstance(method.architecture_key, str)]
    pairs = [
        (kernel.suite, f"{_realisation(kernel)} against {_realisation(network)}", kernel.method_label, network.method_label)
        for kernel in methods
        if kernel.family == "kernel"
        for network in methods
        if network.family == "network" and (network.suite, network.architecture_key) == (kernel.suite, kernel.architecture_key)
    ]
    return list(_compared(cells, pairs))


def _methods(cells: pd.DataFrame) -> list[pd.Series]:
    """One row for each method of each suite, the fields of its architecture included."""
    first = cells.drop_duplicates(["suite", "method_label"]).sort_values(["suite", "method_label"])
    return [row for _, row in first.iterrows()]


def _without_skips(method: pd.Series) -> tuple[str, ...]:
    """What a plain and a residual method must agree in. DenseMLP has no bias, which is a bias of 0."""
    fields = ("suite", "method", "kernel", "width", "dtype", "depth", "readout", "filter_size", "padding")
    bias = 0.0 if pd.isna(method["bias"]) else float(method["bias"])
    parameters = {name: value for name, value in json.loads(method["parameters"]).items() if name != "residual"}
    return (*(str(method[field]) for field in fields), str(bias), json.dumps(parameters, sort_keys=True))


def _family(method: pd.Series) -> str:
    """The family of the architecture; without one "residual" or "plain", or nothing where that is not known."""
    if isinstance(method["architecture"], str):
        return str(method["architecture"])
    return "" if pd.isna(method["residual"]) else ("residual" if method["residual"] else "plain")


def _realisation(method: pd.Series) -> str:
    if method["family"] == "network":
        return "network" if pd.isna(method["width"]) else f"network of width {method['width']}"
    return str(method["kernel"]).upper()


def _compared(cells: pd.DataFrame, pairs: Iterable[tuple[str, str, str, str]]) -> Iterator[Comparison]:
    for suite, what, first, second in pairs:
        here = cells[cells["suite"] == suite]
        table = _side_by_side(here[here["method_label"] == first], here[here["method_label"] == second])
        if len(table):
            yield _comparison(suite, what, first, second, table)


def _side_by_side(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """One row for each split that both finished: every number of either method, the mean over its seeds."""
    index, numbers = ["dataset_label", "split", "inputs"], ["accuracy", "condition_number", "iterations_99", "n_train", "n_test", "is_draw"]
    one, other = (part.groupby(index)[numbers].mean().reset_index() for part in (first, second))
    return one.merge(other, on=index, suffixes=("_first", "_second")).sort_values(index, ignore_index=True)


def _comparison(suite: str, what: str, first: str, second: str, table: pd.DataFrame) -> Comparison:
    splits = tuple(
        PairedSplit(
            dataset=str(row["dataset_label"]),
            split=int(row["split"]),
            first=float(row["accuracy_first"]),
            second=float(row["accuracy_second"]),
            test_share=0.0 if row["is_draw_first"] else float(row["n_test_first"]) / float(row["n_train_first"]),
        )
        for row in table.to_dict("records")
    )
    by_dataset = tuple(_dataset_difference(name, splits) for name in dict.fromkeys(split.dataset for split in splits))
    differences = [entry.difference for entry in by_dataset]
    condition_ratio, n_conditions = _ratio(table, "condition_number")
    iterations_ratio, n_iterations = _ratio(table, "iterations_99")
    return Comparison(
        suite=suite,
        what=what,
        first=first,
        second=second,
        inputs=str(table["inputs"].iloc[0]),
        first_accuracy=float(np.mean([entry.first for entry in by_dataset])),
        second_accuracy=float(np.mean([entry.second for entry in by_dataset])),
        difference=float(np.mean(differences)),
        interval=by_dataset[0].interval if len(by_dataset) == 1 else paired_interval(differences),
        by_dataset=by_dataset,
        splits=splits,
        condition_ratio=condition_ratio,
        n_conditions=n_conditions,
        iterations_ratio=iterations_ratio,
        n_iterations=n_iterations,
    )


def _dataset_difference(name: str, splits: Sequence[PairedSplit]) -> DatasetDifference:
    own = [split for split in splits if split.dataset == name]
    differences = [split.first - split.second for split in own]
    return DatasetDifference(
        dataset=name,
        n_splits=len(own),
        first=float(np.mean([split.first for split in own])),
        second=float(np.mean([split.second for split in own])),
        difference=float(np.mean(differences)),
        interval=paired_interval(differences, shared=float(np.mean([split.test_share for split in own]))),
    )


def paired_interval(differences: Sequence[float], *, shared: float = 0.0, level: float = LEVEL) -> Interval | None:
    """The t interval of a mean difference, m ± t(n - 1) s sqrt(1/n + shared); None for fewer than two.

    shared: n_test/n_train where the differences come from random splits of the same rows, which makes them dependent; then the
    variance of their mean does not fall to 0 with their number (Nadeau and Bengio, Machine Learning 52, 2003). 0: independent.
    """
    n = len(differences)
    if n < 2:
        return None
    middle, deviation = float(np.mean(differences)), float(np.std(differences, ddof=1))
    half = float(stats.t.ppf((1 + level) / 2, n - 1)) * deviation * math.sqrt(1 / n + shared)
    return middle - half, middle + half


def _ratio(table: pd.DataFrame, column: str) -> tuple[float | None, int]:
    values = table[[f"{column}_first", f"{column}_second"]].to_numpy(dtype=float)
    usable = values[np.isfinite(values).all(axis=1) & (values > 0).all(axis=1)]
    if not len(usable):
        return None, 0
    return float(np.exp(np.log(usable[:, 0] / usable[:, 1]).mean())), len(usable)
