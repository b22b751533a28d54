"""``gateway users show``, ``find``, ``merges``, ``count`` and ``sessions``: who users are."""

import sys

import msgspec
import rich_click as click
from rich.table import Table
from rich.text import Text

from gateway.app.personal_data import places_of
from gateway.cli.push.shown import print_table
from gateway.cli.times import shown_time
from gateway.cli.users.shown import print_person
from gateway.cli.users.stores import People, complain, with_people
from gateway.errors import SettingsError
from gateway.identity.directory import ids_of
from gateway.identity.people import AppUser, Merge, Person
from gateway.identity.session import Session

_SHOWN = 6
"""Characters of a session's id: enough to tell one from another, and no more."""

json_option = click.option("--json", "json", is_flag=True, help="Print JSON.")


@click.command("show")
@click.argument("id_", metavar="ID")
@json_option
@with_people
async def show(people: People, id_: str, json: bool) -> int:
    """Show a person: open ids, union id, names, tags, roles, consents.

    \b
    gateway users show 0199c7a2-…
    gateway users show 0199c7a2-… --json

    An ID that was somebody's before a merge finds who that is now. Exits with 1 where there is
    nobody.
    """
    person = await people.person(id_)
    if person is None:
        return 1
    print_person(person, places_of(people.settings), json=json)
    return 0


@click.command("find")
@click.option("--account", help="The account's name in the settings; not needed for a union id.")
@click.option("--open-id", metavar="OPENID", help="Whose open id this is; - reads it.")
@click.option("--union-id", metavar="UNIONID", help="Whose union id this is; - reads it.")
@json_option
@with_people
async def find(
    people: People, account: str | None, open_id: str | None, union_id: str | None, json: bool
) -> int:
    """Show whose open id or union id this is; without either, an open id is read.

    \b
    gateway users find --account main < open-id.txt
    gateway users find --account main --open-id oUser…
    gateway users find --union-id - < union-id.txt

    Other users of this machine can see command lines, and your shell may keep them: better give
    ids on standard input. Exits with 1 where there is nobody.
    """
    if open_id is not None and union_id is not None:
        raise click.UsageError("give --open-id or --union-id, not both")
    person = await _found(people, account, open_id, union_id)
    if person is None:
        complain("nobody with this id was seen")
        return 1
    print_person(person, places_of(people.settings), json=json)
    return 0


async def _found(
    people: People, account: str | None, open_id: str | None, union_id: str | None
) -> Person | None:
    store = people.identities.store
    if union_id is not None:
        return await store.bearer(_given(union_id, "union id"))
    accounts = people.settings.accounts
    if account is None and len(accounts) == 1:
        account = next(iter(accounts))
    if account not in accounts:
        raise SettingsError(
            f"which account? an open id is good for one; give --account: {', '.join(accounts)}"
        )
    user = AppUser(accounts[account].app_id, _given(open_id or "-", "open id"))
    return await store.owner(user)


def _given(id_: str, what: str) -> str:
    """Return an id: as it was given, or from standard input."""
    if id_ != "-":
        return id_
    if sys.stdin.isatty():
        return str(click.prompt(what.capitalize(), err=True))
    read = sys.stdin.readline().strip()
    if not read:
        raise click.UsageError(f"standard input has no {what}; give one there")
    return read


@click.command("merges")
@click.option("--person", metavar="ID", help="That this person had part in, by any id of theirs.")
@click.option("--after", type=click.IntRange(0), default=0, help="Behind the one of this number.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, help="At most so many.")
@json_option
@with_people
async def merges(people: People, person: str | None, after: int, limit: int, json: bool) -> int:
    """List who turned out to be somebody else, the oldest first; no open ids.

    \b
    gateway users merges
    gateway users merges --person 0199c7a2-…
    gateway users merges --after 50 --json

    A merge is whole where nothing is left of who it was before; else one open id changed hands.
    """
    found = await people.identities.store.merges(limit, after, person=person)
    names = places_of(people.settings)
    accounts = {one.number: names.accounts(one.user.app_id) for one in found}
    if json:
        for one in found:
            click.echo(msgspec.json.encode(_told(one) | {"accounts": accounts[one.number]}))
        return 0
    columns = ("number", "at", "accounts", "former", "person", "what", "sessions")
    table = Table(*columns, box=None, pad_edge=False)
    for one in found:
        what = "whole" if one.whole else "one open id"
        settled = "follow it" if one.settled else "will follow"
        account = ", ".join(accounts[one.number]) or one.user.app_id
        row = (str(one.number), shown_time(one.at), account, one.former, one.person, what, settled)
        table.add_row(*map(Text, row))
    if found:
        print_table(table)
    more = f"; more: --after {found[-1].number}" if len(found) == limit else ""
    click.echo(f"{len(found):,} merges{more}")
    return 0


def _told(merge: Merge) -> dict[str, object]:
    told = merge._asdict() | {"at": shown_time(merge.at)}
    del told["user"]
    return told


@click.command("count")
@json_option
@with_people
async def count(people: People, json: bool) -> int:
    """Count the people that are known, and their open ids.

    \b
    gateway users count
    gateway users count --json
    """
    everybody, open_ids = await people.identities.store.count()
    if json:
        click.echo(msgspec.json.encode({"people": everybody, "open_ids": open_ids}))
    else:
        click.echo(f"{everybody:,} people with {open_ids:,} open ids")
    return 0


@click.command("sessions")
@click.argument("id_", metavar="ID")
@json_option
@with_people
async def sessions(people: People, id_: str, json: bool) -> int:
    """List a person's sessions, those begun last first; of their ids no more than the beginning.

    \b
    gateway users sessions 0199c7a2-…
    gateway users sessions 0199c7a2-… --json
    """
    person = await people.person(id_)
    if person is None:
        return 1
    found = [_shown(one) for one in await people.identities.sessions.of(ids_of(person))]
    if json:
        for row in found:
            click.echo(msgspec.json.encode(row))
        return 0
    table = Table("session", "account", "began", "renewed", "expires", box=None, pad_edge=False)
    for row in found:
        table.add_row(*map(Text, row.values()))
    if found:
        print_table(table)
    click.echo(f"{len(found):,} sessions")
    return 0


def _shown(session: Session) -> dict[str, str]:
    return {
        "session": f"{session.id[:_SHOWN]}…",
        "account": session.account,
        "began": shown_time(session.began_at),
        "renewed": shown_time(session.seen_at),
        "expires": shown_time(session.expires_at),
    }
