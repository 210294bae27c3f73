"""Small sets written in the formats of the official files, and the folder of the real ones where there is one."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from skipbench.datasets import cifar10, svhn, verification


@pytest.fixture
def real_data() -> Path:
    """The folder of real data sets; a test that asks for it is skipped where there is none."""
    folder = os.environ.get("SKIPBENCH_DATA", "")
    if not folder:
        pytest.skip("needs real data: set SKIPBENCH_DATA to a folder that holds it")
    return Path(folder)


def _write_uci_set(
    root: Path,
    name: str = "toy",
    *,
    n: int = 40,
    features: int = 3,
    classes: int = 2,
    n_test: int = 0,
    labels: np.ndarray | None = None,
    replace: Mapping[str, bytes | Callable[[str], str]] | None = None,
) -> Path:
    rng = np.random.default_rng(7)
    folder = root / "uci" / name
    folder.mkdir(parents=True)
    files = [f"{name}_R.dat"] if not n_test else [f"{name}_train_R.dat", f"{name}_test_R.dat"]
    sizes = [n] if not n_test else [n, n_test]
    half = n // 2
    description = [f"n_entradas= {features}", f"n_clases= {classes}", f"n_arquivos= {len(files)}"]
    for number, (file, size) in enumerate(zip(files, sizes, strict=True), start=1):
        description += [f"fich{number}= {file}", f"n_patrons{number}= {size}"]
        held = labels if labels is not None and number == 1 else np.arange(size) % classes
        rows = ["\t".join(["", *(f"f{feature}" for feature in range(1, features + 1)), "clase"])]
        scale = 1.0 if number == 1 else 1000.0
        for row in range(size):
            values = [f"{value:.6g}" for value in scale * rng.normal(size=features) + held[row]]
            rows.append("\t".join([str(row + 1), *values, str(held[row])]))
        (folder / file).write_text("\n".join(rows) + "\n")
    description += [f"n_patrons_entrena= {half}", f"n_patrons_valida= {n - half}", "n_conxuntos= 1"]
    (folder / f"{name}.txt").write_text("\n".join(description) + "\n")
    order = rng.permutation(n)
    (folder / "conxuntos.dat").write_text(f"{_line(order[:half])}\n{_line(order[half:])}\n")
    folds = [(order[k::4], np.setdiff1d(order, order[k::4])) for k in range(4)]
    (folder / "conxuntos_kfold.dat").write_text("".join(f"{_line(train)}\n{_line(test)}\n" for test, train in folds))
    for file, change in (replace or {}).items():
        path = folder / file
        path.write_bytes(change if isinstance(change, bytes) else change(path.read_text()).encode())
    return folder


def _line(rows: np.ndarray) -> str:
    return " ".join(str(row) for row in np.sort(rows)) + " "


@pytest.fixture
def uci_set(tmp_path) -> Callable[..., Path]:
    """Writes a set in the collection's format below tmp_path and returns its folder; `replace` rewrites single files."""
    return lambda name="toy", **options: _write_uci_set(tmp_path, name, **options)


def _text(value: bytes) -> bytes:
    return b"U" + bytes([len(value)]) + value  # SHORT_BINSTRING


def _python2_batch(data: np.ndarray, labels: list[int], *, array_name: bytes = b"numpy.core.multiarray\n_reconstruct\n") -> bytes:
    """A batch pickled as Python 2 and the numpy of 2009 did: the opcodes of the official files."""
    rows, columns = data.shape
    array = b"c" + array_name + b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R("
    array += b"K\x01" + b"J" + struct.pack("<i", rows) + b"J" + struct.pack("<i", columns) + b"\x86"
    array += b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    array += b"\x89" + b"T" + struct.pack("<i", data.size) + data.tobytes() + b"tb"
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    names = b"](" + b"".join(_text(b"%d.png" % row) for row in range(rows)) + b"e"
    items = [(b"batch_label", _text(b"batch")), (b"labels", numbers), (b"data", array), (b"filenames", names)]
    return b"\x80\x02}(" + b"".join(_text(key) + value for key, value in items) + b"u."


@pytest.fixture(scope="session")
def python2_batch() -> Callable[..., bytes]:
    """Pickles uint8 rows and labels as the official batches are pickled."""
    return _python2_batch


@pytest.fixture
def small_cifar10(tmp_path, monkeypatch) -> Path:
    """A folder laid out like CIFAR-10, with 60 rows a file instead of 10,000, whose checksums are the expected ones in this test."""
    rows, rng = 60, np.random.default_rng(3)
    folder = tmp_path / cifar10.FOLDER
    folder.mkdir()
    md5 = {}
    for file in cifar10.MD5:
        content = b"meta"
        if file != "batches.meta":
            labels = rng.permutation(np.arange(rows) % 10)
            data = rng.integers(0, 256, size=(rows, 3072), dtype=np.uint8)
            data[:, 0] = labels  # so that a row can be told from its label
            content = _python2_batch(data, [int(label) for label in labels])
        (folder / file).write_bytes(content)
        md5[file] = hashlib.md5(content, usedforsecurity=False).hexdigest()
    for constant, value in {"ROWS_PER_FILE": rows, "N_TRAINING": 5 * rows, "N_TEST": rows, "MD5": md5}.items():
        monkeypatch.setattr(cifar10, constant, value)
    monkeypatch.setattr(verification, "MD5", md5)
    return folder


def _mat_file(images: np.ndarray, digits: np.ndarray, *, compressed: bool = True, **others: object) -> bytes:
    """A format-2 file of SVHN: X (32, 32, 3, n) and y (n, 1), the digit 0 as label 10; `others` are more variables, or other X and y."""
    labels = np.where(digits == 0, 10, digits).astype(np.uint8)[:, np.newaxis]
    stream = io.BytesIO()
    scipy.io.savemat(stream, {"X": np.moveaxis(images, 0, 3), "y": labels, **others}, do_compression=compressed)
    return stream.getvalue()


@pytest.fixture(scope="session")
def mat_file() -> Callable[..., bytes]:
    """Writes uint8 (n, 32, 32, 3) images and digits as the official files of SVHN are written."""
    return _mat_file


@pytest.fixture
def small_svhn(tmp_path, monkeypatch) -> Path:
    """A folder with both files of SVHN, of 300 and 60 rows, runs of 10 rows and 2 dropped at borders, with their checksums expected."""
    folder, rng, md5 = tmp_path / "svhn", np.random.default_rng(5), {}
    folder.mkdir()
    for file, rows in ((svhn.TRAINING_FILE, 300), (svhn.TEST_FILE, 60)):
        digits = rng.permutation(np.arange(rows) % 10)
        images = rng.integers(0, 256, size=(rows, 32, 32, 3), dtype=np.uint8)
        images[:, 0, 0, 0], images[:, 0, 1, 0], images[:, 0, 2, 0] = digits, np.arange(rows) // 256, np.arange(rows) % 256
        content = _mat_file(images, digits, compressed=file == svhn.TRAINING_FILE)
        (folder / file).write_bytes(content)
        md5[file] = hashlib.md5(content, usedforsecurity=False).hexdigest()
    for constant, value in {"N_TRAINING": 300, "N_TEST": 60, "RUN": 10, "DROPPED_AT_BORDER": 2, "MD5": md5}.items():
        monkeypatch.setattr(svhn, constant, value)
    monkeypatch.setattr(verification, "SVHN_MD5", md5)
    return folder


def _write_archive(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member, content in members:
            member.size = len(content) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def write_archive(tmp_path) -> Callable[..., Path]:
    """Writes a .tar.gz of (name or TarInfo, content) pairs and returns its path."""

    def write(*members: tuple[str | tarfile.TarInfo, bytes], file: str = "archive.tar.gz") -> Path:
        infos = [(tarfile.TarInfo(member) if isinstance(member, str) else member, content) for member, content in members]
        return _write_archive(tmp_path / file, infos)

    return write
