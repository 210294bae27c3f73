"""Sets of the Fernandez-Delgado collection (JMLR 15, 2014), with the collection's own partitions and two protocols.

`collection`, the literature's: choose on the split "selection", then report the mean over the folds; it leaks, since every test row also
serves in the selection. `nested`: choose inside each fold's training part.

Sets in one file come z-scored over all rows, those of the test parts included. The preprocessing step `standardise` takes that out: it
brings each feature to mean 0 and deviation 1 over the training rows of the split, whatever shift and scale it had before, so its result
is the same as from the unscaled measurements, up to the digits in the file. Suites name it as a step; there is no other option for it.
Sets in two files are standardised here, each file by itself, since the two come on different scales.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skipbench.checks import SkipbenchError, TamperedDataError
from skipbench.datasets.dataset import Dataset, Indices, Split, freeze
from skipbench.datasets.options import LoadOptions
from skipbench.datasets.places import data_root, first_folder, missing
from skipbench.datasets.stratify import EIGHTY_TWENTY, deal
from skipbench.datasets.uci_checksums import known_sets, known_sha256
from skipbench.datasets.uci_format import Description, read_description, read_partitions, read_rows

PREFIX = "uci/"
PROTOCOLS = ("collection", "nested")
SOURCE = "http://persoal.citius.usc.es/manuel.fernandez.delgado/papers/jmlr/data.tar.gz"
LICENCE = "terms of the UCI Machine Learning Repository, for most sets CC BY 4.0; cite the set's authors (its .names file)"
N_FOLDS = 4
LARGEST_FILE = 2**30

_SET_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,79}")
_EMPTY: Indices = np.empty(0, dtype=np.int64)


def is_set_name(name: str) -> bool:
    """Whether `name` is spelt like a set of the collection: uci/ and a plain folder name."""
    return name.startswith(PREFIX) and _SET_NAME.fullmatch(name.removeprefix(PREFIX)) is not None


def set_places(name: str, root: Path | None) -> tuple[Path, ...]:
    """The folders in which the files of uci/NAME are looked for."""
    folder = name.removeprefix(PREFIX)
    base = data_root(root)
    return (base / "uci" / folder, base / folder)


def load_uci(name: str, options: LoadOptions) -> Dataset:
    """The set uci/NAME; features as published, z-scored over all rows by the collection's authors, or per file here (two files).

    Raises MissingDataError for absent files, TamperedDataError for a wrong checksum, SkipbenchError for malformed lines.
    """
    protocol = options.chosen_protocol(name, PROTOCOLS)
    options.refuse(name, ("n", "n_test"), "the sets of the collection come with partitions of all their rows: leave it out")
    files = _SetFiles(name, options.root)
    description = files.description()
    data = [
        read_rows(files.folder / file, files.read(file), rows=rows, features=description.features, classes=description.classes)
        for file, rows in zip(description.files, description.rows, strict=True)
    ]
    labels = np.concatenate([labels for _, labels in data])
    has_test_file = len(data) == 2
    inputs = np.concatenate([_standardised(inputs) if has_test_file else inputs for inputs, _ in data])
    selection = files.selection(description)
    folds = [_test_file_split(description)] if has_test_file else files.folds(description)
    splits = (selection, *folds) if protocol == "collection" else tuple(_nested(fold, labels, options.seed) for fold in folds)
    return Dataset(
        name=name,
        inputs=freeze(inputs.astype(np.float32)),
        labels=labels,
        classes=tuple(str(label) for label in range(description.classes)),
        splits=splits,
        provenance="; ".join(_provenance(files.unverified, has_test_file, protocol, options.seed)),
        licence=LICENCE,
        protocol=protocol,
    )


class _SetFiles:
    """The files of one set: found, checked against the checksums the package carries, and those without one remembered."""

    def __init__(self, name: str, root: Path | None) -> None:
        self.name = name
        self.stem = name.removeprefix(PREFIX)
        self.root = root
        self.folder = first_folder(name, set_places(name, root), f"{self.stem}.txt", root)
        self.unverified: list[str] = []

    def read(self, file: str) -> bytes:
        """The bytes of a file whose checksum, where there is one, is right."""
        path = self.folder / file
        if not path.is_file():
            raise missing(self.name, f"its folder {self.folder} lacks the file {file}", self.root)
        if path.stat().st_size > LARGEST_FILE:
            raise TamperedDataError(f"{path} has {path.stat().st_size} bytes, but no file of the collection has more than {LARGEST_FILE}")
        try:
            content = path.read_bytes()
        except OSError as error:
            raise SkipbenchError(f"{path} cannot be read: {error.strerror}") from None
        expected = known_sha256(self.stem, file)
        if expected is None:
            self.unverified.append(file)
        elif (found := hashlib.sha256(content).hexdigest()) != expected:
            raise TamperedDataError(
                f"{path} is not the collection's file: its SHA-256 is {found}, but {expected} is right. "
                f"Nothing of it was used: delete the folder, then skipbench data fetch {self.name}"
            )
        return content

    def description(self) -> Description:
        file = f"{self.stem}.txt"
        return read_description(self.folder / file, self.read(file))

    def selection(self, description: Description) -> Split:
        file = "conxuntos.dat"
        train, validation = read_partitions(self.folder / file, self.read(file), n_lines=2, rows=description.rows[0])
        for part, found, promised in (("training", train, description.n_train), ("validation", validation, description.n_validation)):
            if promised is not None and len(found) != promised:
                raise SkipbenchError(f"{self.folder / file}: {len(found)} {part} rows, but the set's description promises {promised}")
        return Split("selection", train, validation, _EMPTY)

    def folds(self, description: Description) -> list[Split]:
        file = "conxuntos_kfold.dat"
        parts = read_partitions(self.folder / file, self.read(file), n_lines=2 * N_FOLDS, rows=description.rows[0])
        pairs = zip(parts[::2], parts[1::2], strict=True)
        return [Split(f"fold-{number}", train, _EMPTY, test) for number, (train, test) in enumerate(pairs, start=1)]


def _test_file_split(description: Description) -> Split:
    first, second = description.rows
    return Split("train-test", np.arange(first), _EMPTY, np.arange(first, first + second))


def _nested(fold: Split, labels: Indices, seed: int) -> Split:
    """The same test part; the training part divided 80/20, stratified and seeded, into training and validation."""
    number = int(fold.name.removeprefix("fold-")) if fold.name.startswith("fold-") else 0
    hands = deal(labels[fold.train], EIGHTY_TWENTY, (seed, number))
    return Split(fold.name, fold.train[hands["train"]], fold.train[hands["validation"]], fold.test)


def _standardised(inputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """One file brought to mean 0 and deviation 1 by itself; a feature that is constant in it becomes 0."""
    deviation = inputs.std(axis=0)
    # a constant's deviation may be no 0 after rounding, and that of features below 1e-160 is 0, as their squares are
    constant = (inputs.max(axis=0) == inputs.min(axis=0)) | (deviation == 0)
    deviation = np.where(constant, 1.0, deviation)
    return np.where(constant, 0.0, (inputs - inputs.mean(axis=0)) / deviation)


def _provenance(unverified: list[str], has_test_file: bool, protocol: str, seed: int) -> list[str]:
    notes = ["Fernandez-Delgado et al. 2014 (JMLR 15), after the UCI Machine Learning Repository"]
    if unverified:
        notes.append(f"unverified: the package carries no checksum of {', '.join(unverified)}")
    else:
        notes.append("files verified by SHA-256")
    if has_test_file:
        notes.append(
            "separate test file: each file standardised by itself here, since the two come on different scales; k-fold file ignored"
        )
    else:
        notes.append(
            "z-scored over all rows by the collection's authors, which the step standardise replaces by the training rows' own scale; "
            "the test parts of its four folds overlap"
        )
    if protocol == "nested":
        notes.append(f"protocol nested: each training part divided 80/20 into training and validation, stratified, seed {seed}")
    elif has_test_file:
        notes.append("protocol collection: chosen on the selection split, which lies inside the training file")
    else:
        notes.append("protocol collection: it leaks, since every test row also serves in the selection")
    return notes


def known_size(name: str) -> str:
    """Rows, features and classes of a known set in words; empty for others."""
    entry = known_sets().get(name.removeprefix(PREFIX))
    if entry is None:
        return ""
    test = f" + {entry['test_rows']} test" if entry["test_rows"] else ""
    return f"{entry['rows']}{test} rows, {entry['features']} features, {entry['classes']} classes"
