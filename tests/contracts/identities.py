"""What the suites of people and of their secrets share: stores, sightings, and what is expected."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final, TypeAlias

from gateway.adapters.postgres_identities import PostgresIdentities
from gateway.adapters.sqlite_identities import SqliteIdentities
from gateway.identity.people import AppUser, Consent, Identity, Person, Platform, Sighting
from tests.contracts.records import Opener, migrated
from tests.services import Database

Identities: TypeAlias = SqliteIdentities | PostgresIdentities

NOW: Final = 1_790_000_000.25
A: Final = AppUser("wx1", "oA")
B: Final = AppUser("wx2", "oB")
C: Final = AppUser("wx3", "oC")
D: Final = AppUser("wx1", "oD")
PLATFORMS: Final = {
    "wx1": Platform.OFFICIAL_ACCOUNT,
    "wx2": Platform.MINI_PROGRAM,
    "wx3": Platform.WEBSITE,
}
TABLES: Final = (
    *("checkpoints", "former_people", "identities", "identity_consents", "identity_merges"),
    *("identity_tags", "people", "person_roles", "user_secrets"),
)


def seen(user: AppUser, at: float = 0.0, union_id: str | None = None, **given: Any) -> Sighting:
    """Return a sighting so many seconds after the others."""
    return Sighting(user, PLATFORMS[user.app_id], NOW + at, union_id, **given)


@dataclass
class Home:
    """Where people are kept: opened by several at once, and emptied."""

    opener: Opener[Identities]
    rows: Callable[[str], list[tuple[Any, ...]]]
    """Return the rows of a table, by its name without prefix."""
    empty: Callable[[], None]


def numbered() -> Callable[[], str]:
    """Return what makes ids that tell in which order they were made."""
    numbers = count(1)
    return lambda: f"p{next(numbers):04}"


def sqlite_home(folder: Path) -> Home:
    """Return a home in SQLite files, a new one each time that it is emptied."""
    files = count(1)
    path = [folder / "g0.db"]
    new_id = numbered()

    def rows(table: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(path[0])) as database:
            return database.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608  # ours

    def empty() -> None:
        path[0] = folder / f"g{next(files)}.db"

    return Home(Opener(lambda: SqliteIdentities(path[0], timeout=20, new_id=new_id)), rows, empty)


def postgres_home(database: Database) -> Home:
    """Return a home in a Postgres."""
    dsn = migrated(database.dsn)
    new_id = numbered()

    def rows(table: str) -> list[tuple[Any, ...]]:
        # In a thread of its own: a loop may be running in this one.
        with ThreadPoolExecutor(1) as thread:
            query = f"SELECT * FROM gateway_{table}"  # noqa: S608  # ours
            return [tuple(row) for row in thread.submit(database.run, query).result()]

    def empty() -> None:
        database.run(f"TRUNCATE {', '.join(f'gateway_{table}' for table in TABLES)}")

    return Home(Opener(lambda: PostgresIdentities(dsn, timeout=20, new_id=new_id)), rows, empty)


def expected(sightings: Iterable[Sighting], consents: Iterable[Consent]) -> list[Person]:
    """Return who is known by these, without ids: found by looking at all of them at once."""
    every = list(sightings)
    answers = list(consents)
    known = [_identity(user, [s for s in every if s.user == user]) for user in _users(every)]
    groups: dict[str | AppUser, list[Identity]] = {}
    for one in known:
        groups.setdefault(one.union_id or one.user, []).append(one)
    people = []
    for identities in groups.values():
        identities.sort(key=lambda one: (one.first_seen, one.user))
        kept = [
            _last(a for a in answers if a[:2] == question) for question in {a[:2] for a in answers}
        ]
        own = sorted(a for a in kept if a.user in {one.user for one in identities})
        first = identities[0]
        people.append(
            Person("", first.union_id, first.first_seen, tuple(identities), consents=tuple(own))
        )
    return sorted(people, key=lambda one: one.identities[0].user)


async def everybody(store: Identities, users: Iterable[AppUser]) -> list[Person]:
    """Return the people who have these open ids, each once; look at them in each way there is."""
    people = {}
    for user in users:
        person = await store.owner(user)
        if person is not None:
            assert await store.person(person.id) == person
            if person.union_id is not None:
                assert await store.bearer(person.union_id) == person
            people[person.id] = person
    return sorted(people.values(), key=lambda one: one.identities[0].user)


def nameless(people: Iterable[Person]) -> list[Person]:
    """Return people without what depends on the order in which they were known."""
    return [one._replace(id="", former_ids=(), tags=(), roles=()) for one in people]


def check(people: Sequence[Person]) -> None:
    """Check what holds for people at all times."""
    owned = [one.user for person in people for one in person.identities]
    assert len(owned) == len(set(owned))
    unions = [person.union_id for person in people if person.union_id is not None]
    assert len(unions) == len(set(unions))
    for person in people:
        assert {one.union_id for one in person.identities} == {person.union_id}
        assert person.union_id is not None or len(person.identities) == 1
        assert person.created_at == min(one.first_seen for one in person.identities)


def hanging(home: Home) -> Iterator[str]:
    """Yield the tables that have something of somebody who is not there."""
    users = {row[:2] for row in home.rows("identities")}
    people = {row[0] for row in home.rows("people")}
    if {row[2] for row in home.rows("identities")} != people:
        yield "people"
    for table in ("identity_tags", "identity_consents"):
        if not {row[:2] for row in home.rows(table)} <= users:
            yield table
    if not {row[0] for row in home.rows("person_roles")} <= people:
        yield "person_roles"
    if not {row[1] for row in home.rows("former_people")} <= people:
        yield "former_people"


def _users(sightings: Iterable[Sighting]) -> list[AppUser]:
    return sorted({one.user for one in sightings})


def _identity(user: AppUser, sightings: Sequence[Sighting]) -> Identity:
    def latest(*names: str) -> tuple[float, list[Any]]:
        told = []
        for one in sightings:
            values = [(value is not None, value) for value in (getattr(one, n) for n in names)]
            if any(is_told for is_told, _ in values):
                told.append((one.at, values))
        at, dated = max(told, default=(0.0, [(False, None)] * len(names)))
        return at, [value for _, value in dated]

    subscribed_at, (subscribed,) = latest("subscribed")
    _, (nickname, avatar) = latest("nickname", "avatar")
    return Identity(
        user,
        PLATFORMS[user.app_id],
        latest("union_id")[1][0],
        subscribed,
        subscribed_at,
        nickname,
        avatar,
        min(one.at for one in sightings),
        max((one.at for one in sightings if one.active), default=0.0),
    )


def _last(answers: Iterable[Consent]) -> Consent:
    return max(answers, key=lambda one: (one.at, one.accepted))
