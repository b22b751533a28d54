"""``gateway worker``: handle background messages, and nothing else."""

import os
import sys
from pathlib import Path

import rich_click as click

from gateway.app import work
from gateway.app.bots import DEMO_BOT, load_bot
from gateway.cli.options import config_option
from gateway.cli.starting import look_first
from gateway.settings import load_settings
from gateway.telemetry import configure_logging


@click.command()
@click.argument("bot", required=False, metavar="[MODULE:BOT]")
@config_option
@click.option(
    "--concurrency",
    type=click.IntRange(1, 10_000),
    help="Messages handled at a time, instead of the settings' inbound.concurrency.",
)
def worker(bot: str | None, config: Path | None, concurrency: int | None) -> None:
    """Handle the messages of background handlers, apart from `gateway serve`; as many as you like.

    \b
    gateway worker shop.bot:bot
    gateway worker shop.bot:bot --concurrency 100

    Ctrl-C, or SIGTERM, finishes what is under way and stops; SIGHUP starts anew behind that, with
    settings and bot as they are then. What a killed worker had is handled by another one 30 seconds
    later. With inbound.concurrency = 0, `gateway serve` leaves all to these.
    """
    settings = load_settings(config)
    loaded = load_bot(bot or DEMO_BOT)
    configure_logging(settings.server.log_level)
    look_first(settings, loaded)
    if work(settings, loaded, concurrency or settings.inbound.concurrency or 32):
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # itself
