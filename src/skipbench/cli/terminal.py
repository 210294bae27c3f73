"""The console that commands print to."""

from __future__ import annotations

import sys

from rich.console import Console

_WIDTH_OF_A_FILE = 160


def make_console() -> Console:
    """As wide as the terminal; wide enough for the tables where output goes to a file or another program."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE)
