"""Hostile files for the fuzz tests: valid ones changed in many ways, and a judge of what became of each.

A fuzz test tries 2,000 inputs, the same ones on every run of the same code (hypothesis also draws constants that it finds in modules,
so that a changed one brings other inputs). To look further: `SKIPBENCH_FUZZ_EXAMPLES=100000 pytest tests/fuzz`, which draws other inputs
each time. Either prints a failing input in its smallest form.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import HealthCheck, currently_in_test_context, event, settings
from hypothesis import strategies as st

from skipbench.checks import SkipbenchError

EXAMPLES_VARIABLE = "SKIPBENCH_FUZZ_EXAMPLES"
N_EXAMPLES = int(os.environ.get(EXAMPLES_VARIABLE, "2000"))
LONGEST_MESSAGE = 1200  # a sentence or two; a hostile name in it is cut
MOST_SECONDS = 10.0  # of computing, for an input of a few kB; a quadratic or exponential step takes minutes
MOST_BYTES = 2**30  # growth of the process over all examples together

fuzzed = settings(
    max_examples=N_EXAMPLES,
    deadline=None,  # the judge has its own
    derandomize=EXAMPLES_VARIABLE not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
)

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_DEEDS = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink")
_DEEDS += ("os.truncate", "os.chmod", "os.chown", "os.putenv", "shutil.", "subprocess.", "socket.", "ctypes.dlopen", "tempfile.mk")
_watching: list[list[str]] = []  # the list that takes notes now, if any; an audit hook can never be removed


def _note(name: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if name == "open":
        path, mode, flags = (*arguments, None, None)[:3]
        writes = (isinstance(mode, str) and set(mode) & set("wax+")) or (isinstance(flags, int) and flags & _WRITES)
        if writes and "__pycache__" not in str(path):  # where the interpreter keeps what it compiled
            _watching[-1].append(f"open({path!r}, {mode!r})")
    elif name.startswith(_DEEDS):
        _watching[-1].append(f"{name}{arguments!r}")


sys.addaudithook(_note)


@contextlib.contextmanager
def doing_nothing() -> Iterator[None]:
    """Inside, nothing opens a file for writing, removes or renames one, starts a process or calls anybody."""
    deeds: list[str] = []
    _watching.append(deeds)
    try:
        yield
    finally:
        _watching.pop()
        assert deeds == []


class Judge:
    """Runs a reader on inputs of several kinds: each gives a value or a clear refusal, in bounded time, and nothing is written.

    Counts what happened, so that a test can tell a generator that has degenerated.
    """

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.reasons: Counter[str] = Counter()
        self.peak = _peak_bytes()

    def __call__(self, kind: str, read: Callable[[], Any], *, names: str, line: bool = False, writes: bool = False) -> Any:
        """What `read` returns, or None where it refuses. names: the file, which a refusal must name; line: and a line, too.

        writes: whether it may write, in which case the test says where.
        """
        start = time.process_time()
        try:
            with contextlib.nullcontext() if writes else doing_nothing():
                value = read()
        except SkipbenchError as error:
            self._check_message(str(error), names, line)
            self.reasons[_reason(str(error))] += 1
            value = None
        assert time.process_time() - start < MOST_SECONDS
        outcome = "refused" if value is None else "accepted"
        self.counts[kind, outcome] += 1
        if currently_in_test_context():
            event(f"{kind}: {outcome}")
        return value

    def _check_message(self, message: str, names: str, line: bool) -> None:
        assert message.isprintable(), ascii(message[:500])  # one line, and nothing that steers a terminal
        assert len(message) < LONGEST_MESSAGE, ascii(message[:500])
        assert names in message, message
        assert not line or re.search(r"\bline \d+\b", message), message
        assert "Traceback" not in message

    def check_spread(self, accepted: dict[str, float], refused: dict[str, float], *, n_reasons: int) -> None:
        """At least these shares of each kind were accepted and refused, for at least so many different reasons.

        The shares that a test asks for are about a third of those it was seen to have.
        """
        for shares, outcome in ((accepted, "accepted"), (refused, "refused")):
            for kind, least in shares.items():
                total = self.counts[kind, "accepted"] + self.counts[kind, "refused"]
                assert total > N_EXAMPLES / 400, (kind, self.counts)  # the expanded suites are few
                assert self.counts[kind, outcome] >= least * total, (kind, outcome, self.counts)
        assert len(self.reasons) >= n_reasons, self.reasons
        assert _peak_bytes() - self.peak < MOST_BYTES


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _reason(message: str) -> str:
    """The words of a message without what differs from file to file."""
    return re.sub(r"'[^']*'|\"[^\"]*\"|\d+|/\S+/", "_", message)[:120]


ODD_NUMBERS = [
    b"0", b"-1", b"1.5", b"nan", b"-inf", b"1e999", b"-1e-320", b"999999999999", b"9223372036854775808", b"1" * 400, b"1" * 5000, b"0x10",
    b"1_0", b"+1", b"1e3", b"", b" ", "\u0661".encode(), "\u00b2".encode(), b"1\x00", b"true", b"null", b"1,5",
]  # fmt: skip
ODD_BYTES = [b"\x00", b"\xff\xfe", b"\n", b"\r\n", b"\t", b"\x1b[2J", b"\xed\xa0\x80", b"<", b"'", b'"', *map(str.encode, "\u202e\u2028")]
_NUMBER = re.compile(rb"\d+(?:\.\d+)?")


@st.composite
def mutated(draw: st.DrawFn, valid: bytes, *, text: bool = False, most: int = 4) -> bytes:
    """The bytes of a valid file with one to four changes; those of lines and numbers in text files only."""
    content = valid
    for _ in range(draw(st.integers(1, most))):
        deed = draw(st.sampled_from([*_CHANGES, *(_TEXT_CHANGES if text else {})]))
        content = {**_CHANGES, **_TEXT_CHANGES}[deed](draw, content)
    return content


def _place(draw: st.DrawFn, content: bytes) -> int:
    return draw(st.integers(0, len(content)))


def _span(draw: st.DrawFn, content: bytes) -> tuple[int, int]:
    start = _place(draw, content)
    return start, min(len(content), start + draw(st.integers(1, 40)))


def _change_byte(draw: st.DrawFn, content: bytes) -> bytes:
    place = _place(draw, content)
    return content[:place] + bytes([draw(st.integers(0, 255))]) + content[place + 1 :]


def _flip_bit(draw: st.DrawFn, content: bytes) -> bytes:
    place = _place(draw, content)
    return content[:place] + bytes(byte ^ (1 << draw(st.integers(0, 7))) for byte in content[place : place + 1]) + content[place + 1 :]


def _cut(draw: st.DrawFn, content: bytes) -> bytes:
    return content[: _place(draw, content)]


def _delete(draw: st.DrawFn, content: bytes) -> bytes:
    start, end = _span(draw, content)
    return content[:start] + content[end:]


def _repeat(draw: st.DrawFn, content: bytes) -> bytes:
    start, end = _span(draw, content)
    return content[:start] + content[start:end] * draw(st.sampled_from([2, 3, 50])) + content[end:]


def _insert(draw: st.DrawFn, content: bytes) -> bytes:
    place = _place(draw, content)
    return content[:place] + draw(st.sampled_from(ODD_BYTES) | st.binary(min_size=1, max_size=8)) + content[place:]


def _change_number(draw: st.DrawFn, content: bytes) -> bytes:
    found = list(_NUMBER.finditer(content))
    if not found:
        return content
    match = draw(st.sampled_from(found))
    return content[: match.start()] + draw(st.sampled_from(ODD_NUMBERS)) + content[match.end() :]


def _change_lines(draw: st.DrawFn, content: bytes) -> bytes:
    lines = content.split(b"\n")
    first, second = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
    deed = draw(st.sampled_from(["repeat", "swap", "drop", "join"]))
    if deed == "repeat":
        lines.insert(second, lines[first])
    elif deed == "swap":
        lines[first], lines[second] = lines[second], lines[first]
    elif deed == "drop":
        del lines[first]
    elif first + 1 < len(lines):
        lines[first : first + 2] = [lines[first] + b" " + lines[first + 1]]
    return b"\n".join(lines)


_CHANGES = {
    "change a byte": _change_byte,
    "flip a bit": _flip_bit,
    "cut": _cut,
    "delete": _delete,
    "repeat": _repeat,
    "insert": _insert,
}
_TEXT_CHANGES = {"change a number": _change_number, "change another number": _change_number, "change lines": _change_lines}
