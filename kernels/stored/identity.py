"""What a store belongs to: hashes of its kernel and of both sets of inputs, and the side of its tiles."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from skipbench.architecture import architecture_from_dict
from skipbench.checks import SkipbenchError, shown
from skipbench.kernels.stored.kernel import TileKernel
from skipbench.kernels.stored.plan import TilePlan
from skipbench.kernels.stored.rows import Rows

ATTRIBUTE = "skipbench"
LAYOUT = 1  # raised when files are laid out in another way
SAME_AS_X = "the same as x"


@dataclass(frozen=True, slots=True)
class StoreIdentity:
    """Kept in the attributes of the store's group. Hashes have 32 hexadecimal digits; kernel is what kernel_hash was taken from."""

    layout: int
    kernel: dict[str, Any]
    kernel_hash: str
    x: str
    z: str
    n: int
    m: int
    tile: int

    @property
    def plan(self) -> TilePlan:
        """The tiles of the store."""
        return TilePlan(self.n, self.m, self.tile, symmetric=self.z == SAME_AS_X)

    @property
    def lead(self) -> tuple[int, ...]:
        """Lengths of the stacks before (n, m)."""
        return tuple(len(self.kernel[name]) for name in ("readouts", "depths") if self.kernel[name] is not None)

    def stack_places(self) -> Iterator[tuple[int, ...]]:
        """Positions of the matrices in their stack; one empty position where there is none."""
        return itertools.product(*(range(length) for length in self.lead))

    @property
    def key(self) -> str:
        """One text for all of it."""
        return " ".join(str(part) for part in (self.layout, self.kernel_hash, self.x, self.z, self.n, self.m, self.tile))

    def attributes(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {ATTRIBUTE: asdict(self)}


def identity_of(kernel: TileKernel, x: Rows, z: Rows | None, tile: int) -> StoreIdentity:
    """Reads all inputs once."""
    description = kernel.description()
    return StoreIdentity(
        layout=LAYOUT,
        kernel=description,
        kernel_hash=hashlib.blake2b(json.dumps(description, sort_keys=True).encode(), digest_size=16).hexdigest(),
        x=x.digest(),
        z=SAME_AS_X if z is None else z.digest(),
        n=len(x),
        m=len(x if z is None else z),
        tile=tile,
    )


def stored_identity(attributes: Any, path: Path) -> StoreIdentity:
    """The identity in a group's attributes. Raises SkipbenchError where they are not ours, or of another layout."""
    values = attributes.get(ATTRIBUTE)
    if not isinstance(values, dict):
        raise SkipbenchError(f"store={shown(str(path))} holds a zarr group that is no kernel matrix of skipbench: use another path")
    if values.get("layout") != LAYOUT:
        raise SkipbenchError(
            f"store={shown(str(path))} has layout {shown(values.get('layout'))}, and this version of skipbench reads layout {LAYOUT}: "
            "use another path, or the version that wrote it"
        )
    return StoreIdentity(**values)


def refuse_foreign(found: StoreIdentity, wanted: StoreIdentity, path: Path) -> None:
    """Raise SkipbenchError where a store belongs to other inputs, another kernel or other tiles; names each part with both hashes."""
    pairs = {
        "kernel": (found.kernel_hash, wanted.kernel_hash, _changed(found.kernel, wanted.kernel)),
        "x": (found.x, wanted.x, ""),
        "z": (found.z, wanted.z, ""),
        "tile": (found.tile, wanted.tile, ""),
    }
    differing = [f"{name} is {here} there and {asked} in this call{why}" for name, (here, asked, why) in pairs.items() if here != asked]
    if differing:
        raise SkipbenchError(
            f"store={shown(str(path))} belongs to something else: {'; '.join(differing)}. Use another path, or delete the store"
        )


def _changed(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    names = [name for name in wanted if found.get(name) != wanted[name]]
    return " (" + ", ".join(f"{name} {_labelled(name, found.get(name))} and {_labelled(name, wanted[name])}" for name in names) + ")"


def _labelled(name: str, value: Any) -> str:
    return architecture_from_dict(value).label if name == "architecture" else shown(value)
