"""``gateway users export`` and ``erase``: what is kept of a person, handed out or forgotten."""

import sys
import time
from pathlib import Path

import rich_click as click

from gateway.cli.users.private_file import PrivateFile
from gateway.cli.users.shown import counted
from gateway.cli.users.stores import People, complain, personal_data, with_people
from gateway.identity.erasing import COUNTED, BeingSent


@click.command("export")
@click.argument("id_", metavar="ID")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write it there, for nobody else to read; else to standard output.",
)
@with_people
async def export(people: People, id_: str, output: Path | None) -> int:
    """Write down all that is kept of a person: one JSON document.

    \b
    gateway users export 0199c7a2-… --output person.json
    gateway users export 0199c7a2-… | jq .identities

    Identities, tags, roles, consents, merges, sessions, phone numbers, what was pushed to them and
    the callbacks in the archive. Session keys and tokens are named, and stay sealed; what is not in
    the document stands in it as not_included. Exits with 1 where there is nobody.
    """
    person = await people.person(id_)
    if person is None:
        return 1
    async with personal_data(people) as data:
        pieces = data.exporter.export(person, time.time())
        if output is None:
            async for piece in pieces:
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            return 0
        with PrivateFile(output, "--output") as file:
            async for piece in pieces:
                file.write(piece)
    click.echo(f"written to {output}", err=True)
    return 0


@click.command("erase")
@click.argument("id_", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_people
async def erase(people: People, id_: str, yes: bool) -> int:
    """Forget a person: their sessions, messages, archived callbacks, dead letters and identities.

    \b
    gateway users erase 0199c7a2-…
    gateway users erase 0199c7a2-… --yes

    Identities go last: a run that was broken off can be repeated. Not reached is what WeChat itself
    keeps, what was handed on to other systems, backups and replicas of the database, callbacks
    that wait to be handled, and, for store.dedupe_seconds, the replies that are kept for WeChat's
    repeats. Whoever still follows, writes or signs in is learned anew, as somebody new. Exits with
    1 where there is nobody, and while a message is being sent to them: then repeat it.
    """
    person = await people.person(id_)
    if person is None:
        return 1
    async with personal_data(people) as data:
        holdings = await data.eraser.look(person)
        more = "; callbacks may be more" if holdings.callbacks >= COUNTED else ""
        click.echo(f"{person.id}: {counted(holdings._asdict())}{more}")
        for app_id in data.eraser.unknown_apps(person):
            click.echo(
                f"app id {app_id}: the settings have no account of it, so its messages and "
                "callbacks are not found; its identities are erased",
                err=True,
            )
        if not yes:
            click.confirm("Erase all of it, for good?", abort=True)
        try:
            erased = await data.eraser.erase(id_)
        except BeingSent as wait:
            complain(str(wait))
            return 1
    if erased is None:
        complain("somebody else erased them just now")
        return 1
    click.echo(f"erased: {counted(erased._asdict())}")
    return 0
