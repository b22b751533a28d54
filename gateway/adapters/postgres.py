"""Dead letters and the archive in Postgres 13 or newer; a batch is one statement, one round trip.

Batches go in the order of their ids, so that two of them that meet wait for each other, and do not
lock each other out.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from gateway.adapters.migrate import pending
from gateway.adapters.postgres_link import Connection, Link, connect
from gateway.adapters.postgres_text import given, held
from gateway.errors import GatewayError
from gateway.inbound.claims import Entry
from gateway.inbound.erasing import written
from gateway.inbound.ports import Callback, DeadLetter, Finding, Wanted

_OLDEST_VERSION: Final = 130_000

_BURY: Final = """
INSERT INTO gateway_dead_letters
    (id, lane, account, kind, body, deliveries, reason, stored_at, buried_at)
SELECT id, lane, account, kind, body, deliveries, reason,
    to_timestamp(stored_at), to_timestamp(buried_at)
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::integer[],
    $7::text[], $8::float8[], $9::float8[])
    AS letter (id, lane, account, kind, body, deliveries, reason, stored_at, buried_at)
ON CONFLICT (id) DO NOTHING
"""
_FIND: Final = """
SELECT id, lane, account, kind, body, deliveries, reason,
    extract(epoch FROM stored_at)::float8, extract(epoch FROM buried_at)::float8
FROM gateway_dead_letters WHERE {} ORDER BY buried_at, id LIMIT ${}
"""
_COUNT: Final = "SELECT count(*) FROM gateway_dead_letters WHERE {}"
_REMOVE: Final = """
WITH removed AS (
    DELETE FROM gateway_dead_letters WHERE id IN (
        SELECT id FROM gateway_dead_letters WHERE id = ANY($1) ORDER BY id FOR UPDATE
    ) RETURNING 1
) SELECT count(*) FROM removed
"""
_ERASE: Final = """
WITH removed AS (
    DELETE FROM gateway_dead_letters WHERE id IN (
        SELECT id FROM gateway_dead_letters
        WHERE account = $1 AND (position($2::bytea IN body) > 0 OR position($3::bytea IN body) > 0)
        ORDER BY id FOR UPDATE
    ) RETURNING 1
) SELECT count(*) FROM removed
"""
_TESTS: Final = {
    "ids": "id = ANY(${})",
    "lane": "lane = ${}",
    "account": "account = ${}",
    "kind": "kind = ${}",
    "reason": "reason ^@ ${}",
    "before": "buried_at < to_timestamp(${})",
    "since": "buried_at >= to_timestamp(${})",
    "mentions": "position(${}::bytea IN body) > 0",
}

_ADD: Final = """
INSERT INTO gateway_archive (id, account, kind, open_id, received_at, document)
SELECT id, account, kind, open_id, to_timestamp(received_at), document
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::float8[], $6::json[])
    AS callback (id, account, kind, open_id, received_at, document)
ON CONFLICT (id) DO NOTHING
"""
_PRUNE: Final = """
WITH removed AS (
    DELETE FROM gateway_archive WHERE id IN (
        SELECT id FROM gateway_archive WHERE received_at < to_timestamp($1)
        ORDER BY received_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ) RETURNING 1
) SELECT count(*) FROM removed
"""
_CALLBACKS: Final = """
SELECT id, account, kind, open_id, extract(epoch FROM received_at)::float8, document
FROM gateway_archive
"""
_WITH_ID: Final = f"{_CALLBACKS} WHERE id = $1"
_OF_USER: Final = f"""
{_CALLBACKS} WHERE account = $1 AND open_id = $2
ORDER BY received_at DESC, id DESC LIMIT $3
"""
_ERASE_CALLBACKS: Final = """
WITH removed AS (
    DELETE FROM gateway_archive WHERE id IN (
        SELECT id FROM gateway_archive WHERE account = $1 AND open_id = $2 ORDER BY id FOR UPDATE
    ) RETURNING 1
) SELECT count(*) FROM removed
"""
_PRUNED_AT_ONCE: Final = 1000
"""Callbacks removed by one statement, so that each is done well before the timeout."""


class PostgresDeadLetters:
    """The DeadLetters in Postgres; times are kept to the microsecond."""

    def __init__(self, dsn: str, *, timeout: float) -> None:
        """A call that takes longer than ``timeout`` seconds raises StoreDown."""
        self._link = Link(dsn, timeout)

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Keep them."""
        await self._link.run(_insert(_BURY, [_letter_row(letter) for letter in letters]))

    async def find(self, wanted: Wanted, limit: int) -> list[DeadLetter]:
        """Return those that are meant."""
        where, values = _meant(wanted)
        statement = _FIND.format(where, len(values) + 1)
        rows = await self._link.run(lambda database: database.fetch(statement, *values, limit))
        return [_letter(*row) for row in rows]

    async def count(self, wanted: Wanted) -> int:
        """Return how many are meant."""
        where, values = _meant(wanted)
        statement = _COUNT.format(where)
        return int(await self._link.run(lambda database: database.fetchval(statement, *values)))

    async def remove(self, ids: Sequence[str]) -> int:
        """Remove these."""
        kept = [held(id_) for id_ in ids]
        return int(await self._link.run(lambda database: database.fetchval(_REMOVE, kept)))

    async def erase(self, account: str, open_id: str) -> int:
        """Remove the letters that have a user's open id in them."""
        values = (held(account), *written(open_id))
        return int(await self._link.run(lambda database: database.fetchval(_ERASE, *values)))

    async def close(self) -> None:
        """Close the connections; twice does nothing."""
        await self._link.close()


class PostgresArchive:
    """The Archive in Postgres; times are kept to the microsecond."""

    def __init__(self, dsn: str, *, timeout: float) -> None:
        """A call that takes longer than ``timeout`` seconds raises StoreDown."""
        self._link = Link(dsn, timeout)

    async def add(self, callbacks: Sequence[Callback]) -> None:
        """Keep them."""
        await self._link.run(_insert(_ADD, [_callback_row(one) for one in callbacks]))

    async def prune(self, before: float) -> int:
        """Remove those received before this time, some at a time."""
        every = 0
        while True:
            removed = await self._link.run(
                lambda database: database.fetchval(_PRUNE, before, _PRUNED_AT_ONCE)
            )
            every += int(removed)
            if removed < _PRUNED_AT_ONCE:
                return every

    async def find(self, id_: str) -> Callback | None:
        """Return the callback with this id."""
        kept = held(id_)
        row = await self._link.run(lambda database: database.fetchrow(_WITH_ID, kept))
        return None if row is None else _callback(*row)

    async def of_user(self, account: str, open_id: str, limit: int) -> list[Callback]:
        """Return what a user sent, those received last first."""
        values = (held(account), held(open_id), limit)
        rows = await self._link.run(lambda database: database.fetch(_OF_USER, *values))
        return [_callback(*row) for row in rows]

    async def erase(self, account: str, open_id: str) -> int:
        """Remove all that a user sent."""
        values = (held(account), held(open_id))
        return int(
            await self._link.run(lambda database: database.fetchval(_ERASE_CALLBACKS, *values))
        )

    async def close(self) -> None:
        """Close the connections; twice does nothing."""
        await self._link.close()


async def examine(dsn: str, *, within: float) -> list[Finding]:
    """Return how the Postgres at ``dsn`` is, asked ``within`` so many seconds."""
    try:
        async with connect(dsn, within) as database, asyncio.timeout(within):
            version, number, fsync, commit = await database.fetchrow(
                "SELECT current_setting('server_version'), "
                "current_setting('server_version_num')::integer, "
                "current_setting('fsync'), current_setting('synchronous_commit')"
            ) or ("?", 0, "?", "?")
        waiting = await pending(dsn, within)
    except GatewayError as wrong:
        said, _, fix = str(wrong).partition("; ")
        return [Finding("postgres", said.removeprefix("Postgres: "), fix)]
    return [
        _version(version, number),
        Finding(
            "postgres tables",
            f"{len(waiting)} migrations pending" if waiting else "up to date",
            "run: gateway migrate" if waiting else "",
        ),
        _durability(fsync, commit),
    ]


def _version(version: str, number: int) -> Finding:
    fix = "upgrade it to Postgres 13 or newer" if number < _OLDEST_VERSION else ""
    return Finding("postgres", f"reachable, version {version}", fix)


def _durability(fsync: str, commit: str) -> Finding:
    """Tell what a crash could lose."""
    state = f"fsync = {fsync}, synchronous_commit = {commit}: "
    if fsync != "on":
        return Finding(
            "postgres durability",
            state + "a crash of its machine can lose anything, and damage the database",
            "set fsync = on in postgresql.conf",
        )
    if commit == "off":
        return Finding(
            "postgres durability",
            state + "a crash can lose the dead letters of its last 3 × wal_writer_delay (0.6 s)",
            "set synchronous_commit = on in postgresql.conf",
        )
    return Finding("postgres durability", state + "a crash loses nothing", "")


def _insert(
    statement: str, rows: list[tuple[Any, ...]]
) -> Callable[[Connection], Awaitable[object]]:
    """Return the work of inserting the rows: one array a column, in the order of the first one."""
    columns = [*zip(*sorted(rows, key=lambda row: row[0]), strict=True)]

    async def insert(database: Connection) -> object:
        return await database.execute(statement, *columns) if columns else None

    return insert


def _letter_row(letter: DeadLetter) -> tuple[Any, ...]:
    lane, account, kind, body, _ = letter.entry
    texts = (letter.id, lane, account, kind)
    return (
        *map(held, texts),
        body,
        letter.deliveries,
        held(letter.reason),
        letter.stored_at,
        letter.buried_at,
    )


def _letter(*row: Any) -> DeadLetter:
    id_, lane, account, kind = map(given, row[:4])
    entry = Entry(lane, account, kind, row[4])
    return DeadLetter(id_, entry, row[5], given(row[6]), row[7], row[8])


def _callback_row(callback: Callback) -> tuple[Any, ...]:
    *texts, received_at, document = callback
    return (*map(held, texts), received_at, document.decode())


def _callback(*row: Any) -> Callback:
    id_, account, kind, open_id = map(given, row[:4])
    return Callback(id_, account, kind, open_id, row[4], row[5].encode())


def _meant(wanted: Wanted) -> tuple[str, list[Any]]:
    """Return the condition that tells which are meant, and its values."""
    named = {name: value for name, value in wanted._asdict().items() if value is not None}
    tests = [_TESTS[name].format(place) for place, name in enumerate(named, 1)]
    return " AND ".join(tests) or "true", [_value(value) for value in named.values()]


def _value(value: str | float | bytes | tuple[str, ...]) -> str | float | bytes | list[str]:
    if isinstance(value, tuple):
        return [held(one) for one in value]
    return held(value) if isinstance(value, str) else value
