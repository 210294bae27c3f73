"""Two result stores, compared: what moved between a baseline and a new run, by how much, and which of it is a regression."""

from skipbench.results.comparison.compare import Part, StoreComparison, compare_folders, compare_records
from skipbench.results.comparison.costs import CostLimits
from skipbench.results.comparison.movement import Movement, RecordPair
from skipbench.results.comparison.stored import Store, read_store

__all__ = [
    "CostLimits",
    "Movement",
    "Part",
    "RecordPair",
    "Store",
    "StoreComparison",
    "compare_folders",
    "compare_records",
    "read_store",
]
