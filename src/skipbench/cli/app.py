"""The `skipbench` command: its sub-commands, and how a refusal is shown."""

from __future__ import annotations

import sys
import warnings
from importlib.metadata import version
from typing import Annotated

import typer

from skipbench.checks import SkipbenchError
from skipbench.cli import check, compare, data, gram, listing, peer, performance, report, run

app = typer.Typer(
    name="skipbench",
    help="What do skip connections do? Trained networks against kernel ridge regression, measured.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run")(run.run)
app.command("estimate")(run.estimate)
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("gram")(gram.gram)
app.command("list")(listing.list_names)
app.command("check")(check.check)
app.command("performance")(performance.performance)
app.add_typer(data.app, name="data")
app.add_typer(peer.app, name="peer")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"skipbench {version('skipbench')}")
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Options of the command itself."""


def _show_warning(message: Warning | str, category: type[Warning], *place: object, **more: object) -> None:
    """Warnings of our own as one line; others as a hint of where they come from."""
    source = "" if category.__module__.startswith("skipbench") or category is UserWarning else f"{category.__name__}: "
    print(f"Warning: {source}{message}", file=sys.stderr)


def main() -> None:
    """Run the command line: bad input is one `Error:` line and exit status 2, an interrupt is 130."""
    warnings.showwarning = _show_warning
    try:
        app()
    except SkipbenchError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("Interrupted. Finished cells are kept; the same command goes on where this one stopped.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)
