"""``gateway simulate platform``: WeChat's API on this machine."""

import asyncio
import random
import signal
import time
from pathlib import Path
from secrets import token_urlsafe

import aiohttp
import rich_click as click
import uvloop

from gateway.app import settle_memory
from gateway.cli.options import callback_url, config_option
from gateway.cli.sending import fresh_callback, make_sender, receiver_of
from gateway.cli.serve import usable_address
from gateway.errors import SettingsError
from gateway.settings import Settings, load_settings
from gateway.simulator.api.faults import Faults
from gateway.simulator.api.quotas import Quotas
from gateway.simulator.api.server import ApiServer
from gateway.simulator.api.tokens import AccountTokens
from gateway.simulator.api.world import Account, Receipt, World
from gateway.simulator.documents import event_of
from gateway.simulator.platform import Platform

RECEIPT_SECONDS = 0.2
"""Between a message and the event that tells what became of it."""

RECEIPTS_AT_ONCE = 64
"""Receipts under way; the others wait until then, and so does WeChat's clock."""


@click.command()
@config_option
@click.option("--host", default="127.0.0.1", help="Where to listen.")
@click.option("--port", type=click.IntRange(1, 65535), default=8001, help="Where to serve.")
@click.option("--callbacks", metavar="URL", help="The gateway's /wechat; the settings' by default.")
@click.option("--no-receipts", is_flag=True, help="Do not send the events that messages end in.")
def platform(
    config: Path | None, host: str, port: int, callbacks: str | None, no_receipts: bool
) -> None:
    """Serve WeChat's API for the accounts of the settings, with its rules and a ledger.

    \b
    gateway simulate platform
    gateway simulate platform --port 9000 --config var/demo.toml
    curl 127.0.0.1:8001/simulator/summary
    curl 127.0.0.1:8001/simulator/ledger
    curl 127.0.0.1:8001/simulator/quotas -d '{"/cgi-bin/message/template/send": {"daily": 1000000}}'
    curl 127.0.0.1:8001/simulator/faults -d '{"busy": 0.1, "reset-after": 0.02, "latency": 0.05}'

    Let an account's api_url be its address. Each account needs an app_secret. Ctrl-C stops it.
    """
    settings = load_settings(config)
    accounts = [_account(settings, name) for name in settings.accounts]
    names = {given.app_id: name for name, given in settings.accounts.items()}
    address = usable_address(host, port)
    uvloop.run(_serve(settings, accounts, names, address, port, callbacks, not no_receipts))


def _account(settings: Settings, name: str) -> Account:
    given = settings.accounts[name]
    if given.app_secret is None:
        raise SettingsError(f"accounts.{name}.app_secret: missing; any text will do here")
    tokens = AccountTokens(time.time, lambda: token_urlsafe(96))
    return Account(given.app_id, given.app_secret.get_secret_value(), tokens, Quotas(time.time))


async def _serve(
    settings: Settings,
    accounts: list[Account],
    names: dict[str, str],
    host: str,
    port: int,
    callbacks: str | None,
    receipts: bool,
) -> None:
    running: set[asyncio.Task[None]] = set()
    room = asyncio.Semaphore(RECEIPTS_AT_ONCE)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with aiohttp.ClientSession() as session:

        async def bring(due: Receipt) -> None:
            await asyncio.sleep(RECEIPT_SECONDS)
            name = names[due.app_id]
            url = f"{callbacks.rstrip('/')}/{name}" if callbacks else callback_url(settings, name)
            sender = make_sender(settings, name)
            document = event_of(
                due.event,
                due.fields,
                to=receiver_of(settings, name),
                sender=due.open_id,
                now=int(time.time()),
            )
            async with room:
                await Platform(session, sender, url).deliver(
                    lambda: fresh_callback(sender, document)
                )

        def notify(due: Receipt) -> None:
            if receipts:
                task = loop.create_task(bring(due))
                running.add(task)
                task.add_done_callback(running.discard)

        world = World(time.time, accounts, notify)
        server = ApiServer(world, Faults(random.random))
        async with server.serving(host, port):
            settle_memory()
            click.echo(f"WeChat's API for {', '.join(names.values())} at http://{host}:{port}")
            await stop.wait()
