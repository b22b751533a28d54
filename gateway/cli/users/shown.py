"""People as they are shown to an operator who asked for them: with open ids, union id and names."""

from typing import Any

import msgspec
import rich_click as click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli.push.shown import print_table
from gateway.cli.times import shown_time
from gateway.identity.exporting import told_identity, told_person
from gateway.identity.people import Identity, Person
from gateway.identity.places import Places

_COLUMNS = (
    *("accounts", "platform", "open id", "follows", "name"),
    *("first seen", "last active"),
)


def print_person(person: Person, places: Places, *, json: bool) -> None:
    """Print all that is known of a person."""
    if json:
        identities = [
            told_identity(one) | {"accounts": _accounts(one, places)} for one in person.identities
        ]
        click.echo(msgspec.json.encode({**told_person(person), "identities": identities}))
        return
    rows = {
        "id": person.id,
        "union id": person.union_id or "-",
        "first seen": shown_time(person.created_at),
        "last active": shown_moment(person.last_active),
        "tags": ", ".join(person.tags) or "-",
        "roles": ", ".join(person.roles) or "-",
        "former ids": ", ".join(person.former_ids) or "-",
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, Text(value))
    Console().print(table)
    _print_identities(person, places)
    _print_consents(person)


def _print_identities(person: Person, places: Places) -> None:
    table = Table(*_COLUMNS, box=None, pad_edge=False)
    for one in person.identities:
        accounts = ", ".join(_accounts(one, places)) or f"none with {one.user.app_id}"
        follows = "-" if one.subscribed is None else "yes" if one.subscribed else "no"
        cells = (accounts, one.platform, one.user.open_id, follows, one.nickname or "-")
        times = (shown_time(one.first_seen), shown_moment(one.last_active))
        table.add_row(*(Text(cell) for cell in (*cells, *times)))
    print_table(table)


def _print_consents(person: Person) -> None:
    if not person.consents:
        return
    table = Table("open id", "template id", "accepted", "at", box=None, pad_edge=False)
    for one in person.consents:
        cells = (one.user.open_id, one.template_id, "yes" if one.accepted else "no")
        table.add_row(*(Text(cell) for cell in (*cells, shown_time(one.at))))
    print_table(table)


def _accounts(identity: Identity, places: Places) -> list[str]:
    return list(places.accounts(identity.user.app_id))


def shown_moment(seconds: float) -> str:
    """Return a time; of one that never was, that."""
    return shown_time(seconds) if seconds else "never"


def counted(counts: dict[str, Any]) -> str:
    """Return numbers with what they count."""
    return ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in counts.items())
