"""What every registered data set must be; one contract for ours, run by our tests, and for other people's, run by `skipbench check`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skipbench.checks import ContractError, MissingDataError, SkipbenchError, TamperedDataError
from skipbench.datasets.dataset import PARTS, Dataset, Split, array_sha256
from skipbench.datasets.options import as_folder
from skipbench.datasets.places import data_root
from skipbench.datasets.preprocess import STEPS, Pool, preprocess
from skipbench.datasets.registry import DatasetEntry, describe, load, presence

LARGE_BYTES = 2**26  # what a set of more is asked repeatedly it is asked of a subset
SUBSET_ROWS_PER_CLASS = 10
SELECTING_PROTOCOL = "collection"  # there one split selects and has no test rows, and the others only test
NOT_AT_HAND = "It is not at hand: loading it says where it was looked for, and how to get it."


@dataclass(frozen=True)
class Case:
    """One data set under one protocol. whole: as loaded without further options; small: with the options `subset`, if it is large."""

    entry: DatasetEntry
    root: Path | None
    protocol: str
    whole: Dataset
    small: Dataset
    subset: Mapping[str, int] = field(default_factory=dict)

    def load(self, **changes: Any) -> Dataset:
        """The set under this protocol, small, with other options where they are named."""
        options: dict[str, Any] = {"protocol": self.protocol, **self.subset, **changes}
        return load(self.entry.name, self.root, **options)

    @property
    def where(self) -> str:
        """The set and the protocol, as the beginning of a sentence."""
        return f"data set {self.entry.name}, protocol {self.protocol}"

    def expect(self, holds: bool, otherwise: str) -> None:
        """Raise ContractError unless it holds."""
        if not holds:
            raise ContractError(f"{self.where}: {otherwise}")


def check_dataset(name: str, root: Path | str | None = None) -> tuple[str, ...]:
    """Run the contract over a data set, under each of its protocols; `root` as in `load`. Returns what was checked, one sentence each.

    Of a set whose files are not at hand it is checked that loading says so: that is all the contract asks of it then.
    Raises ContractError at the first breach, SkipbenchError for an unknown name, TamperedDataError for files that are not the right ones.
    """
    place = as_folder(root)
    entry = describe(name, place)
    if presence(name, place) in ("no", "incomplete"):
        _check_absence(entry, place)
        return (NOT_AT_HAND,)
    if not entry.protocols:
        raise ContractError(f"data set {name}: it has no protocol, but a record names one: give it at least one")
    for protocol in entry.protocols:
        case = _case(entry, place, protocol)
        for check in CHECKS:
            _run(check, case)
    n = len(entry.protocols)
    return tuple(f"{_sentence(check)} ({n} protocol{'' if n == 1 else 's'})" for check in CHECKS)


def is_absence(checked: tuple[str, ...]) -> bool:
    """Whether that is what `check_dataset` returns for a set whose files are not at hand."""
    return checked == (NOT_AT_HAND,)


def check_names(case: Case) -> None:
    """It is called what it was asked for, has the kind and protocols that are announced, a licence and a provenance without folders."""
    found, entry = case.whole, case.entry
    case.expect(found.name == entry.name, f"it is called {found.name!r}")
    case.expect(found.protocol == case.protocol, f"it says that its protocol is {found.protocol!r}")
    case.expect(found.kind == entry.kind, f"it holds {found.kind}, but {entry.kind} are announced")
    case.expect(bool(entry.source.strip()), "it has no source")
    for words, what in ((found.licence, "licence"), (entry.licence, "announced licence"), (found.provenance, "provenance")):
        case.expect(bool(words.strip()), f"its {what} is empty, but a record carries it")
    case.expect(str(data_root(case.root)) not in found.provenance, "its provenance names a folder of this machine, and goes into records")
    default = load(entry.name, case.root, n=case.subset.get("n"))
    case.expect(default.protocol == entry.protocols[0], f"without one asked for, its protocol is {default.protocol!r}, not the first")


def check_size(case: Case) -> None:
    """Its size in words has the numbers of what is loaded."""
    found, size = case.whole, case.entry.size
    if not size:
        return
    numbers = [int(number) for number in re.findall(r"\d+", re.sub(r"(?<=\d),(?=\d{3})", "", size))]
    sums = [int(first) + int(second) for first, second in re.findall(r"(\d+) \+ (\d+)", size)]
    case.expect(len(found) in numbers + sums, f"it has {len(found)} rows, but its size is announced as {size!r}")
    shape = "x".join(map(str, found.input_shape))
    is_there = shape in re.findall(r"\d+(?:x\d+)*", size) or str(found.input_shape) in size
    case.expect(is_there, f"its rows have shape {shape}, but its size is announced as {size!r}")
    n, answers = (len(found.classes), "classes") if found.targets is None else (found.targets.shape[1], "targets")
    case.expect(n in numbers, f"it has {n} {answers}, but its size is announced as {size!r}")


def check_arrays(case: Case) -> None:
    """Its arrays are read-only, of the right type, finite, and those whose checksum it carries."""
    for found in _distinct(case):
        splits = [getattr(split, part) for split in found.splits for part in PARTS]
        for array in (found.inputs, found.labels, found.targets, found.groups, *splits):
            case.expect(array is None or not array.flags.writeable, "one of its arrays can be written to, behind its checksum")
        case.expect(found.inputs.dtype == np.float32, f"inputs are {found.inputs.dtype}, but they are float32")
        case.expect(found.labels.dtype == np.int64, f"labels are {found.labels.dtype}, but they are int64")
        case.expect(bool(np.isfinite(found.inputs).all()), "inputs hold NaN or infinity")
        answers = () if found.targets is None else (found.targets,)
        for targets in answers:
            case.expect(targets.dtype == np.float64, f"targets are {targets.dtype}, but they are float64")
            case.expect(bool(np.isfinite(targets).all()), "targets hold NaN or infinity")
            case.expect(bool((targets.std(axis=0) > 0).all()), "a target is the same for every row: there is nothing to learn")
        recomputed = array_sha256(found.inputs, found.labels, *answers)
        case.expect(found.sha256 == recomputed, f"its sha256 is {found.sha256}, but its arrays have {recomputed}")


def check_splits(case: Case) -> None:
    """The parts of a split share no row and no group, every class trains, and there is something to test on."""
    for found in _distinct(case):
        names = [split.name for split in found.splits]
        case.expect(len(set(names)) == len(names), f"two of its splits have one name: {names}")
        case.expect(any(len(split.test) for split in found.splits), "no split has test rows")
        for split in found.splits:
            _check_split(case, found, split)


def _check_split(case: Case, found: Dataset, split: Split) -> None:
    parts = [getattr(split, part) for part in PARTS]
    rows = np.concatenate(parts)
    case.expect(len(np.unique(rows)) == len(rows), f"split {split.name} has a row in two parts, or twice in one")
    case.expect(bool(((rows >= 0) & (rows < len(found))).all()), f"split {split.name} names a row that is not there")
    case.expect(len(split.train) > 0 and len(split.validation) + len(split.test) > 0, f"split {split.name} has an empty part")
    if case.protocol != SELECTING_PROTOCOL:
        case.expect(all(len(part) for part in parts), f"split {split.name} lacks training, validation or test rows")
    absent = set(range(len(found.classes))) - set(found.labels[split.train].tolist())
    case.expect(not absent, f"split {split.name} does not train on class {min(absent, default=0)}")
    if found.groups is not None:
        groups = [set(found.groups[part].tolist()) for part in parts]
        shared = next((first & second for first, second in itertools.combinations(groups, 2) if first & second), None)
        case.expect(shared is None, f"split {split.name} has {found.grouped_by} {min(shared or {0})} in two parts")


def check_seeds(case: Case) -> None:
    """Loaded twice it is the same; another seed gives other splits or rows exactly where it changes the provenance."""
    first, again, other = case.small, case.load(), case.load(seed=1)
    case.expect(first.sha256 == again.sha256 and _same_splits(first, again), "loaded twice, it is not the same")
    differs = first.sha256 != other.sha256 or not _same_splits(first, other)
    is_said = first.provenance != other.provenance
    case.expect(differs or not is_said, "another seed changes what its provenance says, and nothing else")
    case.expect(is_said or not differs, "another seed changes it, but its provenance does not say which seed, so it could not be repeated")


def check_subsets(case: Case) -> None:
    """Where it takes n: so many rows, class-balanced and, for one seed, each subset within the larger ones."""
    least = SUBSET_ROWS_PER_CLASS * max(2, len(case.whole.classes))
    sizes = (least, least + max(2, len(case.whole.classes)) // 2 + 1)
    smaller, larger = (_subset(case, n) for n in sizes)
    if smaller is None or larger is None:
        return
    for n, found in zip(sizes, (smaller, larger), strict=True):
        trained = len(found.splits[0].train)
        case.expect(n in (len(found), trained), f"n={n} gives {len(found)} rows, of which {trained} train")
        if found.task == "classification" and found.groups is None:  # whole groups are balanced as far as they allow
            _check_balance(case, found, found.labels if len(found) == n else found.labels[found.splits[0].train], n)
    if smaller.task == "classification" and smaller.groups is None:
        kept = _rows(larger) if len(larger) == sizes[1] else _rows(larger, larger.splits[0])
        held = _rows(smaller) if len(smaller) == sizes[0] else _rows(smaller, smaller.splits[0])
        case.expect(held <= kept, f"n={sizes[0]} takes rows that n={sizes[1]} of the same seed does not have")


def check_preprocessing(case: Case) -> None:
    """Every preprocessing step that takes its kind gives finite numbers on each part of a split."""
    for name, step in STEPS.items():
        if case.small.kind in step.takes and (step is not Pool or Pool.divides(case.small.input_shape)):
            prepared = preprocess(case.small, 0, [name])
            for part in (prepared.x_train, prepared.x_validation, prepared.x_test):
                case.expect(part.dtype == np.float32 and bool(np.isfinite(part).all()), f"after the step {name} it holds NaN or infinity")


def check_files(case: Case) -> None:
    """Its files, where it has any, have the right checksums, or none is known of them."""
    if case.entry.verify is not None:
        wrong = [check.file for check in case.entry.verify(case.entry.name, case.root) if check.status not in ("ok", "unverified")]
        case.expect(not wrong, f"{', '.join(wrong)}: missing, or not the right file, but it was loaded")


def check_refusals(case: Case) -> None:
    """An n that cannot be had, a negative seed, an unknown protocol or parameter are refused with a SkipbenchError."""
    wrong: tuple[dict[str, Any], ...] = (
        {"n": 10**15},
        {"n": 0},
        {"seed": -1},
        {"protocol": f"{case.protocol}x"},
        {"no_such_parameter": 1},
        *({parameter: "many"} for parameter in case.entry.parameters),
    )
    for options in wrong:
        ((option, value),) = options.items()
        try:
            case.load(**options)
        except SkipbenchError as error:
            case.expect(option in str(error) or str(value) in str(error), f"its refusal of {option}={value!r} names neither: {error}")
            continue
        raise ContractError(f"{case.where}: it takes {option}={value!r} without a SkipbenchError")


CHECKS: tuple[Callable[[Case], None], ...] = (
    check_names,
    check_size,
    check_arrays,
    check_splits,
    check_seeds,
    check_subsets,
    check_preprocessing,
    check_files,
    check_refusals,
)


def _case(entry: DatasetEntry, root: Path | None, protocol: str) -> Case:
    """Load the set once as a whole; a large one that takes n is then only loaded in part."""
    try:
        whole = load(entry.name, root, protocol=protocol)
    except (MissingDataError, TamperedDataError):
        raise
    except Exception as error:
        raise ContractError(f"data set {entry.name}, protocol {protocol}: it does not load: {type(error).__name__}: {error}") from error
    case = Case(entry, root, protocol, whole, whole)
    n = SUBSET_ROWS_PER_CLASS * max(2, len(whole.classes))
    if whole.inputs.nbytes > LARGE_BYTES and (small := _subset(case, n)) is not None:
        return Case(entry, root, protocol, whole, small, {"n": n})
    return case


def _distinct(case: Case) -> tuple[Dataset, ...]:
    return (case.whole,) if case.small is case.whole else (case.whole, case.small)


def _check_absence(entry: DatasetEntry, root: Path | None) -> None:
    try:
        load(entry.name, root)
    except MissingDataError as error:
        needed = (entry.name, str(data_root(root)), "skipbench data fetch")
        lacking = [words for words in needed if words not in str(error)]
        if lacking:
            raise ContractError(f"data set {entry.name}: not at hand, but the error lacks {', '.join(lacking)}: {error}") from error
        return
    raise ContractError(f"data set {entry.name}: it is said not to be at hand, but it loads")


def _subset(case: Case, n: int) -> Dataset | None:
    """The subset of n rows; None where the set takes no n, or not this one."""
    try:
        return load(case.entry.name, case.root, protocol=case.protocol, n=n)
    except (MissingDataError, TamperedDataError):
        raise
    except SkipbenchError as error:
        case.expect("n=" in str(error), f"it refuses n={n} without naming it: {error}")
        return None


def _check_balance(case: Case, found: Dataset, labels: NDArray[np.int64], n: int) -> None:
    """Equally many of each class, up to one; fewer only of a class that has no more, or of a set whose rows are drawn, not chosen."""
    if case.entry.parameters:
        return
    counts = np.bincount(labels, minlength=len(found.classes))
    available = np.bincount(case.whole.labels, minlength=len(found.classes))
    short = (counts < counts.max() - 1) & (counts < available)
    case.expect(not short.any(), f"n={n} has {counts.tolist()} rows of its classes, which is not balanced")


def _rows(found: Dataset, split: Split | None = None) -> set[bytes]:
    """The contents of the rows, of the training part where a split is named."""
    inputs = found.inputs if split is None else found.inputs[split.train]
    return {row.tobytes() for row in inputs}


def _same_splits(first: Dataset, second: Dataset) -> bool:
    return [split.name for split in first.splits] == [split.name for split in second.splits] and all(
        np.array_equal(getattr(one, part), getattr(other, part))
        for one, other in zip(first.splits, second.splits, strict=True)
        for part in PARTS
    )


def _run(check: Callable[[Case], None], case: Case) -> None:
    """A set that raises where it should not breaks the contract too, and the message says what was asked of it."""
    try:
        check(case)
    except (ContractError, TamperedDataError):
        raise
    except Exception as error:
        raise ContractError(f"{case.where}: {type(error).__name__}: {error}, while it was checked that: {check.__doc__}") from error


def _sentence(check: Callable[[Case], None]) -> str:
    return (check.__doc__ or check.__name__).partition("\n")[0]
