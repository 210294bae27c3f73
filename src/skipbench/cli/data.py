"""`skipbench data`: which data sets there are, fetching them, verifying them, and what is known of each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from skipbench.checks import MissingDataError, SkipbenchError, shown
from skipbench.datasets import dataset_names, describe, fetch, load, verify
from skipbench.datasets.dataset import PARTS, Dataset
from skipbench.datasets.registry import presence
from skipbench.datasets.verification import FileCheck

app = typer.Typer(
    name="data",
    help="Data sets: list them, fetch them from their official sources, verify their files, show what is known of one.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A name that `skipbench data list` shows, e.g. iris or uci/abalone.")]
RootOption = Annotated[
    Path | None,
    typer.Option("--root", metavar="DIR", help="Where the data lies: without it SKIPBENCH_DATA, else the user's cache folder."),
]


@app.command("list")
def list_data(root: RootOption = None) -> None:
    """List every data set: its kind, whether it is at hand, and its size."""
    rows = []
    for name in dataset_names(root):
        entry = describe(name, root)
        rows.append((name, entry.kind, presence(name, root), entry.size))
    _print_rows(("name", "kind", "at hand", "size"), rows)


@app.command("fetch")
def fetch_data(name: NameArgument, root: RootOption = None) -> None:
    """Download a data set from its official source, check it, and unpack it; what is there already is only checked."""
    entry = describe(name, root)
    if entry.fetch is None:
        typer.echo(f"{name} needs no download")
        return
    progressbar = _DownloadBar(name) if Console().is_terminal else False
    typer.echo(f"{name} is at {fetch(name, root, progressbar=progressbar)}")


@app.command("verify")
def verify_data(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One data set; without it, every one at hand.")] = None,
    root: RootOption = None,
) -> None:
    """Compare the checksum of every file with the right one; exit with 1 when one does not match."""
    names = [name] if name is not None else [known for known in dataset_names(root) if presence(known, root) != "no"]
    if name is not None and describe(name, root).verify is None:
        typer.echo(f"{name} has no files to verify")
        return
    checks = [check for known in names for check in verify(known, root)]
    # With a name every file is shown; without one, only what somebody may want to mend.
    listed = checks if name is not None else [check for check in checks if check.status != "ok"]
    if listed:
        _print_rows(("data set", "file", "status"), [(check.dataset, check.file, check.status) for check in listed])
    typer.echo(_summary(checks))
    if any(check.status == "mismatch" for check in checks):
        raise typer.Exit(1)


@app.command("info")
def info_data(
    name: NameArgument,
    root: RootOption = None,
    n: Annotated[int | None, typer.Option("-n", help="Rows of a class-balanced subset.")] = None,
    seed: Annotated[int, typer.Option(help="Of the subset and the splits.")] = 0,
    protocol: Annotated[str | None, typer.Option(help="How the splits are made, where the set offers several.")] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="Of a generated set, e.g. frequency=4; once for each."),
    ] = None,
) -> None:
    """Show a data set's sizes, classes or targets, splits, checksum, provenance and licence."""
    entry = describe(name, root)
    facts = [("name", name), ("kind", entry.kind), ("source", entry.source), ("protocols", ", ".join(entry.protocols))]
    parameters = _parameters(parameter or ())
    if entry.parameters:
        facts.append(("parameters", ", ".join(f"{key}={value}" for key, value in sorted({**entry.parameters, **parameters}.items()))))
    try:
        dataset = load(name, root, n=n, seed=seed, protocol=protocol, **parameters)
    except MissingDataError:
        _print_facts([*facts, ("size", entry.size or "not known before it is fetched"), ("licence", entry.licence)])
        raise
    _print_facts([*facts, *_facts(dataset)])
    rows = [(split.name, *(str(len(getattr(split, part))) for part in PARTS)) for split in dataset.splits]
    _print_rows(("split", *PARTS), rows)


def _parameters(written: Sequence[str]) -> dict[str, int]:
    """NAME=VALUE, each with a whole number; whether the set has such a parameter is for `load` to say."""
    found: dict[str, int] = {}
    for text in written:
        name, equals, value = text.partition("=")
        if not equals or not name or not re.fullmatch(r"[+-]?[0-9]{1,12}", value):
            raise SkipbenchError(f"-p {shown(text)}: a parameter is written NAME=VALUE with a whole number, such as frequency=4")
        if name in found or name in ("name", "root", "n", "n_test", "seed", "protocol"):
            raise SkipbenchError(f"-p {shown(text)}: {name} is given twice or has an option of its own")
        found[name] = int(value)
    return found


def _facts(dataset: Dataset) -> list[tuple[str, str]]:
    groups = [] if dataset.groups is None else [(f"{dataset.grouped_by}s", str(len(set(dataset.groups.tolist()))))]
    return [
        ("rows", str(len(dataset))),
        ("input shape", "x".join(map(str, dataset.input_shape))),
        _answers(dataset),
        *groups,
        ("protocol", dataset.protocol),
        ("sha256", dataset.sha256),
        ("provenance", dataset.provenance),
        ("licence", dataset.licence),
    ]


def _answers(dataset: Dataset) -> tuple[str, str]:
    """What a row is to be told by: its class, or its target values."""
    if dataset.targets is not None:
        means, deviations = dataset.targets.mean(axis=0), dataset.targets.std(axis=0)
        each = ", ".join(f"mean {mean:.3f} deviation {deviation:.3f}" for mean, deviation in zip(means, deviations, strict=True))
        return "targets", f"{len(means)}: {each}"
    counts = Counter(int(label) for label in dataset.labels)
    return "classes", f"{len(dataset.classes)}: " + ", ".join(f"{name} ({counts[label]})" for label, name in enumerate(dataset.classes))


def _summary(checks: Sequence[FileCheck]) -> str:
    counts = Counter(check.status for check in checks)
    others = [f"{counts[status]} {status}" for status in ("mismatch", "missing", "unverified") if counts[status]]
    n_sets = len({check.dataset for check in checks})
    return f"{len(checks)} files of {n_sets} data set{'' if n_sets == 1 else 's'}: " + ", ".join([f"{counts['ok']} ok", *others])


def _print_rows(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table in a terminal; elsewhere plain lines with two spaces between columns, which other programmes can read."""
    console = Console(highlight=False)
    if console.is_terminal:
        table = Table(*columns, box=None)
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))  # Text: a name is never markup
        console.print(table)
        return
    widths = [max(len(cell) for cell in column) for column in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _print_facts(facts: Sequence[tuple[str, str]]) -> None:
    console = Console(highlight=False)
    width = max(len(key) for key, _ in facts)
    if not console.is_terminal:
        for key, value in facts:
            typer.echo(f"{key.ljust(width)}  {value}")
        return
    table = Table.grid(padding=(0, 2))
    for key, value in facts:
        table.add_row(Text(key, style="bold"), Text(value))
    console.print(table)


class _DownloadBar:
    """What pooch wants of a progress bar (a `total`, `update`, `reset`, `close`), shown by rich."""

    def __init__(self, name: str) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
        )
        self._task = self._progress.add_task(name, total=None)
        self._total: float | None = None

    @property
    def total(self) -> float | None:
        """Bytes to come, as the server announces them."""
        return self._total

    @total.setter
    def total(self, value: Any) -> None:
        self._total = float(value) or None
        self._progress.update(self._task, total=self._total)
        self._progress.start()

    def update(self, n_bytes: int) -> None:
        """So many bytes more have come."""
        self._progress.advance(self._task, n_bytes)

    def reset(self) -> None:
        """Pooch rounds the bar off at the end by resetting it and filling it once."""
        self._progress.reset(self._task, start=True)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._progress.stop()
