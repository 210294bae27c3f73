"""The fused engine on a GPU, in Triton, for every architecture.

`bundles` says which architectures share a pass, `triton_tiles` prepares a tile of inputs and launches, `triton_fields` and
`triton_pairs` are what runs on the GPU. Nothing here asks where the tensors lie: on a CUDA device, or, with TRITON_INTERPRET=1 in the
environment before the first import, on the CPU in Triton's interpreter, which is slow and meant for tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor

from skipbench.architecture import Architecture
from skipbench.kernels.engines.assembly import Span, scaled, tiles, write_tile
from skipbench.kernels.engines.fused.bundles import Bundle, bundles
from skipbench.kernels.engines.fused.triton_steps import Steps, steps_of
from skipbench.kernels.engines.fused.triton_tiles import convolutional_values, dense_values, side_of, tile_side
from skipbench.kernels.inputs import Inputs, identity_codes


def triton_matrices(
    archs: Sequence[Architecture], x: Inputs, z: Inputs | None, *, normalised: bool, working_bytes: int
) -> list[tuple[Tensor, Tensor]]:
    """NNGP and NTK matrix of each architecture, (n, m) each; z=None computes each pair once and mirrors it. See `kernel_matrices`."""
    other = x if z is None else z
    found = [tuple(torch.empty(len(x), len(other), dtype=x.dtype, device=x.device) for _ in range(2)) for _ in archs]
    with torch.cuda.device(x.device) if x.device.type == "cuda" else nullcontext():
        codes = tuple(torch.from_numpy(side.astype(np.int32)).to(x.device) for side in identity_codes(x, other))
        for bundle in bundles(archs):
            steps = steps_of(bundle, x.shape, x.device)
            side = tile_side(bundle, x.shape, x.dtype, working_bytes)
            for rows, columns in tiles(len(x), len(other), side, symmetric=z is None):
                values = _tile_values(
                    bundle, steps, (x, other), codes, (rows, columns), is_symmetric=z is None, working_bytes=working_bytes
                )
                for number in bundle.members:
                    depth, readout = bundle.output_of(archs[number])
                    for matrix, part in zip(found[number], values[depth, readout], strict=True):
                        values_here = scaled(archs[number], part, x.dtype, normalised=normalised)
                        write_tile(matrix, rows, columns, values_here, symmetric=z is None)
    return [(nngp, ntk) for nngp, ntk in found]


def _tile_values(
    bundle: Bundle,
    steps: Steps,
    inputs: tuple[Inputs, Inputs],
    codes: tuple[Tensor, ...],
    spans: tuple[Span, Span],
    *,
    is_symmetric: bool,
    working_bytes: int,
) -> Tensor:
    """(depths, readouts, 2, rows, columns), float64."""
    x, z = (
        side_of(bundle, given.rows(span.start, span.stop), numbers[span.start : span.stop], is_z=is_z)
        for given, numbers, span, is_z in zip(inputs, codes, spans, (False, True), strict=True)
    )
    upper_only = is_symmetric and spans[0] == spans[1]
    if not bundle.deepest.is_convolutional:
        return dense_values(bundle, steps, x, z, upper_only=upper_only)
    return convolutional_values(bundle, steps, x, z, upper_only=upper_only, working_bytes=working_bytes)
