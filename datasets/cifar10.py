"""CIFAR-10 (Krizhevsky 2009) from the official python batches: 50,000 training images in official order, then the 10,000 test images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skipbench.checks import SkipbenchError, TamperedDataError, shown
from skipbench.datasets.dataset import Dataset, Indices, Split, freeze
from skipbench.datasets.official_files import official_bytes
from skipbench.datasets.options import LoadOptions
from skipbench.datasets.places import data_root, first_folder, missing
from skipbench.datasets.restricted_pickle import load_pickle
from skipbench.datasets.stratify import NINETY_TEN, balanced_quotas, class_order, deal

NAME = "cifar10"
PROTOCOLS = ("official",)
SOURCE = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
ARCHIVE_MD5 = "c58f30108f718f92721af3b95e74349a"
LICENCE = "none stated by its authors; cite A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009"
FOLDER = "cifar-10-batches-py"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TRAINING_FILES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST_FILE = "test_batch"
MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
}
ROWS_PER_FILE = 10_000
N_TRAINING = len(TRAINING_FILES) * ROWS_PER_FILE
N_TEST = ROWS_PER_FILE
SHAPE = (3, 32, 32)
LARGEST_FILE = 40_000_000
WHITE = np.float32(255.0)


def cifar10_places(root: Path | None) -> tuple[Path, ...]:
    """The folders in which the batches are looked for."""
    base = data_root(root)
    return (base / FOLDER, base)


def load_cifar10(name: str, options: LoadOptions) -> Dataset:
    """One split: 45,000 training, 5,000 validation and the official 10,000 test rows; inputs (rows, 3, 32, 32) in [0, 1].

    With `n`: n class-balanced training rows and max(10, n // 5) further ones for validation, out of the 50,000; with `n_test` a
    class-balanced part of the official test rows. Raises MissingDataError, TamperedDataError, and SkipbenchError for an impossible n.
    """
    protocol = options.chosen_protocol(name, PROTOCOLS)
    _check_sizes(options)
    folder = first_folder(name, cifar10_places(options.root), TRAINING_FILES[0], options.root)
    batches = [_read_batch(folder, file, options.root) for file in (*TRAINING_FILES, TEST_FILE)]
    labels = np.concatenate([labels for _, labels in batches])
    train, validation = _training_rows(labels[:N_TRAINING], options)
    test = _test_rows(labels[N_TRAINING:], options) + N_TRAINING
    kept = np.sort(np.concatenate([train, validation, test]))
    return Dataset(
        name=name,
        inputs=freeze(_scaled_rows([images for images, _ in batches], kept)),
        labels=labels[kept],
        classes=CLASSES,
        splits=(Split("official", *(np.searchsorted(kept, rows) for rows in (train, validation, test))),),
        provenance=_provenance(options),
        licence=LICENCE,
        protocol=protocol,
    )


def _check_sizes(options: LoadOptions) -> None:
    n, n_test, n_classes = options.n, options.n_test, len(CLASSES)
    if n is not None and n > N_TRAINING:
        raise SkipbenchError(f"{NAME}: n={n}, but the set has {N_TRAINING} training rows: use n of at most {N_TRAINING}, or leave it out")
    if n is not None and n < n_classes:
        raise SkipbenchError(
            f"{NAME}: n={n} is too small for one training row of each of {n_classes} classes: use n of at least {n_classes}"
        )
    if n is not None and n + _n_validation(n) > N_TRAINING:
        raise SkipbenchError(
            f"{NAME}: n={n} training rows and {_n_validation(n)} further ones for validation are more than the {N_TRAINING} training rows: "
            f"use n of at most {N_TRAINING * 5 // 6}, or leave it out for 45,000 and 5,000"
        )
    if n_test is not None and n_test > N_TEST:
        raise SkipbenchError(
            f"{NAME}: n_test={n_test}, but the set has {N_TEST} test rows: use n_test of at most {N_TEST}, or leave it out"
        )
    if n_test is not None and n_test < n_classes:
        raise SkipbenchError(f"{NAME}: n_test={n_test} is too small for one row of each of {n_classes} classes: use at least {n_classes}")


def _n_validation(n: int) -> int:
    return max(len(CLASSES), n // 5)


def _training_rows(labels: Indices, options: LoadOptions) -> tuple[Indices, Indices]:
    """Training and validation rows among the 50,000.

    Subsets of one seed are nested: training rows come from the front of each class's order and validation rows from its end, so that
    neither ever meets the other's rows at another n.
    """
    if options.n is None:
        hands = deal(labels, NINETY_TEN, (options.seed, 1))
        return hands["train"], hands["validation"]
    ordered = class_order(labels, (options.seed, 0))
    sizes = [len(rows) for rows in ordered]
    front = balanced_quotas(sizes, options.n, (options.seed, 0, 1))
    room = [size - int(taken) for size, taken in zip(sizes, front, strict=True)]
    back = balanced_quotas(room, _n_validation(options.n), (options.seed, 0, 2))
    train = np.concatenate([rows[:quota] for rows, quota in zip(ordered, front, strict=True)])
    validation = np.concatenate([rows[len(rows) - quota :] for rows, quota in zip(ordered, back, strict=True)])
    return np.sort(train), np.sort(validation)


def _test_rows(labels: Indices, options: LoadOptions) -> Indices:
    if options.n_test is None:
        return np.arange(N_TEST)
    ordered = class_order(labels, (options.seed, 3))
    quotas = balanced_quotas([len(rows) for rows in ordered], options.n_test, (options.seed, 3, 1))
    return np.sort(np.concatenate([rows[:quota] for rows, quota in zip(ordered, quotas, strict=True)]))


def _scaled_rows(batches: list[NDArray[np.uint8]], kept: Indices) -> NDArray[np.float32]:
    """The kept rows (ascending) as float32 in [0, 1]; picked as bytes first, so that no full float32 array exists for a subset."""
    scaled = np.empty((len(kept), *SHAPE), dtype=np.float32)
    edges = np.searchsorted(kept, np.arange(len(batches) + 1) * ROWS_PER_FILE)
    for number, images in enumerate(batches):
        start, end = edges[number], edges[number + 1]
        picked = images[kept[start:end] - number * ROWS_PER_FILE].reshape(-1, *SHAPE)
        np.divide(picked, WHITE, out=scaled[start:end], dtype=np.float32)
    return scaled


def _read_batch(folder: Path, file: str, root: Path | None) -> tuple[NDArray[np.uint8], Indices]:
    """Images (10000, 3072) and labels (10000,) of one official batch, whose checksum is right."""
    path = folder / file
    if not path.is_file():
        raise missing(NAME, f"the folder {folder} lacks the file {file}", root)
    advice = f"delete the folder, then skipbench data fetch {NAME}"
    content = official_bytes(path, MD5[file], largest=LARGEST_FILE, what="batch of CIFAR-10", advice=advice)
    return parse_batch(content, str(path))


def parse_batch(content: bytes, where: str) -> tuple[NDArray[np.uint8], Indices]:
    """Images and labels of one pickled batch. Raises TamperedDataError for other keys, sizes or types than the official ones."""
    batch = load_pickle(content, where)
    expected = {b"batch_label", b"labels", b"data", b"filenames"}
    if not isinstance(batch, dict) or set(batch) != expected:
        raise TamperedDataError(f"{where} holds {shown(batch)}, but a CIFAR-10 batch has the keys batch_label, data, filenames, labels")
    images, labels = batch[b"data"], batch[b"labels"]
    if not isinstance(images, np.ndarray) or images.shape != (ROWS_PER_FILE, int(np.prod(SHAPE))):
        shape = getattr(images, "shape", "none")
        raise TamperedDataError(f"{where}: its data has shape {shape}, but a CIFAR-10 batch has ({ROWS_PER_FILE}, {int(np.prod(SHAPE))})")
    if not isinstance(labels, list) or len(labels) != ROWS_PER_FILE:
        raise TamperedDataError(f"{where}: its labels are no list of {ROWS_PER_FILE} numbers")
    wrong = [label for label in labels if type(label) is not int or not 0 <= label < len(CLASSES)]
    if wrong:
        raise TamperedDataError(f"{where}: label {shown(wrong[0])}, but a CIFAR-10 label is 0 to {len(CLASSES) - 1}")
    return images, np.array(labels, dtype=np.int64)


def _provenance(options: LoadOptions) -> str:
    notes = ["Krizhevsky 2009, official python batches, each verified by MD5", "pixel values divided by 255"]
    if options.n is None:
        notes.append(f"45,000 training and 5,000 validation rows of the official 50,000, stratified, seed {options.seed}")
    else:
        parts = f"{options.n} training and {_n_validation(options.n)} validation rows"
        notes.append(f"{parts} of the official 50,000, class-balanced, seed {options.seed}")
    test = "all 10,000 official test rows"
    notes.append(test if options.n_test is None else f"{options.n_test} official test rows, class-balanced, seed {options.seed}")
    return "; ".join(notes)
