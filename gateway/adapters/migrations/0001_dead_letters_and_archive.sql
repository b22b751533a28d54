-- The entries that nobody could handle, kept until a person decides (gateway inbox).
-- In text, ␀0 stands for a NUL, which Postgres cannot hold, and ␀␀ for ␀ itself.
CREATE TABLE gateway_dead_letters (
    id text COLLATE "C" PRIMARY KEY,
    lane text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    deliveries integer NOT NULL,
    reason text COLLATE "C" NOT NULL,
    stored_at timestamptz NOT NULL,
    buried_at timestamptz NOT NULL
);

-- Oldest burial first, alone and within what is filtered by. A reason may be longer than an index
-- takes: a search by it looks at the letters that the other filters leave.
CREATE INDEX gateway_dead_letters_buried ON gateway_dead_letters (buried_at, id);
CREATE INDEX gateway_dead_letters_lane ON gateway_dead_letters (lane, buried_at, id);
CREATE INDEX gateway_dead_letters_account ON gateway_dead_letters (account, buried_at, id);
CREATE INDEX gateway_dead_letters_kind ON gateway_dead_letters (kind, buried_at, id);

-- Every callback that came, where store.archive asks for it. The document is json, not jsonb:
-- jsonb refuses some of what a user can write (\u0000).
CREATE TABLE gateway_archive (
    id text COLLATE "C" PRIMARY KEY,
    account text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    open_id text COLLATE "C" NOT NULL,
    received_at timestamptz NOT NULL,
    document json NOT NULL
);

CREATE INDEX gateway_archive_received ON gateway_archive (received_at);
