# ruff: noqa: S608  # statements are put together from constants only
"""People and their open ids, in Postgres: for any number of processes."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.adapters.postgres_erasing import erase, erase_user
from gateway.adapters.postgres_link import Connection, Link
from gateway.adapters.postgres_people import (
    BY_ID,
    BY_INDEX,
    BY_UNION,
    BY_USER,
    RESOLVED,
    columns,
    lock,
    read_person,
    user_of,
)
from gateway.adapters.postgres_sightings import see
from gateway.adapters.postgres_text import given, held
from gateway.adapters.postgres_user_secrets import PostgresUserSecrets
from gateway.identity.merging import latest_consents
from gateway.identity.people import AppUser, Consent, Merge, Person, Sighting

# Their open ids are held meanwhile, so that nothing is left of one that is erased at this moment.
_ANSWER: Final = """
WITH answered AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::float8[])
        AS answer (app_id, open_id, template_id, accepted, at)
), known AS MATERIALIZED (
    SELECT i.app_id, i.open_id FROM gateway_identities i
    WHERE (i.app_id, i.open_id) IN (SELECT a.app_id, a.open_id FROM answered a)
    ORDER BY i.app_id, i.open_id FOR KEY SHARE
)
INSERT INTO gateway_identity_consents AS c (app_id, open_id, template_id, accepted, at)
SELECT app_id, open_id, template_id, accepted, at FROM known JOIN answered USING (app_id, open_id)
ORDER BY app_id, open_id, template_id
ON CONFLICT (app_id, open_id, template_id) DO UPDATE
    SET accepted = excluded.accepted, at = excluded.at
    WHERE (excluded.at, excluded.accepted) > (c.at, c.accepted)
"""
_TAG: Final = f"""
WITH own AS MATERIALIZED (
    SELECT app_id, open_id, first_seen FROM gateway_identities WHERE person = {RESOLVED}
    ORDER BY app_id, open_id FOR KEY SHARE
), removed AS (
    DELETE FROM gateway_identity_tags t USING own
    WHERE t.app_id = own.app_id AND t.open_id = own.open_id AND t.tag = ANY($3::text[])
), added AS (
    INSERT INTO gateway_identity_tags (app_id, open_id, tag)
    SELECT first.app_id, first.open_id, tag FROM (
        SELECT app_id, open_id FROM own ORDER BY first_seen, app_id, open_id LIMIT 1
    ) first, unnest($2::text[]) AS tag
    ORDER BY tag ON CONFLICT DO NOTHING
)
SELECT count(*) > 0 FROM own
"""
_PERSON: Final = f"SELECT id FROM gateway_people WHERE id = {RESOLVED}"
_GRANT: Final = """
INSERT INTO gateway_person_roles (person, role) SELECT $1, * FROM unnest($2::text[])
ON CONFLICT DO NOTHING
"""
_REVOKE: Final = "DELETE FROM gateway_person_roles WHERE person = $1 AND role = ANY($2::text[])"
_MERGES: Final = """
SELECT app_id, open_id, number, at, former, person, whole, settled FROM gateway_identity_merges
WHERE number > $1 AND {} ORDER BY number LIMIT $2
"""
# All ids by which a person was ever known.
_HAD_PART: Final = f"""
number IN (
    WITH ids AS MATERIALIZED (
        SELECT {RESOLVED.replace("$1", "$3")} AS id UNION ALL
        SELECT id FROM gateway_former_people WHERE person = {RESOLVED.replace("$1", "$3")}
    )
    SELECT m.number FROM ids JOIN gateway_identity_merges m ON m.former = ids.id
    UNION ALL SELECT m.number FROM ids JOIN gateway_identity_merges m ON m.person = ids.id
)
"""
_SETTLE: Final = """
WITH own AS MATERIALIZED (
    SELECT number FROM gateway_identity_merges WHERE number = ANY($1::bigint[])
    ORDER BY number FOR NO KEY UPDATE
)
UPDATE gateway_identity_merges m SET settled = true FROM own WHERE m.number = own.number
"""
_UNFOLLOW: Final = """
WITH gone AS MATERIALIZED (
    SELECT app_id, open_id FROM gateway_identities
    WHERE app_id = $1 AND subscribed AND subscribed_at < least($2::float8, $3::float8)
    ORDER BY app_id, open_id FOR NO KEY UPDATE
), noted AS (
    UPDATE gateway_identities i SET subscribed = false, subscribed_at = $3
    FROM gone WHERE i.app_id = gone.app_id AND i.open_id = gone.open_id RETURNING 1
) SELECT count(*) FROM noted
"""
# A microsecond later than what is forgotten, so that it is not learned again from a repetition.
_FORGET: Final = """
WITH own AS MATERIALIZED (
    SELECT i.app_id, i.open_id FROM unnest($1::text[], $2::text[]) AS sought (app_id, open_id)
    JOIN gateway_identities i USING (app_id, open_id)
    WHERE i.nickname IS NOT NULL OR i.avatar IS NOT NULL
    ORDER BY i.app_id, i.open_id FOR NO KEY UPDATE OF i
)
UPDATE gateway_identities i
SET nickname = NULL, avatar = NULL, profile_at = profile_at + 0.000001
FROM own WHERE i.app_id = own.app_id AND i.open_id = own.open_id
"""
_COUNT: Final = """
SELECT (SELECT count(*) FROM gateway_people), (SELECT count(*) FROM gateway_identities)
"""


class PostgresIdentities(PostgresUserSecrets):
    """The IdentityStore, SecretStore and Checkpoints in Postgres."""

    def __init__(self, dsn: str, *, timeout: float, new_id: Callable[[], str]) -> None:
        """A call that takes longer than ``timeout`` seconds raises StoreDown.

        ``new_id`` returns the id of a new person, another one each time.
        """
        super().__init__(Link(dsn, timeout, BY_INDEX))
        self._new_id = new_id

    async def see(self, sightings: Sequence[Sighting]) -> list[str]:
        """Take what was learned of open ids; return whose each is."""
        if not sightings:
            return []
        return await self._link.run(lambda database: see(database, sightings, self._new_id))

    async def answer(self, consents: Sequence[Consent]) -> None:
        """Keep what users answered."""
        rows = [
            (held(app_id), held(open_id), held(template_id), *others)
            for (app_id, open_id), template_id, *others in latest_consents(consents)
        ]
        if rows:
            await self._link.run(lambda database: database.execute(_ANSWER, *columns(rows, 5)))

    async def person(self, id_: str) -> Person | None:
        """Return a person by their id, or by one that was theirs before a merge."""
        return await self._link.run(lambda database: read_person(database, BY_ID, id_))

    async def owner(self, user: AppUser) -> Person | None:
        """Return whose open id this is."""
        return await self._link.run(lambda database: read_person(database, BY_USER, *user))

    async def bearer(self, union_id: str) -> Person | None:
        """Return whose union id this is."""
        return await self._link.run(lambda database: read_person(database, BY_UNION, union_id))

    async def tag(self, id_: str, add: Sequence[str], remove: Sequence[str]) -> bool:
        """Change a person's tags; return whether there is such a person."""
        changes = _changes(add, remove)
        return bool(
            await self._link.run(lambda database: database.fetchval(_TAG, held(id_), *changes))
        )

    async def grant(self, id_: str, add: Sequence[str], remove: Sequence[str]) -> bool:
        """Change a person's roles; return whether there is such a person."""
        given_, taken = _changes(add, remove)

        async def grant(database: Connection) -> bool:
            async with database.transaction():
                # So that they are not somebody else before it is done.
                await lock(database)
                person = await database.fetchval(_PERSON, held(id_))
                if person is not None:
                    await database.execute(_REVOKE, person, taken)
                    await database.execute(_GRANT, person, given_)
                return person is not None

        return await self._link.run(grant)

    async def merges(
        self, limit: int, after: int = 0, *, person: str | None = None, unsettled: bool = False
    ) -> list[Merge]:
        """Return merges by their numbers, oldest first."""
        tests = ["NOT settled"] if unsettled else []
        tests += [] if person is None else [_HAD_PART]
        query = _MERGES.format(" AND ".join(tests) or "true")
        values = [after, limit, *([] if person is None else [held(person)])]
        rows = await self._link.run(lambda database: database.fetch(query, *values))
        return [_merge(row) for row in map(tuple, rows)]

    async def settle(self, numbers: Sequence[int]) -> None:
        """Note that sessions follow these merges."""
        await self._link.run(lambda database: database.execute(_SETTLE, [*numbers]))

    async def unfollow(self, app_id: str, before: float, at: float) -> int:
        """Note that those do not follow an app, whose following was seen before that time only."""
        values = (held(app_id), before, at)
        return int(await self._link.run(lambda database: database.fetchval(_UNFOLLOW, *values)))

    async def forget_profile(self, users: Sequence[AppUser]) -> None:
        """Remove names and pictures."""
        rows = columns([(held(app_id), held(open_id)) for app_id, open_id in {*users}], 2)
        await self._link.run(lambda database: database.execute(_FORGET, *rows))

    async def erase(self, id_: str) -> Person | None:
        """Remove a person with all that is kept here of them; return who that was."""
        return await self._link.run(lambda database: erase(database, id_))

    async def erase_user(self, user: AppUser) -> Person | None:
        """Remove one open id with all that hangs on it; return the person as they were before."""
        return await self._link.run(lambda database: erase_user(database, user))

    async def count(self) -> tuple[int, int]:
        """Return how many people there are, and how many open ids."""
        ((people, open_ids),) = await self._link.run(lambda database: database.fetch(_COUNT))
        return (people, open_ids)

    async def close(self) -> None:
        """Close the connections; twice does nothing."""
        await self._link.close()


def _changes(add: Sequence[str], remove: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return what is added, and what is removed but not added."""
    return [held(one) for one in {*add}], [held(one) for one in {*remove} - {*add}]


def _merge(row: Sequence[Any]) -> Merge:
    number, at, former, person, *told = row[2:]
    return Merge(number, at, user_of(row), given(former), given(person), *told)
