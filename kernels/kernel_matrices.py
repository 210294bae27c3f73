"""The public door: NNGP and NTK matrices of any architecture, by whichever engine can run."""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import Tensor

from skipbench.architecture import ARCHITECTURES, Architecture
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
) -> tuple[Tensor, Tensor]:
    """NNGP and NTK matrix of an infinitely wide network, (nngp, ntk), each (n, m), after the recursions in `kernels.recursions`.

    x: (n, d) for MLP, ResMLP, DenseMLP; (n, channels, height, width) for CNN and ResCNN; numpy or torch. z: (m, ...) of the same kind; None
    means x, and both matrices are then exactly symmetric. dtype: torch.float64 or torch.float32, of the fields and of the result
    (readout means are summed in float64). device: where it is computed and returned. engine: "auto", the fastest that can
    run, or a registered name such as "reference" (plain torch).
    normalised: divide both matrices by (1 + α²)^depth, by which a residual network's variances grow: for depths that no dtype holds.
    working_bytes: bound on the memory used besides the inputs and the two matrices, whatever n is
    (exceeded only where one pair of images alone needs more).
    Raises SkipbenchError for inputs that are not finite or of the wrong kind, an absent device, and values beyond the dtype's range.
    """
    if type(arch).__name__ not in ARCHITECTURES:
        raise SkipbenchError(f"arch={shown(arch)} is no architecture: make one of {', '.join(ARCHITECTURES)}, e.g. ResMLP(depth=3)")
    if dtype not in DTYPES:
        raise SkipbenchError(f"dtype={dtype} is not offered: use torch.float64 or torch.float32")
    where = _present_device(device)
    compute = engine_for(engine, arch, where, dtype).load()
    left = Inputs(x, arch, name="x", dtype=dtype, device=where)
    if z is None:
        return compute(arch, left, None, normalised=normalised, working_bytes=working_bytes)
    right = Inputs(z, arch, name="z", dtype=dtype, device=where)
    check_same_shape(left, right)
    return compute(arch, left, right, normalised=normalised, working_bytes=working_bytes)


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
