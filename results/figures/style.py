"""How every figure looks, and how it becomes an SVG file that is the same on each run."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from skipbench.checks import SkipbenchError
from skipbench.results.words import printable

INK, GRID = "#1d2733", "#c9d1da"
SERIES = {  # the page has a brighter one of each for a dark background
    "kernel": "#3b6fd4",
    "network": "#d2691e",
    "baseline": "#7d8794",
    "nngp": "#2a9d8f",
    "residual": "#b8327a",
    "plain": "#5f7f3a",
}
COLORS = {**SERIES, "ntk": SERIES["kernel"]}
MARKERS = {"nngp": "s", "ntk": "o", "network": "^"}
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_SETTINGS: dict[Any, Any] = {  # of matplotlib's own names
    "font.family": ["DejaVu Sans"],  # comes with matplotlib, so that every machine draws the same
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "axes.facecolor": "none",
    "svg.hashsalt": "skipbench",
    "svg.fonttype": "path",
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Our settings for the `with` block only; the reader's own matplotlib settings come back after it."""
    with mpl.rc_context(), sns.axes_style("ticks"), mpl.rc_context(_SETTINGS):
        yield


def new_figure(
    width: float, height: float, rows: int = 1, columns: int = 1, heights: Sequence[float] | None = None
) -> tuple[Figure, list[Axes]]:
    """A figure of `width` x `height` inches outside pyplot's global list, and its axes. heights: relative, of the rows."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots(rows, columns, squeeze=False, height_ratios=heights)
    return figure, [axis for row in axes for axis in row]


def svg_text(figure: Figure, *, as_paths: bool = True) -> str:
    """The figure as SVG, without date. as_paths: letters drawn as shapes, the same everywhere; else as text that can be searched."""
    buffer = io.StringIO()
    with figure_style(), mpl.rc_context({"svg.fonttype": "path" if as_paths else "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": "skipbench"})
    return re.sub(r"[ \t]+\n", "\n", buffer.getvalue())


def save_svg(figure: Figure, path: Path) -> Path:
    """Write the figure as an SVG file. Raises SkipbenchError where that cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(svg_text(figure), encoding="utf-8")
    except OSError as error:
        raise SkipbenchError(f"{path} cannot be written ({error.strerror or error}): name another folder") from error
    return path


def drawn_name(name: str, limit: int = 44) -> str:
    """A name that the figures' font can draw: what it lacks, and what turns a line round, as an escape."""
    drawable = get_font(findfont(FontProperties(family="DejaVu Sans"))).get_charmap()
    shown = printable(name, limit)
    hidden = " " if shown.startswith("_") else ""  # matplotlib leaves labels that begin with _ out of a legend
    return hidden + "".join(letter if ord(letter) in drawable and not _is_right_to_left(letter) else "□" for letter in shown)


def _is_right_to_left(letter: str) -> bool:
    return "\u0590" <= letter <= "\u08ff" or "\ufb1d" <= letter <= "\ufefc"


def percent_axis(axis: Axes, which: str) -> None:
    """Shares as percent along `which` ("x" or "y")."""
    getattr(axis, f"{which}axis").set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}"))


def log_axis(axis: Axes, which: str) -> None:
    """A logarithmic axis whose ticks read 10³, without the mathematical typesetting that `text.parse_math` turns off."""
    getattr(axis, f"set_{which}scale")("log")
    scale = getattr(axis, f"{which}axis")
    scale.set_major_locator(LogLocator(numticks=8))
    scale.set_major_formatter(FuncFormatter(lambda value, _: power_text(value)))
    scale.set_minor_locator(NullLocator())


def power_text(value: float) -> str:
    """10³ for a power of ten, else the number."""
    mantissa, _, exponent = f"{value:.0e}".partition("e")
    return f"10{str(int(exponent)).translate(_SUPERSCRIPT)}" if mantissa == "1" else f"{value:g}"
