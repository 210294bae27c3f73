"""How every refusal is phrased: where, what was found, what is allowed, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SkipbenchError(ValueError):
    """Bad input, named so that its reader can mend it. The command line prints it as `Error: ...` and exits with 2."""


class MissingDataError(SkipbenchError):
    """A data set's files are not where they were looked for; the message names the place and the command that fetches them."""


class TamperedDataError(SkipbenchError):
    """A file is not the one it should be (checksum, size, members or content), so nothing of it was used."""


class ContractError(SkipbenchError):
    """A registered method, data set or engine breaks its contract; the message names it, the case, and what was found."""


def shown(value: object, limit: int = 80) -> str:
    """The value as Python writes it, on one line and cut, so that a huge or hostile one keeps the message readable."""
    try:
        text = " ".join(line.strip() for line in ascii(value).split("\n"))  # an array's has several lines
    except (ValueError, RecursionError):  # Python does not write whole numbers of thousands of digits, or endless nesting
        text = f"<{type(value).__name__}>"
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def nearest_names(name: str, allowed: Iterable[str], limit: int = 3) -> list[str]:
    """The allowed names most like `name`, best first; empty when none is close."""
    lower = {candidate.lower(): candidate for candidate in sorted(allowed, reverse=True)}
    found = difflib.get_close_matches(name.lower(), list(lower), n=limit, cutoff=0.5)
    return [lower[match] for match in found]


def unknown_name(kind: str, name: str, allowed: Iterable[str], *, where: str = "", hint: str = "") -> str:
    """`no KIND "NAME" WHERE. Nearest: A, B. HINT`; all names instead of the nearest where there are few.

    kind: what is named, e.g. "data set". where: e.g. "in suite quick". hint: the command that lists all names.
    """
    names = sorted(allowed)
    sentence = f"no {kind} {shown_name(name)}{' ' + where if where else ''}."
    close = nearest_names(name, names)
    if close:
        sentence += f" Nearest: {', '.join(close)}."
    if hint:
        sentence += f" All of them: {hint}"
    elif not close or len(names) <= 8:
        sentence += f" Allowed: {', '.join(names) if names else 'none'}."
    return sentence


def shown_name(name: str, limit: int = 60) -> str:
    """A name in double quotes, control characters escaped and long ones cut."""
    return '"' + shown(name, limit)[1:-1] + '"'
