"""``gateway serve``: Granian with the app in it."""

import os
import socket
import sys
from pathlib import Path

import rich_click as click
from granian.constants import HTTPModes, Interfaces, RuntimeModes
from granian.log import LogLevels
from granian.server import Server

from gateway.app import DEMO_BOT, load_bot
from gateway.cli.options import config_option
from gateway.errors import SettingsError
from gateway.settings import BOT_VARIABLE, CONFIG_VARIABLE, Settings, load_settings


@click.command()
@click.argument("bot", required=False, metavar="[MODULE:BOT]")
@config_option
@click.option("--host", help="Listen here instead of the settings' server.host.")
@click.option("--port", type=click.IntRange(1, 65535), help="Instead of server.port.")
@click.option("--workers", type=click.IntRange(1, 256), help="Instead of server.workers.")
def serve(
    bot: str | None, config: Path | None, host: str | None, port: int | None, workers: int | None
) -> None:
    """Answer WeChat's callbacks with a bot; without MODULE:BOT, with the demo bot.

    \b
    gateway serve                                    the demo bot, ./gateway.toml
    gateway serve shop.bot:bot                       `bot` in shop/bot.py
    gateway serve shop.bot:bot --host 0.0.0.0 --workers 4
    GATEWAY_SERVER__PORT=80 gateway serve            settings also come as variables

    Ctrl-C, or SIGTERM, finishes the callbacks under way and stops.
    """
    settings = load_settings(config)
    target = bot or DEMO_BOT
    load_bot(target)
    if config is not None:
        os.environ[CONFIG_VARIABLE] = str(config.absolute())
    os.environ[BOT_VARIABLE] = target
    address, bound = host or settings.server.host, port or settings.server.port
    refuse_busy_port(address, bound)
    sys.exit(_run(settings, address, bound, workers or settings.server.workers))


def _run(settings: Settings, host: str, port: int, workers: int) -> int:
    server = Server(
        "gateway.app:create_app_from_environment",
        address=host,
        port=port,
        workers=workers,
        factory=True,
        interface=Interfaces.RSGI,
        # One thread for the network is all that one Python thread can use.
        runtime_mode=RuntimeModes.st,
        # WeChat speaks HTTP/1 only (PROTOCOL 1.2).
        http=HTTPModes.http1,
        websockets=False,
        log_level=LogLevels(settings.server.log_level),
        respawn_failed_workers=workers > 1,
        workers_kill_timeout=10,
    )
    server.serve()
    return 0


def refuse_busy_port(host: str, port: int) -> None:
    """Raise where nothing can listen: the server itself would say it with a traceback."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as wrong:
            raise SettingsError(
                f"cannot listen on {host}:{port}: {wrong.strerror or wrong}; "
                "give another --host or --port"
            ) from None
