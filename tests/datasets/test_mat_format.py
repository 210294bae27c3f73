"""Every length, type and count in a MATLAB 5 file is checked before scipy reads it."""

from __future__ import annotations

import struct
import zlib

import pytest

from skipbench.checks import TamperedDataError
from skipbench.datasets.mat_format import Matrix, plain_matrices

HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
INT8, UINT8, INT32, UINT32, DOUBLE = 1, 2, 5, 6, 9
CLASS_UINT8, CLASS_DOUBLE = 9, 6


def element(kind, content, announced=None):
    return struct.pack("<II", kind, len(content) if announced is None else announced) + content + bytes(-len(content) % 8)


def small(kind, content, announced=None):
    return struct.pack("<HH", kind, len(content) if announced is None else announced) + content.ljust(4, b"\0")


def matrix(name=b"x", shape=(2, 3), numbers=None, *, flags=None, sides=None, named=None, more=b""):
    """A uint8 matrix; each of its elements may be replaced."""
    parts = [
        element(UINT32, struct.pack("<II", CLASS_UINT8, 0)) if flags is None else flags,
        element(INT32, struct.pack(f"<{len(shape)}i", *shape)) if sides is None else sides,
        small(INT8, name) if named is None else named,
        element(UINT8, bytes(range(6))) if numbers is None else numbers,
    ]
    return element(14, b"".join(parts) + more)


def read(*elements, most_matrices=4, most_bytes=10_000):
    return plain_matrices(HEADER + b"".join(elements), "file", most_matrices=most_matrices, most_bytes=most_bytes)


def compressed(content):
    packed = zlib.compress(content)
    return struct.pack("<II", 15, len(packed)) + packed


@pytest.mark.parametrize("wrapped", [lambda content: content, compressed], ids=["plain", "compressed"])
def test_name_class_shape_and_stored_type_are_told(wrapped):
    doubles = matrix(
        b"long_name",
        (1, 2),
        element(UINT8, b"\x01\x02"),
        flags=element(UINT32, struct.pack("<II", CLASS_DOUBLE, 0)),
        named=element(INT8, b"long_name"),
    )
    found = read(wrapped(matrix()), wrapped(doubles))
    assert found == (Matrix("x", "uint8", (2, 3), UINT8), Matrix("long_name", "double", (1, 2), UINT8))


def test_a_file_without_variables_has_none():
    assert read() == ()


WRONG = [
    (matrix(flags=element(INT32, bytes(8))), "an element of type 5 and 8 bytes where flags, dimensions and a name are expected"),
    (matrix(flags=element(UINT32, bytes(16))), "a matrix with 16 bytes of flags, but it has 8"),
    (matrix(sides=element(INT32, struct.pack("<i", 6))), "a matrix with 4 bytes of dimensions, but 2 to 8 dimensions are allowed"),
    (matrix(sides=element(INT32, struct.pack("<9i", *[1] * 9))), "a matrix with 36 bytes of dimensions"),
    (matrix(sides=element(INT32, bytes(9))), "a matrix with 9 bytes of dimensions"),
    (matrix(shape=(0, 3)), r"the variable 'x' with the shape \(0, 3\), but every side is at least 1"),
    (matrix(shape=(-2, -3)), r"the shape \(-2, -3\), but every side is at least 1"),
    (matrix(shape=(2, 4)), r"6 bytes of numbers, of which 8 are there, but its shape \(2, 4\) needs 8"),
    (matrix(shape=(65536, 65536)), "its shape .* needs 4294967296"),
    (matrix(named=small(INT8, b"")), "a variable with a name of 0 letters, but it has 1 to 63"),
    (matrix(named=element(INT8, b"x" * 64)), "a variable with a name of 64 letters"),
    (matrix(named=element(INT8, b"x" * 600)), "an element of type 1 and 600 bytes where"),
    (matrix(named=small(INT8, b"xxxx", announced=5)), "a small element that announces 5 bytes, but it has at most 4"),
    (matrix(numbers=element(8, bytes(6))), "the variable 'x' with numbers of type 8, but types 1, 2, "),
    (matrix(numbers=element(UINT8, bytes(6), announced=7)), "with 7 bytes of numbers"),
    (matrix(numbers=element(DOUBLE, bytes(6))), r"its shape \(2, 3\) needs 48"),
    (matrix(numbers=b""), "a matrix that ends before its numbers; it is cut short"),
    (matrix(more=bytes(8)), "6 bytes of numbers, of which 16 are there"),
    (element(9, bytes(8)), r"an element of type 9, but only matrices \(14\) and compressed ones \(15\) are allowed"),
    (element(14, b""), "a matrix that ends before its numbers; it is cut short"),
]


@pytest.mark.parametrize(("content", "message"), WRONG)
def test_whatever_is_wrong_is_named(content, message):
    with pytest.raises(TamperedDataError, match=f"file holds .*{message}"):
        read(content)


@pytest.mark.parametrize(("content", "message"), [case for case in WRONG if case[0][:1] == b"\x0e"])
def test_whatever_is_wrong_within_a_compressed_variable_is_named_too(content, message):
    with pytest.raises(TamperedDataError, match=f"file holds .*{message}"):
        read(compressed(content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (struct.pack("<II", 15, 0), "a compressed variable without an end; it is cut short"),
        (struct.pack("<II", 15, 4) + b"junk", "a compressed variable that cannot be inflated"),
        (compressed(b"short"), "a matrix that ends before its numbers; it is cut short"),
        (compressed(matrix() + bytes(8)), "inflates to more than the .* bytes that it announces"),
        (compressed(matrix()[:-8]), "an element of type 14 that announces .* bytes and has .*, but a matrix is expected"),
    ],
)
def test_a_compressed_variable_that_is_no_matrix_is_named(content, message):
    with pytest.raises(TamperedDataError, match=f"file holds .*{message}"):
        read(content)


def test_number_and_size_of_all_variables_are_bounded():
    variables = [matrix(name) for name in (b"a", b"b", b"c")]
    size = len(variables[0])
    assert len(read(*variables, most_matrices=3, most_bytes=3 * size)) == 3
    with pytest.raises(TamperedDataError, match="more than 2 variables, but it may hold 2"):
        read(*variables, most_matrices=2)
    for wrapped in (lambda content: content, compressed):
        with pytest.raises(TamperedDataError, match="bytes of numbers"):
            read(*map(wrapped, variables), most_bytes=3 * size - 1)
