"""``gateway check``, ``doctor`` and ``version``: is all as it should be?"""

import asyncio
import os
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path

import rich_click as click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway import __version__
from gateway.app.accounts import make_account
from gateway.app.bots import DEMO_BOT, load_bot
from gateway.app.process import refuse_misfits
from gateway.app.stores import examine_stores
from gateway.cli.options import callback_url, config_option
from gateway.errors import GatewayError
from gateway.inbound.ports import Finding
from gateway.kernels import IMPLEMENTATION, NO_EXTENSIONS, EnvelopeCipher
from gateway.settings import load_settings


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
    routes = loaded.routes()
    for name, given in settings.accounts.items():
        make_account(name, given)
        click.echo(f"account {name}: {given.mode} mode, {callback_url(settings, name)}")
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
    yield from asyncio.run(examine_stores(settings))


def _kernels() -> Finding:
    if IMPLEMENTATION == "compiled":
        return Finding("kernels", "compiled", "")
    if NO_EXTENSIONS:
        fix = "unset GATEWAY_NO_EXTENSIONS for the compiled ones"
    else:
        fix = "install a C compiler and Python's headers (Debian: gcc python3-dev), then reinstall"
    return Finding("kernels", "pure Python, several times slower", fix)
