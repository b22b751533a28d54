"""Dead letters and the archive in the SQLite file; each write waits for the disk."""

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from gateway.adapters.sqlite_file import SqliteFile
from gateway.adapters.sqlite_wiping import wipe
from gateway.inbound.claims import Entry
from gateway.inbound.erasing import written
from gateway.inbound.ports import Callback, DeadLetter, Wanted

_DEAD_LETTERS: Final = """
CREATE TABLE IF NOT EXISTS dead_letters (
    id TEXT NOT NULL PRIMARY KEY,
    lane TEXT NOT NULL,
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    body BLOB NOT NULL,
    deliveries INTEGER NOT NULL,
    reason TEXT NOT NULL,
    stored_at REAL NOT NULL,
    buried_at REAL NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS dead_letters_buried ON dead_letters (buried_at, id);
"""
_BURY: Final = (
    "INSERT INTO dead_letters VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
)
_FIND: Final = (
    "SELECT id, lane, account, kind, body, deliveries, reason, stored_at, buried_at "
    "FROM dead_letters WHERE {} ORDER BY buried_at, id LIMIT :limit"
)
_COUNT: Final = "SELECT COUNT(*) FROM dead_letters WHERE {}"
_ERASE: Final = (
    "DELETE FROM dead_letters WHERE account = ? AND (instr(body, ?) > 0 OR instr(body, ?) > 0)"
)
_TESTS: Final = {
    "ids": "id IN (SELECT value FROM json_each(:ids))",
    "lane": "lane = :lane",
    "account": "account = :account",
    "kind": "kind = :kind",
    # As bytes: SQLite's functions of text end at a NUL, and LIKE does not tell a from A.
    "reason": "substr(CAST(reason AS BLOB), 1, length(:reason)) = :reason",
    "before": "buried_at < :before",
    "since": "buried_at >= :since",
    "mentions": "instr(body, :mentions) > 0",
}

_ARCHIVE: Final = """
CREATE TABLE IF NOT EXISTS archive (
    id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    open_id TEXT NOT NULL,
    received_at REAL NOT NULL,
    document TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS archive_received ON archive (received_at);
CREATE INDEX IF NOT EXISTS archive_user ON archive (account, open_id, received_at);
"""
_ADD: Final = "INSERT INTO archive VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
_PRUNE: Final = (
    "DELETE FROM archive WHERE rowid IN "
    "(SELECT rowid FROM archive WHERE received_at < ? ORDER BY received_at LIMIT ?)"
)
_CALLBACKS: Final = "SELECT id, account, kind, open_id, received_at, document FROM archive"
_WITH_ID: Final = f"{_CALLBACKS} WHERE id = ?"
_OF_USER: Final = (
    f"{_CALLBACKS} WHERE account = ? AND open_id = ? ORDER BY received_at DESC, id DESC LIMIT ?"
)
_PRUNED_AT_ONCE: Final = 1000
"""Callbacks removed by one transaction, so that those who store messages need not wait long."""


class SqliteDeadLetters:
    """The DeadLetters in a SQLite file."""

    def __init__(self, path: Path, *, timeout: float) -> None:
        """Wait ``timeout`` seconds for other processes that write."""
        self._file = SqliteFile(path, timeout, _DEAD_LETTERS)

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Keep them."""
        rows = [(one.id, *one.entry[:4], *one[2:]) for one in letters]
        await self._file.run(lambda database: _write(self._file, database, _BURY, rows))

    async def find(self, wanted: Wanted, limit: int) -> list[DeadLetter]:
        """Return those that are meant."""
        where, given = _meant(wanted)

        def find(database: sqlite3.Connection) -> list[DeadLetter]:
            rows = database.execute(_FIND.format(where), {**given, "limit": limit})
            return [DeadLetter(row[0], Entry(*row[1:5]), *row[5:]) for row in rows]

        return await self._file.run(find)

    async def count(self, wanted: Wanted) -> int:
        """Return how many are meant."""
        where, given = _meant(wanted)
        counted = _COUNT.format(where)

        def count(database: sqlite3.Connection) -> int:
            return int(database.execute(counted, given).fetchone()[0])

        return await self._file.run(count)

    async def remove(self, ids: Sequence[str]) -> int:
        """Remove these."""
        removal, rows = "DELETE FROM dead_letters WHERE id = ?", [(id_,) for id_ in ids]
        return await self._file.run(lambda database: _write(self._file, database, removal, rows))

    async def erase(self, account: str, open_id: str) -> int:
        """Remove the letters that have a user's open id in them."""
        rows = [(account, *written(open_id))]
        return await self._file.run(
            lambda database: _erase(self._file, database, _ERASE, rows, open_id)
        )

    async def close(self) -> None:
        """Close the file; twice does nothing."""
        await self._file.close()


class SqliteArchive:
    """The Archive in a SQLite file."""

    def __init__(self, path: Path, *, timeout: float) -> None:
        """Wait ``timeout`` seconds for other processes that write."""
        self._file = SqliteFile(path, timeout, _ARCHIVE)

    async def add(self, callbacks: Sequence[Callback]) -> None:
        """Keep them."""
        rows = [(*one[:5], one.document.decode()) for one in callbacks]
        await self._file.run(lambda database: _write(self._file, database, _ADD, rows))

    async def prune(self, before: float) -> int:
        """Remove those received before this time, some at a time."""
        oldest = [(before, _PRUNED_AT_ONCE)]
        every = 0
        while True:
            removed = await self._file.run(
                lambda database: _write(self._file, database, _PRUNE, oldest)
            )
            every += removed
            if removed < _PRUNED_AT_ONCE:
                return every

    async def find(self, id_: str) -> Callback | None:
        """Return the callback with this id."""
        found = await self._select(_WITH_ID, (id_,))
        return found[0] if found else None

    async def of_user(self, account: str, open_id: str, limit: int) -> list[Callback]:
        """Return what a user sent, those received last first."""
        return await self._select(_OF_USER, (account, open_id, limit))

    async def _select(self, statement: str, given: tuple[Any, ...]) -> list[Callback]:
        rows = await self._file.run(lambda database: database.execute(statement, given).fetchall())
        return [Callback(*row)._replace(document=row[5].encode()) for row in rows]

    async def erase(self, account: str, open_id: str) -> int:
        """Remove all that a user sent."""
        removal, rows = (
            "DELETE FROM archive WHERE account = ? AND open_id = ?",
            [(account, open_id)],
        )
        return await self._file.run(
            lambda database: _erase(self._file, database, removal, rows, open_id)
        )

    async def close(self) -> None:
        """Close the file; twice does nothing."""
        await self._file.close()


def _write(
    file: SqliteFile, database: sqlite3.Connection, statement: str, rows: list[tuple[Any, ...]]
) -> int:
    """Do the statement with each of the rows, in one transaction; return how many it changed."""
    file.begin(database, durable=True)
    changed = database.executemany(statement, rows).rowcount
    database.execute("COMMIT")
    return max(changed, 0)


def _erase(
    file: SqliteFile,
    database: sqlite3.Connection,
    statement: str,
    rows: list[tuple[Any, ...]],
    open_id: str,
) -> int:
    """Remove rows by the statement, and what is left of them in the file; return how many."""
    removed = _write(file, database, statement, rows)
    wipe(database, [open_id])
    return removed


def _meant(wanted: Wanted) -> tuple[str, dict[str, Any]]:
    """Return the condition that tells which are meant, and its values."""
    given = {name: value for name, value in wanted._asdict().items() if value is not None}
    where = " AND ".join(_TESTS[name] for name in given) or "TRUE"
    if wanted.ids is not None:
        given["ids"] = json.dumps(wanted.ids)
    if wanted.reason is not None:
        given["reason"] = wanted.reason.encode()
    return where, given
