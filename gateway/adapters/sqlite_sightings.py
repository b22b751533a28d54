# ruff: noqa: S608  # statements are put together from constants only
"""What was learned of open ids, into the SQLite file: within one transaction, row by row."""

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

from gateway.adapters.sqlite_people import BY_UNION, FACTS, facts_of
from gateway.identity.merging import Facts, Kept, Plan, Planner, fold, join
from gateway.identity.people import AppUser, Sighting

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


def learn(sightings: Sequence[Sighting]) -> dict[AppUser, Facts]:
    """Return what was learned of each open id."""
    return fold(_with_pauses(sightings))


def write(
    database: sqlite3.Connection, learned: Mapping[AppUser, Facts], new_id: Callable[[], str]
) -> dict[AppUser, str]:
    """Write what was learned, and what follows, in a transaction; return whose each open id is."""
    made = _planned(database, learned, new_id)
    _carry_out(database, made)
    return made.owners


def _planned(
    database: sqlite3.Connection, learned: Mapping[AppUser, Facts], new_id: Callable[[], str]
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
