# ruff: noqa: S608  # statements are put together from constants only
"""The tables of people in the SQLite file, and how one person is read from them."""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from gateway.identity.merging import Belongings, Facts, identity_of, person_of
from gateway.identity.people import AppUser, Consent, Person

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS people (
    id TEXT NOT NULL PRIMARY KEY,
    union_id TEXT
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS people_union ON people (union_id) WHERE union_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS identities (
    app_id TEXT NOT NULL,
    open_id TEXT NOT NULL,
    person TEXT NOT NULL,
    platform TEXT NOT NULL,
    platform_at REAL NOT NULL,
    union_id TEXT,
    union_at REAL NOT NULL,
    subscribed INTEGER,
    subscribed_at REAL NOT NULL,
    nickname TEXT,
    avatar TEXT,
    profile_at REAL NOT NULL,
    first_seen REAL NOT NULL,
    last_active REAL NOT NULL,
    PRIMARY KEY (app_id, open_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS identities_person ON identities (person);
CREATE INDEX IF NOT EXISTS identities_followers ON identities (app_id, subscribed_at)
    WHERE subscribed = 1;
CREATE TABLE IF NOT EXISTS identity_tags (
    app_id TEXT NOT NULL,
    open_id TEXT NOT NULL,
    tag TEXT NOT NULL,
    PRIMARY KEY (app_id, open_id, tag)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS identity_consents (
    app_id TEXT NOT NULL,
    open_id TEXT NOT NULL,
    template_id TEXT NOT NULL,
    accepted INTEGER NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (app_id, open_id, template_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS person_roles (
    person TEXT NOT NULL,
    role TEXT NOT NULL,
    PRIMARY KEY (person, role)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS former_people (
    id TEXT NOT NULL PRIMARY KEY,
    person TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS former_people_person ON former_people (person);
CREATE TABLE IF NOT EXISTS identity_merges (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    app_id TEXT NOT NULL,
    open_id TEXT NOT NULL,
    former TEXT NOT NULL,
    person TEXT NOT NULL,
    whole INTEGER NOT NULL,
    settled INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS identity_merges_user ON identity_merges (app_id, open_id);
CREATE INDEX IF NOT EXISTS identity_merges_former ON identity_merges (former);
CREATE INDEX IF NOT EXISTS identity_merges_person ON identity_merges (person);
CREATE INDEX IF NOT EXISTS identity_merges_unsettled ON identity_merges (number)
    WHERE settled = 0;
CREATE TABLE IF NOT EXISTS user_secrets (
    app_id TEXT NOT NULL,
    open_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    sealed BLOB NOT NULL,
    until REAL NOT NULL,
    PRIMARY KEY (app_id, open_id, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS user_secrets_until ON user_secrets (until);
CREATE TABLE IF NOT EXISTS checkpoints (
    name TEXT NOT NULL PRIMARY KEY,
    noted BLOB NOT NULL
) STRICT, WITHOUT ROWID;
"""

FACTS: Final = ", ".join(Facts._fields)
"""The columns of what is known of an open id."""

BY_ID: Final = (
    "SELECT id, union_id FROM people "
    "WHERE id = coalesce((SELECT person FROM former_people WHERE id = ?1), ?1)"
)
BY_USER: Final = (
    "SELECT p.id, p.union_id FROM identities i JOIN people p ON p.id = i.person "
    "WHERE i.app_id = ? AND i.open_id = ?"
)
BY_UNION: Final = "SELECT id, union_id FROM people WHERE union_id = ?"

# One statement, and so one moment; its rows tell what they are of, those of open ids first. Each
# statement and each row may have to wait for a thread that computes: one for all is much faster.
_READ: Final = f"""
WITH one (id, its_union_id) AS MATERIALIZED ({{}}),
own AS MATERIALIZED (
    SELECT one.id, its_union_id, app_id, open_id, {FACTS}
    FROM one CROSS JOIN identities ON person = one.id
)
SELECT 'identity', * FROM own
UNION ALL
SELECT 'consents', c.app_id, c.open_id, c.template_id, c.accepted, c.at{{}}
FROM own CROSS JOIN identity_consents c USING (app_id, open_id)
UNION ALL SELECT 'tags', tag{{}} FROM own CROSS JOIN identity_tags USING (app_id, open_id)
UNION ALL SELECT 'roles', role{{}} FROM one CROSS JOIN person_roles ON person = one.id
UNION ALL SELECT 'former_ids', f.id{{}} FROM one CROSS JOIN former_people f ON f.person = one.id
"""
_WIDTH: Final = 4 + len(Facts._fields)
_NOTHING: Final = [", NULL" * (_WIDTH - columns) for columns in (5, 1, 1, 1)]


def facts_of(row: Sequence[Any]) -> Facts:
    """Return the facts of a row of these columns."""
    facts = Facts(*row)
    # SQLite has no truth values of its own.
    is_known = facts.subscribed is not None
    return facts._replace(subscribed=bool(facts.subscribed)) if is_known else facts


def read_person(database: sqlite3.Connection, which: str, given: Sequence[str]) -> Person | None:
    """Return the person that a statement (BY_...) finds, as they are at this moment."""
    rows: dict[str, list[Any]] = {kind: [] for kind in ("identity", *Belongings._fields)}
    for kind, *row in database.execute(_READ.format(which, *_NOTHING), given):
        rows[kind].append(row)
    if not rows["identity"]:
        return None
    id_, union_id = rows["identity"][0][:2]
    identities = [identity_of(AppUser(*row[2:4]), facts_of(row[4:])) for row in rows["identity"]]
    has = Belongings(
        [row[0] for row in rows["tags"]],
        [row[0] for row in rows["roles"]],
        [Consent(AppUser(*row[:2]), row[2], bool(row[3]), row[4]) for row in rows["consents"]],
        [row[0] for row in rows["former_ids"]],
    )
    return person_of(id_, union_id, identities, has)
