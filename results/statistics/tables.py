"""The ranking as people read it: in the terminal, and as Markdown."""

from __future__ import annotations

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from skipbench.results.statistics.ranking import RankedMethod, Ranking


def caption(ranking: Ranking) -> str:
    """What was compared, in one sentence, and what was left out."""
    sets = f"{len(ranking.datasets)} data set{'s' if len(ranking.datasets) != 1 else ''}"
    sentence = f"{len(ranking.methods)} methods on {ranking.inputs}, {sets} ({', '.join(ranking.datasets)}), {ranking.units} splits that all finished"
    if ranking.units_left_out:
        sentence += f"; {ranking.units_left_out} splits left out because a method did not finish them"
    if ranking.left_out:
        sentence += f"; without any result: {', '.join(ranking.left_out)}"
    return sentence


def print_rankings(console: Console, rankings: list[Ranking]) -> None:
    """Print each ranking with its caption."""
    for ranking in rankings:
        console.print(Text(caption(ranking)))
        table = Table("rank", "method", "accuracy", "spread", "interval", "group", box=None, pad_edge=False)
        for column in (table.columns[0], *table.columns[2:5]):
            column.justify = "right"
        for place, method in enumerate(ranking.methods, start=1):
            table.add_row(str(place), Text(_named(method)), f"{method.accuracy:.3f}", f"{method.spread:.3f}", _interval(method), method.group)
        console.print(table)
        console.print()
    if not rankings:
        console.print("No finished cells to rank yet.")
    else:
        console.print(
            "accuracy: mean over data sets; spread: standard deviation over splits and seeds; interval: 95 % of the rank by bootstrap; "
            "methods of one group cannot be told apart from its first.",
            soft_wrap=True,
        )


def markdown(rankings: list[Ranking], frame: pd.DataFrame) -> str:
    """Rankings as Markdown tables, with the kernels' condition numbers and iterations (medians over splits)."""
    lines: list[str] = []
    for ranking in rankings:
        lines += [f"{caption(ranking)}:", "", "| method | accuracy | spread | rank interval | group | condition number | iterations to 99 % |"]
        lines += ["|---|---:|---:|---:|---|---:|---:|"]
        part = frame[(frame["inputs"] == ranking.inputs) & (frame["status"] == "ok")]
        for method in ranking.methods:
            cells = part[part["label"] == method.label]
            medians = [_median(cells, column) for column in ("condition_number", "iterations_99")]
            values = [_named(method), f"{method.accuracy:.3f}", f"{method.spread:.3f}", _interval(method), method.group, *medians]
            lines.append("| " + " | ".join(value.replace("|", "\\|") for value in values) + " |")
        lines.append("")
    return "\n".join(lines)


def _median(cells: pd.DataFrame, column: str) -> str:
    if column not in cells or not cells[column].notna().any():
        return ""
    value = float(cells[column].median())
    return "never" if value == float("inf") and column.startswith("iter") else "infinite" if value == float("inf") else f"{value:.3g}"


def _named(method: RankedMethod) -> str:
    return method.label + (f" ({method.not_ok} cells not ok)" if method.not_ok else "")


def _interval(method: RankedMethod) -> str:
    return str(method.rank_low) if method.rank_low == method.rank_high else f"{method.rank_low}-{method.rank_high}"
