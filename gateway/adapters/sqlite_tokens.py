"""Tokens in the SQLite file, shared by the processes of one machine."""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.adapters.sqlite_file import SqliteFile
from gateway.outbound.ports import Claimed, StoredToken

# A row is there from the first claim on; until the first token its value is empty.
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS tokens (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL DEFAULT '',
    fence INTEGER NOT NULL DEFAULT 0,
    fetched_at REAL NOT NULL DEFAULT 0,
    expires_at REAL NOT NULL DEFAULT 0,
    issued INTEGER NOT NULL DEFAULT 0,
    till REAL NOT NULL DEFAULT 0
) STRICT;
"""
_READ: Final = (
    "SELECT value, fence, fetched_at, expires_at FROM tokens WHERE name = ? AND value <> ''"
)
_CLAIM: Final = """
INSERT INTO tokens (name, issued, till) VALUES (:name, 1, :till)
ON CONFLICT (name) DO UPDATE SET issued = issued + 1, till = :till
WHERE fence <= :fence AND till <= :now
RETURNING issued
"""
_PUT: Final = """
UPDATE tokens SET value = ?, fence = ?, fetched_at = ?, expires_at = ?, till = 0
WHERE name = ? AND issued = ?
"""
_GIVE_UP: Final = "UPDATE tokens SET till = ? WHERE name = ? AND issued = ?"


class SqliteTokens:
    """The TokenStore in a SQLite file."""

    def __init__(
        self, path: Path, *, timeout: float, clock: Callable[[], float] = time.time
    ) -> None:
        """Wait ``timeout`` seconds for other processes that write; ``clock`` gives Unix seconds."""
        self._file = SqliteFile(path, timeout, _SCHEMA)
        self._clock = clock

    async def read(self, name: str) -> StoredToken | None:
        """Return the token as it is stored."""
        return await self._file.run(lambda database: _read(database, name))

    async def claim(self, name: str, fence: int, seconds: float) -> Claimed:
        """Ask to replace the token of a refresh."""
        now = self._clock()
        asked = {"name": name, "fence": fence, "now": now, "till": now + seconds}

        def claim(database: sqlite3.Connection) -> Claimed:
            self._file.begin(database, durable=False)
            row = database.execute(_CLAIM, asked).fetchone()
            known = None if row else _read(database, name)
            database.execute("COMMIT")
            if row:
                return Claimed(None, row[0])
            return Claimed(known if known is not None and known.fence > fence else None, None)

        return await self._file.run(claim)

    async def put(self, name: str, token: StoredToken) -> bool:
        """Store a token, if its refresh is the last."""
        return await self._file.run(
            lambda database: _change(self._file, database, _PUT, (*token, name, token.fence))
        )

    async def give_up(self, name: str, fence: int, seconds: float) -> None:
        """Let nobody refresh for a while."""
        given = (self._clock() + seconds, name, fence)
        await self._file.run(lambda database: _change(self._file, database, _GIVE_UP, given))

    async def close(self) -> None:
        """Close the file; twice does nothing."""
        await self._file.close()


def _read(database: sqlite3.Connection, name: str) -> StoredToken | None:
    row = database.execute(_READ, (name,)).fetchone()
    return None if row is None else StoredToken(*row)


def _change(
    file: SqliteFile, database: sqlite3.Connection, statement: str, given: tuple[object, ...]
) -> bool:
    file.begin(database, durable=False)
    changed = database.execute(statement, given).rowcount
    database.execute("COMMIT")
    return changed > 0
