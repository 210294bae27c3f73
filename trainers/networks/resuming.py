"""Where a training leaves checkpoints, and how often: what a classifier was given, checked once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skipbench.checks import SkipbenchError, shown
from skipbench.trainers.networks.build import check_count
from skipbench.trainers.registry import METHODS

SECONDS_BETWEEN = 60.0  # a short training writes nothing, a long one loses a minute at most
WITHOUT_INFLUENCE = frozenset({"checkpoint_dir", "checkpoint_every", "progress_bar", "memory"})  # parameters that leave the result as it is


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Where and how often, and the parameters of the training, which a checkpoint must share with whoever resumes it.

    folder: of this training only. every: epochs between checkpoints; None for the first end of an epoch after `seconds`.
    """

    folder: str
    every: int | None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = SECONDS_BETWEEN

    @classmethod
    def of(cls, classifier: Any) -> Checkpoints | None:
        """Those that a classifier's parameters ask for; None without `checkpoint_dir`. Raises SkipbenchError for an unusable folder."""
        check_checkpoints(classifier)
        if classifier.checkpoint_dir is None:
            return None
        folder = Path(classifier.checkpoint_dir).absolute()
        place = next(parent for parent in (folder, *folder.parents) if parent.exists())  # made once there is something to write
        if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
            raise SkipbenchError(
                f"{type(classifier).__name__}: checkpoint_dir={shown(classifier.checkpoint_dir)} cannot be used ({shown(str(place))} is "
                f"{'not writable' if place.is_dir() else 'no folder'}): give a folder in which files can be written"
            )
        given = {name: value for name, value in classifier.get_params(deep=False).items() if name not in WITHOUT_INFLUENCE}
        given["device"] = str(given["device"]).partition(":")[0]
        name = type(classifier).__name__
        versions = [method.source_version for method in METHODS.values() if method.path.endswith(f":{name}")]
        return cls(os.fspath(folder), classifier.checkpoint_every, {"class": name, "source_versions": versions, **given})


def check_checkpoints(classifier: Any) -> None:
    """Refuse what no training could make right in `checkpoint_dir` and `checkpoint_every`. Raises SkipbenchError."""
    owner, folder, every = type(classifier).__name__, classifier.checkpoint_dir, classifier.checkpoint_every
    if folder is not None and (not isinstance(folder, str | os.PathLike) or not os.fspath(folder)):
        raise SkipbenchError(f"{owner}: checkpoint_dir={shown(folder)}, but it is the name of a folder, or None for no checkpoints")
    if every is not None:
        check_count(owner, "checkpoint_every", every, "it counts the epochs between checkpoints")
