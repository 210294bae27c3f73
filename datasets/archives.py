"""A folder out of a .tar.gz archive, or an error and nothing at all.

The order is the safety: the checksum first, then every member's name, kind and size before one byte is written, then extraction into a
temporary folder, then the caller's own check of the files, and only then one rename to where they belong.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from skipbench.checks import SkipbenchError, TamperedDataError, shown

_BLOCK = 2**20
# Headers and padding of a tar archive: at most this much for each member besides its content.
_BYTES_PER_MEMBER = 4 * tarfile.BLOCKSIZE
# Python before 3.11.4 has no filters; the checks of `_checked_members` are stricter than the filter "data" anyway.
_FILTER: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}


@dataclass(frozen=True)
class Expected:
    """What an archive may hold. folder: the one to take out, wherever in the archive it lies. files: its files that are taken.

    others: whether the archive may hold anything else, which is then left alone. max_files, max_bytes: of the whole archive, unpacked.
    """

    folder: str
    files: Callable[[str], bool]
    max_files: int
    max_bytes: int
    others: bool = False


def extract_folder(
    archive: Path, target: Path, expected: Expected, *, checksum: str | None = None, check: Callable[[Path], None] | None = None
) -> None:
    """Put the expected folder of `archive` at `target`; a target that exists receives only the files it lacks.

    checksum: "md5:..." or "sha256:..." of the archive. check: called with the temporary folder, raises if the files are wrong.
    Raises TamperedDataError for a wrong checksum, a truncated archive, links, devices, names that leave the folder, members that are
    not expected, and more or larger ones than expected; nothing is used then.
    """
    if checksum is not None:
        check_checksum(archive, checksum)
    with _refusing(archive):
        members = _checked_members(archive, expected)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".partial-", dir=target.parent))
    except OSError as error:
        raise SkipbenchError(f"{target.parent} cannot be written: {error.strerror}. Name another folder by --root") from None
    try:
        with _refusing(archive):
            folder = _extract(archive, members, temporary, expected)
        if check is not None:
            check(folder)
        _move(folder, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_checksum(path: Path, checksum: str) -> None:
    """Raise TamperedDataError unless the file has this checksum, "md5:..." or "sha256:..."."""
    algorithm, _, digest = checksum.partition(":")
    found = file_checksum(path, algorithm)
    if found != digest:
        raise TamperedDataError(
            f"{path}: its {algorithm} is {found}, but {digest} is right. Nothing of it was used: delete it and fetch it again"
        )


def file_checksum(path: Path, algorithm: str) -> str:
    """Checksum of a file as hexadecimal digits. algorithm: "md5" or "sha256"."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


class _BoundedReader:
    """The unpacked bytes of an archive, refused once there are more of them than expected."""

    def __init__(self, stream: gzip.GzipFile, archive: Path, limit: int) -> None:
        self._stream, self._archive, self._limit, self._read = stream, archive, limit, 0

    def read(self, size: int = -1) -> bytes:
        content = self._stream.read(size)
        self._read += len(content)
        if self._read > self._limit:
            raise TamperedDataError(f"{self._archive} unpacks to more than {self._limit} bytes, which is more than expected")
        return content


@contextmanager
def _opened(archive: Path, expected: Expected) -> Iterator[tarfile.TarFile]:
    limit = expected.max_bytes + _BYTES_PER_MEMBER * (expected.max_files + 1) + tarfile.RECORDSIZE
    with gzip.open(archive, "rb") as unpacked:
        reader: Any = _BoundedReader(unpacked, archive, limit)  # a stream archive asks for nothing but read()
        with tarfile.open(fileobj=reader, mode="r|") as opened:
            yield opened
        while reader.read(_BLOCK):  # to the very end, where gzip keeps the checksum of it all
            pass


@contextmanager
def _refusing(archive: Path) -> Iterator[None]:
    """Turn what a damaged archive raises into TamperedDataError."""
    try:
        yield
    except (EOFError, zlib.error, tarfile.TarError, gzip.BadGzipFile, ValueError, OverflowError) as error:
        if isinstance(error, SkipbenchError):
            raise
        raise TamperedDataError(f"{archive} is truncated or no .tar.gz archive: {shown(str(error))}. Nothing of it was used") from None
    except OSError as error:
        raise SkipbenchError(f"{archive} cannot be unpacked: {error.strerror or error}") from None


def _checked_members(archive: Path, expected: Expected) -> dict[str, str]:
    """File name in the folder for the name of each member to take; every member of the archive is checked on the way."""
    taken: dict[str, str] = {}
    count, total = 0, 0
    with _opened(archive, expected) as opened:
        for member in opened:
            count, total = count + 1, total + max(0, member.size)
            if count > expected.max_files:
                raise _refused(archive, f"holds more than the expected {expected.max_files} members")
            if total > expected.max_bytes:
                raise _refused(archive, f"unpacks to more than the expected {expected.max_bytes} bytes ({total} with {shown(member.name)})")
            file = _checked_file(archive, member, expected)
            if file is not None:
                if file in taken.values():
                    raise _refused(archive, f"holds the file {shown(file)} twice")
                taken[member.name] = file
    if not taken:
        raise _refused(archive, f"holds no folder {shown(expected.folder)}")
    return taken


def _checked_file(archive: Path, member: tarfile.TarInfo, expected: Expected) -> str | None:
    """The member's file name if it is one of the expected files, None if it is left alone."""
    path = PurePosixPath(member.name)
    parts = path.parts
    if path.is_absolute() or ".." in parts or "\\" in member.name:
        raise _refused(archive, f"holds {shown(member.name)}, a name that may leave the folder")
    known = expected.folder in parts or not expected.others
    if member.ischr() or member.isblk() or member.isfifo() or (known and not _is_plain(member)):
        raise _refused(archive, f"holds {shown(member.name)}, which is a link or a device, but only plain files are expected")
    if member.isfile() and len(parts) >= 2 and parts[-2] == expected.folder and expected.files(parts[-1]):
        return parts[-1]
    if not expected.others and not (member.isdir() and parts in ((), (expected.folder,))):
        raise _refused(archive, f"holds {shown(member.name)}, which is not expected in it")
    return None


def _is_plain(member: tarfile.TarInfo) -> bool:
    return member.isdir() or (member.isreg() and not member.issparse())


def _refused(archive: Path, reason: str) -> TamperedDataError:
    return TamperedDataError(f"{archive} {reason}. Nothing of it was used: delete it before fetching again")


def _extract(archive: Path, members: dict[str, str], temporary: Path, expected: Expected) -> Path:
    """Write the checked members into a folder below `temporary`."""
    folder = temporary / expected.folder
    folder.mkdir()
    with _opened(archive, expected) as opened:
        for member in opened:
            if member.name in members:
                member.name = members[member.name]
                opened.extract(member, folder, set_attrs=False, **_FILTER)
    return folder


def _move(folder: Path, target: Path) -> None:
    try:
        if not target.exists():
            os.replace(folder, target)
            return
        for path in sorted(folder.iterdir()):
            if not (target / path.name).exists():
                os.replace(path, target / path.name)
    except OSError as error:
        raise SkipbenchError(f"{target} cannot be written: {error.strerror}. Name another folder by --root") from None
