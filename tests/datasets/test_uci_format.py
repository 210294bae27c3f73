"""The collection's text format is read strictly: whatever is wrong is named by file and line, and nothing else ever comes out."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skipbench.checks import SkipbenchError
from skipbench.datasets.uci_format import read_description, read_partitions, read_rows

PATH = Path("toy_R.dat")
DESCRIPTION = b"n_entradas= 2\nn_clases= 2\nn_arquivos= 1\nfich1= toy_R.dat\nn_patrons1= 3\nn_patrons_entrena= 2\nn_patrons_valida= 1\n"
ROWS = b"\tf1\tf2\tclase\n1\t0.5\t-1e-3\t0\n2\t3\t4\t1\n3\t5\t6\t0\n"


def rows(content=ROWS):
    return read_rows(PATH, content, rows=3, features=2, classes=2)


def partitions(content, n_lines=2):
    return read_partitions(Path("conxuntos.dat"), content, n_lines=n_lines, rows=3)


def test_a_description_gives_sizes_and_files():
    found = read_description(Path("toy.txt"), DESCRIPTION)
    assert (found.features, found.classes, found.files, found.rows) == (2, 2, ("toy_R.dat",), (3,))
    assert (found.n_train, found.n_validation) == (2, 1)


def test_rows_give_inputs_and_labels_without_the_index():
    inputs, labels = rows()
    assert inputs.tolist() == [[0.5, -1e-3], [3, 4], [5, 6]]
    assert labels.tolist() == [0, 1, 0]


def test_windows_line_ends_and_blank_lines_change_nothing():
    inputs, labels = rows(ROWS.replace(b"\n", b"\r\n") + b"\n\n")
    assert np.array_equal(inputs, rows()[0])
    assert np.array_equal(labels, rows()[1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ROWS + b"4\t1\t1\t0\n", "toy_R.dat: 4 rows after its header, but the set's description promises 3"),
        (ROWS[:-8], "toy_R.dat: 2 rows after its header"),
        (ROWS.replace(b"3\t4\t1", b"3\t1"), "toy_R.dat, line 3: 3 tab-separated values, but a row has 4"),
        (ROWS.replace(b"5\t6", b"5\t6\t7"), "toy_R.dat, line 4: 5 tab-separated values"),
        (ROWS.replace(b"0.5", b"?"), r"toy_R.dat, line 2: '\?' is no number"),
        (ROWS.replace(b"0.5", b"0_5"), "toy_R.dat, line 2: '0_5' is no number"),
        (ROWS.replace(b"5\t6", b"nan\t6"), "toy_R.dat, line 4: nan among its features, but every input must be a finite number"),
        (ROWS.replace(b"5\t6", b"5\t-inf"), "toy_R.dat, line 4: -inf among its features"),
        (ROWS.replace(b"5\t6", b"5\t1e300"), r"toy_R.dat, line 4: 1e\+300 among its features"),
        (ROWS.replace(b"4\t1\n", b"4\t2\n"), "toy_R.dat, line 3: label 2, but with 2 classes a label is 0 to 1"),
        (ROWS.replace(b"4\t1\n", b"4\t-1\n"), "toy_R.dat, line 3: label -1"),
        (ROWS.replace(b"4\t1\n", b"4\t0.5\n"), "toy_R.dat, line 3: label 0.5"),
        (ROWS.replace(b"4\t1\n", b"4\tnan\n"), "toy_R.dat, line 3: label nan"),
        (ROWS.replace(b"2\t3", b"2\t\xff"), "toy_R.dat, line 3: byte .* is no text"),
        (b"", "toy_R.dat: 0 rows"),
    ],
)
def test_a_malformed_row_is_named_by_file_and_line(content, message):
    with pytest.raises(SkipbenchError, match=message):
        rows(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (DESCRIPTION.replace(b"n_clases= 2\n", b""), "toy.txt: the key n_clases is missing"),
        (DESCRIPTION.replace(b"fich1= toy_R.dat\n", b""), "toy.txt: the key fich1 is missing"),
        (DESCRIPTION.replace(b"n_clases= 2", b"n_clases= two"), "n_clases= 'two', but it must be a whole number of at least 2"),
        (DESCRIPTION.replace(b"n_clases= 2", b"n_clases= 1"), "n_clases= '1', but"),
        (DESCRIPTION.replace(b"n_patrons1= 3", b"n_patrons1= -3"), "n_patrons1= '-3'"),
        (DESCRIPTION.replace(b"n_arquivos= 1", b"n_arquivos= 3"), "n_arquivos= 3, but a set has one data file, or one for training"),
        (DESCRIPTION.replace(b"toy_R.dat", b"../toy_R.dat"), "fich1= '../toy_R.dat', but it must be the plain name of a file"),
        (DESCRIPTION.replace(b"toy_R.dat", b"/etc/passwd"), "fich1= '/etc/passwd'"),
        (b"something else\n" + DESCRIPTION, "toy.txt, line 1: 'something else' is no `key= value`"),
        (b"\xff\xfe" + DESCRIPTION, "toy.txt, line 1: byte 0 is no text"),
    ],
)
def test_a_malformed_description_is_named(content, message):
    with pytest.raises(SkipbenchError, match=message):
        read_description(Path("toy.txt"), content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"0 1\n2\n0\n", "3 lines of row numbers, but this file has 2"),
        (b"0 1\n", "1 lines of row numbers"),
        (b"0 1\n3\n", "line 2: row 3, but the rows of this set are 0 to 2"),
        (b"0 -1\n2\n", "line 1: '-1' is no row number"),
        (b"0 1.5\n2\n", "line 1: '1.5' is no row number"),
        (b"0 1\n1 2\n", "lines 1 and 2: row 1 is there twice"),
        (b"0 0 1\n2\n", "lines 1 and 2: row 0 is there twice"),
        (b"0 1\n99999999999999999999\n", "is no row number"),
    ],
)
def test_a_malformed_partition_is_named(content, message):
    with pytest.raises(SkipbenchError, match=f"conxuntos.dat.*{message}"):
        partitions(content)


def test_partitions_keep_their_order():
    assert [part.tolist() for part in partitions(b" 2 0 \n1\n")] == [[2, 0], [1]]


texts = st.one_of(
    st.binary(max_size=80),
    st.text(alphabet="0123456789.-+eE_ \t\n\r=naifnpx?", max_size=120).map(str.encode),
    st.tuples(st.integers(0, len(ROWS)), st.binary(max_size=4)).map(lambda cut: ROWS[: cut[0]] + cut[1] + ROWS[cut[0] + 1 :]),
)


@given(content=texts)
def test_whatever_a_data_file_holds_gives_finite_rows_or_a_named_error(content):
    with contextlib.suppress(SkipbenchError):
        inputs, labels = rows(content)
        assert inputs.shape == (3, 2)
        assert np.isfinite(inputs.astype(np.float32)).all()
        assert set(labels) <= {0, 1}


@given(content=texts)
def test_whatever_a_partition_file_holds_gives_rows_of_the_set_or_a_named_error(content):
    with contextlib.suppress(SkipbenchError):
        together = np.concatenate(partitions(content))
        assert set(together) <= {0, 1, 2}
        assert len(set(together)) == len(together)


@given(
    content=st.one_of(
        st.binary(max_size=80),
        st.tuples(st.integers(0, len(DESCRIPTION)), st.binary(max_size=4)).map(
            lambda cut: DESCRIPTION[: cut[0]] + cut[1] + DESCRIPTION[cut[0] :]
        ),
    )
)
def test_whatever_a_description_holds_gives_plain_file_names_or_a_named_error(content):
    with contextlib.suppress(SkipbenchError):
        found = read_description(Path("toy.txt"), content)
        assert all(Path(file).name == file for file in found.files)
        assert found.classes >= 2
