"""Fetching the official files: downloaded by pooch, checked, and only then unpacked. Nothing else in skipbench downloads anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from skipbench.checks import SkipbenchError, TamperedDataError, shown
from skipbench.datasets import cifar10, svhn, svhn_1083, uci
from skipbench.datasets.archives import Expected, check_checksum, extract_folder
from skipbench.datasets.places import data_root
from skipbench.datasets.verification import (
    FileCheck,
    needed_files,
    refuse_wrong_files,
    verify_cifar10_folder,
    verify_svhn_1083,
    verify_svhn_folder,
    verify_uci_folder,
)

CIFAR10_ARCHIVE = Expected(
    folder=cifar10.FOLDER,
    files=frozenset({*cifar10.MD5, "readme.html"}).__contains__,
    max_files=len(cifar10.MD5) + 2,  # the readme and the folder
    max_bytes=200_000_000,
)
_UCI_MOST_FILES = 20_000
_UCI_MOST_BYTES = 4 * 2**30


def fetch_cifar10(name: str, root: Path | None, progressbar: Any = False) -> Path:
    """The folder with the official batches, downloaded and unpacked if it is not there; every file is verified by MD5."""
    base = data_root(root)
    target = _present(cifar10.cifar10_places(base), cifar10.TRAINING_FILES[0])
    verify = partial(verify_cifar10_folder, name)
    if not _is_complete(target, tuple(cifar10.MD5), verify):
        archive = _download(cifar10.SOURCE, "cifar-10-python.tar.gz", base, f"md5:{cifar10.ARCHIVE_MD5}", progressbar)
        extract_folder(archive, target, CIFAR10_ARCHIVE, check=partial(_refuse_incomplete, archive, tuple(cifar10.MD5), verify))
    return target


def fetch_svhn(name: str, root: Path | None, progressbar: Any = False) -> Path:
    """The folder with both official files; each is downloaded if it is not there, and verified by MD5 before it gets its name."""
    base = data_root(root)
    target = _present(svhn.svhn_places(base), svhn.TRAINING_FILE)
    if target.is_dir():
        refuse_wrong_files(verify_svhn_folder(name, target), target)
    for file, digest in svhn.MD5.items():
        if not (target / file).is_file():
            _download(f"{svhn.SOURCE}/{file}", file, target, f"md5:{digest}", progressbar)
    return target


def fetch_svhn_1083(name: str, root: Path | None, progressbar: Any = False) -> Path:
    """The folder that holds the file, which nothing can download: MissingDataError says what it is and where to put it."""
    folder = svhn_1083.find_svhn_1083(root)
    refuse_wrong_files(verify_svhn_1083(name, root), folder)
    return folder


def fetch_uci(name: str, root: Path | None, progressbar: Any = False) -> Path:
    """The folder of one set of the collection, whose one archive serves all sets and is kept.

    No checksum of the archive is published, so each file with a known SHA-256 is verified, and the others load marked unverified.
    """
    stem = name.removeprefix(uci.PREFIX)
    base = data_root(root)
    target = _present(uci.set_places(name, base), f"{stem}.txt")
    verify = partial(verify_uci_folder, name)
    if not _is_complete(target, needed_files(stem, target), verify):
        archive = _download(uci.SOURCE, "uci-data.tar.gz", base, None, progressbar)
        extract_folder(archive, target, uci_archive(stem), check=partial(_check_uci, archive, stem, verify))
    return target


def uci_archive(stem: str) -> Expected:
    """What is taken of the collection's archive for one set. The other sets in it are left alone."""
    plain = {f"{stem}.txt", "conxuntos.dat", "conxuntos_kfold.dat", "le_datos.m"}

    def is_wanted(file: str) -> bool:
        return file in plain or file.endswith(("_R.dat", ".names"))

    return Expected(folder=stem, files=is_wanted, max_files=_UCI_MOST_FILES, max_bytes=_UCI_MOST_BYTES, others=True)


def _present(places: Sequence[Path], first: str) -> Path:
    """The place where the set lies already, else the first one, where it is put."""
    return next((place for place in places if (place / first).is_file()), places[0])


def _is_complete(target: Path, files: Sequence[str], verify: Callable[[Path], list[FileCheck]]) -> bool:
    """Whether all files are there. Raises TamperedDataError where one is wrong: nobody's file is overwritten."""
    if not target.is_dir():
        return False
    refuse_wrong_files(verify(target), target)
    return all((target / file).is_file() for file in files)


def _check_uci(archive: Path, stem: str, verify: Callable[[Path], list[FileCheck]], folder: Path) -> None:
    refuse_wrong_files(verify(folder), archive)  # before the description is read for the names of the data files
    _refuse_incomplete(archive, needed_files(stem, folder), verify, folder)


def _refuse_incomplete(archive: Path, files: Sequence[str], verify: Callable[[Path], list[FileCheck]], folder: Path) -> None:
    refuse_wrong_files(verify(folder), archive)
    absent = [file for file in files if not (folder / file).is_file()]
    if absent:
        raise TamperedDataError(f"{archive} lacks {', '.join(absent)}. Nothing of it was used")


def _download(url: str, file: str, base: Path, checksum: str | None, progressbar: Any) -> Path:
    """The official file in `base`: the one that is there, else downloaded. Its checksum is right where one is published."""
    path = base / file
    if path.is_file():
        if checksum is not None:
            check_checksum(path, checksum)
        return path
    import pooch  # here: importing skipbench.datasets does no work

    try:
        downloader = pooch.HTTPDownloader(progressbar=progressbar, timeout=60)
        pooch.retrieve(url, known_hash=checksum, fname=file, path=base, downloader=downloader)
    except ValueError as error:  # pooch's word for a wrong checksum
        raise TamperedDataError(f"{url}: {error}") from None
    except OSError as error:  # no connection, no room, no permission; the exceptions of requests are of this kind too
        reason = shown(str(error), 200)
        raise SkipbenchError(f"{url} could not be fetched: {reason}. Where there is no connection, put the file at {path}") from None
    return path
