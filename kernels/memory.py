"""Kernel matrices that several cells need, computed once: an NNGP and an NTK method ask for the same pair, a depth sweep for one pass."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from skipbench.architecture import Architecture
from skipbench.kernels.depth_sweeps import on_the_way
from skipbench.kernels.kernel_matrices import Engine, kernel_matrices

CAPACITY_BYTES = 2**31
_PASSES_AT_ONCE = 4

_Key: TypeAlias = tuple[str, ...]  # the architecture's key, then that of everything else


@dataclass(frozen=True, slots=True, eq=False)
class _Pass:
    """Pairs of matrices that were computed together: they lie in one piece of memory, so they are kept and dropped together."""

    pairs: dict[_Key, tuple[Tensor, Tensor]]
    seconds: float

    @property
    def bytes(self) -> int:
        return sum(matrix.numel() * matrix.element_size() for pair in self.pairs.values() for matrix in pair)


def fitting_pairs(n: int, m: int, dtype: torch.dtype, capacity_bytes: int = CAPACITY_BYTES) -> int:
    """How many pairs of n × m matrices one pass may hold, at least 1: a quarter of the capacity.

    The same networks are asked for on four pairs of inputs (training rows with themselves, and validation, test and training rows with
    them), and what one pass holds for a later network must still be there after the others.
    """
    return max(1, capacity_bytes // _PASSES_AT_ONCE // max(1, 2 * n * m * dtype.itemsize))


class KernelMemory:
    """Remembers the last pairs of kernel matrices, at most `capacity_bytes` of them; a drop-in for `kernel_matrices`.

    Once `expect` has announced architectures, the shallower ones of a depth sweep are computed on the way to the first that is asked
    for. A kernel that came out of a pass to a deeper network may differ from one computed by itself by rounding: the fused engine gives
    equal float64 bits for vectors and the readout `eq`; with `tr` and `gap` entries were seen to differ by up to 5e-15 of themselves.
    Copies and scikit-learn clones share the memory. What is returned is shared too: do not write into it.
    """

    def __init__(self, capacity_bytes: int = CAPACITY_BYTES) -> None:
        self.capacity_bytes = capacity_bytes
        self.hits = 0
        self.misses = 0
        self.seconds_spared = 0.0
        self._expected: tuple[Architecture, ...] = ()
        self._paid: set[_Key] = set()
        self._passes: OrderedDict[_Pass, None] = OrderedDict()  # the one that was used last at the end
        self._found_in: dict[_Key, _Pass] = {}

    def new_consumer(self) -> None:
        """From here on `seconds_spared` counts what passes computed before have spared the consumer, each once."""
        self.seconds_spared = 0.0
        self._paid.clear()

    def expect(self, archs: Iterable[Architecture]) -> None:
        """Announce which architectures will be asked for from here on, on the same inputs; what was announced before no longer counts.

        Name the deepest first: a request for one of them also computes those on its way (see `on_the_way`), in the order given, as many
        as `fitting_pairs` allows.
        """
        self._expected = tuple(dict.fromkeys(archs))

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
        rest = (_digest(x), "" if z is None else _digest(z), str(dtype), str(device), engine)
        key = (arch.key, *rest)
        found = self._found_in.get(key)
        if found is None:
            self.misses += 1
            archs = (arch, *self._companions(arch, x, z, rest, dtype=dtype, device=device, engine=engine))
            start = time.perf_counter()
            depths = [each.depth for each in archs]
            nngp, ntk = kernel_matrices(arch, x, z, dtype=dtype, device=device, engine=engine, depths=depths)
            pairs: dict[_Key, tuple[Tensor, Tensor]] = {
                (each.key, *rest): pair for each, pair in zip(archs, zip(nngp, ntk, strict=True), strict=True)
            }
            found = _Pass(pairs, time.perf_counter() - start)
            self._keep(found)
        else:
            self.hits += 1
            self.seconds_spared += 0.0 if key in self._paid else found.seconds
            self._passes.move_to_end(found)
        self._paid.update(found.pairs)
        return found.pairs[key]

    def _companions(
        self, arch: Architecture, x: Any, z: Any, rest: _Key, *, dtype: torch.dtype, device: str | torch.device, engine: Engine
    ) -> tuple[Architecture, ...]:
        """What is expected besides this one, is not there, can be computed on the way to it, and fits."""
        if arch not in self._expected:
            return ()
        missing = [other for other in self._expected if (other.key, *rest) not in self._found_in]
        n_pairs = fitting_pairs(len(x), len(x if z is None else z), dtype, self.capacity_bytes)
        return on_the_way(arch, missing, dtype=dtype, device=device, engine=engine)[: n_pairs - 1]

    def _keep(self, computed: _Pass) -> None:
        """Keep a pass, and drop those that were not used for longest until there is room."""
        if computed.bytes > self.capacity_bytes:
            return
        self._passes[computed] = None
        self._found_in.update(dict.fromkeys(computed.pairs, computed))
        while sum(kept.bytes for kept in self._passes) > self.capacity_bytes:
            dropped, _ = self._passes.popitem(last=False)
            for key in dropped.pairs:
                del self._found_in[key]

    def __deepcopy__(self, memo: dict[int, Any]) -> KernelMemory:
        return self

    def __sklearn_clone__(self) -> KernelMemory:
        return self


def _digest(values: Any) -> str:
    array = np.ascontiguousarray(values.detach().cpu().numpy() if isinstance(values, Tensor) else values)
    head = f"{array.shape}{array.dtype}".encode()
    return hashlib.blake2b(head + array.tobytes(), digest_size=16).hexdigest()
