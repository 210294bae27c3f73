"""Which record of the new store stands for which of the baseline, what a cell is called, and when two of them may be compared.

The key hashes everything that decides a result, so equal keys are the same cell. A cell whose code was given another source version,
or whose data changed, has another key: it is found by its identity (data set, protocol, preprocessing, split, seeds, method, parameters,
architecture, kind of device, type) and reported as such.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from skipbench.results.comparison.movement import RecordPair
from skipbench.results.record import AnyRecord, CellRecord, ClaimRecord
from skipbench.results.store import file_name
from skipbench.results.words import counted, printable

LONGEST_LABEL = 90


@dataclass(frozen=True, slots=True)
class Pair:
    """One cell in both stores."""

    base: AnyRecord
    new: AnyRecord

    @property
    def names(self) -> RecordPair:
        """The files of both."""
        return RecordPair(file_name(self.base), file_name(self.new))


@dataclass(frozen=True, slots=True)
class CellPair:
    """One cell in both stores, finished in both on the same data, so that what was measured can be compared."""

    base: CellRecord
    new: CellRecord

    @property
    def names(self) -> RecordPair:
        """The files of both."""
        return RecordPair(file_name(self.base), file_name(self.new))

    @property
    def same_arithmetic(self) -> bool:
        """Whether both ran with the same code libraries on the same class of machine with the same threads: then every bit repeats.

        Elsewhere sums are added in another order: single roundings differ, and training amplifies them.
        """
        first, second = self.base.environment, self.new.environment
        same_machine = (first.machine_class, first.threads, first.python) == (second.machine_class, second.threads, second.python)
        return same_machine and _libraries(self.base) == _libraries(self.new)


@dataclass(frozen=True, slots=True)
class Matching:
    """Cells in both stores, those of the baseline alone, and those of the new store alone; each cell once, by its newest record."""

    pairs: tuple[Pair, ...]
    vanished: tuple[AnyRecord, ...]
    appeared: tuple[AnyRecord, ...]

    @property
    def measured(self) -> tuple[CellPair, ...]:
        """The pairs of cells whose measurements can be compared."""
        return tuple(
            CellPair(pair.base, pair.new)
            for pair in self.pairs
            if isinstance(pair.base, CellRecord)
            and isinstance(pair.new, CellRecord)
            and pair.base.status == pair.new.status == "ok"
            and data_of(pair.base) == data_of(pair.new)
        )


def match_records(base: Iterable[AnyRecord], new: Iterable[AnyRecord]) -> Matching:
    """Pair the records of two stores, suite by suite: by key where it is equal, the rest by identity."""
    before, after = _newest(base), _newest(new)
    by_key = {(record.suite, record.key): name for name, record in after.items()}
    rules: tuple[Callable[[str, AnyRecord], str | None], ...] = (
        lambda name, record: name if name in after and after[name].key == record.key else None,
        lambda name, record: by_key.get((record.suite, record.key)),
        lambda name, record: name,
    )
    pairs = []
    for counterpart in rules:
        for name, record in list(before.items()):
            match = counterpart(name, record)
            if match in after:
                pairs.append(Pair(before.pop(name), after.pop(match)))
    return Matching(tuple(pairs), tuple(before.values()), tuple(after.values()))


def grouped(pairs: Iterable[CellPair]) -> dict[str, list[CellPair]]:
    """The pairs of each method on each data set: its splits, draws and seeds."""
    groups: dict[str, list[CellPair]] = defaultdict(list)
    for pair in pairs:
        groups[method_on_data(pair.base)].append(pair)
    return dict(groups)


def grouped_records(records: Iterable[AnyRecord]) -> dict[str, list[AnyRecord]]:
    """The same for records of one store; what is no cell stands alone."""
    groups: dict[str, list[AnyRecord]] = defaultdict(list)
    for record in records:
        groups[method_on_data(record) if isinstance(record, CellRecord) else identity(record)].append(record)
    return dict(groups)


def identity(record: AnyRecord) -> str:
    """Equal for the same cell, claim or benchmark, whatever version of code and data it was computed from."""
    if isinstance(record, CellRecord):
        seeds = record.seeds
        return json.dumps([method_on_data(record), record.dataset.split, seeds.data, seeds.init, seeds.order])
    if isinstance(record, ClaimRecord):
        return json.dumps(["claim", record.suite, record.claim])
    return json.dumps(["performance", record.suite, record.benchmark, record.parameters], sort_keys=True)


def method_on_data(record: CellRecord) -> str:
    """Equal for the cells of one method on one data set, which differ in split, draw and seed alone."""
    data, method = record.dataset, record.method
    where = [record.suite, data.name, data.protocol, list(data.preprocessing)]
    how = [method.name, method.kernel, method.architecture, method.parameters, record.device.partition(":")[0], record.dtype]
    return json.dumps(["cell", where, how], sort_keys=True)


def data_of(record: CellRecord) -> tuple[str, int, int, int]:
    """What two records must agree in for their measurements to be of one thing."""
    data = record.dataset
    return data.sha256, data.n_train, data.n_validation, data.n_test


def label_of(record: AnyRecord) -> str:
    """What is measured where: `iris: NTK ridge, MLP(3)`; with the protocol where it is not the usual one. Safe to print."""
    if isinstance(record, CellRecord):
        data = record.dataset
        protocol = "" if data.protocol == "stratified" else f" ({data.protocol})"
        return printable(f"{data.name}{protocol}: {record.method.label}", LONGEST_LABEL)
    name = f"claim {record.claim}" if isinstance(record, ClaimRecord) else f"benchmark {record.benchmark}"
    return printable(name, LONGEST_LABEL)


def cell_label(record: AnyRecord) -> str:
    """The label with split and seed: `iris: NTK ridge, MLP(3), split 0`."""
    if not isinstance(record, CellRecord):
        return label_of(record)
    draw = f", draw {record.seeds.data}" if record.seeds.data else ""
    seed = "" if record.seeds.init is None else f", seed {record.seeds.init}"
    return f"{label_of(record)}, split {record.dataset.split}{draw}{seed}"


def label_of_several(records: list[AnyRecord]) -> str:
    """The cell's label where there is one, else the group's with their number."""
    if len(records) == 1:
        return cell_label(records[0])
    return f"{label_of(records[0])} ({counted(len(records), 'cell')})"


def _newest(records: Iterable[AnyRecord]) -> dict[str, AnyRecord]:
    """Each identity once: a cell that was run again, perhaps by a later version of the code, is stood for by its newest record."""

    def age(record: AnyRecord) -> tuple[datetime, str]:
        return record.created, record.key

    newest = {identity(record): record for record in sorted(records, key=age)}
    return dict(sorted(newest.items()))  # so that the order of the records decides nothing


def _libraries(record: CellRecord) -> dict[str, str]:
    return {name: version for name, version in record.environment.packages.items() if name != "skipbench"}
