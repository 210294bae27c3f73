"""`skipbench performance`: the history of the asv benchmarks, and whether the newest commit made anything worse."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skipbench.cli.terminal import make_console
from skipbench.results.performance import print_performance, read_history, regressions

DEFAULT_HISTORY = Path("results") / "asv"


def performance(
    folder: Annotated[Path, typer.Argument(help="A results folder of asv.", metavar="FOLDER")] = DEFAULT_HISTORY,
) -> None:
    """Compare the newest commit's benchmarks with those before; exit status 1 on a regression. tox run -e asv measures them."""
    findings = print_performance(make_console(), read_history(folder))
    if regressions(findings):
        raise typer.Exit(1)
