"""How long until a data set is in memory, and how large is it there?"""

from __future__ import annotations

import io
import tarfile
import tempfile
from pathlib import Path
from typing import ClassVar

import numpy as np

from skipbench.benchmarks.performance.measures import BYTES, Repeated, in_unit
from skipbench.checks import MissingDataError
from skipbench.datasets import load, preprocess
from skipbench.datasets.archives import Expected, extract_folder


class Bundled(Repeated):
    """The sets that come with scikit-learn, loaded, checked and split."""

    version = "1"
    params: ClassVar[tuple[tuple[str, ...]]] = (("iris", "wine", "breast-cancer", "digits", "digits-images"),)
    param_names: ClassVar[tuple[str, ...]] = ("data_set",)

    def setup(self, data_set: str) -> None:
        """scikit-learn is imported outside the clock."""
        load(data_set)

    def time_load(self, data_set: str) -> None:
        """With checksum and splits."""
        load(data_set)

    @in_unit(BYTES)
    def track_bytes(self, data_set: str) -> int:
        """Of inputs and labels: doubles when something becomes float64."""
        dataset = load(data_set)
        return dataset.inputs.nbytes + dataset.labels.nbytes


class Archive(Repeated):
    """A made-up .tar.gz in the layout of CIFAR-10: five batches, checked against links, strange names and bombs, then unpacked."""

    version = "1"
    files, file_bytes = 5, 2**20

    def setup(self) -> None:
        """Random bytes from seed 0, which do not compress."""
        self.folder = tempfile.TemporaryDirectory(prefix="skipbench-asv-")
        self.archive, self.n_unpacked = Path(self.folder.name) / "made-up.tar.gz", 0
        rng = np.random.default_rng(0)
        with tarfile.open(self.archive, "w:gz", compresslevel=1) as archive:
            for number in range(self.files):
                member = tarfile.TarInfo(f"batches/batch_{number}")
                member.size = self.file_bytes
                archive.addfile(member, io.BytesIO(rng.bytes(self.file_bytes)))

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.folder.cleanup()

    def time_unpack(self) -> None:
        """Every time into a new folder."""
        self.n_unpacked += 1
        expected = Expected(
            "batches", lambda name: name.startswith("batch_"), max_files=self.files, max_bytes=2 * self.files * self.file_bytes
        )
        extract_folder(self.archive, Path(self.folder.name) / f"unpacked-{self.n_unpacked}", expected)


class Preprocessing(Repeated):
    """The named steps, fitted on the training part and applied to all parts of one split."""

    version = "1"
    params: ClassVar[tuple[tuple[str, ...]]] = (("standardise", "unit-norm", "per-channel", "multi-sphere"),)
    param_names: ClassVar[tuple[str, ...]] = ("step",)

    def setup(self, step: str) -> None:
        """All 1,797 digits."""
        self.dataset = load("digits" if step == "standardise" else "digits-images")

    def time_preprocess(self, step: str) -> None:
        """One split."""
        preprocess(self.dataset, 0, [step])


class Cifar10(Repeated):
    """A subset of CIFAR-10, read from its official batches. Skipped where they are not at hand: asv never downloads."""

    version = "1"
    params: ClassVar[tuple[tuple[int, ...]]] = ((500,),)
    param_names: ClassVar[tuple[str, ...]] = ("n",)

    def setup(self, n: int) -> None:
        """NotImplementedError is how a benchmark tells asv to skip it."""
        try:
            load("cifar10", n=n)
        except MissingDataError as error:
            raise NotImplementedError(str(error)) from error

    def time_load(self, n: int) -> None:
        """Checksums of all batches, unpickling, the subset."""
        load("cifar10", n=n)
