"""Data sets: arrays, labels and splits by name, checked; no machine learning."""

from skipbench.datasets.dataset import Dataset, Split
from skipbench.datasets.preprocess import STEPS, PreparedSplit, Preprocessing, check_steps, fit_preprocessing, preprocess
from skipbench.datasets.registry import DatasetEntry, dataset_kind, dataset_names, describe, fetch, load, verify

__all__ = [
    "STEPS",
    "Dataset",
    "DatasetEntry",
    "PreparedSplit",
    "Preprocessing",
    "Split",
    "check_steps",
    "dataset_kind",
    "dataset_names",
    "describe",
    "fetch",
    "fit_preprocessing",
    "load",
    "preprocess",
    "verify",
]
