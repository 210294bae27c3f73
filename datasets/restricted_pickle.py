"""The pickles of CIFAR-10, read without letting a pickle run or build anything but dictionaries, lists, bytes, numbers and byte arrays.

The official files name three things of numpy. Here each name leads to a stand-in that can become nothing but a uint8 array, so that
neither numpy's own unpickling code nor any other function is within reach; every other name is refused by name. The opcodes are scanned
before anything is built, since the interpreter's unpickler reserves memory for whatever index a pickle mentions.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skipbench.checks import TamperedDataError, shown

# fmt: off
_OPCODES = frozenset({
    "PROTO", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "BINSTRING", "SHORT_BINSTRING", "BINUNICODE",
    "EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "APPEND", "APPENDS", "SETITEM", "SETITEMS",
    "BINPUT", "LONG_BINPUT", "GLOBAL", "REDUCE", "BUILD",
})
# fmt: on
# The official files have nine. Few, and none used twice, since no opcode gets one back from the memory: so what is read is a small tree,
# where thirty tuples that each hold the one before twice would take a billion steps to hash or to print.
_CONTAINERS = frozenset({"EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"})
_MOST_CONTAINERS = 32
_MEMO_INDEX = ("BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET")


def load_pickle(content: bytes, where: str) -> Any:
    """The object in a pickle, strings as bytes and arrays as uint8. where: the file's name, for errors.

    Raises TamperedDataError for a pickle that is cut short, malformed, or asks for anything else.
    """
    _scan(content, where)
    try:
        found = _StandInUnpickler(io.BytesIO(content), where).load()
    except TamperedDataError:
        raise
    except Exception as error:  # noqa: BLE001 - a malformed pickle can raise anything
        raise TamperedDataError(f"{where} is no well-formed pickle: {shown(str(error))}. Nothing of it was used") from None
    return _with_arrays(found, where)


class _Array:
    """Stands in for numpy.ndarray: holds the state that a pickled uint8 array carries, until it is checked."""

    def __init__(self) -> None:
        self.array: NDArray[np.uint8] | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran_order, content = state
        if not isinstance(dtype, _Uint8) or fortran_order is not False or not isinstance(content, bytes):
            raise ValueError("an array that is not uint8 in C order")
        if not all(type(side) is int and side >= 0 for side in shape):
            raise ValueError("an array with an impossible shape")
        self.array = np.frombuffer(content, dtype=np.uint8).reshape(shape)


class _Uint8:
    """Stands in for numpy.dtype, and admits `u1` only."""

    def __init__(self, code: Any, *_: Any) -> None:
        if code not in (b"u1", "u1"):
            raise ValueError(f"an array of type {shown(code)}, but CIFAR-10 holds u1")

    def __setstate__(self, state: Any) -> None:
        """Byte order and alignment: nothing to keep for single bytes."""


class _Reconstruct:
    """Stands in for numpy's _reconstruct. A class and no function, since a pickle can set attributes of whatever has no __setstate__."""

    def __new__(cls, kind: Any, *_: Any) -> Any:
        if kind is not _Array:
            raise ValueError("an array subclass")
        return _Array()

    def __setstate__(self, state: Any) -> None:
        raise ValueError("a state for numpy's _reconstruct")


_STAND_INS = {
    ("numpy.core.multiarray", "_reconstruct"): _Reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _Reconstruct,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Uint8,
}


class _StandInUnpickler(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, where: str) -> None:
        super().__init__(stream, encoding="bytes")
        self._where = where

    def find_class(self, module: str, name: str) -> Any:
        return _stand_in(module, name, self._where)


def _stand_in(module: str, name: str, where: str) -> Any:
    if (module, name) not in _STAND_INS:
        raise TamperedDataError(f"{where} asks for {shown(f'{module}.{name}')}, which no CIFAR-10 file needs. Nothing of it was used")
    return _STAND_INS[module, name]


def _scan(content: bytes, where: str) -> None:
    """Refuse any opcode, name or memory index that the official files do not need."""
    n_containers = 0
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name == "GLOBAL":
                module, _, name = str(argument).partition(" ")
                _stand_in(module, name, where)
            elif opcode.name in _MEMO_INDEX and isinstance(argument, int) and argument > len(content):
                raise TamperedDataError(f"{where} mentions memory cell {argument} in {len(content)} bytes. Nothing of it was used")
            elif opcode.name not in _OPCODES:
                raise TamperedDataError(
                    f"{where} uses the pickle opcode {opcode.name}, which no CIFAR-10 file needs. Nothing of it was used"
                )
            n_containers += opcode.name in _CONTAINERS
            if n_containers > _MOST_CONTAINERS:
                raise TamperedDataError(
                    f"{where} holds more than {_MOST_CONTAINERS} lists, tuples and dictionaries. Nothing of it was used"
                )
    except TamperedDataError:
        raise
    except Exception as error:  # noqa: BLE001 - pickletools raises ValueError for most, but not for all malformed pickles
        raise TamperedDataError(f"{where} is no well-formed pickle: {shown(str(error))}. Nothing of it was used") from None


def _with_arrays(found: Any, where: str) -> Any:
    """A dictionary whose stand-ins are replaced by their finished arrays; one that never received its content is refused."""
    if not isinstance(found, dict):
        return found
    if any(isinstance(value, _Array) and value.array is None for value in found.values()):
        raise TamperedDataError(f"{where} holds an array without content. Nothing of it was used")
    return {key: value.array if isinstance(value, _Array) else value for key, value in found.items()}
