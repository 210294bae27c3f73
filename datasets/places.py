"""Where data is looked for: the folder that was named, else SKIPBENCH_DATA, else the user's cache folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from skipbench.checks import MissingDataError

DATA_VARIABLE = "SKIPBENCH_DATA"


def data_root(root: Path | str | None = None) -> Path:
    """`root` itself if given, else $SKIPBENCH_DATA if set and not empty, else the user's cache folder."""
    if root is not None:
        return Path(root).expanduser()
    named = os.environ.get(DATA_VARIABLE, "")
    if named:
        return Path(named).expanduser()
    import pooch  # here, since importing it takes longer than everything else in this module

    return Path(pooch.os_cache("skipbench"))


def first_folder(name: str, places: Sequence[Path], needed: str, root: Path | None) -> Path:
    """The first of `places` that holds the file `needed`. Raises MissingDataError, naming every place and the command that fetches."""
    for place in places:
        if (place / needed).is_file():
            return place
    raise missing(name, f"{needed} is in none of the places looked at: {', '.join(map(str, places))}", root)


def missing(name: str, what: str, root: Path | None) -> MissingDataError:
    """The error for a file that is not there, phrased alike for every set."""
    if root is not None:
        return MissingDataError(f"{name}: {what}. To fetch it: skipbench data fetch {name} --root {root}")
    chosen = f"named by {DATA_VARIABLE}" if os.environ.get(DATA_VARIABLE) else f"the user's cache; {DATA_VARIABLE} names another"
    return MissingDataError(f"{name}: {what} ({chosen}). To fetch it: skipbench data fetch {name}")
