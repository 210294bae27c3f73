"""Kernel matrices that several cells need, computed once: an NNGP and an NTK method ask for the same pair."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skipbench.architecture import Architecture
from skipbench.kernels.kernel_matrices import Engine, kernel_matrices

CAPACITY_BYTES = 2**31


@dataclass(frozen=True, slots=True)
class _Entry:
    nngp: Tensor
    ntk: Tensor
    seconds: float

    @property
    def bytes(self) -> int:
        return 2 * self.nngp.numel() * self.nngp.element_size()


class KernelMemory:
    """Remembers the last pairs of kernel matrices, at most `capacity_bytes` of them; a drop-in for `kernel_matrices`.

    Copies and scikit-learn clones share the memory. What is returned is shared too: do not write into it.
    """

    def __init__(self, capacity_bytes: int = CAPACITY_BYTES) -> None:
        self.capacity_bytes = capacity_bytes
        self.hits = 0
        self.misses = 0
        self.seconds_spared = 0.0
        self._used: set[tuple[str, ...]] = set()
        self._entries: OrderedDict[tuple[str, ...], _Entry] = OrderedDict()

    def new_consumer(self) -> None:
        """From here on `seconds_spared` counts what matrices computed before have spared the consumer, each once."""
        self.seconds_spared = 0.0
        self._used.clear()

    def kernel_matrices(
        self,
        arch: Architecture,
        x: Any,
        z: Any = None,
        *,
        dtype: torch.dtype = torch.float64,
        device: str | torch.device = "cpu",
        engine: Engine = "auto",
    ) -> tuple[Tensor, Tensor]:
        """As `skipbench.kernels.kernel_matrices`, from memory where the same matrices were computed before."""
        key = (arch.key, _digest(x), "" if z is None else _digest(z), str(dtype), str(device), engine)
        entry = self._entries.get(key)
        if entry is None:
            self.misses += 1
            start = time.perf_counter()
            nngp, ntk = kernel_matrices(arch, x, z, dtype=dtype, device=device, engine=engine)
            entry = _Entry(nngp, ntk, time.perf_counter() - start)
            self._keep(key, entry)
        else:
            self.hits += 1
            self.seconds_spared += 0.0 if key in self._used else entry.seconds
            self._entries.move_to_end(key)
        self._used.add(key)
        return entry.nngp, entry.ntk

    def _keep(self, key: tuple[str, ...], entry: _Entry) -> None:
        if entry.bytes > self.capacity_bytes:
            return
        self._entries[key] = entry
        while sum(kept.bytes for kept in self._entries.values()) > self.capacity_bytes:
            self._entries.popitem(last=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> KernelMemory:
        return self

    def __sklearn_clone__(self) -> KernelMemory:
        return self


def _digest(values: Any) -> str:
    array = np.ascontiguousarray(values.detach().cpu().numpy() if isinstance(values, Tensor) else values)
    head = f"{array.shape}{array.dtype}".encode()
    return hashlib.blake2b(head + array.tobytes(), digest_size=16).hexdigest()
