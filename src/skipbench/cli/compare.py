"""`skipbench compare`: what moved between two stores, and an exit status for whoever guards them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from skipbench.checks import SkipbenchError
from skipbench.results import strict_json
from skipbench.results.comparison import CostLimits, Part, StoreComparison, compare_folders
from skipbench.results.comparison.report import json_comparison, markdown_comparison, print_comparison


def compare(
    base: Annotated[Path, typer.Argument(help="The baseline: a suite's folder, or one that holds several, e.g. results/records.")],
    new: Annotated[Path, typer.Argument(help="What is held against it, e.g. results/runs.")],
    suite: Annotated[
        list[str] | None, typer.Option(help="Only this suite; may be repeated. Without it, every suite that both hold.")
    ] = None,
    dataset: Annotated[list[str] | None, typer.Option("-d", "--dataset", help="Only this data set; may be repeated.")] = None,
    method: Annotated[list[str] | None, typer.Option("-m", "--method", help="Only this method; may be repeated.")] = None,
    all_suites: Annotated[bool, typer.Option("--all-suites", help="A suite that NEW lacks has vanished, not been left out.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 on any movement, improvements included.")] = False,
    time_ratio: Annotated[float, typer.Option(help="How many times longer a method may take on the same class of machine.")] = 2.0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every movement, with all its records, into this file.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the table as Markdown into this file, too.")] = None,
) -> None:
    """Say what moved from the store BASE to the store NEW, worst first: by how much, and in which records.

    Accuracies beyond seed noise, condition numbers and iteration counts (relative 1e-6), times and memory on the same class of machine,
    vanished and newly failing cells, and cells computed from other data or code. Exit status: 0 nothing is worse, 1 a regression, 2 bad
    input, such as a missing folder or a record of another schema.
    """
    limits = CostLimits(ratio=_checked_ratio(time_ratio))
    part = Part(tuple(suite or ()), tuple(dataset or ()), tuple(method or ()))
    comparison = compare_folders(base, new, part, all_suites=all_suites, limits=limits)
    print_comparison(Console(highlight=False), comparison)
    _write_files(comparison, json_file, markdown)
    status = comparison.exit_status(strict=strict)
    if status:
        raise typer.Exit(status)


def _checked_ratio(ratio: float) -> float:
    if not 1 < ratio < float("inf"):
        raise SkipbenchError(f"--time-ratio {ratio:g}: how many times longer a method may take is a number above 1, such as 2")
    return ratio


def _write_files(comparison: StoreComparison, json_file: Path | None, markdown: Path | None) -> None:
    if json_file is not None:
        _write(json_file, strict_json.to_text(json_comparison(comparison)))
    if markdown is not None:
        _write(markdown, markdown_comparison(comparison))


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SkipbenchError(f"{path} cannot be written ({error.strerror or error}): name another place") from error
