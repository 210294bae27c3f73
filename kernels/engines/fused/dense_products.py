"""The products <x, z> of a block of fully connected inputs, made in registers (see `dense_engine` for why no library makes them)."""

from __future__ import annotations

from typing import Any

from numba import njit

from skipbench.kernels.engines.fused.vectors import broadcast, fma, lanes_of, load, store

PRODUCT_TERMS = 64
PRODUCT_ROWS = 8


@njit(inline="always")
def _two(row: Any, at: int, left: Any, right: Any, sums: Any) -> Any:
    """Add one term of an x with two vectors of z to its two sums."""
    value = broadcast(row[at])
    return fma(value, left, sums[0]), fma(value, right, sums[1])


@njit(inline="always")
def _keep(gram: Any, at: int, sums: Any, is_first: bool) -> None:
    """Put two sums of an x with two vectors of z in their place, or add them to what is there."""
    lanes = lanes_of(gram)
    store(gram, at, sums[0] if is_first else load(gram, at) + sums[0])
    store(gram, at + lanes, sums[1] if is_first else load(gram, at + lanes) + sums[1])


@njit
def multiply(rows: Any, start: int, stop: int, z: Any, group: int, columns: int, dimension: int, gram: Any) -> None:
    """gram[row][column][lane] = <x, z>: eight x and two vectors of z at a time, 16 sums in registers, 10 loads for 16 multiply-adds.

    columns is even. The sums of every `PRODUCT_TERMS` terms are added to the others: shorter chains of additions lose fewer digits.
    """
    lanes, width, last = lanes_of(gram), columns * lanes_of(gram), stop - 1
    zero = broadcast(rows[start * dimension]) - broadcast(rows[start * dimension])
    for begin in range(0, dimension, PRODUCT_TERMS):
        end, is_first = min(begin + PRODUCT_TERMS, dimension), begin == 0
        for column in range(0, columns, 2):
            left, right = (group + column) * dimension * lanes, (group + column + 1) * dimension * lanes
            for row in range(start, stop, PRODUCT_ROWS):
                at0, at1, at2 = row * dimension, min(row + 1, last) * dimension, min(row + 2, last) * dimension
                at3, at4, at5 = min(row + 3, last) * dimension, min(row + 4, last) * dimension, min(row + 5, last) * dimension
                at6, at7 = min(row + 6, last) * dimension, min(row + 7, last) * dimension
                sums0 = sums1 = sums2 = sums3 = sums4 = sums5 = sums6 = sums7 = (zero, zero)
                for term in range(begin, end):
                    first, second = load(z, left + term * lanes), load(z, right + term * lanes)
                    sums0 = _two(rows, at0 + term, first, second, sums0)
                    sums1 = _two(rows, at1 + term, first, second, sums1)
                    sums2 = _two(rows, at2 + term, first, second, sums2)
                    sums3 = _two(rows, at3 + term, first, second, sums3)
                    sums4 = _two(rows, at4 + term, first, second, sums4)
                    sums5 = _two(rows, at5 + term, first, second, sums5)
                    sums6 = _two(rows, at6 + term, first, second, sums6)
                    sums7 = _two(rows, at7 + term, first, second, sums7)
                place = (row - start) * width + column * lanes
                _keep(gram, place, sums0, is_first)
                _keep(gram, place + width, sums1, is_first)
                _keep(gram, place + 2 * width, sums2, is_first)
                _keep(gram, place + 3 * width, sums3, is_first)
                _keep(gram, place + 4 * width, sums4, is_first)
                _keep(gram, place + 5 * width, sums5, is_first)
                _keep(gram, place + 6 * width, sums6, is_first)
                _keep(gram, place + 7 * width, sums7, is_first)
