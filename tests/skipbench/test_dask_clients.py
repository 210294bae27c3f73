"""Clients of Dask: local workers that keep to their threads, addresses that answer or are refused in time."""

from __future__ import annotations

import os
import re
import sys
import time
from typing import Any

import pytest

from skipbench import dask_clients
from skipbench.checks import SkipbenchError
from skipbench.dask_clients import dask_client

distributed = pytest.importorskip("distributed", reason="the extra `dask` is not installed")


def test_local_workers_are_processes_with_the_threads_that_were_asked_for_and_end_with_the_block() -> None:
    def thread_counts() -> tuple[int, int]:  # inside the test, so that it travels by value: workers do not import this module
        import numba
        import torch

        return torch.get_num_threads(), numba.get_num_threads()

    before = dict(os.environ)
    with dask_client("local", n_workers=2, threads_per_worker=1) as client:
        assert set(client.nthreads().values()) == {1}  # one task at a time
        processes = client.run(os.getpid)
        assert len(set(processes.values()) - {os.getpid()}) == 2
        assert client.submit(thread_counts).result() == (1, 1)
        with dask_client(client.scheduler.address) as second:
            assert second.submit(os.getpid).result() in processes.values()
        assert len(client.nthreads()) == 2  # a second client's end leaves the cluster alone
    for number in processes.values():
        with pytest.raises(ProcessLookupError):
            os.kill(number, 0)
    assert dict(os.environ) == before


@pytest.mark.parametrize("address", ["", "locl", "127.0.0.1:8786", "tcp://", "tcp://host", "tcp://host:port", "http://host:80", 8786, None])
def test_what_is_no_scheduler_is_refused(address: Any) -> None:
    with pytest.raises(SkipbenchError, match=re.escape('use "local" for worker processes on this machine')), dask_client(address):
        pass


def test_an_address_where_nobody_answers_is_refused_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_clients, "CONNECT_SECONDS", 0.5)
    start = time.monotonic()
    with pytest.raises(SkipbenchError, match=r"no Dask scheduler answers at 'tcp://127\.0\.0\.1:9'"), dask_client("tcp://127.0.0.1:9"):
        pass
    assert time.monotonic() - start < 10


def test_a_scheduler_without_workers_is_refused_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_clients, "FIRST_WORKER_SECONDS", 0.5)
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0", silence_logs=50) as cluster,
        pytest.raises(SkipbenchError, match=r"had no worker for 0\.5 s"),
        dask_client(cluster.scheduler_address),
    ):
        pass


def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_clients, "find_spec", lambda name: None)
    with pytest.raises(SkipbenchError, match=re.escape('pip install "skipbench[dask]"')), dask_client("local"):
        pass


@pytest.mark.parametrize("counts", [{"n_workers": 0}, {"threads_per_worker": 0}, {"n_workers": 1.5}, {"n_workers": True}])
def test_counts_below_one_are_refused(counts: dict[str, Any]) -> None:
    with pytest.raises(SkipbenchError, match=f"{next(iter(counts))}=.*at least one is needed"), dask_client("local", **counts):
        pass


def test_importing_skipbench_does_not_import_dask() -> None:
    import subprocess

    code = "import sys, skipbench.dask_clients, skipbench.kernels; print({'distributed', 'dask', 'zarr'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
