# ruff: noqa: S608  # statements are put together from constants only
"""The jobs that wait, in Postgres: claimed in batches that pass each other (SKIP LOCKED).

What is claimed is a narrow row beside the job's own. Times are compared by the server's clock, so
that those of the workers do not matter. Batches go in the order of their ids, so that two of them
that meet wait for each other, and do not lock each other out.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec

from gateway.adapters.job_rows import held_of
from gateway.adapters.postgres_link import Connection, Link, Listener
from gateway.adapters.postgres_text import held
from gateway.outbound.jobs import (
    Added,
    Ask,
    Channel,
    Closed,
    Held,
    Job,
    Receipt,
    Settled,
)

NOTIFIED: Final = "gateway_push"
"""The channel of LISTEN and NOTIFY."""

_BY_INDEX: Final = "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off"
"""A plan made while the tables were small is used for long, and goes through all of them when they
are large: those of the queue go by its indexes from the start."""

_ADD: Final = """
WITH given AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
        $7::text[], $8::bytea[], $9::float8[], $10::smallint[], $11::float8[], $12::float8[],
        $13::text[], $14::bytea[], $15::text[], $16::text[])
        AS job (id, account, channel, open_id, template, template_id, path, body, created_at,
            priority, not_before, expires_at, idempotency_key, fingerprint, batch, trace)
), stored AS (
    INSERT INTO gateway_push_jobs (id, account, channel, template, template_id, open_id, path, body,
        priority, created_at, not_before, expires_at, idempotency_key, fingerprint, batch, trace)
    SELECT id, account, channel, template, template_id, open_id, path, body, priority,
        to_timestamp(created_at), to_timestamp(not_before), to_timestamp(expires_at),
        idempotency_key, fingerprint, batch, trace
    FROM given ORDER BY account, idempotency_key, id
    ON CONFLICT (account, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING id, account, channel, priority, not_before
), queued AS (
    INSERT INTO gateway_push_queue (id, account, channel, lane, priority, due)
    SELECT id, account, channel, 0, priority, not_before FROM stored
), told AS (
    SELECT pg_notify('gateway_push', '') FROM (
        SELECT FROM stored WHERE not_before <= now() LIMIT 1
    ) due
)
SELECT id::text FROM stored LEFT JOIN told ON true
"""
_KNOWN: Final = """
SELECT account, idempotency_key, id::text, fingerprint FROM gateway_push_jobs
JOIN unnest($1::text[], $2::text[]) AS key (account, idempotency_key)
    USING (account, idempotency_key)
"""
_BEAT: Final = """
INSERT INTO gateway_push_workers (worker, holds_until)
VALUES ($1, now() + make_interval(secs => $2))
ON CONFLICT (worker) DO UPDATE SET holds_until = excluded.holds_until
"""
_TOLD: Final = """
SELECT q.id::text, j.account, j.channel, j.path, j.body,
    extract(epoch FROM j.created_at)::float8, extract(epoch FROM j.expires_at)::float8,
    q.lane, j.tries, extract(epoch FROM j.maybe_sent_at)::float8, j.attempts,
    extract(epoch FROM j.not_before)::float8, j.trace
FROM taken q JOIN gateway_push_jobs j ON j.id = q.id
ORDER BY q.priority, q.due, q.id
"""
# Which accounts have anything is found by jumping from one to the next in the index. Lanes and
# priorities are looked at one by one, so that what is due later is not gone through.
_CLAIM: Final = (
    """
WITH RECURSIVE present AS (
    (SELECT account FROM gateway_push_queue WHERE worker IS NULL ORDER BY account LIMIT 1)
    UNION ALL
    SELECT later.account FROM present CROSS JOIN LATERAL (
        SELECT q.account FROM gateway_push_queue q
        WHERE q.worker IS NULL AND q.account > present.account ORDER BY q.account LIMIT 1
    ) later
), asked AS MATERIALIZED (
    SELECT ask.* FROM unnest($2::text[], $3::text[], $4::integer[], $5::integer[])
        WITH ORDINALITY AS ask (account, channel, wanted, retries, place)
    JOIN present USING (account) ORDER BY ask.place
), picked AS MATERIALIZED (
    SELECT found.id FROM asked CROSS JOIN LATERAL (
        SELECT one.id
        FROM (VALUES (1::smallint, asked.retries), (0::smallint, asked.wanted)) AS lane (lane, most)
        CROSS JOIN LATERAL (
            SELECT due.id
            FROM (VALUES (0::smallint), (1::smallint), (2::smallint)) AS level (priority)
            CROSS JOIN LATERAL (
                SELECT q.id FROM gateway_push_queue q
                WHERE q.worker IS NULL AND q.account = asked.account AND q.channel = asked.channel
                    AND q.lane = lane.lane AND q.priority = level.priority AND q.due <= now()
                ORDER BY q.due, q.id LIMIT lane.most FOR UPDATE SKIP LOCKED
            ) due LIMIT lane.most
        ) one LIMIT asked.wanted
    ) found LIMIT $6
), taken AS (
    UPDATE gateway_push_queue q SET worker = $1 FROM picked WHERE q.id = picked.id
    RETURNING q.id, q.lane, q.priority, q.due
)
"""
    + _TOLD
)
_ORPHANS: Final = (
    """
WITH gone AS MATERIALIZED (
    SELECT q.id FROM gateway_push_queue q
    LEFT JOIN gateway_push_workers w USING (worker)
    WHERE q.worker IS NOT NULL AND coalesce(w.holds_until < now(), true)
    ORDER BY q.id LIMIT $2 FOR UPDATE OF q SKIP LOCKED
), taken AS (
    UPDATE gateway_push_queue q SET worker = $1 FROM gone WHERE q.id = gone.id
    RETURNING q.id, q.lane, q.priority, q.due
)
"""
    + _TOLD
)
_SETTLE: Final = """
WITH given AS MATERIALIZED (
    SELECT * FROM unnest($2::uuid[], $3::text[], $4::float8[], $5::text[], $6::integer[],
        $7::float8[], $8::json[], $9::float8[], $10::smallint[], $11::text[])
        AS job (id, state, at, reason, tries, maybe_sent_at, attempts, due, lane, message_id)
), own AS MATERIALIZED (
    -- One by one, by id, and not by worker: whose the rows are is known from them alone.
    SELECT g.* FROM given g CROSS JOIN LATERAL (
        SELECT q.worker FROM gateway_push_queue q WHERE q.id = g.id LIMIT 1 FOR UPDATE
    ) held WHERE held.worker = $1
), ended AS (
    DELETE FROM gateway_push_queue q USING own WHERE q.id = own.id AND own.state <> 'queued'
), again AS (
    UPDATE gateway_push_queue q SET worker = NULL, lane = own.lane, due = to_timestamp(own.due)
    FROM own WHERE q.id = own.id AND own.state = 'queued'
)
UPDATE gateway_push_jobs j
SET state = own.state, reason = own.reason, tries = own.tries, attempts = own.attempts,
    maybe_sent_at = to_timestamp(own.maybe_sent_at),
    message_id = coalesce(own.message_id, j.message_id),
    body = CASE WHEN own.state = 'sent' THEN NULL ELSE j.body END,
    ended_at = CASE WHEN own.state = 'queued' THEN NULL ELSE to_timestamp(own.at) END
FROM own WHERE j.id = own.id
RETURNING j.id::text
"""
_PUT_BACK: Final = """
WITH own AS MATERIALIZED (
    SELECT id FROM gateway_push_queue WHERE worker = $1 AND id <> ALL($2::uuid[])
    ORDER BY id FOR UPDATE
), back AS (
    UPDATE gateway_push_queue q SET worker = NULL FROM own WHERE q.id = own.id RETURNING 1
) SELECT count(*) FROM back
"""
_FORGET: Final = """
DELETE FROM gateway_push_workers w WHERE w.worker = $1
    OR w.holds_until < now() - interval '1 day'
    AND NOT EXISTS (SELECT FROM gateway_push_queue q WHERE q.worker = w.worker)
"""
# A receipt with a message's number closes that message; one that came before stays.
_RECEIVE: Final = """
WITH given AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::float8[])
        WITH ORDINALITY AS receipt (account, message_id, state, reason, at, place)
), known AS MATERIALIZED (
    SELECT j.id, j.trace, g.place, g.state, g.reason, g.at
    FROM given g JOIN gateway_push_jobs j USING (account, message_id)
    ORDER BY j.id FOR UPDATE OF j
), closed AS (
    UPDATE gateway_push_jobs j
    SET state = k.state, reason = k.reason, receipt_at = to_timestamp(k.at)
    FROM known k WHERE j.id = k.id AND j.state = 'sent'
)
SELECT place, id::text, trace FROM known
"""
_RECEIVE_NOTICE: Final = """
UPDATE gateway_push_jobs SET state = $6, reason = $7, message_id = $4, receipt_at = to_timestamp($8)
WHERE id = (
    SELECT id FROM gateway_push_jobs
    WHERE account = $1 AND open_id = $3 AND channel = $2 AND template_id = $5
        AND state = 'sent' AND message_id IS NULL
    ORDER BY id LIMIT 1 FOR UPDATE
)
RETURNING id::text, trace
"""


class PostgresQueue:
    """The JobQueue in Postgres."""

    def __init__(self, dsn: str, *, timeout: float) -> None:
        """A call that takes longer than ``timeout`` seconds raises StoreDown."""
        self._link = Link(dsn, timeout, _BY_INDEX)
        self._listener = Listener(dsn, timeout, NOTIFIED)

    async def add(self, jobs: Sequence[Job]) -> list[Added]:
        """Store jobs, all or none."""
        return await self._link.run(lambda database: _add(database, jobs))

    async def beat(self, worker: str, seconds: float) -> None:
        """Let a worker hold its jobs."""
        await self._link.run(lambda database: database.execute(_BEAT, worker, seconds))

    async def claim(self, worker: str, asks: Sequence[Ask], limit: int) -> list[Held]:
        """Give a worker jobs that are due."""
        if not asks:
            return []
        columns = [*zip(*asks, strict=True)]
        rows = await self._link.run(
            lambda database: database.fetch(_CLAIM, worker, *columns, limit)
        )
        return [held_of(tuple(row)) for row in rows]

    async def orphans(self, worker: str, limit: int) -> list[Held]:
        """Give a worker jobs of workers that are gone."""
        rows = await self._link.run(lambda database: database.fetch(_ORPHANS, worker, limit))
        return [held_of(tuple(row)) for row in rows]

    async def settle(self, worker: str, settled: Sequence[Settled]) -> list[str]:
        """Say what became of a worker's jobs."""
        if not settled:
            return []
        in_order = sorted(settled, key=lambda one: one.id)
        columns = [*zip(*map(_settled_row, in_order), strict=True)]
        rows = await self._link.run(lambda database: database.fetch(_SETTLE, worker, *columns))
        return [row[0] for row in rows]

    async def put_back(self, worker: str, known: Collection[str]) -> int:
        """Put back what a worker has without knowing of it."""
        ids = list(known)
        return int(await self._link.run(lambda database: database.fetchval(_PUT_BACK, worker, ids)))

    async def leave(self, worker: str) -> None:
        """Forget a worker."""
        await self._link.run(lambda database: database.execute(_FORGET, worker))

    async def receive(self, receipts: Sequence[Receipt]) -> list[Closed | None]:
        """Close the jobs that were sent by these receipts."""
        return await self._link.run(lambda database: _receive(database, receipts))

    async def wait(self, seconds: float) -> None:
        """Return when there may be new jobs."""
        await self._listener.wait(seconds)

    async def close(self) -> None:
        """Close the connections; twice does nothing."""
        await self._listener.close()
        await self._link.close()


async def _add(database: Connection, jobs: Sequence[Job]) -> list[Added]:
    if not jobs:
        return []
    columns = [*zip(*jobs, strict=True)]
    stored = {row[0] for row in await database.fetch(_ADD, *columns)}
    others = [job for job in jobs if job.id not in stored]
    known: dict[tuple[str, str], tuple[str, bytes]] = {}
    if others:
        keys = [(job.account, job.idempotency_key) for job in others]
        rows = await database.fetch(_KNOWN, *[*zip(*keys, strict=True)])
        known = {(row[0], row[1]): (row[2], row[3]) for row in rows}
    return [_added(job, stored, known) for job in jobs]


def _added(job: Job, stored: set[str], known: dict[tuple[str, str], tuple[str, bytes]]) -> Added:
    if job.id in stored:
        return Added(job.id, is_new=True)
    id_, fingerprint = known[job.account, job.idempotency_key or ""]
    return Added(id_, is_new=False, is_same=fingerprint == job.fingerprint)


async def _receive(database: Connection, receipts: Sequence[Receipt]) -> list[Closed | None]:
    numbered = [
        (one.account, one.message_id, one.state, held(one.reason), one.at) for one in receipts
    ]
    if not numbered:
        return []
    rows = await database.fetch(_RECEIVE, *[*zip(*numbered, strict=True)])
    known = {_number(receipts[place - 1]): Closed(id_, trace) for place, id_, trace in rows}
    for one in receipts:
        if _number(one) in known or one.channel is not Channel.NOTICE:
            continue
        values = one._replace(reason=held(one.reason), open_id=held(one.open_id))
        if (row := await database.fetchrow(_RECEIVE_NOTICE, *values)) is not None:
            known[_number(one)] = Closed(*row)
    return [known.get(_number(one)) for one in receipts]


def _number(receipt: Receipt) -> tuple[str, str]:
    return receipt.account, receipt.message_id


def _settled_row(one: Settled) -> tuple[Any, ...]:
    return (
        one.id,
        one.state,
        one.at,
        held(one.reason),
        one.tries,
        one.maybe_sent_at,
        msgspec.json.encode(one.attempts).decode(),
        one.due,
        one.lane,
        one.message_id,
    )
