"""What each section of the page says, as plain texts for the template."""

from __future__ import annotations

from typing import Any

import pandas as pd
from scipy import stats

from skipbench.results.figures.convergence import conditioned_cells, timed_cells
from skipbench.results.statistics.captions import block_caption, block_title, position_text
from skipbench.results.statistics.cells import current_cells
from skipbench.results.statistics.comparisons import Comparison
from skipbench.results.statistics.ranking import RankedMethod, Ranking, RankingBlock
from skipbench.results.statistics.tables import left_out_lines, status_line
from skipbench.results.words import (
    accuracy_text,
    counted,
    difference_text,
    interval_text,
    number_text,
    printable,
    ratio_text,
    seconds_text,
    statuses_text,
)

Row = dict[str, Any]
MOST_REASONS = 50
LEAKING_PROTOCOL = "collection"


def summary(frame: pd.DataFrame, ranking: Ranking) -> Row:
    """Counts at the top of the page, and the cells that did not finish."""
    cells = current_cells(frame)
    newest = cells["created"].max() if len(cells) else None
    return {
        "suites": [printable(name) for name in sorted(cells["suite"].unique())],
        "n_cells": ranking.n_cells,
        "n_ok": ranking.statuses.get("ok", 0),
        "n_not_ok": ranking.n_cells - ranking.statuses.get("ok", 0),
        "n_datasets": cells["dataset_label"].nunique(),
        "n_methods": cells["method_label"].nunique(),
        "status_line": status_line(ranking),
        "newest": None if newest is None else newest.strftime("%Y-%m-%d %H:%M UTC"),
        "versions": [printable(version) for version in sorted(cells["version"].dropna().unique())],
        "machines": machines(cells),
        "leaks": bool((cells["protocol"] == LEAKING_PROTOCOL).any()),
        "failures": failures(cells),
    }


def machines(cells: pd.DataFrame) -> list[str]:
    """One text for each machine class: its processor, and how many cells it ran."""
    groups = cells.groupby("machine_class", sort=True)
    return [f"{_hardware(own)}: {counted(len(own), 'cell')}" for _, own in groups]


def _hardware(cells: pd.DataFrame) -> str:
    first = cells.iloc[0]
    return printable(str(first["cpu"])) + ("" if pd.isna(first["gpu"]) else f" and {printable(str(first['gpu']))}")


def failures(cells: pd.DataFrame) -> list[Row]:
    """Cells that did not finish, by status, method, data set and reason, the most frequent first."""
    lost = cells[cells["status"] != "ok"]
    counts = lost.groupby(["status", "method_label", "dataset_label", "reason"], dropna=False).size().reset_index(name="n")
    counts = counts.sort_values("n", ascending=False, kind="stable").head(MOST_REASONS)
    return [
        {
            "status": row["status"],
            "method": printable(row["method_label"]),
            "dataset": printable(row["dataset_label"]),
            "reason": printable(str(row["reason"]), 300),
            "n": int(row["n"]),
        }
        for row in counts.to_dict("records")
    ]


def ranking_block(block: RankingBlock) -> Row:
    """One ranking: its table, the table of every data set, and what was left out."""
    return {
        "title": block_title(block),
        "caption": block_caption(block),
        "note": block.note,
        "many": len(block.datasets) > 1,
        "datasets": [printable(name, 40) for name in block.datasets],
        "methods": [_ranked_row(method) for method in block.methods],
        "left_out": left_out_lines(block),
    }


def _ranked_row(method: RankedMethod) -> Row:
    return {
        "position": position_text(method),
        "label": printable(method.label),
        "family": method.family,
        "accuracy": accuracy_text(method.mean_accuracy, method.spread),
        "accuracy_interval": "-" if method.accuracy_interval is None else "–".join(accuracy_text(end) for end in method.accuracy_interval),
        "position_interval": interval_text(method.position_interval),
        "ties": method.group_letters,
        "mean_rank": "-" if method.mean_rank is None else f"{method.mean_rank:.2f}",
        "p90": accuracy_text(method.p90),
        "p95": accuracy_text(method.p95),
        "pma": accuracy_text(method.pma),
        "scores": [accuracy_text(score.mean, score.spread) for score in method.scores],
        "n_cells": method.n_cells,
        "not_ok": statuses_text(method.not_ok),
    }


def comparison(entry: Comparison) -> Row:
    """One pair: both accuracies, the difference with its interval, and what the skips did to conditioning and speed."""
    n_datasets, n_splits = len(entry.by_dataset), len(entry.splits)
    return {
        "suite": printable(entry.suite),
        "what": printable(entry.what),
        "first": printable(entry.first),
        "second": printable(entry.second),
        "first_accuracy": accuracy_text(entry.first_accuracy),
        "second_accuracy": accuracy_text(entry.second_accuracy),
        "difference": difference_text(entry.difference, entry.interval),
        "decided": ("first" if entry.difference > 0 else "second") if entry.is_decided else "",
        "extent": f"{counted(n_datasets, 'data set')}, {counted(n_splits, 'split')}",
        "condition_ratio": ratio_text(entry.condition_ratio, entry.n_conditions),
        "iterations_ratio": ratio_text(entry.iterations_ratio, entry.n_iterations),
    }


def conditions(frame: pd.DataFrame) -> list[Row]:
    """For each kernel on each data set the medians over splits of conditioning and convergence."""
    rows = []
    for (_, dataset, method), own in conditioned_cells(frame).groupby(["suite", "dataset_label", "method_label"]):
        condition = own["condition_number"].median()
        rows.append(
            {
                "dataset": printable(str(dataset)),
                "method": printable(str(method)),
                "condition": number_text(condition),
                "rank": number_text(float(own["numerical_rank"].median())) + f" of {number_text(float(own['n_train'].median()))}",
                "bound": number_text(float(own["double_constant_bound"].median())),
                "dimension": number_text(float(own["effective_dimension"].median())),
                **{name: _reached(own[name]) for name in ("iterations_90", "iterations_99", "iterations_99_9")},
                "n": len(own),
            }
        )
    return rows


def _reached(iterations: pd.Series) -> str:
    missed = int((iterations == float("inf")).sum())
    text = number_text(float(iterations.median()), infinite="not reached")
    return text + (f" ({missed} missed)" if 0 < missed < len(iterations) else "")


def condition_sentence(frame: pd.DataFrame) -> str:
    """The rank correlation of condition number and iterations; whatever is infinite ranks highest, so no miss is dropped."""
    cells = conditioned_cells(frame)
    condition, iterations = cells["condition_number"], cells["iterations_99"]
    if min(condition.nunique(), iterations.nunique()) < 3:
        return ""
    correlation = stats.spearmanr(condition.rank(), iterations.rank()).statistic
    return f"Spearman rank correlation over {counted(len(cells), 'cell')}: {correlation:+.2f} (99 % loss reduction; misses rank last)."


def run_times(frame: pd.DataFrame) -> list[Row]:
    """Median seconds and memory of one cell for each method, the slowest phases named."""
    cells, _ = timed_cells(frame)
    phases = [name for name in cells.columns if name.startswith("seconds_")]
    rows = []
    for method, own in cells.groupby("method_label"):
        spent = own[phases].mean().dropna().sort_values(ascending=False).head(3)
        named = [f"{_phase_name(str(name))} {seconds_text(float(value))}" for name, value in spent.items()]
        memory = own["peak_memory"].median()
        rows.append(
            {
                "median": float(own["seconds"].median()),
                "method": printable(str(method)),
                "seconds": seconds_text(float(own["seconds"].median())),
                "longest": seconds_text(float(own["seconds"].max())),
                "phases": ", ".join(named),
                "memory": "-" if pd.isna(memory) else f"{float(memory) / 2**20:.0f} MiB",
                "n": len(own),
            }
        )
    return sorted(rows, key=lambda row: (row["median"], row["method"]))


def _phase_name(column: str) -> str:
    return printable(column.removeprefix("seconds_").replace("_", " "), 30)


def run_times_sentence(frame: pd.DataFrame) -> str:
    """On which machine, and how many cells of other machines are left out, since seconds compare on one only."""
    cells, left_out = timed_cells(frame)
    if cells.empty:
        return ""
    where = f"{counted(len(cells), 'cell')} on {_hardware(cells)}"
    sentence = f"{where}; seconds of a cell without warm-up, shared kernel matrices counted in full."
    return sentence + (f" {counted(left_out, 'cell')} of other machines left out." if left_out else "")
