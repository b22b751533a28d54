"""The composition root: settings and a bot in, the app out. Only here is anything picked."""

import asyncio
import gc
import os
import signal

import uvloop
from litestar import Litestar
from litestar.exceptions import ImproperlyConfiguredException
from litestar.types import ControllerRouterHandler

from gateway import __version__
from gateway.app.api_keys import make_keys
from gateway.app.bots import DEMO_BOT, load_bot
from gateway.app.logs import log_as_set
from gateway.app.process import Process
from gateway.app.sinks import secrets_of
from gateway.app.stores import store_kind
from gateway.app.web import make_authentication, operations_of, own_routes, web_routes
from gateway.errors import BotError
from gateway.http.api.document import document_route
from gateway.http.api.operations import OPERATIONS as PUSHING
from gateway.http.api.routes import Parts, push_router
from gateway.http.arrivals import tracing_middleware
from gateway.http.asgi import callback_route
from gateway.http.callback import CallbackEndpoint, Seen
from gateway.http.events import events_route
from gateway.http.health import live_route, monitoring_routes
from gateway.http.identity.authentication import Authentication
from gateway.http.jssdk import jssdk_route
from gateway.http.refusals import Refusals
from gateway.http.rsgi import GatewayApp
from gateway.inbound.bot import Bot
from gateway.kernels import IMPLEMENTATION
from gateway.settings import BOT_VARIABLE, Settings, load_settings
from gateway.telemetry.logs import get_logger

_log = get_logger("gateway")


def create_app_from_environment() -> GatewayApp:
    """Return the app of GATEWAY_CONFIG and GATEWAY_BOT; what each server process starts with.

    Also for ``granian --interface rsgi --factory gateway.app:create_app_from_environment``, or any
    ASGI server.
    """
    settings = load_settings()
    log_as_set(settings)
    return create_app(settings, load_bot(os.environ.get(BOT_VARIABLE) or DEMO_BOT))


def create_app(settings: Settings, bot: Bot) -> GatewayApp:
    """Return the app that answers for the settings' accounts with the bot."""
    process = Process(
        settings, bot, concurrency=settings.inbound.concurrency, sends=settings.push.concurrency
    )
    accounts, inbound = process.accounts, process.inbound
    refusals = Refusals(later=lambda: asyncio.get_running_loop().call_later)
    endpoint = CallbackEndpoint(
        accounts,
        inbound.deliveries,
        refusals,
        max_body=settings.server.max_body,
        seen=Seen(process.metrics, process.tracing),
    )

    async def start() -> None:
        settle_memory()
        await process.start()
        aes = {cipher.backend for a in accounts.values() for cipher in a.ciphers}
        _log.info(
            "gateway ready",
            accounts=[*accounts],
            store=store_kind(settings),
            kernels=IMPLEMENTATION,
            aes="; ".join(sorted(aes)) or "not needed",
        )

    routes: list[ControllerRouterHandler] = [
        callback_route(endpoint),
        live_route(process.monitor),
    ]
    if settings.telemetry.listen is None:
        routes += monitoring_routes(process.monitor)
    pushing = _push_routes(settings, process)
    routes += pushing
    authentication: Authentication | None = None
    if process.identities is not None:
        authentication = make_authentication(settings, process.identities)
        routes += web_routes(settings, process.identities, authentication)
    if pushing or process.identities is not None:
        operations = (
            *(PUSHING if pushing else ()),
            *(operations_of(process.identities, settings) if process.identities else ()),
        )
        routes.append(document_route(__version__, operations))
    routes += own_routes(bot, authentication)
    if settings.producers:
        secrets = {name: secrets_of(given) for name, given in settings.producers.items()}
        max_body = settings.events.max_body
        routes.append(events_route(inbound.intake.take, secrets, refusals, max_body=max_body))
    if any(account.jssdk_hosts for account in settings.accounts.values()):
        routes.append(jssdk_route(process.apis.page_signers()))

    try:
        litestar = Litestar(
            routes,
            on_startup=[start],
            on_shutdown=[process.stop],
            middleware=[] if process.tracing is None else [tracing_middleware(process.tracing)],
            openapi_config=None,
            logging_config=None,
        )
    except ImproperlyConfiguredException as wrong:
        # The gateway's own routes are sound.
        raise BotError(f"bot.web: {wrong.detail}") from None
    return GatewayApp(litestar, endpoint, direct=settings.server.direct)


def _push_routes(settings: Settings, process: Process) -> list[ControllerRouterHandler]:
    """Return the HTTP API of pushing; nothing where nobody has a key, or nothing can be pushed."""
    outbound = process.outbound
    if not settings.api_keys:
        return []
    if outbound is None:
        _log.warning(
            "[api_keys] without /push",
            reason="no account has an app_secret, or the store is none",
        )
        return []
    keys, max_body = make_keys(settings), settings.push.max_body
    parts = Parts(outbound.push, outbound.records, outbound.templates, keys, max_body)
    return [push_router(parts)]


def work(settings: Settings, bot: Bot, concurrency: int, sends: int) -> bool:
    """Handle background messages and send what is pushed, until a signal ends it.

    So many of each at a time. Returns whether to start again, with settings and bot as they are
    then: behind a SIGHUP, not behind SIGINT or SIGTERM.
    """
    process = Process(settings, bot, concurrency=concurrency, sends=sends)
    ended_by: list[signal.Signals] = []

    async def run() -> None:
        stop = asyncio.Event()

        def end(number: signal.Signals) -> None:
            ended_by.append(number)
            stop.set()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, end, number)
        settle_memory()
        await process.start()
        _log.info("worker ready", store=store_kind(settings), concurrency=concurrency, sends=sends)
        await stop.wait()
        _log.info("worker stops")
        await process.stop()

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
