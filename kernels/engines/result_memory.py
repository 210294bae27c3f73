"""Memory for kernel matrices and other large arrays: in large pages, and used again when an array is gone.

The first write to new memory makes the system clear it, which takes longer than to fill it with a fully connected kernel; and a program
that compares kernels asks for the same sizes again and again. So the memory of a result that nobody refers to any more is kept for the
next one, up to `KEPT_BYTES`, and the system is told that it may take it back any time.
"""

from __future__ import annotations

import mmap
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

KEPT_BYTES = 2**29
_PAGE, _LINE = 2**21, 64  # bytes of a large page of memory and of a cache line

_kept: list[mmap.mmap] = []  # the oldest first; results end in any thread, so only steps that nothing interrupts change it


class _Lease(np.ndarray[Any, Any]):
    """Memory in use: every array that shares it, and every tensor, keeps this one alive."""


def result_array(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """An array, not initialised, that begins where a large page of memory does, a small one at a cache line.

    numpy asks for large pages, but what lies before the first and behind the last of them comes in small ones, a thousand faults a matrix:
    up to half of the time of a shallow kernel. What is added on both sides is never touched.
    """
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if count < _PAGE or not hasattr(mmap, "MAP_PRIVATE"):
        raw = np.empty(count + _LINE, dtype=np.uint8)
        start = -raw.ctypes.data % _LINE
        small: NDArray[Any] = raw[start : start + count].view(dtype).reshape(shape)
        return small
    size = -(-count // _PAGE) * _PAGE + _PAGE
    memory = _take(size) or _new(size)
    lease = _Lease((count,), np.uint8, buffer=memory, offset=-np.frombuffer(memory, np.uint8).ctypes.data % _PAGE)
    weakref.finalize(lease, _keep, memory).atexit = False
    array: NDArray[Any] = lease.view(np.ndarray).view(dtype).reshape(shape)
    return array


def _new(size: int) -> mmap.mmap:
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    _advise(memory, "MADV_HUGEPAGE")
    return memory


def _take(size: int) -> mmap.mmap | None:
    """Kept memory of this size."""
    for memory in _kept.copy():
        if len(memory) == size:
            try:
                _kept.remove(memory)
            except ValueError:  # another thread has taken it
                continue
            return memory
    return None


def _keep(memory: mmap.mmap) -> None:
    """Keep the memory of a result that has ended, and let go of the oldest beyond what is allowed."""
    if len(memory) > KEPT_BYTES:
        return
    _advise(memory, "MADV_FREE")
    _kept.append(memory)
    while sum(map(len, _kept.copy())) > KEPT_BYTES:
        _kept.pop(0)


def _advise(memory: mmap.mmap, advice: str) -> None:
    """Tell the system how memory is used, where it listens to this advice."""
    if hasattr(mmap, advice):
        memory.madvise(getattr(mmap, advice))
