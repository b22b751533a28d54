"""Sessions in the SQLite file, shared by the processes of one machine."""

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.adapters.sqlite_file import SqliteFile
from gateway.identity.session import Session

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS sessions (
    id TEXT NOT NULL PRIMARY KEY,
    person TEXT NOT NULL,
    began_at REAL NOT NULL,
    expires_at REAL NOT NULL,
    context BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sessions_person ON sessions (person, began_at);
CREATE INDEX IF NOT EXISTS sessions_expires ON sessions (expires_at);
"""
_PUT: Final = "INSERT INTO sessions VALUES (?, ?, ?, ?, ?)"
_GET: Final = (
    "SELECT id, context FROM sessions "
    "WHERE id IN (SELECT value FROM json_each(?)) AND expires_at > ?"
)
_CHANGE: Final = (
    "UPDATE sessions SET person = ?, began_at = ?, expires_at = ?, context = ? "
    "WHERE id = ? AND expires_at > ?"
)
_REVOKE: Final = "DELETE FROM sessions WHERE id IN (SELECT value FROM json_each(?))"
_OF: Final = (
    "SELECT context FROM sessions WHERE person IN (SELECT value FROM json_each(?)) "
    "AND expires_at > ? ORDER BY began_at DESC, id"
)
_PRUNE: Final = (
    "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at <= ? LIMIT 1000)"
)

_decode: Final = msgspec.json.Decoder(Session).decode
_encode: Final = msgspec.json.Encoder().encode


class SqliteSessions:
    """The SessionStore in a SQLite file."""

    def __init__(
        self, path: Path, *, timeout: float, clock: Callable[[], float] = time.time
    ) -> None:
        """Wait ``timeout`` seconds for other processes that write; ``clock`` gives Unix seconds."""
        self._file = SqliteFile(path, timeout, _SCHEMA)
        self._clock = clock

    async def put(self, session: Session) -> None:
        """Keep a new one."""
        row = (
            *(session.id, session.person, session.began_at, session.expires_at),
            _encode(session),
        )
        await self._write(_PUT, row)

    async def get(self, ids: Sequence[str]) -> list[Session | None]:
        """Return those that are there."""
        asked = (json.dumps(ids), self._clock())
        rows = await self._file.run(lambda database: database.execute(_GET, asked).fetchall())
        found = {id_: _decode(context) for id_, context in rows}
        return [found.get(id_) for id_ in ids]

    async def change(self, session: Session) -> bool:
        """Put one in place of what has its id."""
        row = (
            *(session.person, session.began_at, session.expires_at, _encode(session)),
            *(session.id, self._clock()),
        )
        return await self._write(_CHANGE, row) > 0

    async def revoke(self, ids: Sequence[str]) -> int:
        """End these."""
        return await self._write(_REVOKE, (json.dumps(ids),))

    async def of(self, people: Sequence[str]) -> list[Session]:
        """Return the sessions of these people."""
        asked = (json.dumps(people), self._clock())
        rows = await self._file.run(lambda database: database.execute(_OF, asked).fetchall())
        return [_decode(context) for (context,) in rows]

    async def prune(self) -> int:
        """Remove what has expired, some at a time."""
        every = 0
        while removed := await self._write(_PRUNE, (self._clock(),)):
            every += removed
        return every

    async def close(self) -> None:
        """Close the file; twice does nothing."""
        await self._file.close()

    async def _write(self, statement: str, row: Sequence[Any]) -> int:
        def write(database: sqlite3.Connection) -> int:
            self._file.begin(database, durable=False)
            changed = database.execute(statement, row).rowcount
            database.execute("COMMIT")
            return changed

        return await self._file.run(write)
