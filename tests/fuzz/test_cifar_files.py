"""Whatever a CIFAR-10 batch holds, it becomes images and labels, or a refusal; nothing that a pickle names is ever called."""

from __future__ import annotations

import os
import pickle
import struct
from collections.abc import Callable

import numpy as np
import pytest
from hostile import fuzzed, mutated
from hypothesis import given
from hypothesis import strategies as st

from skipbench.checks import TamperedDataError
from skipbench.datasets import cifar10
from skipbench.datasets.cifar10 import parse_batch

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of a failing input

ROWS = 4
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n"


def text(value: bytes) -> bytes:
    return b"U" + bytes([len(value)]) + value  # SHORT_BINSTRING


def whole(number: int) -> bytes:
    return b"J" + struct.pack("<i", number)


def array(shape: bytes, content: bytes, *, name: bytes = ARRAY, code: bytes = b"u1", fortran: bytes = b"\x89") -> bytes:
    """The opcodes of a pickled uint8 array, as the numpy of 2009 wrote them."""
    made = name + b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01" + shape
    made += b"cnumpy\ndtype\n" + text(code) + b"K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    return made + fortran + b"T" + struct.pack("<i", len(content)) + content + b"tb"


def batch(items: dict[bytes, bytes]) -> bytes:
    return b"\x80\x02}(" + b"".join(text(key) + value for key, value in items.items()) + b"u."


PIXELS = np.arange(ROWS * 3072, dtype=np.uint32).astype(np.uint8).tobytes()
ITEMS = {
    b"batch_label": text(b"training batch 1 of 5"),
    b"labels": b"](" + b"".join(b"K" + bytes([row]) for row in range(ROWS)) + b"e",
    b"data": array(whole(ROWS) + whole(3072) + b"\x86", PIXELS),
    b"filenames": b"](" + b"".join(text(b"%d.png" % row) for row in range(ROWS)) + b"e",
}
VALID = batch(ITEMS)
AROUND = (VALID.replace(PIXELS, b"").index(b"T" + struct.pack("<i", len(PIXELS))) + 5, len(PIXELS))  # where the pixels lie

# every value that a pickle can name without calling anything, and several that call
VALUES = [
    b"N", b"K\x00", b"K\x0a", whole(-1), b"M\xff\xff", b"\x88", b"]", b"}", b")", text(b""), text(b"\xff" * 200), b"](NNNNe",
    b"](K\x01K\x02e", b"](]]]]e", b"](" + b"K\x03" * ROWS + b"e", b"](" + b"N" * ROWS + b"e", b"](" + b"\x88" * ROWS + b"e",
    b"](" + text(b"1") * ROWS + b"e", b"(K\x01K\x02t", b"K\x01\x85\x85\x85", b"cnumpy\nndarray\n", b"cnumpy\ndtype\n", ARRAY,
    b"cnumpy\nndarray\n)R", ARRAY + b"K\x00\x85R", b"cos\nsystem\n(U\x04truetR", b"cposix\nsystem\nU\x04true\x85R",
    b"c__builtin__\neval\nU\x011\x85R", b"cnumpy\nload\nU\x01x\x85R", b"cbuiltins\ngetattr\n", b"csubprocess\nPopen\n",
    b"cskipbench.datasets.cifar10\nload_pickle\n", b"c\n\n", b"cnumpy.core.multiarray _reconstruct\nx\n", b"(ios\nsystem\n",
    b"(U\x04truecos\nsystem\no", b"\x82\x01", b"Pid\n", b"K\x01Q", b"\x8c\x02os\x8c\x06system\x93", b"\x81", b"2", b"0", b"\x8a\xffabc",
    b"\x8b\xff\xff\xff\x7f", b"I" + b"9" * 5000 + b"\n", b"L" + b"9" * 5000 + b"L\n", b"F1e999\n", b"q\x00h\x00", b"r\xff\xff\xff\x7f",
    b"j\xff\xff\xff\x7f", b"T\xff\xff\xff\x7f", b"X\xff\xff\xff\x7f", b"\x8e" + b"\xff" * 8, b"K\x01" + b"\x85" * 5000,
    b"](" * 3000 + b"e" * 3000, b"}q\x01h\x01h\x01s", b"]q\x02h\x02a", b"K\x01q\x00" + b"h\x00h\x00\x86q\x00" * 40,
    b"cnumpy\nndarray\n}b", b"cnumpy\nndarray\n)R}b", b"t", b"u",
]  # fmt: skip
SHAPES = [
    whole(ROWS) + whole(3072) + b"\x86", whole(ROWS * 3072) + b"\x85", whole(2**31 - 1) + whole(2**31 - 1) + b"\x86",
    whole(-1) + whole(-1) + b"\x86", b")", whole(0) + whole(3072) + b"\x86", b"(" + b"K\x01" * 80 + b"t", b"N", b"K\x04",
    b"(" + whole(ROWS) + b"K\x03K K t", b"]", whole(3072) + b"\x85\x85",
]  # fmt: skip
KEYS = [*ITEMS, b"", b"datb", b"__class__", b"label_names"]


@st.composite
def built(draw: st.DrawFn) -> bytes:
    """A batch with odd values, arrays, keys or opcodes in it."""
    items = dict(ITEMS)
    for _ in range(draw(st.integers(1, 2))):
        deed = draw(st.sampled_from(["value", "value", "array", "labels", "labels", "key", "drop"]))
        key = draw(st.sampled_from(KEYS))
        if deed == "value":
            items[key] = draw(st.sampled_from(VALUES))
        elif deed == "array":
            content = draw(st.sampled_from([PIXELS, PIXELS[:-1], b"", b"x" * 16]))
            code, fortran = (
                draw(st.sampled_from([b"u1", b"u1", b"O8", b"f8", b"u1,u1"])),
                draw(st.sampled_from([b"\x89", b"\x89", b"\x88", b"N"])),
            )
            items[b"data"] = array(draw(st.sampled_from(SHAPES)), content, code=code, fortran=fortran)
        elif deed == "labels":
            right = st.integers(0, 9).map(lambda label: b"K" + bytes([label]))
            found = [draw(right) for _ in range(draw(st.sampled_from([ROWS, ROWS, ROWS - 1, ROWS + 1])))]
            found[draw(st.integers(0, ROWS - 2))] = draw(st.sampled_from([b"N", b"K\x0a", b"\x88", whole(-1)]) | st.sampled_from(VALUES))
            items[b"labels"] = b"](" + b"".join(found) + b"e"
        elif deed == "key":
            items[draw(st.sampled_from(KEYS))] = items.pop(key, b"N")
        else:
            items.pop(key, None)
    return batch(items)


@st.composite
def changed(draw: st.DrawFn) -> bytes:
    """Changes among the opcodes, which are 300 bytes, or anywhere, which mostly hits a pixel."""
    start, n = AROUND
    if draw(st.integers(0, 3)) == 0:
        return draw(mutated(VALID))
    head, tail = VALID[:start], VALID[start + n :]
    if draw(st.booleans()):
        return draw(mutated(head)) + PIXELS + tail
    return head + PIXELS + draw(mutated(tail))


def opcodes() -> st.SearchStrategy[bytes]:
    """Pieces of pickles in any order."""
    pieces = st.sampled_from([*VALUES, *SHAPES, b"(", b"R", b"b", b"s", b"a", b"e", b"u", b"t", b"q\x01", b"h\x01", b".", b"d", b"l"])
    return st.lists(pieces, max_size=8).map(lambda found: b"\x80\x02" + b"".join(found) + b".")


class Called:
    """Pickles to a call of a function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def written_by_python() -> st.SearchStrategy[bytes]:
    """What pickle itself writes: plain values, numpy's arrays of today, and calls."""
    plain = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=5) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.binary(max_size=3), inner, max_size=3),
        max_leaves=8,
    )
    calls = st.sampled_from(
        [Called(os.system, "true"), Called(eval, "1"), Called(open, "made", "w"), Called(os.mkdir, "made"), Called(print)]
    )
    arrays = st.sampled_from([np.zeros((ROWS, 3072), np.uint8), np.zeros(3), np.array([None, 1], dtype=object), np.uint8(3)])
    return st.tuples(plain | calls | arrays, st.sampled_from(sorted(ITEMS)), st.integers(0, 5)).map(
        lambda found: pickle.dumps(
            {b"labels": [0] * ROWS, b"batch_label": b"", b"filenames": [], b"data": b"", found[1]: found[0]}, found[2]
        )
    )


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """Batches of four rows instead of 10,000."""
    monkeypatch.setattr(cifar10, "ROWS_PER_FILE", ROWS)


def test_a_batch_is_read_or_refused_and_calls_nothing(inbox, judge):
    images, labels = parse_batch(VALID, "data_batch_1")
    assert (images.tobytes(), labels.tolist()) == (PIXELS, [0, 1, 2, 3])
    cases = st.one_of(
        st.tuples(st.just("changed"), changed()),
        st.tuples(st.just("built"), built()),
        st.tuples(st.just("opcodes"), opcodes()),
        st.tuples(st.just("python"), written_by_python()),
        st.tuples(st.just("random"), st.binary(max_size=80).map(lambda end: b"\x80\x02" + end) | st.binary(max_size=80)),
    )

    @fuzzed
    @given(case=cases)
    def run(case):
        kind, content = case
        found = judge(kind, lambda: parse_batch(content, "data_batch_1"), names="data_batch_1")
        if found is not None:
            images, labels = found
            assert (images.shape, images.dtype, labels.shape, labels.dtype) == ((ROWS, 3072), np.uint8, (ROWS,), np.int64)
            assert set(labels.tolist()) <= set(range(10))

    run()
    assert list(inbox.iterdir()) == []
    judge.check_spread(
        {"changed": 0.02, "built": 0.02},
        {"changed": 0.3, "built": 0.5, "opcodes": 1.0, "python": 1.0, "random": 1.0},
        n_reasons=30,
    )


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ({b"labels": b"](" + b"N" * ROWS + b"e"}, "label None, but a CIFAR-10 label is 0 to 9"),
        ({b"labels": b"](K\x0aNNNe"}, "label 10, but a CIFAR-10 label is 0 to 9"),
        ({b"labels": b"](" + b"\x88" * ROWS + b"e"}, "label True, but"),
        ({b"filenames": b"]" * 40 + b"a" * 39}, "more than 32 lists, tuples and dictionaries"),
        ({b"filenames": b"K\x01" + b"\x85" * 100_000}, "more than 32 lists, tuples and dictionaries"),
        ({b"filenames": b"K\x01q\x00" + b"h\x00h\x00\x86q\x00" * 20}, "uses the pickle opcode BINGET, which no CIFAR-10 file needs"),
        ({b"data": array(SHAPES[2], PIXELS)}, "is no well-formed pickle"),
    ],
)
def test_a_small_pickle_cannot_ask_for_hours_gigabytes_or_a_crash(inbox, judge, items, message):
    content = batch({**ITEMS, **items})
    assert judge("bomb", lambda: parse_batch(content, "data_batch_1"), names="data_batch_1") is None
    with pytest.raises(TamperedDataError, match=message):
        parse_batch(content, "data_batch_1")


def test_a_key_that_holds_itself_many_times_is_never_hashed(judge):
    """Thirty pairs that each hold the one before twice: their hash would take 2³⁰ steps, and 100,000 nested ones end the interpreter."""
    for key in (b"K\x01q\x00" + b"h\x00h\x00\x86q\x00" * 30, b"K\x01" + b"\x85" * 100_000):
        assert judge("bomb", lambda key=key: parse_batch(b"\x80\x02}(" + key + b"Nu.", "data_batch_1"), names="data_batch_1") is None
