"""Cells that vanished, fail now, work now, or are no longer computed from the same data and code; verdicts that changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from skipbench.results.comparison.matching import Pair, cell_label, data_of, grouped_records, identity, label_of_several, method_on_data
from skipbench.results.comparison.movement import Direction, Movement, RecordPair
from skipbench.results.record import AnyRecord, CellRecord, ClaimRecord
from skipbench.results.store import file_name
from skipbench.results.words import counted, printable

_LONGEST_REASON = 120
_VERDICTS = ("does not hold", "not decided", "holds")  # from worst to best; for a claim without a verdict its status tells


def vanished_movements(records: Iterable[AnyRecord]) -> tuple[Movement, ...]:
    """Records of the baseline that the new store lacks; one movement for each method and data set. All are regressions."""
    found = []
    for group in grouped_records(records).values():
        found.append(
            Movement(
                kind="vanished",
                direction="worse",
                regression=True,
                cell=label_of_several(group),
                measure="vanished",
                old=_statuses(group),
                new="no record",
                change=f"{counted(len(group), 'cell')} vanished",
                size=float(len(group)),
                records=tuple(RecordPair(file_name(record), None) for record in group),
            )
        )
    return tuple(found)


def status_movements(pairs: Iterable[Pair]) -> tuple[Movement, ...]:
    """Cells that were `ok` and are not (worse), that were not and are (better), or that fail in another way (changed)."""
    groups: dict[tuple[str, str, str], list[Pair]] = defaultdict(list)
    for pair in pairs:
        if pair.base.status != pair.new.status:
            groups[_group(pair.base), pair.base.status, pair.new.status].append(pair)
    return tuple(_status_movement(group) for group in groups.values())


def key_movements(pairs: Iterable[Pair]) -> tuple[Movement, ...]:
    """Cells whose key changed: the baseline was computed from other data or by another version of the code.

    They count as regressions, since the baseline no longer guards what is run: either the change was not meant, or the baseline is
    to be replaced by records of the new version.
    """
    groups: dict[tuple[str, str], list[Pair]] = defaultdict(list)
    for pair in pairs:
        if pair.base.key != pair.new.key:
            groups[_group(pair.base), _what_differs(pair)].append(pair)
    return tuple(
        Movement(
            kind="key",
            direction="changed",
            regression=True,
            cell=label_of_several([pair.base for pair in group]),
            measure="key",
            old=group[0].base.key[:12],
            new=group[0].new.key[:12],
            change=what,
            size=float(len(group)),
            records=tuple(pair.names for pair in group),
        )
        for (_, what), group in groups.items()
    )


def verdict_movements(pairs: Iterable[Pair]) -> tuple[Movement, ...]:
    """Claims whose verdict changed; one that held and no longer does is a regression."""
    found = []
    for pair in pairs:
        if not isinstance(pair.base, ClaimRecord) or not isinstance(pair.new, ClaimRecord):
            continue
        old, new = pair.base.verdict, pair.new.verdict
        if old is None or new is None or old == new:
            continue
        steps = _VERDICTS.index(new) - _VERDICTS.index(old)
        found.append(
            Movement(
                kind="claim",
                direction="better" if steps > 0 else "worse",
                regression=steps < 0,
                cell=cell_label(pair.base),
                measure="verdict",
                old=old,
                new=new,
                change="another verdict",
                size=float(abs(steps)),
                records=(pair.names,),
            )
        )
    return tuple(found)


def _status_movement(group: Sequence[Pair]) -> Movement:
    old, new = group[0].base.status, group[0].new.status
    direction: Direction = "worse" if old == "ok" else "better" if new == "ok" else "changed"
    reason = group[0].base.reason if direction == "better" else group[0].new.reason
    return Movement(
        kind="working" if direction == "better" else "failing",
        direction=direction,
        regression=direction == "worse",
        cell=label_of_several([pair.base for pair in group]),
        measure="status",
        old=old,
        new=new,
        change=("was: " if direction == "better" else "") + (printable(reason, _LONGEST_REASON) or "no reason recorded"),
        size=float(len(group)),
        records=tuple(pair.names for pair in group),
    )


def _group(record: AnyRecord) -> str:
    return method_on_data(record) if isinstance(record, CellRecord) else identity(record)


def _statuses(records: Sequence[AnyRecord]) -> str:
    return ", ".join(sorted({record.status for record in records}))


def _what_differs(pair: Pair) -> str:
    """What of the recorded parts of a key explains that it changed."""
    base, new = pair.base, pair.new
    if not isinstance(base, CellRecord) or not isinstance(new, CellRecord):
        return "another version of the code or its parameters"
    parts: list[tuple[str, Callable[[CellRecord], str]]] = [
        ("source version", lambda record: printable(record.method.source_version, 20)),
        ("data", lambda record: record.dataset.sha256[:8]),
        ("rows (train, validation, test)", lambda record: " ".join(map(str, data_of(record)[1:]))),
    ]
    differing = [f"{name} {show(base)} -> {show(new)}" for name, show in parts if show(base) != show(new)]
    return ", ".join(differing) or "its key alone: other rows in the split, or a parameter that the record does not hold"
