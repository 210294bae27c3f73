"""A suite of parts: slices of other suites, each with its own data sets and methods."""

from __future__ import annotations

from collections.abc import Sequence

from skipbench.checks import SkipbenchError, unknown_name
from skipbench.suite.models import DataEntry, MethodEntry, PartEntry
from skipbench.suite.reading import SuiteFile, load_suite


def parts_of(suite_file: SuiteFile) -> list[SuiteFile]:
    """The suites whose cells make up this one: itself, or the slices that its parts take of other suites.

    Raises SkipbenchError, with the line, for a part that names something its suite does not have, or a suite made of parts itself.
    """
    return [_slice(suite_file, number, part) for number, part in enumerate(suite_file.suite.parts)] or [suite_file]


def _slice(suite_file: SuiteFile, number: int, part: PartEntry) -> SuiteFile:
    place = ("parts", number)
    try:
        whole = load_suite(part.suite)
        if whole.suite.parts:
            raise SkipbenchError(f"{part.suite} is itself made of parts: name the suites that it takes them from")
        kept = [place for place, entry in enumerate(whole.suite.data) if _is_wanted(entry, part, whole.suite.data)]
        data = [whole.suite.data[place] for place in kept]
        _check_found("data set", part.datasets, [entry.name for entry in whole.suite.data], part.suite)
        _check_found("size", part.n, [entry.n for entry in whole.suite.data if entry.n is not None], part.suite)
        _check_found("method", part.methods, [entry.name for entry in whole.suite.methods], part.suite)
        if not data:
            raise SkipbenchError(f"{part.suite} has no data set with all that is asked for here")
    except SkipbenchError as error:
        raise suite_file.error(place, str(error)) from error
    if part.splits is not None:
        data = [entry.model_copy(update={"splits": part.splits}) for entry in data]
    methods = [_with_seeds(entry, part.seeds) for entry in whole.suite.methods if part.methods is None or entry.name in part.methods]
    sliced = whole.suite.model_copy(update={"data": tuple(data), "methods": tuple(methods)})
    return SuiteFile(sliced, whole.document, tuple(whole.origins[place] for place in kept))


def _is_wanted(entry: DataEntry, part: PartEntry, entries: Sequence[DataEntry]) -> bool:
    if part.datasets is not None and entry.name not in part.datasets:
        return False
    if part.n is not None and entry.n is not None and entry.n not in part.n:
        return False
    draws = sorted({other.seed for other in entries if (other.name, other.n) == (entry.name, entry.n)})
    return part.draws is None or entry.seed in draws[: part.draws]


def _with_seeds(entry: MethodEntry, seeds: int | None) -> MethodEntry:
    if seeds is None or entry.seeds is None:
        return entry
    return entry.model_copy(update={"seeds": entry.seeds[:seeds]})


def _check_found(kind: str, wanted: Sequence[object] | None, there: Sequence[object], suite: str) -> None:
    for name in wanted or ():
        if name not in there:
            raise SkipbenchError(unknown_name(kind, str(name), sorted({str(each) for each in there}), where=f"in suite {suite}"))
