"""The result store: a folder with one strict JSON file for each record. The files are the truth; everything else is made from them."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import secrets
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from skipbench.checks import SkipbenchError, shown, shown_name
from skipbench.results import strict_json
from skipbench.results.record import RECORD_ADAPTER, SCHEMA_VERSION, CellRecord, ClaimRecord, PerformanceRecord, Record
from skipbench.results.words import printable

LARGEST_FILE_BYTES = 32 * 2**20
KEY_DIGITS = 16  # of 64 in the file name: 64 bits
_SUFFIX = re.compile(rf"(?:^|-)([0-9a-f]{{{KEY_DIGITS}}})\.json$")
_RACY_SECONDS = 0.1  # a folder's time stamp may be this coarse, so a listing made within it is not trusted again


class StoreWarning(UserWarning):
    """A file in a store was skipped; the message names it and says why. The file itself is left as it is."""


class ResultStore:
    """Records in one folder, each in `<data set>-<method>-<split>-<seed>-<first 16 digits of the key>.json`.

    A record is written under a temporary name, synchronised and renamed, so that a killed process leaves either the old file or
    the new one. What cannot be read as a record is skipped with a StoreWarning and never deleted; symbolic links are not followed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._listing: dict[str, list[str]] = {}
        self._listed_at_ns = -1

    def __repr__(self) -> str:
        return f"ResultStore({str(self.folder)!r})"

    def check_writable(self) -> None:
        """Make the folder and try to write into it. Raises SkipbenchError, so that nothing is computed in vain."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            trial = self.folder / f".writable-{secrets.token_hex(8)}.tmp"
            trial.touch(exist_ok=False)
            trial.unlink()
        except OSError as error:
            raise SkipbenchError(
                f"results folder {shown_name(str(self.folder), 200)} cannot be written ({error.strerror or error}), "
                "so nothing was computed: name another one with --results DIR, or make this one writable"
            ) from error

    def write(self, record: Record) -> Path:
        """Store the record, in place of an older one with the same key. Returns the file's path. Raises SkipbenchError if it cannot."""
        try:
            content = strict_json.to_text(record.model_dump(mode="json")).encode()
        except ValueError as error:
            raise SkipbenchError(f"record {record.key[:KEY_DIGITS]} is not written: {shown(str(error), 200)[1:-1]}") from error
        if len(content) > LARGEST_FILE_BYTES:
            limit = f"at most {LARGEST_FILE_BYTES} are read back: thin its curve"
            raise SkipbenchError(f"record {record.key[:KEY_DIGITS]} has {len(content)} bytes, but {limit}")
        older = self._names_of(record.key)
        path = self.folder / (older[0] if older else file_name(record))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not _is_free_for(path, record.key):
                _set_aside(path)
            _replace_atomically(path, content)
        except OSError as error:
            where = f"results folder {shown_name(str(self.folder), 200)}"
            raise SkipbenchError(f"{where}: record {record.key[:KEY_DIGITS]} not written ({error.strerror or error})") from error
        self._listed_at_ns = -1
        return path

    def read(self, key: str) -> Record:
        """The record with this key. Raises SkipbenchError if there is none, or if its file cannot be read as one."""
        names = self._names_of(key)
        if not names:
            raise SkipbenchError(f"no record {shown_name(key, 70)} in {shown_name(str(self.folder), 200)}")
        reasons = []
        for name in names:
            try:
                record = read_record(self.folder / name)
            except SkipbenchError as error:
                reasons.append(str(error))
                continue
            if record.key == key:
                return record
            reasons.append(f"{shown_name(name, 200)} holds another key, {record.key}")
        raise SkipbenchError("; ".join(reasons))

    def get(self, key: str) -> Record | None:
        """The record with this key, or None. A file that cannot be read counts as absent, with a StoreWarning."""
        if not self._names_of(key):
            return None
        try:
            return self.read(key)
        except SkipbenchError as error:
            warnings.warn(str(error), StoreWarning, stacklevel=2)
            return None

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.get(key) is not None

    def records(self) -> Iterator[Record]:
        """Every readable record, in the order of the file names. What is skipped is named in a StoreWarning."""
        seen: set[str] = set()
        for path in record_files(self.folder):
            try:
                record = read_record(path)
            except SkipbenchError as error:
                warnings.warn(f"skipped: {error}", StoreWarning, stacklevel=2)
                continue
            if record.key in seen:
                warnings.warn(f"skipped: {shown_name(path.name, 200)} holds the key of an earlier file again", StoreWarning, stacklevel=2)
                continue
            seen.add(record.key)
            yield record

    def _names_of(self, key: str) -> list[str]:
        """File names that end in the key's first digits. The folder is listed again only when it changed."""
        try:
            changed_ns = self.folder.stat().st_mtime_ns
        except OSError:
            return []
        if changed_ns != self._listed_at_ns:
            self._listing = {}
            for path in record_files(self.folder, warn=False):
                if match := _SUFFIX.search(path.name):
                    self._listing.setdefault(match[1], []).append(path.name)
            settled = time.time_ns() - changed_ns > _RACY_SECONDS * 1e9
            self._listed_at_ns = changed_ns if settled else -1
        return self._listing.get(key[:KEY_DIGITS], [])


def record_files(folder: Path, *, warn: bool = True) -> list[Path]:
    """The regular `*.json` files of a folder, by name; hidden and temporary ones are no records. Missing folder: none."""
    try:
        with os.scandir(folder) as entries:
            named = [entry for entry in entries if entry.name.endswith(".json") and not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise SkipbenchError(f"results folder {shown_name(str(folder), 200)} cannot be read ({error.strerror or error})") from error
    regular = []
    for entry in named:
        if entry.is_file(follow_symlinks=False):
            regular.append(Path(entry.path))
        elif warn:
            what = "a symbolic link, and links are not followed" if entry.is_symlink() else "no regular file"
            warnings.warn(f"skipped: {shown_name(entry.name, 200)} is {what}", StoreWarning, stacklevel=3)
    return sorted(regular)


def read_record(path: Path) -> Record:
    """The record in one file. Raises SkipbenchError that names the file and says what is wrong with it."""
    where = shown_name(path.name, 200)
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE_BYTES:
            raise SkipbenchError(f"{where} has {size} bytes, but a record has at most {LARGEST_FILE_BYTES}")
        value = strict_json.from_text(path.read_bytes().decode())
    except OSError as error:
        raise SkipbenchError(f"{where} cannot be read ({error.strerror or error})") from error
    except SkipbenchError:
        raise
    except ValueError as error:
        raise SkipbenchError(f"{where} is no strict JSON in UTF-8: {shown(str(error), 120)[1:-1]}") from error
    if not isinstance(value, dict) or "schema_version" not in value:
        raise SkipbenchError(f"{where} is no record: it has no schema_version")
    if value["schema_version"] != SCHEMA_VERSION:
        found = shown(value["schema_version"], 40)
        raise SkipbenchError(f"{where} has schema_version {found}, but this skipbench reads {SCHEMA_VERSION}: update skipbench")
    try:
        return RECORD_ADAPTER.validate_python(value)
    except ValidationError as error:
        raise SkipbenchError(f"{where} does not fit the record's schema: {_first_errors(error)}") from error


def _first_errors(error: ValidationError, limit: int = 3) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    # pydantic quotes an unknown kind as it stands there
    parts = [f"{shown('.'.join(str(step) for step in entry['loc']), 80)[1:-1]}: {printable(entry['msg'], 200)}" for entry in found[:limit]]
    more = f"; and {len(found) - limit} more" if len(found) > limit else ""
    return "; ".join(parts) + more


def file_name(record: Record) -> str:
    """A name that people can read and every file system takes, at most 120 characters: the parts, then the key's first digits."""
    if isinstance(record, CellRecord):
        seed = "" if record.seeds.init is None else f"seed{record.seeds.init}"
        parts = [record.dataset.name, record.method.label, f"split{record.dataset.split}", seed]
    elif isinstance(record, ClaimRecord):
        parts = ["claim", record.claim]
    else:
        assert isinstance(record, PerformanceRecord)
        parts = ["performance", record.benchmark]
    slug = "-".join(_slug(part) for part in parts if part)
    return f"{slug}-{record.key[:KEY_DIGITS]}.json"


def _slug(text: str, limit: int = 36) -> str:
    kept = re.sub(r"[^a-z0-9.]+", "-", text.lower())[: limit + 1].strip("-.")[:limit]
    return kept.rstrip("-.") or "x"


def _replace_atomically(path: Path, content: bytes) -> None:
    """Write beside the target, synchronise file and folder, rename."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _synchronise_folder(path.parent)


def _synchronise_folder(folder: Path) -> None:
    """Make the new name itself durable. Some file systems cannot; the rename is atomic all the same."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _is_free_for(path: Path, key: str) -> bool:
    """Whether nothing is there, or an older record with the same key."""
    if not os.path.lexists(path):
        return True
    try:
        return not path.is_symlink() and read_record(path).key == key
    except SkipbenchError:
        return False


def _set_aside(path: Path) -> None:
    """Give a file that is not this key's record another name, so that writing the record does not destroy it."""
    numbers = itertools.count(1)
    aside = next(name for n in numbers if not (name := path.with_name(f"{path.name}.aside-{n}")).exists())
    os.replace(path, aside)
    kept = f"is kept as {shown_name(aside.name, 200)}"
    warnings.warn(f"{shown_name(path.name, 200)} was not the record that belongs there, and {kept}", StoreWarning, stacklevel=3)
