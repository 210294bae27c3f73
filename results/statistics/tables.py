"""The ranking as people read it: in the terminal, and as Markdown."""

from __future__ import annotations

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from skipbench.results.statistics.captions import block_caption, block_title, position_text
from skipbench.results.statistics.cells import current_cells, ok_cells
from skipbench.results.statistics.ranking import RankedMethod, Ranking, RankingBlock
from skipbench.results.words import (
    accuracy_text,
    counted,
    interval_text,
    number_text,
    printable,
    statuses_text,
)

LEGEND = (
    "accuracy in %: mean over data sets ± standard deviation over splits and seeds. rank 95 %: where other data sets, splits and seeds "
    "could put it. Methods that share a letter under ties cannot be told apart."
)


_LEFT = (1, 4)  # columns of words: method and ties


def print_ranking(console: Console, ranking: Ranking) -> None:
    """Print each block with what it compares and what it leaves out; a bordered table in a terminal, plain columns elsewhere."""
    if not ranking.n_cells:
        console.print("No records yet.")
        return
    for block in ranking.blocks:
        console.print(Text(block_title(block), style="bold"))
        console.print(Text(block_caption(block)), soft_wrap=True)
        _print_block(console, block)
        for line in left_out_lines(block):
            console.print(Text(line), soft_wrap=True)
        console.print(Text(block.note), soft_wrap=True)
        console.print()
    if not ranking.blocks:
        console.print("No cell finished, so there is nothing to rank.")
    else:
        console.print(Text(LEGEND), soft_wrap=True)
    console.print(Text(status_line(ranking)), soft_wrap=True)


def status_line(ranking: Ranking) -> str:
    """`120 cells: 118 ok, 2 timeout.` and how many were superseded."""
    line = f"{counted(ranking.n_cells, 'cell')}: {statuses_text(ranking.statuses) or 'none'}."
    if ranking.n_superseded:
        line += f" {counted(ranking.n_superseded, 'record')} of earlier runs of the same cells count nowhere."
    return line


def left_out_lines(block: RankingBlock) -> list[str]:
    """One line for each method and each data set's splits that the ranking leaves out, and why."""
    lines = []
    for method in block.left_out_methods:
        mean = "" if method.mean_accuracy is None else f", mean accuracy of what finished {accuracy_text(method.mean_accuracy)}"
        done = f"complete on {method.n_complete} of {counted(block.n_splits, 'split')}"
        lines.append(f"not ranked: {printable(method.label)}: {done} ({statuses_text(method.statuses)}){mean}")
    for split in block.left_out_splits:
        missing = ", ".join(printable(label) for label in split.missing[:3]) + (", …" if len(split.missing) > 3 else "")
        lines.append(f"left out: {printable(split.dataset)}, split {split.split}: not finished by {missing}")
    return lines


def _print_block(console: Console, block: RankingBlock) -> None:
    headers = ["rank", "method", "accuracy", "rank 95 %", "ties"]
    many = len(block.datasets) > 1
    if many:
        headers += ["mean rank", "P90", "P95", "PMA"]
    rows = [_cells_of(method, many=many) for method in block.methods]
    if not console.is_terminal:
        for line in _aligned([headers, *rows]):
            console.print(Text(line), soft_wrap=True)
        return
    table = Table(box=None if console.width < 60 else Table().box, pad_edge=False)
    for column, header in enumerate(headers):
        table.add_column(header, justify="left" if column in _LEFT else "right", overflow="fold", no_wrap=header != "method")
    for row in rows:
        table.add_row(*(Text(text) for text in row))
    console.print(table)


def _aligned(lines: list[list[str]]) -> list[str]:
    """Columns of equal width, as plain text of any length."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = []
    for line in lines:
        entries = zip(line, widths, strict=True)
        padded.append([text.ljust(width) if column in _LEFT else text.rjust(width) for column, (text, width) in enumerate(entries)])
    return ["  ".join(entries).rstrip() for entries in padded]


def _cells_of(method: RankedMethod, *, many: bool) -> list[str]:
    row = [
        position_text(method),
        _named(method),
        accuracy_text(method.mean_accuracy, method.spread),
        interval_text(method.position_interval),
        method.group_letters,
    ]
    if many:
        row += [f"{method.mean_rank:.2f}", accuracy_text(method.p90), accuracy_text(method.p95), accuracy_text(method.pma)]
    return row


def _named(method: RankedMethod) -> str:
    return printable(method.label) + (f" ({statuses_text(method.not_ok)})" if method.not_ok else "")


def markdown_ranking(ranking: Ranking, frame: pd.DataFrame) -> str:
    """The ranking as Markdown: accuracy on every data set and, for kernels, condition number and iterations (medians over cells)."""
    cells = ok_cells(current_cells(frame))
    parts = [_markdown_block(block, cells) for block in ranking.blocks]
    return "\n".join(parts) if parts else "No finished cells.\n"


def _markdown_block(block: RankingBlock, cells: pd.DataFrame) -> str:
    names = [printable(name, 40) for name in block.datasets]
    headers = ["rank", "method", *names, *(["mean"] if len(names) > 1 else [])]
    headers += ["rank 95 %", "ties", "condition number", "iterations to 99 %"]
    own = cells[(cells["suite"] == block.suite) & cells["dataset_label"].isin(block.datasets)]
    lines = [f"**{block_title(block)}.** {block_caption(block)} {block.note}", "", _row(headers)]
    lines.append(_row(["---:", "---", *["---:"] * (len(headers) - 2)]))
    for method in block.methods:
        measured = own[own["method_label"] == method.label]
        scores = [accuracy_text(score.mean, score.spread) for score in method.scores]
        mean = [accuracy_text(method.mean_accuracy)] if len(names) > 1 else []
        medians = [_median(measured["condition_number"], "singular"), _median(measured["iterations_99"], "not reached")]
        standing = [interval_text(method.position_interval), method.group_letters]
        lines.append(_row([position_text(method), _named(method), *scores, *mean, *standing, *medians]))
    lines += ["", *(f"{line}  " for line in left_out_lines(block))]
    return "\n".join(lines).rstrip() + "\n"


def _median(values: pd.Series, infinite: str) -> str:
    known = values.dropna()
    return number_text(float(known.median()), infinite=infinite) if len(known) else "-"


def _row(entries: list[str]) -> str:
    return "| " + " | ".join(entry.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;") for entry in entries) + " |"
