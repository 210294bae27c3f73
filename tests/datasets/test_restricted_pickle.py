"""A pickle can build a CIFAR-10 batch and nothing else, and nothing of a hostile one is ever called."""

from __future__ import annotations

import contextlib
import os
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skipbench.checks import TamperedDataError
from skipbench.datasets.restricted_pickle import load_pickle

WITNESS = []


def witness(*arguments):
    """Stands for any function that a pickle might call."""
    WITNESS.append(arguments)


class Hostile:
    def __init__(self, function, *arguments):
        self._call = (function, arguments)

    def __reduce__(self):
        return self._call


def test_an_official_batch_is_read(python2_batch):
    data = np.arange(24, dtype=np.uint8).reshape(4, 6)
    found = load_pickle(python2_batch(data, [3, 1, 2, 0]), "data_batch_1")
    assert np.array_equal(found[b"data"], data)
    assert found[b"data"].dtype == np.uint8
    assert found[b"labels"] == [3, 1, 2, 0]
    assert found[b"filenames"][0] == b"0.png"


def test_numpys_own_reading_agrees(python2_batch):
    content = python2_batch(np.arange(24, dtype=np.uint8).reshape(4, 6), [3, 1, 2, 0]).replace(b"numpy.core", b"numpy._core")
    expected, found = pickle.loads(content, encoding="bytes"), load_pickle(content, "batch")
    assert found.keys() == expected.keys()
    assert np.array_equal(found[b"data"], expected[b"data"])
    assert found[b"labels"] == expected[b"labels"]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(("function", "argument"), [(witness, "x"), (os.system, "true"), (eval, "witness()"), (getattr, "x")])
def test_a_pickle_that_calls_a_function_is_refused_before_anything_is_called(protocol, function, argument):
    WITNESS.clear()
    with pytest.raises(TamperedDataError, match=r"no CIFAR-10 file needs\. Nothing of it was used"):
        load_pickle(pickle.dumps({b"data": Hostile(function, argument)}, protocol=protocol), "batch")
    assert WITNESS == []


def test_a_refused_function_is_named():
    with pytest.raises(TamperedDataError, match=r"batch asks for 'posix.system', which no CIFAR-10 file needs"):
        load_pickle(pickle.dumps(Hostile(os.system, "true"), protocol=2), "batch")


def test_a_numpy_function_other_than_the_three_is_refused(python2_batch):
    content = python2_batch(np.zeros((2, 3), dtype=np.uint8), [0, 1], array_name=b"numpy\nload\n")
    with pytest.raises(TamperedDataError, match=r"batch asks for 'numpy.load'"):
        load_pickle(content, "batch")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80\x02}r\xff\xff\xff\x7f.", "mentions memory cell 2147483647 in"),
        (b"\x80\x02j\xff\xff\xff\x7f.", "mentions memory cell"),
        (b"\x80\x02\x8a\x04\xff\xff\xff\xff.", "uses the pickle opcode LONG1"),
        (b"\x80\x02Pother\n.", "uses the pickle opcode PERSID"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "uses the pickle opcode SHORT_BINUNICODE"),
        (b"", "is no well-formed pickle"),
        (b"\x80\x02}", "is no well-formed pickle"),
        (b"\x80\x02e.", "is no well-formed pickle"),
        (b"\x80\x02}U\x01acnumpy\nndarray\n)Rs.", "holds an array without content"),
        (b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n}U\x01aK\x01sb.", "is no well-formed pickle"),
        (b"\x80\x02cnumpy\ndtype\nU\x02O8\x85R.", "an array of type"),
    ],
)
def test_an_odd_pickle_is_named(content, message):
    with pytest.raises(TamperedDataError, match=message):
        load_pickle(content, "batch")


def test_an_array_whose_shape_and_content_disagree_is_refused(python2_batch):
    content = python2_batch(np.zeros((2, 3), dtype=np.uint8), [0, 1])
    huge = content.replace(b"J" + struct.pack("<i", 2), b"J" + struct.pack("<i", 2**30), 1)
    with pytest.raises(TamperedDataError, match="is no well-formed pickle"):
        load_pickle(huge, "batch")


@given(data=st.data())
def test_a_changed_batch_gives_plain_values_or_a_named_error(python2_batch, data):
    content = bytearray(python2_batch(np.arange(24, dtype=np.uint8).reshape(4, 6), [3, 1, 2, 0]))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(TamperedDataError):
        found = load_pickle(bytes(content[: data.draw(st.integers(0, len(content)))]), "batch")
        if isinstance(found, dict):
            assert all(array.dtype == np.uint8 for array in found.values() if isinstance(array, np.ndarray))


@given(content=st.binary(max_size=60).map(lambda end: b"\x80\x02" + end))
def test_random_bytes_give_a_value_or_a_named_error(content):
    with contextlib.suppress(TamperedDataError):
        load_pickle(content, "batch")
