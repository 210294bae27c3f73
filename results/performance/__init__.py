"""Performance over time: asv's result files read into series, what moved between commits, and how that is shown."""

from skipbench.results.performance.gate import Finding, examine, regressions
from skipbench.results.performance.history import PerformanceHistory, PerformanceRun, Series, SeriesKey, read_history, result_files
from skipbench.results.performance.tables import print_performance
from skipbench.results.performance.tidy import keep_results

__all__ = [
    "Finding",
    "PerformanceHistory",
    "PerformanceRun",
    "Series",
    "SeriesKey",
    "examine",
    "keep_results",
    "print_performance",
    "read_history",
    "regressions",
    "result_files",
]
