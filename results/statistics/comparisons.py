"""Paired comparisons: with skips against without, and a kernel against its network, on the same splits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

DRAWS = 2000
_TWINS = {"ResMLP": "MLP", "ResCNN": "CNN"}
_UNIT = ["dataset", "split"]


@dataclass(frozen=True)
class Comparison:
    """Two methods on the units (splits of data sets) that both finished; the difference is first minus second, in accuracy.

    low, high: 95 % percentile bootstrap over units; with one unit both are the difference itself.
    """

    title: str
    first: str
    second: str
    units: int
    difference: float
    low: float
    high: float
    first_accuracy: float
    second_accuracy: float

    @property
    def is_decided(self) -> bool:
        """Whether the interval leaves out 0; with fewer than 3 units nothing is."""
        return self.units >= 3 and not self.low <= 0 <= self.high


def residual_against_plain(frame: pd.DataFrame, *, seed: int = 0) -> list[Comparison]:
    """ResMLP against MLP and ResCNN against CNN of the same depth, readout, bias, kernel or width; first is the residual one."""
    finished = _finished_with_architecture(frame)
    alike = ["method", "kernel", "width", "depth", "readout", "bias", "filter_size", "padding"]
    found = []
    for residual_label, residual in finished[finished["architecture"].isin(list(_TWINS))].groupby("label"):
        described = residual.iloc[0]
        plain = finished[finished["architecture"] == _TWINS[str(described["architecture"])]]
        for column in alike:
            plain = plain[_same(plain[column], described[column])]
        for plain_label, twin in plain.groupby("label"):
            title = f"{_what(described)}: {described['architecture']} against {twin.iloc[0]['architecture']}"
            found.append(_compare(title, str(residual_label), residual, str(plain_label), twin, seed))
    return [comparison for comparison in found if comparison is not None]


def kernel_against_network(frame: pd.DataFrame, *, seed: int = 0) -> list[Comparison]:
    """The NTK (and NNGP) ridge regression against the trained network of the same architecture; first is the kernel."""
    finished = _finished_with_architecture(frame)
    alike = ["architecture", "depth", "alpha", "readout", "bias", "filter_size", "padding", "branch_depth", "train_ends"]
    found = []
    for kernel_label, kernel in finished[finished["family"] == "kernel"].groupby("label"):
        described = kernel.iloc[0]
        networks = finished[finished["family"] == "network"]
        for column in alike:
            networks = networks[_same(networks[column], described[column])]
        for network_label, network in networks.groupby("label"):
            title = f"{str(described['kernel']).upper()} against network: {described['architecture']}"
            found.append(_compare(title, str(kernel_label), kernel, str(network_label), network, seed))
    return [comparison for comparison in found if comparison is not None]


def _finished_with_architecture(frame: pd.DataFrame) -> pd.DataFrame:
    if not len(frame) or "architecture" not in frame:
        return pd.DataFrame({"architecture": [], "family": [], "label": []})
    return frame[(frame["status"] == "ok") & frame["architecture"].notna()]


def _same(column: pd.Series, value: object) -> pd.Series:
    """Equal, where two missing values are equal as well."""
    return column.isna() if pd.isna(value) else column == value  # type: ignore[call-overload]


def _what(described: pd.Series) -> str:
    return "network" if described["family"] == "network" else str(described["kernel"]).upper()


def _compare(title: str, first: str, one: pd.DataFrame, second: str, other: pd.DataFrame, seed: int) -> Comparison | None:
    scores = pd.concat([part.groupby(_UNIT)["accuracy"].mean() for part in (one, other)], axis=1, keys=["first", "second"]).dropna()
    if not len(scores):
        return None
    differences = (scores["first"] - scores["second"]).to_numpy()
    generator = np.random.default_rng(seed)
    means = differences[generator.integers(len(differences), size=(DRAWS, len(differences)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Comparison(
        title=title,
        first=first,
        second=second,
        units=len(scores),
        difference=float(differences.mean()),
        low=float(low),
        high=float(high),
        first_accuracy=float(scores["first"].mean()),
        second_accuracy=float(scores["second"].mean()),
    )
