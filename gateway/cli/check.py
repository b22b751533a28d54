"""``gateway check``, ``doctor`` and ``version``: is all as it should be?"""

import asyncio
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Final

import rich_click as click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway import __version__
from gateway.app.accounts import make_account
from gateway.app.bots import DEMO_BOT, load_bot
from gateway.app.process import refuse_misfits
from gateway.app.push import pushing_accounts
from gateway.app.stores import examine_stores, make_identity_store, make_job_records
from gateway.app.templates import load_templates
from gateway.cli.options import callback_url, config_option
from gateway.cli.times import shown_span
from gateway.errors import GatewayError, StoreDown
from gateway.inbound.ports import Finding
from gateway.kernels import IMPLEMENTATION, NO_EXTENSIONS, EnvelopeCipher
from gateway.outbound.jobs import DEAD_LETTERS, Backlog, Wanted
from gateway.settings import Settings, load_settings

LATE_SECONDS: Final = 300.0
"""How long a message may wait to be pushed before that is a problem."""


@click.command()
@click.argument("bot", required=False, metavar="[MODULE:BOT]")
@config_option
def check(bot: str | None, config: Path | None) -> None:
    """Read the settings and load the bot; name everything that is wrong with them.

    \b
    gateway check
    gateway check shop.bot:bot --config production.toml

    Exits with 0 when all is right, with 2 when `gateway serve` would not start. It asks no server;
    `gateway doctor` does.
    """
    settings = load_settings(config)
    loaded = load_bot(bot or DEMO_BOT)
    refuse_misfits(settings, loaded)
    templates = load_templates(settings)
    routes = loaded.routes()
    for name, given in settings.accounts.items():
        make_account(name, given)
        if given.token is not None:
            click.echo(f"account {name}: {given.mode} mode, {callback_url(settings, name)}")
        else:
            click.echo(f"account {name}: {given.platform}, users sign in to it")
        if given.sign_in_hosts:
            way = f"{settings.identity.public_url}/oauth/{name}/authorize"
            click.echo(f"account {name}: {way} for pages of {', '.join(given.sign_in_hosts)}")
    if templates:
        click.echo(f"templates: {', '.join(templates)}")
    click.echo(f"bot {bot or DEMO_BOT}: {len(routes)} handler{'s' * (len(routes) != 1)}")


@click.command()
def version() -> None:
    """Print the version, and which kernels run.

    \b
    gateway version
    """
    click.echo(f"wechat-gateway {__version__} ({IMPLEMENTATION} kernels)")


PACKAGES = (
    *("granian", "litestar", "msgspec", "pycryptodome", "pydantic-settings", "uvloop"),
    *("redis", "asyncpg"),
)


@click.command()
@config_option
def doctor(config: Path | None) -> None:
    """Show what is installed, which kernels run and how the stores are; name each problem's fix.

    \b
    gateway doctor
    gateway doctor --config production.toml

    Exits with 0 when all is well, with 1 when there is a problem.
    """
    table = Table(box=None, pad_edge=False, show_header=False)
    findings = list(_findings(config))
    for finding in findings:
        mark = "[green]ok[/]" if not finding.fix else "[red]!![/]"
        table.add_row(mark, finding.what, escape(finding.state))
        if finding.fix:
            table.add_row("", "", f"[yellow]{escape(finding.fix)}[/]")
    Console().print(table)
    sys.exit(any(finding.fix for finding in findings))


def _findings(config: Path | None) -> Iterator[Finding]:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    yield Finding("python", f"{python} on {platform.platform()}", "")
    yield Finding("wechat-gateway", __version__, "")
    for package in PACKAGES:
        try:
            yield Finding(package, installed(package), "")
        except PackageNotFoundError:
            if package == "uvloop" and sys.platform == "win32":
                continue
            yield Finding(package, "not installed", "pip install wechat-gateway again")
    yield _kernels()
    yield Finding("aes", EnvelopeCipher(bytes(32)).backend, "")
    try:
        settings = load_settings(config)
    except GatewayError as wrong:
        for line in str(wrong).splitlines():
            yield Finding("settings", "refused", line)
        return
    yield Finding("settings", f"sound; accounts: {', '.join(settings.accounts)}", "")
    cores = os.cpu_count() or 1
    workers = settings.server.workers
    fix = f"set server.workers to {cores} or less" if workers > cores else ""
    yield Finding("workers", f"{workers} on {cores} cores", fix)
    yield from asyncio.run(_examine(settings))


async def _examine(settings: Settings) -> list[Finding]:
    """Return how the stores are, who is known in them, and what waits to be pushed."""
    findings = [*await examine_stores(settings), *await _people(settings)]
    if not pushing_accounts(settings):
        return findings
    records = make_job_records(settings)
    try:
        backlog = await records.backlog()
        dead = await records.count(Wanted(states=DEAD_LETTERS))
    except StoreDown:
        # The stores' own findings say so.
        return findings
    finally:
        await records.close()
    return [*findings, *_push(backlog, dead)]


async def _people(settings: Settings) -> list[Finding]:
    """Return how many people are known, and where they can sign in."""
    if settings.identity.secret is None:
        return []
    store = make_identity_store(settings)
    try:
        people, open_ids = await store.count()
    except StoreDown:
        # The stores' own findings say so.
        return []
    finally:
        await store.close()
    pages = [name for name, one in settings.accounts.items() if one.sign_in_hosts]
    where = f"; pages sign in to: {', '.join(pages)}" if pages else ""
    return [Finding("identity", f"people: {people:,}, open ids: {open_ids:,}{where}", "")]


def _push(backlog: Sequence[Backlog], dead: int) -> Iterator[Finding]:
    waiting = sum(one.waiting for one in backlog)
    oldest = max((one.oldest for one in backlog), default=0.0)
    if waiting:
        is_late = oldest >= LATE_SECONDS
        fix = "does a gateway serve or worker run? look at gateway push status" if is_late else ""
        state = f"waiting to be sent: {waiting:,}, the oldest for {shown_span(oldest)}"
        yield Finding("push", state, fix)
    if dead:
        fix = "gateway push dead-letters list shows why"
        yield Finding("push", f"dead letters: {dead:,}", fix)


def _kernels() -> Finding:
    if IMPLEMENTATION == "compiled":
        return Finding("kernels", "compiled", "")
    if NO_EXTENSIONS:
        fix = "unset GATEWAY_NO_EXTENSIONS for the compiled ones"
    else:
        fix = "install a C compiler and Python's headers (Debian: gcc python3-dev), then reinstall"
    return Finding("kernels", "pure Python, several times slower", fix)
