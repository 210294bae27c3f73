"""Complete common blocks: which methods are compared on which splits, so that every number in a table is over the same cells."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from skipbench.results.statistics.cells import joined, ok_cells

SEEDS = ["seed", "order_seed"]
Unit = tuple[str, int]  # data set and split


@dataclass(frozen=True, slots=True)
class CommonBlock:
    """Methods and (data set, split) units with every cell finished; `cells` are those cells."""

    suite: str
    setting: str  # the protocol, where the suite runs a data set by several
    inputs: str
    methods: tuple[str, ...]
    units: tuple[Unit, ...]
    cells: pd.DataFrame
    considered: pd.DataFrame  # every cell, of any status and method, on the block's data sets

    @property
    def datasets(self) -> tuple[str, ...]:
        """The data sets of the block in alphabetical order, numbers by their value."""
        return tuple(sorted({dataset for dataset, _ in self.units}, key=_by_name_and_number))


def common_blocks(cells: pd.DataFrame) -> Iterator[CommonBlock]:
    """Split the cells of each suite, protocol (where it has several) and kind of input (vectors, images) into complete blocks.

    A method is complete on a split if each of the seeds that it has on that data set is `ok` there. The block is the set of
    methods and splits that `largest_block` finds; data sets of which it uses no split form further blocks.
    """
    for (suite, setting, inputs), group in cells.groupby(["suite", "setting", "inputs"], sort=True):
        remaining = group
        while len(remaining):
            complete = completeness(remaining)
            methods, units = largest_block(complete)
            if not methods or not units:
                break
            datasets = {dataset for dataset, _ in units}
            considered = remaining[remaining["dataset_label"].isin(datasets)]
            yield CommonBlock(str(suite), str(setting), str(inputs), methods, units, _inside(considered, methods, units), considered)
            remaining = remaining[~remaining["dataset_label"].isin(datasets)]


def completeness(cells: pd.DataFrame) -> pd.DataFrame:
    """Methods in rows, (data set, split) in columns: whether every seed of the method on that data set finished on that split."""
    seeds = joined(cells, SEEDS)
    expected = seeds.groupby([cells["method_label"], cells["dataset_label"]]).nunique()
    finished = ok_cells(cells)
    counts = finished.groupby(["method_label", "dataset_label", "split"]).size()
    table = counts.unstack(["dataset_label", "split"], fill_value=0)
    wanted = expected.unstack("dataset_label").reindex(index=table.index)
    if table.empty:
        return table.astype(bool)
    goals = np.column_stack([wanted[dataset].to_numpy(dtype=float) for dataset in table.columns.get_level_values(0)])
    return (table == goals).sort_index(axis=0).sort_index(axis=1)


def largest_block(complete: pd.DataFrame) -> tuple[tuple[str, ...], tuple[Unit, ...]]:
    """The methods and units of a large all-true block: largest in methods² x units, since a lost method costs a reader more.

    The largest is NP-hard to find; here each method in turn starts a block that grows by the method which keeps most units, and
    the best on the way wins. Where all is complete that is everything.
    """
    table = complete.to_numpy(dtype=bool)
    best: tuple[int, int, list[int]] = (0, 0, [])
    for start in range(len(table)):
        chosen, kept = [start], table[start]
        while True:
            size = (len(chosen) ** 2 * int(kept.sum()), len(chosen) if kept.any() else 0)
            if size > best[:2]:
                best = (*size, list(chosen))
            others = [row for row in range(len(table)) if row not in chosen]
            if not others or not kept.any():
                break
            added = max(others, key=lambda row: (int((kept & table[row]).sum()), -row))
            chosen, kept = [*chosen, added], kept & table[added]
    rows = sorted(best[2])
    if not rows:
        return (), ()
    columns = complete.columns[np.all(table[rows], axis=0)]
    units = tuple(zip(columns.get_level_values(0).astype(str), columns.get_level_values(1).astype(int), strict=True))
    return tuple(str(complete.index[row]) for row in rows), units


def _by_name_and_number(name: str) -> list[tuple[int, int | str]]:
    """`n=20` before `n=160`."""
    return [(0, int(part)) if part.isdecimal() and part.isascii() else (1, part) for part in re.split(r"([0-9]{1,18})", name)]


def _inside(cells: pd.DataFrame, methods: tuple[str, ...], units: tuple[Unit, ...]) -> pd.DataFrame:
    wanted = pd.MultiIndex.from_tuples(units)
    here = pd.MultiIndex.from_arrays([cells["dataset_label"], cells["split"].astype("int64")])
    return ok_cells(cells[here.isin(wanted) & cells["method_label"].isin(methods).to_numpy()])
