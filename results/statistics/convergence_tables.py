"""Convergence in Markdown tables: the fits, which predictor wins, and where the papers' claims hold on these data and where not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from skipbench.results.statistics.censored_fits import DRAWS
from skipbench.results.statistics.comparisons import Interval
from skipbench.results.statistics.convergence_study import Contest, StudyFit, contests, study_cells, study_fits
from skipbench.results.statistics.markdown import table
from skipbench.results.statistics.skip_effects import MEASURED, OrderAgreement, SkipEffect, order_agreements, skip_effects
from skipbench.results.statistics.width_study import DISTANCES, WidthSlope, width_slopes
from skipbench.results.words import counted, printable

_PERCENT = {"90": "90 %", "99": "99 %", "99_9": "99.9 %"}
_CLAIMS = {
    "double_constant_bound": "A10: the bound 1 + n b/(1 − b) is smaller with skips",
    "condition_number": "A11: the condition number is smaller with skips",
    "iterations_99": "A12: gradient descent needs fewer iterations with skips",
}


def convergence_sections(frame: pd.DataFrame, *, draws: int = DRAWS) -> list[str]:
    """The tables that have rows; none where no finished cell has iterations of gradient descent."""
    cells = study_cells(frame)
    if cells.empty:
        return []
    tables = [_fits(study_fits(frame, draws=draws)), _contests(contests(frame, draws=draws)), _effects(skip_effects(frame))]
    tables += [_agreements(order_agreements(frame)), _widths(width_slopes(frame))]
    found = [each for each in tables if each]
    return [_heading(cells), *found] if found else []


def _heading(cells: pd.DataFrame) -> str:
    names = ", ".join(sorted({printable(name) for name in cells["dataset_label"]}))
    clusters = counted(cells["cluster"].nunique(), "pair", "pairs") + " of data set and draw"
    return (
        f"{counted(len(cells), 'cell')} of {clusters} ({names}). Fits are log10 iterations = a + b log10 predictor, misses censored; "
        "intervals are 95 %, from a bootstrap over data sets and draws. Predictors stand on the same Gram matrix as the iterations: at "
        "the step size n/λ_max the condition number predicts almost by construction, so the label-weighted spectrum stands beside it."
    )


def _fits(fits: Sequence[StudyFit]) -> str:
    rows = [
        (
            each.group,
            _PERCENT[each.reduction],
            each.predictor,
            f"{each.fit.line.slope:.2f}{_interval(each.fit.slope_interval)}",
            f"{each.fit.line.deviation:.3f}{_interval(each.fit.deviation_interval, digits=3)}",
            str(each.fit.line.n),
            str(each.fit.line.n_censored),
            str(each.left_out),
            str(each.fit.n_clusters),
        )
        for each in fits
    ]
    header = ("cells", "loss reduction", "predictor", "slope b", "deviation", "n", "censored", "left out", "clusters")
    return "## Fits\n\n" + table(header, rows, words=3) if rows else ""


def _contests(found: Sequence[Contest]) -> str:
    rows = [
        (
            each.group,
            _PERCENT[each.reduction],
            each.first,
            each.second,
            f"{each.gain:+.2f}",
            "-" if each.wins is None else f"{100 * each.wins:.0f} %",
            each.winner,
            str(each.n),
        )
        for each in found
    ]
    header = (
        "cells",
        "loss reduction",
        "first",
        "second",
        "log-likelihood a cell, second − first",
        "won by the second",
        "wins",
        "n",
    )
    return "## Which predictor wins\n\n" + table(header, rows, words=4) if rows else ""


def _effects(effects: Sequence[SkipEffect]) -> str:
    """One row for each kernel, readout, pairing, alpha and quantity: the verdicts by depth, and the ratios at the first and the last."""
    groups: dict[tuple[str, ...], list[SkipEffect]] = {}
    for each in effects:
        groups.setdefault((each.quantity, each.kernel, each.readout, each.pairing, each.alpha), []).append(each)
    ordered = sorted(groups.items(), key=lambda item: (list(MEASURED).index(item[0][0]), item[0]))
    rows = [
        (
            _CLAIMS[quantity],
            f"{kernel.upper()}, {readout}" if readout else kernel.upper(),
            pairing,
            alpha,
            _ratio(own[0]),
            _ratio(own[-1]),
            _by_depth(own),
            f"{100 * sum(each.smaller * each.n_pairs for each in own) / max(1, sum(each.n_pairs for each in own)):.0f} %",
            str(sum(each.n_pairs for each in own)),
        )
        for (quantity, kernel, readout, pairing, alpha), own in ordered
    ]
    header = (
        "claim",
        "kernel",
        "paired at",
        "α",
        "first depth: ratio",
        "last",
        "verdict by depth",
        "smaller with skips",
        "pairs",
    )
    return "## What skips change, residual / plain\n\n" + table(header, rows, words=4) if rows else ""


def _ratio(effect: SkipEffect) -> str:
    if effect.ratio is None:
        return f"{effect.depth}: -"
    return f"{effect.depth}: {effect.ratio:.3g}{_interval(effect.interval)}"


def _by_depth(effects: Iterable[SkipEffect]) -> str:
    """Depths by verdict: "holds 2, 4; not decided 8"."""
    found: dict[str, list[str]] = {}
    for each in effects:
        found.setdefault(each.verdict, []).append(str(each.depth))
    return "; ".join(f"{verdict}: {', '.join(depths)}" for verdict, depths in found.items())


def _agreements(agreements: Sequence[OrderAgreement]) -> str:
    rows = [
        (
            f"{each.kernel.upper()}, {each.readout}" if each.readout else each.kernel.upper(),
            each.pairing,
            f"{100 * each.share:.1f} %{_interval(each.interval, scale=100, digits=1)}",
            str(each.n_pairs),
            str(each.ties),
        )
        for each in agreements
    ]
    header = ("kernel", "paired at", "the better conditioned needs fewer iterations", "pairs", "ties left out")
    return "## A12 by pairs\n\n" + table(header, rows, words=2) if rows else ""


def _widths(slopes: Sequence[WidthSlope]) -> str:
    rows = [
        (
            each.dataset,
            each.method,
            each.architecture,
            DISTANCES[each.quantity],
            "; ".join(f"{width}: {median:.3g}" for width, median in zip(each.widths, each.medians, strict=True)),
            f"{each.slope:.2f}{_interval(each.interval)}",
            str(each.n),
        )
        for each in slopes
    ]
    header = ("data set", "method", "architecture", "distance from the kernel of", "median by width", "slope", "cells")
    return "## How twins approach their kernel: distance ∝ width^slope\n\n" + table(header, rows, words=5) if rows else ""


def _interval(interval: Interval | None, *, scale: float = 1.0, digits: int = 2) -> str:
    return "" if interval is None else f" [{scale * interval[0]:.{digits}f}, {scale * interval[1]:.{digits}f}]"
