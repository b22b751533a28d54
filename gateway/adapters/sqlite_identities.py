"""People and their open ids, in the SQLite file: for the processes of one machine.

Whoever looks somebody up does so on a connection and in a thread of its own, and waits for no
write.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from gateway.adapters.sqlite_erasing import erase_person, erase_user, traces_of
from gateway.adapters.sqlite_file import SqliteFile
from gateway.adapters.sqlite_people import BY_ID, BY_UNION, BY_USER, SCHEMA, read_person
from gateway.adapters.sqlite_sightings import learn, write
from gateway.adapters.sqlite_user_secrets import SqliteUserSecrets
from gateway.adapters.sqlite_wiping import shorten_log, wipe
from gateway.identity.merging import latest_consents
from gateway.identity.people import AppUser, Consent, Merge, Person, Sighting

_ANSWER: Final = """
INSERT INTO identity_consents (app_id, open_id, template_id, accepted, at)
SELECT ?1, ?2, ?3, ?4, ?5
WHERE EXISTS (SELECT 1 FROM identities WHERE app_id = ?1 AND open_id = ?2)
ON CONFLICT (app_id, open_id, template_id) DO UPDATE
    SET accepted = excluded.accepted, at = excluded.at
    WHERE (excluded.at, excluded.accepted) > (at, accepted)
"""
_UNTAG: Final = "DELETE FROM identity_tags WHERE app_id = ? AND open_id = ? AND tag = ?"
_TAG: Final = "INSERT INTO identity_tags VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_GRANT: Final = "INSERT INTO person_roles VALUES (?, ?) ON CONFLICT DO NOTHING"
_REVOKE: Final = "DELETE FROM person_roles WHERE person = ? AND role = ?"
_MERGES: Final = (
    "SELECT number, at, app_id, open_id, former, person, whole, settled FROM identity_merges "
    "WHERE number > ? AND {} ORDER BY number LIMIT ?"
)
# All ids by which a person was ever known.
_HAD_PART: Final = """
number IN (
    WITH known (id) AS (
        SELECT coalesce((SELECT person FROM former_people WHERE id = ?), ?)
    ), ids (id) AS (
        SELECT id FROM known
        UNION ALL SELECT f.id FROM former_people f JOIN known k ON f.person = k.id
    )
    SELECT m.number FROM ids JOIN identity_merges m ON m.former = ids.id
    UNION ALL SELECT m.number FROM ids JOIN identity_merges m ON m.person = ids.id
)
"""
_UNFOLLOW: Final = (
    "UPDATE identities SET subscribed = 0, subscribed_at = ?3 "
    "WHERE app_id = ?1 AND subscribed = 1 AND subscribed_at < min(?2, ?3)"
)
# A microsecond later than what is forgotten, so that it is not learned again from a repetition.
_FORGET: Final = (
    "UPDATE identities SET nickname = NULL, avatar = NULL, profile_at = profile_at + 0.000001 "
    "WHERE app_id = ? AND open_id = ? AND NOT (nickname IS NULL AND avatar IS NULL)"
)


class SqliteIdentities(SqliteUserSecrets):
    """The IdentityStore, SecretStore and Checkpoints in a SQLite file."""

    def __init__(self, path: Path, *, timeout: float, new_id: Callable[[], str]) -> None:
        """Wait ``timeout`` seconds for other processes that write.

        ``new_id`` returns the id of a new person, another one each time.
        """
        super().__init__(SqliteFile(path, timeout, SCHEMA))
        self._reader = SqliteFile(path, timeout, SCHEMA)
        self._new_id = new_id

    async def see(self, sightings: Sequence[Sighting]) -> list[str]:
        """Take what was learned of open ids; return whose each is."""
        if not sightings:
            return []

        def see(database: sqlite3.Connection) -> list[str]:
            # What can be done before is not done while others wait to write.
            learned = learn(sightings)
            self._file.begin(database, durable=True)
            owners = write(database, learned, self._new_id)
            database.execute("COMMIT")
            return [owners[one.user] for one in sightings]

        return await self._file.run(see)

    async def answer(self, consents: Sequence[Consent]) -> None:
        """Keep what users answered."""
        rows = [(*user, *others) for user, *others in latest_consents(consents)]
        await self._change(_ANSWER, rows)

    async def person(self, id_: str) -> Person | None:
        """Return a person by their id, or by one that was theirs before a merge."""
        return await self._reader.run(lambda database: read_person(database, BY_ID, (id_,)))

    async def owner(self, user: AppUser) -> Person | None:
        """Return whose open id this is."""
        return await self._reader.run(lambda database: read_person(database, BY_USER, user))

    async def bearer(self, union_id: str) -> Person | None:
        """Return whose union id this is."""
        return await self._reader.run(lambda database: read_person(database, BY_UNION, (union_id,)))

    async def tag(self, id_: str, add: Sequence[str], remove: Sequence[str]) -> bool:
        """Change a person's tags; return whether there is such a person."""

        def tag(database: sqlite3.Connection) -> bool:
            person = read_person(database, BY_ID, (id_,))
            if person is None:
                return False
            users = [one.user for one in person.identities]
            database.executemany(_UNTAG, [(*user, gone) for user in users for gone in remove])
            database.executemany(_TAG, [(*users[0], new) for new in add])
            return True

        return await self._write(tag)

    async def grant(self, id_: str, add: Sequence[str], remove: Sequence[str]) -> bool:
        """Change a person's roles; return whether there is such a person."""

        def grant(database: sqlite3.Connection) -> bool:
            found = database.execute(BY_ID, (id_,)).fetchone()
            if found is None:
                return False
            database.executemany(_REVOKE, [(found[0], role) for role in remove])
            database.executemany(_GRANT, [(found[0], role) for role in add])
            return True

        return await self._write(grant)

    async def merges(
        self, limit: int, after: int = 0, *, person: str | None = None, unsettled: bool = False
    ) -> list[Merge]:
        """Return merges by their numbers, oldest first."""
        tests = ["settled = 0"] if unsettled else []
        tests += [] if person is None else [_HAD_PART]
        query = _MERGES.format(" AND ".join(tests) or "TRUE")
        given = [after, *([] if person is None else [person, person]), limit]
        rows = await self._file.run(lambda database: database.execute(query, given).fetchall())
        return [
            Merge(*row[:2], AppUser(*row[2:4]), *row[4:6], *map(bool, row[6:]))  # type: ignore[call-arg]  # as the columns are
            for row in rows
        ]

    async def settle(self, numbers: Sequence[int]) -> None:
        """Note that sessions follow these merges."""
        statement = "UPDATE identity_merges SET settled = 1 WHERE number = ?"
        await self._change(statement, [(number,) for number in numbers])

    async def unfollow(self, app_id: str, before: float, at: float) -> int:
        """Note that those do not follow an app, whose following was seen before that time only."""
        return await self._change(_UNFOLLOW, [(app_id, before, at)])

    async def forget_profile(self, users: Sequence[AppUser]) -> None:
        """Remove names and pictures."""
        await self._change(_FORGET, users)
        await self._file.run(shorten_log)

    async def erase(self, id_: str) -> Person | None:
        """Remove a person with all that is kept here of them; return who that was."""
        person = await self._write(
            lambda database: erase_person(database, read_person(database, BY_ID, (id_,)))
        )
        if person is not None:
            await self._wipe(traces_of(person))
        return person

    async def erase_user(self, user: AppUser) -> Person | None:
        """Remove one open id with all that hangs on it; return the person as they were before."""
        person = await self._write(lambda database: erase_user(database, user))
        is_last = person is not None and len(person.identities) == 1
        await self._wipe(traces_of(person) if person is not None and is_last else [user.open_id])
        return person

    async def count(self) -> tuple[int, int]:
        """Return how many people there are, and how many open ids."""
        query = "SELECT (SELECT COUNT(*) FROM people), (SELECT COUNT(*) FROM identities)"
        # Not by the reader: on its way through the tables it would keep others waiting.
        found = await self._file.run(lambda database: database.execute(query).fetchone())
        return (found[0], found[1])

    async def close(self) -> None:
        """Close the file; twice does nothing."""
        await self._reader.close()
        await self._file.close()

    async def _wipe(self, traces: Iterable[str]) -> None:
        await self._file.run(lambda database: wipe(database, traces))
