"""The two sets of inputs of a kernel matrix: checked once, converted a few rows at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skipbench.architecture import Architecture
from skipbench.checks import SkipbenchError, shown

_CHUNK_BYTES = 2**19  # a second-level cache holds it and its copy


class Inputs:
    """Rows of vectors (n, d) or images (n, channels, height, width), kept as given: a converted copy would grow with n."""

    def __init__(self, values: Any, arch: Architecture, *, name: str, dtype: torch.dtype, device: torch.device, first_row: int = 0) -> None:
        """first_row: the number of the first row in a larger set of inputs, for messages."""
        self._values = _as_tensor(values, name)
        self.dtype, self.device, self._first_row = dtype, device, first_row
        _check_shape(self._values, arch, name)
        self.checksums = np.empty(len(self), dtype=np.uint64)
        for start, rows in self._chunks():
            self._check(start, rows, name)

    def __len__(self) -> int:
        return int(self._values.shape[0])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input: (d,) or (channels, height, width)."""
        return tuple(self._values.shape[1:])

    def rows(self, start: int, stop: int) -> Tensor:
        """Rows start..stop in the kernel's dtype, on its device."""
        return self._values[start:stop].to(device=self.device, dtype=self.dtype)

    def digests(self, numbers: NDArray[np.int64]) -> NDArray[np.bytes_]:
        """A digest of each of some rows, in the kernel's dtype; 0.0 and -0.0 are one value."""
        found = np.empty(len(numbers), dtype="S16")
        for place, number in enumerate(numbers):
            row = self._converted(int(number), int(number) + 1)
            found[place] = hashlib.blake2b(row.tobytes(), digest_size=15).digest() + b"\x01"  # numpy strips trailing zero bytes
        return found

    def _chunks(self) -> Iterator[tuple[int, NDArray[Any]]]:
        row_bytes = max(1, int(np.prod(self.shape))) * self.dtype.itemsize
        step = max(1, _CHUNK_BYTES // row_bytes)
        for start in range(0, len(self), step):
            yield start, self._converted(start, start + step)

    def _converted(self, start: int, stop: int) -> NDArray[Any]:
        rows: NDArray[Any] = self._values[start:stop].to(device="cpu", dtype=self.dtype).flatten(1).numpy()
        return rows + 0.0  # turns -0.0 into 0.0

    def _check(self, start: int, rows: NDArray[Any], name: str) -> None:
        """Refuse values that are not finite, and note the sum of every row's bits."""
        finite = np.isfinite(rows)
        if not finite.all():
            row = self._first_row + start + int(np.flatnonzero(~finite.all(axis=1))[0])
            raise SkipbenchError(
                f"{name}: row {row} holds NaN or infinite values (in {self.dtype}); a kernel needs finite inputs: remove or impute them"
            )
        words = rows.view(np.uint32 if rows.itemsize == 4 else np.uint64)
        self.checksums[start : start + len(rows)] = words.sum(axis=1, dtype=words.dtype)  # a wider sum takes four times as long


def identity_codes(x: Inputs, z: Inputs) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A number for every row of x and of z, equal where the inputs are: (n,) and (m,). Equal inputs have correlation exactly 1.

    Rows whose sums of bits differ are different; the others, few as a rule, are told apart by digests.
    """
    sides = (x,) if z is x else (x, z)
    sums, codes, counts = np.unique(np.concatenate([side.checksums for side in sides]), return_inverse=True, return_counts=True)
    shared = np.flatnonzero(counts[codes] > 1)
    if len(shared):
        digests = [x.digests(shared[shared < len(x)]), *(side.digests(shared[shared >= len(x)] - len(x)) for side in sides[1:])]
        codes[shared] = len(sums) + np.unique(np.concatenate(digests), return_inverse=True)[1]
    return codes[: len(x)], codes if z is x else codes[len(x) :]


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
