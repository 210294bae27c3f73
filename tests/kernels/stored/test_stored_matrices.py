"""Tiles hold what `kernel_matrices` gives, of every kind it can give, and a store is never mistaken for another."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import dense_architectures, vectors

from skipbench.architecture import CNN, MLP, Architecture, ResCNN, ResMLP
from skipbench.checks import SkipbenchError
from skipbench.kernels import kernel_matrices, open_stored_matrices, stored_kernel_matrices
from skipbench.kernels.engines.registry import ENGINES
from skipbench.kernels.stored import rows
from skipbench.kernels.stored.layout import read_identity

ARCH = ResMLP(depth=2)
# Tiles of another shape than the blocks inside one call of kernel_matrices add up a matrix product in another order.
LAST_BITS: dict[str, Any] = {"rtol": 1e-13, "atol": 1e-13}


def points(n: int, seed: int = 0, d: int = 5) -> np.ndarray:
    values: np.ndarray = np.random.default_rng(seed).normal(size=(n, d))
    return values


def pictures(n: int, seed: int = 0) -> np.ndarray:
    values: np.ndarray = np.random.default_rng(seed).normal(size=(n, 2, 4, 3))
    return values


@given(arch=dense_architectures(), x=vectors(n=7), tile=st.integers(1, 9), is_symmetric=st.booleans())
@settings(max_examples=15, deadline=None)
def test_stored_matrices_are_kernel_matrices(
    tmp_path_factory: pytest.TempPathFactory, arch: Architecture, x: np.ndarray, tile: int, is_symmetric: bool
) -> None:
    z = None if is_symmetric else x[:3] + np.eye(3, x.shape[1])
    found = stored_kernel_matrices(arch, x, z, store=tmp_path_factory.mktemp("tiles") / "gram", tile=tile)
    for stored, expected in zip(found, kernel_matrices(arch, x, z), strict=True):
        scale = float(expected.abs().max())
        assert stored.shape == tuple(expected.shape)
        np.testing.assert_allclose(np.asarray(stored), expected.numpy(), rtol=0, atol=1e-6 * scale)  # near r = 1, 1e-16 becomes 1e-8


def test_a_symmetric_store_keeps_half_the_tiles_and_reads_symmetric_to_the_last_bit(tmp_path: Path) -> None:
    nngp, ntk = stored_kernel_matrices(ARCH, points(20), store=tmp_path / "gram", tile=6)
    for name, stored in (("nngp", nngp), ("ntk", ntk)):
        whole = np.asarray(stored)
        assert np.array_equal(whole, whole.T)
        assert np.array_equal(stored[7:20, 0:9], stored[0:9, 7:20].T)
        chunks = [file for file in (tmp_path / "gram" / name / "c").rglob("*") if file.is_file()]
        assert len(chunks) == 4 * 5 / 2
    np.testing.assert_allclose(np.asarray(ntk), kernel_matrices(ARCH, points(20))[1].numpy(), **LAST_BITS)


@pytest.mark.parametrize("lists", [{"depths": [1, 3]}, {"readouts": ["tr", "eq"]}, {"depths": [2, 1, 3], "readouts": ["gap", "tr"]}])
def test_every_depth_and_readout_of_a_stack_is_stored(tmp_path: Path, lists: dict[str, Any], computed_sizes: list[tuple[int, int]]) -> None:
    x = pictures(7)
    found = stored_kernel_matrices(CNN(depth=2), x, store=tmp_path / "gram", tile=4, **lists)
    assert len(computed_sizes) == 3  # one call for a tile, whatever is asked of it
    for stored, expected in zip(found, kernel_matrices(CNN(depth=2), x, **lists), strict=True):
        assert stored.shape == tuple(expected.shape)
        assert (stored.depths, stored.readouts) == tuple(None if lists.get(k) is None else tuple(lists[k]) for k in ("depths", "readouts"))
        np.testing.assert_allclose(np.asarray(stored), expected.numpy(), **LAST_BITS)
        np.testing.assert_allclose(np.asarray(stored[1]), expected[1].numpy(), **LAST_BITS)
        names = {"depth": 3 if "depths" in lists else None, "readout": "tr" if "readouts" in lists else None}
        single = CNN(depth=names["depth"] or 2, readout=names["readout"] or "gap")
        of_one = kernel_matrices(single, x)[0 if stored.name == "nngp" else 1].numpy()
        np.testing.assert_allclose(np.asarray(stored.select(**names)), of_one, **LAST_BITS)


def test_options_reach_the_kernel(tmp_path: Path) -> None:
    options: dict[str, Any] = {"dtype": torch.float32, "normalised": True, "engine": "reference"}
    nngp, _ = stored_kernel_matrices(ResMLP(depth=200, alpha=3.0), points(5), store=tmp_path / "gram", tile=5, **options)
    expected = kernel_matrices(ResMLP(depth=200, alpha=3.0), points(5), **options)[0]
    assert nngp.dtype == np.float32
    assert np.array_equal(np.asarray(nngp), expected.numpy())


def test_equal_rows_in_different_tiles_are_seen_as_equal(tmp_path: Path) -> None:
    x = points(9) * 1e3
    x[8] = x[0]
    nngp, _ = stored_kernel_matrices(MLP(depth=8), x, store=tmp_path / "gram", tile=4)
    assert nngp[0, 8] == pytest.approx(nngp[0, 0], rel=1e-15)  # else arccos near 1 would leave 1e-8
    assert nngp[8, 0] == nngp[0, 8]


@pytest.mark.parametrize("shape", [(0, None), (0, 3), (3, 0), (1, None), (1, 13)])
def test_no_rows_and_one_row_are_stored_too(tmp_path: Path, shape: tuple[int, int | None]) -> None:
    n, m = shape
    found = stored_kernel_matrices(ARCH, points(n), None if m is None else points(m, 1), store=tmp_path / "gram", tile=4)
    for stored in (*found, *open_stored_matrices(tmp_path / "gram")):
        assert np.asarray(stored).shape == (n, n if m is None else m)
        assert stored.diagonal().shape == (min(stored.shape),)


def test_memmaps_tensors_and_lists_give_the_same_store(tmp_path: Path) -> None:
    x = points(11)
    np.save(tmp_path / "x.npy", x)
    kinds = {"array": x, "memmap": np.load(tmp_path / "x.npy", mmap_mode="r"), "tensor": torch.from_numpy(x), "list": x.tolist()}
    for values in kinds.values():
        nngp, _ = stored_kernel_matrices(ARCH, values, store=tmp_path / "gram", tile=4)  # refused, were the hashes different
    np.testing.assert_allclose(np.asarray(nngp), kernel_matrices(ARCH, x)[0].numpy(), **LAST_BITS)


def test_only_the_rows_of_a_tile_are_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Sliced:
        """Like an array on a disk; notes how many rows are asked for."""

        shape, asked = (30, 5), [0]

        def __getitem__(self, key: slice) -> np.ndarray:
            taken = points(30)[key]
            self.asked.append(len(taken))
            return taken

    monkeypatch.setattr(rows, "_HASHED_BYTES", 3 * 5 * 8)  # three rows at a time
    source = Sliced()
    nngp, _ = stored_kernel_matrices(ARCH, source, store=tmp_path / "gram", tile=7)
    assert max(source.asked) == 7
    assert sum(source.asked) == 30 + 5 * 30  # once for the hash; then each of the five tile rows meets every tile once
    np.testing.assert_allclose(np.asarray(nngp), kernel_matrices(ARCH, points(30))[0].numpy(), **LAST_BITS)


def test_progress_counts_every_tile_once_and_begins_with_what_is_there(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    arguments: dict[str, Any] = {"store": tmp_path / "gram", "tile": 4, "progress": lambda done, total: calls.append((done, total))}
    stored_kernel_matrices(ARCH, points(10), **arguments)
    assert calls == [(done, 6) for done in range(7)]
    calls.clear()
    (tmp_path / "gram" / "nngp" / "c" / "0" / "1").unlink()
    stored_kernel_matrices(ARCH, points(10), **arguments)
    assert calls == [(5, 6), (6, 6)]


@pytest.mark.parametrize("engine", ["reference", "auto"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_results_do_not_depend_on_the_number_of_threads(tmp_path: Path, engine: str, dtype: torch.dtype) -> None:
    x, before = points(70, d=1000), torch.get_num_threads()  # of this size, a plain matrix product of torch's does
    matrices = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            stored = stored_kernel_matrices(ARCH, x, store=tmp_path / str(threads), tile=64, engine=engine, dtype=dtype)
            assert torch.get_num_threads() == threads
            matrices.append([np.asarray(matrix) for matrix in stored])
    finally:
        torch.set_num_threads(before)
    for others in matrices[1:]:
        assert all(np.array_equal(one, other) for one, other in zip(matrices[0], others, strict=True))


def changed_store(tmp_path: Path, **changes: Any) -> str:
    """The message with which the store of a first call refuses a second one that differs in `changes`."""
    first: dict[str, Any] = {"arch": ARCH, "x": points(9), "z": points(5, 1), "tile": 4}
    stored_kernel_matrices(**first, store=tmp_path / "gram")
    with pytest.raises(SkipbenchError, match="belongs to something else") as refused:
        stored_kernel_matrices(**(first | changes), store=tmp_path / "gram")
    np.testing.assert_allclose(
        open_stored_matrices(tmp_path / "gram")[0][:, :], kernel_matrices(ARCH, points(9), points(5, 1))[0], **LAST_BITS
    )
    return str(refused.value)


@pytest.mark.parametrize(
    ("changes", "part", "detail"),
    [
        ({"x": points(9, 3)}, "x", ""),
        ({"x": points(8)}, "x", ""),
        ({"z": points(5, 2)}, "z", ""),
        ({"z": None}, "z", "the same as x"),
        ({"arch": ResMLP(depth=3)}, "kernel", re.escape("ResMLP(2) and ResMLP(3)")),
        ({"depths": [2]}, "kernel", "depths None and"),
        ({"dtype": torch.float32}, "kernel", "dtype 'float64' and 'float32'"),
        ({"normalised": True}, "kernel", "normalised False and True"),
        ({"tile": 5}, "tile", "tile is 4 there and 5"),
    ],
)
def test_a_store_of_something_else_is_refused_with_both_hashes(tmp_path: Path, changes: dict[str, Any], part: str, detail: str) -> None:
    message = changed_store(tmp_path, **changes)
    found = re.search(rf"{part} is ([0-9a-f]+) there and ([0-9a-f]+|the same as x) in this call", message)
    assert found is not None, message
    assert found[1] != found[2]
    identity = read_identity(tmp_path / "gram")
    assert found[1] == str({"kernel": identity.kernel_hash, "x": identity.x, "z": identity.z, "tile": identity.tile}[part])
    assert re.search(detail, message)


def test_a_store_of_another_engine_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored_kernel_matrices(ARCH, points(5), store=tmp_path / "gram", engine="reference")
    monkeypatch.setitem(ENGINES, "reference", replace(ENGINES["reference"], version=99))
    with pytest.raises(SkipbenchError, match="engine_version 1 and 99"):
        stored_kernel_matrices(ARCH, points(5), store=tmp_path / "gram", engine="reference")


def test_working_memory_may_differ_when_a_store_is_resumed(tmp_path: Path, computed_sizes: list[tuple[int, int]]) -> None:
    stored_kernel_matrices(ARCH, points(5), store=tmp_path / "gram", working_bytes=2**28)
    stored_kernel_matrices(ARCH, points(5), store=tmp_path / "gram", working_bytes=2**27)
    assert len(computed_sizes) == 1


def test_folders_of_other_people_are_left_alone(tmp_path: Path) -> None:
    import zarr

    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(SkipbenchError, match=r"holds other files, such as 'notes.txt'"):
        stored_kernel_matrices(ARCH, points(3), store=tmp_path)
    with pytest.raises(SkipbenchError, match="is a file"):
        stored_kernel_matrices(ARCH, points(3), store=tmp_path / "notes.txt")
    zarr.create_group(tmp_path / "theirs", zarr_format=3)
    with pytest.raises(SkipbenchError, match="no kernel matrix of skipbench"):
        stored_kernel_matrices(ARCH, points(3), store=tmp_path / "theirs")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["notes.txt", "theirs"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tile": 0}, "tile=0, but a tile has a side of at least 1"),
        ({"tile": 2.5}, "tile=2.5"),
        ({"tile": True}, "tile=True"),
        ({"store": ""}, "is no path"),
        ({"store": 3}, "store=3 is no path"),
        ({"x": np.full((3, 2), np.nan)}, "x: row 0 holds NaN"),
        ({"x": pictures(3)}, "needs vectors"),
        ({"z": points(3, d=4)}, "inputs of shape"),
        ({"arch": "ResMLP"}, "is no architecture"),
        ({"engine": "referense"}, 'no engine "referense". Nearest: reference'),
        ({"depths": []}, "depths="),
        ({"readouts": ["tr"]}, "has no pixels"),
        ({"device": "cuda:77"}, "is absent"),
        ({"dtype": torch.float16}, "dtype=torch.float16"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"arch": ARCH, "x": points(3), "store": tmp_path / "gram"} | changes
    with pytest.raises(SkipbenchError, match=re.escape(message)):
        stored_kernel_matrices(**arguments)
    assert list(tmp_path.iterdir()) == []


def test_the_row_of_a_bad_value_is_named_beyond_the_first_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_HASHED_BYTES", 100)  # two rows at a time
    x = points(9)
    x[7, 1] = np.inf
    with pytest.raises(SkipbenchError, match="x: row 7 holds NaN or infinite"):
        stored_kernel_matrices(ARCH, x, store=tmp_path / "gram")


def test_opening_what_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SkipbenchError, match="holds no kernel matrices"):
        open_stored_matrices(tmp_path / "nothing")
    (tmp_path / "gram").mkdir()
    (tmp_path / "gram" / "zarr.json").write_text('{"attributes"')
    with pytest.raises(SkipbenchError, match=r"zarr.json is damaged"):
        open_stored_matrices(tmp_path / "gram")


def test_convolutional_tiles_off_the_diagonal_match_images_of_both_sides(tmp_path: Path) -> None:
    arch, x, z = ResCNN(depth=2, readout="gap"), pictures(5), pictures(4, 1)
    for stored, expected in zip(
        stored_kernel_matrices(arch, x, z, store=tmp_path / "gram", tile=3), kernel_matrices(arch, x, z), strict=True
    ):
        np.testing.assert_allclose(np.asarray(stored), expected.numpy(), **LAST_BITS)
