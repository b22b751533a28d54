# ruff: noqa: S608  # statements are put together from constants only
"""People and their open ids, in the SQLite file: for the processes of one machine.

Whoever looks somebody up does so on a connection and in a thread of its own, and waits for no
write.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

from gateway.adapters.sqlite_file import SqliteFile, shorten_log
from gateway.adapters.sqlite_people import (
    BY_ID,
    BY_UNION,
    BY_USER,
    FACTS,
    SCHEMA,
    facts_of,
    read_person,
)
from gateway.adapters.sqlite_user_secrets import SqliteUserSecrets
from gateway.identity.merging import Facts, Kept, Plan, Planner, fold, join, latest_consents
from gateway.identity.people import AppUser, Consent, Merge, Person, Sighting

_T = TypeVar("_T")

_AT_A_STRETCH: Final = 8
_PAUSE_SECONDS: Final = 0.0001
"""Long enough for another thread to wake up."""

_KNOWN: Final = f"SELECT person, {FACTS} FROM identities WHERE app_id = ? AND open_id = ?"
_SIZE: Final = "SELECT COUNT(*) FROM identities WHERE person = ?"
_KEEP: Final = (
    f"INSERT INTO identities (app_id, open_id, person, {FACTS}) "
    f"VALUES (?, ?, ?{', ?' * len(Facts._fields)}) ON CONFLICT (app_id, open_id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in ("person", *Facts._fields))
)
# Where only these are set, no index is written.
_IN_NO_INDEX: Final = tuple(
    one for one in Facts._fields if one not in ("subscribed", "subscribed_at")
)
_TOUCH: Final = (
    "UPDATE identities SET "
    + ", ".join(f"{name} = ?{place}" for place, name in enumerate(_IN_NO_INDEX, 3))
    + " WHERE app_id = ?1 AND open_id = ?2"
)
_GONE: Final = (
    """
    INSERT INTO person_roles SELECT :person, role FROM person_roles WHERE person = :former
    ON CONFLICT DO NOTHING
    """,
    "DELETE FROM person_roles WHERE person = :former",
    "UPDATE former_people SET person = :person WHERE person = :former",
    "INSERT INTO former_people (id, person) VALUES (:former, :person)",
    "DELETE FROM people WHERE id = :former",
)
"""What becomes of somebody who is somebody else, but for their open ids."""

_MERGED: Final = (
    "INSERT INTO identity_merges (at, app_id, open_id, former, person, whole) "
    "VALUES (?, ?, ?, ?, ?, ?)"
)
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
_OF_USER: Final = (
    "identity_tags",
    "identity_consents",
    "user_secrets",
    "identity_merges",
    "identities",
)
"""The tables that have an open id in them."""


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
            learned = fold(_with_pauses(sightings))
            self._file.begin(database, durable=True)
            made = _planned(database, learned, self._new_id)
            _carry_out(database, made)
            database.execute("COMMIT")
            return [made.owners[one.user] for one in sightings]

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
        return await self._erase(
            lambda database: _erased(database, read_person(database, BY_ID, (id_,)))
        )

    async def erase_user(self, user: AppUser) -> Person | None:
        """Remove one open id with all that hangs on it; return the person as they were before."""
        return await self._erase(lambda database: _erased_user(database, user))

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

    async def _erase(self, erase: Callable[[sqlite3.Connection], Person | None]) -> Person | None:
        person = await self._write(erase)
        await self._file.run(shorten_log)
        return person


def _planned(
    database: sqlite3.Connection, learned: dict[AppUser, Facts], new_id: Callable[[], str]
) -> Plan:
    """Return what is to be written where this is learned, within a transaction."""

    def bearer_of(union_id: str) -> str | None:
        found = database.execute(BY_UNION, (union_id,)).fetchone()
        return None if found is None else str(found[0])

    def size_of(person: str) -> int:
        return int(database.execute(_SIZE, (person,)).fetchone()[0])

    planner = Planner(bearer_of, size_of, new_id)
    for user in _with_pauses(sorted(learned)):
        row = database.execute(_KNOWN, user).fetchone()
        known = None if row is None else Kept(row[0], facts_of(row[1:]))
        facts = learned[user] if known is None else join(known.facts, learned[user])
        planner.take(user, facts, known)
    return planner.plan


def _with_pauses(items: Iterable[_T]) -> Iterator[_T]:
    """Yield the items, and let other threads go on now and then.

    Statements let go of the interpreter, but for so short a time that others do not notice: they
    would get it every 5 ms only, and lookups of this process would take as long.
    """
    for place, item in enumerate(items):
        if place % _AT_A_STRETCH == _AT_A_STRETCH - 1:
            time.sleep(_PAUSE_SECONDS)
        yield item


def _touched(user: AppUser, facts: Facts) -> tuple[str | float | None, ...]:
    platform, platform_at, union_id, union_at, _, _, *others = facts
    return (*user, platform, platform_at, union_id, union_at, *others)


def _carry_out(database: sqlite3.Connection, made: Plan) -> None:
    gone = [{"former": former, "person": person} for former, person in made.gone.items()]
    for statement in _GONE:
        database.executemany(statement, gone)
    renamed = [(union_id, id_) for id_, union_id in made.renamed.items()]
    rename = "UPDATE people SET union_id = ? WHERE id = ?"
    # In two steps: of two people, the one may get what the other had.
    database.executemany(rename, [(None, id_) for _, id_ in renamed])
    database.executemany(rename, renamed)
    database.executemany("INSERT INTO people VALUES (?, ?)", made.made.items())
    changed = _with_pauses(made.changed.items())
    database.executemany(_KEEP, ((*user, kept.person, *kept.facts) for user, kept in changed))
    touched = _with_pauses(made.touched.items())
    database.executemany(_TOUCH, (_touched(user, facts) for user, facts in touched))
    merges = [(at, *user, *others) for at, user, *others in made.merges]
    database.executemany(_MERGED, merges)


def _erased(database: sqlite3.Connection, person: Person | None) -> Person | None:
    """Remove somebody; return who that was."""
    if person is None:
        return None
    ids = [(id_,) for id_ in (person.id, *person.former_ids)]
    _remove_users(database, [one.user for one in person.identities])
    for statement in (
        "DELETE FROM identity_merges WHERE former = ?1 OR person = ?1",
        "DELETE FROM former_people WHERE id = ?1",
        "DELETE FROM person_roles WHERE person = ?1",
        "DELETE FROM people WHERE id = ?1",
    ):
        database.executemany(statement, ids)
    return person


def _erased_user(database: sqlite3.Connection, user: AppUser) -> Person | None:
    person = read_person(database, BY_USER, user)
    if person is not None and len(person.identities) == 1:
        return _erased(database, person)
    # Of one that was never seen there may be secrets.
    _remove_users(database, [user])
    return person


def _remove_users(database: sqlite3.Connection, users: Iterable[AppUser]) -> None:
    for user in users:
        for table in _OF_USER:
            database.execute(f"DELETE FROM {table} WHERE app_id = ? AND open_id = ?", user)
