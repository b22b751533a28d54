"""A table of results, for a terminal and for a document; all but the first column are numbers."""

from collections.abc import Iterable, Sequence
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table

_WIDTH: Final = 168
"""Columns a table may take where the output is no terminal."""


def show(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table for a terminal."""
    table = Table(box=box.SIMPLE_HEAD)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    for cells in rows:
        table.add_row(*cells)
    console = Console(highlight=False)
    Console(highlight=False, width=max(console.width, _WIDTH)).print(table)


def markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table for a document."""
    lines = [headings, ("---",) + ("---:",) * (len(headings) - 1), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
