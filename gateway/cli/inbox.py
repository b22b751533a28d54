"""``gateway inbox``: what waits, what failed for good, and what to do with it."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import Any

import msgspec
import rich_click as click
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from gateway.app.stores import stores_of
from gateway.cli.options import config_option, refuse_memory
from gateway.cli.times import age, shown_time
from gateway.errors import SettingsError, StoreDown
from gateway.inbound.dead_letters import discard as discard_letters
from gateway.inbound.dead_letters import retry as retry_letters
from gateway.inbound.ports import DeadLetter, Wanted
from gateway.inbound.runtime import Stores
from gateway.settings import load_settings

_SHOWN = ("id", "account", "type", "tries", "buried", "reason")


@click.group()
def inbox() -> None:
    """Look at what waits to be handled, and at what could not be.

    \b
    gateway inbox status                                  each lane: how full, how late
    gateway inbox dead-letters --since 1h                 what failed for good, and why
    gateway inbox retry --reason failed --dry-run         how many that would put back
    gateway inbox retry --lane background --account main
    gateway inbox discard --before 30d --yes
    """


def _with_stores(
    function: Callable[..., Coroutine[Any, Any, None]],
) -> Callable[..., None]:
    """Give a command ``--config`` and the settings' stores; exit with 1 where they are down."""

    @wraps(function)
    def command(config: Path | None, **own: Any) -> None:
        settings = load_settings(config)
        refuse_memory(settings)

        async def run() -> None:
            stores = stores_of(settings)
            try:
                await function(stores, **own)
            finally:
                await stores.close()

        try:
            asyncio.run(run())
        except StoreDown as down:
            click.secho(f"gateway: {down}", fg="red", err=True)
            sys.exit(1)

    return config_option(command)


def _filtered(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say which dead letters are meant."""
    options = (
        click.option("--id", "ids", multiple=True, metavar="ID", help="This one; may be repeated."),
        click.option("--lane", help="Of this lane, such as background."),
        click.option("--account", help="Of this account, by its name in the settings."),
        click.option("--type", "kind", help="Of this type, such as Text or Subscribe."),
        click.option("--reason", help="Whose reason begins so, such as failed or account."),
        click.option("--since", callback=age, metavar="AGE", help="Younger: 30s, 15m, 6h, 2d."),
        click.option("--before", callback=age, metavar="AGE", help="Older."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _wanted(ids: tuple[str, ...], **others: Any) -> Wanted:
    return Wanted(ids=ids or None, **others)


@inbox.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_with_stores
async def status(stores: Stores, as_json: bool) -> None:
    """Show each lane: what waits, what is under way, how old the oldest is; and dead letters.

    \b
    gateway inbox status
    gateway inbox status --json
    """
    lanes = await stores.store.lanes()
    dead = {lane.lane: await stores.dead_letters.count(Wanted(lane=lane.lane)) for lane in lanes}
    every = await stores.dead_letters.count(Wanted())
    if as_json:
        found = {"lanes": [lane._asdict() for lane in lanes], "dead_letters": every}
        click.echo(msgspec.json.encode(found))
        return
    table = Table("lane", "waiting", "delayed", "under way", "oldest", "dead", box=None)
    for lane in lanes:
        table.add_row(
            lane.lane,
            f"{lane.waiting:,}",
            f"{lane.delayed:,}",
            f"{lane.held:,}",
            f"{lane.oldest:,.1f} s",
            f"{dead[lane.lane]:,}",
        )
    if lanes:
        Console().print(table)
    click.echo(f"{'nothing waits; ' if not lanes else ''}dead letters: {every:,}")


@inbox.command("dead-letters")
@_filtered
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
@_with_stores
async def show_dead_letters(
    stores: Stores, ids: tuple[str, ...], limit: int, as_json: bool, **others: Any
) -> None:
    """List what failed for good, the oldest first; never what a user wrote.

    \b
    gateway inbox dead-letters
    gateway inbox dead-letters --type Text --since 1h --json
    """
    wanted = _wanted(ids, **others)
    found = await stores.dead_letters.find(wanted, limit)
    every = await stores.dead_letters.count(wanted)
    if as_json:
        for letter in found:
            click.echo(msgspec.json.encode(_shown(letter)))
        return
    # An id is copied from here: it is not broken in two. Nothing is cut off.
    columns = (Column(name, no_wrap=name == "id", overflow="fold") for name in _SHOWN)
    table = Table(*columns, box=None)
    for letter in found:
        row = _shown(letter)
        table.add_row(*(Text(str(row[name])) for name in _SHOWN))
    if found:
        Console().print(table)
    click.echo(f"{len(found):,} of {every:,}")


@inbox.command()
@_filtered
@click.option("--all", "every", is_flag=True, help="All dead letters.")
@click.option("--dry-run", is_flag=True, help="Only tell how many.")
@_with_stores
async def retry(stores: Stores, **options: Any) -> None:
    """Put dead letters back into their lanes, to be tried again.

    \b
    gateway inbox retry --reason failed --since 2h --dry-run
    gateway inbox retry --all
    """
    wanted = _meant(options)
    if await _goes_on(stores, wanted, options["dry_run"], "put back"):
        await _follow(retry_letters(stores.store, stores.dead_letters, wanted), "put back")


@inbox.command()
@_filtered
@click.option("--all", "every", is_flag=True, help="All dead letters.")
@click.option("--dry-run", is_flag=True, help="Only tell how many.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_with_stores
async def discard(stores: Stores, yes: bool, **options: Any) -> None:
    """Throw dead letters away for good.

    \b
    gateway inbox discard --id background/1795486159298-0
    gateway inbox discard --before 30d --yes
    """
    wanted = _meant(options)
    if count := await _goes_on(stores, wanted, options["dry_run"], "discarded"):
        if not yes:
            click.confirm(f"Discard {count:,} dead letters?", abort=True)
        await _follow(discard_letters(stores.dead_letters, wanted), "discarded")


def _meant(options: dict[str, Any]) -> Wanted:
    """Return which are meant; raise SettingsError where nothing says so."""
    filters = {name: options[name] for name in ("lane", "account", "kind", "reason")}
    # What is buried from now on is not meant.
    until = time.time() if options["before"] is None else options["before"]
    wanted = _wanted(options["ids"], **filters, since=options["since"], before=until)
    ages = (options["since"], options["before"])
    if not options["every"] and not options["ids"] and {*filters.values(), *ages} == {None}:
        raise SettingsError("which ones? give a filter, or --all")
    return wanted


async def _goes_on(stores: Stores, wanted: Wanted, dry_run: bool, what: str) -> int:
    """Return how many are meant; where nothing is to be done to them, tell that and return 0."""
    count = await stores.dead_letters.count(wanted)
    if count and not dry_run:
        return count
    click.echo(f"{count:,} dead letters {'would be ' * dry_run}{what}")
    return 0


async def _follow(progress: AsyncIterator[int], what: str) -> None:
    """Show how far it got, on a terminal; at the end, how far it came, even where it failed."""
    done = 0
    try:
        async for done in progress:
            if sys.stdout.isatty():
                click.echo(f"\r{done:,}", nl=False)
    finally:
        click.echo(("\r" if sys.stdout.isatty() else "") + f"{done:,} dead letters {what}")


def _shown(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "lane": letter.entry.lane,
        "account": letter.entry.account,
        "type": letter.entry.kind,
        "tries": letter.deliveries,
        "stored": shown_time(letter.stored_at),
        "buried": shown_time(letter.buried_at),
        "reason": letter.reason,
    }
