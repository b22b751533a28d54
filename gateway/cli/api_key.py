"""``gateway api-key``: who may use the HTTP API of pushing."""

import re
from typing import get_args

import msgspec
import rich_click as click

from gateway.app.api_keys import new_key
from gateway.settings.api_keys import Scope


@click.group("api-key")
def api_key() -> None:
    """Make keys for services that push messages over HTTP.

    \b
    gateway api-key new crm --scope push:send --scope push:read

    The settings hold a key's hash alone: who has lost a key needs another one.
    """


@api_key.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(get_args(Scope)),
    multiple=True,
    required=True,
    help="What the key is good for; give it several times for several.",
)
@click.option(
    "--account",
    "accounts",
    multiple=True,
    metavar="NAME",
    help="An account that it is good for; all of them where none is given.",
)
def new(name: str, scopes: tuple[str, ...], accounts: tuple[str, ...]) -> None:
    """Make a key, show it once, and show what goes into the settings.

    \b
    gateway api-key new crm --scope push:send
    gateway api-key new support --scope push:read --scope push:manage --account main

    The gateway knows it once it was started anew, or got a SIGHUP.
    """
    if not re.fullmatch(r"[a-z0-9]+([_-][a-z0-9]+)*", name):
        raise click.BadParameter("lower-case letters, digits, and - or _ between them", None)
    made = new_key()
    section = {"hash": made.hash, "scopes": list(dict.fromkeys(scopes))}
    if accounts:
        section["accounts"] = list(dict.fromkeys(accounts))
    click.echo(f"{made.key}\n")
    click.secho("Keep it now: it is not shown again. Into gateway.toml goes:\n", err=True)
    click.echo(f"[api_keys.{name}]")
    for setting, value in section.items():
        # JSON's texts and lists of them are TOML's.
        click.echo(
            f"{setting} = {msgspec.json.format(msgspec.json.encode(value), indent=0).decode()}"
        )
