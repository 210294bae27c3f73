"""`skipbench peer`: our kernels beside another library's, measured in one run, recorded and shown."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import torch
import typer

from skipbench.benchmarks.peers.cases import CASE, PEER, chosen_cases
from skipbench.benchmarks.peers.installation import peer_python
from skipbench.benchmarks.peers.tables import peer_text, print_peer
from skipbench.checks import SkipbenchError
from skipbench.cli.terminal import make_console
from skipbench.environment import available_cores, current_environment, source, thread_variables
from skipbench.results.frame import read_folders
from skipbench.results.record import PerformanceRecord
from skipbench.results.store import ResultStore
from skipbench.results.words import number_text, printable

if TYPE_CHECKING:
    from skipbench.benchmarks.peers.measure import Measured

DEFAULT_RUNS = Path("results") / "runs"
DEFAULT_RECORDS = Path("results") / "records" / "peer"

app = typer.Typer(
    name="peer",
    help=f"Our kernels beside {PEER}: speed, share of the machine's peaks, growth with size and depth.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Markdown = Annotated[Path | None, typer.Option(help="Write the page in Markdown into this file, too.", metavar="FILE")]


@app.command()
def measure(
    environment: Annotated[
        Path, typer.Option(help=f"The environment of {PEER}, made in this folder where it is not there yet (2.6 GB).", metavar="FOLDER")
    ],
    case: Annotated[list[str] | None, typer.Option(help="Only this case, and nothing of our side alone; may be repeated.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Tiny inputs: does everything work? The numbers mean nothing.")] = False,
    repeats: Annotated[int, typer.Option(min=1, max=1000, help="Turns of each side; times are medians.")] = 5,
    results: Annotated[
        Path | None, typer.Option(help="Folder of the records, instead of results/runs/peer.", metavar="FOLDER", show_default=False)
    ] = None,
    markdown: Markdown = None,
) -> None:
    """Measure both sides in turn and write a record of each case. Leave the machine alone meanwhile. tox run -e peer calls this."""
    from skipbench.benchmarks.peers.measure import Plan, measurements  # numba: no other command should wait for it

    console = make_console()
    suite = "peer-quick" if quick else "peer"
    store = ResultStore(results or DEFAULT_RUNS / suite)
    cases = chosen_cases(case or [], quick=quick)
    store.check_writable()
    if not quick:
        _check_cores()
    console.print(f"environment of {PEER}: {environment}", markup=False, soft_wrap=True)
    plan = Plan(cases, peer_python(environment), quick=quick, repeats=repeats, own=not case)
    records = []
    for measured in measurements(plan):
        records.append(_record(measured, suite))
        store.write(records[-1])
        console.print(_line(measured), markup=False, soft_wrap=True)
    print_peer(console, records)
    console.print(f"{len(records)} records in {store.folder}", markup=False, soft_wrap=True)
    if markdown is not None:
        _write_page(markdown, store.folder)
    if any(record.status != "ok" for record in records):
        raise typer.Exit(1)


@app.command()
def show(
    results: Annotated[Path, typer.Option(help="Folder of the records.", metavar="FOLDER")] = DEFAULT_RECORDS,
    markdown: Markdown = None,
) -> None:
    """Show the tables of records that were measured before."""
    print_peer(make_console(), read_folders(results))
    if markdown is not None:
        _write_page(markdown, results)


def _check_cores() -> None:
    """Both libraries are to use all cores, and the peer's always does."""
    import numba

    cores, threads = available_cores(), {"torch": torch.get_num_threads(), "numba": numba.get_num_threads()}
    held = [f"{library} to {count}" for library, count in threads.items() if count < cores]
    if held:
        limits = ", ".join(name for name in thread_variables(1) if name in os.environ)
        raise SkipbenchError(
            f"this process is held to fewer threads than its {cores} cores ({', '.join(held)}), and the peer uses all: "
            f"unset {limits or 'what limits them'}, or see with --quick that everything works"
        )


def _record(measured: Measured, suite: str) -> PerformanceRecord:
    return PerformanceRecord(
        key=measured.key,
        status=measured.status,
        reason=measured.reason,
        suite=suite,
        command="skipbench peer measure" + (" --quick" if suite == "peer-quick" else ""),
        source=source(),
        environment=current_environment(),
        created=datetime.now(UTC),
        benchmark=measured.benchmark,
        parameters=measured.parameters,
        metrics=measured.metrics,
        timings=measured.timings,
    )


def _line(measured: Measured) -> str:
    """One outcome as soon as it is there."""
    if measured.status != "ok":
        return f"{measured.benchmark}: {measured.status}: {printable(measured.reason, 600)}"
    names = ("ratio", "pairs_per_second", "peer_pairs_per_second") if measured.benchmark.startswith(f"{CASE}.") else ()
    shown = [metric for metric in measured.metrics if not names or metric.name in names]
    return f"{measured.benchmark}: " + ", ".join(f"{metric.name} {number_text(metric.value)}" for metric in shown)


def _write_page(path: Path, folder: Path) -> None:
    text = peer_text(read_folders(folder))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SkipbenchError(f"{path} cannot be written ({error.strerror or error}): name another place") from error
    print(f"page: {path}")
