"""``gateway serve``: Granian with the app in it."""

import os
import socket
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import rich_click as click
from granian.constants import HTTPModes, Interfaces, RuntimeModes
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import Server

from gateway.app.bots import DEMO_BOT, load_bot
from gateway.app.logs import log_as_set
from gateway.cli.options import config_option
from gateway.cli.starting import look_first
from gateway.errors import SettingsError
from gateway.settings import (
    BOT_VARIABLE,
    CELLS_VARIABLE,
    CONFIG_VARIABLE,
    Settings,
    load_settings,
)
from gateway.settings.telemetry import split_listen
from gateway.telemetry.logs import get_logger, granian_log_config

_log = get_logger("gateway")

HEADER_MILLISECONDS: Final = 5000
"""How long a request's head may take to arrive: WeChat cuts after 5 seconds (PROTOCOL 3)."""


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

    Ctrl-C, or SIGTERM, finishes the callbacks under way and stops. SIGHUP starts its workers anew
    with the settings as they are then: run `gateway check` before. A changed bot needs a restart.
    """
    settings = load_settings(config)
    log_as_set(settings)
    target = bot or DEMO_BOT
    loaded = load_bot(target)
    look_first(settings, loaded)
    if config is not None:
        os.environ[CONFIG_VARIABLE] = str(config.absolute())
    os.environ[BOT_VARIABLE] = target
    bound = port or settings.server.port
    address = usable_address(host or settings.server.host, bound)
    if settings.telemetry.listen is not None:
        usable_address(*split_listen(settings.telemetry.listen))
    sys.exit(_run(settings, address, bound, workers or settings.server.workers))


def _run(settings: Settings, host: str, port: int, workers: int) -> int:
    if settings.server.scheduling == "batch":
        _schedule_as_batch()
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
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_MILLISECONDS),
        websockets=False,
        log_level=LogLevels(settings.server.log_level),
        log_dictconfig=granian_log_config(),
        respawn_failed_workers=workers > 1,
        workers_kill_timeout=10,
    )
    # The workers count there, and so does whoever takes a dead one's place.
    with TemporaryDirectory(prefix="gateway-cells-") as folder:
        os.environ[CELLS_VARIABLE] = folder
        server.serve()
    return 0


def _schedule_as_batch() -> None:
    """Let no thread of this process, or of those it starts, interrupt another one by waking up.

    Three threads hand each callback on to each other: Granian's for the network, its other one, and
    the event loop's. Under SCHED_OTHER the kernel lets each that is woken interrupt the one that
    woke it, for a single callback; under SCHED_BATCH (sched(7)) it runs when that one is done with
    all it has.
    """
    if not hasattr(os, "sched_setscheduler"):
        return
    try:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    except OSError as wrong:
        _log.warning(
            "server.scheduling: batch is refused here, which costs throughput",
            error=wrong.strerror,
            hint="allow sched_setscheduler, or set it to normal",
        )


def usable_address(host: str, port: int) -> str:
    """Return the address that a host name stands for; raise where nothing can listen on it.

    The server itself takes addresses only, and says what is wrong with one by a traceback.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as wrong:
        shown = f"[{host}]" if ":" in host else host
        raise SettingsError(
            f"cannot listen on {shown}:{port}: {wrong.strerror or wrong}; "
            "give another --host or --port"
        ) from None
    return str(address[0])
