"""Strict JSON, in a layout that people can read and git can merge: sorted names, and whatever is short on one line."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

LINE = 120


def to_text(value: Any) -> str:
    """The value as strict JSON with a trailing newline. Raises ValueError for NaN and infinities, TypeError for what JSON cannot hold."""
    return _laid_out(value, indent=0, room=LINE) + "\n"


def from_text(text: str) -> Any:
    """The value that strict JSON describes. Raises ValueError for NaN, infinities (1e999 too) and whatever else is no JSON."""
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _laid_out(value: Any, *, indent: int, room: int) -> str:
    """One line where it fits into `room`; otherwise one entry a line. A curve so becomes one line a point."""
    line = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(", ", ": "))
    if len(line) <= room or not isinstance(value, dict | list | tuple):
        return line
    inner = " " * (indent + 1)
    if isinstance(value, dict):
        named = [(json.dumps(name, ensure_ascii=False), value[name]) for name in sorted(value)]
        entries = [f"{name}: {_laid_out(entry, indent=indent + 1, room=LINE - indent - len(name) - 4)}" for name, entry in named]
        opening, closing = "{", "}"
    else:
        entries = [_laid_out(entry, indent=indent + 1, room=LINE - indent - 2) for entry in value]
        opening, closing = "[", "]"
    return f"{opening}\n{inner}" + f",\n{inner}".join(entries) + f"\n{' ' * indent}{closing}"


def _refuse_constant(token: str) -> NoReturn:
    raise ValueError(f"{token} is no strict JSON")


def _finite(token: str) -> float:
    number = float(token)
    if not math.isfinite(number):
        raise ValueError(f"{token} is beyond the largest double")
    return number
