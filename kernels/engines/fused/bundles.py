"""Which of the architectures that are asked for together can be computed in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from skipbench.architecture import Architecture, ConvolutionalArchitecture


@dataclass(frozen=True, slots=True)
class Bundle:
    """Architectures that one pass computes: the deepest of them, and every depth and readout that one of them wants.

    members: their places in the list that was given.
    """

    deepest: Architecture
    members: tuple[int, ...]
    depths: tuple[int, ...]
    readouts: tuple[str, ...]

    def output_of(self, arch: Architecture) -> tuple[int, int]:
        """Where a member's kernel stands among the outputs: its depth's and its readout's place."""
        return self.depths.index(arch.depth), self.readouts.index(readout_of(arch))


def readout_of(arch: Architecture) -> str:
    """The readout of a convolutional network, "" of a fully connected one."""
    return arch.readout if isinstance(arch, ConvolutionalArchitecture) else ""


def bundles(archs: Sequence[Architecture]) -> Iterator[Bundle]:
    """Group architectures that differ in depth and readout at most: those of one α, `gap` (all pixel pairs) apart from `eq` and `tr`."""
    groups: dict[tuple[float, bool], list[int]] = {}
    for number, arch in enumerate(archs):
        groups.setdefault((getattr(arch, "alpha_value", 0.0), readout_of(arch) == "gap"), []).append(number)
    for members in groups.values():
        chosen = [archs[number] for number in members]
        depths, readouts = sorted({arch.depth for arch in chosen}), sorted({readout_of(arch) for arch in chosen})
        yield Bundle(max(chosen, key=lambda arch: arch.depth), tuple(members), tuple(depths), tuple(readouts))
