"""A program as the tables that the GPU code reads, for all depths that are computed together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from skipbench.architecture import ConvolutionalArchitecture
from skipbench.kernels.engines.fused.bundles import Bundle
from skipbench.kernels.engines.fused.program import Dual, Program, Readout, Update, program_of

_NO_READOUT = Readout(averages=0, keep=1.0, post=0.0, tangent=0.0, bias=0.0, tangent_bias=0.0)


@dataclass(frozen=True, slots=True)
class Steps:
    """What the GPU code is told of a program. A block is what leads from one depth to the next.

    numbers: (passes, 11) float64. For G: keep, gain, constant, inside, of G ← keep G + gain Box(Boxᵏ⁻¹ E + inside) + constant; the same
    four for U and F; then keep, post, tangent of the readout sums N ← keep N + post R[Boxᵏ⁻¹ E], S ← keep S + tangent R[Boxᵏ⁻¹ F].
    Box is the sum over the filter, so gains take in the 1/q². slots: (depth,) int32, which output the sums are after a block, −1 for
    none. n_inner: ReLUs of a block before its last. averages: k of a block's last pass. biases: (outputs, 2) float64, N and S of the
    biases alone, which are the same for every pair. share: ntk = S + share N.
    """

    numbers: Tensor
    slots: Tensor
    n_inner: int
    averages: int
    is_linear: bool
    is_biased: bool
    reads_first: bool
    biases: Tensor
    share: float

    @property
    def depth(self) -> int:
        """Blocks."""
        return len(self.slots)


def steps_of(bundle: Bundle, shape: tuple[int, ...], device: torch.device) -> Steps:
    """The tables for a bundle and inputs of this shape. The first pass divides the products of images by their channels."""
    program, depths, filter_size, channels = program_of(bundle.deepest), bundle.depths, 1, 1
    if isinstance(bundle.deepest, ConvolutionalArchitecture):
        filter_size, channels = bundle.deepest.filter_size, shape[0]
    first, *rest = program.passes
    n_blocks = max(each.depth for each in rest)
    numbers = []
    for each in program.passes:
        read, divisor = each.readout or _NO_READOUT, channels if each.dual is Dual.GRAM else 1
        post, tangent = (_update(update, each.averages, filter_size, divisor) for update in (each.post, each.tangent))
        shrink = filter_size ** (2 * read.averages) * divisor
        numbers.append((*post, *tangent, read.keep, read.post / shrink, read.tangent / shrink))
    slots = [depths.index(depth) if depth in depths else -1 for depth in range(1, n_blocks + 1)]
    return Steps(
        torch.tensor(numbers, dtype=torch.float64, device=device),
        torch.tensor(slots, dtype=torch.int32, device=device),
        n_inner=len(rest) // n_blocks - 1,
        averages=rest[-1].averages,
        is_linear=rest[-1].dual is Dual.LINEAR,
        is_biased=any(update.bordered != 0 for each in program.passes for update in (each.post, each.tangent)),
        reads_first=first.readout is not None,
        biases=torch.tensor(_biases(program, depths), dtype=torch.float64, device=device),
        share=program.nngp_share,
    )


def _update(update: Update, averages: int, filter_size: int, divisor: int) -> tuple[float, float, float, float]:
    """keep, gain, constant, inside: what is added before the last average comes out as `bordered` Av 1."""
    inside = update.bordered * filter_size ** (2 * max(averages - 1, 0)) * divisor / update.gain if update.bordered else 0.0
    return update.keep, update.gain / (filter_size ** (2 * averages) * divisor), update.constant, inside


def _biases(program: Program, depths: Sequence[int]) -> list[tuple[float, float]]:
    found = {}
    post = tangent = 0.0
    for each in program.passes:
        read = each.readout or _NO_READOUT
        post, tangent = read.keep * post + read.bias, read.keep * tangent + read.tangent_bias
        found[each.depth] = (post, tangent)
    return [found[depth] for depth in depths]
