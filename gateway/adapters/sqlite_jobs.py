"""The tables of jobs in the SQLite file: what the queue writes and whoever looks reads."""

from typing import Final

from gateway.adapters.sqlite_file import Column

# Ids are in the order of their creation. What may be claimed is found by one index; its narrow rows
# come and go beside the jobs' own.
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS push_jobs (
    id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    channel TEXT NOT NULL,
    open_id TEXT NOT NULL,
    template TEXT NOT NULL,
    template_id TEXT NOT NULL,
    path TEXT NOT NULL,
    body BLOB,
    created_at REAL NOT NULL,
    priority INTEGER NOT NULL,
    not_before REAL NOT NULL,
    expires_at REAL,
    idempotency_key TEXT,
    fingerprint BLOB NOT NULL,
    batch TEXT,
    state TEXT NOT NULL DEFAULT 'queued',
    reason TEXT NOT NULL DEFAULT '',
    tries INTEGER NOT NULL DEFAULT 0,
    maybe_sent_at REAL,
    attempts TEXT NOT NULL DEFAULT '[]',
    message_id TEXT,
    ended_at REAL,
    receipt_at REAL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS push_jobs_key ON push_jobs (account, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX IF NOT EXISTS push_jobs_message ON push_jobs (account, message_id)
    WHERE message_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS push_jobs_user ON push_jobs (account, open_id, id);
CREATE INDEX IF NOT EXISTS push_jobs_batch ON push_jobs (batch, id) WHERE batch IS NOT NULL;
CREATE INDEX IF NOT EXISTS push_jobs_dead ON push_jobs (id) WHERE state IN ('dead', 'ambiguous');
CREATE TABLE IF NOT EXISTS push_queue (
    id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    channel TEXT NOT NULL,
    lane INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    due REAL NOT NULL,
    worker TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS push_queue_due
    ON push_queue (account, channel, lane, priority, due, id) WHERE worker IS NULL;
CREATE INDEX IF NOT EXISTS push_queue_held ON push_queue (id) WHERE worker IS NOT NULL;
CREATE TABLE IF NOT EXISTS push_workers (
    worker TEXT NOT NULL PRIMARY KEY,
    holds_until REAL NOT NULL
) STRICT;
"""

COLUMNS: Final = (
    Column(
        "push_jobs",
        "trace",
        "TEXT NOT NULL DEFAULT ''",
        "CREATE INDEX IF NOT EXISTS push_jobs_trace ON push_jobs (trace) WHERE trace <> ''",
    ),
)

HELD: Final = (
    "SELECT j.id, j.account, j.channel, j.path, j.body, j.created_at, j.expires_at, q.lane, "
    "j.tries, j.maybe_sent_at, j.attempts, j.not_before, j.trace "
    "FROM push_queue q JOIN push_jobs j USING (id)"
)
"""What a worker is given, in the order of Held."""
