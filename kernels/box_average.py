"""The box average Av of a convolution on a field whose first two dimensions are rows and columns.

Av M = 1/q² · sum over the q × q offsets k of M[i+k, j+k]. It moves both pixels alike, so on a field that holds one offset j − i it
is a plain separable box filter. Zero padding drops what falls outside and still divides by q²; circular padding wraps with multiplicity.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor

from skipbench.architecture import Architecture, ConvolutionalArchitecture

Average = Callable[[Tensor], Tensor]


def average_of(arch: Architecture) -> Average:
    """The box average of an architecture's convolutions; the identity for a fully connected one."""
    if not isinstance(arch, ConvolutionalArchitecture):
        return _identity
    along = _circular_sum if arch.padding == "circular" else _zero_sum
    return partial(_box_average, filter_size=arch.filter_size, along=along)


def _identity(field: Tensor) -> Tensor:
    return field


def _box_average(field: Tensor, *, filter_size: int, along: Callable[[Tensor, int, int], Tensor]) -> Tensor:
    if filter_size == 1:
        return field
    reach = filter_size // 2
    return along(along(field, 1, reach), 0, reach).mul_(1 / filter_size**2)


def _zero_sum(field: Tensor, dimension: int, reach: int) -> Tensor:
    """Sum of the 2·reach + 1 neighbours along rows or columns; those outside the field count as 0."""
    total = field.clone()
    side = field.shape[dimension]
    for shift in range(1, min(reach, side - 1) + 1):
        kept = side - shift
        total.narrow(dimension, shift, kept).add_(field.narrow(dimension, 0, kept))
        total.narrow(dimension, 0, kept).add_(field.narrow(dimension, shift, kept))
    return total


def _circular_sum(field: Tensor, dimension: int, reach: int) -> Tensor:
    """Sum of the 2·reach + 1 neighbours along rows or columns, indices modulo the side, each as often as the filter meets it."""
    side = field.shape[dimension]
    total = field.clone()
    for offset in range(1, reach + 1):
        for shift in (offset % side, -offset % side):
            total.narrow(dimension, shift, side - shift).add_(field.narrow(dimension, 0, side - shift))
            if shift:
                total.narrow(dimension, 0, shift).add_(field.narrow(dimension, side - shift, shift))
    return total
