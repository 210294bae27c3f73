"""The spectrum of a kernel matrix of any size, in memory or in tiles on disk, read a pass at a time."""

from __future__ import annotations

from typing import Any

from skipbench.kernels.spectra.estimate import SpectrumEstimate, estimate_spectrum
from skipbench.trainers.solvers.tiles import MatrixLike, SymmetricTiles


def spectrum_from_store(gram: MatrixLike, *, tile: int | None = None, **settings: Any) -> SpectrumEstimate:
    """Condition numbers, effective dimension, decay and label-weighted spectrum by the Lanczos algorithm, each with its bounds.

    gram: (n, n), symmetric and positive semidefinite: a `StoredMatrix`, a zarr array, an array, a tensor. tile: side of a tile; None means
    the matrix's own, or 1024. settings: `ridge`, `targets`, `scaling`, `steps`, `probes`, `seed` and `progress` of `estimate_spectrum`.
    Each step is one pass over the upper tiles, and all arithmetic is float64. Raises SkipbenchError.
    """
    tiles = SymmetricTiles(gram, tile)
    return estimate_spectrum(tiles.multiply, tiles.diagonal, **settings)
