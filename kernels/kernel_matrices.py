"""The public door: NNGP and NTK matrices of any architecture, by whichever engine can run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeAlias

import torch
from torch import Tensor

from skipbench.architecture import ARCHITECTURES, Architecture, ConvolutionalArchitecture, Readout
from skipbench.checks import SkipbenchError, shown
from skipbench.kernels.engines.registry import AUTO, engine_for
from skipbench.kernels.inputs import Inputs, check_same_shape

Engine: TypeAlias = str  # a name among `skipbench.kernels.engines.registry.engine_choices()`
WORKING_BYTES = 2**30
DTYPES = (torch.float32, torch.float64)


def kernel_matrices(
    arch: Architecture,
    x: Any,
    z: Any = None,
    *,
    dtype: torch.dtype = torch.float64,
    device: str | torch.device = "cpu",
    engine: Engine = AUTO,
    normalised: bool = False,
    working_bytes: int = WORKING_BYTES,
    depths: Sequence[int] | None = None,
    readouts: Sequence[Readout] | None = None,
) -> tuple[Tensor, Tensor]:
    """NNGP and NTK matrix of an infinitely wide network, (nngp, ntk), each (n, m), after the recursions in `kernels.recursions`.

    x: (n, d) for MLP, ResMLP, DenseMLP; (n, channels, height, width) for CNN and ResCNN; numpy or torch. z: (m, ...) of the same kind; None
    means x, and both matrices are then exactly symmetric. dtype: torch.float64 or torch.float32, of the fields and of the result
    (readout means are summed in float64). device: where it is computed and returned. engine: "auto", the fastest that can
    run, or a registered name such as "reference" (plain torch).
    normalised: divide both matrices by (1 + α²)^depth, by which a residual network's variances grow: for depths that no dtype holds.
    working_bytes: bound on the memory used besides the inputs and the two matrices, whatever n is
    (exceeded only where one pair of images alone needs more). The memory of earlier results may be kept besides, up to 512 MiB: see
    `result_memory`.
    depths: the kernel of every such depth instead of arch.depth, stacked: both results are (len(depths), n, m). readouts: likewise
    for several readouts of a convolutional network, (len(readouts), n, m), or with both (len(readouts), len(depths), n, m). A fused
    engine carries depths (unless α depends on the depth) and the readouts `eq` and `tr` along in one pass.
    Raises SkipbenchError for inputs that are not finite or of the wrong kind, an absent device, and values beyond the dtype's range.
    """
    if type(arch).__name__ not in ARCHITECTURES:
        raise SkipbenchError(f"arch={shown(arch)} is no architecture: make one of {', '.join(ARCHITECTURES)}, e.g. ResMLP(depth=3)")
    if dtype not in DTYPES:
        raise SkipbenchError(f"dtype={dtype} is not offered: use torch.float64 or torch.float32")
    archs = variants(arch, depths, readouts)
    where = _present_device(device)
    compute = engine_for(engine, arch, where, dtype).load()
    left = Inputs(x, arch, name="x", dtype=dtype, device=where)
    right = None if z is None else Inputs(z, arch, name="z", dtype=dtype, device=where)
    if right is not None:
        check_same_shape(left, right)
    pairs = compute(archs, left, right, normalised=normalised, working_bytes=working_bytes)
    counts = [len(values) for values in (readouts, depths) if values is not None]
    nngp, ntk = (_stacked(matrices, counts) for matrices in zip(*pairs, strict=True))
    return nngp, ntk


def warm_up(arch: Architecture, *, dtype: torch.dtype, device: str | torch.device = "cpu", engine: Engine = AUTO) -> None:
    """Have an engine compile what `kernel_matrices` will need for this architecture, once in a process: no timing should hold it."""
    _warm_up(type(arch).__name__, getattr(arch, "filter_size", 1), dtype, str(device), engine)


@lru_cache(maxsize=256)
def _warm_up(family: str, filter_size: int, dtype: torch.dtype, device: str, engine: Engine) -> None:
    arch = ARCHITECTURES[family](1)
    if isinstance(arch, ConvolutionalArchitecture):
        arch = replace(arch, filter_size=filter_size)
    x = torch.zeros((1, 1, 1, 1) if arch.is_convolutional else (1, 1))
    kernel_matrices(arch, x, dtype=dtype, device=device, engine=engine)


def variants(arch: Architecture, depths: Sequence[int] | None, readouts: Sequence[Readout] | None) -> tuple[Architecture, ...]:
    """The architecture at every readout and, for each, at every depth; None keeps its own.

    Raises SkipbenchError for an empty list, a depth or readout that the architecture refuses, and readouts of a dense network.
    """
    for name, values in (("depths", depths), ("readouts", readouts)):
        if values is not None and (isinstance(values, str) or len(values) == 0):
            raise SkipbenchError(f"{name}={shown(values)}, but it lists what is computed together: give a list of at least one, or None")
    if readouts is not None and not isinstance(arch, ConvolutionalArchitecture):
        raise SkipbenchError(f"readouts={shown(readouts)}, but {arch.label} has no pixels: leave readouts out")
    at_readouts: list[Architecture] = [arch]
    if readouts is not None and isinstance(arch, ConvolutionalArchitecture):
        at_readouts = [replace(arch, readout=readout) for readout in readouts]
    return tuple(at_depth for each in at_readouts for at_depth in ([each] if depths is None else [replace(each, depth=d) for d in depths]))


def _stacked(matrices: Sequence[Tensor], counts: Sequence[int]) -> Tensor:
    """One matrix as it is; several as one tensor with a leading dimension for each list that was asked for."""
    if not counts:
        return matrices[0]
    first, size = matrices[0], matrices[0].numel()
    places = [(each.untyped_storage().data_ptr(), each.storage_offset()) for each in matrices]
    start, offset = places[0]
    if first.is_contiguous() and places == [(start, offset + number * size) for number in range(len(matrices))]:
        return first.as_strided((len(matrices) * size,), (1,)).view(*counts, *first.shape)  # an engine laid them side by side
    return torch.stack(tuple(matrices)).reshape(*counts, *first.shape)


def _present_device(device: str | torch.device) -> torch.device:
    """The device as torch's; refused at once where this machine does not have it."""
    present = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    try:
        named = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise SkipbenchError(f"device={shown(device)} is no device: this machine has {', '.join(present)}") from error
    full_name = named.type if named.type == "cpu" else f"{named.type}:{named.index or 0}"
    if full_name not in present:
        raise SkipbenchError(f"device={shown(str(device))} is absent: this machine has {', '.join(present)}")
    return named
