"""Write the page: figures, tables and every record in one HTML file that works without a network."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from skipbench.checks import SkipbenchError, shown_name
from skipbench.results.curves import Curves, read_curves
from skipbench.results.figures import (
    conditioning_figure,
    depth_figure,
    iterations_figure,
    kernel_against_network_figure,
    laziness_figure,
    learning_curve_figure,
    loss_curves_figure,
    predictors_figure,
    ranking_figure,
    residual_against_plain_figure,
    run_times_figure,
    width_study_figure,
)
from skipbench.results.frame import records_frame
from skipbench.results.performance import PerformanceHistory
from skipbench.results.record import AnyRecord
from skipbench.results.site import sections
from skipbench.results.site.embedding import inline_svg, json_for_script
from skipbench.results.site.performance_section import performance_section
from skipbench.results.site.record_table import record_table
from skipbench.results.statistics.comparisons import kernel_against_network, residual_against_plain
from skipbench.results.statistics.ranking import rank_methods

PAGE_NAME = "index.html"


def write_report(
    records: pd.DataFrame | Iterable[AnyRecord], out: str | os.PathLike[str], *, performance: PerformanceHistory | None = None
) -> Path:
    """Write the page of some records and return its path.

    records: the table of `load_records`, or cell records, whose curves are then drawn, too. out: a folder, in which the page is
    index.html, or a path that ends in .html. performance: the history of the asv benchmarks, which becomes a section. The page appears
    all at once.
    Raises SkipbenchError where it cannot be written.
    """
    listed = None if isinstance(records, pd.DataFrame) else list(records)
    frame = records if isinstance(records, pd.DataFrame) else records_frame(listed or ())
    place = Path(out)
    path = place if place.suffix.lower() in (".html", ".htm") else place / PAGE_NAME
    page = render_report(frame, performance, None if listed is None else read_curves(listed))
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_text(page, encoding="utf-8", newline="\n")
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise SkipbenchError(f"page {shown_name(str(path), 200)} cannot be written ({error.strerror or error}): use --out DIR") from error
    return path


def render_report(frame: pd.DataFrame, performance: PerformanceHistory | None = None, curves: Curves | None = None) -> str:
    """The page as text; equal tables give equal pages. curves: of the records in the frame."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    content = _content(frame) | _twins(frame, curves) | {"performance": performance_section(performance)}
    return environment.get_template("report.html").render(content)


def _content(frame: pd.DataFrame) -> dict[str, Any]:
    ranking = rank_methods(frame)
    kernels, skips = kernel_against_network(frame), residual_against_plain(frame)
    return {
        "style": Markup(_asset("report.css")),
        "script": Markup(_asset("report.js")),
        "summary": sections.summary(frame, ranking),
        "blocks": [sections.ranking_block(block) for block in ranking.blocks],
        "ranking_figure": inline_svg(ranking_figure(frame, ranking), "ranking", "Accuracy of every ranked method with its interval"),
        "kernels": [sections.comparison(entry) for entry in kernels],
        "kernels_figure": inline_svg(kernel_against_network_figure(frame), "kernels", "Accuracy of networks against that of kernels"),
        "skips": [sections.comparison(entry) for entry in skips],
        "skips_figure": inline_svg(residual_against_plain_figure(frame), "skips", "Accuracy with skip connections minus without"),
        "conditions": sections.conditions(frame),
        "condition_sentence": sections.condition_sentence(frame),
        "conditions_figure": inline_svg(iterations_figure(frame), "iterations", "Iterations of gradient descent against condition number"),
        "predictors_figure": inline_svg(predictors_figure(frame), "predictors", "Iterations of gradient descent against two predictors"),
        "conditioning_figure": inline_svg(conditioning_figure(frame), "conditioning", "Condition number and its bound against depth"),
        "depth_figure": inline_svg(depth_figure(frame), "depth", "Condition number, bound, iterations and accuracy against depth"),
        "sizes_figure": inline_svg(learning_curve_figure(frame), "sizes", "Accuracy against the number of training rows"),
        "times": sections.run_times(frame),
        "times_sentence": sections.run_times_sentence(frame),
        "times_figure": inline_svg(run_times_figure(frame), "times", "Seconds of one cell for each method"),
        "records": Markup(json_for_script(record_table(frame))),
        "n_records": len(frame),
    }


def _twins(frame: pd.DataFrame, curves: Curves | None) -> dict[str, Any]:
    """The section on trained twins beside their kernels; the figures of curves are left out where there are none."""
    losses = None if curves is None else loss_curves_figure(frame, curves)
    laziness = None if curves is None else laziness_figure(frame, curves)
    return {
        "losses_figure": inline_svg(losses, "losses", "Training loss of twins and of gradient descent on their kernel, against steps"),
        "laziness_figure": inline_svg(laziness, "laziness", "How far the tangent kernel of twins moves, and what that does to predictions"),
        "width_figure": inline_svg(width_study_figure(frame), "width", "Distance of twins from their kernel against width"),
    }


def _template(name: str) -> str:
    return files("skipbench.results.site").joinpath("templates", name).read_text(encoding="utf-8")


def _asset(name: str) -> str:
    return files("skipbench.results.site").joinpath("assets", name).read_text(encoding="utf-8")
