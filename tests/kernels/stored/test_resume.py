"""A store that was interrupted is finished by computing what is missing, and then equals one that never was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skipbench.architecture import ResMLP
from skipbench.checks import SkipbenchError
from skipbench.kernels import open_stored_matrices, stored_kernel_matrices

TILES = 10 * 11 // 2
# Argument 1: the store. 2: a file that gets a line for each tile begun. 3: what kills the process.
SCRIPT = """
import os, signal, sys, time
from pathlib import Path
import numpy as np
from skipbench.architecture import ResMLP
from skipbench.kernels import stored_kernel_matrices
from skipbench.kernels.stored import compute, layout

store, log, death = sys.argv[1:]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

original_inputs, original_write, original_replace = compute.tile_inputs, layout.TileStore.write, Path.replace
counts = {"write": 0, "replace": 0}

def logged_inputs(tile, x, z):
    with open(log, "a") as lines:
        print(tile.row, tile.column, file=lines)
    return original_inputs(tile, x, z)

def write(self, tile, matrices):
    counts["write"] += 1
    if death == "between nngp and ntk" and counts["write"] == 8:
        self._arrays["nngp"][0, slice(*tile.rows), slice(*tile.columns)] = matrices[0][0]
        die()
    original_write(self, tile, matrices)

def replace(self, target):
    counts["replace"] += "c" in Path(target).parts[-4:]
    if death == "before a rename" and counts["replace"] == 42:
        die()
    return original_replace(self, target)

compute.tile_inputs, layout.TileStore.write, Path.replace = logged_inputs, write, replace
pause = 0.02 if death == "from outside" else 0.0
x = np.random.default_rng(0).normal(size=(39, 6))
stored_kernel_matrices(ResMLP(depth=2), x, store=store, tile=4, depths=[1, 3], progress=lambda done, total: time.sleep(pause))
"""


def begin(store: Path, log: Path, death: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(SCRIPT), str(store), str(log), death])


def begun(log: Path) -> list[str]:
    return log.read_text().splitlines()


def finished_here(store: Path, **options: Any) -> list[np.ndarray]:
    x = np.random.default_rng(0).normal(size=(39, 6))
    return [np.asarray(matrix) for matrix in stored_kernel_matrices(ResMLP(depth=2), x, store=store, tile=4, depths=[1, 3], **options)]


def test_a_store_killed_twice_while_it_writes_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    store, log = tmp_path / "gram", tmp_path / "log"
    for death in ("between nngp and ntk", "before a rename"):
        assert begin(store, log, death).wait() == -signal.SIGKILL
        with pytest.raises(SkipbenchError, match=rf"lacks \d+ of {TILES} tiles"):
            open_stored_matrices(store)
    assert list(store.rglob("*.partial")) != []
    assert begin(store, log, "none").wait() == 0
    assert list(store.rglob("*.partial")) == []
    tiles = begun(log)
    assert len(set(tiles)) == TILES
    assert len(tiles) == TILES + 2  # the tile in hand at each death, and no other, was begun again
    for interrupted, whole in zip(open_stored_matrices(store), finished_here(tmp_path / "whole"), strict=True):
        assert np.array_equal(np.asarray(interrupted), whole)


def test_a_store_killed_from_outside_loses_at_most_the_tile_in_hand(tmp_path: Path) -> None:
    store, log = tmp_path / "gram", tmp_path / "log"
    for wanted in (10, 30):
        process = begin(store, log, "from outside")
        deadline = time.monotonic() + 60
        while len(list((store / "ntk").glob("c/1/*/*"))) < wanted and time.monotonic() < deadline:
            time.sleep(0.005)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    whole = finished_here(store)
    tiles = begun(log)
    assert wanted <= len(tiles) < TILES + 2  # so it was killed on the way
    assert len(tiles) - len(set(tiles)) <= 1
    for interrupted, expected in zip(whole, finished_here(tmp_path / "whole"), strict=True):
        assert np.array_equal(interrupted, expected)


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def zeroed(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


def flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[5] ^= 4
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [truncated, emptied, zeroed, flipped, Path.unlink])
@pytest.mark.parametrize("place", ["nngp/c/0/1/2", "ntk/c/1/9/9"])
def test_a_damaged_chunk_has_its_tile_computed_again(
    tmp_path: Path, damage: Any, place: str, computed_sizes: list[tuple[int, int]]
) -> None:
    store = tmp_path / "gram"
    expected = finished_here(store)
    computed_sizes.clear()
    damage(store / place)
    for found, before in zip(finished_here(store), expected, strict=True):
        assert np.array_equal(found, before)
    assert computed_sizes == [(3, 3) if place.endswith("9/9") else (4, 4)]


def test_a_finished_store_is_not_computed_or_written_again(tmp_path: Path, computed_sizes: list[tuple[int, int]]) -> None:
    finished_here(tmp_path / "gram")
    written = {file: file.stat().st_mtime_ns for file in (tmp_path / "gram").rglob("c/**/*") if file.is_file()}
    assert len(written) == 2 * 2 * TILES
    computed_sizes.clear()
    finished_here(tmp_path / "gram")
    assert computed_sizes == []
    assert written == {file: file.stat().st_mtime_ns for file in written}


@pytest.mark.parametrize("leftover", ["zarr.abc.partial", "nngp/zarr.abc.partial", "ntk/c/0/1.abc.partial"])
def test_what_a_process_killed_at_the_start_leaves_does_no_harm(tmp_path: Path, leftover: str) -> None:
    file = tmp_path / "gram" / leftover
    file.parent.mkdir(parents=True)
    file.write_bytes(b"{")
    finished_here(tmp_path / "gram")
    assert not file.exists()


def test_a_store_whose_second_array_was_never_made_is_finished(tmp_path: Path) -> None:
    import shutil

    expected = finished_here(tmp_path / "gram")
    shutil.rmtree(tmp_path / "gram" / "ntk")
    for found, before in zip(finished_here(tmp_path / "gram"), expected, strict=True):
        assert np.array_equal(found, before)


def test_a_second_writer_is_refused_and_a_killed_one_holds_no_lock(tmp_path: Path) -> None:
    store, log = tmp_path / "gram", tmp_path / "log"
    process = begin(store, log, "from outside")
    try:
        deadline = time.monotonic() + 60
        while not log.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        with pytest.raises(SkipbenchError, match=rf"is being written by another process \(process {process.pid} on "):
            finished_here(store)
    finally:
        process.kill()
        process.wait()
    found = finished_here(store)
    for one, expected in zip(found, finished_here(tmp_path / "whole"), strict=True):
        assert np.array_equal(one, expected)


def test_a_progress_that_fails_leaves_a_store_that_can_be_finished(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finished_here(tmp_path / "gram", progress=stop)
    assert len(list((tmp_path / "gram" / "ntk").glob("c/0/*/*"))) == 3
    finished_here(tmp_path / "gram")


def test_the_store_is_a_zarr_3_group_that_others_can_read(tmp_path: Path) -> None:
    import zarr

    nngp, _ = finished_here(tmp_path / "gram")
    group = zarr.open_group(tmp_path / "gram", mode="r")
    assert sorted(name for name, _ in group.members()) == ["nngp", "ntk"]
    array = group["nngp"]
    assert isinstance(array, zarr.Array)
    assert array.chunks == (1, 4, 4)
    assert np.array_equal(np.asarray(array[1, :4]), nngp[1, :4])
    header = json.loads((tmp_path / "gram" / "zarr.json").read_text())
    assert header["zarr_format"] == 3
    assert os.path.getsize(tmp_path / "gram" / "nngp" / "c" / "0" / "0" / "0") == 4 * 4 * 8 + 4
