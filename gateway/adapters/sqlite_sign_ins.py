"""Sign-ins that are under way in the SQLite file, shared by the processes of one machine."""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from gateway.adapters.sqlite_file import SqliteFile
from gateway.identity.ports import Claim

# An outcome is taken out when its time is over: it holds a session's token, though sealed.
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS sign_ins (
    key TEXT NOT NULL PRIMARY KEY,
    code BLOB NOT NULL,
    till REAL NOT NULL,
    outcome BLOB,
    outcome_until REAL NOT NULL DEFAULT 0,
    finished INTEGER NOT NULL DEFAULT 0,
    expires_at REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sign_ins_expires ON sign_ins (expires_at);
CREATE INDEX IF NOT EXISTS sign_ins_outcome ON sign_ins (outcome_until) WHERE outcome IS NOT NULL;
"""
_PRUNE: Final = "DELETE FROM sign_ins WHERE expires_at <= ?"
_FORGET: Final = (
    "UPDATE sign_ins SET outcome = NULL WHERE outcome_until <= ? AND outcome IS NOT NULL"
)
_CLAIM: Final = """
INSERT INTO sign_ins (key, code, till, expires_at) VALUES (:key, :code, :till, :expires)
ON CONFLICT (key) DO UPDATE SET till = :till
WHERE code = :code AND NOT finished AND till <= :now
RETURNING true
"""
_LOOK: Final = "SELECT outcome, finished FROM sign_ins WHERE key = :key AND code = :code"
_FINISH: Final = "UPDATE sign_ins SET outcome = ?, outcome_until = ?, finished = 1 WHERE key = ?"
_RELEASE: Final = "UPDATE sign_ins SET till = 0 WHERE key = ?"


class SqliteSignIns:
    """The SignInStore in a SQLite file."""

    def __init__(
        self, path: Path, *, timeout: float, clock: Callable[[], float] = time.time
    ) -> None:
        """Wait ``timeout`` seconds for other processes that write; ``clock`` gives Unix seconds."""
        self._file = SqliteFile(path, timeout, _SCHEMA)
        self._clock = clock

    async def claim(self, key: str, code: bytes, seconds: float, keep: float) -> Claim | None:
        """Ask to exchange the code of a sign-in, and forget those whose time is over."""
        now = self._clock()
        asked = {"key": key, "code": code, "now": now, "till": now + seconds, "expires": now + keep}

        def claim(database: sqlite3.Connection) -> Claim | None:
            self._file.begin(database, durable=False)
            database.execute(_PRUNE, (now,))
            database.execute(_FORGET, (now,))
            mine = database.execute(_CLAIM, asked).fetchone()
            known = None if mine else database.execute(_LOOK, asked).fetchone()
            database.execute("COMMIT")
            if mine:
                return Claim(mine=True)
            if known is None:
                return None
            outcome, finished = known
            return Claim(mine=False, outcome=outcome, spent=bool(finished) and outcome is None)

        return await self._file.run(claim)

    async def finish(self, key: str, outcome: bytes, seconds: float) -> None:
        """Note what came of it."""
        await self._write(_FINISH, (outcome, self._clock() + seconds, key))

    async def release(self, key: str) -> None:
        """Let another one exchange the code."""
        await self._write(_RELEASE, (key,))

    async def prune(self) -> None:
        """Remove what has expired."""
        now = (self._clock(),)
        await self._write(_PRUNE, now)
        await self._write(_FORGET, now)

    async def close(self) -> None:
        """Close the file; twice does nothing."""
        await self._file.close()

    async def _write(self, statement: str, given: tuple[Any, ...]) -> None:
        def write(database: sqlite3.Connection) -> None:
            self._file.begin(database, durable=False)
            database.execute(statement, given)
            database.execute("COMMIT")

        await self._file.run(write)
