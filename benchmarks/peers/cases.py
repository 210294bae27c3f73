"""What is compared with a peer: one line a case. All in float32, on two different sets of inputs, so that symmetry saves nobody work.

Vectors have 50 or 784 entries, as small tables and MNIST have; images are 32 x 32 x 3, as CIFAR-10's are, or 8 x 8 x 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skipbench.architecture import CNN, MLP, Architecture, ResCNN, ResMLP
from skipbench.checks import SkipbenchError, unknown_name

PEER = "neural-tangents"
MACHINE, CASE, GROWTH, DEPTHS = "machine", "peer", "growth", "depths"  # how the names of the benchmarks begin


@dataclass(frozen=True, slots=True)
class PeerCase:
    """One architecture on inputs of one shape.

    n: inputs on each side where both libraries compute the same matrix; None lets each choose how many pairs a repeat has, since only
    pairs per second are compared and the slower one would take hours. peer_batches: inputs on each side of one call of the peer, of
    which it gets the fastest.
    """

    arch: Architecture
    input_shape: tuple[int, ...]
    n: int | None
    peer_batches: tuple[int, ...]

    @property
    def name(self) -> str:
        """`resmlp-784`, `cnn-tr-32x32`, and the depth: what a record and `--case` call it."""
        sides = "x".join(str(side) for side in self.input_shape[-2:]) if self.arch.is_convolutional else str(self.input_shape[0])
        parts = [type(self.arch).__name__.lower(), getattr(self.arch, "readout", ""), sides, f"depth-{self.arch.depth}"]
        return "-".join(part for part in parts if part)


_DENSE_BATCHES = (2000, 500, 250)
_TRACE_BATCHES = (8, 16, 32, 64)
_SMALL_GAP_BATCHES = (4, 8, 16, 32)
_GAP_BATCHES = (1, 2, 3)

CASES: tuple[PeerCase, ...] = (
    PeerCase(MLP(10), (50,), 2000, _DENSE_BATCHES),
    PeerCase(MLP(10), (784,), 2000, _DENSE_BATCHES),
    PeerCase(ResMLP(10), (50,), 2000, _DENSE_BATCHES),
    PeerCase(ResMLP(10), (784,), 2000, _DENSE_BATCHES),
    PeerCase(CNN(10, readout="tr"), (3, 32, 32), None, _TRACE_BATCHES),
    PeerCase(ResCNN(10, readout="tr"), (3, 32, 32), None, _TRACE_BATCHES),
    PeerCase(CNN(5, readout="gap"), (3, 32, 32), None, _GAP_BATCHES),
    PeerCase(ResCNN(5, readout="gap"), (3, 32, 32), None, _GAP_BATCHES),
    PeerCase(CNN(5, readout="gap"), (3, 8, 8), None, _SMALL_GAP_BATCHES),
    PeerCase(ResCNN(5, readout="gap"), (3, 8, 8), None, _SMALL_GAP_BATCHES),
)

# The same families, readouts and depths on inputs that take no time, to see that everything works; their numbers mean nothing.
QUICK_CASES: tuple[PeerCase, ...] = (
    PeerCase(MLP(10), (5,), 12, (12, 6)),
    PeerCase(MLP(10), (13,), 12, (12, 6)),
    PeerCase(ResMLP(10), (5,), 12, (12, 6)),
    PeerCase(ResMLP(10), (13,), 12, (12, 6)),
    PeerCase(CNN(10, readout="tr"), (3, 7, 7), None, (2, 3)),
    PeerCase(ResCNN(10, readout="tr"), (3, 7, 7), None, (2, 3)),
    PeerCase(CNN(5, readout="gap"), (3, 5, 5), None, (1, 2)),
    PeerCase(ResCNN(5, readout="gap"), (3, 5, 5), None, (1, 2)),
    PeerCase(CNN(5, readout="gap"), (3, 3, 3), None, (1, 2)),
    PeerCase(ResCNN(5, readout="gap"), (3, 3, 3), None, (1, 2)),
)


def chosen_cases(names: Sequence[str], *, quick: bool) -> tuple[PeerCase, ...]:
    """The named cases in the table's order; all of them without a name. Raises SkipbenchError for an unknown one, with the nearest."""
    cases = {case.name: case for case in (QUICK_CASES if quick else CASES)}
    for name in names:
        if name not in cases:
            raise SkipbenchError(unknown_name("case", name, cases, where="of the peer", hint=f"{', '.join(cases)}."))
    return tuple(case for name, case in cases.items() if not names or name in names)


def random_inputs(shape: Sequence[int], n: int, seed: int) -> NDArray[np.float32]:
    """Standard normal numbers, (n, *shape): times depend on the shape alone."""
    return np.random.default_rng(seed).standard_normal((n, *shape), dtype=np.float32)


def n_pixels(shape: Sequence[int]) -> int:
    """Pixels of an image (channels, height, width); 1 for a vector."""
    return math.prod(shape[1:])
