"""From stored matrices to predicted labels, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from torch import Tensor

from skipbench.checks import SkipbenchError, shown
from skipbench.trainers.solvers.settings import SolverOptions
from skipbench.trainers.solvers.solution import RidgeSolution
from skipbench.trainers.solvers.solve import solve_ridge_path
from skipbench.trainers.solvers.tiles import Array, MatrixLike, Progress, matrix_shape, read_block, tile_side


@dataclass(frozen=True, slots=True, eq=False)
class StoredRidge:
    """One-vs-all ridge regression on stored matrices, as `KernelRidge` has it: targets are one-hot minus 1/classes.

    predictions: (m,), labels. outputs: (m, classes). classes: ascending. solution: how the coefficients were found.
    """

    predictions: np.ndarray
    outputs: Array
    classes: np.ndarray
    solution: RidgeSolution


def predict_from_store(cross: MatrixLike, coefficients: Any, *, tile: int | None = None, progress: Progress | None = None) -> Array:
    """cross @ coefficients in one pass over the tiles of `cross`, in float64.

    cross: (m, n), the kernel matrix of m new points with the training points; whatever `solve_ridge` takes. coefficients: (n, outputs) or
    (n,), or a stack (ridges, n, outputs), which shares the pass. tile: side; None means the matrix's own, or 1024. progress: called with
    (done, total) after every row of tiles. Returns (m, outputs), (m,) or (ridges, m, outputs). Raises SkipbenchError, also for NaN.
    """
    m, n = matrix_shape(cross, "cross")
    values = np.asarray(coefficients.detach().cpu().numpy() if isinstance(coefficients, Tensor) else coefficients, dtype=np.float64)
    if values.ndim not in (1, 2, 3) or values.shape[-2 if values.ndim > 1 else 0] != n:
        raise SkipbenchError(f"coefficients of shape {values.shape}, but cross has {n} columns: use ({n}, outputs)")
    columns = values.reshape(n, -1) if values.ndim < 3 else values.transpose(1, 0, 2).reshape(n, -1)
    outputs, side = np.zeros((m, columns.shape[1])), tile_side(cross, tile)
    for top in range(0, m, side):
        rows = slice(top, min(top + side, m))
        for left in range(0, n, side):
            there = slice(left, min(left + side, n))
            outputs[rows] += read_block(cross, rows, there, "cross") @ columns[there]
        _check_finite(outputs[rows], rows)
        if progress is not None:
            progress(rows.stop, m)
    if values.ndim == 3:
        return outputs.reshape(m, values.shape[0], -1).transpose(1, 0, 2)
    return outputs if values.ndim == 2 else outputs[:, 0]


def ridge_from_store(gram: MatrixLike, cross: MatrixLike, labels: Any, ridge: float, **options: Unpack[SolverOptions]) -> StoredRidge:
    """Fit on `gram` and `labels` at one ridge and predict the labels of the rows of `cross`.

    gram: (n, n). cross: (m, n). labels: n labels of any kind that can be sorted, of at least two classes. options, errors: `solve_ridge`.
    """
    return ridge_path_from_store(gram, cross, labels, [ridge], **options)[0]


def ridge_path_from_store(
    gram: MatrixLike, cross: MatrixLike, labels: Any, ridges: Sequence[float], **options: Unpack[SolverOptions]
) -> list[StoredRidge]:
    """`ridge_from_store` at every ridge: the passes over both matrices are shared."""
    classes, targets = one_hot_targets(labels)
    n_columns, n = matrix_shape(cross, "cross")[1], matrix_shape(gram, "gram")[0]
    if n_columns != n:
        raise SkipbenchError(f"cross has {n_columns} columns and gram {n} rows: both belong to the training points")
    solutions = solve_ridge_path(gram, targets, ridges, **options)
    stack = predict_from_store(cross, np.stack([one.coefficients for one in solutions]), tile=options.get("tile"))
    return [
        StoredRidge(classes[outputs.argmax(axis=1)], outputs, classes, solution) for outputs, solution in zip(stack, solutions, strict=True)
    ]


def one_hot_targets(labels: Any) -> tuple[np.ndarray, Array]:
    """Classes and targets: 1 - 1/classes for the row's own class, -1/classes for the others, as `KernelRidge` has them."""
    values = np.asarray(labels.detach().cpu().numpy() if isinstance(labels, Tensor) else labels)
    if values.ndim != 1:
        raise SkipbenchError(f"labels of shape {values.shape}, but there is one label for each row: use (n,)")
    classes, codes = np.unique(values, return_inverse=True)
    if len(classes) < 2:
        raise SkipbenchError(
            f"labels: {len(classes)} class{'' if len(classes) else 'es'}, {shown(classes.tolist())}, but at least 2 are needed"
        )
    return classes, np.eye(len(classes))[codes] - 1 / len(classes)


def _check_finite(outputs: Array, rows: slice) -> None:
    if not np.isfinite(outputs).all():
        raise SkipbenchError(f"cross: rows {rows.start} to {rows.stop - 1} or the coefficients hold NaN or infinity: compute them again")
