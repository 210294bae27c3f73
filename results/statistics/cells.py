"""Which rows of the records table are compared with which: one row a cell, one name a method, one name a data set, one number a split."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

from skipbench.results.words import printable

DATASET_IDENTITY = ["dataset", "protocol", "n_train", "n_validation", "n_test"]
LONGEST_NAME = 200
_SIZE = re.compile(r",? ?\(?n=\d+\)?")
CELL_IDENTITY = ["suite", "dataset_label", "split", "method_key", "seed", "data_seed", "order_seed"]


def current_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """The cells to compare, with the columns `dataset_label` and `method_label`, which name one thing each, and `is_draw`.

    A cell that was run again (another source version, another device) counts once: the newest record stands for it. Two methods
    that share a label get what tells them apart added to it, and so do two variants of a data set. Where a data set was drawn several
    times (`is_draw`: several data seeds), each draw counts as a split of its own, and `split` numbers them through. `setting` is the
    protocol where a suite runs a data set by several, else empty. Sorted, so that the order of the records decides nothing.
    """
    cells = frame.copy()
    for name in ("suite", "label", "dataset", "kernel", "preprocessing"):
        cells[name] = cells[name].map(_harmless, na_action="ignore")
    cells["dataset_label"] = _dataset_labels(cells)
    cells["method_label"] = _method_labels(cells)
    cells["is_draw"] = cells.groupby("dataset_label")["data_seed"].transform("nunique") > 1
    cells["split"] = cells["split"].where(~cells["is_draw"], _numbered_draws(cells))
    cells["setting"] = cells["protocol"].where(cells.groupby(["suite", "dataset"])["protocol"].transform("nunique") > 1, "")
    cells = cells.sort_values(["created", "key"], kind="stable").drop_duplicates(CELL_IDENTITY, keep="last")
    return cells.sort_values([*CELL_IDENTITY, "key"], kind="stable").reset_index(drop=True)


def _harmless(name: str) -> str:
    """A name from a record, cut where it is endless; a NUL character in it would also confuse pandas."""
    return printable(name, LONGEST_NAME)


def without_size(names: pd.Series[Any]) -> pd.Series[Any]:
    """Names of data sets without their number of rows: sizes of one set share a name."""
    return names.str.replace(_SIZE, "", regex=True).str.strip()


def joined(cells: pd.DataFrame, columns: list[str]) -> pd.Series[Any]:
    """Several columns as one text a row, for counting what differs."""
    rows = cells[columns].itertuples(index=False)
    return pd.Series(["|".join(map(str, row)) for row in rows], index=cells.index, dtype="object")


def ok_cells(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells that finished and have a test accuracy."""
    return cells[(cells["status"] == "ok") & cells["accuracy"].notna()]


def _method_labels(cells: pd.DataFrame) -> pd.Series[Any]:
    """The newest label of a method; where two share it, also the kernel, the width, the type or the first digits of its key."""
    newest = cells.sort_values(["created", "key"], kind="stable").drop_duplicates("method_key", keep="last")
    labels = cells["method_key"].map(newest.set_index("method_key")["label"]).fillna("?")
    for column in ("kernel", "width", "dtype"):
        shared = _is_shared(labels, cells["method_key"]) & cells[column].notna()
        tells_apart = cells.groupby(labels)[column].transform("nunique") > 1
        chosen = shared & tells_apart
        labels = labels.where(~chosen, labels + " [" + cells[column].astype(str) + "]")
    shared = _is_shared(labels, cells["method_key"])
    return labels.where(~shared, labels + " #" + cells["method_key"].str[:4])


def _dataset_labels(cells: pd.DataFrame) -> pd.Series[Any]:
    """The name; where two variants share it, also the protocol, the sizes, the first digits of the hash and the preprocessing.

    Draws of one data set (other data seeds) have other rows, so only a hash that differs at equal seeds is another data set.
    """
    names = cells["dataset"].fillna("?")
    sizes = "n=" + (cells["n_train"] + cells["n_validation"] + cells["n_test"]).astype(str)
    identity = joined(cells, DATASET_IDENTITY)
    labels = names
    for addition in (cells["protocol"], sizes):
        shared = _is_shared(labels, identity)
        tells_apart = addition.groupby(labels).transform("nunique") > 1
        labels = labels.where(~(shared & tells_apart), labels + " (" + addition.astype(str) + ")")
    other_rows = cells.groupby([labels, cells["data_seed"]])["dataset_sha256"].transform("nunique") > 1
    other_rows = other_rows.groupby(labels).transform("any")
    labels = labels.where(~other_rows, labels + " (" + cells["dataset_sha256"].str[:8] + ")")
    prepared = cells.groupby([labels, cells["method_key"]])["preprocessing"].transform("nunique") > 1
    varied = prepared.groupby(labels).transform("any")
    return labels.where(~varied, labels + " (" + cells["preprocessing"].replace("", "as loaded") + ")")


def _numbered_draws(cells: pd.DataFrame) -> pd.Series[Any]:
    """A number for each (data seed, split), the same for every method."""
    per_draw = int(cells["split"].max()) + 1 if len(cells) else 1
    return cells["data_seed"] * per_draw + cells["split"]


def _is_shared(labels: pd.Series[Any], identities: pd.Series[Any]) -> pd.Series[Any]:
    """Where a label stands for more than one thing."""
    return identities.groupby(labels).transform("nunique") > 1
