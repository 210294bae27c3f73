"""Figures and data inside an HTML page: nothing in them can end a script, clash with another figure or reach out."""

from __future__ import annotations

import json
import re
from typing import Any

from markupsafe import Markup, escape
from matplotlib.figure import Figure

from skipbench.results.figures.style import GRID, INK, SERIES, svg_text

_OUTSIDE = re.compile(r"^.*?(?=<svg\b)|<metadata>.*?</metadata>|<!--.*?-->", re.DOTALL)
_NAMESPACES = re.compile(r'\s+xmlns(?::\w+)?="[^"]*"')
_IDS = re.compile(r'(\bid="|href="#|url\(#)([^")]+)')


def json_for_script(value: Any) -> str:
    """Strict JSON that may stand inside a script element: no `<`, `>` or `&`, and nothing but ASCII."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def inline_svg(figure: Figure | None, name: str, title: str) -> Markup | None:
    """The figure as an SVG element in the page's own colours, with letters as text. name: unique on the page. None stays None.

    matplotlib numbers the parts of every figure alike, so that the identifiers get the name in front.
    """
    if figure is None:
        return None
    svg = _OUTSIDE.sub("", svg_text(figure, as_paths=False))
    svg = _NAMESPACES.sub("", svg).replace("xlink:href", "href")
    svg = _IDS.sub(rf"\g<1>{name}-\g<2>", svg)
    svg = svg.replace(INK, "var(--ink)").replace(GRID, "var(--rule)").replace("fill: #ffffff", "fill: none")
    for series, color in SERIES.items():
        svg = svg.replace(color, f"var(--series-{series})")
    heading = f'<svg role="img" aria-labelledby="{name}-title"'
    return Markup(re.sub(r"<svg\b([^>]*)>", rf'{heading}\1><title id="{name}-title">{escape(title)}</title>', svg, count=1).strip())
