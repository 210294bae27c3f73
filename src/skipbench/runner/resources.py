"""What a run may use: how many cells at once, and the threads and memory of each, on this machine or on a Dask cluster."""

from __future__ import annotations

import importlib.metadata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from skipbench.checks import SkipbenchError
from skipbench.environment import available_cores

if TYPE_CHECKING:
    from distributed import Client

    from skipbench.runner.dask_workers import WorkerFacts

_MEMORY_SHARE = 0.9


@dataclass(frozen=True)
class Resources:
    """Cells at once; threads and bytes for each; and the device on which they run."""

    jobs: int
    threads: int
    bytes: int
    device: str


def machine_resources(jobs: int | None, groups: int, device: str) -> Resources:
    """This machine's, in equal parts for `jobs` workers: without it one for each core, or one for a GPU, and no more than groups."""
    if jobs is None:
        jobs = max(1, min(available_cores() if device == "cpu" else 1, groups))
    elif jobs < 1:
        raise SkipbenchError(f"--jobs {jobs}: a run needs at least 1 worker")
    memory = int(psutil.virtual_memory().total * _MEMORY_SHARE / jobs)
    return Resources(jobs, max(1, available_cores() // jobs), memory, device)


def cluster_resources(client: Client, device: str) -> Resources:
    """Those of a Dask cluster: a cell for each thread of its workers, and for each cell what the smallest machine can give.

    Threads are the same everywhere, since sums in float depend on how they are split. Raises SkipbenchError for a worker without this
    version of skipbench or without the device.
    """
    facts = _facts(client, device)
    hosts = {address: info["host"] for address, info in client.scheduler_info(n_workers=-1)["workers"].items()}
    slots_on: Counter[str] = Counter()
    cores_on: dict[str, int] = {}
    for address, fact in facts.items():
        host = hosts.get(address, address)
        slots_on[host] += fact.slots
        cores_on[host] = fact.cores
    return Resources(
        jobs=slots_on.total(),
        threads=max(1, min(cores // slots_on[host] for host, cores in cores_on.items())),
        bytes=min(fact.bytes_per_slot for fact in facts.values()),
        device=next(iter(facts.values())).device,
    )


def _facts(client: Client, device: str) -> Mapping[str, WorkerFacts]:
    """What each worker says of itself; the first that cannot run cells is named."""
    from skipbench.runner.dask_workers import worker_facts

    own = importlib.metadata.version("skipbench")
    answers = client.run(worker_facts, device, on_error="return")
    facts: dict[str, WorkerFacts] = {}
    for address, answer in answers.items():
        if isinstance(answer, Exception):
            said = str(answer) if isinstance(answer, SkipbenchError) else f"{type(answer).__name__}: {answer}"
            raise SkipbenchError(f"Dask worker {address} cannot run cells: {said}. Every worker needs skipbench {own}")
        if answer.version != own:
            raise SkipbenchError(f"Dask worker {address} has skipbench {answer.version}, but this is {own}: install the same everywhere")
        facts[address] = answer
    devices = sorted({fact.device for fact in facts.values()})
    if len(devices) != 1:
        found = " and ".join(devices) or "nothing"
        raise SkipbenchError(f"--device {device} is {found} on the workers of this cluster: name one that all have")
    return facts
