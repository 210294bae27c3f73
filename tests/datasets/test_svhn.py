"""SVHN: the official files only, read by X and y only, and validation rows that are no neighbours of training rows."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import struct
import zlib

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from skipbench.checks import MissingDataError, SkipbenchError, TamperedDataError
from skipbench.datasets import load, svhn
from skipbench.datasets.svhn import parse_mat, training_regions

N = 12
DIGITS = np.arange(N) % 10
IMAGES = np.random.default_rng(1).integers(0, 256, size=(N, 32, 32, 3), dtype=np.uint8)


def written(variables, **options):
    stream = io.BytesIO()
    scipy.io.savemat(stream, variables, **options)
    return stream.getvalue()


def x_of(n=N):
    return np.zeros((32, 32, 3, n), dtype=np.uint8)


def y_of(n=N):
    return np.ones((n, 1), dtype=np.uint8)


def elements(content):
    """(type, bytes) of every element of a MATLAB 5 file."""
    place, found = 128, []
    while place < len(content):
        kind, n_bytes = struct.unpack_from("<II", content, place)
        found.append((kind, content[place + 8 : place + 8 + n_bytes]))
        place += 8 + n_bytes
    return found


def file_of(content, changed):
    """The header of `content` with other elements."""
    return content[:128] + b"".join(struct.pack("<II", kind, len(part)) + part for kind, part in changed)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("n", [1, 3, 4, 12])
def test_images_are_rows_first_and_label_10_is_the_digit_0(mat_file, compressed, n):
    images, digits = parse_mat(mat_file(IMAGES[:n], DIGITS[:n], compressed=compressed), "train_32x32.mat")
    assert images.dtype == np.uint8
    assert digits.dtype == np.int64
    assert np.array_equal(images, IMAGES[:n])
    assert np.array_equal(digits, DIGITS[:n])


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, np.float64])
def test_labels_may_be_stored_as_any_whole_numbers(mat_file, dtype):
    labels = np.where(DIGITS == 0, 10, DIGITS).astype(dtype)
    for column in (labels[:, np.newaxis], labels[np.newaxis]):
        assert np.array_equal(parse_mat(mat_file(IMAGES, DIGITS, y=column), "file")[1], DIGITS)


def test_a_big_endian_file_is_read_alike():
    # scipy writes little-endian files only, so this one is put together by hand
    def element(kind, content):
        return struct.pack(">II", kind, len(content)) + content + bytes(-len(content) % 8)

    def matrix(name, shape, content):
        sides = struct.pack(f">{len(shape)}i", *shape)
        return element(14, element(6, struct.pack(">II", 9, 0)) + element(5, sides) + element(1, name) + element(2, content))

    images = np.moveaxis(IMAGES[:2], 0, 3)
    body = matrix(b"X", images.shape, images.tobytes(order="F")) + matrix(b"y", (2, 1), bytes([10, 3]))
    found, digits = parse_mat(b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI" + body, "file")
    assert np.array_equal(found, IMAGES[:2])
    assert digits.tolist() == [0, 3]


class Thing:
    """What savemat turns into a struct."""

    def __init__(self):
        self.field = 1


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"Z": x_of(), "y": y_of()}, r"file holds the variables 'Z', 'y', but a file of SVHN \(format 2\) holds 'X' and 'y'"),
        ({"X": x_of()}, "file holds the variables 'X', but"),
        ({"X": x_of(), "y": y_of(), "extra": y_of()}, "file holds the variables 'X', 'extra', 'y', but"),
        ({"X": np.zeros((32, 32, 1, N), np.uint8), "y": y_of()}, r"X has shape \(32, 32, 1, 12\), but images of SVHN .* \(32, 32, 3, n\)"),
        ({"X": np.zeros((N, 32, 32, 3), np.uint8), "y": y_of()}, r"X has shape \(12, 32, 32, 3\)"),
        ({"X": np.zeros((5, 5), np.uint8), "y": y_of()}, r"X has shape \(5, 5\)"),
        ({"X": x_of().astype(np.float64), "y": y_of()}, r"X is double \(stored as type 9\), but images of SVHN are uint8"),
        ({"X": x_of().astype(np.int8), "y": y_of()}, "X is int8"),
        ({"X": x_of(), "y": y_of(N - 1)}, r"y has shape \(11, 1\), but with 12 images it is \(12, 1\)"),
        ({"X": x_of(), "y": np.ones((3, 4), np.uint8)}, r"y has shape \(3, 4\)"),
        ({"X": x_of(), "y": y_of() * 11}, "y row 0 is 11, but a label is a whole number from 1 to 10, where 10 is the digit 0"),
        ({"X": x_of(), "y": y_of() * 0}, "y row 0 is 0, but"),
        ({"X": x_of(), "y": y_of() * 1.5}, "y row 0 is 1.5, but"),
        ({"X": x_of(), "y": y_of() * np.nan}, "y row 0 is nan, but"),
        ({"X": x_of(), "y": y_of() * 1j}, "holds a variable of the class complex double, but only plain matrices of numbers are allowed"),
        ({"X": x_of(), "y": y_of() > 0}, "a variable of the class logical uint8"),
        ({"X": x_of(), "y": "1" * N}, "a variable of the class char"),
        ({"X": x_of(), "y": {"a": 1}}, "a variable of the class struct"),
        ({"X": x_of(), "y": Thing()}, "a variable of the class struct"),
        ({"X": x_of(), "y": np.array([1, "a"], dtype=object)}, "a variable of the class cell"),
        ({"X": x_of(), "y": scipy.sparse.csc_array(np.ones((N, 1)))}, "a variable of the class sparse"),
    ],
)
@pytest.mark.parametrize("compressed", [True, False])
def test_other_variables_than_the_official_ones_are_named(variables, message, compressed):
    with pytest.raises(TamperedDataError, match=message):
        parse_mat(written(variables, do_compression=compressed), "file")


@pytest.mark.parametrize(("number", "name"), [(3, "object"), (16, "function"), (17, "object"), (99, "class 99")])
def test_objects_and_functions_of_matlab_are_refused_before_scipy_sees_them(mat_file, number, name, monkeypatch):
    monkeypatch.setattr("scipy.io.loadmat", lambda *_, **__: pytest.fail("scipy was given the bytes"))
    content = bytearray(mat_file(IMAGES, DIGITS, compressed=False))
    content[128 + 16] = number  # the class, in the flags of the first matrix
    with pytest.raises(TamperedDataError, match=f"a variable of the class {name}, but only plain matrices of numbers are allowed"):
        parse_mat(bytes(content), "file")


def test_other_formats_are_named():
    hdf5 = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM"
    for content in (hdf5.ljust(512, b"\0") + b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(600)):
        with pytest.raises(TamperedDataError, match=r"holds a MATLAB 7.3 file \(HDF5\), but only MATLAB 5 files are read"):
            parse_mat(content, "file")
    version_4 = written({"X": np.zeros((5, 5)), "y": y_of()}, format="4")
    for content in (version_4.ljust(200, b"\0"), b"PK\x03\x04".ljust(300, b"x"), b"text " * 100):
        with pytest.raises(TamperedDataError, match="as its header, but a MATLAB 5 file is expected"):
            parse_mat(content, "file")


@pytest.mark.parametrize("compressed", [True, False])
def test_a_truncated_file_is_refused_wherever_it_was_cut(mat_file, compressed):
    content = mat_file(IMAGES[:2], DIGITS[:2], compressed=compressed)
    first = 136 + struct.unpack_from("<II", content, 128)[1]  # the end of X
    places = [*range(260), *range(260, len(content), 97), *range(first - 9, first + 60), *range(len(content) - 40, len(content))]
    for place in sorted(set(places) & set(range(len(content)))):
        with pytest.raises(TamperedDataError, match=r"file holds .*(cut short|the variables)"):
            parse_mat(content[:place], "file")


def test_bytes_after_the_end_are_refused(mat_file):
    content = mat_file(IMAGES, DIGITS)
    for more in (b"x", bytes(8), bytes(64)):
        with pytest.raises(TamperedDataError, match="file holds"):
            parse_mat(content + more, "file")
    (kind, packed), *others = elements(content)
    with pytest.raises(TamperedDataError, match="8 bytes after the end of a compressed variable"):
        parse_mat(file_of(content, [(kind, packed + bytes(8)), *others]), "file")


def test_a_variable_that_is_there_twice_is_refused(mat_file):
    content = mat_file(IMAGES, DIGITS)
    x, y = elements(content)
    with pytest.raises(TamperedDataError, match="two variables of the name 'y'"):
        parse_mat(file_of(content, [x, y, y]), "file")
    with pytest.raises(TamperedDataError, match="more than 8 variables"):
        parse_mat(written({f"v{number}": number for number in range(9)}), "file")


def bomb(megabytes, announced):
    """An element that inflates to many megabytes of zeros after the head of a matrix that announces another size."""
    head = struct.pack("<II", 14, announced) + elements(written({"X": x_of()}))[0][1][:48]
    packer = zlib.compressobj(9)
    packed = packer.compress(head) + b"".join(packer.compress(bytes(2**20)) for _ in range(megabytes)) + packer.flush()
    return file_of(written({"X": x_of()}), [(15, packed)])


@pytest.mark.parametrize(
    ("announced", "message"),
    [
        (1000, "a compressed variable that inflates to more than the 1008 bytes that it announces"),
        (2**32 - 1, "a compressed variable of 4294967303 bytes, but it may hold 308001024 bytes of numbers"),
    ],
)
def test_a_compressed_bomb_is_refused_before_it_is_inflated(announced, message, monkeypatch):
    content = bomb(64, announced)
    assert len(content) < 100_000
    inflated = []

    class Counting:
        """A zlib decompressor that counts what it gave."""

        def __init__(self):
            self.inner = zlib._real_decompressobj()

        def decompress(self, *arguments):
            block = self.inner.decompress(*arguments)
            inflated.append(len(block))
            return block

        def __getattr__(self, name):
            return getattr(self.inner, name)

    monkeypatch.setattr(zlib, "_real_decompressobj", zlib.decompressobj, raising=False)
    monkeypatch.setattr(zlib, "decompressobj", Counting)
    monkeypatch.setattr("scipy.io.loadmat", lambda *_, **__: pytest.fail("scipy was given the bytes"))
    with pytest.raises(TamperedDataError, match=message):
        parse_mat(content, "file")
    assert sum(inflated) <= 2**17


def test_many_variables_cannot_inflate_to_more_than_one_file_may_hold(monkeypatch):
    monkeypatch.setattr(svhn, "MOST_IMAGES", N)
    variables = {"X": x_of(), "y": y_of()}
    for compressed in (True, False):
        parse_mat(written(variables, do_compression=compressed), "file")
        with pytest.raises(TamperedDataError, match="bytes of numbers"):
            parse_mat(written({**variables, "z": x_of()}, do_compression=compressed), "file")


def test_a_bomb_within_a_bomb_is_no_matrix(mat_file):
    content = mat_file(IMAGES, DIGITS)
    inner = zlib.compress(struct.pack("<II", 15, 10) + bytes(10))
    with pytest.raises(TamperedDataError, match="an element of type 15 that announces 10 bytes and has 10, but a matrix is expected"):
        parse_mat(file_of(content, [(15, inner)]), "file")


def test_a_shape_that_the_bytes_do_not_fill_is_refused(mat_file):
    content = bytearray(mat_file(IMAGES, DIGITS, compressed=False))
    struct.pack_into("<i", content, 128 + 24 + 8 + 12, 2**31 - 1)  # the fourth side of X
    with pytest.raises(TamperedDataError, match=r"the variable 'X' with 36864 bytes of numbers.*its shape \(32, 32, 3, 2147483647\) needs"):
        parse_mat(bytes(content), "file")


@given(data=st.data())
def test_whatever_a_file_holds_gives_images_and_digits_or_a_named_error(mat_file, data):
    content = bytearray(mat_file(IMAGES[:2], DIGITS[:2], compressed=data.draw(st.booleans())))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 260) | st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(TamperedDataError):
        images, digits = parse_mat(bytes(content), "file")
        assert images.shape == (len(digits), 32, 32, 3)
        assert images.dtype == np.uint8
        assert set(digits.tolist()) <= set(range(10))


def place_in_file(dataset, rows):
    """The row of the official file that each row was, as the small files carry it in three pixels."""
    pixels = np.rint(dataset.inputs[rows] * 255).astype(int)
    return pixels[:, 0, 0, 1] * 256 + pixels[:, 0, 0, 2]


def test_the_whole_set_has_runs_for_validation_and_the_official_test_rows(small_svhn, tmp_path):
    dataset = load("svhn", tmp_path)
    (split,) = dataset.splits
    train, validation = training_regions(300, 0)
    assert dataset.inputs.shape == (len(train) + len(validation) + 60, 3, 32, 32)
    assert np.array_equal(place_in_file(dataset, split.train), train)
    assert np.array_equal(place_in_file(dataset, split.validation), validation)
    assert np.array_equal(place_in_file(dataset, split.test), np.arange(60))
    assert np.array_equal(np.rint(dataset.inputs[:, 0, 0, 0] * 255), dataset.labels)
    assert dataset.classes == tuple("0123456789")
    assert (dataset.inputs.min(), dataset.inputs.max()) == (0, 1)
    for words in ("verified by MD5", "whole runs of 10 neighbouring rows", "2 rows dropped at each border with training rows, 12 in all"):
        assert words in dataset.provenance


@pytest.mark.parametrize("seed", range(5))
def test_no_validation_row_is_near_a_training_row_in_the_file(seed):
    train, validation = training_regions(svhn.N_TRAINING, seed)
    assert (len(train), len(validation)) == (65_757, 7_200)
    after = np.searchsorted(train, validation)
    nearest = np.minimum(train[np.minimum(after, len(train) - 1)] - validation, validation - train[after - 1])
    assert nearest.min() == svhn.DROPPED_AT_BORDER + 1
    # a house number has at most six digits, so no photograph reaches from one side of a border to the other
    assert svhn.DROPPED_AT_BORDER + 2 > 6


def test_the_seed_decides_which_runs_validate():
    first, again, other = (training_regions(svhn.N_TRAINING, seed)[1] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    # written down once: other rows would make recorded results incomparable
    assert first[[0, 480, 960]].tolist() == [2010, 8510, 13010]


@pytest.mark.parametrize("n", [10, 15, 50, 83])
def test_a_subset_is_balanced_and_stays_in_its_region(small_svhn, tmp_path, n):
    dataset = load("svhn", tmp_path, n=n, n_test=20)
    (split,) = dataset.splits
    train, validation = training_regions(300, 0)
    assert set(place_in_file(dataset, split.train)) <= set(train)
    assert set(place_in_file(dataset, split.validation)) <= set(validation)
    assert [len(split.train), len(split.validation), len(split.test)] == [n, max(10, n // 5), 20]
    for rows in (split.train, split.test):
        counts = np.bincount(dataset.labels[rows], minlength=10)
        assert counts.max() - counts.min() <= 1
    assert len(dataset) == n + max(10, n // 5) + 20


def test_subsets_of_one_seed_are_nested(small_svhn, tmp_path):
    held = {}
    for n in (10, 31, 64, 90):
        dataset = load("svhn", tmp_path, n=n, n_test=n // 2 + 5)
        held[n] = [set(place_in_file(dataset, rows)) for rows in (dataset.splits[0].train, dataset.splits[0].validation)]
        held[n].append({dataset.inputs[row].tobytes() for row in dataset.splits[0].test})
    for smaller, larger in ((10, 31), (31, 64), (64, 90)):
        assert all(first <= second for first, second in zip(held[smaller], held[larger], strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 9}, "svhn: n=9 is too small for one training row of each of 10 classes"),
        (
            {"n": 36_005},
            r"svhn: n=36005 training rows and 7201 for validation, but there are 65757 and 7200 of them: use n of at most 36000",
        ),
        ({"n": 10**9}, "svhn: n=1000000000"),
        ({"n_test": 26_033}, "svhn: n_test=26033, but the set has 26032 test rows of 10 classes"),
        ({"n_test": 9}, "svhn: n_test=9"),
        ({"protocol": "house"}, 'no protocol "house" for svhn'),
        ({"frequency": 2}, 'svhn: "frequency" was given, but this set has no parameters'),
    ],
)
def test_a_subset_that_cannot_be_had_is_named_before_any_file_is_looked_for(tmp_path, options, message):
    with pytest.raises(SkipbenchError, match=message):
        load("svhn", tmp_path, **options)


def test_missing_files_are_named_with_the_places_and_the_command(small_svhn, tmp_path):
    with pytest.raises(MissingDataError) as caught:
        load("svhn", tmp_path / "empty")
    for part in (tmp_path / "empty" / "svhn", "train_32x32.mat", "skipbench data fetch svhn"):
        assert str(part) in str(caught.value)
    (small_svhn / "test_32x32.mat").unlink()
    with pytest.raises(MissingDataError, match=r"lacks the file test_32x32.mat.*skipbench data fetch svhn"):
        load("svhn", tmp_path)


def test_files_may_lie_in_the_root_itself(small_svhn, tmp_path):
    assert load("svhn", small_svhn).sha256 == load("svhn", tmp_path).sha256


@pytest.mark.parametrize("file", ["train_32x32.mat", "test_32x32.mat"])
def test_a_changed_file_is_refused_before_a_byte_is_parsed(small_svhn, tmp_path, file, monkeypatch):
    path = small_svhn / file
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    parsed = []
    monkeypatch.setattr(svhn, "parse_mat", lambda content, where: (parsed.append(where), parse_mat(content, where))[1])
    with pytest.raises(TamperedDataError, match=rf"{file} is not the official file: its MD5 is .*Nothing of it was used"):
        load("svhn", tmp_path)
    assert str(path) not in parsed


def test_a_huge_file_is_refused_before_it_is_read(small_svhn, tmp_path):
    os.truncate(small_svhn / "train_32x32.mat", 2**36)  # sparse: takes no room
    with pytest.raises(TamperedDataError, match="has 68719476736 bytes, but no file of SVHN has more than"):
        load("svhn", tmp_path)


def test_a_file_with_the_right_checksum_and_another_number_of_rows_is_refused(small_svhn, tmp_path, mat_file, monkeypatch):
    content = mat_file(IMAGES, DIGITS)
    (small_svhn / "test_32x32.mat").write_bytes(content)
    monkeypatch.setitem(svhn.MD5, "test_32x32.mat", hashlib.md5(content, usedforsecurity=False).hexdigest())
    with pytest.raises(TamperedDataError, match=r"test_32x32\.mat holds 12 images, but the official file has 60"):
        load("svhn", tmp_path)
