"""Compare two stores: read them, pair their cells, and collect whatever moved."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from skipbench.checks import SkipbenchError, shown_name, unknown_name
from skipbench.results.comparison.accuracy import accuracy_movements
from skipbench.results.comparison.costs import CostLimits, are_comparable, cost_movements
from skipbench.results.comparison.counts import count_movements
from skipbench.results.comparison.matching import CellPair, Matching, match_records
from skipbench.results.comparison.movement import Movement, worst_first
from skipbench.results.comparison.presence import key_movements, status_movements, vanished_movements, verdict_movements
from skipbench.results.comparison.stored import Store, read_store
from skipbench.results.record import AnyRecord, CellRecord, Environment, PerformanceRecord
from skipbench.results.words import counted, printable

Folder = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class StoreComparison:
    """What moved from a baseline to a new store, worst first.

    n_pairs: cells that both hold. n_appeared: cells that the baseline lacks. notes: what was not compared, and why. unreadable:
    files of either store that are no record of this schema, each with the reason; with any of them the comparison is incomplete.
    """

    movements: tuple[Movement, ...]
    n_pairs: int
    n_appeared: int
    notes: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()

    @property
    def regressions(self) -> tuple[Movement, ...]:
        """The movements that make the comparison fail."""
        return tuple(movement for movement in self.movements if movement.regression)

    def exit_status(self, *, strict: bool = False) -> int:
        """0: nothing is worse; 1: a regression, or with `strict` any movement; 2: files that cannot be read, so it is incomplete."""
        if self.unreadable:
            return 2
        return 1 if self.regressions or (strict and self.movements) else 0

    @property
    def sentence(self) -> str:
        """One line that sums up."""
        better = sum(movement.direction == "better" for movement in self.movements)
        other = len(self.movements) - better - len(self.regressions)
        parts = [counted(len(self.regressions), "regression")] if self.regressions else ["no regression"]
        parts += [counted(better, "improvement")] if better else []
        parts += [f"{counted(other, 'other change')}"] if other else []
        cells = counted(self.n_pairs, "cell") + " compared"
        new = f", {counted(self.n_appeared, 'new cell')}" if self.n_appeared else ""
        incomplete = f"; INCOMPLETE: {counted(len(self.unreadable), 'file')} not read" if self.unreadable else ""
        return f"{', '.join(parts)}; {cells}{new}{incomplete}"


@dataclass(frozen=True, slots=True)
class Part:
    """Which records are compared: those of the named suites, data sets and methods; of all where none is named.

    A data set is named as in a suite file, so that `cifar10` means each of its subsets.
    """

    suites: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()

    def holds(self, record: AnyRecord) -> bool:
        """Whether a record belongs to the part."""
        if self.suites and record.suite not in self.suites:
            return False
        if not self.datasets and not self.methods:
            return True
        if not isinstance(record, CellRecord):
            return False
        named = not self.datasets or dataset_name(record) in self.datasets
        return named and (not self.methods or record.method.name in self.methods)


def dataset_name(record: CellRecord) -> str:
    """The name in a suite file of a record's data set: `cifar10` for `cifar10 (n=500)`."""
    return record.dataset.name.partition(" (")[0]


def compare_records(base: Iterable[AnyRecord], new: Iterable[AnyRecord], limits: CostLimits | None = None) -> StoreComparison:
    """Compare records in memory. base, new: each cell by its newest record. limits: from where on seconds and memory count.

    Accuracies, condition numbers and iteration counts, seconds and memory are compared where a cell finished in both on the same data;
    the rules stand in `accuracy`, `counts` and `costs`. Reading it backwards turns worse into better.
    """
    matching = match_records(base, new)
    measured = matching.measured
    movements = (
        *status_movements(matching.pairs),
        *vanished_movements(matching.vanished),
        *verdict_movements(matching.pairs),
        *accuracy_movements(measured),
        *count_movements(measured),
        *cost_movements(measured, limits or CostLimits()),
        *key_movements(matching.pairs),
    )
    notes = (*_machine_notes(measured), *_matching_notes(matching))
    return StoreComparison(worst_first(movements), len(matching.pairs), len(matching.appeared), notes)


def compare_folders(
    base: Folder, new: Folder, part: Part | None = None, *, all_suites: bool = False, limits: CostLimits | None = None
) -> StoreComparison:
    """Compare the store in one folder with the one in another; each holds one suite's records, or several suites' folders.

    part: compare this part alone. all_suites: also compare suites that the new store lacks, whose cells have all vanished; they are left
    out otherwise. Raises SkipbenchError for a folder without records, an unknown name, or stores without a common suite.
    """
    before, after = read_store(base, name="BASE"), read_store(new, name="NEW")
    part = part or Part()
    _check_names(before, after, part, all_suites=all_suites)
    suites = set(part.suites) or _suites_to_compare(before, after, all_suites=all_suites)
    chosen = Part(tuple(suites), part.datasets, part.methods)
    compared = compare_records(filter(chosen.holds, before.records), filter(chosen.holds, after.records), limits)
    unreadable = (*(f"BASE: {reason}" for reason in before.unreadable), *(f"NEW: {reason}" for reason in after.unreadable))
    notes = (*_folder_notes(before, after), *_suite_notes(before, after, suites), *_part_notes(before, chosen), *compared.notes)
    return StoreComparison(compared.movements, compared.n_pairs, compared.n_appeared, notes, unreadable)


def _check_names(base: Store, new: Store, part: Part, *, all_suites: bool) -> None:
    """Refuse names that the stores do not have: of data sets and methods the baseline's, of suites those of both."""
    cells = [record for record in base.records if isinstance(record, CellRecord)]
    have = (
        ("suite", part.suites, base, set(base.suites)),
        ("suite", part.suites if not all_suites else (), new, set(new.suites)),
        ("data set", part.datasets, base, {dataset_name(cell) for cell in cells}),
        ("method", part.methods, base, {cell.method.name for cell in cells}),
    )
    for kind, wanted, store, names in have:
        for name in wanted:
            if name not in names:
                role = "BASE" if store is base else "NEW"
                raise SkipbenchError(unknown_name(kind, name, names, where=f"in {role}, {shown_name(str(store.folder), 200)}"))


def _suites_to_compare(base: Store, new: Store, *, all_suites: bool) -> set[str]:
    shared = set(base.suites) & set(new.suites)
    if not shared and not all_suites:
        held = "; ".join(f"{role} holds {_names(store.suites)}" for store, role in ((base, "BASE"), (new, "NEW")))
        raise SkipbenchError(f"the two stores have no suite in common: {held}. Compare two runs of one suite")
    return {*base.suites, *new.suites} if all_suites else shared


def _names(suites: Iterable[str]) -> str:
    return ", ".join(printable(name, 60) for name in suites)


def _folder_notes(base: Store, new: Store) -> list[str]:
    if base.folder.resolve() == new.folder.resolve():
        return ["BASE and NEW are the same folder, so nothing can have moved"]
    return []


def _suite_notes(base: Store, new: Store, chosen: set[str]) -> list[str]:
    """Which suites of either store were left out."""
    notes = []
    for store, other, role in ((base, new, "BASE"), (new, base, "NEW")):
        sizes = Counter(record.suite for record in store.records if record.suite not in chosen)
        if sizes:
            listed = ", ".join(f"{printable(name, 60)} ({counted(n, 'record')})" for name, n in sorted(sizes.items()))
            lacking = all(name not in other.suites for name in sizes)
            where = f", which {'NEW' if role == 'BASE' else 'BASE'} does not hold" if lacking else ""
            notes.append(f"left out of {role}: {counted(len(sizes), 'suite')}{where}: {listed}")
    return notes


def _part_notes(base: Store, part: Part) -> list[str]:
    left_out = sum(record.suite in part.suites and not part.holds(record) for record in base.records)
    return [f"left out of BASE: {counted(left_out, 'record')} of other data sets or methods"] if left_out else []


def _machine_notes(pairs: Sequence[CellPair]) -> list[str]:
    """One line for each pair of machine classes or threads between which seconds and memory were not compared."""
    apart = Counter((_machine(pair.base.environment), _machine(pair.new.environment)) for pair in pairs if not are_comparable(pair))
    return [
        f"times and memory not compared for {n} of {counted(len(pairs), 'cell')}: {old} against {new}"
        for (old, new), n in apart.most_common()
    ]


def _machine(environment: Environment) -> str:
    cores, threads = counted(environment.cores, "core"), counted(environment.threads.torch, "thread")
    gpu = f", {printable(environment.gpu, 40)}" if environment.gpu else ""
    return f"machine class {printable(environment.machine_class, 20)} ({printable(environment.cpu, 60)}, {cores}{gpu}; {threads})"


def _matching_notes(matching: Matching) -> list[str]:
    numbers = sum(isinstance(pair.base, PerformanceRecord) for pair in matching.pairs)
    return [f"{counted(numbers, 'performance record')}: their numbers are compared by asv, not here"] if numbers else []
