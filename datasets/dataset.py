"""A data set as everything else sees it: inputs, labels or targets, named classes and splits, checked once and then read-only."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from skipbench.checks import SkipbenchError, TamperedDataError, shown, shown_name

Kind: TypeAlias = Literal["vectors", "images"]
Task: TypeAlias = Literal["classification", "regression"]
Inputs: TypeAlias = NDArray[np.float32]
Indices: TypeAlias = NDArray[np.int64]
Targets: TypeAlias = NDArray[np.float64]

KINDS: tuple[Kind, ...] = ("vectors", "images")
PARTS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Split:
    """Which rows train, validate and test: three int64 index arrays that share no row; validation or test may be empty."""

    name: str
    train: Indices
    validation: Indices
    test: Indices

    def __post_init__(self) -> None:
        for part in PARTS:
            object.__setattr__(self, part, _frozen_integers(getattr(self, part), f"split {shown_name(self.name)}: its {part} part"))


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs, labels and splits of one data set; every array is read-only and everything is checked when it is made.

    inputs: float32, (n, d) vectors or (n, channels, height, width) images, all finite. labels: int64, (n,), from 0 to len(classes) - 1.
    classes: their names. splits: at least one; every class must occur in every training part. sha256: of dtype, shape and bytes of
    inputs, labels and targets, computed here; given, it must agree. provenance: where the rows come from and what was done to them.
    protocol: how the splits were made. targets: float64, (n, outputs), all finite, makes it a regression set, whose classes are () and
    whose labels are all 0. groups: int64, (n,), which rows belong together, such as crops of one photograph: no split may part them;
    grouped_by: what a group is. Raises SkipbenchError, which names the data set, the row or split, what was found and what is allowed.
    """

    name: str
    inputs: Inputs
    labels: Indices
    classes: tuple[str, ...]
    splits: tuple[Split, ...]
    sha256: str = ""
    provenance: str = ""
    licence: str = ""
    protocol: str = "stratified"
    targets: Targets | None = None
    groups: Indices | None = None
    grouped_by: str = "group"

    def __post_init__(self) -> None:
        where = f"data set {shown_name(self.name)}"
        object.__setattr__(self, "inputs", _checked_inputs(self.inputs, where))
        object.__setattr__(self, "labels", _frozen_integers(self.labels, f"{where}: labels"))
        object.__setattr__(self, "classes", tuple(str(name) for name in self.classes))
        object.__setattr__(self, "splits", tuple(self.splits))
        if self.targets is None:
            _check_labels(self.labels, len(self.inputs), self.classes, where)
        else:
            object.__setattr__(self, "targets", _checked_targets(self.targets, len(self.inputs), where))
            _check_regression_labels(self.labels, len(self.inputs), self.classes, where)
        if self.groups is not None:
            object.__setattr__(self, "groups", _frozen_integers(self.groups, f"{where}: groups"))
            if len(self.groups) != len(self.inputs):
                raise SkipbenchError(f"{where}: {len(self.groups)} groups for {len(self.inputs)} rows of inputs: give each row its group")
        if not self.splits:
            raise SkipbenchError(f"{where}: splits is empty, but a data set needs at least one")
        for split in self.splits:
            _check_split(split, self.labels, self.classes, where)
            if self.groups is not None:
                check_groups(split, self.groups, self.grouped_by, where)
        found = array_sha256(self.inputs, self.labels, *(() if self.targets is None else (self.targets,)))
        if self.sha256 and self.sha256 != found:
            raise TamperedDataError(f"{where}: its arrays have SHA-256 {found}, but {shown(self.sha256)} was promised")
        object.__setattr__(self, "sha256", found)

    @property
    def task(self) -> Task:
        """Whether a row has a class or target values."""
        return "classification" if self.targets is None else "regression"

    @property
    def kind(self) -> Kind:
        """Whether a row is a vector or an image."""
        return "vectors" if self.inputs.ndim == 2 else "images"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one row: (d,) or (channels, height, width)."""
        return tuple(self.inputs.shape[1:])

    def __len__(self) -> int:
        return len(self.inputs)

    def __repr__(self) -> str:
        answers = f"classes={len(self.classes)}" if self.targets is None else f"targets={self.targets.shape}"
        return (
            f"Dataset({self.name!r}, inputs={self.inputs.shape}, {answers}, "
            f"splits={len(self.splits)}, protocol={self.protocol!r}, sha256={self.sha256[:12]}...)"
        )


def array_sha256(*arrays: NDArray[Any]) -> str:
    """SHA-256 (64 hexadecimal digits) over dtype, shape and little-endian bytes of the arrays in turn: equal on every machine."""
    digest = hashlib.sha256()
    for array in arrays:
        plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        digest.update(json.dumps([array.dtype.name, list(array.shape)]).encode())
        digest.update(plain.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def freeze(array: NDArray[Any]) -> NDArray[Any]:
    """Make an array read-only in place and hand it back, so that a Dataset need not copy what its loader has just made."""
    array.flags.writeable = False
    return array


def _frozen_integers(values: Any, what: str) -> Indices:
    array = np.asarray(values)
    if array.ndim != 1:
        raise SkipbenchError(f"{what} has shape {array.shape}, but it is one row of whole numbers")
    if array.size and array.dtype.kind not in "iu":
        raise SkipbenchError(f"{what} holds {array.dtype}, but it must hold whole numbers (int64)")
    if array.dtype.kind == "u" and array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise SkipbenchError(f"{what} holds {array.max()}, which is too large for int64")
    return freeze(array.astype(np.int64))


def _checked_inputs(values: Any, where: str) -> Inputs:
    inputs = np.asarray(values)
    if inputs.ndim not in (2, 4):
        raise SkipbenchError(
            f"{where}: inputs have shape {inputs.shape}, but they are (n, d) vectors or (n, channels, height, width) images"
        )
    if inputs.dtype != np.float32:
        raise SkipbenchError(f"{where}: inputs are {inputs.dtype}, but they must be float32: use inputs.astype(numpy.float32)")
    if 0 in inputs.shape:
        raise SkipbenchError(f"{where}: inputs have shape {inputs.shape}, which is empty")
    check_finite(inputs, where)
    # Whoever still holds a writeable array could change the data behind its checksum, so only frozen arrays are kept as they are.
    owned = inputs.flags.c_contiguous and not inputs.flags.writeable
    return inputs if owned else freeze(np.array(inputs, order="C"))


def _checked_targets(values: Any, n: int, where: str) -> Targets:
    targets = np.asarray(values)
    if targets.dtype != np.float64:
        raise SkipbenchError(f"{where}: targets are {targets.dtype}, but they must be float64: use targets.astype(numpy.float64)")
    if targets.ndim != 2 or targets.shape[0] != n or targets.shape[1] == 0:
        hint = ": use targets[:, numpy.newaxis]" if targets.shape == (n,) else ""
        raise SkipbenchError(f"{where}: targets have shape {targets.shape}, but with {n} rows of inputs it is ({n}, outputs){hint}")
    finite = np.isfinite(targets)
    if not finite.all():
        row, output = (int(number) for number in np.argwhere(~finite)[0])
        raise SkipbenchError(f"{where}: targets row {row}, output {output} is {targets[row, output]}, but a target is a finite number")
    owned = targets.flags.c_contiguous and not targets.flags.writeable
    return targets if owned else freeze(np.array(targets, order="C"))


def _check_regression_labels(labels: Indices, n: int, classes: tuple[str, ...], where: str) -> None:
    if classes:
        raise SkipbenchError(f"{where}: classes is {shown(classes)} beside targets, but a regression set has no classes: use ()")
    if len(labels) != n or labels.any():
        raise SkipbenchError(f"{where}: labels beside targets, but a regression set has {n} zeros there, one for each row of inputs")


def check_finite(inputs: NDArray[Any], where: str) -> None:
    """Refuse NaN and infinite values, naming the first of them by its row and place."""
    rows_at_once = max(1, 2**22 // max(1, inputs[0].size)) if len(inputs) else 1  # no second array of the data set's size
    for start in range(0, len(inputs), rows_at_once):
        block = inputs[start : start + rows_at_once]
        finite = np.isfinite(block)
        if not finite.all():
            row, *place = (int(number) for number in np.argwhere(~finite)[0])
            names = ("feature",) if len(place) == 1 else ("channel", "row", "column")
            spot = ", ".join(f"{name} {number}" for name, number in zip(names, place, strict=True))
            found = block[(row, *place)]
            raise SkipbenchError(f"{where}: inputs row {start + row}, {spot} is {found}, but every input must be a finite number")


def _check_labels(labels: Indices, n: int, classes: tuple[str, ...], where: str) -> None:
    if len(labels) != n:
        raise SkipbenchError(f"{where}: {len(labels)} labels for {n} rows of inputs")
    if len(classes) < 2:
        raise SkipbenchError(f"{where}: classes names {len(classes)}, but classification needs at least 2")
    if len(set(classes)) != len(classes):
        raise SkipbenchError(f"{where}: two classes have the same name in {shown(classes)}")
    wrong = np.flatnonzero((labels < 0) | (labels >= len(classes)))
    if wrong.size:
        row = int(wrong[0])
        raise SkipbenchError(
            f"{where}: row {row} has label {labels[row]}, but with {len(classes)} classes a label is 0 to {len(classes) - 1}"
        )


def _check_split(split: Split, labels: Indices, classes: tuple[str, ...], where: str) -> None:
    where = f"{where}: split {shown_name(split.name)}"
    used = np.zeros(len(labels), dtype=bool)
    for part in PARTS:
        rows: Indices = getattr(split, part)
        outside = rows[(rows < 0) | (rows >= len(labels))]
        if outside.size:
            raise SkipbenchError(f"{where}: its {part} part names row {outside[0]}, but rows are 0 to {len(labels) - 1}")
        again = rows[used[rows]]
        if again.size:
            raise SkipbenchError(f"{where}: row {again[0]} is in its {part} part and in another, but the parts of a split may not overlap")
        used[rows] = True
        if int(used.sum()) != sum(len(getattr(split, seen)) for seen in PARTS[: PARTS.index(part) + 1]):
            raise SkipbenchError(f"{where}: its {part} part names row {_first_repeated(rows)} twice")
    if not len(split.train):
        raise SkipbenchError(f"{where}: its training part is empty")
    absent = np.setdiff1d(np.arange(len(classes)), labels[split.train])
    if absent.size:
        names = ", ".join(shown_name(classes[label]) for label in absent[:5])
        raise SkipbenchError(f"{where}: class {names} is absent from its training part, but every class must occur there")


def check_groups(split: Split, groups: Indices, grouped_by: str, where: str) -> None:
    """Refuse a split that parts a group, naming the group and both parts. groups: (n,), of every row of the data set."""
    seen: dict[int, str] = {}
    for part in PARTS:
        found: list[int] = np.unique(groups[getattr(split, part)]).tolist()
        parted = next((group for group in found if group in seen), None)
        if parted is not None:
            raise SkipbenchError(
                f"{where}: split {shown_name(split.name)}: {grouped_by} {parted} lies in two parts, {seen[parted]} and {part}, but all "
                f"rows of a {grouped_by} belong in one part: split by {grouped_by}, not by row"
            )
        seen.update(dict.fromkeys(found, part))


def _first_repeated(rows: Indices) -> int:
    values, counts = np.unique(rows, return_counts=True)
    return int(values[counts > 1][0])
