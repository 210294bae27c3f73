"""`skipbench report`: the ranking in the terminal, the page, and on request the figures, a Markdown table and the study of convergence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from skipbench.checks import SkipbenchError, unknown_name
from skipbench.cli.performance import DEFAULT_HISTORY
from skipbench.results.curves import read_curves
from skipbench.results.figures import write_figures
from skipbench.results.frame import read_folders, records_frame
from skipbench.results.performance import PerformanceHistory, read_history, result_files
from skipbench.results.record import AnyRecord
from skipbench.results.site import write_report
from skipbench.results.statistics.ranking import rank_methods
from skipbench.results.statistics.study import study_markdown
from skipbench.results.statistics.tables import markdown_ranking, print_ranking

DEFAULT_RESULTS = (Path("results") / "records", Path("results") / "runs")  # where both hold a key, the later one wins
DEFAULT_PAGE = Path("results") / "runs" / "report"


def report(
    suite: Annotated[
        str | None, typer.Argument(help="Only the records of this suite, or suite file; all of them without it.", metavar="SUITE")
    ] = None,
    results: Annotated[
        list[Path] | None, typer.Option(help="A folder with records, instead of results/records and results/runs; may be repeated.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The page becomes index.html in this folder.")] = DEFAULT_PAGE,
    figures: Annotated[Path | None, typer.Option(help="Write the figures as SVG files into this folder, too.")] = None,
    table: Annotated[Path | None, typer.Option(help="Write the ranking as a Markdown table into this file, too.")] = None,
    study: Annotated[
        Path | None,
        typer.Option(help="Write what the suite studied (convergence, what skips change, recipes, times) as Markdown into this file, too."),
    ] = None,
    performance: Annotated[
        Path | None, typer.Option(help="The history of the asv benchmarks on the page, instead of results/asv.", metavar="FOLDER")
    ] = None,
) -> None:
    """Show the ranking of the records at hand and write the page."""
    records = _records(suite, results)
    frame = records_frame(records)
    ranking = rank_methods(frame)
    console = Console(highlight=False)
    print_ranking(console, ranking)
    if table is not None:
        _write_text(table, markdown_ranking(ranking, frame))
        console.print(f"table: {table}", markup=False, soft_wrap=True)
    if study is not None:
        _write_text(study, study_markdown(frame))
        console.print(f"study: {study}", markup=False, soft_wrap=True)
    if figures is not None:
        written = write_figures(frame, figures, read_curves(records))
        console.print(f"figures: {len(written)} in {figures}", markup=False, soft_wrap=True)
    page = write_report(records, out, performance=_history(performance))
    console.print(f"page: {page}", markup=False, soft_wrap=True)


def _history(folder: Path | None) -> PerformanceHistory | None:
    """The benchmarks' history in a folder; without one in the default place, or None where that holds no result yet."""
    if folder is not None:
        return read_history(folder)
    return read_history(DEFAULT_HISTORY) if result_files(DEFAULT_HISTORY) else None


def _records(suite: str | None, results: Sequence[Path] | None) -> list[AnyRecord]:
    """The records of the given folders, or of those default folders that are there. Raises SkipbenchError for a suite without records."""
    folders = list(results) if results else [folder for folder in DEFAULT_RESULTS if folder.is_dir()]
    records = read_folders(folders)
    if suite is None:
        return records
    present = sorted({record.suite for record in records if record.kind == "cell"})
    if Path(suite).suffix in (".yaml", ".yml"):
        suite = Path(suite).stem  # a suite is named by its file
    if suite not in present:
        where = "among the records in " + ", ".join(str(folder) for folder in results or DEFAULT_RESULTS)
        command = f"To compute its cells: skipbench run {_argument(suite)}"
        raise SkipbenchError(f"{unknown_name('suite', suite, present, where=where)} {command}")
    return [record for record in records if record.suite == suite]


def _argument(suite: str) -> str:
    return suite if suite.isascii() and suite.replace("-", "").replace("_", "").isalnum() else "SUITE"


def _write_text(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SkipbenchError(f"{path} cannot be written ({error.strerror or error}): name another place") from error
