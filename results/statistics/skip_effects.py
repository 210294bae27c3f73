"""What skip connections do to conditioning and convergence, pair by pair: the same data, kernel, readout and depth, with them and without.

Pairs are made twice: at equal depth, CNN(L) and ResCNN(L), and at an equal number of convolutions, CNN(q L) and ResCNN(L) with q in each
block. Effects are ratios residual / plain, their geometric mean and a 95 % t interval over clusters (data set, draw) of the mean logarithm.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from skipbench.results.statistics.comparisons import PLAIN_OF, Interval, paired_interval
from skipbench.results.statistics.convergence_study import study_cells

EQUAL_DEPTH, EQUAL_CONVOLUTIONS = "equal depth", "equal number of convolutions"
MEASURED = {"condition_number": "condition number", "double_constant_bound": "double-constant bound", "iterations_99": "iterations to 99 %"}
_SAME = ["suite", "dataset_label", "n_train", "cluster", "kernel", "readout", "filter_size", "padding", "momentum"]


@dataclass(frozen=True, slots=True)
class SkipEffect:
    """residual / plain of one quantity. depth: of the residual network. ratio: geometric mean over the pairs that are finite on both sides.

    infinite: pairs left out of the ratio. smaller: the share of all pairs in which the residual one is smaller, infinite ones among them.
    interval: None with fewer than two clusters.
    """

    kernel: str
    readout: str
    alpha: str
    depth: int
    pairing: str
    quantity: str
    ratio: float | None
    interval: Interval | None
    n_pairs: int
    infinite: int
    smaller: float

    @property
    def verdict(self) -> str:
        """Whether the residual one is smaller: "holds", "does not hold", or "not decided" where the interval has 1 in it."""
        if self.interval is None or self.interval[0] <= 1 <= self.interval[1]:
            return "not decided"
        return "holds" if self.interval[1] < 1 else "does not hold"


@dataclass(frozen=True, slots=True)
class OrderAgreement:
    """A12 by pairs: how often the better conditioned of a pair also needs fewer iterations; pairs that tie in either are left out.

    interval: a 95 % t interval over clusters; None with fewer than two.
    """

    kernel: str
    readout: str
    pairing: str
    share: float
    interval: Interval | None
    n_pairs: int
    ties: int


def skip_pairs(frame: pd.DataFrame) -> pd.DataFrame:
    """One row for each residual kernel cell that has a plain partner: columns with the suffixes _residual and _plain, and `pairing`."""
    cells = study_cells(frame)
    cells = cells[(cells["family"] == "kernel") & cells["depth"].notna()]
    cells[["readout", "padding"]] = cells[["readout", "padding"]].fillna("")
    cells[["momentum", "filter_size"]] = cells[["momentum", "filter_size"]].fillna(0)
    residual, plain = cells[cells["kind"] == "residual"].copy(), cells[cells["kind"] == "plain"].copy()
    residual["architecture_of_plain"] = residual["architecture"].map(PLAIN_OF)
    keys = [*_SAME, "architecture_of_plain", "partner_depth"]
    plain = plain.rename(columns={"architecture": "architecture_of_plain", "depth": "partner_depth"})[[*keys, *MEASURED]]
    factors = {EQUAL_DEPTH: 1, EQUAL_CONVOLUTIONS: residual["branch_depth"].fillna(1)}
    parts = []
    for pairing, factor in factors.items():
        wanted = residual.assign(partner_depth=(residual["depth"] * factor).astype("Int64"), pairing=pairing)
        parts.append(wanted.merge(plain, on=keys, suffixes=("_residual", "_plain")))
    return pd.concat(parts, ignore_index=True)


def skip_effects(frame: pd.DataFrame) -> list[SkipEffect]:
    """The effect on each quantity for every kernel, readout, alpha and depth; without momentum."""
    pairs = skip_pairs(frame)
    pairs = pairs[pairs["momentum"] == 0]
    keys = ["pairing", "kernel", "readout", "alpha", "depth"]
    return [_effect(dict(zip(keys, key, strict=True)), own, quantity) for key, own in pairs.groupby(keys) for quantity in MEASURED]


def order_agreements(frame: pd.DataFrame) -> list[OrderAgreement]:
    """Whether the order of condition numbers is that of iterations, for every kernel and readout; without momentum."""
    pairs = skip_pairs(frame)
    return list(_agreements(pairs[pairs["momentum"] == 0]))


def _effect(key: dict[str, Any], pairs: pd.DataFrame, quantity: str) -> SkipEffect:
    measured = pairs[pairs[f"{quantity}_residual"].notna() & pairs[f"{quantity}_plain"].notna()]
    residual, plain = (measured[f"{quantity}_{kind}"].to_numpy(dtype=float) for kind in ("residual", "plain"))
    finite = np.isfinite(residual) & np.isfinite(plain) & (residual > 0) & (plain > 0)
    logs = pd.Series(np.log(residual[finite] / plain[finite])).groupby(measured["cluster"].to_numpy()[finite]).mean()
    interval = paired_interval(logs.tolist())
    return SkipEffect(
        kernel=str(key["kernel"]),
        readout=str(key["readout"]),
        alpha=str(key["alpha"]),
        depth=int(key["depth"]),
        pairing=str(key["pairing"]),
        quantity=quantity,
        ratio=float(np.exp(logs.mean())) if len(logs) else None,
        interval=None if interval is None else (float(np.exp(interval[0])), float(np.exp(interval[1]))),
        n_pairs=len(measured),
        infinite=int((~finite).sum()),
        smaller=float((residual < plain).mean()) if len(measured) else 0.0,
    )


def _agreements(pairs: pd.DataFrame) -> Iterator[OrderAgreement]:
    for (pairing, kernel, readout), own in pairs.groupby(["pairing", "kernel", "readout"]):
        condition, iterations = (
            np.sign(_difference(own[f"{name}_residual"], own[f"{name}_plain"])) for name in ("condition_number", "iterations_99")
        )
        told_apart = (condition != 0) & (iterations != 0)
        agrees = pd.Series((condition == iterations)[told_apart].astype(float))
        by_cluster = agrees.groupby(own["cluster"].to_numpy()[told_apart]).mean()
        interval = paired_interval(by_cluster.tolist())
        yield OrderAgreement(
            kernel=str(kernel),
            readout=str(readout),
            pairing=str(pairing),
            share=float(by_cluster.mean()) if len(by_cluster) else float("nan"),
            interval=None if interval is None else (max(0.0, interval[0]), min(1.0, interval[1])),
            n_pairs=int(told_apart.sum()),
            ties=int((~told_apart).sum()),
        )


def _difference(first: pd.Series, second: pd.Series) -> Any:
    """first - second; 0 where both are infinite."""
    one, other = first.to_numpy(dtype=float), second.to_numpy(dtype=float)
    both = np.isinf(one) & np.isinf(other)
    return np.subtract(one, other, out=np.zeros_like(one), where=~both)
