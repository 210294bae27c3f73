"""Every record as the page's script wants it: column names, which of them the table shows, and plain values."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

SHOWN = {
    "suite": "suite",
    "dataset": "data set",
    "split": "split",
    "label": "method",
    "seed": "seed",
    "status": "status",
    "accuracy": "accuracy",
    "validation_accuracy": "validation",
    "condition_number": "condition number",
    "numerical_rank": "rank",
    "iterations_90": "its. to 90 %",
    "iterations_99": "its. to 99 %",
    "iterations_99_9": "its. to 99.9 %",
    "seconds": "seconds",
    "created": "created",
    "reason": "reason",
}


def record_table(frame: pd.DataFrame) -> dict[str, Any]:
    """`columns` (name, whether a number, heading where the table shows it) and `rows`; an infinite number is the text "inf".

    The download has every column that any record fills.
    """
    filled = [name for name in frame.columns if frame[name].notna().any() or name in SHOWN]
    ordered = [*(name for name in SHOWN if name in filled), *(name for name in filled if name not in SHOWN)]
    columns = [{"name": str(name), "number": _is_number(frame[name]), "heading": SHOWN.get(name)} for name in ordered]
    values = [[_plain(value) for value in frame[name].tolist()] for name in ordered]
    return {"columns": columns, "rows": [list(row) for row in zip(*values, strict=True)]}


def _is_number(column: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column))


def _plain(value: Any) -> Any:
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, float):
        if math.isinf(value):
            return "inf" if value > 0 else "-inf"
        return None if math.isnan(value) else value
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return value if isinstance(value, str | bool | int) else str(value)
