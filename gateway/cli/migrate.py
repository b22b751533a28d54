"""``gateway migrate``: make or renew the tables in Postgres."""

import asyncio
import sys
from pathlib import Path

import rich_click as click

from gateway.app.migrations import (
    apply_migrations,
    migration_script,
    pending_migrations,
    postgres_dsn,
)
from gateway.cli.options import config_option
from gateway.errors import StoreDown
from gateway.settings import Settings, load_settings


@click.command()
@config_option
@click.option("--dry-run", is_flag=True, help="Only list what is pending.")
@click.option("--sql", is_flag=True, help="Only print what is pending, as SQL.")
def migrate(config: Path | None, dry_run: bool, sql: bool) -> None:
    """Make or renew the tables in the Postgres of store.postgres_dsn.

    \b
    gateway migrate
    gateway migrate --dry-run
    gateway migrate --sql | less

    Run it before each new version starts; several at once, or again, do no harm. Exits with 1 where
    Postgres cannot be reached.
    """
    settings = load_settings(config)
    postgres_dsn(settings)
    try:
        asyncio.run(_show(settings, sql=sql) if dry_run or sql else _apply(settings))
    except StoreDown as down:
        click.secho(f"gateway: {down}", fg="red", err=True)
        sys.exit(1)


async def _show(settings: Settings, *, sql: bool) -> None:
    names = await pending_migrations(settings)
    if sql:
        click.echo(migration_script(names) if names else "-- nothing is pending")
        return
    for name in names:
        click.echo(f"pending: {name}")
    if not names:
        click.echo("nothing is pending")


async def _apply(settings: Settings) -> None:
    applied = 0
    async for name in apply_migrations(settings):
        click.echo(f"applied: {name}")
        applied += 1
    if not applied:
        click.echo("nothing is pending")
