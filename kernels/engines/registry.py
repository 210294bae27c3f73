"""Which engines there are: ways to compute the same kernel matrices, by name, the fastest first.

A new engine is one entry of `ENGINES`. From then on `engine=` knows its name, "auto" takes it wherever it can run, and its contract
(`skipbench.kernels.engines.contract`) runs over it, in our tests and by `skipbench check`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Protocol, cast

import torch
from torch import Tensor

from skipbench.architecture import ARCHITECTURES, Architecture
from skipbench.checks import SkipbenchError, unknown_name
from skipbench.kernels.inputs import Inputs

AUTO = "auto"


class Compute(Protocol):
    """What computes: NNGP and NTK matrix, (n, m) each; z=None means x, and both are then exactly symmetric. See `kernel_matrices`.

    archs differ in depth and readout at most, so that an engine may compute them together. Returns one pair for each of them.
    """

    def __call__(
        self, archs: Sequence[Architecture], x: Inputs, z: Inputs | None, *, normalised: bool, working_bytes: int
    ) -> list[tuple[Tensor, Tensor]]: ...


@dataclass(frozen=True, slots=True)
class RegisteredEngine:
    """Where an engine's function lies, and what it can compute.

    path: "module:function", imported when it is first used. families: architectures. devices: "cpu", "cuda". dtypes: of the fields.
    packages: by device, what must be installed. errors: by dtype, the largest |dK_ij| / √(K_ii K_jj) against the exact matrix on inputs
    of moderate size and depth; near correlation 1, arccos turns an error ε of a correlation into one of √ε.
    shares_depths: whether architectures that differ in depth only, and have one α, are computed in one pass, in the time of the deepest.
    version: raised whenever its numbers change, so that a half-finished store of tiles is not finished with others.
    """

    name: str
    path: str
    summary: str
    families: tuple[str, ...] = tuple(ARCHITECTURES)
    devices: tuple[str, ...] = ("cpu", "cuda")
    dtypes: tuple[str, ...] = ("float64", "float32")
    packages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    errors: Mapping[str, float] = field(default_factory=lambda: {"float64": 1e-7, "float32": 2e-3})
    shares_depths: bool = False
    version: int = 1

    def load(self) -> Compute:
        """Import the function."""
        module, _, attribute = self.path.partition(":")
        return cast(Compute, getattr(importlib.import_module(module), attribute))

    def obstacle(self, arch: Architecture, device: torch.device, dtype: torch.dtype) -> str:
        """Why it cannot compute this, as the end of a sentence; empty where it can."""
        family, precision = type(arch).__name__, str(dtype).removeprefix("torch.")
        if family not in self.families:
            return f"it computes {', '.join(self.families)}, and this is {family}"
        if device.type not in self.devices:
            return f"it runs on {', '.join(self.devices)}, and this is {device.type}"
        if precision not in self.dtypes:
            return f"it computes in {', '.join(self.dtypes)}, and this is {precision}"
        absent = [package for package in self.packages.get(device.type, ()) if find_spec(package) is None]
        return f"it needs {', '.join(absent)}, which is not installed" if absent else ""


# The fastest first: "auto" takes the first that can run. The reference can run everything and stays last.
ENGINES: dict[str, RegisteredEngine] = {
    engine.name: engine
    for engine in (
        RegisteredEngine(
            "fused",
            "skipbench.kernels.engines.fused.engine:fused_matrices",
            "every layer of a pair in the first-level cache (numba) or on chip (Triton)",
            packages={"cpu": ("numba",), "cuda": ("triton",)},
            shares_depths=True,
        ),
        RegisteredEngine(
            "reference", "skipbench.kernels.engines.reference:reference_matrices", "the recursions in plain torch, in cache-sized blocks"
        ),
    )
}


def engine_names() -> tuple[str, ...]:
    """Names of all registered engines, the fastest first."""
    return tuple(ENGINES)


def engine_choices() -> tuple[str, ...]:
    """What `engine=` may be: "auto" and every registered name."""
    return (AUTO, *ENGINES)


def registered_engine(name: str) -> RegisteredEngine:
    """One engine. Raises SkipbenchError for an unknown name, with the nearest ones."""
    if name not in ENGINES:
        raise SkipbenchError(unknown_name("engine", str(name), ENGINES))
    return ENGINES[name]


def engine_for(name: str, arch: Architecture, device: torch.device, dtype: torch.dtype) -> RegisteredEngine:
    """The engine of that name or, for "auto", the fastest that can compute this.

    Raises SkipbenchError for an unknown name, with the nearest ones, and with the reason where the engine cannot.
    """
    if name not in engine_choices():
        raise SkipbenchError(unknown_name("engine", str(name), engine_choices()))
    candidates = tuple(ENGINES.values()) if name == AUTO else (ENGINES[name],)
    obstacles = {engine.name: engine.obstacle(arch, device, dtype) for engine in candidates}
    able = next((engine for engine in candidates if not obstacles[engine.name]), None)
    if able is None:
        reasons = "; ".join(f'engine "{engine}": {reason}' for engine, reason in obstacles.items())
        raise SkipbenchError(f"{arch.label}: {reasons}. " + ('Use engine="auto"' if name != AUTO else "No engine is left"))
    return able
