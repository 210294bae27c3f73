"""How long from the records to the ranking and the page, and how heavy is the page?

The records are made up and fixed, so that a number here moves with the code and not with what was measured since.
"""

from __future__ import annotations

import hashlib
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from skipbench.architecture import CNN, MLP, Architecture, ResCNN, ResMLP
from skipbench.benchmarks.performance.measures import BYTES, Repeated, in_unit
from skipbench.results import (
    CellRecord,
    Convergence,
    DatasetUsed,
    Environment,
    MachineThreads,
    MethodUsed,
    Metric,
    PeakMemory,
    ResultStore,
    Seeds,
    Source,
    load_records,
    records_frame,
)
from skipbench.results.site import write_report
from skipbench.results.statistics.ranking import rank_methods

_SETS: tuple[tuple[str, tuple[int, ...]], ...] = (("iris", (4,)), ("wine", (13,)), ("digits", (64,)), ("digits-images", (1, 8, 8)))
_DENSE: tuple[Architecture, ...] = (MLP(3), ResMLP(3))
_CONVOLUTIONAL: tuple[Architecture, ...] = (CNN(3), ResCNN(3))
_ENVIRONMENT = Environment(
    python="3.11",
    platform="Linux x86_64",
    cpu="made up",
    cores=2,
    memory_bytes=2**34,
    packages={},
    threads=MachineThreads(torch=1),
    machine_class="00000000",
)


def made_up_records(n_splits: int) -> list[CellRecord]:
    """Kernel cells of four data sets: two kernels of two architectures on every split, 16 records a split."""
    return [
        _record(dataset, shape, architecture, kernel, split)
        for dataset, shape in _SETS
        for architecture in (_CONVOLUTIONAL if len(shape) == 3 else _DENSE)
        for kernel in ("nngp", "ntk")
        for split in range(n_splits)
    ]


def _record(dataset: str, shape: tuple[int, ...], architecture: Architecture, kernel: str, split: int) -> CellRecord:
    label = f"{kernel.upper()} ridge, {architecture.label}"
    accuracy = 0.8 + 0.01 * len(dataset) / (1 + split) + 0.02 * architecture.is_residual + 0.01 * (kernel == "ntk")
    return CellRecord(
        key=hashlib.sha256(f"{dataset} {label} {split}".encode()).hexdigest(),
        status="ok",
        suite="made-up",
        command="skipbench run made-up",
        source=Source(version="0"),
        environment=_ENVIRONMENT,
        created=datetime(2026, 1, 1, tzinfo=UTC),
        dataset=DatasetUsed(
            name=dataset, sha256="0" * 64, split=split, n_train=90, n_validation=30, n_test=30, classes=3, input_shape=shape
        ),
        method=MethodUsed(
            name="ridge",
            family="kernel",
            label=label,
            source_version="1",
            kernel=kernel,
            architecture=architecture.to_dict(),
            residual=architecture.is_residual,
        ),
        seeds=Seeds(data=0),
        device="cpu",
        dtype="float64",
        metrics=(Metric(name="accuracy", value=accuracy, direction="higher"),),
        convergence=Convergence(
            source="closed_form", learning_rate=0.1, iterations_90=10 + split, iterations_99=100 + split, iterations_99_9=None
        ),
        phases={"kernel": 0.5 + split, "solve": 0.1},
        peak_memory=PeakMemory(host_bytes=2**28),
    )


class Report(Repeated):
    """Reading records, ranking them, writing the page."""

    version = "1"
    params: ClassVar[tuple[tuple[int, ...]]] = ((1, 5),)
    param_names: ClassVar[tuple[str, ...]] = ("splits",)
    repeat: ClassVar[tuple[int, int, float]] = (2, 4, 1.0)

    def setup(self, splits: int) -> None:
        """A store on the disk and the table of its records."""
        self.folder = tempfile.TemporaryDirectory(prefix="skipbench-asv-")
        self.store, self.page = Path(self.folder.name) / "store", Path(self.folder.name) / "page"
        records = made_up_records(splits)
        for record in records:
            ResultStore(self.store).write(record)
        self.frame = records_frame(records)
        write_report(self.frame, self.page)

    def teardown(self, splits: int) -> None:
        """Leave nothing behind."""
        self.folder.cleanup()

    def time_load_records(self, splits: int) -> None:
        """From JSON files to the table."""
        load_records(self.store)

    def time_rank(self, splits: int) -> None:
        """With the intervals, which are drawn 2,000 times or so."""
        rank_methods(self.frame)

    def time_page(self, splits: int) -> None:
        """Figures, tables and records in one file."""
        write_report(self.frame, self.page)

    @in_unit(BYTES)
    def track_page_bytes(self, splits: int) -> int:
        """What a reader downloads."""
        return write_report(self.frame, self.page).stat().st_size
