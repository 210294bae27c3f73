"""Reading a store for comparison: every record of a folder and the folders below it, and by name every file that is none."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from skipbench.checks import SkipbenchError, shown_name
from skipbench.results.record import AnyRecord
from skipbench.results.store import StoreWarning, read_record, record_files


@dataclass(frozen=True, slots=True)
class Store:
    """The records of one folder. `unreadable` says of each file that should be a record and is not, which one and why."""

    folder: Path
    records: tuple[AnyRecord, ...]
    unreadable: tuple[str, ...] = ()

    @property
    def suites(self) -> tuple[str, ...]:
        """The suites that have a record here, in alphabetical order."""
        return tuple(sorted({record.suite for record in self.records}))


def read_store(folder: str | os.PathLike[str], *, name: str) -> Store:
    """Read a suite's folder, or one that holds several.

    name: what the folder is called in messages, BASE or NEW. Files of another schema, corrupt ones and links are named in
    `unreadable`. Raises SkipbenchError for a folder that is not there or that holds no record at all.
    """
    root = Path(folder)
    shown_folder = shown_name(str(root), 200)
    if not root.is_dir():
        found = "is a file" if root.exists() else "is not there"
        raise SkipbenchError(f"{name}: {shown_folder} {found}, but a folder with records is compared, such as results/records/quick")
    records: list[AnyRecord] = []
    unreadable: list[str] = []
    for path in _record_paths(root, unreadable):
        try:
            records.append(read_record(path))
        except SkipbenchError as error:
            unreadable.append(str(error))
    if not records:
        raise SkipbenchError(f"{name}: {shown_folder} holds no record{_why(unreadable)}: `skipbench run SUITE --results DIR` makes some")
    return Store(root, tuple(records), tuple(unreadable))


def _record_paths(root: Path, unreadable: list[str]) -> Iterator[Path]:
    """The record files of the folder and those below, by name; links are not followed, and named as unreadable."""
    for place, inner, _ in os.walk(root):
        for name in sorted(inner):
            if os.path.islink(os.path.join(place, name)):
                unreadable.append(f"{shown_name(name, 200)} is a symbolic link, and links are not followed")
        inner[:] = sorted(name for name in inner if not name.startswith(".") and not os.path.islink(os.path.join(place, name)))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", StoreWarning)
            paths = record_files(Path(place))
        unreadable.extend(str(warning.message).removeprefix("skipped: ") for warning in caught)
        yield from paths


def _why(unreadable: list[str], limit: int = 3) -> str:
    if not unreadable:
        return ""
    more = f" and {len(unreadable) - limit} more" if len(unreadable) > limit else ""
    return f" that can be read ({'; '.join(unreadable[:limit])}{more})"
