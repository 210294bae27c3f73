"""The first 1,083 training images of SVHN, with the photograph that each crop comes from, and splits by photograph (by house).

The file is a numpy archive with `X`, uint8 (n, 32, 32, 3), `y`, digits 0 to 9, and `house`, numbers of photographs. It is no official
file, so nothing fetches it. Crops of one house overlap: a split by row would test on pixels that it trained on.
"""

from __future__ import annotations

import io
import math
import os
import warnings
import zipfile
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from skipbench.checks import MissingDataError, TamperedDataError, shown
from skipbench.datasets.by_group import group_splits, group_subset
from skipbench.datasets.dataset import Dataset, Indices, freeze
from skipbench.datasets.official_files import official_bytes
from skipbench.datasets.options import LoadOptions
from skipbench.datasets.places import DATA_VARIABLE
from skipbench.datasets.svhn import CHANNELS, CLASSES, LICENCE, SIDE, SOURCE, WHITE, svhn_places

NAME = "svhn-1083"
PROTOCOLS = ("house",)
FILE = "svhn_train_first1083.npz"
SHA256 = "0cd4f44c9bc5f5ca3f75ab01acbedbe6843be5ce9954948aecddc4dabfba2316"
N_SPLITS = 5
LARGEST_FILE = 20_000_000
MOST_IMAGES = 5_000
MOST_BYTES = MOST_IMAGES * (SIDE * SIDE * CHANNELS + 2 * 8) + 4096  # of the three arrays, unpacked, and their headers
_LONGEST_HEADER = 1024
_NAMES = ("X", "y", "house")


def load_svhn_1083(name: str, options: LoadOptions) -> Dataset:
    """Five seeded 60/20/20 splits by house; inputs (n, 3, 32, 32) in [0, 1]; `groups` are the houses.

    With `n`: n rows that are whole houses, class-balanced as far as these allow. Raises MissingDataError, TamperedDataError, and
    SkipbenchError for an impossible n.
    """
    protocol = options.chosen_protocol(name, PROTOCOLS)
    options.refuse(name, ("n_test",), "this set has no official test part: use n, which is shared out 60/20/20 by house")
    images, labels, houses = _read(options.root)
    subset = ""
    if options.n is not None:
        rows = group_subset(labels, houses, options.n, n_classes=len(CLASSES), seed=options.seed, where=name, grouped_by="house")
        images, labels, houses = images[rows], labels[rows], houses[rows]
        subset = f"; {options.n} rows of whole houses, class-balanced as far as these allow, seed {options.seed}"
    return Dataset(
        name=name,
        inputs=freeze(np.ascontiguousarray(np.moveaxis(images, 3, 1)).astype(np.float32) / WHITE),
        labels=labels,
        classes=CLASSES,
        splits=group_splits(labels, houses, n_splits=N_SPLITS, seed=options.seed),
        provenance=(
            f"Netzer et al. 2011, the first 1,083 images of the format-2 training file, verified by SHA-256; pixel values divided by 255"
            f"{subset}; {N_SPLITS} splits 60/20/20 by house, class-balanced as far as houses allow, seed {options.seed}"
        ),
        licence=LICENCE,
        protocol=protocol,
        groups=houses,
        grouped_by="house",
    )


def find_svhn_1083(root: Path | None) -> Path:
    """The folder that holds the file. Raises MissingDataError, which says what the file is, since nothing can fetch it."""
    places = svhn_places(root)[::-1]
    for place in places:
        if (place / FILE).is_file():
            return place
    named = "" if root is not None else f" (named by {DATA_VARIABLE})" if os.environ.get(DATA_VARIABLE) else " (the user's cache)"
    raise MissingDataError(
        f"{NAME}: {FILE} is in none of the places looked at: {', '.join(map(str, places))}{named}. It cannot be fetched, since it is no "
        f"official file: it holds the first 1,083 images of {SOURCE}/train_32x32.mat as X, their digits as y and the number of the "
        f"photograph of each as house, which the official file does not name. Put it there, or name its folder by {DATA_VARIABLE} or "
        "--root. The official set without houses: skipbench data fetch svhn"
    )


def parse_npz(content: bytes, where: str) -> tuple[NDArray[np.uint8], Indices, Indices]:
    """Images uint8 (n, 32, 32, 3), digits int64 (n,) and houses int64 (n,) of a numpy archive with X, y and house.

    where: the file's name, for errors. Number, names, sizes and headers of the members are checked before numpy builds an array, and no
    pickle is read. Raises TamperedDataError for anything else, with what was found.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _check_members(archive, where)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                images, labels, houses = (arrays[key] for key in _NAMES)
    except TamperedDataError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever zipfile and numpy say of a file that they cannot read
        raise TamperedDataError(f"{where} is no well-formed numpy archive: {shown(str(error))}. Nothing of it was used") from None
    if not ((labels >= 0) & (labels < len(CLASSES))).all():
        row = int(np.argmin((labels >= 0) & (labels < len(CLASSES))))
        raise TamperedDataError(f"{where}: y row {row} is {labels[row]}, but a digit is 0 to {len(CLASSES) - 1}")
    return images, labels.astype(np.int64), houses.astype(np.int64)


def _read(root: Path | None) -> tuple[NDArray[np.uint8], Indices, Indices]:
    path = find_svhn_1083(root) / FILE
    advice = "put the right file there, or use the official set, svhn"
    return parse_npz(official_bytes(path, SHA256, largest=LARGEST_FILE, what=f"file {FILE}", advice=advice), str(path))


def _check_members(archive: zipfile.ZipFile, where: str) -> None:
    """Raises TamperedDataError for other members than the three arrays, and for larger or other arrays."""
    members = archive.infolist()
    expected = [f"{key}.npy" for key in _NAMES]
    if sorted(member.filename for member in members) != sorted(expected):
        names = shown([member.filename for member in members[:5]])
        raise TamperedDataError(f"{where} holds {len(members)} members, such as {names}, but it must hold {', '.join(expected)}")
    # Python bounds what it inflates of these two kinds only
    if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
        raise TamperedDataError(f"{where} is compressed in another way than numpy.savez does. Nothing of it was used")
    unpacked = sum(member.file_size for member in members)
    if unpacked > MOST_BYTES:
        raise TamperedDataError(f"{where} unpacks to {unpacked} bytes, but at most {MOST_BYTES} are allowed. Nothing of it was used")
    shapes, sizes = {}, {member.filename: member.file_size for member in members}
    for key, file in zip(_NAMES, expected, strict=True):
        with archive.open(file) as stream:
            shapes[key], dtype = _npy_header(stream, f"{where}: {key}")
            n_header = stream.tell()
        if (dtype != np.uint8) if key == "X" else (dtype.kind not in "iu"):
            allowed = "uint8" if key == "X" else "of whole numbers"
            raise TamperedDataError(f"{where}: {key} is {shown(str(dtype))}, but it must be {allowed}")
        if sizes[file] != n_header + math.prod(shapes[key]) * dtype.itemsize:
            raise TamperedDataError(f"{where}: {key} has {sizes[file]} bytes, but its header promises {dtype} {shown(shapes[key])}")
    n = shapes["X"][0] if shapes["X"] else 0
    for key, shape in {"X": (n, SIDE, SIDE, CHANNELS), "y": (n,), "house": (n,)}.items():
        if shapes[key] != shape or n < 1:
            raise TamperedDataError(
                f"{where}: {key} has shape {shown(shapes[key])}, but X is (n, {SIDE}, {SIDE}, {CHANNELS}), y and house (n,)"
            )


def _npy_header(stream: IO[bytes], where: str) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    """Shape and dtype of a .npy file, of which only the header is read."""
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise TamperedDataError(f"{where} is a .npy file of version {version}, but version (1, 0) is expected")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=_LONGEST_HEADER)
    return shape, dtype
