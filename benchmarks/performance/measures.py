"""What the benchmark classes share: how often asv repeats, the unit of a tracked number, and counts that are the same on every run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

Tracked = TypeVar("Tracked", bound=Callable[..., Any])

CONDITION_NUMBER = "condition number"
ELEMENTS = "elements"
ITERATIONS = "iterations"
LOSS = "loss"
ROUNDING_ERROR = "rounding error"  # relative; moves with a processor's instruction set, so the gate is wider for it
BYTES = "bytes"
SECONDS_RATIO = "ratio of seconds"  # of two ways to do the same, in turns in one process: near the same on each run, but not the same


class Repeated:
    """How asv times: a first call is made in `setup`, outside the clock, so that one process and a few single calls are enough."""

    rounds: ClassVar[int] = 1
    repeat: ClassVar[tuple[int, int, float]] = (3, 8, 0.5)
    number: ClassVar[int] = 1
    warmup_time: ClassVar[float] = 0.0
    timeout: ClassVar[float] = 60.0


def in_unit(unit: str) -> Callable[[Tracked], Tracked]:
    """Mark a `track_` method with the unit that asv stores."""

    def mark(tracked: Tracked) -> Tracked:
        setattr(tracked, "unit", unit)  # noqa: B010 - a plain assignment is no attribute of a function to mypy
        return tracked

    return mark


class _Elements(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the elements of every tensor that torch computes; a view computes none."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.count += sum(part.numel() for part in (result if isinstance(result, tuple | list) else (result,)) if torch.is_tensor(part))
        return result


def elements_computed(work: Callable[[], object]) -> int:
    """Elements of all tensors that torch's operations write during `work()`: what a pass too many shows in, whatever the machine.

    What numba or a GPU kernel writes is not seen, only its result.
    """
    elements = _Elements()
    with elements:
        work()
    return elements.count


def largest_relative_difference(found: Tensor, expected: Tensor) -> float:
    """max |found - expected| / max |expected|, in float64."""
    return float((found.double() - expected.double()).abs().max() / expected.double().abs().max())


def largest_kernel_error(found: Tensor, expected: Tensor) -> float:
    """max |dK_ij| / sqrt(K_ii K_jj) of two Gram matrices: entries far off the diagonal make an elementwise relative error meaningless."""
    scale = expected.double().diagonal().sqrt()
    return float(((found.double() - expected.double()).abs() / (scale[:, None] * scale)).max())
