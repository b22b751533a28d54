"""Claims and lanes in one SQLite file, which several processes of a machine share.

A batch of steps is one transaction: the records concerned are read, the rules applied to them here,
what changed is written. Only a batch that stores entries waits for the disk: a claim that a power
failure loses is a message that WeChat delivers again.
"""

import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from gateway.adapters.sqlite_file import SqliteFile, rollback
from gateway.inbound.claims import (
    Ack,
    ClaimStep,
    Entry,
    EntryStep,
    Hold,
    Outcome,
    Record,
    Retry,
    State,
    Step,
    advance,
)
from gateway.inbound.ports import ENTRY_LEASE_SECONDS, LaneStatus, Taken, Waiting

# Rows of claims come in the order of their first delivery, so that the oldest are found by rowid
# and no index on time has to be kept.
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS claims (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key BLOB NOT NULL UNIQUE,
    first REAL NOT NULL,
    attempts INTEGER NOT NULL,
    owner BLOB NOT NULL,
    lease REAL NOT NULL,
    reply BLOB NOT NULL,
    stored INTEGER NOT NULL,
    given_up INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    lane TEXT NOT NULL,
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    body BLOB NOT NULL,
    stored_at REAL NOT NULL,
    due REAL NOT NULL,
    consumer BLOB NOT NULL DEFAULT x'',
    deliveries INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS entries_due ON entries (lane, due);
"""

_READ = "SELECT id, key, first, attempts, owner, lease, reply, stored, given_up FROM claims"
_INSERT = (
    "INSERT INTO claims (key, first, attempts, owner, lease, reply, stored, given_up) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_UPDATE = (
    "UPDATE claims SET first = ?, attempts = ?, owner = ?, lease = ?, reply = ?, stored = ?, "
    "given_up = ? WHERE id = ?"
)
_STORE = "INSERT INTO entries (lane, account, kind, body, stored_at, due) VALUES (?, ?, ?, ?, ?, ?)"
_MENTIONING = (
    "SELECT id, lane, account, kind, body, deliveries, stored_at, "
    "consumer != x'' AND due > :now, CASE WHEN consumer = x'' AND due > :now THEN due END "
    "FROM (SELECT * FROM entries WHERE lane = :lane ORDER BY id LIMIT :most) "
    "WHERE {}"
)
_PRUNE = "DELETE FROM claims WHERE id IN (SELECT id FROM claims ORDER BY id LIMIT ?) AND first < ?"
_PRUNED_AT_ONCE: Final = 256
"""Old claims removed for each so many new ones: twice as many, so that removal keeps up."""


class SqliteStore:
    """The Store in a SQLite file; one thread of its own does the work."""

    def __init__(
        self, path: Path, *, keep: float, timeout: float, clock: Callable[[], float] = time.time
    ) -> None:
        """Remember messages for ``keep`` seconds; wait ``timeout`` seconds for other processes."""
        self._file = SqliteFile(path, timeout, _SCHEMA)
        self._keep = keep
        self._clock = clock
        self._new = 0

    async def commit(self, steps: Sequence[Step]) -> list[Outcome]:
        """Take the steps in one transaction."""
        return await self._file.run(lambda database: self._commit(database, steps))

    async def take(self, lane: str, consumer: bytes, limit: int) -> list[Taken]:
        """Take what is due."""
        return await self._file.run(lambda database: self._take(database, lane, consumer, limit))

    async def lanes(self) -> list[LaneStatus]:
        """Return the lanes that hold something."""
        return await self._file.run(self._lanes)

    async def recall(self, key: bytes) -> Record | None:
        """Return what is kept of a message."""
        oldest = self._clock() - self._keep
        select = f"{_READ} WHERE key = ? AND first >= ?"
        row = await self._file.run(
            lambda database: database.execute(select, (key, oldest)).fetchone()
        )
        return None if row is None else Record(*row[2:7], *map(bool, row[7:]))

    async def mentioning(self, lane: str, what: Sequence[bytes], most: int) -> list[Waiting]:
        """Return the entries that have any of it in their body."""
        given = {"lane": lane, "most": most, "now": self._clock()}
        wanted = {f"what{number}": one for number, one in enumerate(what)}
        select = _MENTIONING.format(" OR ".join(f"instr(body, :{name}) > 0" for name in wanted))
        rows = await self._file.run(
            lambda database: database.execute(select, given | wanted).fetchall()
        )
        return [
            Waiting(str(row[0]), Entry(*row[1:5]), row[5], row[6], bool(row[7]), row[8])
            for row in rows
        ]

    async def ping(self) -> None:
        """Return if the file can be written."""

        def begin(database: sqlite3.Connection) -> None:
            self._file.begin(database, durable=False)
            rollback(database)

        await self._file.run(begin)

    async def close(self) -> None:
        """Close the file; twice does nothing."""
        await self._file.close()

    def _commit(self, database: sqlite3.Connection, steps: Sequence[Step]) -> list[Outcome]:
        self._file.begin(database, durable=any(map(_is_durable, steps)))
        now = self._clock()
        records = _Records(database, steps, now - self._keep)
        stored: list[Entry] = []
        outcomes = []
        for step in steps:
            if isinstance(step, Ack | Retry | Hold):
                outcomes.append(_entry_step(database, step, now))
                if isinstance(step, Ack) and outcomes[-1].state is State.DONE:
                    stored += step.entries
                continue
            outcome, entries = advance(records.find(step, now), step, now)
            outcomes.append(outcome)
            stored += entries
        self._new += records.write()
        _store(database, stored, now)
        if self._new >= _PRUNED_AT_ONCE:
            database.execute(_PRUNE, (2 * self._new, now - self._keep))
            self._new = 0
        database.execute("COMMIT")
        return outcomes

    def _take(
        self, database: sqlite3.Connection, lane: str, consumer: bytes, limit: int
    ) -> list[Taken]:
        now = self._clock()
        # Looked at first without the lock that writers wait for: most often nothing is due.
        due = "FROM entries WHERE lane = ? AND due <= ?"
        if not database.execute(f"SELECT 1 {due} LIMIT 1", (lane, now)).fetchone():
            return []
        self._file.begin(database, durable=False)
        rows = database.execute(
            f"SELECT id, lane, account, kind, body, deliveries + 1, stored_at {due} "
            "ORDER BY due, id LIMIT ?",
            (lane, now, limit),
        ).fetchall()
        database.executemany(
            "UPDATE entries SET due = ?, consumer = ?, deliveries = deliveries + 1 WHERE id = ?",
            [(now + ENTRY_LEASE_SECONDS, consumer, row[0]) for row in rows],
        )
        database.execute("COMMIT")
        return [Taken(str(row[0]), Entry(*row[1:5]), row[5], row[6]) for row in rows]

    def _lanes(self, database: sqlite3.Connection) -> list[LaneStatus]:
        now = self._clock()
        rows = database.execute(
            "SELECT lane, SUM(due <= :now), SUM(due > :now AND consumer = x''), "
            "SUM(due > :now AND consumer != x''), :now - MIN(stored_at) "
            "FROM entries GROUP BY lane ORDER BY lane",
            {"now": now},
        )
        return [LaneStatus(*row) for row in rows]


class _Records:
    """The records that a batch of steps is about: read once, written once."""

    def __init__(self, database: sqlite3.Connection, steps: Sequence[Step], oldest: float) -> None:
        self._database = database
        self._oldest = oldest
        self._new: dict[bytes, Record] = {}
        self._known: dict[bytes, tuple[int, Record]] = {}
        keys = {step.key for step in steps if not isinstance(step, Ack | Retry | Hold)}
        if keys:
            marks = ",".join("?" * len(keys))
            for id_, key, *fields in database.execute(f"{_READ} WHERE key IN ({marks})", [*keys]):
                self._known[key] = (id_, Record(*fields))

    def find(self, step: ClaimStep, now: float) -> Record:
        """Return the record of the step's message; a new one where it is too old."""
        known = self._known.get(step.key)
        if known is None:
            return self._new.setdefault(step.key, Record(now))
        id_, record = known
        if record.first < self._oldest:
            record = Record(now)
            self._known[step.key] = (id_, record)
        return record

    def write(self) -> int:
        """Write them back; return how many are new."""
        self._database.executemany(
            _INSERT, [(key, *_columns(record)) for key, record in self._new.items()]
        )
        self._database.executemany(
            _UPDATE, [(*_columns(record), id_) for id_, record in self._known.values()]
        )
        return len(self._new)


def _columns(record: Record) -> tuple[Any, ...]:
    return (
        record.first,
        record.attempts,
        record.owner,
        record.lease,
        record.reply,
        record.stored,
        record.given_up,
    )


def _is_durable(step: Step) -> bool:
    """Tell whether a step may store entries, which must not be lost once it is done."""
    return bool(getattr(step, "entries", ()) or getattr(step, "late", ())) or hasattr(step, "entry")


def _store(database: sqlite3.Connection, entries: Sequence[Entry], now: float) -> None:
    database.executemany(_STORE, [(*entry[:4], now, now + entry.delay) for entry in entries])


def _entry_step(database: sqlite3.Connection, step: EntryStep, now: float) -> Outcome:
    if isinstance(step, Ack):
        removed = database.execute("DELETE FROM entries WHERE id = ?", (step.id,))
        return Outcome(State.DONE if removed.rowcount else State.LOST)
    if isinstance(step, Retry):
        changed = database.execute(
            "UPDATE entries SET due = ?, consumer = x'', deliveries = ? WHERE id = ?",
            (now + step.delay, step.deliveries, step.id),
        )
        return Outcome(State.DONE if changed.rowcount else State.LOST)
    changed = database.execute(
        "UPDATE entries SET due = ? WHERE id = ? AND consumer = ?",
        (now + ENTRY_LEASE_SECONDS, step.id, step.consumer),
    )
    return Outcome(State.IN_FLIGHT if changed.rowcount else State.LOST)
