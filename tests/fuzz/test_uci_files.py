"""Whatever the files of a UCI set hold, it becomes a checked data set, or a refusal that names the file and, in data, the line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hostile import ODD_NUMBERS, fuzzed, mutated
from hypothesis import given
from hypothesis import strategies as st

from skipbench.checks import SkipbenchError
from skipbench.datasets import load
from skipbench.datasets.uci_format import read_partitions, read_rows

N = 16
DESCRIPTION = b"n_entradas= 2\nn_clases= 2\nn_arquivos= 1\nfich1= toy_R.dat\nn_patrons1= 16\nn_patrons_entrena= 8\nn_patrons_valida= 8\n"
ROWS = b"\tf1\tf2\tclase\n" + b"".join(b"%d\t%d.25\t-%de-1\t%d\n" % (row + 1, row % 5, row % 7, row % 2) for row in range(N))
SELECTION = b"0 1 2 3 4 5 6 7 \n8 9 10 11 12 13 14 15 \n"


def line(rows: list[int]) -> bytes:
    return " ".join(map(str, rows)).encode() + b" \n"


FOLDS = b"".join(
    line([row for row in range(N) if row % 4 != fold]) + line([row for row in range(N) if row % 4 == fold]) for fold in range(4)
)
FILES = {"toy.txt": DESCRIPTION, "toy_R.dat": ROWS, "conxuntos.dat": SELECTION, "conxuntos_kfold.dat": FOLDS}
WITH_TEST_FILE = {
    **FILES,
    "toy.txt": DESCRIPTION.replace(b"n_arquivos= 1", b"n_arquivos= 2\nfich2= toy_test_R.dat\nn_patrons2= 16"),
    "toy_test_R.dat": ROWS.replace(b".25", b".25e3"),
}
ODD_VALUES = [
    *(number.decode() for number in ODD_NUMBERS),
    "toy_R.dat",
    "../toy_R.dat",
    "/etc/passwd",
    "toy.txt",
    "a" * 5000,
    "\x1b[2J",
    "= 3",
]
KEYS = ["n_entradas", "n_clases", "n_arquivos", "fich1", "n_patrons1", "n_patrons_entrena", "n_patrons_valida", "fich2", "n_patrons2", "x"]


@st.composite
def descriptions(draw: st.DrawFn) -> bytes:
    """A description with other values for one to three of its keys, which the rows then disagree with."""
    text = DESCRIPTION.decode()
    for key in draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=3)):
        value = draw(st.sampled_from(ODD_VALUES) | st.integers(0, 20).map(str))
        before, found, after = text.partition(f"{key}= ")
        text = f"{before}{found}{value}\n{after.partition(chr(10))[2]}" if found else f"{text}{key}= {value}\n"
    return text.encode()


@st.composite
def data_rows(draw: st.DrawFn) -> bytes:
    """The data file with one to three odd fields, or with a field more or less."""
    lines = [text.split("\t") for text in ROWS.decode().splitlines()]
    for _ in range(draw(st.integers(1, 3))):
        fields = lines[draw(st.integers(0, N))]
        place = draw(st.integers(0, len(fields) - 1))
        fields[place : place + draw(st.sampled_from([1, 1, 1, 1, 0]))] = [draw(st.sampled_from([*ODD_VALUES, "3", "-0.5", "1e-9"]))]
    return "\n".join("\t".join(fields) for fields in lines).encode()


@st.composite
def tiny_scales(draw: st.DrawFn) -> dict[str, bytes]:
    """A set with a test file, whose features are constant, all but constant, or at the edges of what a float holds."""
    usual, other = (draw(st.sampled_from(["1e-320", "1e-200", "2e-200", "1e-45", "1e38", "3.4e38", "-3.4e38", "0", "7.3"])) for _ in "12")
    file = draw(st.sampled_from(["toy_R.dat", "toy_test_R.dat"]))
    changed = dict(WITH_TEST_FILE)
    head, *rows = (text.split("\t") for text in changed[file].decode().splitlines())
    row_of_other = draw(st.integers(0, N))
    for row, fields in enumerate(rows):
        fields[1] = other if row == row_of_other else usual
    changed[file] = "\n".join("\t".join(fields) for fields in [head, *rows]).encode()
    return changed


@st.composite
def one_changed(draw: st.DrawFn) -> dict[str, bytes]:
    files = dict(draw(st.sampled_from([FILES, WITH_TEST_FILE])))
    name = draw(st.sampled_from(sorted(files)))
    return {**files, name: draw(mutated(files[name], text=True, most=3))}


def hostile_folders() -> st.SearchStrategy[tuple[str, dict[str, bytes]]]:
    def with_file(name: str, contents: st.SearchStrategy[bytes]) -> st.SearchStrategy[dict[str, bytes]]:
        return contents.map(lambda content: {**FILES, name: content})

    soup = st.binary(max_size=60) | st.text(alphabet="0123456789 .-e\t\r\n=n_", max_size=80).map(str.encode)
    return st.one_of(
        st.tuples(st.just("changed"), one_changed()),
        st.tuples(st.just("described"), with_file("toy.txt", descriptions())),
        st.tuples(st.just("rows"), with_file("toy_R.dat", data_rows())),
        st.tuples(st.just("scales"), tiny_scales()),
        st.tuples(st.just("random"), st.sampled_from(sorted(FILES)).flatmap(lambda name: with_file(name, soup))),
    )


def test_a_folder_is_read_into_a_checked_data_set_or_refused_with_its_file(inbox, judge):
    folder = inbox / "uci" / "toy"
    folder.mkdir(parents=True)

    def write(files: dict[str, bytes]) -> None:
        for path in folder.iterdir():
            path.unlink()
        for name, content in files.items():
            (folder / name).write_bytes(content)

    for files in (FILES, WITH_TEST_FILE):
        write(files)
        assert len(load("uci/toy", inbox)) == N * (len(files) - 3)

    @fuzzed
    @given(case=hostile_folders(), protocol=st.sampled_from(["collection", "nested"]))
    def run(case, protocol):
        kind, files = case
        write(files)
        found = judge(kind, lambda: load("uci/toy", inbox, protocol=protocol), names="toy")
        if found is not None:
            assert np.isfinite(found.inputs).all()
            assert set(found.labels) <= set(range(len(found.classes)))
        assert {path.name for path in folder.iterdir()} == set(files)

    run()
    assert [path.name for path in inbox.iterdir()] == ["uci"]
    judge.check_spread(
        {"changed": 0.08, "described": 0.03, "rows": 0.08, "scales": 0.3},
        {"changed": 0.4, "described": 0.4, "rows": 0.3, "random": 0.95},
        n_reasons=25,
    )


def test_a_bad_row_is_named_with_its_line(judge):
    """A number is changed, so that the number of lines stays: what is wrong is then wrong with one line, which is named."""

    @fuzzed
    @given(rows=data_rows(), parts=st.tuples(st.sampled_from(range(N)), st.sampled_from(ODD_VALUES)))
    def run(rows, parts):
        path, (row, odd) = Path("toy_R.dat"), parts
        kept = [text for text in rows.split(b"\n") if text.strip()]
        if len(kept) == N + 1:
            judge("rows", lambda: read_rows(path, rows, rows=N, features=2, classes=2), names="toy_R.dat", line=True)
        changed = SELECTION.decode().replace(f"{row} ", f"{odd} ", 1).replace("\n", " ", odd.count("\n")).encode()
        judge("parts", lambda: read_partitions(Path("c.dat"), changed, n_lines=2, rows=N), names="c.dat")

    run()
    judge.check_spread({"rows": 0.05, "parts": 0.05}, {"rows": 0.3, "parts": 0.3}, n_reasons=8)


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"toy.txt": (b"n_clases= 2", b"n_clases= 999999999999")}, r"toy\.txt: n_clases= 999999999999, but with 16 rows"),
        ({"toy.txt": (b"n_clases= 2", b"n_clases= 3")}, r'class "2" is absent from its training part'),
        (
            {"toy.txt": (b"n_patrons1= 16", b"n_patrons1= 999999999999")},
            "16 rows after its header, but the set's description promises 9999",
        ),
        ({"toy.txt": (b"n_patrons1= 16", b"n_patrons1= 15")}, "16 rows after its header, but the set's description promises 15"),
        ({"toy.txt": (b"n_entradas= 2", b"n_entradas= 3")}, r"toy_R\.dat, line 2: 4 tab-separated values, but a row has 5"),
        ({"toy.txt": (b"n_entradas= 2", b"n_entradas= 999999999999")}, "line 2: 4 tab-separated values, but a row has 1000000000001"),
        ({"toy.txt": (b"_entrena= 8", b"_entrena= 9")}, r"conxuntos\.dat: 8 training rows, but the set's description promises 9"),
        ({"toy_R.dat": (b"1\t0.25", b"1\t0.25\t7")}, r"toy_R\.dat, line 2: 5 tab-separated values, but a row has 4"),
        ({"toy_R.dat": (b"\t1\n3\t", b"\t2\n3\t")}, r"toy_R\.dat, line 3: label 2, but with 2 classes a label is 0 to 1"),
        (
            {"conxuntos.dat": (b" 15 ", b" 999999999999 ")},
            r"conxuntos\.dat, line 2: row 999999999999, but the rows of this set are 0 to 15",
        ),
        ({"conxuntos.dat": (b" 15 ", b" 7 ")}, r"conxuntos\.dat, lines 1 and 2: row 7 is there twice"),
    ],
)
def test_rows_that_disagree_with_their_description_are_named(inbox, judge, replaced, message):
    folder = inbox / "uci" / "toy"
    folder.mkdir(parents=True)
    for name, content in FILES.items():
        old, new = replaced.get(name, (b"", b""))
        assert old in content
        (folder / name).write_bytes(content.replace(old, new, 1) if old else content)
    assert judge("disagrees", lambda: load("uci/toy", inbox), names="toy") is None
    with pytest.raises(SkipbenchError, match=message):
        load("uci/toy", inbox)


def test_row_numbers_beyond_memory_are_read_without_taking_it(judge):
    parts = judge("sparse", lambda: read_partitions(Path("c.dat"), b"1\n999999999998\n", n_lines=2, rows=999_999_999_999), names="c.dat")
    assert [part.tolist() for part in parts] == [[1], [999_999_999_998]]
