"""The two sets of inputs of a kernel matrix: checked once, converted a few rows at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skipbench.architecture import Architecture
from skipbench.checks import SkipbenchError, shown

_CHUNK_BYTES = 2**24


class Inputs:
    """Rows of vectors (n, d) or images (n, channels, height, width), kept as given: a converted copy would grow with n."""

    def __init__(self, values: Any, arch: Architecture, *, name: str, dtype: torch.dtype, device: torch.device) -> None:
        self._values = _as_tensor(values, name)
        self.dtype, self.device = dtype, device
        _check_shape(self._values, arch, name)
        self.identities = np.empty(len(self), dtype="S16")
        for start, rows in self._chunks():
            self._identify(start, rows, name)

    def __len__(self) -> int:
        return int(self._values.shape[0])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input: (d,) or (channels, height, width)."""
        return tuple(self._values.shape[1:])

    def rows(self, start: int, stop: int) -> Tensor:
        """Rows start..stop in the kernel's dtype, on its device."""
        return self._values[start:stop].to(device=self.device, dtype=self.dtype)

    def _chunks(self) -> Iterator[tuple[int, Tensor]]:
        row_bytes = max(1, int(np.prod(self.shape))) * self.dtype.itemsize
        step = max(1, _CHUNK_BYTES // row_bytes)
        for start in range(0, len(self), step):
            yield start, self._values[start : start + step].to(device="cpu", dtype=self.dtype)

    def _identify(self, start: int, rows: Tensor, name: str) -> None:
        """Refuse values that are not finite, and note a digest of each row: equal rows have correlation exactly 1."""
        finite = torch.isfinite(rows).flatten(1).all(dim=1)
        if not bool(finite.all()):
            row = start + int(torch.nonzero(~finite)[0])
            raise SkipbenchError(
                f"{name}: row {row} holds NaN or infinite values (in {self.dtype}); a kernel needs finite inputs: remove or impute them"
            )
        for offset, row_values in enumerate((rows + 0.0).flatten(1).numpy()):  # + 0.0 turns -0.0 into 0.0
            digest = hashlib.blake2b(row_values.tobytes(), digest_size=15).digest()
            self.identities[start + offset] = digest + b"\x01"  # numpy strips trailing zero bytes


def _as_tensor(values: Any, name: str) -> Tensor:
    if isinstance(values, Tensor):
        tensor = values.detach()
    else:
        array = np.asarray(values)
        if array.dtype.kind not in "biuf":
            raise SkipbenchError(f"{name}: dtype {array.dtype}, but a kernel needs real numbers: convert it to float32 or float64")
        if array.dtype.kind == "f" and array.dtype.itemsize > 8:
            array = array.astype(np.float64)
        tensor = torch.from_numpy(np.ascontiguousarray(array) if array.flags.writeable else array.copy())
    if tensor.is_complex():
        raise SkipbenchError(f"{name}: dtype {tensor.dtype}, but a kernel needs real numbers")
    return tensor


def _check_shape(values: Tensor, arch: Architecture, name: str) -> None:
    shape = tuple(values.shape)
    family = type(arch).__name__
    if arch.is_convolutional and values.ndim != 4:
        found = "vectors" if values.ndim == 2 else "this"
        raise SkipbenchError(
            f"{name}: shape {shape}, but {family} needs images (n, channels, height, width) and {found} has none: "
            "use MLP, ResMLP or DenseMLP, or give images"
        )
    if not arch.is_convolutional and values.ndim != 2:
        found = "images; flatten them, or use CNN or ResCNN" if values.ndim == 4 else "something else"
        raise SkipbenchError(f"{name}: shape {shape}, but {family} needs vectors (n, d) and this is {found}")
    if 0 in shape[1:]:
        raise SkipbenchError(f"{name}: shape {shape}, but no side of an input may be 0")


def check_same_shape(x: Inputs, z: Inputs) -> None:
    """Refuse to compare inputs of different shape."""
    if x.shape != z.shape:
        raise SkipbenchError(f"x has inputs of shape {x.shape} and z of shape {shown(z.shape)}: a kernel compares inputs of one shape")
