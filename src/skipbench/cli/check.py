"""`skipbench check METHOD`: the contract that every registered method keeps, run over one of them."""

from __future__ import annotations

from typing import Annotated

import typer

from skipbench.cli.terminal import make_console
from skipbench.trainers.contract import check_method


def check(method: Annotated[str, typer.Argument(help="A registered method: skipbench list shows them.")]) -> None:
    """Run the contract of methods over METHOD; exit status 1 where it is broken."""
    console = make_console()
    with console.status(f"checking {method}"):
        check_method(method)
    console.print(f"{method} keeps the contract", markup=False)
