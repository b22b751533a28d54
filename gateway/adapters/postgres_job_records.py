# ruff: noqa: S608  # statements are put together from constants only
"""Jobs that are kept, in Postgres: for whoever looks at them, or acts on many at once."""

from typing import Any, Final

from gateway.adapters.job_rows import PRUNED_AT_ONCE, named, record_of
from gateway.adapters.postgres_link import Link
from gateway.adapters.postgres_text import given, held
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
_JOBS: Final = """
    SELECT j.*, CASE WHEN q.worker IS NULL THEN j.state ELSE 'sending' END AS stands
    FROM gateway_push_jobs j LEFT JOIN gateway_push_queue q USING (id)
"""
_TOLD: Final = """
SELECT id::text, account, channel, template, open_id, stands, reason, priority,
    extract(epoch FROM created_at)::float8, extract(epoch FROM not_before)::float8,
    extract(epoch FROM expires_at)::float8, batch, idempotency_key, tries, attempts, message_id,
    extract(epoch FROM ended_at)::float8, extract(epoch FROM receipt_at)::float8, trace
"""
_REASON: Final = 6
"""Its place there."""
_FIND: Final = f"{_TOLD} FROM ({_JOBS}) j WHERE {{}} ORDER BY id DESC LIMIT ${{}}"
_COUNT: Final = f"SELECT count(*) FROM ({_JOBS}) j WHERE {{}}"
_TESTS: Final = {
    "ids": "id = ANY(${}::uuid[])",
    "states": "stands = ANY(${})",
    "account": "account = ${}",
    "channel": "channel = ${}",
    "template": "template = ${}",
    "to": "open_id = ${}",
    "batch": "batch = ${}",
    "trace": "trace ^@ ${}",
    "reason": "reason ^@ ${}",
    "since": "id >= ${}::uuid",
    "before": "id < ${}::uuid",
    "after": "id < ${}::uuid",
}
# The rows that are acted on are locked in the order of their ids.
_CANCEL: Final = f"""
WITH meant AS MATERIALIZED (
    SELECT id FROM gateway_push_queue WHERE worker IS NULL AND id IN (
        SELECT id FROM ({_JOBS}) j WHERE stands = 'queued' AND {{}} ORDER BY id LIMIT ${{}}
    ) ORDER BY id FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM gateway_push_queue q USING meant WHERE q.id = meant.id
), cancelled AS (
    UPDATE gateway_push_jobs j SET state = 'cancelled', reason = 'cancelled',
        ended_at = to_timestamp(${{}})
    FROM meant WHERE j.id = meant.id RETURNING 1
) SELECT count(*) FROM cancelled
"""
_RETRY: Final = f"""
WITH meant AS MATERIALIZED (
    SELECT id FROM gateway_push_jobs WHERE body IS NOT NULL AND id IN (
        SELECT id FROM ({_JOBS}) j WHERE stands = ANY(${{}}) AND {{}} ORDER BY id LIMIT ${{}}
    ) ORDER BY id FOR UPDATE
), again AS (
    UPDATE gateway_push_jobs j SET state = 'queued', reason = '', tries = 0, maybe_sent_at = NULL,
        ended_at = NULL, receipt_at = NULL, message_id = NULL, created_at = to_timestamp(${{}}),
        expires_at = CASE WHEN expires_at > to_timestamp(${{}}) THEN expires_at END
    FROM meant WHERE j.id = meant.id RETURNING j.id, account, channel, priority
), queued AS (
    INSERT INTO gateway_push_queue (id, account, channel, lane, priority, due)
    SELECT id, account, channel, 0, priority, now() FROM again RETURNING 1
), told AS (SELECT pg_notify('gateway_push', ''))
SELECT count(*) FROM queued, told
"""
_DISCARD: Final = """
WITH gone AS (
    DELETE FROM gateway_push_jobs WHERE id IN (
        SELECT id FROM (SELECT *, state AS stands FROM gateway_push_jobs) j
        WHERE stands = ANY(${}) AND {} ORDER BY id LIMIT ${} FOR UPDATE
    ) RETURNING 1
) SELECT count(*) FROM gone
"""
_PRUNE: Final = """
WITH gone AS (
    DELETE FROM gateway_push_jobs WHERE id IN (
        SELECT id FROM gateway_push_jobs WHERE id < $1 AND state <> 'queued'
        ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
    ) RETURNING 1
) SELECT count(*) FROM gone
"""
# What has ended is in no queue; what is claimed at this moment is a worker's.
_ERASE: Final = """
WITH waiting AS MATERIALIZED (
    SELECT q.id FROM gateway_push_queue q WHERE q.worker IS NULL AND q.id IN (
        SELECT id FROM gateway_push_jobs WHERE account = $1 AND open_id = $2 AND state = 'queued'
    ) ORDER BY q.id FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM gateway_push_queue q USING waiting WHERE q.id = waiting.id
), meant AS MATERIALIZED (
    SELECT id FROM gateway_push_jobs
    WHERE account = $1 AND open_id = $2 AND (state <> 'queued' OR id IN (SELECT id FROM waiting))
    ORDER BY id FOR UPDATE
), erased AS (
    DELETE FROM gateway_push_jobs j USING meant WHERE j.id = meant.id RETURNING 1
) SELECT count(*) FROM erased
"""
_OUTCOMES: Final = f"""
SELECT to_char(created_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD') AS day, account,
    CASE template WHEN '' THEN channel ELSE template END AS said, stands, count(*)
FROM ({_JOBS}) j WHERE {{}} GROUP BY day, account, said, stands ORDER BY day, account, said, stands
"""
_BATCH: Final = f"SELECT stands, count(*) FROM ({_JOBS}) j WHERE batch = $1 GROUP BY stands"
_BACKLOG: Final = """
SELECT account, channel, count(*) FILTER (WHERE worker IS NULL AND due <= now()),
    count(*) FILTER (WHERE worker IS NULL AND due <= now() AND lane = 1),
    count(*) FILTER (WHERE worker IS NULL AND due > now()), count(worker),
    coalesce(extract(epoch FROM now() - min(due) FILTER (WHERE worker IS NULL AND due <= now())), 0)
        ::float8
FROM gateway_push_queue GROUP BY account, channel ORDER BY account, channel
"""


class PostgresRecords:
    """The JobRecords in Postgres."""

    def __init__(self, dsn: str, *, timeout: float) -> None:
        """A call that takes longer than ``timeout`` seconds raises StoreDown."""
        self._link = Link(dsn, timeout)

    async def find(self, wanted: Wanted, limit: int, after: str | None = None) -> list[Record]:
        """Return jobs that are meant, newest first."""
        where, values = _meant(wanted, after)
        rows = await self._link.run(
            lambda database: database.fetch(_FIND.format(where, len(values) + 1), *values, limit)
        )
        return [_record(row) for row in rows]

    async def count(self, wanted: Wanted) -> int:
        """Return how many are meant."""
        where, values = _meant(wanted)
        return await self._value(_COUNT.format(where), *values)

    async def cancel(self, wanted: Wanted, limit: int, at: float) -> int:
        """Cancel some of those that wait."""
        where, values = _meant(wanted)
        places = len(values)
        return await self._value(_CANCEL.format(where, places + 1, places + 2), *values, limit, at)

    async def retry(self, wanted: Wanted, limit: int, at: float) -> int:
        """Queue some again that were not sent."""
        where, values = _meant(wanted)
        n = len(values)
        statement = _RETRY.format(n + 1, where, n + 2, n + 3, n + 3)
        return await self._value(statement, *values, [*UNSENT], limit, at)

    async def discard(self, wanted: Wanted, limit: int) -> int:
        """Remove some of the dead letters."""
        where, values = _meant(wanted)
        statement = _DISCARD.format(len(values) + 1, where, len(values) + 2)
        return await self._value(statement, *values, [*DEAD_LETTERS], limit)

    async def prune(self, before: float) -> int:
        """Remove those that were created before this time and have ended, some at a time."""
        every = 0
        while True:
            removed = await self._value(_PRUNE, first_id_at(before), PRUNED_AT_ONCE)
            every += removed
            if removed < PRUNED_AT_ONCE:
                return every

    async def erase(self, account: str, open_id: str) -> int:
        """Remove what an account sent to a user or was to send, but for what a worker has."""
        return await self._value(_ERASE, held(account), held(open_id))

    async def outcomes(self, wanted: Wanted) -> list[Outcome]:
        """Return how many are in each state, by day and template."""
        where, values = _meant(wanted)
        rows = await self._link.run(
            lambda database: database.fetch(_OUTCOMES.format(where), *values)
        )
        return [Outcome(row[0], row[1], row[2], State(row[3]), row[4]) for row in rows]

    async def batch(self, batch: str) -> dict[State, int]:
        """Return how many jobs of a batch are in each state."""
        rows = await self._link.run(lambda database: database.fetch(_BATCH, held(batch)))
        return {State(row[0]): row[1] for row in rows}

    async def backlog(self) -> list[Backlog]:
        """Return how each account's channels stand."""
        rows = await self._link.run(lambda database: database.fetch(_BACKLOG))
        return [Backlog(row[0], Channel(row[1]), *row[2:]) for row in map(tuple, rows)]

    async def close(self) -> None:
        """Close the connections; twice does nothing."""
        await self._link.close()

    async def _value(self, statement: str, *values: Any) -> int:
        return int(await self._link.run(lambda database: database.fetchval(statement, *values)))


def _meant(wanted: Wanted, after: str | None = None) -> tuple[str, list[Any]]:
    """Return the condition that tells which are meant, and its values."""
    sought = named(wanted, after)
    tests = [_TESTS[name].format(place) for place, name in enumerate(sought, 1)]
    return " AND ".join(tests) or "true", [_value(value) for value in sought.values()]


def _value(value: str | tuple[str, ...]) -> str | list[str]:
    return [held(one) for one in value] if isinstance(value, tuple) else held(value)


def _record(row: Any) -> Record:
    values = list(row)
    values[_REASON] = given(values[_REASON])
    return record_of(tuple(values))
