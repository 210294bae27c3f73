"""The spectrum of a kernel matrix of any size, in memory or in tiles on disk, read a pass at a time."""

from __future__ import annotations

from typing import Any

from skipbench.kernels.spectra.estimate import SpectrumEstimate, estimate_spectrum
from skipbench.kernels.stored.display import tile_progress
from skipbench.trainers.solvers.prediction import one_hot_targets
from skipbench.trainers.solvers.tiles import MatrixLike, Progress, SymmetricTiles


def spectrum_from_store(
    gram: MatrixLike, labels: Any = None, *, tile: int | None = None, progress: Progress | bool = False, **settings: Any
) -> SpectrumEstimate:
    """Condition numbers, effective dimension, decay and label-weighted spectrum by the Lanczos algorithm, each with its bounds.

    gram: (n, n), symmetric and positive semidefinite: a `StoredMatrix`, a zarr array, an array, a tensor. labels: n labels of any kind, for
    the label-weighted spectrum. tile: side of a tile; None means the matrix's own, or 1024. progress: a display (True), none (False), or
    called with (done, total) after every pass. settings: `ridge`, `scaling`, `steps`, `probes` and `seed` of `estimate_spectrum`.
    Each step is one pass over the upper tiles, and all arithmetic is float64. Raises SkipbenchError.
    """
    tiles = SymmetricTiles(gram, tile)
    targets = None if labels is None else one_hot_targets(labels)[1]
    with tile_progress(progress, "passes") as called:
        return estimate_spectrum(tiles.multiply, tiles.diagonal, targets=targets, progress=called, **settings)
