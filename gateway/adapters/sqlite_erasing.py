# ruff: noqa: S608  # statements are put together from constants only
"""Somebody, or one of their open ids, removed from the SQLite file with all that hangs on it."""

import sqlite3
from collections.abc import Iterable
from typing import Final

from gateway.adapters.sqlite_people import BY_USER, read_person
from gateway.identity.people import AppUser, Person

_OF_USER: Final = (
    "identity_tags",
    "identity_consents",
    "user_secrets",
    "identity_merges",
    "identities",
)
"""The tables that have an open id in them."""


def erase_person(database: sqlite3.Connection, person: Person | None) -> Person | None:
    """Remove somebody, within a transaction; return who that was."""
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


def erase_user(database: sqlite3.Connection, user: AppUser) -> Person | None:
    """Remove an open id, and the person where it was their last; return who that was."""
    person = read_person(database, BY_USER, user)
    if person is not None and len(person.identities) == 1:
        return erase_person(database, person)
    # Of one that was never seen there may be secrets.
    _remove_users(database, [user])
    return person


def _remove_users(database: sqlite3.Connection, users: Iterable[AppUser]) -> None:
    for user in users:
        for table in _OF_USER:
            database.execute(f"DELETE FROM {table} WHERE app_id = ? AND open_id = ?", user)


def traces_of(person: Person) -> list[str]:
    """Return by what is known what is left of somebody. Union ids stand beside the ids."""
    return [person.id, *person.former_ids, *(one.user.open_id for one in person.identities)]
