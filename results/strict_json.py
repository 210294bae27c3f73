"""Strict JSON, in a layout that people can read and git can merge: sorted names, and whatever is short on one line."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from skipbench.checks import shown_name

LINE = 120
DEEPEST = 100  # far above any record, and far below where Python's recursion ends
LARGEST_WHOLE = 2**63 - 1  # what a column of whole numbers has room for


def to_text(value: Any) -> str:
    """The value as strict JSON with a trailing newline.

    Raises ValueError for what `from_text` refuses, TypeError for what JSON cannot hold.
    """
    _check(value)
    return _laid_out(value, indent=0, room=LINE) + "\n"


def from_text(text: str) -> Any:
    """The value that strict JSON describes.

    Raises ValueError for NaN, infinities (1e999 too), whole numbers beyond 2⁶³ - 1, half a surrogate pair, a name that stands twice in
    one object, more than 100 levels, and whatever else is no JSON.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_named_once)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _check(value)
    return value


def _check(value: Any) -> None:
    """Refuse what later steps could not print, hash or encode. A list of what is left to look at, since a recursion could be too deep."""
    left = [(value, 1)]
    while left:
        item, depth = left.pop()
        if isinstance(item, str):
            item.encode()  # UnicodeEncodeError, a ValueError, for half a surrogate pair
        elif isinstance(item, int) and abs(item) > LARGEST_WHOLE:
            raise ValueError(f"a whole number of {item.bit_length()} bits, but at most {LARGEST_WHOLE} is allowed")
        elif isinstance(item, dict | list | tuple):
            if depth > DEEPEST:
                raise ValueError(f"it is nested too deeply: more than {DEEPEST} levels")
            if isinstance(item, dict):
                left += [(name, depth) for name in item]
            left += [(entry, depth + 1) for entry in (item.values() if isinstance(item, dict) else item)]


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    named = dict(pairs)
    if len(named) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {shown_name(twice)} stands twice in one object")
    return named


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
