"""``gateway worker``: handle background messages and send what is pushed, and nothing else."""

import os
import sys
from pathlib import Path

import rich_click as click

from gateway.app import work
from gateway.app.bots import DEMO_BOT, load_bot
from gateway.app.logs import log_as_set
from gateway.cli.options import config_option
from gateway.cli.starting import look_first
from gateway.settings import load_settings


@click.command()
@click.argument("bot", required=False, metavar="[MODULE:BOT]")
@config_option
@click.option(
    "--concurrency",
    type=click.IntRange(1, 10_000),
    help="Messages handled at a time, instead of the settings' inbound.concurrency.",
)
@click.option(
    "--sends",
    type=click.IntRange(0, 10_000),
    help="Messages pushed at a time, instead of the settings' push.concurrency; 0: none.",
)
def worker(
    bot: str | None, config: Path | None, concurrency: int | None, sends: int | None
) -> None:
    """Handle the messages of background handlers, and send what is pushed to users.

    Apart from `gateway serve`; as many of these as you like, on any number of machines.

    \b
    gateway worker shop.bot:bot
    gateway worker shop.bot:bot --concurrency 100 --sends 200

    Ctrl-C, or SIGTERM, finishes what is under way and stops; SIGHUP starts anew behind that, with
    settings and bot as they are then. What a killed worker had is handled by another one 30 seconds
    later; a message that it was sending goes out again only where WeChat keeps repeats apart. With
    inbound.concurrency = 0 and push.concurrency = 0, `gateway serve` leaves all to these.
    """
    settings = load_settings(config)
    log_as_set(settings)
    loaded = load_bot(bot or DEMO_BOT)
    look_first(settings, loaded)
    pushed = sends if sends is not None else settings.push.concurrency or 64
    if work(settings, loaded, concurrency or settings.inbound.concurrency or 32, pushed):
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # itself
