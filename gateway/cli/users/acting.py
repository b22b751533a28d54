"""``gateway users grant``, ``revoke``, ``tag`` and ``sign-out``: what users may do."""

from collections.abc import Sequence
from typing import Final

import rich_click as click

from gateway.cli.users.stores import People, with_people
from gateway.errors import SettingsError
from gateway.identity.directory import ids_of
from gateway.identity.people import Person

LONGEST_TAG: Final = 64


@click.command("grant")
@click.argument("id_", metavar="ID")
@click.argument("roles", metavar="ROLE...", nargs=-1, required=True)
@with_people
async def grant(people: People, id_: str, roles: tuple[str, ...]) -> int:
    """Give a person roles, of those in identity.roles; their sessions have them too.

    \b
    gateway users grant 0199c7a2-… staff
    gateway users grant 0199c7a2-… staff orders

    Servers that run learn it within identity.cache_seconds. Exits with 1 where there is nobody.
    """
    _check_roles(people, roles)
    person = await people.person(id_)
    return 1 if person is None else await _change(people, person, roles, ())


@click.command("revoke")
@click.argument("id_", metavar="ID")
@click.argument("roles", metavar="ROLE...", nargs=-1, required=True)
@with_people
async def revoke(people: People, id_: str, roles: tuple[str, ...]) -> int:
    """Take roles from a person, and from their sessions.

    \b
    gateway users revoke 0199c7a2-… staff

    Servers that run learn it within identity.cache_seconds. Exits with 1 where there is nobody.
    """
    person = await people.person(id_)
    if person is None:
        return 1
    # A role may be gone from the settings, and people still have it.
    _check_roles(people, [role for role in roles if role not in person.roles])
    return await _change(people, person, (), roles)


def _check_roles(people: People, roles: Sequence[str]) -> None:
    known = people.identities.roles
    for role in roles:
        if role not in known:
            there = ", ".join(known.names) or "none"
            raise SettingsError(f"{role}: no such role in identity.roles; there are: {there}")


async def _change(people: People, person: Person, add: Sequence[str], remove: Sequence[str]) -> int:
    changed = await people.identities.directory.grant(person.id, add, remove)
    roles = () if changed is None else changed.roles
    click.echo(f"{person.id}: roles {', '.join(roles) or 'none'}")
    return 0


@click.command("tag")
@click.argument("id_", metavar="ID")
@click.option("--add", multiple=True, metavar="TAG", help="May be repeated.")
@click.option("--remove", multiple=True, metavar="TAG", help="May be repeated.")
@with_people
async def tag(people: People, id_: str, add: tuple[str, ...], remove: tuple[str, ...]) -> int:
    """Give a person tags, or take some; these are the gateway's, not those of WeChat's console.

    \b
    gateway users tag 0199c7a2-… --add vip --add 2026
    gateway users tag 0199c7a2-… --remove vip

    Exits with 1 where there is nobody.
    """
    if not add and not remove:
        raise click.UsageError("which tags? give --add TAG or --remove TAG")
    for one in add:
        if not 1 <= len(one) <= LONGEST_TAG or not one.isprintable():
            raise click.UsageError(f"--add: give 1 to {LONGEST_TAG} characters that can be printed")
    if await people.person(id_) is None:
        return 1
    await people.identities.store.tag(id_, add, remove)
    person = await people.person(id_)
    if person is None:
        return 1
    click.echo(f"{person.id}: tags {', '.join(person.tags) or 'none'}")
    return 0


@click.command("sign-out")
@click.argument("id_", metavar="ID")
@with_people
async def sign_out(people: People, id_: str) -> int:
    """End all sessions of a person.

    \b
    gateway users sign-out 0199c7a2-…

    Servers that run learn it within identity.cache_seconds. Exits with 1 where there is nobody.
    """
    person = await people.person(id_)
    if person is None:
        return 1
    ended = await people.identities.sessions.end_all(ids_of(person))
    click.echo(f"{ended:,} sessions ended")
    return 0
