"""Free text without the folders that name people: `/home/ada/runs/x.json` becomes `x.json`."""

from __future__ import annotations

import re

# Quoted paths first: only there can a space belong to the path.
_PATHS = re.compile(
    r"""
    (?P<web>(?:https?|ftp)://\S+)                                        # an address on the web names nobody here: kept
    | (?P<quote>["'`])(?:file://)?(?P<quoted>(?:/|[A-Za-z]:\\)[^"'`\n]*)(?P=quote)
    | (?:file://|(?<![\w.~/-]))(?P<posix>/[^\s/"'`:;,()<>|]+(?:/[^\s/"'`:;,()<>|]*)+)
    | (?<!\w)(?P<windows>[A-Za-z]:\\[^\s"'`;,()<>|]*)
    """,
    re.VERBOSE,
)


def without_folders(text: str) -> str:
    """The text with each absolute path (POSIX or Windows) cut to its last name. Applying it twice changes nothing more."""
    if "/" not in text and "\\" not in text:
        return text
    cut = _PATHS.sub(_last_name, text)
    return cut if cut == text else without_folders(cut)  # what is left may spell a path with what stands behind it: "/C/:\\"


def _last_name(match: re.Match[str]) -> str:
    if match["web"] is not None:
        return match[0]
    path = match["quoted"] or match["posix"] or match["windows"]
    name = re.split(r"[/\\]", path.rstrip("/\\"))[-1] or path
    quote = match["quote"] or ""
    return f"{quote}{name}{quote}"
