"""Rate budgets in the SQLite file, shared by the processes of one machine."""

import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from gateway.adapters.sqlite_file import SqliteFile
from gateway.outbound.budgets import Budget, Grant, Want, give_back, grant

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS budgets (
    name TEXT NOT NULL PRIMARY KEY,
    tat REAL NOT NULL DEFAULT 0,
    paused_until REAL NOT NULL DEFAULT 0
) STRICT;
"""
_READ: Final = "SELECT tat, paused_until FROM budgets WHERE name = ?"
_WRITE: Final = """
INSERT INTO budgets (name, tat) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET tat = excluded.tat
"""
_PAUSE: Final = """
INSERT INTO budgets (name, paused_until) VALUES (?, ?) ON CONFLICT (name)
DO UPDATE SET paused_until = max(paused_until, excluded.paused_until)
"""
_RESUME: Final = "UPDATE budgets SET paused_until = 0 WHERE name = ?"
_PAUSED: Final = "SELECT name, paused_until FROM budgets WHERE paused_until > ?"


class SqliteBudgets:
    """The Budgets in a SQLite file."""

    def __init__(
        self, path: Path, *, timeout: float, clock: Callable[[], float] = time.time
    ) -> None:
        """Wait ``timeout`` seconds for other processes that write; ``clock`` gives Unix seconds."""
        self._file = SqliteFile(path, timeout, _SCHEMA)
        self._clock = clock

    async def take(self, wants: Sequence[Want]) -> list[Grant]:
        """Take from several budgets, in one transaction."""
        return await self._file.run(lambda database: self._take(database, wants))

    async def give_back(self, unused: Sequence[Want]) -> None:
        """Give back what will not be sent, in one transaction."""

        def put(database: sqlite3.Connection) -> None:
            self._file.begin(database, durable=False)
            for want in unused:
                _write(database, want.name, give_back(_read(database, want.name), want))
            database.execute("COMMIT")

        await self._file.run(put)

    async def pause(self, name: str, until: float) -> None:
        """Let nobody take from a budget until then."""
        await self._file.run(lambda database: self._change(database, _PAUSE, (name, until)))

    async def resume(self, name: str) -> None:
        """End a pause."""
        await self._file.run(lambda database: self._change(database, _RESUME, (name,)))

    async def paused(self) -> dict[str, float]:
        """Return the budgets that are paused."""
        now = self._clock()
        return await self._file.run(lambda database: dict(database.execute(_PAUSED, (now,))))

    async def close(self) -> None:
        """Close the file; twice does nothing."""
        await self._file.close()

    def _take(self, database: sqlite3.Connection, wants: Sequence[Want]) -> list[Grant]:
        # Whoever has no rate only looks for pauses, and keeps nobody from writing.
        if all(want.rate is None for want in wants):
            now = self._clock()
            return [grant(_read(database, want.name), want, now)[1] for want in wants]
        self._file.begin(database, durable=False)
        # Read behind the lock: for the next process it is later.
        now = self._clock()
        granted = [_grant(database, want, now) for want in wants]
        database.execute("COMMIT")
        return granted

    def _change(
        self, database: sqlite3.Connection, statement: str, given: tuple[object, ...]
    ) -> None:
        self._file.begin(database, durable=False)
        database.execute(statement, given)
        database.execute("COMMIT")


def _grant(database: sqlite3.Connection, want: Want, now: float) -> Grant:
    kept = _read(database, want.name)
    after, granted = grant(kept, want, now)
    if granted.count and want.rate is not None:
        _write(database, want.name, after)
    return granted


def _read(database: sqlite3.Connection, name: str) -> Budget:
    row = database.execute(_READ, (name,)).fetchone()
    return Budget() if row is None else Budget(*row)


def _write(database: sqlite3.Connection, name: str, budget: Budget) -> None:
    database.execute(_WRITE, (name, budget.tat))
