"""The jobs that wait, in the SQLite file: for the processes of one machine."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.adapters.job_rows import held_of
from gateway.adapters.sqlite_file import SqliteFile
from gateway.adapters.sqlite_jobs import COLUMNS, HELD, SCHEMA
from gateway.outbound.jobs import (
    Added,
    Ask,
    Channel,
    Closed,
    Held,
    Job,
    Lane,
    Priority,
    Receipt,
    Settled,
    State,
)

POLL_SECONDS: Final = 0.1
"""Between two looks for what other processes stored; what this one does is seen at once."""

_ADD: Final = """
INSERT INTO push_jobs (id, account, channel, open_id, template, template_id, path, body, created_at,
    priority, not_before, expires_at, idempotency_key, fingerprint, batch, trace)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (account, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
"""
_QUEUE: Final = (
    "INSERT INTO push_queue (id, account, channel, lane, priority, due) VALUES (?, ?, ?, ?, ?, ?)"
)
_KNOWN: Final = "SELECT id, fingerprint FROM push_jobs WHERE account = ? AND idempotency_key = ?"
_BEAT: Final = """
INSERT INTO push_workers (worker, holds_until) VALUES (?, ?)
ON CONFLICT (worker) DO UPDATE SET holds_until = excluded.holds_until
"""
# Which accounts have anything: by jumping from one to the next in the index.
_PRESENT: Final = """
WITH RECURSIVE present (account) AS (
    SELECT MIN(account) FROM push_queue WHERE worker IS NULL
    UNION ALL
    SELECT (SELECT MIN(q.account) FROM push_queue q
        WHERE q.worker IS NULL AND q.account > p.account)
    FROM present p WHERE p.account IS NOT NULL
)
SELECT account FROM present WHERE account IS NOT NULL
"""
# The order of the joins is given: by the index of what is due, and to its jobs from there.
_DUE: Final = (
    HELD.replace(" JOIN ", " CROSS JOIN ")
    + " WHERE q.worker IS NULL AND q.account = ? AND q.channel = ? AND q.lane = ? "
    "AND q.priority = ? AND q.due <= ? ORDER BY q.due, q.id LIMIT ?"
)
_ORPHANS: Final = (
    HELD + " LEFT JOIN push_workers w USING (worker) "
    "WHERE q.worker IS NOT NULL AND coalesce(w.holds_until < ?, TRUE) ORDER BY q.id LIMIT ?"
)
_TAKE: Final = "UPDATE push_queue SET worker = ? WHERE id = ?"
_ENDED: Final = "DELETE FROM push_queue WHERE id = ? AND worker = ?"
_AGAIN: Final = "UPDATE push_queue SET worker = NULL, lane = ?, due = ? WHERE id = ? AND worker = ?"
_SETTLE: Final = """
UPDATE push_jobs SET state = ?2, reason = ?3, tries = ?4, maybe_sent_at = ?5, attempts = ?6,
    message_id = coalesce(?7, message_id), ended_at = iif(?2 = 'queued', NULL, ?8),
    body = iif(?2 = 'sent', NULL, body)
WHERE id = ?1
"""
_PUT_BACK: Final = """
UPDATE push_queue SET worker = NULL WHERE worker = ?
    AND id NOT IN (SELECT value FROM json_each(?))
"""
_FORGET: Final = """
DELETE FROM push_workers WHERE worker = ?1 OR holds_until < ?2 - 86400
    AND NOT EXISTS (SELECT 1 FROM push_queue q WHERE q.worker = push_workers.worker)
"""
# A receipt with a message's number closes that message; one that came before stays.
_NUMBERED: Final = "SELECT id, trace, state FROM push_jobs WHERE account = ? AND message_id = ?"
_NOTICE: Final = """
SELECT id, trace, state FROM push_jobs WHERE account = ? AND open_id = ? AND channel = 'notice'
    AND template_id = ? AND state = 'sent' AND message_id IS NULL ORDER BY id LIMIT 1
"""
_CLOSE: Final = (
    "UPDATE push_jobs SET state = ?, reason = ?, message_id = ?, receipt_at = ? WHERE id = ?"
)


class SqliteQueue:
    """The JobQueue in a SQLite file."""

    def __init__(
        self, path: Path, *, timeout: float, clock: Callable[[], float] = time.time
    ) -> None:
        """Wait ``timeout`` seconds for other processes that write; ``clock`` gives Unix seconds."""
        self._file = SqliteFile(path, timeout, SCHEMA, COLUMNS)
        self._clock = clock
        self._added = asyncio.Event()

    async def add(self, jobs: Sequence[Job]) -> list[Added]:
        """Store jobs, all or none."""

        def add(database: sqlite3.Connection) -> list[Added]:
            self._file.begin(database, durable=True)
            added = [_add(database, job) for job in jobs]
            database.execute("COMMIT")
            return added

        added = await self._file.run(add)
        self._added.set()
        return added

    async def beat(self, worker: str, seconds: float) -> None:
        """Let a worker hold its jobs."""
        until = self._clock() + seconds
        await self._change(lambda database: database.execute(_BEAT, (worker, until)))

    async def claim(self, worker: str, asks: Sequence[Ask], limit: int) -> list[Held]:
        """Give a worker jobs that are due."""
        now = self._clock()
        return await self._take(
            worker, lambda database, most: _due(database, asks, most, now), limit
        )

    async def orphans(self, worker: str, limit: int) -> list[Held]:
        """Give a worker jobs of workers that are gone."""
        now = self._clock()
        return await self._take(
            worker, lambda database, most: database.execute(_ORPHANS, (now, most)).fetchall(), limit
        )

    async def settle(self, worker: str, settled: Sequence[Settled]) -> list[str]:
        """Say what became of a worker's jobs."""

        def settle(database: sqlite3.Connection) -> list[str]:
            self._file.begin(database, durable=True)
            own = [one.id for one in settled if _settle(database, worker, one)]
            database.execute("COMMIT")
            return own

        return await self._file.run(settle) if settled else []

    async def put_back(self, worker: str, known: Collection[str]) -> int:
        """Put back what a worker has without knowing of it."""
        given = (worker, msgspec.json.encode(list(known)).decode())
        return await self._change(lambda database: database.execute(_PUT_BACK, given))

    async def leave(self, worker: str) -> None:
        """Forget a worker."""
        now = self._clock()
        await self._change(lambda database: database.execute(_FORGET, (worker, now)))

    async def receive(self, receipts: Sequence[Receipt]) -> list[Closed | None]:
        """Close the jobs that were sent by these receipts."""

        def receive(database: sqlite3.Connection) -> list[Closed | None]:
            self._file.begin(database, durable=True)
            known = [_receive(database, receipt) for receipt in receipts]
            database.execute("COMMIT")
            return known

        return await self._file.run(receive)

    async def wait(self, seconds: float) -> None:
        """Return when there may be new jobs."""
        try:
            async with asyncio.timeout(min(seconds, POLL_SECONDS)):
                await self._added.wait()
        except TimeoutError:
            return
        self._added.clear()

    async def close(self) -> None:
        """Close the file; twice does nothing."""
        await self._file.close()

    async def _take(
        self,
        worker: str,
        find: Callable[[sqlite3.Connection, int], list[tuple[Any, ...]]],
        limit: int,
    ) -> list[Held]:
        def take(database: sqlite3.Connection) -> list[Held]:
            # Looked at first without the lock that writers wait for: most often nothing is due.
            if not find(database, 1):
                return []
            self._file.begin(database, durable=False)
            rows = find(database, limit)
            database.executemany(_TAKE, [(worker, row[0]) for row in rows])
            database.execute("COMMIT")
            return [held_of(row) for row in rows]

        return await self._file.run(take)

    async def _change(self, change: Callable[[sqlite3.Connection], sqlite3.Cursor]) -> int:
        """Change rows; return how many were."""

        def work(database: sqlite3.Connection) -> int:
            self._file.begin(database, durable=False)
            changed = change(database).rowcount
            database.execute("COMMIT")
            return changed

        return await self._file.run(work)


def _add(database: sqlite3.Connection, job: Job) -> Added:
    if database.execute(_ADD, job).rowcount:
        row = (job.id, job.account, job.channel, Lane.FIRST, job.priority, job.not_before)
        database.execute(_QUEUE, row)
        return Added(job.id, is_new=True)
    known = database.execute(_KNOWN, (job.account, job.idempotency_key)).fetchone()
    return Added(known[0], is_new=False, is_same=known[1] == job.fingerprint)


def _due(
    database: sqlite3.Connection, asks: Sequence[Ask], limit: int, now: float
) -> list[tuple[Any, ...]]:
    """Return the rows that a worker gets, by priority and then the order of their times."""
    found: list[tuple[Any, ...]] = []
    present = {account for (account,) in database.execute(_PRESENT)}
    for account, channel, wanted, retries in asks:
        if account not in present:
            continue
        end = min(limit, len(found) + wanted)
        for lane, most in ((Lane.RETRY, retries), (Lane.FIRST, wanted)):
            lane_end = min(end, len(found) + most)
            for priority in Priority:
                if (room := lane_end - len(found)) > 0:
                    given = (account, channel, lane, priority, now, room)
                    found += database.execute(_DUE, given).fetchall()
    return found


def _settle(database: sqlite3.Connection, worker: str, one: Settled) -> bool:
    """Say what became of a job; tell whether it was still the worker's."""
    if one.state is State.QUEUED:
        changed = database.execute(_AGAIN, (one.lane, one.due, one.id, worker))
    else:
        changed = database.execute(_ENDED, (one.id, worker))
    if not changed.rowcount:
        return False
    attempts = msgspec.json.encode(one.attempts).decode()
    row = (one.id, one.state, one.reason, one.tries, one.maybe_sent_at, attempts)
    database.execute(_SETTLE, (*row, one.message_id, one.at))
    return True


def _receive(database: sqlite3.Connection, one: Receipt) -> Closed | None:
    """Close the job of a receipt; return it."""
    found = database.execute(_NUMBERED, (one.account, one.message_id)).fetchone()
    if found is None and one.channel is Channel.NOTICE:
        sought = (one.account, one.open_id, one.template_id)
        found = database.execute(_NOTICE, sought).fetchone()
    if found is None:
        return None
    id_, trace, state = found
    if state == State.SENT:
        row = (one.state, one.reason, one.message_id, one.at, id_)
        database.execute(_CLOSE, row)
    return Closed(id_, trace)
