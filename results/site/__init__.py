"""The page: one static HTML file that asks nothing of the network."""

from skipbench.results.site.report import write_report

__all__ = ["write_report"]
