"""Where a run takes place: enough to compare times fairly, nothing that names a person, a host or a folder."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
from functools import lru_cache
from pathlib import Path

import psutil
import threadpoolctl
import torch

from skipbench.results.record import Environment, MachineThreads, Source

_DECIDING_PACKAGES = ("numpy", "pandas", "pytorch-lightning", "scikit-learn", "scipy", "skipbench", "torch")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def current_environment() -> Environment:
    """This machine and this process's threads."""
    cpu, cores = _cpu_name(), available_cores()
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return Environment(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        cpu=cpu,
        cores=cores,
        memory_bytes=psutil.virtual_memory().total,
        gpu=gpu,
        packages={name: importlib.metadata.version(name) for name in _DECIDING_PACKAGES},
        threads=_threads(),
        machine_class=hashlib.sha256(f"{cpu}|{cores}|{gpu}".encode()).hexdigest()[:12],
    )


def available_cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def thread_variables(threads: int) -> dict[str, str]:
    """Environment variables that hold a new process, and every library in it, to this many threads."""
    return {name: str(threads) for name in _THREAD_VARIABLES}


@lru_cache(maxsize=1)
def source() -> Source:
    """The version, and the commit where the working folder is skipbench's own checkout."""
    version = importlib.metadata.version("skipbench")
    top = _git("rev-parse", "--show-toplevel")
    if top is None or not (Path(top) / "src" / "skipbench" / "architecture.py").is_file():
        return Source(version=version)
    return Source(version=version, git_commit=_git("rev-parse", "HEAD"), dirty=bool(_git("status", "--porcelain", "--untracked-files=no")))


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _threads() -> MachineThreads:
    pools = threadpoolctl.threadpool_info()
    counts = {kind: [pool["num_threads"] for pool in pools if pool["user_api"] == kind] for kind in ("blas", "openmp")}
    return MachineThreads(
        torch=torch.get_num_threads(),
        blas=max(counts["blas"], default=None),
        openmp=max(counts["openmp"], default=None),
    )


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
