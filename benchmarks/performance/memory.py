"""How much memory does a process take that computes kernel matrices within a bound, or writes the page?"""

from __future__ import annotations

import tempfile
from typing import ClassVar

import torch

from skipbench.architecture import Architecture
from skipbench.benchmarks.performance.report import made_up_records
from skipbench.benchmarks.performance.workloads import architecture, digits, peer_case
from skipbench.kernels import kernel_matrices
from skipbench.results import records_frame
from skipbench.results.site import write_report


class GramMemory:
    """`working_bytes` bounds what is used besides the inputs and the two matrices."""

    version = "1"
    params: ClassVar[tuple[tuple[str, ...], tuple[int, ...]]] = (("MLP", "ResCNN"), (2**20, 2**28))
    param_names: ClassVar[tuple[str, ...]] = ("family", "working_bytes")
    timeout = 60.0
    n: ClassVar[dict[str, int]] = {"MLP": 1500, "ResCNN": 200}

    def setup(self, family: str, working_bytes: int) -> None:
        """The inputs count as well."""
        self.arch: Architecture = architecture(family, "tr")
        self.x = digits(family, self.n[family]).inputs

    def peakmem_gram(self, family: str, working_bytes: int) -> None:
        """The largest resident size of the process."""
        kernel_matrices(self.arch, self.x, working_bytes=working_bytes)


class PeerCaseMemory:
    """What the largest of the cases take that are measured beside a peer. A field that is stored, not kept in the cache, shows here."""

    version = "1"
    params: ClassVar[tuple[tuple[str, ...], tuple[str, ...]]] = (("resmlp-784", "rescnn-tr", "rescnn-gap"), ("reference", "fused"))
    param_names: ClassVar[tuple[str, ...]] = ("case", "engine")
    timeout = 60.0

    def setup(self, case: str, engine: str) -> None:
        """The inputs count as well. asv skips an engine that is not there."""
        self.arch, self.x, self.z = peer_case(case, engine)

    def peakmem_pairs(self, case: str, engine: str) -> None:
        """The largest resident size of the process."""
        kernel_matrices(self.arch, self.x, self.z, dtype=torch.float32, engine=engine)


class ReportMemory:
    """Figures are what takes memory."""

    version = "1"
    timeout = 60.0

    def setup(self) -> None:
        """80 made-up records."""
        self.frame = records_frame(made_up_records(5))

    def peakmem_page(self) -> None:
        """The largest resident size of the process."""
        with tempfile.TemporaryDirectory(prefix="skipbench-asv-") as folder:
            write_report(self.frame, folder)
