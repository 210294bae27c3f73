"""Inputs that may be larger than memory: a few rows at a time, and a hash of all of them."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skipbench.architecture import Architecture
from skipbench.kernels.inputs import Inputs

_HASHED_BYTES = 2**24


class Rows:
    """Inputs (n, d) or (n, channels, height, width): a numpy array or memmap, a torch tensor, or anything sliced like one."""

    def __init__(self, values: Any, arch: Architecture, *, name: str, dtype: torch.dtype) -> None:
        self._values, self._arch, self._name, self.dtype = values, arch, name, dtype
        self.head = self._checked(0, 0)

    def __len__(self) -> int:
        return int(self._values.shape[0])

    @property
    def row_bytes(self) -> int:
        """Bytes of one input in the kernel's dtype."""
        return int(np.prod(self.head.shape)) * self.dtype.itemsize

    def array(self, start: int, stop: int) -> np.ndarray:
        """Rows start..stop as the kernel sees them, in its dtype. Raises SkipbenchError where one is not finite."""
        values: np.ndarray = self._checked(start, stop).rows(0, stop - start).numpy()
        return values

    def digest(self) -> str:
        """A hash (32 hexadecimal digits) of contents, shape and dtype as the kernel sees them; reads every row once, and checks it."""
        found = hashlib.blake2b(f"{len(self)} {self.head.shape} {self.dtype}".encode(), digest_size=16)
        step = max(1, _HASHED_BYTES // self.row_bytes)
        for start in range(0, len(self), step):
            values = self.array(start, min(start + step, len(self)))
            found.update(np.ascontiguousarray(values + 0.0).data)  # + 0.0 turns -0.0 into 0.0
        return found.hexdigest()

    def _checked(self, start: int, stop: int) -> Inputs:
        part = self._values[start:stop] if len(self._values.shape) else self._values
        part = part if isinstance(part, Tensor) else np.asarray(part)
        return Inputs(part, self._arch, name=self._name, dtype=self.dtype, device=torch.device("cpu"), first_row=start)
