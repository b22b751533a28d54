"""No trace in the SQLite file of what was removed from its tables.

``PRAGMA secure_delete`` writes over what is removed. What it misses are copies that SQLite leaves
in the unused part of a page, now and then, when it moves rows to another one.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

WRITTEN_ANEW: Final = 64 * 1024 * 1024
"""Bytes of a file that is written anew where a trace is left: in less than a second, for which
others wait that write. In a larger one a trace stays until it is written over, or until VACUUM."""

_BTREE_PAGES: Final = (2, 5, 10, 13)


def shorten_log(database: sqlite3.Connection) -> None:
    """Bring all that was written into the file itself, and leave nothing in its log.

    Whoever reads or writes at this moment is waited for; where that takes too long, the log is
    written over later on.
    """
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def wipe(database: sqlite3.Connection, traces: Iterable[str]) -> None:
    """Leave no trace of what was removed, neither in the file's log nor in its pages.

    ``traces`` are texts by which what was removed is known where it is left.
    """
    shorten_log(database)
    path = Path(database.execute("PRAGMA database_list").fetchone()[2])
    if path.stat().st_size > WRITTEN_ANEW:
        return
    content = path.read_bytes()
    if any(_is_unused(content, place) for text in traces for place in _places(content, text)):
        try:
            database.execute("VACUUM")
        except sqlite3.OperationalError:
            # Somebody writes for so long, or the disk is full: it is removed all the same.
            return
        shorten_log(database)


def _places(content: bytes, text: str) -> Iterator[int]:
    sought = text.encode()
    place = content.find(sought)
    while place >= 0:
        yield place
        place = content.find(sought, place + 1)


def _is_unused(content: bytes, place: int) -> bool:
    """Tell whether a place is between the list of a page's cells and the first of them."""
    size = int.from_bytes(content[16:18])
    start = place - place % size
    # The first page begins with the header of the file.
    header = start + (100 if start == 0 else 0)
    kind = content[header]
    if kind not in _BTREE_PAGES:
        return False
    cells = int.from_bytes(content[header + 3 : header + 5])
    first_cell = int.from_bytes(content[header + 5 : header + 7]) or 65_536
    listed = header + (12 if kind in (2, 5) else 8) + 2 * cells
    return listed <= place < start + first_cell
