# ruff: noqa: S608  # statements are put together from constants only
"""How people are read from Postgres, and which locks those take who change whose an open id is.

Locks are taken in one order, so that nobody waits for one who waits for them: first those of the
union ids and open ids concerned, which stand for 64 groups of them, then the rows of open ids in
the order of their keys, at last that of the merges. Of the people themselves only who holds the
locks of their open ids writes.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final
from zlib import crc32

from gateway.adapters.postgres_link import Connection
from gateway.adapters.postgres_text import given, held
from gateway.identity.merging import Belongings, Facts, Kept, identity_of, person_of
from gateway.identity.people import AppUser, Consent, Person

BY_INDEX: Final = "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off"
"""Plans made while the tables were small go by the indexes all the same, as the queue's do."""

FACTS: Final = ", ".join(Facts._fields)
"""The columns of what is known of an open id."""

RESOLVED: Final = "coalesce((SELECT person FROM gateway_former_people WHERE id = $1), $1)"
"""Who has the id $1 by now."""

BY_ID: Final = RESOLVED
BY_USER: Final = "(SELECT person FROM gateway_identities WHERE app_id = $1 AND open_id = $2)"
BY_UNION: Final = "(SELECT id FROM gateway_people WHERE union_id = $1)"

# One statement, and so one moment: a row for each open id, and in each of them the rest.
_READ: Final = f"""
WITH one AS MATERIALIZED (SELECT id, union_id FROM gateway_people WHERE id = {{}}),
own AS MATERIALIZED (
    SELECT i.app_id, i.open_id, i.person, {FACTS.replace("union_id", "i.union_id")}
    FROM one JOIN gateway_identities i ON i.person = one.id
)
SELECT one.id, one.union_id,
    array(SELECT t.tag FROM own JOIN gateway_identity_tags t USING (app_id, open_id)),
    array(SELECT r.role FROM gateway_person_roles r WHERE r.person = one.id),
    array(SELECT f.id FROM gateway_former_people f WHERE f.person = one.id),
    array(
        SELECT (c.app_id, c.open_id, c.template_id, c.accepted, c.at)
        FROM own JOIN gateway_identity_consents c USING (app_id, open_id)
    ),
    own.*
FROM one, own
"""

_LOCK: Final = "SELECT pg_advisory_xact_lock($1, number) FROM unnest($2::integer[]) AS number"
_GROUPS: Final = 64
_CLASS: Final = 0x6964_656E
"""The first half of the locks' keys: "iden"."""
_ALL: Final = frozenset(range(_GROUPS))
_MERGES: Final = _GROUPS


async def read_person(database: Connection, which: str, *keys: str) -> Person | None:
    """Return the person whose id an expression (BY_...) of these keys tells."""
    rows = await database.fetch(_READ.format(which), *map(held, keys))
    if not rows:
        return None
    id_, union_id, tags, roles, former_ids, consents = list(rows[0])[:6]
    kept = [kept_of(list(row)[6:]) for row in rows]
    has = Belongings(
        map(given, tags),
        map(given, roles),
        [Consent(user_of(row), given(row[2]), row[3], row[4]) for row in consents],
        map(given, former_ids),
    )
    identities = [identity_of(user, one.facts) for user, one in kept]
    return person_of(given(id_), _given(union_id), identities, has)


def kept_of(row: Sequence[Any]) -> tuple[AppUser, Kept]:
    """Return the open id of a row that begins with app_id, open_id, person and the facts."""
    facts = Facts(*row[3 : 3 + len(Facts._fields)])
    if any("␀" in text for text in (facts.union_id, facts.nickname, facts.avatar) if text):
        facts = facts._replace(
            union_id=_given(facts.union_id),
            nickname=_given(facts.nickname),
            avatar=_given(facts.avatar),
        )
    return user_of(row), Kept(given(row[2]), facts)


def user_of(row: Sequence[Any]) -> AppUser:
    """Return the user of a row that begins with app_id and open_id."""
    return AppUser(given(row[0]), given(row[1]))


def held_facts(facts: Facts) -> Facts:
    """Return facts as Postgres can hold them."""
    return facts._replace(
        union_id=_held(facts.union_id), nickname=_held(facts.nickname), avatar=_held(facts.avatar)
    )


def groups_of(users: Iterable[AppUser], union_ids: Iterable[str]) -> frozenset[int]:
    """Return the locks that stand for these."""
    texts = [*("\n".join(user) for user in users), *(f"\n{union_id}" for union_id in union_ids)]
    return frozenset(crc32(text.encode()) % _GROUPS for text in texts)


async def lock(database: Connection, groups: frozenset[int] = _ALL) -> None:
    """Take locks until the transaction ends, all of them where nothing else is said."""
    await database.execute(_LOCK, _CLASS, sorted(groups))


async def lock_merges(database: Connection) -> None:
    """Take the last lock: merges are told in the order of their numbers, also as they commit."""
    await database.execute(_LOCK, _CLASS, [_MERGES])


def columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    """Return the columns of rows: each is one array."""
    return [[row[place] for row in rows] for place in range(width)]


def _held(text: str | None) -> str | None:
    return None if text is None else held(text)


def _given(text: str | None) -> str | None:
    return None if text is None else given(text)
