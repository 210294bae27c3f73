"""`skipbench list`: the suites, methods and engines that can be run."""

from __future__ import annotations

from rich.table import Table

from skipbench.cli.terminal import make_console
from skipbench.kernels.engines.registry import engine_names, registered_engine
from skipbench.suite import load_suite, suite_names
from skipbench.trainers.registry import method_names, method_summary


def list_names() -> None:
    """Show the suites, the registered methods and the engines; data sets are listed by `skipbench data list`."""
    console = make_console()
    suites = Table("suite", "the question it answers", box=None)
    for name in suite_names():
        suites.add_row(name, load_suite(name).suite.description)
    methods = Table("method", "what it is", box=None)
    for name in method_names():
        methods.add_row(name, method_summary(name))
    engines = Table("engine", "how it computes kernel matrices, the fastest first", "devices", box=None)
    for name in engine_names():
        engines.add_row(name, registered_engine(name).summary, ", ".join(registered_engine(name).devices))
    for number, table in enumerate((suites, methods, engines)):
        if number:
            console.print()
        console.print(table)
