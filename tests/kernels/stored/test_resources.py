"""Disk and memory are counted before anything is computed, and the count of memory is a bound that holds."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from skipbench.architecture import ResMLP
from skipbench.checks import SkipbenchError
from skipbench.kernels import stored_kernel_matrices
from skipbench.kernels.stored import stored_matrices
from skipbench.kernels.stored.plan import TilePlan
from skipbench.kernels.stored.resources import TileCost, readable_bytes

Usage = namedtuple("Usage", "total used free")
X = np.random.default_rng(0).normal(size=(10, 3))
ARCH = ResMLP(depth=2)


def free_disk(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(2 * free, free, free))


def test_a_disk_that_is_too_small_is_refused_with_both_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free_disk(monkeypatch, 1234)
    with pytest.raises(SkipbenchError, match=re.escape("needs 1.58 kB more for 6 tiles, and its disk has 1.23 kB free")):
        stored_kernel_matrices(ARCH, X, store=tmp_path / "gram", tile=4)
    assert list(tmp_path.iterdir()) == []


def test_only_missing_tiles_need_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored_kernel_matrices(ARCH, X, store=tmp_path / "gram", tile=4)
    (tmp_path / "gram" / "nngp" / "c" / "0" / "2").unlink()
    free_disk(monkeypatch, 2 * (4 * 4 * 8 + 4) - 1)
    with pytest.raises(SkipbenchError, match=re.escape("needs 264 B more for 1 tiles")):
        stored_kernel_matrices(ARCH, X, store=tmp_path / "gram", tile=4)
    free_disk(monkeypatch, 2 * (4 * 4 * 8 + 4))
    stored_kernel_matrices(ARCH, X, store=tmp_path / "gram", tile=4)


def test_the_disk_of_a_folder_yet_to_be_made_is_its_nearest_parents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: (asked.append(path), Usage(1, 1, 1))[1])
    with pytest.raises(SkipbenchError, match="its disk has 1 B free"):
        stored_kernel_matrices(ARCH, X, store=tmp_path / "a" / "b")
    assert asked == [tmp_path]


def test_the_estimate_of_the_disk_is_what_the_chunks_take(tmp_path: Path) -> None:
    cost = TileCost(TilePlan(10, 10, 4, symmetric=True), 2, 8, 24, 0)
    stored_kernel_matrices(ARCH, X, store=tmp_path / "gram", tile=4, depths=[1, 2])
    taken = sum(file.stat().st_size for file in (tmp_path / "gram").rglob("c/**/*") if file.is_file())
    assert taken == 6 * cost.disk


def test_a_tile_beyond_the_memory_is_refused_with_the_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = namedtuple("memory", "available")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory(10_000_000))
    with pytest.raises(SkipbenchError, match=r"takes up to 1\.07 GB of memory, .* and 10 MB are available: use a smaller tile"):
        stored_kernel_matrices(ARCH, X, store=tmp_path / "gram")
    assert list(tmp_path.iterdir()) == []
    stored_kernel_matrices(ARCH, X, store=tmp_path / "gram", working_bytes=2**20)


def test_a_disk_that_fills_up_on_the_way_is_named_and_keeps_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = stored_matrices.TileStore.write

    def write(self: Any, tile: Any, matrices: Any) -> None:
        if (tile.row, tile.column) == (1, 1):
            raise OSError(28, "No space left on device")
        original(self, tile, matrices)

    monkeypatch.setattr(stored_matrices.TileStore, "write", write)
    with pytest.raises(SkipbenchError, match="the disk is full: free some and call again, 3 tiles are kept"):
        stored_kernel_matrices(ARCH, X, store=tmp_path / "gram", tile=4)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (41_000_000_000, "41 GB"), (3_210_000, "3.21 MB"), (24e12, "24 TB"), (4e16, "4e+04 TB")]
)
def test_bytes_are_written_in_their_unit(count: float, text: str) -> None:
    assert readable_bytes(count) == text


MEASURED = """
import resource, sys
from pathlib import Path
import numpy as np, torch
from skipbench.architecture import MLP
from skipbench.kernels import stored_kernel_matrices
from skipbench.kernels.stored.plan import TilePlan
from skipbench.kernels.stored.resources import TileCost

folder, n, tile, depths, working_bytes = Path(sys.argv[1]), 2210, 130, [1, 2, 3], 2**21
options = dict(tile=tile, depths=depths, dtype=torch.float32, working_bytes=working_bytes, engine="reference", progress=False)
x = np.lib.format.open_memmap(folder / "x.npy", mode="w+", dtype="float32", shape=(n, 8))
x[:] = np.random.default_rng(0).normal(size=x.shape)
stored_kernel_matrices(MLP(depth=1), x[:260], store=folder / "first", **options)  # imports, threads, allocators
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
stored_kernel_matrices(MLP(depth=1), x, store=folder / "gram", **options)
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
print(grown, TileCost(TilePlan(n, n, tile, symmetric=True), len(depths), 4, 8 * 4, working_bytes).memory)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has another unit elsewhere")
def test_memory_stays_under_its_bound_for_a_store_that_is_many_times_larger(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", MEASURED, str(tmp_path)], capture_output=True, text=True, check=True)
    grown, bound = map(int, done.stdout.split())
    stored = sum(file.stat().st_size for file in (tmp_path / "gram").rglob("*") if file.is_file())
    assert stored > 15 * bound
    assert grown < bound
