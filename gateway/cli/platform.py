"""``gateway simulate platform``: WeChat's API on this machine."""

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_urlsafe
from typing import NamedTuple

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
from gateway.simulator.api.world import Platform as AppPlatform
from gateway.simulator.documents import event_of
from gateway.simulator.platform import Platform

RECEIPT_SECONDS = 0.2
"""Between a message and the event that tells what became of it."""

RECEIPTS_AT_ONCE = 64
"""Receipts under way; the others wait until then, and so does WeChat's clock."""

UrlOf = Callable[[str], str]


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

    Beside it stand the pages of web authorisation, /connect/oauth2/authorize and
    /connect/qrconnect, where a browser chooses among simulated people.

    \b
    gateway simulate platform
    gateway simulate platform --port 9000 --config var/demo.toml
    curl 127.0.0.1:8001/simulator/summary
    curl 127.0.0.1:8001/simulator/ledger
    curl 127.0.0.1:8001/simulator/quotas -d '{"/cgi-bin/message/template/send": {"daily": 1000000}}'
    curl 127.0.0.1:8001/simulator/people
    curl 127.0.0.1:8001/simulator/js_code -d '{"appid": "wx…", "person": "小明🎈"}'
    curl 127.0.0.1:8001/simulator/faults -d '{"busy": 0.1, "reset-after": 0.02, "latency": 0.05}'

    Let an account's api_url be its address. Each account needs an app_secret. Ctrl-C stops it.
    """
    settings = load_settings(config)
    for name, given in settings.accounts.items():
        if given.app_secret is None:
            raise SettingsError(f"accounts.{name}.app_secret: missing; any text will do here")
    address = usable_address(host, port)

    def url_of(name: str) -> str:
        return f"{callbacks.rstrip('/')}/{name}" if callbacks else callback_url(settings, name)

    uvloop.run(_serve(settings, address, port, None if no_receipts else url_of))


async def _serve(settings: Settings, host: str, port: int, url_of: UrlOf | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(settings, host, port, url_of):
        settle_memory()
        click.echo(f"WeChat's API for {', '.join(settings.accounts)} at http://{host}:{port}")
        await stop.wait()


class Serving(NamedTuple):
    """A platform that is served."""

    port: int
    accounts: dict[str, Account]
    """By their names in the settings."""


@asynccontextmanager
async def serving(
    settings: Settings, host: str, port: int, url_of: UrlOf | None
) -> AsyncIterator[Serving]:
    """Serve the accounts that have an app_secret for the block's time; a port of 0 is a free one.

    ``url_of`` tells where an account's receipts go, by its name; without it there are none.
    """
    accounts = {
        name: _account(
            name,
            given.app_id,
            given.app_secret.get_secret_value(),
            given.platform,
        )
        for name, given in settings.accounts.items()
        if given.app_secret is not None
    }
    async with aiohttp.ClientSession() as session:
        notify = _Receipts(settings, session, url_of).notify if url_of else lambda _: None
        server = ApiServer(World(time.time, accounts.values(), notify), Faults(random.random))
        async with server.serving(host, port) as bound:
            yield Serving(bound, accounts)


def _account(name: str, app_id: str, secret: str, platform: AppPlatform) -> Account:
    tokens = AccountTokens(time.time, lambda: token_urlsafe(96))
    quotas = Quotas(time.time)
    return Account(app_id, secret, tokens, quotas, platform=platform, name=name)


class _Receipts:
    """Brings the events that messages end in to the gateway."""

    def __init__(self, settings: Settings, session: aiohttp.ClientSession, url_of: UrlOf) -> None:
        self._settings = settings
        self._session = session
        self._url_of = url_of
        self._names = {given.app_id: name for name, given in settings.accounts.items()}
        self._room = asyncio.Semaphore(RECEIPTS_AT_ONCE)
        self._running: set[asyncio.Task[None]] = set()

    def notify(self, due: Receipt) -> None:
        """Bring one, soon."""
        task = asyncio.get_running_loop().create_task(self._bring(due))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _bring(self, due: Receipt) -> None:
        await asyncio.sleep(RECEIPT_SECONDS)
        name = self._names[due.app_id]
        sender = make_sender(self._settings, name)
        to, now = receiver_of(self._settings, name), int(time.time())
        document = event_of(due.event, due.fields, to=to, sender=due.open_id, now=now)
        async with self._room:
            wechat = Platform(self._session, sender, self._url_of(name))
            await wechat.deliver(lambda: fresh_callback(sender, document))
