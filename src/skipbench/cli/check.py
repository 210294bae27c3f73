"""`skipbench check`: the contract that every registered method, data set and engine keeps, run over some of them or over all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
import typer
from rich.console import Console

from skipbench.checks import ContractError, SkipbenchError, TamperedDataError, nearest_names, unknown_name
from skipbench.cli.terminal import make_console
from skipbench.datasets.contract import check_dataset, is_absence
from skipbench.datasets.registry import dataset_names, describe, presence
from skipbench.datasets.uci import is_set_name
from skipbench.kernels.engines.contract import check_engine
from skipbench.kernels.engines.registry import engine_names, registered_engine
from skipbench.trainers.contract import check_method
from skipbench.trainers.registry import method_names

Kind = Literal["method", "data set", "engine"]


@dataclass(frozen=True)
class Subject:
    """One thing to check, and how."""

    kind: Kind
    name: str
    check: Callable[[], tuple[str, ...]]


def check(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Methods, data sets and engines; skipbench list and skipbench data list show them."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything registered, data sets as far as they are at hand.")] = False,
    methods: Annotated[bool, typer.Option("--methods", help="Every method.")] = False,
    datasets: Annotated[bool, typer.Option("--datasets", help="Every data set at hand.")] = False,
    engines: Annotated[bool, typer.Option("--engines", help="Every engine, on each device that is here.")] = False,
    root: Annotated[
        Path | None,
        typer.Option("--root", metavar="DIR", help="Where the data lies: without it SKIPBENCH_DATA, else the user's cache folder."),
    ] = None,
) -> None:
    """Run the contract over methods, data sets and engines by name, or over all of a kind; exit status 1 where one breaks it.

    A name that several kinds share is checked as each of them.
    """
    named = [subject for name in names or () for subject in _named(name, root)]
    listed = [
        *(_methods() if methods or everything else ()),
        *(_datasets(root) if datasets or everything else ()),
        *(_engines() if engines or everything else ()),
    ]
    if not named and not listed:
        raise SkipbenchError(
            "check: nothing is named. Name methods, data sets or engines, or use --all, --methods, --datasets or --engines"
        )
    console = make_console()
    broken = [subject for subject in named if not _keeps_contract(console, subject, in_words=True)]
    broken += [subject for subject in listed if not _keeps_contract(console, subject, in_words=False)]
    if listed:
        _print_summary(console, len(named) + len(listed), len(broken), _n_absent(root) if datasets or everything else 0)
    if broken:
        raise typer.Exit(1)


def _named(name: str, root: Path | None) -> list[Subject]:
    """What the name means, of each kind. Raises SkipbenchError where it means nothing, with the nearest names of all kinds."""
    found = [subject for subject in (*_methods(), *_engines()) if subject.name == name]
    if name in dataset_names(root):
        found.append(_dataset(name, root))
    if not found and is_set_name(name):
        describe(name, root)  # says where a set of the collection's format is looked for
        found.append(_dataset(name, root))
    if not found:
        raise SkipbenchError(_unknown(name, root))
    return found


def _unknown(name: str, root: Path | None) -> str:
    """The nearest names of all kinds; the kind of the very nearest is the one that was probably meant."""
    kinds: dict[str, str] = dict.fromkeys(dataset_names(root), "data set")
    kinds |= dict.fromkeys(engine_names(), "engine") | dict.fromkeys(method_names(), "method")
    nearest = nearest_names(name, kinds, limit=1)
    kind = kinds[nearest[0]] if nearest else "method, data set or engine"
    return unknown_name(kind, name, kinds, hint="skipbench list (methods and engines) and skipbench data list")


def _methods() -> Iterator[Subject]:
    for name in method_names():
        yield Subject("method", name, lambda name=name: check_method(name))  # type: ignore[misc]


def _datasets(root: Path | None) -> Iterator[Subject]:
    """The sets at hand, and those that are there but for a file."""
    for name in dataset_names(root):
        if presence(name, root) != "no":
            yield _dataset(name, root)


def _dataset(name: str, root: Path | None) -> Subject:
    return Subject("data set", name, lambda: check_dataset(name, root))


def _engines() -> Iterator[Subject]:
    for name in engine_names():
        for device in registered_engine(name).devices:
            if device == "cpu" or torch.cuda.is_available():
                yield Subject("engine", name, lambda name=name, device=device: check_engine(name, device))  # type: ignore[misc]


def _n_absent(root: Path | None) -> int:
    return sum(presence(name, root) == "no" for name in dataset_names(root))


def _keeps_contract(console: Console, subject: Subject, *, in_words: bool) -> bool:
    """Run one contract and print a line; with `in_words` also what was checked."""
    called = f"{subject.kind} {subject.name}"
    try:
        with console.status(f"checking {called}"):
            checked = subject.check()
    except (ContractError, TamperedDataError) as error:
        console.print(f"{called} BREAKS the contract: {error}", markup=False, soft_wrap=True)
        return False
    if is_absence(checked):
        console.print(f"{called} is not at hand, and says where it was looked for and how to get it", markup=False, soft_wrap=True)
        return True
    console.print(f"{called} keeps the contract: {len(checked)} check{'' if len(checked) == 1 else 's'}", markup=False, soft_wrap=True)
    for sentence in checked if in_words else ():
        console.print(f"  {sentence}", markup=False, soft_wrap=True)
    return True


def _print_summary(console: Console, n: int, n_broken: int, n_absent: int) -> None:
    absent = f"; {n_absent} data sets are not at hand, skipbench data list shows them" if n_absent else ""
    console.print(f"{n} checked, {n_broken} break{'s' if n_broken == 1 else ''} the contract{absent}", markup=False, soft_wrap=True)
