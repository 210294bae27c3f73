"""The command line: run, estimate, report, data, list, check."""

from skipbench.cli.app import main

__all__ = ["main"]
