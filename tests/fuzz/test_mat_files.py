"""Whatever a `.mat` file or a numpy archive of SVHN holds, it becomes images and digits, or a refusal, within the sizes allowed."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from hostile import fuzzed, mutated
from hypothesis import given
from hypothesis import strategies as st

from skipbench.checks import TamperedDataError
from skipbench.datasets import svhn, svhn_1083
from skipbench.datasets.svhn import parse_mat
from skipbench.datasets.svhn_1083 import parse_npz

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of a failing input

N = 3
X = (np.arange(32 * 32 * 3 * N) % 251).astype(np.uint8).reshape(32, 32, 3, N)
Y = np.array([[10], [1], [7]], dtype=np.uint8)
HEADER = 128


def savemat(variables: dict[str, object], **options: object) -> bytes:
    stream = io.BytesIO()
    scipy.io.savemat(stream, variables, **options)
    content = stream.getvalue()
    dated = options.get("format") != "4"  # the header says when it was written, which would make every run another one
    return b"MATLAB 5.0 MAT-file, written by a test".ljust(116) + content[116:] if dated else content


def elements(content: bytes) -> list[tuple[int, bytes]]:
    """(type, bytes) of every element of a MATLAB 5 file."""
    place, found = HEADER, []
    while place < len(content):
        kind, n_bytes = struct.unpack_from("<II", content, place)
        found.append((kind, content[place + 8 : place + 8 + n_bytes]))
        place += 8 + n_bytes
    return found


def joined(header: bytes, parts: list[tuple[int, bytes]]) -> bytes:
    return header + b"".join(struct.pack("<II", kind, len(part)) + part for kind, part in parts)


PLAIN, PACKED = (savemat({"X": X, "y": Y}, do_compression=packed) for packed in (False, True))
INFLATED = [zlib.decompress(part) for _, part in elements(PACKED)]


class Thing:
    """Becomes a struct of MATLAB."""

    def __init__(self) -> None:
        self.field = np.arange(3)


ODD = [
    np.zeros(0), np.zeros((0, 3)), np.uint8(3), np.ones((2, 3, 4)), np.ones((N, 1)), np.full((N, 1), np.nan), np.full((N, 1), np.inf),
    np.ones((N, 1)) * 1j, np.ones((N, 1), dtype=bool), np.array([["abc"], ["d"]], dtype=object), np.array([1, "a", Y], dtype=object),
    np.array(["text", "more"]), "text", "x" * 1000, {"a": 1, "b": {"c": [1, 2]}}, Thing(), scipy.sparse.csc_array(np.eye(4)),
    np.zeros((2, 2), dtype=[("a", "i4"), ("b", "O")]), np.zeros((1,) * 9), np.arange(N, dtype=np.int64)[:, None] + 2**40,
    -np.ones((N, 1), dtype=np.int8), np.array([[1], [2], [11]]), X.astype(np.float32), X[..., 0], X[:, :, :1], np.moveaxis(X, 3, 0), Y.T,
    Y[:2], Y.astype(np.uint64), Y.astype(np.float64), Y * 0.5, X,
]  # fmt: skip
NAMES = ["X", "y", "x", "Y", "a" * 31, "b" * 31, "class", "X_1"]


@st.composite
def written_by_scipy(draw: st.DrawFn) -> bytes:
    """What savemat makes of random variables, some named as they should be."""
    variables: dict[str, object] = {"X": X, "y": Y}
    for _ in range(draw(st.sampled_from([0, 1, 1, 2]))):
        variables[draw(st.sampled_from(NAMES))] = draw(st.sampled_from(ODD))
    if draw(st.integers(0, 4)) == 0:
        del variables[draw(st.sampled_from(sorted(variables)))]
    content = savemat(
        variables, do_compression=draw(st.booleans()), long_field_names=True, oned_as=draw(st.sampled_from(["row", "column"]))
    )
    return content if draw(st.integers(0, 3)) else content[: draw(st.integers(0, len(content)))]


@st.composite
def changed(draw: st.DrawFn) -> bytes:
    """A file with changes in its first bytes or around its second variable, compressed or not, where pixels leave room for little else."""
    content = draw(st.sampled_from([PLAIN, PACKED]))
    first = HEADER + 8 + struct.unpack_from("<II", content, HEADER)[1]
    where = draw(st.sampled_from(["start", "end", "anywhere"]))
    if where == "start":
        return draw(mutated(content[:200], most=2)) + content[200:]
    if where == "end":
        return content[:first] + draw(mutated(content[first:], most=2))
    return draw(mutated(content))


@st.composite
def inflated(draw: st.DrawFn) -> bytes:
    """Changes inside the compressed variables, packed again: their checksum is right, and what they announce may not be."""
    parts = list(INFLATED)
    place = draw(st.integers(0, 1))
    head = draw(st.sampled_from([64, len(parts[place]), len(parts[place])]))
    parts[place] = draw(mutated(parts[place][:head], most=1)) + parts[place][head:]
    tail = draw(st.sampled_from([b"", b"", b"", b"\0" * 8, b"x"]))
    return joined(PACKED[:HEADER], [(15, zlib.compress(part) + tail) for part in parts])


SIZES = [0, 1, 4, 5, 7, 8, 2**16, 2**31 - 1, 2**31, 2**32 - 1]


@st.composite
def built(draw: st.DrawFn) -> bytes:
    """A matrix written element by element, each with an odd type, size or content in turn."""

    def element(kind: int, content: bytes) -> bytes:
        odd = draw(st.integers(0, 39))
        kind = draw(st.sampled_from([1, 2, 5, 6, 9, 14, 15, 16, 99, 2**31])) if odd == 0 else kind
        size = draw(st.sampled_from(SIZES)) if odd == 1 else len(content)
        if odd == 2 and len(content) <= 4:
            return struct.pack("<I", (len(content) << 16 | kind) & 0xFFFFFFFF) + content.ljust(4, b"\0")
        return struct.pack("<II", kind, size) + content + b"\0" * (-len(content) % 8)

    def matrix(name: bytes, array_class: int, shape: tuple[int, ...], stored: int, content: bytes) -> bytes:
        flags = array_class | draw(st.sampled_from([0] * 40 + [0x0200, 0x0800, 0x0400]))
        inner = element(6, struct.pack("<II", flags, 0)) + element(5, struct.pack(f"<{len(shape)}i", *shape)) + element(1, name)
        inner += element(stored, content)
        return struct.pack("<II", 14, draw(st.sampled_from([len(inner)] * 60 + SIZES))) + inner

    shape = draw(st.sampled_from([(32, 32, 3, N)] * 50 + [(32, 32, 3, 2**31 - 1), (-1, 32, 3, N), (0, 0), (1,), (2**16,) * 4, (1,) * 9]))
    x = matrix(
        draw(st.sampled_from([b"X"] * 30 + [b"", b"y", b"n" * 64])), draw(st.sampled_from([9] * 30 + [1, 5, 17])), shape, 2, X.tobytes("F")
    )
    y = matrix(
        b"y",
        draw(st.sampled_from([9, 6, 8, 4])),
        draw(st.sampled_from([(N, 1), (1, N), (N, 1), (1, N), (N, 1), (N, 2)])),
        draw(st.sampled_from([2, 1])),
        Y.tobytes(),
    )
    order = draw(st.sampled_from([[x, y]] * 20 + [[y, x], [x, y, y], [x], []]))
    packed = [part if draw(st.booleans()) else struct.pack("<II", 15, len(zlib.compress(part))) + zlib.compress(part) for part in order]
    header = draw(
        st.sampled_from([PLAIN[:HEADER]] * 50 + [PLAIN[:124] + b"\x01\x00MI", b"MATLAB 7.3".ljust(HEADER), PLAIN[:124] + b"\x00\x02IM"])
    )
    return header + b"".join(packed)


def bomb(megabytes: int, announced: int) -> bytes:
    """A variable that inflates to many megabytes of zeros after the head of a matrix that announces some size."""
    packer = zlib.compressobj(9)
    packed = packer.compress(struct.pack("<II", 14, announced) + INFLATED[0][8:56])
    packed += b"".join(packer.compress(bytes(2**20)) for _ in range(megabytes)) + packer.flush()
    return joined(PACKED[:HEADER], [(15, packed)])


BOMBS = [bomb(megabytes, announced) for megabytes in (1, 16) for announced in (1000, 20_000, 2**24, 2**32 - 1)]
OTHER_FORMATS = [
    savemat({"X": np.zeros((5, 5)), "y": Y}, format="4"),
    b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM" + bytes(384) + b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(600),
    b"PK\x03\x04" + bytes(300), b"<html>" * 50, b"", bytes(200), PLAIN[:HEADER], PLAIN[:HEADER] + bytes(8),
]  # fmt: skip


@pytest.fixture(autouse=True)
def small_limits(monkeypatch):
    """Files of at most 40 images instead of 100,000, so that a bomb of a megabyte is one."""
    monkeypatch.setattr(svhn, "MOST_IMAGES", 40)
    monkeypatch.setattr(svhn_1083, "MOST_BYTES", 40 * (32 * 32 * 3 + 16) + 4096)


def test_a_mat_file_is_read_or_refused_and_no_bomb_is_inflated(inbox, judge):
    for content in (PLAIN, PACKED):
        images, digits = parse_mat(content, "train_32x32.mat")  # and what has to be imported is
        assert np.array_equal(images, np.moveaxis(X, 3, 0))
        assert digits.tolist() == [0, 1, 7]
    cases = st.one_of(
        st.tuples(st.just("changed"), changed()),
        st.tuples(st.just("inflated"), inflated()),
        st.tuples(st.just("scipy"), written_by_scipy()),
        st.tuples(st.just("built"), built()),
        st.tuples(st.just("bombs"), st.sampled_from(BOMBS)),
        st.tuples(st.just("bombs"), st.sampled_from([*BOMBS, *OTHER_FORMATS])),
        st.tuples(st.just("random"), st.binary(max_size=300).map(lambda end: PLAIN[:HEADER] + end) | st.binary(max_size=300)),
    )

    @fuzzed
    @given(case=cases)
    def run(case):
        kind, content = case
        found = judge(kind, lambda: parse_mat(content, "train_32x32.mat"), names="train_32x32.mat")
        if found is not None:
            images, digits = found
            assert images.shape == (len(digits), 32, 32, 3)
            assert (images.dtype, digits.dtype) == (np.uint8, np.int64)
            assert set(digits.tolist()) <= set(range(10))

    run()
    assert list(inbox.iterdir()) == []
    judge.check_spread(
        {"changed": 0.03, "inflated": 0.01, "scipy": 0.03, "built": 0.05},
        {"changed": 0.3, "inflated": 0.3, "scipy": 0.5, "built": 0.5, "bombs": 1.0, "random": 1.0},
        n_reasons=40,
    )


def zipped(members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return stream.getvalue()


def npy(array: object) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.asarray(array), allow_pickle=True)
    return stream.getvalue()


MEMBERS = {"X.npy": npy(np.moveaxis(X, 3, 0)), "y.npy": npy(np.array([0, 1, 7], np.uint8)), "house.npy": npy(np.array([1, 1, 2], np.int32))}
CALL = b"\x80\x02cos\nsystem\nU\x04true\x85R."  # a pickle that runs a command


def headed(header: str, content: bytes = b"...") -> bytes:
    """A .npy file with this header."""
    return b"\x93NUMPY\x01\x00v\x00" + header.encode().ljust(117) + b"\n" + content


ODD_MEMBERS = [
    *(npy(array) for array in (np.arange(N), np.zeros(0), np.float32(1), np.array([None] * N), np.array(["a"] * N))),
    *(npy(array) for array in (np.arange(N, dtype=">u8"), np.zeros(N, dtype=[("a", "i4")]), np.array([0, 1, 10]))),
    *(npy(array) for array in (np.array([2**63] * N, dtype=np.uint64), np.zeros(2**20, np.uint8))),
    *(b"", b"\x93NUMPY", b"\x93NUMPY\x02\x00" + bytes(20), b"\x93NUMPY\x01\x00\xff\xff{", CALL),
    headed("{'descr': '|O', 'fortran_order': False, 'shape': (3,)}", CALL),
    headed("{'descr': '|u1', 'fortran_order': False, 'shape': (-3,)}"),
    headed("{'descr': '|u1', 'fortran_order': False, 'shape': (10**9, 10**9)}"),
    headed("{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999, 99999999999)}"),
    headed("__import__('os').system('true')"),
]


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    """The three arrays, one of them odd, changed, renamed, twice or gone, packed again."""
    members = list(MEMBERS.items())
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.integers(0, len(members) - 1))
        name, content = members[place]
        deed = draw(st.sampled_from(["odd", "change", "change", "rename", "more", "drop"]))
        if deed == "odd":
            members[place] = (name, draw(st.sampled_from(ODD_MEMBERS)))
        elif deed == "change":
            members[place] = (name, draw(mutated(content[:128], most=1)) + content[128:])
        elif deed == "rename":
            members[place] = (draw(st.sampled_from(["../X.npy", "/X.npy", "y.npy", "X.npy", "X", "house.npy"])), content)
        elif deed == "more":
            members.append((draw(st.sampled_from(["more.npy", "../../more.npy", "X.npy", "/etc/passwd"])), content))
        elif len(members) > 1:
            del members[place]
    return zipped(members, draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])))


@pytest.mark.filterwarnings("ignore:Duplicate name")  # said when such an archive is made
def test_a_numpy_archive_is_read_or_refused_and_unpickles_nothing(inbox, judge):
    valid = [zipped(list(MEMBERS.items()), compression) for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)]
    assert parse_npz(valid[0], "piece.npz")[1].tolist() == [0, 1, 7]
    ends = st.sampled_from(valid).flatmap(lambda content: mutated(content[-330:]).map(lambda end: content[:-330] + end))
    cases = st.one_of(
        st.tuples(st.just("changed"), st.sampled_from(valid).flatmap(mutated) | ends),
        st.tuples(st.just("built"), archives()),
        st.tuples(st.just("random"), st.binary(max_size=100) | st.binary(max_size=100).map(lambda end: b"PK\x03\x04" + end)),
    )

    @fuzzed
    @given(case=cases)
    def run(case):
        kind, content = case
        found = judge(kind, lambda: parse_npz(content, "piece.npz"), names="piece.npz")
        if found is not None:
            images, digits, houses = found
            assert images.shape == (len(digits), 32, 32, 3)
            assert set(digits.tolist()) <= set(range(10))
            assert (digits.dtype, houses.dtype, houses.shape) == (np.int64, np.int64, digits.shape)

    run()
    assert list(inbox.iterdir()) == []
    judge.check_spread({"changed": 0.003, "built": 0.003}, {"changed": 0.3, "built": 0.5, "random": 1.0}, n_reasons=30)


def test_a_bomb_of_sixteen_megabytes_in_a_few_kilobytes_is_refused(judge):
    for content in BOMBS:
        assert len(content) < 20_000
        with pytest.raises(TamperedDataError, match=r"inflates to more than|a compressed variable of \d+ bytes, but it may hold"):
            parse_mat(content, "file")
