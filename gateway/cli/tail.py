"""``gateway tail``: what happens in the gateway on this machine, as it happens."""

import asyncio
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
import rich_click as click
from rich.console import Console
from rich.text import Text

from gateway.cli.options import config_option
from gateway.settings import load_settings
from gateway.telemetry.masking import open_id_hash
from gateway.telemetry.tap import Interest, Told
from gateway.telemetry.tap_socket import MISSED, look_on, sockets

_BAD: Final = frozenset(
    ("refused", "failed", "left", "retried", "buried", "dead", "ambiguous", "expired", MISSED)
)
"""What is red, be it what happened or its outcome."""

QUEUED: Final = 1000
"""Happenings that wait to be shown; then the processes keep them, and count what they cannot."""

_encoder = msgspec.json.Encoder()


@click.command()
@click.option("--account", help="Of this account, by its name in the settings.")
@click.option("--type", "kind", help="Of this type: Text, Subscribe; or a template's name.")
@click.option(
    "--user", metavar="HASH", help="Of this user: the hash in log lines (user:…), or an open id."
)
@click.option("--limit", type=click.IntRange(1), help="Stop after so many.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
@config_option
def tail(
    config: Path | None,
    account: str | None,
    kind: str | None,
    user: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """Show callbacks, background work, pushes and receipts as they happen; Ctrl-C ends it.

    It looks on at every `gateway serve` and `gateway worker` of this machine that has the same
    settings, and those that start meanwhile. Nothing waits for this terminal: what it is too slow
    for is counted; but each happening costs them something (bench/README.md), so at a peak narrow
    it down. Never shown is what a user wrote, or an open id.

    \b
    gateway tail
    gateway tail --account main --type Text
    gateway tail --user user:840ea876291d --json
    gateway tail --config var/demo.toml
    """
    settings = load_settings(config)
    if account is not None and account not in settings.accounts:
        known = ", ".join(settings.accounts)
        raise click.BadParameter(f"the settings have none called {account}: {known}")
    if user is not None and not user.startswith("user:"):
        user = open_id_hash(user)
    folder = settings.telemetry.tail
    if not sockets(folder):
        click.secho(
            f"gateway: nothing runs here by these settings yet ({folder} is empty); waiting for "
            "`gateway serve` or `gateway worker`",
            err=True,
        )
    with suppress(KeyboardInterrupt):
        asyncio.run(_show(folder, Interest(account, kind, user), limit, as_json=as_json))


async def _show(folder: Path, interest: Interest, limit: int | None, *, as_json: bool) -> None:
    console = Console(soft_wrap=True)
    happened: asyncio.Queue[Told] = asyncio.Queue(QUEUED)
    looking = asyncio.create_task(look_on(folder, interest, happened))
    shown = 0
    while limit is None or shown < limit:
        told = await happened.get()
        if as_json:
            click.echo(_encoder.encode(told))
        else:
            console.print(_line(told))
        sys.stdout.flush()
        shown += told.what != MISSED
    looking.cancel()
    await asyncio.wait([looking])


def _line(told: Told) -> Text:
    at = datetime.fromtimestamp(told.at).astimezone()
    line = Text(f"{at:%H:%M:%S}.{at.microsecond // 1000:03} ", style="dim")
    if told.what == MISSED:
        line.append(f"{told.detail} happenings are not shown: this was too slow", style="red")
        return line
    line.append(f"{told.what:<9} ", style="red" if told.what in _BAD else "cyan")
    line.append(f"{told.account} {told.type} ", style="bold")
    if told.outcome:
        line.append(f"{told.outcome} ", style="red" if told.outcome in _BAD else "green")
    took = "" if told.seconds is None else f"{told.seconds * 1000:,.1f} ms"
    line.append(" ".join(part for part in (took, told.detail, told.user, told.id) if part))
    return line
