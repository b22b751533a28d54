"""Sign-ins that are under way in the SQLite file, shared by the processes of one machine."""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from gateway.adapters.sqlite_file import SqliteFile
from gateway.identity.ports import Claim

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS sign_ins (
    key TEXT NOT NULL PRIMARY KEY,
    sign_in BLOB NOT NULL,
    code BLOB,
    till REAL NOT NULL DEFAULT 0,
    outcome BLOB,
    expires_at REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sign_ins_expires ON sign_ins (expires_at);
"""
_PRUNE: Final = "DELETE FROM sign_ins WHERE expires_at <= ?"
_BEGIN: Final = (
    "INSERT INTO sign_ins (key, sign_in, expires_at) VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING"
)
_READ: Final = "SELECT sign_in FROM sign_ins WHERE key = ? AND expires_at > ?"
_CLAIM: Final = """
UPDATE sign_ins SET code = :code, till = :till
WHERE key = :key AND expires_at > :now AND (code IS NULL OR code = :code)
  AND outcome IS NULL AND till <= :now
RETURNING sign_in
"""
_LOOK: Final = """
SELECT sign_in, outcome FROM sign_ins WHERE key = :key AND expires_at > :now AND code = :code
"""
_FINISH: Final = "UPDATE sign_ins SET outcome = ?, till = 0, expires_at = ? WHERE key = ?"
_RELEASE: Final = "UPDATE sign_ins SET till = 0 WHERE key = ?"


class SqliteSignIns:
    """The SignInStore in a SQLite file."""

    def __init__(
        self, path: Path, *, timeout: float, clock: Callable[[], float] = time.time
    ) -> None:
        """Wait ``timeout`` seconds for other processes that write; ``clock`` gives Unix seconds."""
        self._file = SqliteFile(path, timeout, _SCHEMA)
        self._clock = clock

    async def begin(self, key: str, sign_in: bytes, seconds: float) -> None:
        """Keep one, and forget those whose time is over."""
        now = self._clock()
        await self._write((_PRUNE, (now,)), (_BEGIN, (key, sign_in, now + seconds)))

    async def read(self, key: str) -> bytes | None:
        """Return a sign-in as it was begun."""
        asked = (key, self._clock())
        row = await self._file.run(lambda database: database.execute(_READ, asked).fetchone())
        return None if row is None else row[0]

    async def claim(self, key: str, code: bytes, seconds: float) -> Claim | None:
        """Ask to exchange the code of a sign-in."""
        now = self._clock()
        asked = {"key": key, "code": code, "now": now, "till": now + seconds}

        def claim(database: sqlite3.Connection) -> Claim | None:
            self._file.begin(database, durable=False)
            mine = database.execute(_CLAIM, asked).fetchone()
            known = None if mine else database.execute(_LOOK, asked).fetchone()
            database.execute("COMMIT")
            if mine:
                return Claim(mine[0], mine=True, outcome=None)
            return None if known is None else Claim(known[0], mine=False, outcome=known[1])

        return await self._file.run(claim)

    async def finish(self, key: str, outcome: bytes, seconds: float) -> None:
        """Note what came of it."""
        await self._write((_FINISH, (outcome, self._clock() + seconds, key)))

    async def release(self, key: str) -> None:
        """Let another one exchange the code."""
        await self._write((_RELEASE, (key,)))

    async def close(self) -> None:
        """Close the file; twice does nothing."""
        await self._file.close()

    async def _write(self, *steps: tuple[str, tuple[Any, ...]]) -> None:
        def write(database: sqlite3.Connection) -> None:
            self._file.begin(database, durable=False)
            for statement, given in steps:
                database.execute(statement, given)
            database.execute("COMMIT")

        await self._file.run(write)
