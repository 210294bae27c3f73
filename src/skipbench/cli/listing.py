"""`skipbench list`: the suites and methods that can be run."""

from __future__ import annotations

from rich.table import Table

from skipbench.cli.terminal import make_console
from skipbench.suite import load_suite, suite_names
from skipbench.trainers.registry import method_names, method_summary


def list_names() -> None:
    """Show the suites and the registered methods; data sets are listed by `skipbench data list`."""
    console = make_console()
    suites = Table("suite", "the question it answers", box=None)
    for name in suite_names():
        suites.add_row(name, load_suite(name).suite.description)
    methods = Table("method", "what it is", box=None)
    for name in method_names():
        methods.add_row(name, method_summary(name))
    console.print(suites)
    console.print()
    console.print(methods)
