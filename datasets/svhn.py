"""SVHN, format 2 (Netzer et al. 2011): house number digits cut out of photographs; the official training file, then the test file.

The files do not say which crops come from one photograph, and those overlap. But crops of one photograph are neighbours in the files'
order, and a house number has at most six digits. So validation takes whole runs of neighbouring rows, never rows at random, and a few
rows are dropped where a run of validation rows meets a run of training rows.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skipbench.checks import SkipbenchError, TamperedDataError, shown
from skipbench.datasets.dataset import Dataset, Indices, Split, freeze
from skipbench.datasets.mat_format import UINT8, Matrix, plain_matrices
from skipbench.datasets.official_files import official_bytes
from skipbench.datasets.options import LoadOptions
from skipbench.datasets.places import data_root, first_folder, missing
from skipbench.datasets.stratify import balanced_quotas, class_order, random_keys

NAME = "svhn"
PROTOCOLS = ("official",)
SOURCE = "http://ufldl.stanford.edu/housenumbers"
LICENCE = "for non-commercial use only; cite Y. Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, 2011"
FOLDER = "svhn"
CLASSES = tuple(str(digit) for digit in range(10))
TRAINING_FILE, TEST_FILE = "train_32x32.mat", "test_32x32.mat"
MD5 = {TRAINING_FILE: "e26dedcc434d2e4c54c9b2d4a06d8373", TEST_FILE: "eb5a983be6a315427106f1b164d9cef3"}
N_TRAINING, N_TEST = 73_257, 26_032
SIDE, CHANNELS = 32, 3
SHAPE = (CHANNELS, SIDE, SIDE)
DIGIT_0_IN_FILE = 10
LARGEST_FILE = 300_000_000
MOST_IMAGES = 100_000
WHITE = np.float32(255.0)
_ROWS_AT_ONCE = 1000

RUN = 500  # rows: long against the few that are dropped where two runs meet, and short enough for a hundred runs
RUNS_PER_VALIDATION_RUN = 10
DROPPED_AT_BORDER = 10  # more than the six digits of the longest house number


def svhn_places(root: Path | None) -> tuple[Path, ...]:
    """The folders in which the two files are looked for."""
    base = data_root(root)
    return (base / FOLDER, base)


def load_svhn(name: str, options: LoadOptions) -> Dataset:
    """One split: validation is one run of 500 neighbouring training rows in ten, test the official 26,032; inputs in [0, 1].

    inputs: (rows, 3, 32, 32). With `n`: n class-balanced training rows and max(10, n // 5) for validation, as far as each class has so
    many; subsets of one seed are nested. With `n_test`: a class-balanced part of the official test rows. Raises MissingDataError,
    TamperedDataError, and SkipbenchError for an impossible n.
    """
    protocol = options.chosen_protocol(name, PROTOCOLS)
    train_region, validation_region = training_regions(N_TRAINING, options.seed)
    _check_sizes(options, len(train_region), len(validation_region))
    folder = first_folder(name, svhn_places(options.root), TRAINING_FILE, options.root)
    images, labels = _read_part(folder, TRAINING_FILE, N_TRAINING, options.root)
    train = _subset(labels, train_region, options.n, (options.seed, 0))
    n_validation = None if options.n is None else _n_validation(options.n)
    validation = _subset(labels, validation_region, n_validation, (options.seed, 1))
    test_images, test_labels = _read_part(folder, TEST_FILE, N_TEST, options.root)
    test = _subset(test_labels, np.arange(N_TEST), options.n_test, (options.seed, 3))
    kept = np.sort(np.concatenate([train, validation]))
    inputs = np.empty((len(kept) + len(test), *SHAPE), dtype=np.float32)
    _scale_into(inputs[: len(kept)], images, kept)
    _scale_into(inputs[len(kept) :], test_images, test)
    parts = (np.searchsorted(kept, train), np.searchsorted(kept, validation), len(kept) + np.arange(len(test)))
    return Dataset(
        name=name,
        inputs=freeze(inputs),
        labels=np.concatenate([labels[kept], test_labels[test]]),
        classes=CLASSES,
        splits=(Split("official", *parts),),
        provenance=_provenance(options, len(train), len(validation), N_TRAINING - len(train_region) - len(validation_region)),
        licence=LICENCE,
        protocol=protocol,
    )


def training_regions(n_rows: int, seed: int) -> tuple[Indices, Indices]:
    """The rows that may train and those that may validate, ascending; between the two, rows are dropped.

    The file's order is cut into runs of 500 rows. Of each ten runs in a row, one that the seed chooses validates, never the first or the
    last of the ten, so that it has training runs on both sides. Of its rows, the first and last 10 are dropped.
    """
    run_of_row = np.arange(n_rows) // RUN
    n_runs = int(run_of_row[-1]) + 1
    validates = np.zeros(n_runs, dtype=bool)
    for number, first in enumerate(range(0, n_runs, RUNS_PER_VALIDATION_RUN)):
        n_inner = min(RUNS_PER_VALIDATION_RUN, n_runs - first) - 2
        if n_inner > 0:
            validates[first + 1 + int(random_keys(1, (seed, 2, number))[0] % np.uint64(n_inner))] = True
    is_validation = validates[run_of_row]
    near = np.zeros(n_rows, dtype=bool)
    for shift in range(1, DROPPED_AT_BORDER + 1):
        near[shift:] |= ~is_validation[:-shift]
        near[:-shift] |= ~is_validation[shift:]
    return np.flatnonzero(~is_validation), np.flatnonzero(is_validation & ~near)


def parse_mat(content: bytes, where: str) -> tuple[NDArray[np.uint8], Indices]:
    """Images, uint8 (n, 32, 32, 3), and digits, int64 (n,), of one format-2 file; label 10 in the file is the digit 0.

    where: the file's name, for errors. The bytes are looked at by `mat_format` before scipy reads them, and nothing is inflated beyond
    the size that a file of 100,000 images has. Raises TamperedDataError for anything but the two variables X and y, with what was found.
    """
    most_bytes = MOST_IMAGES * (SIDE * SIDE * CHANNELS + 8) + 1024
    n = _check_variables(plain_matrices(content, where, most_matrices=8, most_bytes=most_bytes), where)
    from scipy.io import loadmat  # here: importing skipbench.datasets does no work

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = loadmat(io.BytesIO(content), variable_names=("X", "y"))
        images, labels = found["X"], found["y"].reshape(-1)
    except Exception as error:  # noqa: BLE001 - whatever scipy says of a file that it cannot read
        raise TamperedDataError(f"{where} is no well-formed MATLAB 5 file: {shown(str(error))}. Nothing of it was used") from None
    if images.shape[:3] != (SIDE, SIDE, CHANNELS) or images.dtype != np.uint8 or len(labels) != n:
        raise TamperedDataError(f"{where}: X was read as {images.dtype} {images.shape}, y as {labels.shape}. Nothing of them was used")
    return np.moveaxis(images.reshape(SIDE, SIDE, CHANNELS, n), 3, 0), _digits(labels, where)


def _check_variables(matrices: tuple[Matrix, ...], where: str) -> int:
    """The number of images, where the variables are X and y of one length. Raises TamperedDataError for all others."""
    by_name = {matrix.name: matrix for matrix in matrices}
    if set(by_name) != {"X", "y"}:
        names = ", ".join(shown(name) for name in sorted(by_name)) or "none"
        raise TamperedDataError(f"{where} holds the variables {names}, but a file of SVHN (format 2) holds 'X' and 'y'")
    x, y = by_name["X"], by_name["y"]
    shape = x.shape if len(x.shape) == 4 else (*x.shape, 1)  # MATLAB drops a last side of 1
    if shape[:3] != (SIDE, SIDE, CHANNELS) or len(shape) != 4:
        raise TamperedDataError(f"{where}: X has shape {x.shape}, but images of SVHN (format 2) are ({SIDE}, {SIDE}, {CHANNELS}, n)")
    if x.matlab_class != "uint8" or x.stored_type != UINT8:
        raise TamperedDataError(f"{where}: X is {x.matlab_class} (stored as type {x.stored_type}), but images of SVHN are uint8")
    n = shape[3]
    if y.shape not in ((n, 1), (1, n)):
        raise TamperedDataError(f"{where}: y has shape {y.shape}, but with {n} images it is ({n}, 1)")
    return n


def _digits(labels: NDArray[np.generic], where: str) -> Indices:
    allowed = np.isin(labels, np.arange(1, DIGIT_0_IN_FILE + 1))  # false for NaN and fractions too
    if not allowed.all():
        row = int(np.argmin(allowed))
        raise TamperedDataError(
            f"{where}: y row {row} is {shown(labels[row].item())}, but a label is a whole number from 1 to {DIGIT_0_IN_FILE}, "
            f"where {DIGIT_0_IN_FILE} is the digit 0"
        )
    return labels.astype(np.int64) % DIGIT_0_IN_FILE


def _read_part(folder: Path, file: str, n_rows: int, root: Path | None) -> tuple[NDArray[np.uint8], Indices]:
    """Images (n, 32, 32, 3) and digits (n,) of one official file, whose checksum is right."""
    path = folder / file
    if not path.is_file():
        raise missing(NAME, f"the folder {folder} lacks the file {file}", root)
    advice = f"delete it, then skipbench data fetch {NAME}"
    images, labels = parse_mat(official_bytes(path, MD5[file], largest=LARGEST_FILE, what="file of SVHN", advice=advice), str(path))
    if len(labels) != n_rows:
        raise TamperedDataError(f"{path} holds {len(labels)} images, but the official file has {n_rows}. Nothing of it was used")
    return images, labels


def _check_sizes(options: LoadOptions, n_train: int, n_validation: int) -> None:
    n, n_test, n_classes = options.n, options.n_test, len(CLASSES)
    if n is not None and n < n_classes:
        raise SkipbenchError(f"{NAME}: n={n} is too small for one training row of each of {n_classes} classes: use at least {n_classes}")
    if n is not None and (n > n_train or _n_validation(n) > n_validation):
        raise SkipbenchError(
            f"{NAME}: n={n} training rows and {_n_validation(n)} for validation, but there are {n_train} and {n_validation} of them: "
            f"use n of at most {min(n_train, 5 * n_validation)}, or leave it out for all of them"
        )
    if n_test is not None and not n_classes <= n_test <= N_TEST:
        raise SkipbenchError(
            f"{NAME}: n_test={n_test}, but the set has {N_TEST} test rows of {n_classes} classes: use {n_classes} to {N_TEST} of them"
        )


def _n_validation(n: int) -> int:
    return max(len(CLASSES), n // 5)


def _subset(labels: Indices, region: Indices, n: int | None, seed: tuple[int, int]) -> Indices:
    """n rows of a region, ascending and class-balanced as far as its classes go; all of them without n. Larger n hold smaller ones."""
    if n is None:
        return region
    ordered = class_order(labels[region], seed)
    quotas = balanced_quotas([len(rows) for rows in ordered], n, (*seed, 1))
    return np.sort(region[np.concatenate([rows[:quota] for rows, quota in zip(ordered, quotas, strict=True)])])


def _scale_into(scaled: NDArray[np.float32], images: NDArray[np.uint8], rows: Indices) -> None:
    """Those rows as float32 (rows, 3, 32, 32) in [0, 1]; picked as bytes in blocks, so that no second array of their size exists."""
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        picked = np.moveaxis(images[rows[start : start + _ROWS_AT_ONCE]], 3, 1)
        np.divide(picked, WHITE, out=scaled[start : start + len(picked)], dtype=np.float32)


def _provenance(options: LoadOptions, n_train: int, n_validation: int, n_dropped: int) -> str:
    runs = (
        f"validation rows come from whole runs of {RUN} neighbouring rows of the training file, one run of {RUNS_PER_VALIDATION_RUN}, "
        "since the official files do not name photographs, but crops of one photograph are neighbours; "
        f"{DROPPED_AT_BORDER} rows dropped at each border with training rows, {n_dropped} in all"
    )
    balanced = "" if options.n is None else ", class-balanced as far as possible"
    test = f"all {N_TEST:,} official test rows"
    return "; ".join(
        [
            "Netzer et al. 2011, official format-2 files, each verified by MD5",
            "pixel values divided by 255",
            f"{n_train} training and {n_validation} validation rows of the official {N_TRAINING:,}{balanced}, seed {options.seed}",
            runs,
            test if options.n_test is None else f"{options.n_test} official test rows, class-balanced as far as possible",
        ]
    )
