"""Suites: what is compared, read from a file with the line of everything that is wrong in it."""

from skipbench.suite.models import Budget, DataEntry, MethodEntry, PartEntry, Suite
from skipbench.suite.parts import parts_of
from skipbench.suite.reading import SuiteFile, load_suite, suite_names

__all__ = ["Budget", "DataEntry", "MethodEntry", "PartEntry", "Suite", "SuiteFile", "load_suite", "parts_of", "suite_names"]
