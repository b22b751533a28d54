"""No trace in the SQLite file of what was removed from its tables.

``PRAGMA secure_delete`` writes over what is removed. What it misses are copies that SQLite leaves
in the unused part of a page, now and then, when it moves rows to another one.
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Final

WRITTEN_ANEW: Final = 64 * 1024 * 1024
"""Bytes of a file that is written anew where a trace is left: in less than a second, for which
others wait that write. In a larger one a trace stays until it is written over, or until VACUUM."""


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
    if any(text.encode() in content for text in traces):
        try:
            database.execute("VACUUM")
        except sqlite3.OperationalError:
            # Somebody writes for so long, or the disk is full: it is removed all the same.
            return
        shorten_log(database)
