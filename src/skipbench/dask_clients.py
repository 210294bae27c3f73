"""Worker processes by Dask: on this machine, or behind the address of a scheduler that runs already.

The only module that starts or meets a cluster; `distributed` is imported when it is asked for, since it is an extra.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from skipbench.checks import SkipbenchError, shown

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

LOCAL = "local"
CONNECT_SECONDS = 10.0
FIRST_WORKER_SECONDS = 60.0
_PROTOCOLS = ("tcp", "tls", "ucx")

# Both OpenMP libraries, the BLAS behind numpy, and numba, whose thread count raises torch's: all of them, or cores are oversubscribed.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


@contextmanager
def dask_client(scheduler: str, *, n_workers: int | None = None, threads_per_worker: int = 1) -> Iterator[Client]:
    """A client of a Dask cluster, closed at the end of the `with` block together with the worker processes it started.

    scheduler: "local", worker processes on this machine; or an address such as "tcp://host:8786", whose workers stay as they are: the
    two arguments below are then not used, and they need skipbench installed. n_workers: processes; None takes as many as the cores
    hold. threads_per_worker: threads of torch, numba and BLAS in one worker, which runs one task at a time; with the default of 1 a task's
    result does not depend on how many cores the machine has.
    Raises SkipbenchError where Dask is not installed, no scheduler answers at the address, or it has no workers.
    """
    _refuse_without_dask()
    _check_counts(n_workers, threads_per_worker)
    with ExitStack() as stack:
        if scheduler == LOCAL:
            cluster = stack.enter_context(_local_cluster(n_workers, threads_per_worker))
            yield stack.enter_context(_connected(cluster))
        else:
            client = stack.enter_context(_connected(_checked_address(scheduler)))
            _await_first_worker(client, scheduler)
            yield client


def _refuse_without_dask() -> None:
    if find_spec("distributed") is None:
        raise SkipbenchError('Dask is not installed, and scheduler= needs it: pip install "skipbench[dask]", or leave scheduler out')


def _check_counts(n_workers: int | None, threads_per_worker: int) -> None:
    for name, value in (("n_workers", n_workers), ("threads_per_worker", threads_per_worker)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise SkipbenchError(f"{name}={shown(value)}, but at least one is needed: give a whole number from 1")


def _checked_address(scheduler: str) -> str:
    try:
        parts = urlsplit(scheduler)
        is_address = parts.scheme in _PROTOCOLS and bool(parts.hostname) and parts.port is not None
    except (ValueError, AttributeError, TypeError):  # a port that is no number; not a string
        is_address = False
    if not is_address:
        raise SkipbenchError(
            f'scheduler={shown(scheduler)} is no scheduler: use "{LOCAL}" for worker processes on this machine, '
            'or the address of a running one, such as "tcp://host:8786"'
        )
    return scheduler


@contextmanager
def _local_cluster(n_workers: int | None, threads_per_worker: int) -> Iterator[LocalCluster]:
    """Worker processes of one task slot each; their libraries' threads are set by the environment they start in."""
    from dask.system import CPU_COUNT
    from distributed import LocalCluster

    count = max(1, CPU_COUNT // threads_per_worker) if n_workers is None else n_workers
    before = dict(os.environ)
    try:
        with LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",  # any free port: a fixed one warns where two clusters run
            silence_logs=logging.ERROR,
            env=dict.fromkeys(_THREAD_VARIABLES, str(threads_per_worker)),
        ) as cluster:
            yield cluster
    except RuntimeError as error:
        if "Nanny" not in str(error) and "bootstrapping" not in str(error):
            raise
        raise SkipbenchError(
            f"Dask's worker processes did not start ({shown(str(error))}): a script that starts them calls its work "
            "under `if __name__ == '__main__':`, since every worker imports the script"
        ) from error
    finally:
        _restore_threads(before)


def _restore_threads(before: dict[str, str]) -> None:
    """Take back what Dask put into this process's own environment for its children (OMP_NUM_THREADS=1 and its like)."""
    for name in (*_THREAD_VARIABLES, "MALLOC_TRIM_THRESHOLD_", "PYTHONHASHSEED", "__DASK_PARENT_PID"):
        if name in before:
            os.environ[name] = before[name]
        else:
            os.environ.pop(name, None)


@contextmanager
def _connected(target: str | LocalCluster) -> Iterator[Client]:
    """A client that does not become Dask's default one: `as_completed` needs `loop=client.loop`."""
    from distributed import Client

    try:
        client = Client(target, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, ImportError) as error:
        raise SkipbenchError(
            f"no Dask scheduler answers at {shown(str(target))} ({shown(str(error))}): start one with `dask scheduler` and workers with "
            f'`dask worker ADDRESS`, check the address, or use "{LOCAL}"'
        ) from error
    with client:
        yield client


def _await_first_worker(client: Client, scheduler: str) -> None:
    """A cluster without workers takes tasks and never runs them."""
    try:
        client.wait_for_workers(1, timeout=FIRST_WORKER_SECONDS)
    except TimeoutError as error:
        raise SkipbenchError(
            f"the Dask scheduler at {scheduler} had no worker for {FIRST_WORKER_SECONDS:g} s: start some with `dask worker {scheduler}` "
            "(an adaptive cluster needs a minimum of one)"
        ) from error
