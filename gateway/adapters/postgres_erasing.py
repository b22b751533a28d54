# ruff: noqa: S608  # statements are put together from constants only
"""Somebody, or one of their open ids, removed from Postgres with all that hangs on it."""

from collections.abc import Sequence
from typing import Final

from gateway.adapters.postgres_link import Connection
from gateway.adapters.postgres_people import BY_ID, BY_USER, columns, lock, read_person
from gateway.adapters.postgres_text import held
from gateway.identity.people import AppUser, Person

_USERS: Final = "unnest($1::text[], $2::text[]) AS gone (app_id, open_id)"
# The open ids themselves at first: who is about to hang something on one is waited for.
_OF_USERS: Final = (
    f"""
    WITH own AS MATERIALIZED (
        SELECT i.app_id, i.open_id FROM {_USERS} JOIN gateway_identities i USING (app_id, open_id)
        ORDER BY i.app_id, i.open_id FOR UPDATE OF i
    )
    DELETE FROM gateway_identities i USING own
    WHERE i.app_id = own.app_id AND i.open_id = own.open_id
    """,
    *(
        f"""
        DELETE FROM {table} t USING {_USERS}
        WHERE t.app_id = gone.app_id AND t.open_id = gone.open_id
        """
        for table in (
            "gateway_identity_tags",
            "gateway_identity_consents",
            "gateway_user_secrets",
        )
    ),
    f"""
    WITH own AS MATERIALIZED (
        SELECT m.number FROM {_USERS} JOIN gateway_identity_merges m USING (app_id, open_id)
        ORDER BY m.number FOR UPDATE OF m
    )
    DELETE FROM gateway_identity_merges m USING own WHERE m.number = own.number
    """,
)
_OF_PERSON: Final = (
    """
    WITH own AS MATERIALIZED (
        SELECT number FROM gateway_identity_merges
        WHERE former = ANY($1::text[]) OR person = ANY($1::text[]) ORDER BY number FOR UPDATE
    )
    DELETE FROM gateway_identity_merges m USING own WHERE m.number = own.number
    """,
    "DELETE FROM gateway_former_people WHERE id = ANY($1::text[])",
    "DELETE FROM gateway_person_roles WHERE person = ANY($1::text[])",
    "DELETE FROM gateway_people WHERE id = ANY($1::text[])",
)


async def erase(database: Connection, id_: str) -> Person | None:
    """Remove a person; return who that was."""
    async with database.transaction():
        await lock(database)
        person = await read_person(database, BY_ID, id_)
        if person is not None:
            await _remove(database, person)
        return person


async def erase_user(database: Connection, user: AppUser) -> Person | None:
    """Remove an open id, and the person where it was their last; return who that was."""
    async with database.transaction():
        await lock(database)
        person = await read_person(database, BY_USER, *user)
        if person is not None and len(person.identities) == 1:
            await _remove(database, person)
        else:
            # Of one that was never seen there may be secrets.
            await _remove_users(database, [user])
        return person


async def _remove(database: Connection, person: Person) -> None:
    await _remove_users(database, [one.user for one in person.identities])
    ids = [held(one) for one in (person.id, *person.former_ids)]
    for statement in _OF_PERSON:
        await database.execute(statement, ids)


async def _remove_users(database: Connection, users: Sequence[AppUser]) -> None:
    both = columns([(held(app_id), held(open_id)) for app_id, open_id in users], 2)
    for statement in _OF_USERS:
        await database.execute(statement, *both)
