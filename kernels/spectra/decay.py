"""How fast eigenvalues fall: the exponent of λ_k ∝ k^-p, and how well a straight line on logarithmic axes describes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from skipbench.checks import SkipbenchError, shown
from skipbench.kernels.spectra.eigensystem import rank_of
from skipbench.results.record import EigenvalueDecay

Array = NDArray[np.float64]
LEVEL = 0.95
BANDS_PER_OCTAVE = 3
FEWEST_BANDS = 4
FIRST_RANK = 4  # the first eigenvalues belong to the mean of the kernel and to single features, not to the decay


def eigenvalue_decay(eigenvalues: Tensor, *, first: int = FIRST_RANK, last: int | None = None) -> EigenvalueDecay | None:
    """The exponent p of λ_k ∝ k^-p over the ranks first..last, rank 1 being the largest eigenvalue, with a 95 % interval.

    log λ is averaged over bands of a third of an octave of ranks, so that every octave weighs alike, and a line is fitted by least squares;
    the interval is the line's own t interval over the bands. It says how straight the decay is, not what other data would give.

    eigenvalues: (n,), ascending. last: None means half of the numerical rank, as the smallest eigenvalues of a sample fall faster than
    those of the kernel. None where fewer than four bands are left. Raises SkipbenchError for ranks that are none.
    """
    if isinstance(first, bool) or not isinstance(first, int) or first < 1:
        raise SkipbenchError(f"eigenvalue_decay: first={shown(first)}, but ranks count from 1")
    rank = rank_of(eigenvalues)
    end = rank // 2 if last is None else last
    if isinstance(end, bool) or not isinstance(end, int) or not end <= len(eigenvalues):
        raise SkipbenchError(
            f"eigenvalue_decay: last={shown(last)}, but there are {len(eigenvalues)} eigenvalues: use at most that, or None"
        )
    descending = eigenvalues.flip(0)[: min(end, rank)].cpu().numpy()
    ranks, logarithms = _bands(descending, first)
    if len(ranks) < FEWEST_BANDS:
        return None
    line = stats.linregress(ranks, logarithms)
    error = float(line.stderr) if np.isfinite(line.stderr) else 0.0  # of a straight line, whose residuals are rounding errors
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(ranks) - 2)) * error
    exponent = -float(line.slope)
    return EigenvalueDecay(exponent=exponent, low=exponent - half, high=exponent + half, first=first, last=len(descending))


def _bands(descending: Array, first: int) -> tuple[Array, Array]:
    """Means of log k and log λ_k over the bands of ranks from `first` on."""
    ranks = np.arange(first, len(descending) + 1)
    if not len(ranks):
        return np.empty(0), np.empty(0)
    band = np.floor(BANDS_PER_OCTAVE * np.log2(ranks / first) + 1e-9).astype(int)
    counts = np.bincount(band)
    filled = counts > 0
    means = [np.bincount(band, weights=values)[filled] / counts[filled] for values in (np.log(ranks), np.log(descending[first - 1 :]))]
    return means[0], means[1]
