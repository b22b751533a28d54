-- People: one person, many open ids, one union id at most. Text is held as in the tables before.
-- Times are Unix seconds, exactly as they were learned: which of two is the later decides what is
-- kept, and a time that was rounded would decide otherwise.
CREATE TABLE gateway_people (
    id text COLLATE "C" PRIMARY KEY,
    union_id text COLLATE "C"
);

CREATE UNIQUE INDEX gateway_people_union ON gateway_people (union_id) WHERE union_id IS NOT NULL;

-- What is known of each open id; its union id is its person's. What is written most often
-- (last_active) is in no index, and leaves room on its page for the next version of its row.
CREATE TABLE gateway_identities (
    app_id text COLLATE "C" NOT NULL,
    open_id text COLLATE "C" NOT NULL,
    person text COLLATE "C" NOT NULL,
    platform text COLLATE "C" NOT NULL,
    platform_at double precision NOT NULL,
    union_id text COLLATE "C",
    union_at double precision NOT NULL,
    subscribed boolean,
    subscribed_at double precision NOT NULL,
    nickname text COLLATE "C",
    avatar text COLLATE "C",
    profile_at double precision NOT NULL,
    first_seen double precision NOT NULL,
    last_active double precision NOT NULL,
    PRIMARY KEY (app_id, open_id)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX gateway_identities_person ON gateway_identities (person);
CREATE INDEX gateway_identities_followers ON gateway_identities (app_id) WHERE subscribed;

-- These hang on an open id and go with it, whoever's it turns out to be.
CREATE TABLE gateway_identity_tags (
    app_id text COLLATE "C" NOT NULL,
    open_id text COLLATE "C" NOT NULL,
    tag text COLLATE "C" NOT NULL,
    PRIMARY KEY (app_id, open_id, tag)
);

CREATE TABLE gateway_identity_consents (
    app_id text COLLATE "C" NOT NULL,
    open_id text COLLATE "C" NOT NULL,
    template_id text COLLATE "C" NOT NULL,
    accepted boolean NOT NULL,
    at double precision NOT NULL,
    PRIMARY KEY (app_id, open_id, template_id)
);

-- Sealed, by whoever keeps them.
CREATE TABLE gateway_user_secrets (
    app_id text COLLATE "C" NOT NULL,
    open_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    sealed bytea NOT NULL,
    until double precision NOT NULL,
    PRIMARY KEY (app_id, open_id, kind)
);

CREATE INDEX gateway_user_secrets_until ON gateway_user_secrets (until);

CREATE TABLE gateway_person_roles (
    person text COLLATE "C" NOT NULL,
    role text COLLATE "C" NOT NULL,
    PRIMARY KEY (person, role)
);

-- The ids of those who turned out to be somebody else, and who.
CREATE TABLE gateway_former_people (
    id text COLLATE "C" PRIMARY KEY,
    person text COLLATE "C" NOT NULL
);

CREATE INDEX gateway_former_people_person ON gateway_former_people (person);

-- Every open id that went from one person to another.
CREATE TABLE gateway_identity_merges (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at double precision NOT NULL,
    app_id text COLLATE "C" NOT NULL,
    open_id text COLLATE "C" NOT NULL,
    former text COLLATE "C" NOT NULL,
    person text COLLATE "C" NOT NULL,
    whole boolean NOT NULL,
    settled boolean NOT NULL DEFAULT false
);

CREATE INDEX gateway_identity_merges_user ON gateway_identity_merges (app_id, open_id);
CREATE INDEX gateway_identity_merges_former ON gateway_identity_merges (former);
CREATE INDEX gateway_identity_merges_person ON gateway_identity_merges (person);
CREATE INDEX gateway_identity_merges_unsettled ON gateway_identity_merges (number)
    WHERE NOT settled;

-- How far long work is that goes on after it was broken off.
CREATE TABLE gateway_checkpoints (
    name text COLLATE "C" PRIMARY KEY,
    noted bytea NOT NULL
);

-- What is kept of one user, for whoever asks for it or wants it erased.
CREATE INDEX gateway_archive_user ON gateway_archive (account, open_id, received_at);
