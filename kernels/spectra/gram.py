"""Gram matrices at the border: what is accepted, in which precision it is used, and how a bad one is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skipbench.checks import SkipbenchError

GramLike = Tensor | np.ndarray[Any, Any]

_ASYMMETRY_ALLOWED = {torch.float64: 1e-8, torch.float32: 1e-4}  # of max |K_ij|: matrix products computed without symmetry stay below


def checked_gram(gram: GramLike, *, where: str = "gram") -> Tensor:
    """The matrix as a float64 tensor on its own device, exactly symmetric; refused unless square, finite and symmetric to rounding.

    gram: (n, n) with n >= 1, numpy or torch, of any real dtype. float64 because a condition number beyond 1e7 leaves float32 no digit.
    where: the name that the message begins with. Raises SkipbenchError.
    """
    tensor = _real_tensor(gram, where)
    if tensor.ndim != 2 or tensor.shape[0] != tensor.shape[1] or tensor.shape[0] == 0:
        raise SkipbenchError(f"{where}: shape {tuple(tensor.shape)}, but a Gram matrix is square, (n, n) with n of at least 1")
    allowed = _ASYMMETRY_ALLOWED.get(tensor.dtype, 1e-8)
    tensor = tensor.to(torch.float64)
    unusable = int((~torch.isfinite(tensor)).sum())
    if unusable:
        raise SkipbenchError(f"{where}: {unusable} of {tensor.numel()} entries are NaN or infinite: look at the inputs behind it")
    if torch.equal(tensor, tensor.T):
        return tensor
    _check_symmetry(tensor, allowed, where)
    return (tensor + tensor.T) / 2


def unit_diagonal(gram: GramLike) -> Tensor:
    """The matrix scaled to K_ij / sqrt(K_ii K_jj), whose diagonal is exactly 1.

    gram: (n, n), symmetric, with a positive diagonal. Returns (n, n) float64 on gram's device. Raises SkipbenchError.
    """
    tensor = checked_gram(gram)
    diagonal = tensor.diagonal()
    positive = diagonal > 0
    if not bool(positive.all()):
        row = int((~positive).nonzero()[0, 0])
        raise SkipbenchError(
            f"unit_diagonal: entry ({row}, {row}) of gram is {float(diagonal[row])!r}, but only a positive diagonal can be scaled to 1: "
            "remove the inputs whose kernel with themselves is 0 (an input of zeros, under an architecture without bias)"
        )
    roots = diagonal.sqrt()
    scaled = tensor / roots[:, None] / roots[None, :]
    scaled = (scaled + scaled.T) / 2  # the two divisions round differently above and below the diagonal
    scaled.fill_diagonal_(1.0)
    return scaled


def checked_ridge(ridge: float, *, where: str, zero_allowed: bool) -> float:
    """The ridge, relative to tr(K)/n, as a float; refused unless it is a finite number above 0 (or of at least 0)."""
    allowed = "of at least 0" if zero_allowed else "above 0"
    try:
        value = math.nan if isinstance(ridge, (bool, str)) else float(ridge)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero_allowed):
        raise SkipbenchError(f"{where}: ridge={ridge!r}, but a ridge is a finite number {allowed}, relative to trace/n, such as 1e-4")
    return value


def _real_tensor(gram: GramLike, where: str) -> Tensor:
    if isinstance(gram, Tensor):
        tensor = gram.detach()
    elif isinstance(gram, np.ndarray) and gram.dtype.kind in "fiub":
        tensor = torch.from_numpy(np.array(gram))  # a copy: torch warns about arrays that may not be written
    else:
        found = f"an array of {gram.dtype}" if isinstance(gram, np.ndarray) else f"a {type(gram).__name__}"
        raise SkipbenchError(f"{where}: {found}, but a Gram matrix is a numpy array or torch tensor of real numbers")
    if tensor.is_complex():
        raise SkipbenchError(f"{where}: a tensor of {tensor.dtype}, but a Gram matrix holds real numbers")
    return tensor


def _check_symmetry(tensor: Tensor, allowed: float, where: str) -> None:
    difference = (tensor - tensor.T).abs()
    worst = float(difference.max())
    if worst > allowed * float(tensor.abs().max()):
        row, column = divmod(int(difference.argmax()), tensor.shape[0])
        raise SkipbenchError(
            f"{where}: not symmetric: entries ({row}, {column}) and ({column}, {row}) are {float(tensor[row, column])!r} and "
            f"{float(tensor[column, row])!r}: give the kernel matrix of the inputs with themselves"
        )
