"""The SHA-256 of every file of the UCI collection that was at hand, since the collection's own site publishes none.

`uci_sha256.json` is written by `python -m skipbench.datasets.uci_checksums FOLDER > datasets/uci_sha256.json`, where FOLDER holds
one folder per set.
"""

from __future__ import annotations

import hashlib
import json
import sys
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from skipbench.datasets.uci_format import read_description

# The rest of the 121 sets: they load if their files are there, marked unverified.
UNVERIFIED_NAMES = (
    "acute-nephritis",
    "balance-scale",
    "breast-tissue",
    "conn-bench-sonar-mines-rocks",
    "ecoli",
    "hayes-roth",
    "heart-va",
    "image-segmentation",
    "led-display",
    "lymphography",
    "monks-2",
    "oocytes_trisopterus_states_5b",
    "pittsburg-bridges-TYPE",
    "statlog-vehicle",
    "teaching",
)


@cache
def known_sets() -> dict[str, dict[str, Any]]:
    """For each known set: rows, test_rows (0 without a separate test file), features, classes, and sha256 by file name."""
    text = files("skipbench.datasets").joinpath("uci_sha256.json").read_text(encoding="ascii")
    found: dict[str, dict[str, Any]] = json.loads(text)
    return found


def known_sha256(name: str, file: str) -> str | None:
    """The SHA-256 that a file of the set `name` must have; None where the file was not at hand."""
    digest: str | None = known_sets().get(name, {}).get("sha256", {}).get(file)
    return digest


def collection_checksums(folder: Path) -> dict[str, dict[str, Any]]:
    """What `known_sets` returns, computed from a folder that holds one folder per set."""
    table = {}
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        description = read_description(place / f"{place.name}.txt", (place / f"{place.name}.txt").read_bytes())
        table[place.name] = {
            "rows": description.rows[0],
            "test_rows": sum(description.rows[1:]),
            "features": description.features,
            "classes": description.classes,
            "sha256": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(place.iterdir())},
        }
    return table


if __name__ == "__main__":
    print(json.dumps(collection_checksums(Path(sys.argv[1])), indent=1))
