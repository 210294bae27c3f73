"""Whether the files of a data set are the right ones: each file's checksum against the one that the package carries."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from skipbench.checks import TamperedDataError
from skipbench.datasets.archives import file_checksum
from skipbench.datasets.bundled import SHA256, load_bundled
from skipbench.datasets.cifar10 import MD5, TRAINING_FILES, cifar10_places
from skipbench.datasets.options import LoadOptions
from skipbench.datasets.places import first_folder
from skipbench.datasets.svhn import MD5 as SVHN_MD5
from skipbench.datasets.svhn import TRAINING_FILE, svhn_places
from skipbench.datasets.svhn_1083 import FILE as SVHN_1083_FILE
from skipbench.datasets.svhn_1083 import SHA256 as SVHN_1083_SHA256
from skipbench.datasets.svhn_1083 import find_svhn_1083
from skipbench.datasets.uci import PREFIX, set_places
from skipbench.datasets.uci_checksums import known_sets, known_sha256
from skipbench.datasets.uci_format import read_description

FileStatus = Literal["ok", "mismatch", "missing", "unverified"]


@dataclass(frozen=True)
class FileCheck:
    """One file of one data set. status: ok, mismatch, missing, or unverified where the package carries no checksum of it."""

    dataset: str
    file: str
    status: FileStatus


def verify_bundled(name: str, root: Path | None = None) -> list[FileCheck]:
    """The arrays as scikit-learn delivers them, against the checksum of the version they were first loaded from."""
    found = load_bundled(name, LoadOptions()).sha256
    return [FileCheck(name, "arrays from scikit-learn", "ok" if found == SHA256[name] else "mismatch")]


def verify_cifar10(name: str, root: Path | None) -> list[FileCheck]:
    """Every official file by its MD5. Raises MissingDataError where there is none of them."""
    return verify_cifar10_folder(name, first_folder(name, cifar10_places(root), TRAINING_FILES[0], root))


def verify_cifar10_folder(name: str, folder: Path) -> list[FileCheck]:
    """The official files of CIFAR-10 in `folder`."""
    return [FileCheck(name, file, _status(folder / file, "md5", digest)) for file, digest in MD5.items()]


def verify_svhn(name: str, root: Path | None) -> list[FileCheck]:
    """Both official files by their MD5. Raises MissingDataError where the training file is missing."""
    return verify_svhn_folder(name, first_folder(name, svhn_places(root), TRAINING_FILE, root))


def verify_svhn_folder(name: str, folder: Path) -> list[FileCheck]:
    """The official files of SVHN in `folder`."""
    return [FileCheck(name, file, _status(folder / file, "md5", digest)) for file, digest in SVHN_MD5.items()]


def verify_svhn_1083(name: str, root: Path | None) -> list[FileCheck]:
    """The one file by its SHA-256. Raises MissingDataError where it is missing."""
    return [FileCheck(name, SVHN_1083_FILE, _status(find_svhn_1083(root) / SVHN_1083_FILE, "sha256", SVHN_1083_SHA256))]


def verify_uci(name: str, root: Path | None) -> list[FileCheck]:
    """Every file that is known, is there, or is needed. Raises MissingDataError where the set's folder is missing."""
    stem = name.removeprefix(PREFIX)
    return verify_uci_folder(name, first_folder(name, set_places(name, root), f"{stem}.txt", root))


def verify_uci_folder(name: str, folder: Path) -> list[FileCheck]:
    """The files of one set of the collection in `folder`; the data files that its description names belong to them."""
    stem = name.removeprefix(PREFIX)
    known: Iterable[str] = known_sets().get(stem, {}).get("sha256", ())
    files = {*known, *needed_files(stem, folder), *(path.name for path in folder.iterdir() if path.is_file())}
    return [FileCheck(name, file, _status(folder / file, "sha256", known_sha256(stem, file))) for file in sorted(files)]


def needed_files(stem: str, folder: Path) -> list[str]:
    """The files without which the set does not load: its description, the data files that this names, and its partitions."""
    description = f"{stem}.txt"
    path = folder / description
    data: tuple[str, ...] = ()
    if path.is_file() and _status(path, "sha256", known_sha256(stem, description)) != "mismatch":
        data = read_description(path, path.read_bytes()).files
    partitions = ["conxuntos.dat"]
    if len(data) < 2:
        partitions.append("conxuntos_kfold.dat")
    return [description, *data, *partitions]


def refuse_wrong_files(checks: Iterable[FileCheck], where: Path) -> None:
    """Raise TamperedDataError for the files that do not match."""
    wrong = [check.file for check in checks if check.status == "mismatch"]
    if wrong:
        raise TamperedDataError(f"{where}: {', '.join(wrong)} does not have the right checksum. Nothing of it was used")


def uci_names_at_hand(root: Path) -> list[str]:
    """The sets of the collection whose description lies in a folder of the set's name, in root/uci or in root itself."""
    names: set[str] = set()
    for base in (root / "uci", root):
        if base.is_dir():
            names.update(path.name for path in base.iterdir() if re.match(r"\w", path.name) and (path / f"{path.name}.txt").is_file())
    return [f"{PREFIX}{name}" for name in sorted(names)]


def _status(path: Path, algorithm: str, digest: str | None) -> FileStatus:
    if not path.is_file():
        return "missing"
    if digest is None:
        return "unverified"
    return "ok" if file_checksum(path, algorithm) == digest else "mismatch"
