"""The text format of the Fernandez-Delgado collection (JMLR 15, 2014), read strictly: whatever is wrong is named by file and line.

NAME.txt               lines `key= value`: n_entradas (features), n_clases, n_arquivos (1 or 2 data files), fich1, n_patrons1, ...
NAME_R.dat             a header line, then one row per line: number, features, label from 0, separated by tabs
conxuntos.dat          two lines of row numbers from 0: training, validation
conxuntos_kfold.dat    eight lines: training and test of four folds
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skipbench.checks import SkipbenchError, shown
from skipbench.datasets.dataset import Indices

_LARGEST = float(np.finfo(np.float32).max)
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}")
_WHOLE = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True)
class Description:
    """NAME.txt: sizes of a set. files and rows: one entry per data file; n_train, n_validation: sizes of the selection split."""

    features: int
    classes: int
    files: tuple[str, ...]
    rows: tuple[int, ...]
    n_train: int | None
    n_validation: int | None


def read_description(path: Path, content: bytes) -> Description:
    """NAME.txt as numbers. Raises SkipbenchError for missing keys, wrong values and file names that leave the folder."""
    values: dict[str, str] = {}
    for number, line in _lines(path, content):
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals:
            raise SkipbenchError(f"{path}, line {number}: {shown(line)} is no `key= value`")
        values[key] = value
    n_files = _whole(path, values, "n_arquivos", least=1)
    if n_files > 2:
        raise SkipbenchError(f"{path}: n_arquivos= {n_files}, but a set has one data file, or one for training and one for testing")
    numbers = range(1, n_files + 1)
    rows = tuple(_whole(path, values, f"n_patrons{number}", least=1) for number in numbers)
    classes = _whole(path, values, "n_clases", least=2)
    if classes > sum(rows):
        raise SkipbenchError(f"{path}: n_clases= {classes}, but with {sum(rows)} rows there are at most so many classes")
    return Description(
        features=_whole(path, values, "n_entradas", least=1),
        classes=classes,
        files=tuple(_file_name(path, values, f"fich{number}") for number in numbers),
        rows=rows,
        n_train=_whole(path, values, "n_patrons_entrena", least=1) if "n_patrons_entrena" in values else None,
        n_validation=_whole(path, values, "n_patrons_valida", least=1) if "n_patrons_valida" in values else None,
    )


def read_rows(path: Path, content: bytes, *, rows: int, features: int, classes: int) -> tuple[NDArray[np.float64], Indices]:
    """One data file: inputs (rows, features) and labels (rows,). Raises SkipbenchError, with file and line, for anything malformed."""
    lines = _lines(path, content)[1:]
    if len(lines) != rows:
        raise SkipbenchError(f"{path}: {len(lines)} rows after its header, but the set's description promises {rows}")
    for number, line in lines:
        found = line.count("\t") + 1
        if found != features + 2:
            raise SkipbenchError(
                f"{path}, line {number}: {found} tab-separated values, but a row has {features + 2}: number, the {features} features that "
                "the set's description promises, label"
            )
    values = np.array([_numbers(path, number, line) for number, line in lines])
    inputs, labels = values[:, 1:-1], values[:, -1]
    usable = (np.abs(inputs) <= _LARGEST).all(axis=1)  # false for NaN too
    if not usable.all():
        at = int(np.argmin(usable))
        bad = inputs[at][~(np.abs(inputs[at]) <= _LARGEST)][0]
        raise SkipbenchError(f"{path}, line {lines[at][0]}: {bad} among its features, but every input must be a finite number (float32)")
    allowed = (labels >= 0) & (labels < classes) & (labels == np.floor(labels))  # false for NaN too
    if not allowed.all():
        at = int(np.argmin(allowed))
        raise SkipbenchError(f"{path}, line {lines[at][0]}: label {labels[at]:g}, but with {classes} classes a label is 0 to {classes - 1}")
    return inputs, labels.astype(np.int64)


def read_partitions(path: Path, content: bytes, *, n_lines: int, rows: int) -> list[Indices]:
    """A conxuntos file: `n_lines` lines of row numbers from 0, in pairs that share no row and hold none twice."""
    lines = _lines(path, content)
    if len(lines) != n_lines:
        raise SkipbenchError(f"{path}: {len(lines)} lines of row numbers, but this file has {n_lines}: training and other rows in turn")
    parts = [_row_numbers(path, number, line, rows) for number, line in lines]
    for place in range(0, n_lines, 2):
        pair = np.concatenate(parts[place : place + 2])
        numbers, counts = np.unique(pair, return_counts=True)
        if counts.max() > 1:
            twice = numbers[counts > 1][0]
            raise SkipbenchError(f"{path}, lines {lines[place][0]} and {lines[place + 1][0]}: row {twice} is there twice")
    return parts


def _lines(path: Path, content: bytes) -> list[tuple[int, str]]:
    """Number (from 1) and text of every line that is not blank."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SkipbenchError(f"{path}, line {line}: byte {error.start} is no text (UTF-8)") from None
    return [(number, line.rstrip("\r")) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]


def _numbers(path: Path, number: int, line: str) -> list[float]:
    fields = line.split("\t")
    try:
        if "_" in line:  # float() would read 1_0 as ten
            raise ValueError
        return [float(field) for field in fields]
    except ValueError:
        wrong = next(field for field in fields if not _is_number(field))
        raise SkipbenchError(f"{path}, line {number}: {shown(wrong)} is no number") from None


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field


def _row_numbers(path: Path, number: int, line: str, rows: int) -> Indices:
    fields = line.split()
    wrong = next((field for field in fields if not _WHOLE.fullmatch(field)), None)
    if wrong is not None:
        raise SkipbenchError(f"{path}, line {number}: {shown(wrong)} is no row number")
    part = np.array(fields, dtype=np.int64)
    if part.max() >= rows:
        raise SkipbenchError(f"{path}, line {number}: row {part.max()}, but the rows of this set are 0 to {rows - 1}")
    return part


def _whole(path: Path, values: dict[str, str], key: str, *, least: int) -> int:
    value = values.get(key)
    if value is None:
        raise SkipbenchError(f"{path}: the key {key} is missing")
    if not _WHOLE.fullmatch(value) or int(value) < least:
        raise SkipbenchError(f"{path}: {key}= {shown(value)}, but it must be a whole number of at least {least}")
    return int(value)


def _file_name(path: Path, values: dict[str, str], key: str) -> str:
    value = values.get(key)
    if value is None:
        raise SkipbenchError(f"{path}: the key {key} is missing")
    if not _FILE_NAME.fullmatch(value):
        raise SkipbenchError(f"{path}: {key}= {shown(value)}, but it must be the plain name of a file in the same folder")
    return value
