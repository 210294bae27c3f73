"""Values of series as people read them."""

from __future__ import annotations

import math

from skipbench.results.performance.history import Series
from skipbench.results.words import seconds_text


def value_text(value: float | None, series: Series) -> str:
    """`4.1 ms`, `212 MiB`, `4,851,583`, `3368.01`, `-` for none. Counts are given in full, since one more is a finding."""
    if value is None or math.isnan(value):
        return "-"
    if series.key.kind == "seconds":
        return f"{1000 * value:.3g} ms" if value < 1 else seconds_text(value)
    if series.key.kind == "memory":
        return f"{value / 2**20:.0f} MiB"
    return f"{value:,.0f}" if value == round(value, 0) and abs(value) < 1e15 else f"{value:.6g}"


def change_text(last: float | None, previous: float | None) -> str:
    """`same`, `+12 %`, `-3.1 %`, `× 2.4`, `+1.3e-05 (relative)`; empty without both."""
    if last is None or previous is None:
        return ""
    if last == previous:
        return "same"
    if previous == 0 or not math.isfinite(last / previous):
        return "from 0" if previous == 0 else "infinite"
    change = last / previous - 1
    if abs(change) < 5e-4:
        return f"{change:+.1e} (relative)"
    return f"× {last / previous:.2g}" if change >= 1 else f"{100 * change:+.2g} %"
