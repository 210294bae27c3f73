"""The piece of SVHN with houses: one known file, read without pickles and within caps, and split by house."""

from __future__ import annotations

import contextlib
import hashlib
import io
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skipbench.checks import MissingDataError, SkipbenchError, TamperedDataError
from skipbench.datasets import fetch, load, svhn_1083, verify
from skipbench.datasets.registry import presence
from skipbench.datasets.svhn_1083 import parse_npz

N = 120
RNG = np.random.default_rng(2)
ARRAYS = {
    "X": RNG.integers(0, 256, size=(N, 32, 32, 3), dtype=np.uint8),
    "y": (np.arange(N) % 10).astype(np.uint8),
    "house": np.repeat(np.arange(N // 2), 2)[RNG.permutation(N)].astype(np.int32),
}


def archive(compressed=True, **changes):
    """A numpy archive of ARRAYS, with changes; None leaves an array out."""
    arrays = {key: value for key, value in (ARRAYS | changes).items() if value is not None}
    stream = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(stream, **arrays)
    return stream.getvalue()


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def zipped(members, compression=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as written:
        for name, content in members:
            written.writestr(name, content)
    return stream.getvalue()


@pytest.fixture
def small_piece(tmp_path, monkeypatch):
    """A folder with a file of 120 rows and 60 houses, whose checksum is the expected one in this test."""
    content = archive()
    (tmp_path / svhn_1083.FILE).write_bytes(content)
    monkeypatch.setattr(svhn_1083, "SHA256", hashlib.sha256(content).hexdigest())
    monkeypatch.setattr("skipbench.datasets.verification.SVHN_1083_SHA256", hashlib.sha256(content).hexdigest())
    return tmp_path


@pytest.mark.parametrize("compressed", [True, False])
def test_an_archive_gives_images_digits_and_houses(compressed):
    images, digits, houses = parse_npz(archive(compressed), "file")
    assert np.array_equal(images, ARRAYS["X"])
    assert np.array_equal(digits, ARRAYS["y"])
    assert np.array_equal(houses, ARRAYS["house"])
    assert (images.dtype, digits.dtype, houses.dtype) == (np.uint8, np.int64, np.int64)


def test_rows_keep_their_house_and_pixels_lie_in_0_to_1(small_piece):
    dataset = load("svhn-1083", small_piece)
    assert np.array_equal(dataset.inputs, np.moveaxis(ARRAYS["X"], 3, 1).astype(np.float32) / np.float32(255))
    assert np.array_equal(dataset.groups, ARRAYS["house"])
    assert (dataset.protocol, dataset.grouped_by, dataset.kind) == ("house", "house", "images")
    assert [split.name for split in dataset.splits] == [f"split-{number}" for number in range(1, 6)]


def test_no_house_lies_in_two_parts_of_any_split(small_piece):
    for seed in range(4):
        dataset = load("svhn-1083", small_piece, seed=seed)
        for split in dataset.splits:
            houses = [set(dataset.groups[part].tolist()) for part in (split.train, split.validation, split.test)]
            assert not houses[0] & houses[1]
            assert not houses[0] & houses[2]
            assert not houses[1] & houses[2]
            assert sum(len(part) for part in (split.train, split.validation, split.test)) == len(dataset)


@pytest.mark.parametrize("n", [50, 60, 98, 120])
def test_a_subset_is_made_of_whole_houses(small_piece, n):
    dataset = load("svhn-1083", small_piece, n=n)
    assert len(dataset) == n
    whole = np.bincount(ARRAYS["house"])
    kept = np.bincount(dataset.groups, minlength=len(whole))
    assert set(kept[kept > 0] - whole[kept > 0]) == {0}
    assert f"{n} rows of whole houses" in dataset.provenance


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 49}, "svhn-1083: n=49, but the set has 120 rows, and .* use n from 50 to 120"),
        ({"n": 121}, "svhn-1083: n=121, but the set has 120 rows"),
        ({"n": 51}, r"svhn-1083: n=51 rows cannot be had without parting a house: those of seed 0 add up to 50 whole ones; use n=50"),
        ({"n_test": 20}, "svhn-1083: n_test=20, but this set has no official test part"),
        ({"protocol": "stratified"}, 'no protocol "stratified" for svhn-1083'),
    ],
)
def test_a_subset_that_cannot_be_had_is_named(small_piece, options, message):
    with pytest.raises(SkipbenchError, match=message):
        load("svhn-1083", small_piece, **options)


def test_a_missing_file_is_named_with_the_places_and_what_it_must_hold(tmp_path):
    for ask in (load, fetch, verify):
        with pytest.raises(MissingDataError) as caught:
            ask("svhn-1083", tmp_path)
        for part in (tmp_path / "svhn", "svhn_train_first1083.npz", "house", "cannot be fetched", "SKIPBENCH_DATA", "data fetch svhn"):
            assert str(part) in str(caught.value)
    assert presence("svhn-1083", tmp_path) == "no"


def test_another_file_is_refused_as_tampered_before_it_is_parsed(small_piece, monkeypatch):
    (small_piece / svhn_1083.FILE).write_bytes(archive(y=ARRAYS["y"][::-1].copy()))
    monkeypatch.setattr(svhn_1083, "parse_npz", lambda *_: pytest.fail("it was parsed"))
    with pytest.raises(
        TamperedDataError, match=r"svhn_train_first1083.npz is not the official file: its SHA-256 is .*Nothing of it was used"
    ):
        load("svhn-1083", small_piece)
    assert [check.status for check in verify("svhn-1083", small_piece)] == ["mismatch"]
    with pytest.raises(TamperedDataError, match="does not have the right checksum"):
        fetch("svhn-1083", small_piece)


def test_a_file_that_is_there_needs_no_fetching(small_piece):
    assert fetch("svhn-1083", small_piece) == small_piece
    assert presence("svhn-1083", small_piece) == "yes"
    assert [check.status for check in verify("svhn-1083", small_piece)] == ["ok"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"house": None}, "holds 2 members, such as .*but it must hold X.npy, y.npy, house.npy"),
        ({"more": np.zeros(3)}, "holds 4 members"),
        ({"house": None, "House": ARRAYS["house"]}, "it must hold X.npy, y.npy, house.npy"),
        ({"X": ARRAYS["X"].astype(np.float32)}, "X is 'float32', but it must be uint8"),
        ({"X": ARRAYS["X"].astype(np.int8)}, "X is 'int8', but it must be uint8"),
        ({"y": ARRAYS["y"].astype(np.float64)}, "y is 'float64', but it must be of whole numbers"),
        ({"house": ARRAYS["house"].astype(str)}, "house is '<U11', but it must be of whole numbers"),
        ({"y": np.array([None] * N, dtype=object)}, "y is 'object', but it must be of whole numbers"),
        ({"X": np.moveaxis(ARRAYS["X"], 3, 1).copy()}, r"X has shape \(120, 3, 32, 32\), but X is \(n, 32, 32, 3\)"),
        ({"X": ARRAYS["X"][:-1]}, r"y has shape \(120,\)"),
        ({"y": ARRAYS["y"][:, np.newaxis]}, r"y has shape \(120, 1\)"),
        ({"house": ARRAYS["house"][:-1]}, r"house has shape \(119,\)"),
        ({key: value[:0] for key, value in ARRAYS.items()}, r"X has shape \(0, 32, 32, 3\)"),
        ({"X": np.uint8(3)}, r"X has shape \(\)"),
        ({"y": ARRAYS["y"] + 1}, "y row 9 is 10, but a digit is 0 to 9"),
        ({"y": ARRAYS["y"].astype(int) - 1}, "y row 0 is -1, but a digit is 0 to 9"),
    ],
)
def test_other_arrays_are_named(changes, message):
    with pytest.raises(TamperedDataError, match=f"file.*{message}"):
        parse_npz(archive(**changes), "file")


def members(**changes):
    return [(f"{key}.npy", changes.get(key, npy(value))) for key, value in ARRAYS.items()]


def test_a_pickle_in_the_archive_is_never_loaded(tmp_path):
    class Hostile:
        def __reduce__(self):
            import os

            return (os.mkdir, (str(tmp_path / "made-by-the-pickle"),))

    stream = io.BytesIO()
    np.save(stream, np.array([Hostile()], dtype=object), allow_pickle=True)
    for content in (stream.getvalue(), b"\x80\x02K\x07."):
        with pytest.raises(TamperedDataError, match="file"):
            parse_npz(zipped(members(y=content)), "file")
    assert not (tmp_path / "made-by-the-pickle").exists()


def test_a_bomb_is_refused_by_the_sizes_it_announces():
    content = zipped(members(X=npy(np.zeros((50_000, 32, 32, 3), dtype=np.uint8))))
    assert len(content) < 600_000
    with pytest.raises(TamperedDataError, match=r"file unpacks to 153.* bytes, but at most 15444096 are allowed"):
        parse_npz(content, "file")


def test_a_header_that_promises_more_than_the_member_holds_is_refused():
    honest = npy(ARRAYS["y"])
    promising = honest.replace(b"(120,), }     ", b"(99999999,), }")
    computed = honest.replace(b"(120,), }   ", b"(10**12,), }")
    assert len({honest, promising, computed}) == 3
    with pytest.raises(TamperedDataError, match=r"y has 248 bytes, but its header promises uint8 \(99999999,\)"):
        parse_npz(zipped(members(y=promising)), "file")
    with pytest.raises(TamperedDataError, match="file"):
        parse_npz(zipped(members(y=computed)), "file")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_too_many_members_and_the_same_one_twice_are_refused():
    for more in ([("y.npy", npy(ARRAYS["y"]))], [(f"{number}.npy", b"") for number in range(3000)], [("../X.npy", b"")]):
        with pytest.raises(TamperedDataError, match=rf"holds {3 + len(more)} members"):
            parse_npz(zipped(members() + more), "file")


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_that_python_does_not_bound_is_refused(compression):
    with pytest.raises(TamperedDataError, match=r"compressed in another way than numpy\.savez does"):
        parse_npz(zipped(members(), compression), "file")


def test_another_version_of_npy_is_refused():
    with pytest.raises(TamperedDataError, match=r"y is a .npy file of version \(2, 0\)"):
        parse_npz(zipped(members(y=npy(ARRAYS["y"]).replace(b"NUMPY\x01", b"NUMPY\x02"))), "file")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"text", npy(ARRAYS["y"])])
def test_what_is_no_archive_is_refused(content):
    with pytest.raises(TamperedDataError, match="file is no well-formed numpy archive"):
        parse_npz(content, "file")


@given(data=st.data())
def test_whatever_an_archive_holds_gives_three_arrays_or_a_named_error(data):
    content = bytearray(archive(data.draw(st.booleans()), **{key: value[:12] for key, value in ARRAYS.items()}))
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))]
    for _ in range(data.draw(st.integers(0 if len(content) == 0 else 1, 4)) if content else 0):
        place = data.draw(st.integers(0, min(200, len(content) - 1)) | st.integers(max(0, len(content) - 400), len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(TamperedDataError):
        images, digits, houses = parse_npz(bytes(content), "file")
        assert images.shape == (len(digits), 32, 32, 3)
        assert houses.shape == digits.shape
        assert set(digits.tolist()) <= set(range(10))


def test_the_real_piece_is_the_known_one(real_data):
    if presence("svhn-1083") != "yes":
        pytest.skip("svhn_train_first1083.npz is not there")
    dataset = load("svhn-1083")
    assert dataset.inputs.shape == (1083, 3, 32, 32)
    assert len(set(dataset.groups.tolist())) == 499
    assert dataset.sha256 == "f2ac7b8c9db1b67975121bfc7758e1d16c3038d11a5575a3fd34596e60513aac"
    shares = np.bincount(dataset.labels)
    for split in dataset.splits:
        for part, share in ((split.train, 0.6), (split.validation, 0.2), (split.test, 0.2)):
            # every class has its share in every part to within one row: houses are small, so this can be had
            assert np.abs(np.bincount(dataset.labels[part], minlength=10) - share * shares).max() <= 1
    # written down once: another split would make recorded results incomparable
    digest = hashlib.sha256(b"".join(part.astype("<i8").tobytes() for split in dataset.splits for part in (split.train, split.test)))
    assert digest.hexdigest()[:16] == "9f72408b268e304b"
