"""Records, the store they lie in, and the tables made from them."""

from skipbench.results.frame import load_records
from skipbench.results.record import CellRecord, ClaimRecord, PerformanceRecord, Record, record_json_schema
from skipbench.results.store import ResultStore, StoreWarning

__all__ = [
    "CellRecord",
    "ClaimRecord",
    "PerformanceRecord",
    "Record",
    "ResultStore",
    "StoreWarning",
    "load_records",
    "record_json_schema",
]
