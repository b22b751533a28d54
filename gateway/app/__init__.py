"""The composition root: settings and a bot in, the app out. Only here is anything picked."""

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Mapping

import uvloop
from litestar import Litestar

from gateway import __version__
from gateway.app.accounts import make_accounts
from gateway.app.api import Apis
from gateway.app.bots import DEMO_BOT, load_bot
from gateway.app.sinks import make_sinks, make_upstreams, secrets_of
from gateway.app.stores import MEMORY, make_stores, store_kind
from gateway.errors import SettingsError
from gateway.http.asgi import callback_route
from gateway.http.callback import CallbackEndpoint
from gateway.http.events import events_route
from gateway.http.health import health_routes
from gateway.http.jssdk import jssdk_route
from gateway.http.refusals import Refusals
from gateway.http.rsgi import GatewayApp
from gateway.inbound.bot import Bot
from gateway.inbound.consumer import Policy
from gateway.inbound.deliveries import LateReply, Promise
from gateway.inbound.runtime import Inbound, Outside, Sink, Terms
from gateway.kernels import IMPLEMENTATION
from gateway.protocol.account import Account
from gateway.settings import BOT_VARIABLE, Settings, load_settings
from gateway.telemetry import configure_logging

_log = logging.getLogger("gateway")


def create_app_from_environment() -> GatewayApp:
    """Return the app of GATEWAY_CONFIG and GATEWAY_BOT; what each server process starts with.

    Also for ``granian --interface rsgi --factory gateway.app:create_app_from_environment``, or any
    ASGI server.
    """
    settings = load_settings()
    configure_logging(settings.server.log_level)
    return create_app(settings, load_bot(os.environ.get(BOT_VARIABLE) or DEMO_BOT))


def create_app(settings: Settings, bot: Bot) -> GatewayApp:
    """Return the app that answers for the settings' accounts with the bot."""
    accounts = make_accounts(settings)
    inbound = make_inbound(settings, bot, accounts, settings.inbound.concurrency)
    refusals = Refusals(later=lambda: asyncio.get_running_loop().call_later)
    endpoint = CallbackEndpoint(
        accounts,
        inbound.deliveries,
        refusals,
        max_body=settings.server.max_body,
    )

    async def start() -> None:
        settle_memory()
        await inbound.start()
        aes = {cipher.backend for a in accounts.values() for cipher in a.ciphers}
        _log.info(
            "gateway ready accounts=%s store=%s kernels=%s aes=%s",
            ",".join(accounts),
            store_kind(settings),
            IMPLEMENTATION,
            "; ".join(sorted(aes)) or "not needed",
        )

    routes = [callback_route(endpoint), *health_routes(__version__, len(accounts), inbound.status)]
    if settings.producers:
        secrets = {name: secrets_of(given) for name, given in settings.producers.items()}
        max_body = settings.events.max_body
        routes.append(events_route(inbound.intake.take, secrets, refusals, max_body=max_body))
    stop = [inbound.stop]
    if any(account.jssdk_hosts for account in settings.accounts.values()):
        apis = Apis(settings)
        routes.append(jssdk_route(apis.page_signers()))
        stop.append(apis.close)
    litestar = Litestar(
        routes,
        on_startup=[start],
        on_shutdown=[*stop],
        openapi_config=None,
        logging_config=None,
    )
    return GatewayApp(litestar, endpoint, direct=settings.server.direct)


def make_inbound(
    settings: Settings, bot: Bot, accounts: Mapping[str, Account], concurrency: int
) -> Inbound:
    """Return the receiving side of this process; raise SettingsError where bot and store differ."""
    given = settings.inbound
    sinks = refuse_misfits(settings, bot)
    name = os.urandom(8)
    return Inbound(
        bot,
        accounts,
        make_stores(settings, name),
        Terms(
            promise=Promise(given.reply_deadline, LateReply(given.late_reply)),
            keep=settings.store.dedupe_seconds,
            policy=Policy(given.max_deliveries, given.retry_base, given.retry_cap),
            archived=settings.store.archive_days * 86_400.0,
            concurrency=concurrency,
            content_types=settings.events.content_types,
        ),
        name,
        Outside(sinks, make_upstreams(settings)),
    )


def refuse_misfits(settings: Settings, bot: Bot) -> list[Sink]:
    """Return the settings' sinks, which nothing is wrong with.

    Raise SettingsError where one lacks its extra, or memory would lose what must not be lost.
    """
    sinks = make_sinks(settings)
    if settings.store.url != MEMORY or settings.store.redis_url is not None:
        return sinks
    losers = {
        "the messages of background handlers": any(route.background for route in bot.routes()),
        "the events of bot.on_event": bool(bot.event_routes()),
        "the events of sinks": bool(sinks),
        "the events of producers": bool(settings.producers),
    }
    for what, is_there in losers.items():
        if is_there:
            raise SettingsError(
                f"store.url: memory:// would lose {what}; give sqlite:///var/gateway.db, or a "
                "store.redis_url"
            )
    return sinks


def work(settings: Settings, bot: Bot, concurrency: int) -> bool:
    """Handle background messages, so many at a time, until a signal ends it.

    Returns whether to start again, with settings and bot as they are then: behind a SIGHUP, not
    behind SIGINT or SIGTERM.
    """
    inbound = make_inbound(settings, bot, make_accounts(settings), concurrency)
    ended_by: list[signal.Signals] = []

    async def run() -> None:
        stop = asyncio.Event()

        def end(number: signal.Signals) -> None:
            ended_by.append(number)
            stop.set()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, end, number)
        await inbound.start()
        _log.info("worker ready store=%s concurrency=%d", store_kind(settings), concurrency)
        await stop.wait()
        _log.info("worker stops")
        await inbound.stop()

    uvloop.run(run())
    return ended_by == [signal.SIGHUP]


def settle_memory() -> None:
    """Take what start-up left out of the garbage collector's sight, and let it run less often.

    A callback leaves no reference cycles behind, so a collection finds next to nothing; and each
    one went through every module again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
