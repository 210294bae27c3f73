"""A MATLAB 5 file looked at before scipy is given its bytes: nothing but plain matrices of numbers, of sizes that the file really holds.

header       128 bytes: text, version 0x0100, and "IM" where numbers are little-endian, "MI" where they are big-endian
element      type and number of bytes (4 bytes each), then the bytes; at the top a matrix (type 14), or a zlib stream with one in it (15)
matrix       elements in turn: flags (the class, e.g. uint8), dimensions, name, numbers; padded to 8 bytes
small        an element of at most 4 bytes may be packed into 8: number of bytes and type (2 bytes each), then the bytes

A zlib stream is inflated in small pieces that are dropped, never beyond what its matrix announces, and that is bounded first. Cells,
structs, objects, functions, text and sparse or complex matrices are refused here, so that scipy's code for them is out of reach.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass

from skipbench.checks import TamperedDataError, shown

MATRIX, COMPRESSED = 14, 15
BYTES_OF_TYPE = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}  # miINT8, miUINT8, ..., miDOUBLE, miINT64, miUINT64
UINT8 = 2
_NAMES = "cell struct object char sparse double single int8 uint8 int16 uint16 int32 uint32 int64 uint64 function object"
CLASSES = dict(enumerate(_NAMES.split(), start=1))
NUMERIC = frozenset(range(6, 16))  # double to uint64
_COMPLEX, _LOGICAL = 0x08, 0x02
_HEADER_BYTES = 128
_MOST_DIMENSIONS, _LONGEST_NAME = 8, 63
_HEAD_BYTES = 512  # flags, dimensions and name of a matrix, and the tag of its numbers, take less than half of this
_PIECE = 2**16


@dataclass(frozen=True)
class Matrix:
    """One plain matrix of a file. matlab_class: "uint8", "double", ...; stored_type: of its numbers, a key of BYTES_OF_TYPE."""

    name: str
    matlab_class: str
    shape: tuple[int, ...]
    stored_type: int


def plain_matrices(content: bytes, where: str, *, most_matrices: int, most_bytes: int) -> tuple[Matrix, ...]:
    """Every matrix of a MATLAB 5 file, checked without building an array.

    most_matrices, most_bytes: what the file may hold, inflated. Raises TamperedDataError for anything but plain matrices of numbers,
    for a file that is cut short or holds more than it announces, and for two matrices of one name.
    """
    order = _byte_order(content, where)
    view, place, left, found = memoryview(content), _HEADER_BYTES, most_bytes, dict[str, Matrix]()
    while place < len(view):
        if len(found) == most_matrices:
            raise _refusal(where, f"more than {most_matrices} variables, but it may hold {most_matrices}")
        if len(view) - place < 8:
            raise _refusal(where, f"{len(view) - place} bytes at its end that are no element; it is cut short")
        kind, n_bytes = struct.unpack_from(f"{order}II", view, place)
        if n_bytes > len(view) - place - 8:
            raise _refusal(where, f"an element of {n_bytes} bytes where {len(view) - place - 8} are left; it is cut short")
        end = place + 8 + n_bytes
        if kind == COMPRESSED:
            head, n_inflated = _inflated_head(view[place + 8 : end], where, order, left)
        elif kind == MATRIX:
            head, n_inflated = bytes(view[place : min(end, place + _HEAD_BYTES)]), 8 + n_bytes
        else:
            raise _refusal(where, f"an element of type {kind}, but only matrices (14) and compressed ones (15) are allowed")
        left -= n_inflated
        if left < 0:
            raise _refusal(where, f"more than the {most_bytes} bytes of numbers that it may hold")
        matrix = _read_head(head, n_inflated, where, order)
        if matrix.name in found:
            raise _refusal(where, f"two variables of the name {shown(matrix.name)}")
        found[matrix.name] = matrix
        place = end
    return tuple(found.values())


def _byte_order(content: bytes, where: str) -> str:
    if b"MATLAB 7.3" in content[:116] or content[512:516] == b"\x89HDF" or content[:4] == b"\x89HDF":
        raise _refusal(where, "a MATLAB 7.3 file (HDF5), but only MATLAB 5 files are read")
    if len(content) < _HEADER_BYTES:
        raise _refusal(where, f"{len(content)} bytes, but the header of a MATLAB 5 file has {_HEADER_BYTES}; it is cut short")
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    # scipy takes a file for MATLAB 4, which has no header, when one of the first four bytes is 0
    if order is None or struct.unpack_from(f"{order}H", content, 124)[0] != 0x0100 or 0 in content[:4]:
        raise _refusal(where, f"{shown(content[:20])}... and {shown(content[124:128])} as its header, but a MATLAB 5 file is expected")
    return order


def _inflated_head(stream: memoryview, where: str, order: str, most_bytes: int) -> tuple[bytes, int]:
    """The first bytes of a zlib stream and the size of all, inflated piece by piece; it stops at what the first eight bytes announce."""
    inflater, head, size, announced = zlib.decompressobj(), b"", 0, most_bytes
    for start in range(0, len(stream), _PIECE):
        pending: bytes | memoryview = stream[start : start + _PIECE]
        while len(pending):
            try:
                block = inflater.decompress(pending, _PIECE)
            except zlib.error as error:
                raise _refusal(where, f"a compressed variable that cannot be inflated ({error})") from None
            size += len(block)
            if len(head) < _HEAD_BYTES:
                head = (head + block)[:_HEAD_BYTES]
            if len(head) >= 8:
                announced = 8 + struct.unpack_from(f"{order}II", head)[1]
            if announced > most_bytes:
                raise _refusal(where, f"a compressed variable of {announced} bytes, but it may hold {most_bytes} bytes of numbers")
            if size > announced:
                raise _refusal(where, f"a compressed variable that inflates to more than the {announced} bytes that it announces")
            pending = inflater.unconsumed_tail
        if inflater.eof and (left := len(inflater.unused_data) + max(0, len(stream) - start - _PIECE)):
            raise _refusal(where, f"{left} bytes after the end of a compressed variable")
    if not inflater.eof:
        raise _refusal(where, "a compressed variable without an end; it is cut short")
    return head, size


def _read_head(head: bytes, n_bytes: int, where: str, order: str) -> Matrix:
    """The matrix whose first bytes are `head` and which has `n_bytes` in all, its own tag included."""
    reader = _Elements(head, where, order)
    kind, announced = reader.tag()
    if kind != MATRIX or announced != n_bytes - 8:
        raise _refusal(where, f"an element of type {kind} that announces {announced} bytes and has {n_bytes - 8}, but a matrix is expected")
    flags = reader.element({6})
    if len(flags) != 8:
        raise _refusal(where, f"a matrix with {len(flags)} bytes of flags, but it has 8")
    bits = struct.unpack_from(f"{order}I", flags)[0]
    matlab_class = CLASSES.get(bits & 0xFF, f"class {bits & 0xFF}")
    if bits & 0xFF not in NUMERIC or (bits >> 8) & (_COMPLEX | _LOGICAL):
        kind_of = "complex " if (bits >> 8) & _COMPLEX else "logical " if (bits >> 8) & _LOGICAL else ""
        raise _refusal(where, f"a variable of the class {kind_of}{matlab_class}, but only plain matrices of numbers are allowed")
    sides = reader.element({5})
    if len(sides) % 4 or not 2 <= len(sides) // 4 <= _MOST_DIMENSIONS:
        raise _refusal(where, f"a matrix with {len(sides)} bytes of dimensions, but 2 to {_MOST_DIMENSIONS} dimensions are allowed")
    shape = struct.unpack(f"{order}{len(sides) // 4}i", sides)
    name = reader.element({1}).decode("latin-1")
    if not 0 < len(name) <= _LONGEST_NAME:
        raise _refusal(where, f"a variable with a name of {len(name)} letters, but it has 1 to {_LONGEST_NAME}")
    stored_type, n_stored = reader.tag()
    _check_numbers(name, shape, stored_type, n_stored, n_bytes - reader.place, where)
    return Matrix(name, matlab_class, shape, stored_type)


def _check_numbers(name: str, shape: tuple[int, ...], stored_type: int, n_stored: int, n_left: int, where: str) -> None:
    """The numbers fill the matrix exactly, and nothing but padding comes after them."""
    named = f"the variable {shown(name)} with"
    if min(shape) < 1:
        raise _refusal(where, f"{named} the shape {shape}, but every side is at least 1")
    if stored_type not in BYTES_OF_TYPE:
        raise _refusal(where, f"{named} numbers of type {stored_type}, but types {', '.join(map(str, BYTES_OF_TYPE))} are allowed")
    expected = math.prod(shape) * BYTES_OF_TYPE[stored_type]
    padded = n_left in (expected + (-expected) % 8, expected) or (expected <= 4 and n_left == 4)  # 4: packed into its tag
    if n_stored != expected or not padded:
        raise _refusal(where, f"{named} {n_stored} bytes of numbers, of which {n_left} are there, but its shape {shape} needs {expected}")


class _Elements:
    """Reads the elements at the start of a matrix in turn."""

    def __init__(self, head: bytes, where: str, order: str) -> None:
        self.head, self.where, self.order, self.place = head, where, order, 0

    def tag(self) -> tuple[int, int]:
        """Type and number of bytes of the next element; the place is then where its bytes begin."""
        if len(self.head) - self.place < 8:
            raise _refusal(self.where, "a matrix that ends before its numbers; it is cut short")
        kind, n_bytes = struct.unpack_from(f"{self.order}II", self.head, self.place)
        if kind >> 16:  # small: four bytes of tag, four of content
            self.place += 4
            n_bytes, kind = kind >> 16, kind & 0xFFFF
            if n_bytes > 4:
                raise _refusal(self.where, f"a small element that announces {n_bytes} bytes, but it has at most 4")
        else:
            self.place += 8
        return kind, n_bytes

    def element(self, allowed: set[int]) -> bytes:
        """The bytes of the next element, whose type is one of `allowed`; the place is then after its padding."""
        start = self.place
        kind, n_bytes = self.tag()
        if kind not in allowed or n_bytes > len(self.head) - self.place:
            raise _refusal(self.where, f"an element of type {kind} and {n_bytes} bytes where flags, dimensions and a name are expected")
        found = self.head[self.place : self.place + n_bytes]
        end = start + 8 if self.place == start + 4 else self.place + n_bytes + (-n_bytes) % 8
        self.place = end
        return found


def _refusal(where: str, found: str) -> TamperedDataError:
    return TamperedDataError(f"{where} holds {found}. Nothing of it was used")
