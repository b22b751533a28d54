-- What is pushed to users: every job, from the moment its caller is told that it is stored.
-- Ids are UUIDs of version 7, so their order is that of their creation.
CREATE TABLE gateway_push_jobs (
    id uuid PRIMARY KEY,
    account text COLLATE "C" NOT NULL,
    channel text COLLATE "C" NOT NULL,
    template text COLLATE "C" NOT NULL,
    template_id text COLLATE "C" NOT NULL,
    open_id text COLLATE "C" NOT NULL,
    path text COLLATE "C" NOT NULL,
    -- What is sent, as JSON; gone once it is sent.
    body bytea,
    priority smallint NOT NULL,
    created_at timestamptz NOT NULL,
    not_before timestamptz NOT NULL,
    expires_at timestamptz,
    idempotency_key text COLLATE "C",
    fingerprint bytea NOT NULL,
    batch text COLLATE "C",
    -- queued until it has ended; whether a worker has it is in gateway_push_queue.
    state text COLLATE "C" NOT NULL DEFAULT 'queued',
    reason text COLLATE "C" NOT NULL DEFAULT '',
    tries integer NOT NULL DEFAULT 0,
    maybe_sent_at timestamptz,
    -- Its attempts, as JSON: [[unix seconds, seconds, outcome, reason], ...]
    attempts json NOT NULL DEFAULT '[]',
    message_id text COLLATE "C",
    ended_at timestamptz,
    receipt_at timestamptz
);

CREATE UNIQUE INDEX gateway_push_jobs_key ON gateway_push_jobs (account, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX gateway_push_jobs_message ON gateway_push_jobs (account, message_id)
    WHERE message_id IS NOT NULL;
-- For the receipts of notices, which do not tell which message they are about, and for whoever
-- asks what one user got.
CREATE INDEX gateway_push_jobs_user ON gateway_push_jobs (account, open_id, id);
CREATE INDEX gateway_push_jobs_batch ON gateway_push_jobs (batch, id) WHERE batch IS NOT NULL;
CREATE INDEX gateway_push_jobs_dead ON gateway_push_jobs (id) WHERE state IN ('dead', 'ambiguous');

-- The jobs that have not ended, and who has them: narrow, for its rows come and go.
CREATE TABLE gateway_push_queue (
    id uuid PRIMARY KEY,
    account text COLLATE "C" NOT NULL,
    channel text COLLATE "C" NOT NULL,
    lane smallint NOT NULL,
    priority smallint NOT NULL,
    due timestamptz NOT NULL,
    worker text COLLATE "C"
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

-- What may be claimed, in the order in which it is.
CREATE INDEX gateway_push_queue_due
    ON gateway_push_queue (account, channel, lane, priority, due, id) WHERE worker IS NULL;
-- What workers have; by id, so that nothing is looked up by worker, of which there are few.
CREATE INDEX gateway_push_queue_held ON gateway_push_queue (id) WHERE worker IS NOT NULL;

-- Until when each worker holds its jobs: one row for all of them, so that holding many is cheap.
CREATE TABLE gateway_push_workers (
    worker text COLLATE "C" PRIMARY KEY,
    holds_until timestamptz NOT NULL
);

-- Templates that were given over the API, as JSON; others are files.
CREATE TABLE gateway_push_templates (
    name text COLLATE "C" PRIMARY KEY,
    written bytea NOT NULL
);
