"""Tiles on a Dask cluster: the same bits, and a dead worker costs its own tiles and no other."""

from __future__ import annotations

import collections
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skipbench.architecture import ResMLP
from skipbench.checks import SkipbenchError
from skipbench.kernels import stored_kernel_matrices
from skipbench.kernels.stored import dask_tiles

distributed = pytest.importorskip("distributed", reason="the extra `dask` is not installed")

from distributed.diagnostics.plugin import SchedulerPlugin  # noqa: E402 - after the skip

ARCH = ResMLP(depth=3)
X = np.random.default_rng(0).normal(size=(44, 600))  # so long that MKL would sum in another order with another number of threads
TILES = 11 * 12 // 2


class TileCounter(SchedulerPlugin):  # type: ignore[misc]
    """Where each tile was computed, and which of them had to be computed again."""

    def __init__(self) -> None:
        self.computed: collections.Counter[str] = collections.Counter()
        self.places: dict[str, set[str]] = collections.defaultdict(set)

    def transition(self, key: str, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """Count a tile whose result reached the scheduler."""
        if key.startswith("tile-") and (start, finish) == ("processing", "memory"):
            tile = re.sub(r"-[0-9a-f]{32}$", "", key)
            self.computed[tile] += 1
            self.places[tile].add(str(kwargs.get("worker")))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with distributed.LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address="127.0.0.1:0", silence_logs=50) as running:
        yield running


@pytest.fixture
def counter(cluster: Any) -> Iterator[TileCounter]:
    """Two living workers, and a fresh count of what they compute."""
    with distributed.Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
    plugin = TileCounter()
    cluster.scheduler.add_plugin(plugin, name="tiles")
    yield plugin
    cluster.scheduler.remove_plugin("tiles")


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    """The matrices as this process computes them."""
    found = stored_kernel_matrices(ARCH, X, store=tmp_path_factory.mktemp("here") / "gram", tile=4, engine="reference")
    return [np.asarray(matrix) for matrix in found]


def on_cluster(store: Path, scheduler: str, **options: Any) -> list[np.ndarray]:
    found = stored_kernel_matrices(ARCH, X, store=store, tile=4, engine="reference", scheduler=scheduler, **options)
    return [np.asarray(matrix) for matrix in found]


def test_local_workers_give_the_same_bits(tmp_path: Path, expected: list[np.ndarray]) -> None:
    calls: list[tuple[int, int]] = []
    environment = dict(os.environ)
    found = on_cluster(tmp_path / "gram", "local", n_workers=2, progress=lambda done, total: calls.append((done, total)))
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    assert calls == [(done, TILES) for done in range(TILES + 1)]
    assert dict(os.environ) == environment


def test_workers_behind_an_address_compute_each_tile_once(
    tmp_path: Path, cluster: Any, counter: TileCounter, expected: list[np.ndarray]
) -> None:
    found = on_cluster(tmp_path / "gram", cluster.scheduler_address)
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    assert len(counter.computed) == TILES
    assert set(counter.computed.values()) == {1}


def test_a_cluster_finishes_what_was_begun_here(tmp_path: Path, cluster: Any, counter: TileCounter, expected: list[np.ndarray]) -> None:
    def stop(done: int, total: int) -> None:
        if done == 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stored_kernel_matrices(ARCH, X, store=tmp_path / "gram", tile=4, engine="reference", progress=stop)
    found = on_cluster(tmp_path / "gram", cluster.scheduler_address)
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    assert sum(counter.computed.values()) == TILES - 40


def test_a_killed_worker_has_its_tiles_computed_again_and_no_others(
    tmp_path: Path, cluster: Any, counter: TileCounter, expected: list[np.ndarray]
) -> None:
    killed: list[str] = []

    def kill(done: int, total: int) -> None:
        if done == 20:
            address, process = next(iter(processes.items()))
            killed.append(address)
            os.kill(process, signal.SIGKILL)

    with distributed.Client(cluster, set_as_default=False) as client:
        processes = client.run(os.getpid)
    found = on_cluster(tmp_path / "gram", cluster.scheduler_address, progress=kill)
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    assert len(counter.computed) == TILES
    again = [tile for tile, count in counter.computed.items() if count > 1]
    assert len(again) <= 4  # what it may have computed and not yet handed over: two tiles in flight for each worker
    assert all(killed[0] in counter.places[tile] for tile in again)


def test_a_tile_that_kills_every_worker_is_an_error_and_no_endless_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deadly(*arguments: Any) -> None:  # inside the test, so that it travels by value: workers do not import this module
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(dask_tiles, "computed_tile", deadly)
    monkeypatch.setattr(dask_tiles, "LOOK_SECONDS", 0.5)
    monkeypatch.setattr(dask_tiles, "PATIENCE_SECONDS", 5.0)
    # Dask gives a task up after four deaths, unless its nanny has given the worker up before.
    with pytest.raises(SkipbenchError, match=r"tile \(\d+, \d+\) ended every worker that tried it|has had no worker for"):
        on_cluster(tmp_path / "gram", "local", n_workers=1)


def test_a_cluster_that_lost_its_last_worker_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_tiles, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(dask_tiles, "PATIENCE_SECONDS", 1.0)
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50) as small:

        def remove(done: int, total: int) -> None:
            if done == 5:
                small.scale(0)

        with pytest.raises(SkipbenchError, match=r"has had no worker for 1(\.\d+)? s"):
            on_cluster(tmp_path / "gram", small.scheduler_address, progress=remove)
    stored_kernel_matrices(ARCH, X, store=tmp_path / "gram", tile=4, engine="reference")  # finishes it


def test_an_error_of_the_kernel_comes_back_from_a_worker_as_it_is(tmp_path: Path, cluster: Any, counter: TileCounter) -> None:
    with pytest.raises(SkipbenchError, match="kernel values leave the range"):
        stored_kernel_matrices(ResMLP(depth=2000), X, store=tmp_path / "gram", scheduler=cluster.scheduler_address, engine="reference")


def test_workers_that_do_not_fit_the_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    memory = collections.namedtuple("memory", "available")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory(1_500_000_000))
    with pytest.raises(SkipbenchError, match=r"on each of 2 workers, 2\.\d+ GB in all, and 1\.5 GB are available"):
        on_cluster(tmp_path / "gram", "local", n_workers=2)
