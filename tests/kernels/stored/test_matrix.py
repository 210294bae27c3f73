"""A stored matrix is indexed as numpy indexes the whole one, and reads no more than the tiles it must."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skipbench.architecture import CNN, MLP
from skipbench.checks import SkipbenchError
from skipbench.kernels import StoredMatrix, stored_kernel_matrices
from skipbench.kernels.stored import matrix

N, M, TILE = 17, 11, 5


@pytest.fixture(scope="module")
def symmetric(tmp_path_factory: pytest.TempPathFactory) -> StoredMatrix:
    x = np.random.default_rng(0).normal(size=(N, 4))
    return stored_kernel_matrices(MLP(depth=2), x, store=tmp_path_factory.mktemp("tiles") / "gram", tile=TILE)[1]


@pytest.fixture(scope="module")
def rectangular(tmp_path_factory: pytest.TempPathFactory) -> StoredMatrix:
    rng = np.random.default_rng(1)
    x, z = rng.normal(size=(N, 4)), rng.normal(size=(M, 4))
    return stored_kernel_matrices(MLP(depth=2), x, z, store=tmp_path_factory.mktemp("tiles") / "cross", tile=TILE)[0]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> StoredMatrix:
    x = np.random.default_rng(2).normal(size=(6, 1, 3, 3))
    where = tmp_path_factory.mktemp("tiles") / "stack"
    return stored_kernel_matrices(CNN(depth=2), x, store=where, tile=4, depths=[1, 4, 2], readouts=["tr", "eq"])[0]


KEYS = st.one_of(st.integers(-M, M - 1), st.slices(N + 3))


@given(key=st.one_of(KEYS, st.tuples(KEYS, KEYS)))
@settings(max_examples=80, deadline=None)
def test_indexing_is_numpys(symmetric: StoredMatrix, rectangular: StoredMatrix, key: Any) -> None:
    for stored in (symmetric, rectangular):
        found, expected = stored[key], np.asarray(stored)[key]
        assert np.array_equal(found, expected)
        assert np.shape(found) == np.shape(expected)


def test_the_whole_matrix_is_what_single_entries_are(symmetric: StoredMatrix) -> None:
    whole = np.asarray(symmetric)
    assert all(symmetric[i, j] == whole[i, j] == whole[j, i] for i in range(N) for j in range(N))
    assert np.asarray(symmetric, dtype=np.float32).dtype == np.float32


def test_diagonals_are_read_from_diagonal_tiles_alone(
    symmetric: StoredMatrix, rectangular: StoredMatrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [np.asarray(stored).diagonal() for stored in (symmetric, rectangular)]
    read: list[tuple[int, ...]] = []
    original = StoredMatrix._stored
    monkeypatch.setattr(StoredMatrix, "_stored", lambda self, *edges: (read.append(edges), original(self, *edges))[1])
    for stored, diagonal in zip((symmetric, rectangular), expected, strict=True):
        assert np.array_equal(stored.diagonal(), diagonal)
    assert len(read) == 4 + 3
    assert all(a == c for a, _, c, _ in read)


def test_only_touched_tiles_are_read(symmetric: StoredMatrix, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[int, ...]] = []
    original = StoredMatrix._stored
    monkeypatch.setattr(StoredMatrix, "_stored", lambda self, *edges: (read.append(edges), original(self, *edges))[1])
    symmetric[TILE : 2 * TILE, 0:TILE]
    assert read == [(0, TILE, TILE, 2 * TILE)]  # the mirrored tile
    read.clear()
    symmetric[4:6, 15:17]
    assert read == [(4, 5, 15, 17), (5, 6, 15, 17)]


def test_a_stack_is_chosen_from_by_place_and_by_name(stack: StoredMatrix) -> None:
    whole = np.asarray(stack)
    assert stack.shape == whole.shape == (2, 3, 6, 6)
    assert (stack.ndim, len(stack), stack.depths, stack.readouts) == (4, 2, (1, 4, 2), ("tr", "eq"))
    assert np.array_equal(stack.select(depth=4, readout="eq")[1:5, ::2], whole[1, 1, 1:5, ::2])
    assert np.array_equal(stack[1, 2, 3:, :2], whole[1, 2, 3:, :2])
    assert stack[-1].shape == (3, 6, 6)
    assert np.array_equal(stack[-1][0][2], whole[1, 0, 2])
    assert np.array_equal(stack.diagonal(), whole.diagonal(axis1=2, axis2=3))


def test_wrong_choices_from_a_stack_are_refused(stack: StoredMatrix, symmetric: StoredMatrix) -> None:
    with pytest.raises(SkipbenchError, match=r"depth=3 is not in the store: it holds 1, 4, 2"):
        stack.select(depth=3, readout="tr")
    with pytest.raises(SkipbenchError, match="readout=None is not in the store: it holds tr, eq"):
        stack.select(depth=4)
    with pytest.raises(SkipbenchError, match="no list of depths was stored"):
        symmetric.select(depth=2)
    with pytest.raises(SkipbenchError, match="is a part of a stack"):
        stack[0].select(depth=4)
    with pytest.raises(SkipbenchError, match="part of the stack by a whole number"):
        stack[:, 0]


def test_indices_outside_the_matrix_are_errors(symmetric: StoredMatrix, stack: StoredMatrix) -> None:
    for key in (N, -N - 1, (0, N)):
        with pytest.raises(IndexError):
            symmetric[key]
    with pytest.raises(IndexError):
        stack[2]
    with pytest.raises(IndexError, match="too many indices"):
        symmetric[0, 0, 0]
    with pytest.raises(SkipbenchError, match="by a whole number or slice"):
        symmetric[[0, 1]]


def test_a_copy_in_another_process_reads_the_store_itself(symmetric: StoredMatrix) -> None:
    copied = pickle.loads(pickle.dumps(symmetric))
    assert np.array_equal(np.asarray(copied), np.asarray(symmetric))
    assert len(pickle.dumps(symmetric)) < 2000


def test_a_new_store_at_the_path_of_a_deleted_one_is_read_afresh(tmp_path: Path) -> None:
    import shutil

    x = np.random.default_rng(3).normal(size=(9, 3))
    for tile in (4, 2):
        nngp, _ = stored_kernel_matrices(MLP(depth=1), x, store=tmp_path / "gram", tile=tile)
        np.testing.assert_array_equal(np.asarray(nngp).diagonal(), nngp.diagonal())
        shutil.rmtree(tmp_path / "gram")


def test_damaged_and_vanished_tiles_are_errors_when_they_are_read(tmp_path: Path) -> None:
    x = np.random.default_rng(3).normal(size=(9, 3))
    nngp, ntk = stored_kernel_matrices(MLP(depth=1), x, store=tmp_path / "gram", tile=4)
    chunk = tmp_path / "gram" / "nngp" / "c" / "0" / "1"
    content = bytearray(chunk.read_bytes())
    content[20] ^= 1
    chunk.write_bytes(content)
    with pytest.raises(SkipbenchError, match=r"tile \(0, 1\) of nngp is damaged"):
        nngp[5:6, 0:2]
    assert np.isfinite(nngp[0:4, 0:4]).all()
    (tmp_path / "gram" / "ntk" / "c" / "1" / "2").unlink()
    with pytest.raises(SkipbenchError, match=r"tile \(1, 2\) of ntk is gone"):
        np.asarray(ntk)


def test_pieces_are_cut_at_tile_borders() -> None:
    assert matrix._pieces(3, 12, 5) == [(3, 5), (5, 10), (10, 12)]
    assert matrix._pieces(5, 10, 5) == [(5, 10)]
    assert matrix._pieces(4, 4, 5) == []
