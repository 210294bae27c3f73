"""The records of a run beside a peer as text: tables for the terminal, and a page in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from skipbench.benchmarks.peers.cases import CASE, DEPTHS, GROWTH, MACHINE
from skipbench.checks import SkipbenchError
from skipbench.results.record import AnyRecord, PerformanceRecord, Timing
from skipbench.results.words import number_text, printable, seconds_text

SUITES = ("peer", "peer-quick")
COMMAND = "tox run -e peer -- --results results/records/peer --markdown docs/peer.md"


@dataclass(frozen=True, slots=True)
class Grid:
    """A table as text: a heading and rows of equal length, of which the first `n_left` columns are words."""

    title: str
    heading: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    n_left: int = 1

    def markdown(self) -> str:
        """As Markdown, numbers to the right."""
        rule = ["---" if column < self.n_left else "---:" for column in range(len(self.heading))]
        lines = [self.heading, tuple(rule), *self.rows]
        return "\n".join("| " + " | ".join(_escaped(cell) for cell in line) + " |" for line in lines)

    def columns(self, names: Sequence[str]) -> Grid:
        """Some of the columns, the first one among them."""
        places = [self.heading.index(name) for name in names]
        rows = tuple(tuple(row[place] for place in places) for row in self.rows)
        return Grid(self.title, tuple(names), rows)


def peer_records(records: Iterable[AnyRecord]) -> list[PerformanceRecord]:
    """Those of a run beside a peer."""
    return [record for record in records if isinstance(record, PerformanceRecord) and record.suite in SUITES]


def peer_table(records: Iterable[AnyRecord]) -> str:
    """The cases in five columns, in Markdown: what README shows. Raises SkipbenchError where no case is among the records."""
    grid = _cases(peer_records(records))
    if not grid.rows:
        raise SkipbenchError(f"no measurement beside a peer is among these records: {COMMAND} makes them")
    return grid.columns(("case", "pairs/s, ours", "peer", "ratio", "arithmetic")).markdown()


def peer_text(records: Iterable[AnyRecord]) -> str:
    """The whole page in Markdown: what was compared, where, and all tables."""
    ours = peer_records(records)
    peer_table(ours)  # refuses records without cases
    parts = ["# Beside neural-tangents", _introduction(ours)]
    for grid in _grids(ours):
        parts += [f"## {grid.title}", grid.markdown(), _NOTES[grid.title]]
    return "\n\n".join(parts) + "\n"


def print_peer(console: Console, records: Iterable[AnyRecord]) -> None:
    """The tables in the terminal."""
    for grid in _grids(peer_records(records)):
        table = Table(box=None, title=grid.title, title_justify="left")
        for number, name in enumerate(grid.heading):
            table.add_column(Text(name), justify="left" if number < grid.n_left else "right")
        for row in grid.rows:
            table.add_row(*(Text(cell) for cell in row))
        console.print(table)


_PROTOCOL = (
    "Both libraries use all cores and compute NNGP and NTK together in float32, from arrays in memory to arrays in memory, of two "
    "different sets of inputs, so that symmetry saves neither of them anything. They take turns in one run, each waiting while the "
    "other computes; compilation is left out."
)
_CASES_TITLE, _GROWTH_TITLE, _DEPTHS_TITLE = "Pairs of inputs per second", "How our time grows", "All depths at once"
_NOTES = {
    _CASES_TITLE: (
        "Ratio: our pairs per second by the peer's, from the medians; in brackets lowest and highest of single turns. n: inputs on each "
        "side of one matrix; the peer's is the batch with which it was fastest among those tried, unless both compute the same matrix "
        "(vectors). Error: the largest |dK_ij| / sqrt(K_ii K_jj) of the float32 matrices, NNGP or NTK, from our float64 reference, "
        "measured before the timing; in float64 the peer is within 1e-5, or it is not timed. Arithmetic: the operations that the recursion "
        "asks for (a multiply-add, an addition or a root is one; loads and stores none) as a share of the measured peak. Memory: the bytes "
        "that must cross main memory as a share of the measured copy. Updates: field elements times ReLUs per second."
    ),
    _GROWTH_TITLE: "Time of one matrix, and the exponent e of time ∝ sizeᵉ by least squares on logarithms.",
    _DEPTHS_TITLE: "One call that returns the kernels of all depths, beside one call for the deepest.",
}


def _grids(records: Sequence[PerformanceRecord]) -> list[Grid]:
    return [grid for grid in (_cases(records), _depths(records), _growth(records)) if grid.rows]


def _of(records: Sequence[PerformanceRecord], beginning: str) -> list[PerformanceRecord]:
    """The records of one kind of benchmark, in the order in which they were measured."""
    return sorted((record for record in records if record.benchmark.startswith(f"{beginning}.")), key=lambda record: record.created)


def _name(record: PerformanceRecord) -> str:
    return printable(record.benchmark.partition(".")[2], 60)


def _value(record: PerformanceRecord, name: str) -> float | None:
    return next((metric.value for metric in record.metrics if metric.name == name), None)


def _cases(records: Sequence[PerformanceRecord]) -> Grid:
    speeds, shares = ("pairs/s, ours", "peer", "ratio"), ("arithmetic", "memory", "updates/s")
    heading = ("case", "engine", "n, ours / peer", *speeds, "error, ours / peer", *shares)
    return Grid(_CASES_TITLE, heading, tuple(_case_row(record) for record in _of(records, CASE)), n_left=2)


def _case_row(record: PerformanceRecord) -> tuple[str, ...]:
    if record.status != "ok" or len(record.timings) != 2:
        return (_name(record), f"{record.status}: {printable(record.reason, 120)}", *["-"] * 8)
    ours, theirs = record.timings
    values = {name: _value(record, name) for name in ("ratio", "ratio_lowest", "ratio_highest", "updates_per_second")}
    texts = {name: number_text(value) for name, value in values.items()}
    return (
        _name(record),
        printable(str(ours.settings.get("engine", "-"))),
        f"{_size(ours)} / {_size(theirs)}",
        number_text(ours.pairs_per_second),
        number_text(theirs.pairs_per_second),
        f"{texts['ratio']} ({texts['ratio_lowest']}–{texts['ratio_highest']})",
        f"{_largest(record, '')} / {_largest(record, 'peer_')}",
        _percent(_value(record, "arithmetic_fraction")),
        _percent(_value(record, "memory_fraction")),
        texts["updates_per_second"],
    )


def _escaped(text: str) -> str:
    """A record's text may not end a cell or begin a tag."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _size(timing: Timing) -> str:
    return printable(str(timing.settings.get("n", "-")), 12)


def _pairs(timing: Timing) -> float:
    """Pairs of one matrix: a repeat may hold several."""
    calls = timing.settings.get("calls")
    return timing.pairs / calls if isinstance(calls, int) and calls > 0 else timing.pairs


def _largest(record: PerformanceRecord, whose: str) -> str:
    found = [value for name in ("nngp", "ntk") if (value := _value(record, f"difference_{whose}{name}")) is not None]
    return f"{max(found):.0e}" if found else "-"


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{100 * fraction:.2g} %"


def _depths(records: Sequence[PerformanceRecord]) -> Grid:
    rows = []
    for record in _of(records, DEPTHS):
        if len(record.timings) == 2:
            alone, together = (seconds_text(1 / timing.pairs_per_second * _pairs(timing)) for timing in record.timings)
            rows.append((_name(record), _size(record.timings[0]), alone, together, number_text(_value(record, "times_as_long"))))
    return Grid(_DEPTHS_TITLE, ("case", "n", "deepest alone", "all depths", "times as long"), tuple(rows))


def _growth(records: Sequence[PerformanceRecord]) -> Grid:
    rows = []
    for record in _of(records, GROWTH):
        varied = printable(str(record.parameters.get("varied", "-")), 20)
        case = printable(str(record.parameters.get("case", "-")), 60)
        times = ", ".join(f"{printable(each.label, 30)}: {seconds_text(_pairs(each) / each.pairs_per_second)}" for each in record.timings)
        rows.append((varied, case, times, number_text(_value(record, "exponent"))))
    return Grid(_GROWTH_TITLE, ("grows with", "case", "time of one matrix", "exponent"), tuple(rows), n_left=3)


def _introduction(records: Sequence[PerformanceRecord]) -> str:
    newest = max(records, key=lambda record: record.created)
    where = newest.environment
    compared = next((record for record in _of(records, CASE) if len(record.timings) == 2), None)
    commit = f"commit {_escaped(printable((newest.source.git_commit or 'unknown')[:8]))}"
    if newest.source.dirty:
        commit += " with uncommitted changes"
    machine = f"{where.cores} cores of {_escaped(printable(where.cpu, 80))}, {where.memory_bytes / 2**30:.0f} GiB"
    sentences = [f"Measured on {machine}, {newest.created:%Y-%m-%d}, {commit}.", _PROTOCOL]
    if compared is not None:
        versions = {name: version for timing in compared.timings for name, version in timing.packages.items() if name != "numpy"}
        shown = ", ".join(_escaped(f"{printable(name)} {printable(version)}") for name, version in versions.items())
        sentences.append(f"Times are medians of {len(compared.timings[0].seconds)}. Versions: {shown}.")
    for record in _of(records, MACHINE)[-1:]:
        arithmetic, memory = _value(record, "operations_per_second"), _value(record, "bytes_per_second")
        if arithmetic is not None and memory is not None:
            peaks = f"{arithmetic / 1e9:.0f} G float32 multiply-adds per second in registers, {memory / 1e9:.0f} GB/s of a copy"
            sentences.append(f"The machine's measured peaks, on all cores in the same process: {peaks} (read and written).")
    if newest.suite != "peer":
        sentences.append("**A quick run: its inputs are so small that its numbers mean nothing.**")
    return " ".join(sentences) + f"\n\nThis page comes from the records, and those from\n\n```\n{COMMAND}\n```"
