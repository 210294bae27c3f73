"""The data sets by name: the one place where a set is registered, and the way other packages add theirs.

Another package registers a set by an entry point of the group `skipbench.datasets`, whose name is the set's and which leads to a
function without arguments that returns a Dataset, or to a DatasetEntry.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from skipbench.checks import MissingDataError, SkipbenchError, shown, unknown_name
from skipbench.datasets import bundled, cifar10, svhn, svhn_1083, synthetic, uci
from skipbench.datasets.dataset import Dataset, Kind
from skipbench.datasets.download import fetch_cifar10, fetch_svhn, fetch_svhn_1083, fetch_uci
from skipbench.datasets.options import LoadOptions, as_folder
from skipbench.datasets.places import data_root
from skipbench.datasets.uci_checksums import UNVERIFIED_NAMES, known_sets
from skipbench.datasets.verification import (
    FileCheck,
    needed_files,
    uci_names_at_hand,
    verify_bundled,
    verify_cifar10,
    verify_svhn,
    verify_svhn_1083,
    verify_uci,
)

ENTRY_POINTS = "skipbench.datasets"
LIST_COMMAND = "skipbench data list"

Presence = Literal["bundled", "yes", "incomplete", "no"]


@dataclass(frozen=True)
class DatasetEntry:
    """What is known of a data set before it is loaded. source: where its files officially come from; size: in words.

    load(name, options) returns the Dataset; fetch(name, root, progressbar) downloads it and returns its folder; verify(name, root) checks
    its files. Sets that need no files of their own have no fetch and no verify. parameters: the names that `load` takes beside its own
    arguments, whole numbers, with their defaults. places(root) and needs: the folders looked at and the files without which it does not
    load, for sets whose files have fixed names.
    """

    name: str
    kind: Kind
    load: Callable[[str, LoadOptions], Dataset]
    protocols: tuple[str, ...]
    source: str
    licence: str
    size: str = ""
    is_bundled: bool = False
    fetch: Callable[[str, Path | None, Any], Path] | None = None
    verify: Callable[[str, Path | None], list[FileCheck]] | None = None
    parameters: Mapping[str, int] = field(default_factory=dict)
    places: Callable[[Path | None], Sequence[Path]] | None = None
    needs: tuple[str, ...] = ()


def _bundled(name: str, kind: Kind, size: str, source: str) -> DatasetEntry:
    return DatasetEntry(
        name=name,
        kind=kind,
        load=bundled.load_bundled,
        protocols=bundled.PROTOCOLS,
        source=source,
        licence=bundled.LICENCE,
        size=size,
        is_bundled=True,
        verify=verify_bundled,
    )


def _uci(name: str) -> DatasetEntry:
    return DatasetEntry(
        name=name,
        kind="vectors",
        load=uci.load_uci,
        protocols=uci.PROTOCOLS,
        source=uci.SOURCE,
        licence=uci.LICENCE,
        size=uci.known_size(name),
        fetch=fetch_uci,
        verify=verify_uci,
    )


_UCI_PAGES = "https://archive.ics.uci.edu/dataset"
_DIGITS_PAGE = f"{_UCI_PAGES}/80/optical+recognition+of+handwritten+digits"

REGISTERED: tuple[DatasetEntry, ...] = (
    _bundled("iris", "vectors", "150 rows, 4 features, 3 classes", f"{_UCI_PAGES}/53/iris"),
    _bundled("wine", "vectors", "178 rows, 13 features, 3 classes", f"{_UCI_PAGES}/109/wine"),
    _bundled("breast-cancer", "vectors", "569 rows, 30 features, 2 classes", f"{_UCI_PAGES}/17/breast+cancer+wisconsin+diagnostic"),
    _bundled("digits", "vectors", "1797 rows, 64 features, 10 classes", _DIGITS_PAGE),
    _bundled("digits-images", "images", "1797 images 1x8x8, 10 classes", _DIGITS_PAGE),
    DatasetEntry(
        name=cifar10.NAME,
        kind="images",
        load=cifar10.load_cifar10,
        protocols=cifar10.PROTOCOLS,
        source=cifar10.SOURCE,
        licence=cifar10.LICENCE,
        size="60000 images 3x32x32, 10 classes (163 MiB to download)",
        fetch=fetch_cifar10,
        verify=verify_cifar10,
        places=cifar10.cifar10_places,
        needs=(*cifar10.TRAINING_FILES, cifar10.TEST_FILE),
    ),
    DatasetEntry(
        name=svhn.NAME,
        kind="images",
        load=svhn.load_svhn,
        protocols=svhn.PROTOCOLS,
        source=svhn.SOURCE,
        licence=svhn.LICENCE,
        size="98989 of 99289 images 3x32x32, 10 classes (235 MiB to download)",
        fetch=fetch_svhn,
        verify=verify_svhn,
        places=svhn.svhn_places,
        needs=(svhn.TRAINING_FILE, svhn.TEST_FILE),
    ),
    DatasetEntry(
        name=svhn_1083.NAME,
        kind="images",
        load=svhn_1083.load_svhn_1083,
        protocols=svhn_1083.PROTOCOLS,
        source=f"the first 1083 images of {svhn.SOURCE}/{svhn.TRAINING_FILE}, with the photograph of each",
        licence=svhn.LICENCE,
        size="1083 images 3x32x32, 10 classes, 499 houses (cannot be downloaded)",
        fetch=fetch_svhn_1083,
        verify=verify_svhn_1083,
        places=svhn.svhn_places,
        needs=(svhn_1083.FILE,),
    ),
    DatasetEntry(
        name=synthetic.SPHERE,
        kind="vectors",
        load=synthetic.load_sphere,
        protocols=synthetic.PROTOCOLS,
        source=synthetic.SOURCE,
        licence=synthetic.LICENCE,
        size="500 rows, 3 features, 1 target (other sizes by n and parameters)",
        parameters=synthetic.SPHERE_PARAMETERS,
    ),
    DatasetEntry(
        name=synthetic.MULTISPHERE,
        kind="images",
        load=synthetic.load_multisphere,
        protocols=synthetic.PROTOCOLS,
        source=synthetic.SOURCE,
        licence=synthetic.LICENCE,
        size="500 images 3x4x4, 1 target (other sizes by n and parameters)",
        parameters=synthetic.MULTISPHERE_PARAMETERS,
    ),
    DatasetEntry(
        name=synthetic.MULTISPHERE_CLASSES,
        kind="images",
        load=synthetic.load_multisphere_classes,
        protocols=("stratified",),
        source=synthetic.SOURCE,
        licence=synthetic.LICENCE,
        size="500 images 3x4x4, 2 classes (other sizes by n and parameters)",
        parameters=synthetic.MULTISPHERE_PARAMETERS,
    ),
)


def load(
    name: str,
    root: Path | str | None = None,
    *,
    n: int | None = None,
    n_test: int | None = None,
    seed: int = 0,
    protocol: str | None = None,
    **parameters: int,
) -> Dataset:
    """The data set `name`, read from the disk; nothing is ever downloaded here.

    root: the folder to look in; None means $SKIPBENCH_DATA if set, else the user's cache folder. n: rows of a seeded class-balanced
    subset (cifar10, svhn: training rows; generated sets: all rows). n_test: test rows of it (cifar10, svhn). seed: of subset and splits.
    protocol: how the splits are made, None for the set's default. parameters: what a generated set takes beside, e.g. `frequency=4` for
    sphere; `describe(name).parameters` has their names and defaults. Raises SkipbenchError for an unknown name or a wrong value,
    MissingDataError with the places looked at and the command that fetches, TamperedDataError for files that are not the right ones.
    """
    options = LoadOptions(root=as_folder(root), n=n, n_test=n_test, seed=seed, protocol=protocol)
    entry = describe(name, options.root)
    dataset = entry.load(name, options.with_parameters(name, entry.parameters, parameters))
    if not isinstance(dataset, Dataset) or dataset.name != name:
        raise SkipbenchError(f"data set {shown(name)}: its loader returned {shown(dataset)}, but it must return a Dataset of that name")
    return dataset


def dataset_names(root: Path | str | None = None) -> tuple[str, ...]:
    """Every name that `load` knows: ours, the UCI collection (and sets in its format in `root`), those of other packages."""
    names = [entry.name for entry in REGISTERED]
    collection = {f"{uci.PREFIX}{name}" for name in (*known_sets(), *UNVERIFIED_NAMES)}
    collection.update(uci_names_at_hand(data_root(root)))
    return (*names, *sorted(collection), *sorted(_foreign_entries()))


def describe(name: str, root: Path | str | None = None) -> DatasetEntry:
    """What is known of a data set without loading it. Raises SkipbenchError for an unknown name, with the nearest ones."""
    if not isinstance(name, str):
        raise SkipbenchError(f'load: name={shown(name)}, but the name of a data set is text such as "iris". All of them: {LIST_COMMAND}')
    for entry in REGISTERED:
        if entry.name == name:
            return entry
    if uci.is_set_name(name):
        return _described_uci(name, root)
    foreign = _foreign_entries()
    if name in foreign:
        return foreign[name]
    raise SkipbenchError(unknown_name("data set", name, dataset_names(root), hint=LIST_COMMAND))


def dataset_kind(name: str) -> Kind:
    """Whether the rows of a data set are "vectors" or "images", without loading it."""
    return describe(name).kind


def fetch(name: str, root: Path | str | None = None, *, progressbar: Any = False) -> Path | None:
    """Download a data set from its official source, check it, and unpack it into `root`; None for a set that needs no download.

    progressbar: whatever pooch's HTTPDownloader takes. Raises TamperedDataError before anything is used of a file that is not the
    right one, SkipbenchError where the source cannot be reached.
    """
    place = as_folder(root)
    entry = describe(name, place)
    return None if entry.fetch is None else entry.fetch(name, place, progressbar)


def verify(name: str, root: Path | str | None = None) -> list[FileCheck]:
    """The checksum of every file of a data set against the one the package carries; empty for sets of other packages without files."""
    place = as_folder(root)
    entry = describe(name, place)
    return [] if entry.verify is None else entry.verify(name, place)


def presence(name: str, root: Path | str | None = None) -> Presence:
    """Whether the set can be loaded from the disk; "bundled": it needs no file; "incomplete": its folder lacks a file that is needed."""
    place = as_folder(root)
    entry = describe(name, place)
    if entry.fetch is None:
        return "bundled"
    if entry.places is not None:
        return _presence(entry.places(place), entry.needs[0], lambda _: entry.needs)
    stem = name.removeprefix(uci.PREFIX)
    return _presence(uci.set_places(name, place), f"{stem}.txt", lambda folder: needed_files(stem, folder))


def _presence(places: Sequence[Path], first: str, needed: Callable[[Path], Sequence[str]]) -> Presence:
    for folder in places:
        if (folder / first).is_file():
            try:
                return "yes" if all((folder / file).is_file() for file in needed(folder)) else "incomplete"
            except SkipbenchError:  # a description that cannot be read: `load` says what is wrong with it
                return "incomplete"
    return "no"


def _described_uci(name: str, root: Path | str | None) -> DatasetEntry:
    """A set of the collection: one of its 121 names, or any other whose files are there in its format."""
    stem = name.removeprefix(uci.PREFIX)
    places = uci.set_places(name, as_folder(root))
    if stem in known_sets() or stem in UNVERIFIED_NAMES or any(place.is_dir() for place in places):
        return _uci(name)
    unknown = unknown_name("data set", name, dataset_names(root), hint=LIST_COMMAND)
    raise MissingDataError(f"{unknown}. Another set in the collection's format is looked for in: {', '.join(map(str, places))}")


@cache
def _foreign_entries() -> dict[str, DatasetEntry]:
    """The sets of other packages, by name. One that cannot be imported, or takes a name of ours, is left out with a warning."""
    entries: dict[str, DatasetEntry] = {}
    for point in metadata.entry_points(group=ENTRY_POINTS):
        if point.name in entries or point.name.startswith(uci.PREFIX) or any(entry.name == point.name for entry in REGISTERED):
            warnings.warn(f"data set {shown(point.name)} of {point.value} is left out: the name is taken", UserWarning, stacklevel=2)
            continue
        try:
            found = point.load()
            entries[point.name] = found if isinstance(found, DatasetEntry) else _from_function(point.name, point.value, found)
        except Exception as error:  # noqa: BLE001 - whatever another package does on import must not take every data set away
            warnings.warn(f"data set {shown(point.name)} of {point.value} is left out: {shown(str(error))}", UserWarning, stacklevel=2)
    return entries


def _from_function(name: str, source: str, function: Callable[[], Dataset]) -> DatasetEntry:
    dataset = function()

    def load_it(_: str, options: LoadOptions) -> Dataset:
        options.refuse(name, ("n", "n_test"), "this set comes from another package, which decides its rows: leave it out")
        options.chosen_protocol(name, (dataset.protocol,))
        return dataset

    answers = f"{len(dataset.classes)} classes" if dataset.targets is None else f"{dataset.targets.shape[1]} targets"
    size = f"{len(dataset)} rows of shape {dataset.input_shape}, {answers}"
    return DatasetEntry(name, dataset.kind, load_it, (dataset.protocol,), source, dataset.licence, size)
