"""The kernel of a store: all that decides its numbers besides the inputs, in a form that travels to worker processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from skipbench.architecture import Architecture, Readout
from skipbench.kernels.engines.registry import engine_for
from skipbench.kernels.kernel_matrices import kernel_matrices, variants


@dataclass(frozen=True, slots=True)
class TileKernel:
    """The arguments of `kernel_matrices` besides x and z, with the engine's own name in the place of "auto"."""

    arch: Architecture
    depths: tuple[int, ...] | None
    readouts: tuple[Readout, ...] | None
    dtype: torch.dtype
    device: str
    engine: str
    engine_version: int
    normalised: bool
    working_bytes: int

    @property
    def lead(self) -> tuple[int, ...]:
        """Dimensions before (n, m), as `kernel_matrices` stacks them: readouts, then depths, each where a list was asked for."""
        return tuple(len(values) for values in (self.readouts, self.depths) if values is not None)

    @property
    def dtype_name(self) -> str:
        """As numpy writes it: "float64" or "float32"."""
        return str(self.dtype).removeprefix("torch.")

    def description(self) -> dict[str, Any]:
        """What the numbers depend on, as plain JSON values. Working memory is no part of it: it changes the order of the work only.

        The architecture is the first of those computed, since with depths or readouts its own do not matter.
        """
        return {
            "architecture": variants(self.arch, self.depths, self.readouts)[0].to_dict(),
            "depths": None if self.depths is None else list(self.depths),
            "readouts": None if self.readouts is None else list(self.readouts),
            "dtype": self.dtype_name,
            "device": torch.device(self.device).type,
            "engine": self.engine,
            "engine_version": self.engine_version,
            "normalised": self.normalised,
        }


def tile_kernel(arch: Architecture, x: Any, z: Any, *, engine: str, device: str | torch.device, **options: Any) -> TileKernel:
    """The kernel of these arguments, which are refused as `kernel_matrices` refuses them: it is asked for a matrix without rows.

    options: dtype, normalised, working_bytes, depths and readouts of `kernel_matrices`.
    """
    kernel_matrices(arch, _no_rows(x), None if z is None else _no_rows(z), engine=engine, device=device, **options)
    found = engine_for(engine, arch, torch.device(device), options["dtype"])
    for name in ("depths", "readouts"):
        options[name] = None if options[name] is None else tuple(options[name])
    options["normalised"] = bool(options["normalised"])
    return TileKernel(arch, device=str(device), engine=found.name, engine_version=found.version, **options)


def _no_rows(values: Any) -> Any:
    """The empty set of such inputs; what has no rows at all stays, to be refused by its shape."""
    return values[:0] if getattr(values, "shape", None) else values
