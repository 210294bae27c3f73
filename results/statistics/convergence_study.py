"""What decides how long gradient descent takes: the condition number, the label-weighted spectrum, or neither; family by family.

Kernels in closed form are fitted against the spectrum of their Gram matrix, trained networks against the tangent kernel that they start
with and against what their architecture's kernel predicts. Every fit is a censored line on logarithms (`censored_fits`) with its interval
from a bootstrap over (data set, draw).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skipbench.checks import SkipbenchError
from skipbench.results.statistics.cells import current_cells, without_size
from skipbench.results.statistics.censored_fits import (
    DRAWS,
    Array,
    CensoredLine,
    ClusteredFit,
    Mask,
    bootstrap_fit,
    cluster_samples,
    fit_line,
    has_line,
)
from skipbench.results.statistics.engine_times import by_one_engine

Names = NDArray[np.object_]

REDUCTIONS = ("90", "99", "99_9")
CONDITION, LABELS, BOUND = "condition number", "label-weighted spectrum", "double-constant bound"
TANGENT, KERNEL = "tangent kernel's condition number", "kernel's prediction"
_COLUMNS = {
    CONDITION: "condition_number",
    LABELS: "label_condition_{}",
    BOUND: "double_constant_bound",
    TANGENT: "tangent_condition_start",
    KERNEL: "predicted_iterations_{}",
}
_KERNEL_PREDICTORS, _NETWORK_PREDICTORS = (CONDITION, LABELS, BOUND), (TANGENT, KERNEL)
FEWEST_CELLS = 5
DECIDED = 0.95


@dataclass(frozen=True, slots=True)
class StudyFit:
    """Iterations of one group of cells to one loss reduction, against one predictor. left_out: cells whose predictor is infinite."""

    group: str
    reduction: str
    predictor: str
    fit: ClusteredFit
    left_out: int


@dataclass(frozen=True, slots=True)
class Contest:
    """The first two predictors of a group on the same cells.

    gain: log-likelihood of the second minus that of the first, a cell. wins: the share of bootstrap samples in which it is above 0.
    """

    group: str
    reduction: str
    first: str
    second: str
    n: int
    gain: float
    wins: float | None

    @property
    def winner(self) -> str:
        """Which predictor explains more, where 95 % of the samples agree."""
        if self.wins is None or 1 - DECIDED < self.wins < DECIDED:
            return "not decided"
        return self.second if self.wins >= DECIDED else self.first


def study_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """The cells with iterations of gradient descent, with `group_name`, `kind` (plain, residual), `cluster` (data set, draw)."""
    cells = current_cells(frame)
    cells = by_one_engine(cells[cells["iterations_99"].notna() & (cells["status"] == "ok")]).copy()
    names = without_size(cells["dataset"].fillna("?"))
    # splits of one draw share their rows, so they are no independent witnesses
    cells["cluster"] = [f"{name}, {seed}" for name, seed in zip(names, cells["data_seed"], strict=True)]
    cells["kind"] = np.where(cells["residual"].fillna(False).astype(bool), "residual", "plain")
    cells["group_name"] = [_group(row) for row in cells.to_dict("records")]
    return cells.reset_index(drop=True)


def study_fits(frame: pd.DataFrame, *, draws: int = DRAWS, seed: int = 0) -> list[StudyFit]:
    """A fit for each group (all of it, its plain and its residual cells), loss reduction and predictor that has enough cells."""
    return [
        StudyFit(name, reduction, predictor, bootstrap_fit(x, y, censored, clusters, draws=draws, seed=seed), left_out)
        for name, own, predictors in _groups(frame)
        for reduction in REDUCTIONS
        for predictor in predictors
        for x, y, censored, clusters, left_out in _points(own, reduction, (predictor,))
    ]


def study_line(cells: pd.DataFrame, reduction: str, predictor: str) -> CensoredLine | None:
    """The line alone, of some of `study_cells`; None where there are too few points for one."""
    return next((fit_line(x, y, censored) for x, y, censored, _, _ in _points(cells, reduction, (predictor,))), None)


def contests(frame: pd.DataFrame, *, draws: int = DRAWS, seed: int = 0) -> list[Contest]:
    """For each group and reduction, which of its first two predictors explains the iterations better, on the cells that have both."""
    found = []
    for name, own, (first, second, *_) in _groups(frame):
        for reduction in REDUCTIONS:
            for x, y, censored, clusters, _ in _points(own, reduction, (first, second)):
                gain, wins = _gain(x, y, censored, clusters, draws=draws, seed=seed)
                found.append(Contest(name, reduction, first, second, len(y), gain / len(y), wins))
    return found


def _group(row: dict[str, object]) -> str:
    """What is fitted together: a kernel, or twins of one width; with momentum apart."""
    momentum = f", momentum {row['momentum']:g}" if isinstance(row["momentum"], float) and row["momentum"] > 0 else ""
    if row["family"] == "kernel":
        return f"{str(row['kernel']).upper()}{momentum}"
    width = "" if pd.isna(row["width"]) else f", width {row['width']}"
    return f"{row['method']}{width}{momentum}"


def _groups(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame, tuple[str, ...]]]:
    for name, whole in study_cells(frame).groupby("group_name"):
        predictors = _KERNEL_PREDICTORS if (whole["family"] == "kernel").all() else _NETWORK_PREDICTORS
        yield str(name), whole, predictors
        for kind, own in whole.groupby("kind"):
            if len(own) < len(whole):
                yield f"{name}, {kind}", own, predictors


def _points(cells: pd.DataFrame, reduction: str, predictors: tuple[str, ...]) -> Iterator[tuple[Array, Array, Mask, Names, int]]:
    """log10 of predictors and iterations of the cells that have them; nothing where that is no line.

    x: (n,) for one predictor, (n, predictors) for several. A miss that was measured is censored at its last step; one in closed form, which
    is certain for ever, at the largest step that any cell of the group needed.
    """
    wanted = [_COLUMNS[predictor].format(reduction) for predictor in predictors]
    measured = cells[cells[wanted].notna().all(axis=1)]
    values, iterations = measured[wanted].to_numpy(dtype=float), measured[f"iterations_{reduction}"].to_numpy(dtype=float)
    usable = np.isfinite(values).all(axis=1) & (values > 0).all(axis=1)
    values, iterations, measured = values[usable], np.maximum(iterations[usable], 1.0), measured[usable]
    censored = np.isinf(iterations)
    if len(values) < FEWEST_CELLS or not all(has_line(column, censored) for column in np.log10(values).T):
        return
    limits = measured["last_step"].astype(float).fillna(iterations[~censored].max()).to_numpy()
    x, y = np.log10(values), np.log10(np.maximum(np.where(censored, limits, iterations), 1.0))
    yield x[:, 0] if len(predictors) == 1 else x, y, censored, measured["cluster"].to_numpy(), int((~usable).sum())


def _gain(x: Array, y: Array, censored: Mask, clusters: Names, *, draws: int, seed: int) -> tuple[float, float | None]:
    """By how much the log-likelihood of the second predictor exceeds that of the first, and in which share of the samples it does."""
    whole = [fit_line(column, y, censored) for column in x.T]
    gains = []
    for rows in cluster_samples(clusters, draws, seed) if len(set(clusters)) > 2 else []:
        try:
            fits = [fit_line(x[rows, number], y[rows], censored[rows], start=whole[number]) for number in range(2)]
        except SkipbenchError:
            continue
        gains.append(fits[1].log_likelihood - fits[0].log_likelihood)
    return whole[1].log_likelihood - whole[0].log_likelihood, float(np.mean(np.array(gains) > 0)) if gains else None
