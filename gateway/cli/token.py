"""``gateway token``: the access tokens that WeChat's API is called with."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import rich_click as click
from rich.console import Console
from rich.table import Table

from gateway.app.api import Apis
from gateway.cli.options import config_option
from gateway.errors import ApiError, SettingsError, StoreDown
from gateway.settings import Settings, load_settings


@click.group()
def token() -> None:
    """Look at the accounts' access tokens, and renew them; no token is ever shown.

    \b
    gateway token status
    gateway token refresh --account main

    Exits with 1 where a token cannot be had.
    """


@token.command()
@config_option
def status(config: Path | None) -> None:
    """Show each account's token: from when it is, and how long it holds.

    \b
    gateway token status
    """
    settings = load_settings(config)
    _run(settings, lambda apis: _show(settings, apis))


@token.command()
@click.option("--account", help="This one alone, by its name in the settings.")
@click.option("--force", is_flag=True, help="Another one, even where the stored one holds.")
@config_option
def refresh(account: str | None, force: bool, config: Path | None) -> None:
    """Get a token that holds, for each account; where the stored one still does, the same.

    With --force the stored one holds no more, for anybody: WeChat allows that 20 times a day.

    \b
    gateway token refresh
    gateway token refresh --account main --force
    """
    settings = load_settings(config)
    names = [account] if account is not None else list(settings.accounts)
    if account is not None and account not in settings.accounts:
        raise SettingsError(f"which account? there are: {', '.join(settings.accounts)}")
    _run(settings, lambda apis: _refresh(names, apis, force=force))


async def _show(settings: Settings, apis: Apis) -> None:
    table = Table("account", "source", "refresh", "fetched", "holds for", box=None)
    now = time.time()
    for name, account in settings.accounts.items():
        stored = await apis.store.read(account.app_id)
        if account.app_secret is None:
            table.add_row(name, "no app_secret", "-", "-", "-")
        elif stored is None:
            table.add_row(name, account.token_source, "-", "never", "-")
        else:
            left = stored.expires_at - now
            table.add_row(
                name,
                account.token_source,
                str(stored.fence),
                f"{now - stored.fetched_at:,.0f} s ago",
                f"{left:,.0f} s" if left > 0 else "expired",
            )
    Console().print(table)


async def _refresh(names: list[str], apis: Apis, *, force: bool) -> None:
    for name in names:
        tokens = apis.of(name).tokens
        got = await tokens.get()
        if force:
            got = await tokens.replace(got)
        click.echo(f"{name}: a token that holds for {got.expires_at - time.time():,.0f} s")


def _run(settings: Settings, work: Callable[[Apis], Awaitable[None]]) -> None:
    async def run() -> None:
        apis = Apis(settings)
        try:
            await work(apis)
        finally:
            await apis.close()

    try:
        asyncio.run(run())
    except (ApiError, StoreDown) as wrong:
        click.secho(f"gateway: {wrong}", fg="red", err=True)
        sys.exit(1)
