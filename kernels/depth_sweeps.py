"""Which kernels of a depth sweep come out of one pass: the shallower networks lie on the way to a deeper one."""

from __future__ import annotations

import json
from collections.abc import Iterable

import torch

from skipbench.architecture import Architecture
from skipbench.kernels.engines.registry import engine_for
from skipbench.kernels.kernel_matrices import Engine


def sweep_key(arch: Architecture) -> str:
    """Equal for architectures that differ in depth at most and have one α: a rule such as "L^-0.5" gives every depth its own."""
    description = {**arch.to_dict(), "alpha": getattr(arch, "alpha_value", None)}
    del description["depth"]
    return json.dumps(description, sort_keys=True)


def on_the_way(
    arch: Architecture,
    others: Iterable[Architecture],
    *,
    dtype: torch.dtype = torch.float64,
    device: str | torch.device = "cpu",
    engine: Engine = "auto",
) -> tuple[Architecture, ...]:
    """Those of `others` whose kernels a pass to `arch` computes at almost no cost, each once, in their order.

    They are shallower, so that asking for one network never computes a deeper one: it could take longer than asked for, or overflow.
    Empty where the engine would compute each depth by itself. Raises SkipbenchError for an engine that cannot compute this.
    """
    if not engine_for(engine, arch, torch.device(device), dtype).shares_depths:
        return ()
    key = sweep_key(arch)
    return tuple(other for other in dict.fromkeys(others) if other.depth < arch.depth and sweep_key(other) == key)
