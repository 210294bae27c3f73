"""What a record holds along training, in long form: losses beside their prediction, and how the tangent kernel moved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from skipbench.results.record import AnyRecord, CellRecord

CURVE_COLUMNS = {"key": "str", "step": "int64", "loss": "float64", "predicted_loss": "float64"}
TANGENT_COLUMNS = {"key": "str", "step": "int64", "drift": "float64", "distance_to_limit": "float64"}


@dataclass(frozen=True)
class Curves:
    """The two long tables of some records, for figures that need more than one number a cell."""

    losses: pd.DataFrame
    tangents: pd.DataFrame


def read_curves(records: Iterable[AnyRecord]) -> Curves:
    """Both tables."""
    listed = list(records)
    return Curves(curves_frame(listed), tangents_frame(listed))


def curves_frame(records: Iterable[AnyRecord]) -> pd.DataFrame:
    """One row for each point of each cell's curve: key, step, training loss, and the loss of gradient descent on the kernel at that step.

    predicted_loss is NaN where a cell was not compared with its kernel. Without curves the columns are the same.
    """
    return _frame((row for record in records if isinstance(record, CellRecord) for row in _curve(record)), CURVE_COLUMNS)


def tangents_frame(records: Iterable[AnyRecord]) -> pd.DataFrame:
    """One row for each point of each track of a tangent kernel: key, step, drift, distance to the kernel at infinite width (or NaN)."""
    return _frame((row for record in records if isinstance(record, CellRecord) for row in _track(record)), TANGENT_COLUMNS)


def _curve(record: CellRecord) -> Iterator[dict[str, Any]]:
    compared = record.kernel_comparison
    predicted = {} if compared is None else {point.step: point.loss for point in compared.curve}
    for point in record.curve:
        yield {"key": record.key, "step": point.step, "loss": point.loss, "predicted_loss": predicted.get(point.step)}


def _track(record: CellRecord) -> Iterator[dict[str, Any]]:
    for point in () if record.tangent_kernel is None else record.tangent_kernel.points:
        yield {"key": record.key, "step": point.step, "drift": point.drift, "distance_to_limit": point.distance_to_limit}


def _frame(rows: Iterable[dict[str, Any]], columns: dict[str, str]) -> pd.DataFrame:
    listed = list(rows)
    return pd.DataFrame({name: pd.Series([row[name] for row in listed], dtype=of) for name, of in columns.items()})
