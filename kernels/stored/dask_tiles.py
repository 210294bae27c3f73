"""Tiles as tasks of a Dask cluster. Workers return their tiles and this process writes them: no worker needs the store's disk."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar, cast

from skipbench.checks import SkipbenchError, shown
from skipbench.dask_clients import LOCAL, dask_client
from skipbench.kernels.stored.compute import TileMatrices, computed_tile, tile_inputs
from skipbench.kernels.stored.kernel import TileKernel
from skipbench.kernels.stored.plan import Tile
from skipbench.kernels.stored.resources import TileCost, check_memory
from skipbench.kernels.stored.rows import Rows

if TYPE_CHECKING:
    from distributed import Client, Future

Answer = TypeVar("Answer")

TILES_PER_WORKER = 2  # one computes, one waits: more would only hold memory, and be lost with a worker
LOOK_SECONDS = 5.0
PATIENCE_SECONDS = 60.0  # a worker's nanny needs a few for another one


def computed_on_dask(
    scheduler: str, kernel: TileKernel, tiles: Iterable[Tile], x: Rows, z: Rows | None, *, cost: TileCost, n_workers: int | None
) -> Generator[tuple[Tile, TileMatrices], None, None]:
    """All tiles on a cluster, each as soon as it is done; a dead worker's are computed again by another, nothing else is.

    scheduler: "local" or an address. Raises SkipbenchError where a tile ends one worker after another, and where the scheduler or
    every worker is lost.
    """
    with dask_client(scheduler, n_workers=n_workers) as client:
        workers = len(client.nthreads())
        check_memory(cost, workers_here=workers if scheduler == LOCAL else 0, in_flight=TILES_PER_WORKER * workers)

        def submitted(tile: Tile) -> Future:
            return _submitted(client, kernel, tile, x, z)

        yield from _collected(client, submitted, iter(tiles), TILES_PER_WORKER * workers)


def _collected(
    client: Client, submitted: Callable[[Tile], Future], tiles: Iterator[Tile], in_flight: int
) -> Iterator[tuple[Tile, TileMatrices]]:
    """Keep so many tiles in flight, and hand out each result before its successor is submitted."""
    pending: dict[Future, Tile] = {submitted(tile): tile for tile in itertools.islice(tiles, in_flight)}
    while pending:
        for future in _ended(client, list(pending)):
            tile = pending.pop(future)
            yield tile, _result(client, future, tile)
            future.release()
            for successor in itertools.islice(tiles, 1):
                pending[submitted(successor)] = successor


def _ended(client: Client, pending: list[Future]) -> set[Future]:
    """Wait for the first tiles to end."""
    from distributed import wait

    def attempt(seconds: float) -> set[Future]:
        with client.as_current():
            ended: set[Future] = wait(pending, timeout=seconds, return_when="FIRST_COMPLETED").done
        return ended

    return _patiently(client, attempt, growth=1.0)


def _patiently(client: Client, attempt: Callable[[float], Answer], *, growth: float) -> Answer:
    """Try within `LOOK_SECONDS`, and then again, but not for ever where every worker is gone and none comes back.

    growth: of the seconds from one attempt to the next, above 1 where an attempt begins again from nothing.
    """
    seconds, seen = LOOK_SECONDS, time.monotonic()
    while True:
        try:
            with _scheduler_is_there():
                return attempt(seconds)
        except TimeoutError:
            seconds *= growth
        with _scheduler_is_there():
            has_workers = bool(client.nthreads())
        seen = time.monotonic() if has_workers else seen
        if time.monotonic() - seen >= PATIENCE_SECONDS:
            raise SkipbenchError(
                f"the Dask cluster has had no worker for {PATIENCE_SECONDS:g} s: all ended, most likely for want of memory. "
                "Use a smaller tile or working_bytes, or more memory; finished tiles are kept"
            )


@contextmanager
def _scheduler_is_there() -> Iterator[None]:
    from distributed.comm import CommClosedError

    try:
        yield
    except (CommClosedError, CancelledError) as error:
        raise SkipbenchError(f"the Dask scheduler was lost ({shown(str(error))}): call again, finished tiles are kept") from error


def _submitted(client: Client, kernel: TileKernel, tile: Tile, x: Rows, z: Rows | None) -> Future:
    import dask

    key = f"tile-{tile.row}-{tile.column}-{uuid.uuid4().hex}"
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TiB"}):  # a tile's inputs are meant to travel
        return client.submit(computed_tile, kernel, *tile_inputs(tile, x, z), key=key, pure=False)


def _result(client: Client, future: Future, tile: Tile) -> TileMatrices:
    """The numbers of a tile that has ended; computed again where its worker dies before it hands them over."""
    from distributed import KilledWorker

    try:
        return _patiently(client, lambda seconds: cast(TileMatrices, future.result(timeout=seconds)), growth=2.0)
    except KilledWorker as error:
        raise SkipbenchError(
            f"tile ({tile.row}, {tile.column}) ended every worker that tried it, most likely for want of memory: "
            "use a smaller tile or working_bytes, or fewer workers; finished tiles are kept"
        ) from error
