"""From tiles to whole matrices: the order of the work, and the last steps that every engine shares."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from skipbench.architecture import Architecture
from skipbench.checks import SkipbenchError
from skipbench.kernels.recursions import growth


@dataclass(frozen=True, slots=True)
class Span:
    """Rows start..stop of the inputs."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def tiles(n: int, m: int, side: int, *, symmetric: bool) -> Iterator[tuple[Span, Span]]:
    """Rows and columns of every tile; of a symmetric matrix those on and above the diagonal."""
    for row in range(0, n, side):
        for column in range(row if symmetric else 0, m, side):
            yield Span(row, min(row + side, n)), Span(column, min(column + side, m))


def write_tile(matrix: Tensor, rows: Span, columns: Span, values: Tensor, *, symmetric: bool) -> None:
    """Put one tile in its place, and where both sides are the same set its mirror image: from the upper triangle alone on the diagonal."""
    if symmetric and rows == columns:
        values = values.triu() + values.triu(1).T
    matrix[rows.start : rows.stop, columns.start : columns.stop] = values
    if symmetric and rows != columns:
        matrix[columns.start : columns.stop, rows.start : rows.stop] = values.T


def scaled(arch: Architecture, values: Tensor, dtype: torch.dtype, *, normalised: bool) -> Tensor:
    """Multiply by the growth that the recursion left out; a value beyond the dtype's range is an error, not an infinity."""
    left_out = growth(arch)
    result = values
    if not normalised and left_out.blocks:
        for half in (left_out.blocks // 2, left_out.blocks - left_out.blocks // 2):
            result = result * _power(left_out.base, half)
    finished = result.to(dtype)
    if not bool(torch.isfinite(finished).all()):
        raise out_of_range(arch, dtype)
    return finished


def growth_factor(arch: Architecture, depth: int) -> float:
    """(1 + α²)^depth of a residual network, infinite beyond float64; 1 for the others."""
    left_out = growth(arch)
    return _power(left_out.base, depth) if left_out.blocks else 1.0


def out_of_range(arch: Architecture, dtype: torch.dtype) -> SkipbenchError:
    """The refusal of kernel values that a dtype does not hold."""
    return SkipbenchError(
        f"{arch.label}: kernel values leave the range of {dtype} at this depth; "
        "use normalised=True (both matrices divided by (1 + alpha^2)^depth), "
        'a smaller alpha such as "L^-0.5", or inputs of smaller norm'
    )


def _power(base: float, exponent: int) -> float:
    try:
        return float(base**exponent)
    except OverflowError:
        return float("inf")
