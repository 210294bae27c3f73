"""What a caller of `load` may ask for, checked once before any file is opened."""

from __future__ import annotations

import numbers
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from skipbench.checks import SkipbenchError, shown, shown_name, unknown_name


@dataclass(frozen=True)
class LoadOptions:
    """The keyword arguments of `load`. root: the folder to look in; n, n_test: rows of a subset; protocol: None means the set's own.

    parameters: of a generated set, name and whole number, sorted by name; those left out have the set's defaults.
    """

    root: Path | None = None
    n: int | None = None
    n_test: int | None = None
    seed: int = 0
    protocol: str | None = None
    parameters: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        for field in ("n", "n_test"):
            if getattr(self, field) is not None:
                _store_whole(self, field, least=1, reason="it counts rows: use a whole number of at least 1, or None for all rows")
        _store_whole(self, "seed", least=0, reason="a seed is a whole number of at least 0")

    def chosen_protocol(self, name: str, allowed: Sequence[str]) -> str:
        """The protocol asked for, or the first that the set allows. Raises SkipbenchError for any other."""
        if self.protocol is None:
            return allowed[0]
        if self.protocol not in allowed:
            raise SkipbenchError(unknown_name("protocol", str(self.protocol), allowed, where=f"for {name}"))
        return self.protocol

    def with_parameters(self, name: str, defaults: Mapping[str, int], given: Mapping[str, Any]) -> LoadOptions:
        """The same options with a value for each of the set's parameters. Raises SkipbenchError for another name or no whole number."""
        for parameter, value in given.items():
            if not defaults:
                raise SkipbenchError(f"{name}: {shown_name(parameter)} was given, but this set has no parameters: leave it out")
            if parameter not in defaults:
                raise SkipbenchError(unknown_name(f"{name}: parameter", parameter, defaults))
            if isinstance(value, bool) or not isinstance(value, numbers.Integral):
                raise SkipbenchError(f"{name}: {parameter}={shown(value)}, but it is a whole number such as {defaults[parameter]}")
        values = {parameter: int(value) for parameter, value in {**defaults, **given}.items()}
        return replace(self, parameters=tuple(sorted(values.items())))

    def refuse(self, name: str, fields: Sequence[str], reason: str) -> None:
        """Raise SkipbenchError if one of `fields` was given to a set that cannot use it."""
        for field in fields:
            if getattr(self, field) is not None:
                raise SkipbenchError(f"{name}: {field}={shown(getattr(self, field))}, but {reason}")


def as_folder(root: Path | str | None) -> Path | None:
    """The folder that a caller named, `~` expanded. Raises SkipbenchError for what is no path."""
    if root is None:
        return None
    if not isinstance(root, str | os.PathLike) or not os.fspath(root):
        raise SkipbenchError(f"root={shown(root)}, but root is the path of a folder, or None for the usual place")
    return Path(root).expanduser()


def _store_whole(options: LoadOptions, field: str, *, least: int, reason: str) -> None:
    value: Any = getattr(options, field)
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise SkipbenchError(f"load: {field}={shown(value)}, but {reason}")
    object.__setattr__(options, field, int(value))
