"""Numbers and foreign names as people read them: short, and harmless wherever they are shown."""

from __future__ import annotations

import math
import unicodedata

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # control, direction, surrogate and unassigned characters


def printable(text: str, limit: int = 80) -> str:
    """The text on one line, cut in its middle to `limit` characters, with what steers a terminal or turns a line round as `\\uXXXX`."""
    if len(text) > limit:
        text = f"{text[: limit - limit // 3 - 1]}…{text[len(text) - limit // 3 :]}"
    return "".join(_escaped(letter) if unicodedata.category(letter) in _HIDDEN else letter for letter in text)


def _escaped(letter: str) -> str:
    return letter.encode("ascii", "backslashreplace").decode() if ord(letter) > 127 else f"\\x{ord(letter):02x}"


def counted(number: int, thing: str, things: str = "") -> str:
    """`1 data set`, `3 data sets`; things: an irregular plural."""
    return f"{number} {thing if number == 1 else things or thing + 's'}"


def accuracy_text(value: float | None, spread: float | None = None) -> str:
    """A share as percent: `93.3 ± 1.2`, `93.3`, or `-` where there is none."""
    if value is None or math.isnan(value):
        return "-"
    return f"{100 * value:.1f}" + ("" if spread is None else f" ± {100 * spread:.1f}")


def difference_text(value: float, interval: tuple[float, float] | None) -> str:
    """A difference of shares in percentage points: `+1.2 [-0.3, +2.7]`."""
    return f"{100 * value:+.1f}" + ("" if interval is None else f" [{100 * interval[0]:+.1f}, {100 * interval[1]:+.1f}]")


def number_text(value: float | None, *, infinite: str = "∞") -> str:
    """Three digits, large ones as powers of ten; infinite: what an infinite one is called."""
    if value is None or math.isnan(value):
        return "-"
    if math.isinf(value):
        return infinite
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{float(f'{value:.3g}'):g}"
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def ratio_text(ratio: float | None, n: int) -> str:
    """`x 0.42 (n=10)`: how many times larger the first is, over how many splits."""
    return "-" if ratio is None else f"× {number_text(ratio)} (n={n})"


def seconds_text(seconds: float) -> str:
    """`0.12 s`, `3.4 s`, `2 min 5 s`, `1 h 3 min`."""
    if math.isnan(seconds):
        return "-"
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def interval_text(interval: tuple[int, int] | None) -> str:
    """`2–5`, `3`, or `-` where nothing could be drawn again."""
    if interval is None:
        return "-"
    return f"{interval[0]}" if interval[0] == interval[1] else f"{interval[0]}–{interval[1]}"


def statuses_text(statuses: dict[str, int]) -> str:
    """`2 timeout, 1 failed`."""
    return ", ".join(f"{n} {status}" for status, n in sorted(statuses.items()))
