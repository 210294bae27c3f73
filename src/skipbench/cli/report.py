"""`skipbench report`: the ranking in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from skipbench.results import load_records
from skipbench.results.statistics.ranking import rank_methods
from skipbench.results.statistics.tables import print_rankings


def report(
    suite: Annotated[str | None, typer.Argument(help="Only this suite's records.", metavar="[SUITE]")] = None,
    results: Annotated[list[Path] | None, typer.Option(help="Folders with records; may be repeated.")] = None,
) -> None:
    """Show the ranking of the records at hand."""
    frame = load_records(results or [Path("results") / "records", Path("results") / "runs"], suite=suite)
    print_rankings(Console(highlight=False), rank_methods(frame))
