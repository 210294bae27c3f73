"""A comparison as people and programmes read it: in the terminal, as plain lines, as Markdown, as JSON."""

from __future__ import annotations

import math
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from skipbench.results.comparison.compare import StoreComparison
from skipbench.results.comparison.movement import Movement, Value
from skipbench.results.words import accuracy_text, counted, printable, seconds_text

MOST_SHOWN = 60
COLUMNS = ("", "what", "cell", "before", "now", "by how much", "records")
_STYLES = {"worse": "red", "changed": "yellow", "better": "green"}


def print_comparison(console: Console, comparison: StoreComparison) -> None:
    """Print what moved, worst first, then what was not compared and why, and last one line that sums up.

    A table in a terminal; elsewhere one line each, of any length, with two spaces between columns.
    """
    shown = comparison.movements[:MOST_SHOWN]
    rows = [_row(movement) for movement in shown]
    if rows and console.is_terminal:
        console.print(_table(rows, shown))
    elif rows:
        widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
        for row in (COLUMNS, *rows):
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            console.print(Text(line), soft_wrap=True)
    for line in (*_more_line(comparison), *unread_lines(comparison), *comparison.notes):
        console.print(Text(line), soft_wrap=True)
    console.print(Text(comparison.sentence, style="bold"), soft_wrap=True)


def markdown_comparison(comparison: StoreComparison) -> str:
    """The same as Markdown: the summary as a title, then the table, then the notes."""
    lines = [f"### skipbench compare: {_escaped(comparison.sentence)}", ""]
    shown = comparison.movements[:MOST_SHOWN]
    if shown:
        lines += ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
        lines += ["| " + " | ".join(_escaped(cell) for cell in _row(movement)) + " |" for movement in shown]
        lines.append("")
    notes = (*_more_line(comparison), *unread_lines(comparison), *comparison.notes)
    lines += [f"- {_escaped(note)}" for note in notes]
    return "\n".join(lines).rstrip() + "\n"


def json_comparison(comparison: StoreComparison) -> dict[str, Any]:
    """All movements as plain JSON values; an infinite number is the text "infinite"."""
    return {
        "summary": comparison.sentence,
        "exit_status": comparison.exit_status(),
        "regressions": len(comparison.regressions),
        "compared": comparison.n_pairs,
        "appeared": comparison.n_appeared,
        "notes": list(comparison.notes),
        "unreadable": list(comparison.unreadable),
        "movements": [_as_json(movement) for movement in comparison.movements],
    }


def value_text(movement: Movement, value: Value) -> str:
    """A value of a movement in the unit of its kind; condition numbers and counts with all the digits that are compared."""
    if isinstance(value, str):
        return value
    if movement.kind == "accuracy":
        return accuracy_text(value)
    if movement.kind == "seconds":
        return seconds_text(value)
    if movement.kind == "memory":
        return f"{value / 2**20:.0f} MiB"
    if math.isinf(value):
        return "infinite" if movement.kind == "condition number" else "never"
    return f"{value:.0f}" if movement.kind == "iterations" else f"{value:.9g}"


def unread_lines(comparison: StoreComparison) -> list[str]:
    """One line for each file that could not be read."""
    return [f"not read: {reason}" for reason in comparison.unreadable]


def _row(movement: Movement) -> tuple[str, ...]:
    verdict = "REGRESSION" if movement.regression else movement.direction
    values = value_text(movement, movement.old), value_text(movement, movement.new)
    return verdict, movement.measure, movement.cell, *values, movement.change, _records_text(movement)


def _records_text(movement: Movement) -> str:
    """The files of the cell that moved most, and how many more there are."""
    first = movement.records[0]
    names = [printable(name, 130) for name in dict.fromkeys((first.base, first.new)) if name is not None]
    more = f" and {counted(len(movement.records) - 1, 'more cell')}" if len(movement.records) > 1 else ""
    return " -> ".join(names) + more


def _table(rows: list[tuple[str, ...]], movements: tuple[Movement, ...]) -> Table:
    table = Table(pad_edge=False)
    for column in COLUMNS:
        table.add_column(column, justify="right" if column in ("before", "now") else "left", overflow="fold")
    for row, movement in zip(rows, movements, strict=True):
        style = _STYLES["worse" if movement.regression else movement.direction]
        table.add_row(Text(row[0], style=style), *(Text(cell) for cell in row[1:]))
    return table


def _more_line(comparison: StoreComparison) -> list[str]:
    hidden = len(comparison.movements) - MOST_SHOWN
    return [f"... and {counted(hidden, 'more movement')}: --json FILE holds all of them"] if hidden > 0 else []


def _as_json(movement: Movement) -> dict[str, Any]:
    return {
        "kind": movement.kind,
        "direction": movement.direction,
        "regression": movement.regression,
        "cell": movement.cell,
        "measure": movement.measure,
        "old": _json_value(movement.old),
        "new": _json_value(movement.new),
        "change": movement.change,
        "records": [{"base": pair.base, "new": pair.new} for pair in movement.records],
    }


def _json_value(value: Value) -> float | str:
    return "infinite" if isinstance(value, float) and math.isinf(value) else value


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is, also where it comes from a hostile record."""
    for letter in "\\`*_[]<>|":
        text = text.replace(letter, {"<": "&lt;", ">": "&gt;"}.get(letter, f"\\{letter}"))
    return text
