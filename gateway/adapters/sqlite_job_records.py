# ruff: noqa: S608  # statements are put together from constants only
"""Jobs that are kept, in the SQLite file: for whoever looks at them, or acts on many at once."""

import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from gateway.adapters.job_rows import PRUNED_AT_ONCE, named, record_of
from gateway.adapters.sqlite_file import SqliteFile
from gateway.adapters.sqlite_jobs import COLUMNS, SCHEMA
from gateway.adapters.sqlite_wiping import wipe
from gateway.outbound.jobs import (
    DEAD_LETTERS,
    UNSENT,
    Backlog,
    Channel,
    Outcome,
    Record,
    State,
    Wanted,
    first_id_at,
)

# Whether a worker has a job is in the queue alone.
_JOBS: Final = (
    "(SELECT j.*, iif(q.worker IS NULL, j.state, 'sending') AS stands "
    "FROM push_jobs j LEFT JOIN push_queue q USING (id))"
)
_FIND: Final = (
    "SELECT id, account, channel, template, open_id, stands, reason, priority, created_at, "
    "not_before, expires_at, batch, idempotency_key, tries, attempts, message_id, ended_at, "
    f"receipt_at, trace FROM {_JOBS} WHERE {{}} ORDER BY id DESC LIMIT :limit"
)
_COUNT: Final = f"SELECT COUNT(*) FROM {_JOBS} WHERE {{}}"
_TESTS: Final = {
    "ids": "id IN (SELECT value FROM json_each(:ids))",
    "states": "stands IN (SELECT value FROM json_each(:states))",
    "account": "account = :account",
    "channel": "channel = :channel",
    "template": "template = :template",
    "to": "open_id = :to",
    "batch": "batch = :batch",
    # All that begin with it: "-" and a span may follow.
    "trace": "trace >= :trace AND trace < :trace || '~'",
    # As bytes: SQLite's functions of text end at a NUL, and LIKE does not tell a from A.
    "reason": "substr(CAST(reason AS BLOB), 1, length(:reason)) = :reason",
    "since": "id >= :since",
    "before": "id < :before",
    "after": "id < :after",
}
_MEANT: Final = f"SELECT id FROM {_JOBS} WHERE {{}} AND {{}} ORDER BY id LIMIT :limit"
_AGAIN: Final = """
UPDATE push_jobs SET state = 'queued', reason = '', tries = 0, maybe_sent_at = NULL,
    ended_at = NULL, receipt_at = NULL, message_id = NULL, created_at = ?1,
    expires_at = iif(expires_at > ?1, expires_at, NULL)
WHERE id = ?2
"""
_QUEUED: Final = """
INSERT INTO push_queue (id, account, channel, lane, priority, due)
SELECT id, account, channel, 0, priority, ?1 FROM push_jobs WHERE id = ?2
"""
_PRUNE: Final = (
    "DELETE FROM push_jobs WHERE id IN "
    "(SELECT id FROM push_jobs WHERE id < ? AND state <> 'queued' ORDER BY id LIMIT ?)"
)
_OF_USER: Final = """
SELECT j.id FROM push_jobs j LEFT JOIN push_queue q USING (id)
WHERE j.account = ? AND j.open_id = ? AND q.worker IS NULL
"""
_OUTCOMES: Final = (
    "SELECT date(created_at + 28800, 'unixepoch') AS day, account, "
    "iif(template = '', channel, template) AS said, stands, COUNT(*) "
    f"FROM {_JOBS} WHERE {{}} GROUP BY day, account, said, stands "
    "ORDER BY day, account, said, stands"
)
_BATCH: Final = f"SELECT stands, COUNT(*) FROM {_JOBS} WHERE batch = ? GROUP BY stands"
_BACKLOG: Final = """
SELECT account, channel, SUM(worker IS NULL AND due <= :now),
    SUM(worker IS NULL AND due <= :now AND lane = 1), SUM(worker IS NULL AND due > :now),
    COUNT(worker), coalesce(:now - MIN(iif(worker IS NULL AND due <= :now, due, NULL)), 0.0)
FROM push_queue GROUP BY account, channel ORDER BY account, channel
"""


class SqliteRecords:
    """The JobRecords in a SQLite file."""

    def __init__(
        self, path: Path, *, timeout: float, clock: Callable[[], float] = time.time
    ) -> None:
        """Wait ``timeout`` seconds for other processes that write; ``clock`` gives Unix seconds."""
        self._file = SqliteFile(path, timeout, SCHEMA, COLUMNS)
        self._clock = clock

    async def find(self, wanted: Wanted, limit: int, after: str | None = None) -> list[Record]:
        """Return jobs that are meant, newest first."""
        where, given = _meant(wanted, after)
        rows = await self._rows(_FIND.format(where), {**given, "limit": limit})
        return [record_of(row) for row in rows]

    async def count(self, wanted: Wanted) -> int:
        """Return how many are meant."""
        where, given = _meant(wanted)
        return int((await self._rows(_COUNT.format(where), given))[0][0])

    async def cancel(self, wanted: Wanted, limit: int, at: float) -> int:
        """Cancel some of those that wait."""

        def cancel(database: sqlite3.Connection, id_: str) -> None:
            database.execute("DELETE FROM push_queue WHERE id = ?", (id_,))
            database.execute(
                "UPDATE push_jobs SET state = 'cancelled', reason = 'cancelled', ended_at = ? "
                "WHERE id = ?",
                (at, id_),
            )

        return await self._act(wanted, limit, (State.QUEUED,), cancel)

    async def retry(self, wanted: Wanted, limit: int, at: float) -> int:
        """Queue some again that were not sent."""

        def retry(database: sqlite3.Connection, id_: str) -> None:
            database.execute(_AGAIN, (at, id_))
            database.execute(_QUEUED, (at, id_))

        return await self._act(wanted, limit, UNSENT, retry, "body IS NOT NULL")

    async def discard(self, wanted: Wanted, limit: int) -> int:
        """Remove some of the dead letters."""

        def discard(database: sqlite3.Connection, id_: str) -> None:
            database.execute("DELETE FROM push_jobs WHERE id = ?", (id_,))

        return await self._act(wanted, limit, DEAD_LETTERS, discard)

    async def prune(self, before: float) -> int:
        """Remove those that were created before this time and have ended, some at a time."""
        oldest = (first_id_at(before), PRUNED_AT_ONCE)

        def prune(database: sqlite3.Connection) -> int:
            self._file.begin(database, durable=False)
            removed = database.execute(_PRUNE, oldest).rowcount
            database.execute("COMMIT")
            return removed

        every = 0
        while True:
            removed = await self._file.run(prune)
            every += removed
            if removed < PRUNED_AT_ONCE:
                return every

    async def erase(self, account: str, open_id: str) -> int:
        """Remove what an account sent to a user or was to send, but for what a worker has."""

        def erase(database: sqlite3.Connection) -> int:
            self._file.begin(database, durable=True)
            ids = database.execute(_OF_USER, (account, open_id)).fetchall()
            for table in ("push_queue", "push_jobs"):
                database.executemany(f"DELETE FROM {table} WHERE id = ?", ids)
            database.execute("COMMIT")
            wipe(database, [open_id])
            return len(ids)

        return await self._file.run(erase)

    async def outcomes(self, wanted: Wanted) -> list[Outcome]:
        """Return how many are in each state, by day and template."""
        where, given = _meant(wanted)
        rows = await self._rows(_OUTCOMES.format(where), given)
        return [Outcome(row[0], row[1], row[2], State(row[3]), row[4]) for row in rows]

    async def batch(self, batch: str) -> dict[State, int]:
        """Return how many jobs of a batch are in each state."""
        rows = await self._rows(_BATCH, (batch,))
        return {State(state): jobs for state, jobs in rows}

    async def backlog(self) -> list[Backlog]:
        """Return how each account's channels stand."""
        rows = await self._rows(_BACKLOG, {"now": self._clock()})
        return [Backlog(row[0], Channel(row[1]), *row[2:]) for row in rows]

    async def close(self) -> None:
        """Close the file; twice does nothing."""
        await self._file.close()

    async def _rows(self, statement: str, given: Any) -> list[tuple[Any, ...]]:
        return await self._file.run(lambda database: database.execute(statement, given).fetchall())

    async def _act(
        self,
        wanted: Wanted,
        limit: int,
        states: tuple[State, ...],
        act: Callable[[sqlite3.Connection, str], None],
        where_too: str = "TRUE",
    ) -> int:
        """Act on some that are meant and in one of these states; return on how many."""
        where, given = _meant(wanted)
        known = " OR ".join(f"stands = '{state}'" for state in states)
        statement = _MEANT.format(f"({known}) AND {where_too}", where)

        def work(database: sqlite3.Connection) -> int:
            self._file.begin(database, durable=True)
            ids = database.execute(statement, {**given, "limit": limit}).fetchall()
            for (id_,) in ids:
                act(database, id_)
            database.execute("COMMIT")
            return len(ids)

        return await self._file.run(work)


def _meant(wanted: Wanted, after: str | None = None) -> tuple[str, dict[str, Any]]:
    """Return the condition that tells which are meant, and its values."""
    given = named(wanted, after)
    where = " AND ".join(_TESTS[name] for name in given) or "TRUE"
    given |= {name: json.dumps(given[name]) for name in ("ids", "states") if name in given}
    if wanted.reason is not None:
        given["reason"] = wanted.reason.encode()
    return where, given
