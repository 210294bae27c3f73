"""A Gram matrix at size, from images to test accuracy: tiles on disk, then ridge regression from them, depth by depth."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from skipbench.architecture import Architecture
from skipbench.kernels.spectra import SpectrumEstimate
from skipbench.kernels.stored import stored_kernel_matrices
from skipbench.trainers.solvers.prediction import ridge_from_store
from skipbench.trainers.solvers.spectrum import spectrum_from_store


@dataclass(frozen=True, slots=True)
class StoredAccuracy:
    """What one kernel of one depth reached. residual: of the linear system, relative; condition_number: of K + ridge, estimated.

    spectrum: of the Gram matrix with the centred labels, where it was asked for.
    """

    kernel: str
    depth: int
    accuracy: float
    residual: float
    condition_number: float
    seconds: float
    method: str
    spectrum: SpectrumEstimate | None = None


@dataclass(frozen=True, slots=True)
class StoredStudy:
    """Seconds of this call for the tiles (little where they were there already), and what every kernel and depth reached."""

    gram_seconds: float
    cross_seconds: float
    accuracies: tuple[StoredAccuracy, ...]


def stored_study(
    arch: Architecture,
    train: tuple[NDArray[Any], NDArray[Any]],
    test: tuple[NDArray[Any], NDArray[Any]],
    *,
    store: Path,
    depths: Sequence[int],
    ridge: float,
    dtype: torch.dtype,
    tile: int,
    scheduler: str | None = None,
    is_spectrum_wanted: bool = False,
) -> StoredStudy:
    """Gram matrix of the training inputs and cross matrix with the test inputs, at every depth in one pass, and ridge regression.

    train, test: inputs and labels. store: a folder for both matrices; what it holds of them already is not computed again.
    ridge: relative to tr(K)/n; nothing is chosen. is_spectrum_wanted: of every Gram matrix, by `spectrum_from_store`.
    Raises what `stored_kernel_matrices` and `ridge_from_store` raise.
    """
    options: dict[str, Any] = {"tile": tile, "dtype": dtype, "depths": list(depths), "scheduler": scheduler}
    start = time.perf_counter()
    grams = stored_kernel_matrices(arch, train[0], store=store / "gram", **options)
    between = time.perf_counter()
    crosses = stored_kernel_matrices(arch, test[0], train[0], store=store / "cross", **options)
    end = time.perf_counter()
    found = []
    for kernel, gram, cross in zip(("nngp", "ntk"), grams, crosses, strict=True):
        for depth in depths:
            fitted = ridge_from_store(gram.select(depth=depth), cross.select(depth=depth), train[1], ridge)
            accuracy = float(np.mean(fitted.predictions == test[1]))
            solution = fitted.solution
            spectrum = spectrum_from_store(gram.select(depth=depth), train[1], ridge=ridge, progress=True) if is_spectrum_wanted else None
            numbers = (solution.residual, solution.condition_estimate, solution.seconds)
            found.append(StoredAccuracy(kernel, depth, accuracy, *numbers, solution.method, spectrum))
    return StoredStudy(between - start, end - between, tuple(found))
