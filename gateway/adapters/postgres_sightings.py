# ruff: noqa: S608  # statements are put together from constants only
"""What was learned of open ids, into Postgres: set by set, not row by row.

Known open ids of which nothing is new but that they were seen again take one statement. For all
others everything is read first, under locks, and what follows is written in one transaction.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from gateway.adapters.postgres_link import Connection
from gateway.adapters.postgres_people import (
    FACTS,
    columns,
    groups_of,
    held_facts,
    kept_of,
    lock,
    lock_merges,
)
from gateway.adapters.postgres_text import given, held
from gateway.identity.merging import Facts, Kept, Plan, Planner, fold, is_mover, join
from gateway.identity.people import AppUser, Sighting

_TYPES: Final = (
    "$1::text[], $2::text[], $3::text[], $4::float8[], $5::text[], $6::float8[], $7::boolean[], "
    "$8::float8[], $9::text[], $10::text[], $11::float8[], $12::float8[], $13::float8[]"
)
# Where a value is the same, its latest time is the later one: that is all that joining does here.
_SAW_AGAIN: Final = f"""
WITH learned AS MATERIALIZED (
    SELECT * FROM unnest({_TYPES}) AS learned (app_id, open_id, {FACTS})
), known AS MATERIALIZED (
    SELECT i.*, l.platform = i.platform
            AND (l.union_id IS NULL OR l.union_id IS NOT DISTINCT FROM i.union_id)
            AND (l.subscribed IS NULL OR l.subscribed IS NOT DISTINCT FROM i.subscribed)
            AND (l.profile_at = 0 OR l.nickname IS NOT DISTINCT FROM i.nickname
                AND l.avatar IS NOT DISTINCT FROM i.avatar) AS is_same,
        greatest(l.platform_at, i.platform_at) AS new_platform_at,
        greatest(l.union_at, i.union_at) AS new_union_at,
        greatest(l.subscribed_at, i.subscribed_at) AS new_subscribed_at,
        greatest(l.profile_at, i.profile_at) AS new_profile_at,
        least(l.first_seen, i.first_seen) AS new_first_seen,
        greatest(l.last_active, i.last_active) AS new_last_active
    FROM learned l JOIN gateway_identities i USING (app_id, open_id)
    ORDER BY i.app_id, i.open_id FOR NO KEY UPDATE OF i
), seen AS (
    UPDATE gateway_identities i
    SET platform_at = k.new_platform_at, union_at = k.new_union_at,
        subscribed_at = k.new_subscribed_at, profile_at = k.new_profile_at,
        first_seen = k.new_first_seen, last_active = k.new_last_active
    FROM known k WHERE i.app_id = k.app_id AND i.open_id = k.open_id
        AND (SELECT count(*) FILTER (WHERE is_same) FROM known) = cardinality($1)
)
SELECT app_id, open_id, person, {FACTS}, is_same FROM known
"""
_KNOWN: Final = f"""
SELECT i.app_id, i.open_id, i.person, {FACTS}
FROM unnest($1::text[], $2::text[]) AS sought (app_id, open_id)
JOIN gateway_identities i USING (app_id, open_id)
ORDER BY i.app_id, i.open_id FOR NO KEY UPDATE OF i
"""
_BEARERS: Final = """
SELECT p.union_id, p.id FROM unnest($1::text[]) AS sought (union_id)
JOIN gateway_people p USING (union_id)
"""
_SIZES: Final = """
SELECT i.person, count(*) FROM unnest($1::text[]) AS sought (person)
JOIN gateway_identities i USING (person) GROUP BY i.person
"""
_KEEP: Final = f"""
INSERT INTO gateway_identities (app_id, open_id, {FACTS}, person)
SELECT * FROM unnest({_TYPES}, $14::text[]) ORDER BY 1, 2
ON CONFLICT (app_id, open_id) DO UPDATE SET
""" + ", ".join(f"{name} = excluded.{name}" for name in ("person", *Facts._fields))
_MAKE: Final = """
INSERT INTO gateway_people (id, union_id) SELECT * FROM unnest($1::text[], $2::text[])
"""
_GONE: Final = "unnest($1::text[], $2::text[]) AS gone (former, person)"
_LEAVE: Final = (
    f"""
    INSERT INTO gateway_person_roles (person, role)
    SELECT gone.person, r.role FROM {_GONE}
    JOIN gateway_person_roles r ON r.person = gone.former ON CONFLICT DO NOTHING
    """,
    f"DELETE FROM gateway_person_roles r USING {_GONE} WHERE r.person = gone.former",
    f"""
    UPDATE gateway_former_people f SET person = gone.person FROM {_GONE}
    WHERE f.person = gone.former
    """,
    f"INSERT INTO gateway_former_people (id, person) SELECT former, person FROM {_GONE}",
    f"DELETE FROM gateway_people p USING {_GONE} WHERE p.id = gone.former",
)
"""What becomes of people who are somebody else, but for their open ids."""

# In two steps: of two people, the one may get what the other had.
_RENAME: Final = (
    """
    UPDATE gateway_people p SET union_id = NULL
    FROM unnest($1::text[], $2::text[]) AS named (id, union_id) WHERE p.id = named.id
    """,
    """
    UPDATE gateway_people p SET union_id = named.union_id
    FROM unnest($1::text[], $2::text[]) AS named (id, union_id) WHERE p.id = named.id
    """,
)
_MERGED: Final = """
INSERT INTO gateway_identity_merges (at, app_id, open_id, former, person, whole)
SELECT at, app_id, open_id, former, person, whole
FROM unnest($1::float8[], $2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[])
    WITH ORDINALITY AS moved (at, app_id, open_id, former, person, whole, place)
ORDER BY place
"""


class _NotLocked(Exception):
    """Something changed before the locks were taken: these are needed too."""

    def __init__(self, groups: frozenset[int]) -> None:
        super().__init__()
        self.groups = groups


async def see(
    database: Connection, sightings: Sequence[Sighting], new_id: Callable[[], str]
) -> list[str]:
    """Take what was learned; return whose each open id is."""
    learned = fold(sightings)
    rows = [
        (held(app), held(open_id), *held_facts(facts)) for (app, open_id), facts in learned.items()
    ]
    found = await database.fetch(_SAW_AGAIN, *columns(rows, 2 + len(Facts._fields)))
    known = dict(kept_of(row) for row in map(tuple, found))
    if len(known) == len(learned) and all(row["is_same"] for row in found):
        owners: Mapping[AppUser, str] = {user: kept.person for user, kept in known.items()}
    else:
        owners = await _see_under_locks(database, learned, known, new_id)
    return [owners[one.user] for one in sightings]


async def _see_under_locks(
    database: Connection,
    learned: Mapping[AppUser, Facts],
    known: Mapping[AppUser, Kept],
    new_id: Callable[[], str],
) -> Mapping[AppUser, str]:
    groups = _groups(_joined(learned, known), known)
    while True:
        try:
            async with database.transaction():
                if groups:
                    await lock(database, groups)
                made = await _planned(database, learned, groups, new_id)
                await _carry_out(database, made)
                return made.owners
        except _NotLocked as more:
            # Each time there is at least one more, until all are.
            groups |= more.groups


async def _planned(
    database: Connection,
    learned: Mapping[AppUser, Facts],
    groups: frozenset[int],
    new_id: Callable[[], str],
) -> Plan:
    users = [(held(app_id), held(open_id)) for app_id, open_id in learned]
    found = await database.fetch(_KNOWN, *columns(users, 2))
    known = dict(kept_of(row) for row in map(tuple, found))
    joined = _joined(learned, known)
    needed = _groups(joined, known)
    if not needed <= groups:
        raise _NotLocked(needed)
    moving = _moving(joined, known)
    unions = {held(union) for user in moving if (union := joined[user].union_id) is not None}
    former = {held(known[user].person) for user in moving if user in known}
    bearers = _by_text(await database.fetch(_BEARERS, [*unions]) if unions else [], given)
    sizes = _by_text(await database.fetch(_SIZES, [*former]) if former else [], int)
    planner = Planner(bearers.get, sizes.__getitem__, new_id)
    for user, facts in sorted(joined.items()):
        planner.take(user, facts, known.get(user))
    return planner.plan


async def _carry_out(database: Connection, made: Plan) -> None:
    """Write what follows; statements for what is rare are not even sent where there is none."""
    for statements, pairs in ((_LEAVE, made.gone), (_RENAME, made.renamed), ((_MAKE,), made.made)):
        if pairs:
            both = columns([(held(one), other and held(other)) for one, other in pairs.items()], 2)
            for statement in statements:
                await database.execute(statement, *both)
    changed = made.touched | {user: kept.facts for user, kept in made.changed.items()}
    rows = [
        (
            held(app_id),
            held(open_id),
            *held_facts(facts),
            held(made.owners[AppUser(app_id, open_id)]),
        )
        for (app_id, open_id), facts in changed.items()
    ]
    if rows:
        await database.execute(_KEEP, *columns(rows, 3 + len(Facts._fields)))
    if made.merges:
        await lock_merges(database)
        merges = [
            (at, held(app_id), held(open_id), held(former), held(person), whole)
            for at, (app_id, open_id), former, person, whole in made.merges
        ]
        await database.execute(_MERGED, *columns(merges, 6))


def _joined(
    learned: Mapping[AppUser, Facts], known: Mapping[AppUser, Kept]
) -> dict[AppUser, Facts]:
    return {
        user: join(known[user].facts, facts) if user in known else facts
        for user, facts in learned.items()
    }


def _moving(joined: Mapping[AppUser, Facts], known: Mapping[AppUser, Kept]) -> list[AppUser]:
    return [user for user, facts in joined.items() if is_mover(facts, known.get(user))]


def _groups(joined: Mapping[AppUser, Facts], known: Mapping[AppUser, Kept]) -> frozenset[int]:
    """Return the locks for all whose person may change: by open id, union id and former one."""
    moving = _moving(joined, known)
    both = [joined[user].union_id for user in moving]
    both += [known[user].facts.union_id for user in moving if user in known]
    return groups_of(moving, (union_id for union_id in both if union_id is not None))


def _by_text(rows: Sequence[Any], value: Callable[[Any], Any]) -> dict[str, Any]:
    return {given(row[0]): value(row[1]) for row in rows}
