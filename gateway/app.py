"""The composition root: settings and a bot in, the app out. Only here is anything picked."""

import asyncio
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from importlib import import_module
from pathlib import Path

import uvloop
from litestar import Litestar

from gateway import __version__
from gateway.adapters import migrate, postgres, redis_checkup
from gateway.adapters.http_forward import HttpForward
from gateway.adapters.kafka import Kafka
from gateway.adapters.memory import MemoryDeadLetters, MemoryStore
from gateway.adapters.nats import NatsJetStream
from gateway.adapters.postgres import PostgresArchive, PostgresDeadLetters
from gateway.adapters.rabbitmq import RabbitMQ
from gateway.adapters.redis import RedisStore
from gateway.adapters.redis_sinks import RedisPubSub, RedisStream
from gateway.adapters.spill import FileSpill
from gateway.adapters.sqlite import SqliteStore
from gateway.adapters.sqlite_records import SqliteArchive, SqliteDeadLetters
from gateway.errors import BotError, SettingsError, StoreDown
from gateway.http.asgi import callback_route
from gateway.http.callback import CallbackEndpoint
from gateway.http.health import health_routes
from gateway.http.refusals import Refusals
from gateway.http.rsgi import GatewayApp
from gateway.inbound.bot import Bot
from gateway.inbound.consumer import Policy
from gateway.inbound.deliveries import LateReply, Promise
from gateway.inbound.outbox import SINK, Subscription
from gateway.inbound.ports import Archive, DeadLetters, Finding, Store
from gateway.inbound.publishing import Limits, Publisher
from gateway.inbound.runtime import Inbound, Outside, Sink, Stores, Terms
from gateway.inbound.upstream import Upstream
from gateway.kernels import IMPLEMENTATION, EnvelopeCipher
from gateway.protocol.account import Account, decode_aes_key
from gateway.settings import BOT_VARIABLE, Settings, load_settings
from gateway.settings.sections import AccountSettings
from gateway.settings.sinks import (
    HttpSink,
    KafkaSink,
    NatsSink,
    RabbitMQSink,
    RedisPubSubSink,
    RedisStreamSink,
    SinkSettings,
)
from gateway.telemetry import configure_logging

DEMO_BOT = "gateway.demo:bot"
MEMORY = "memory://"

_log = logging.getLogger("gateway")


def create_app(settings: Settings, bot: Bot) -> GatewayApp:
    """Return the app that answers for the settings' accounts with the bot."""
    accounts = make_accounts(settings)
    inbound = make_inbound(settings, bot, accounts, settings.inbound.concurrency)
    endpoint = CallbackEndpoint(
        accounts,
        inbound.deliveries,
        Refusals(later=lambda: asyncio.get_running_loop().call_later),
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

    litestar = Litestar(
        [callback_route(endpoint), *health_routes(__version__, len(accounts), inbound.status)],
        on_startup=[start],
        on_shutdown=[inbound.stop],
        openapi_config=None,
        logging_config=None,
    )
    return GatewayApp(litestar, endpoint)


def make_inbound(
    settings: Settings, bot: Bot, accounts: Mapping[str, Account], concurrency: int
) -> Inbound:
    """Return the receiving side of this process; raise SettingsError where bot and store differ."""
    given = settings.inbound
    if settings.store.url == MEMORY and settings.store.redis_url is None:
        _refuse_to_forget(settings, bot)
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
        ),
        name,
        Outside(make_sinks(settings), make_upstreams(settings)),
    )


def _refuse_to_forget(settings: Settings, bot: Bot) -> None:
    """Raise SettingsError where memory would lose what must not be lost."""
    losers = {
        "the messages of background handlers": any(route.background for route in bot.routes()),
        "the events of bot.on_event": bool(bot.event_routes()),
        "the events of sinks": bool(make_sinks(settings)),
    }
    for what, is_there in losers.items():
        if is_there:
            raise SettingsError(
                f"store.url: memory:// would lose {what}; give sqlite:///var/gateway.db, or a "
                "store.redis_url"
            )


def make_sinks(settings: Settings) -> list[Sink]:
    """Return the settings' sinks; raise SettingsError where one lacks its extra."""
    return [
        Sink(subscription_of(given), make_publisher(given))
        for given in settings.sinks
        if not (isinstance(given, HttpSink) and given.synchronous)
    ]


def make_upstreams(settings: Settings) -> list[Upstream]:
    """Return the settings' synchronous sinks."""
    return [
        Upstream(subscription_of(given), make_http(given), given.timeout)
        for given in settings.sinks
        if isinstance(given, HttpSink) and given.synchronous
    ]


def subscription_of(given: SinkSettings) -> Subscription:
    """Return which events a sink wants."""
    accounts = None if given.accounts is None else frozenset(given.accounts)
    return Subscription(SINK + given.name, given.types, accounts)


def make_publisher(given: SinkSettings) -> Publisher:
    """Return what brings events to a sink; raise SettingsError where it lacks its extra."""
    limits = Limits(given.timeout, given.max_bytes)
    match given:
        case HttpSink():
            return make_http(given)
        case RedisPubSubSink():
            return RedisPubSub(given.name, given.url.get_secret_value(), given.channel, limits)
        case RedisStreamSink():
            url = given.url.get_secret_value()
            return RedisStream(given.name, url, given.stream, limits, max_length=given.max_length)
        case RabbitMQSink():
            url = given.url.get_secret_value()
            return RabbitMQ(given.name, url, given.exchange, limits, routing_key=given.routing_key)
        case KafkaSink():
            options = {name: value.get_secret_value() for name, value in given.options.items()}
            return Kafka(given.name, given.servers, given.topic, limits, options=options)
        case NatsSink():
            url = given.url.get_secret_value()
            return NatsJetStream(given.name, url, given.stream, given.prefix, limits)


def make_http(given: HttpSink) -> HttpForward:
    """Return what posts events to an HTTP endpoint, or asks it."""
    secrets = [given.secret, given.previous_secret]
    return HttpForward(
        given.name,
        given.url,
        [secret.get_secret_value() for secret in secrets if secret is not None],
        Limits(given.timeout, given.max_bytes),
        now=time.time,
    )


def stores_of(settings: Settings) -> Stores:
    """Return the settings' stores, for a command that only looks and tidies up."""
    return make_stores(settings, os.urandom(8))


def work(settings: Settings, bot: Bot, concurrency: int) -> None:
    """Handle background messages until SIGINT or SIGTERM, so many at a time."""
    inbound = make_inbound(settings, bot, make_accounts(settings), concurrency)

    async def run() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await inbound.start()
        _log.info("worker ready store=%s concurrency=%d", store_kind(settings), concurrency)
        await stop.wait()
        _log.info("worker stops")
        await inbound.stop()

    uvloop.run(run())


def make_stores(settings: Settings, name: bytes) -> Stores:
    """Return what the settings keep things in; ``name`` is this process's own."""
    given = settings.store
    spill = FileSpill(given.spill, name.hex())
    archive = make_archive(settings) if given.archive else None
    return Stores(make_store(settings), make_dead_letters(settings), spill, archive)


def make_store(settings: Settings) -> Store:
    """Return the store of claims and lanes: Redis where it is given."""
    given = settings.store
    keep, timeout = float(given.dedupe_seconds), given.timeout
    if given.redis_url is not None:
        return RedisStore(given.redis_url.get_secret_value(), keep=keep, timeout=timeout)
    if given.url == MEMORY:
        return MemoryStore(keep)
    return SqliteStore(sqlite_path(given.url), keep=keep, timeout=timeout)


def make_dead_letters(settings: Settings) -> DeadLetters:
    """Return where dead letters are kept: in Postgres where it is given."""
    given = settings.store
    if given.postgres_dsn is not None:
        return PostgresDeadLetters(given.postgres_dsn.get_secret_value(), timeout=given.timeout)
    if given.url == MEMORY:
        return MemoryDeadLetters()
    return SqliteDeadLetters(sqlite_path(given.url), timeout=given.timeout)


async def examine_stores(settings: Settings) -> list[Finding]:
    """Return how the settings' stores are, each problem with its fix."""
    given = settings.store
    findings: list[Finding] = []
    if given.redis_url is not None:
        url = given.redis_url.get_secret_value()
        findings += await redis_checkup.examine(url, within=given.timeout)
    if given.postgres_dsn is not None:
        dsn = given.postgres_dsn.get_secret_value()
        findings += await postgres.examine(dsn, within=given.timeout)
    if given.url == MEMORY and given.redis_url is None:
        fix = "give store.url = sqlite:///var/gateway.db, or a store.redis_url"
        findings.append(Finding("store", "memory: whatever waits is lost with the process", fix))
    elif given.redis_url is None or given.postgres_dsn is None:
        findings.append(await _examine_sqlite(settings))
    findings.append(_examine_spill(settings))
    return findings


async def _examine_sqlite(settings: Settings) -> Finding:
    path = sqlite_path(settings.store.url)
    store = SqliteStore(path, keep=60, timeout=settings.store.timeout)
    try:
        await store.ping()
    except StoreDown as down:
        said, _, fix = str(down).partition("; ")
        return Finding("sqlite", said, fix)
    finally:
        await store.close()
    return Finding("sqlite", f"{path}: messages are on disk before WeChat is told success", "")


def _examine_spill(settings: Settings) -> Finding:
    folder = settings.store.spill
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    fix = "" if os.access(existing, os.W_OK) else "let the gateway's user write there"
    waiting = sum(path.stat().st_size for path in folder.glob("*.spill"))
    state = f"{waiting:,} bytes wait for the store" if waiting else "empty"
    return Finding("spill", f"{folder}: {state}", fix)


async def pending_migrations(settings: Settings) -> list[str]:
    """Return the names of the migrations that the settings' Postgres lacks; none without one."""
    dsn = settings.store.postgres_dsn
    if dsn is None:
        return []
    return await migrate.pending(dsn.get_secret_value(), settings.store.timeout)


def apply_migrations(settings: Settings) -> AsyncIterator[str]:
    """Apply what the settings' Postgres lacks; yield each name when it is applied."""
    return migrate.migrate(postgres_dsn(settings))


def migration_script(names: Iterable[str]) -> str:
    """Return these migrations as SQL."""
    return migrate.script(names)


def postgres_dsn(settings: Settings) -> str:
    """Return the settings' Postgres; raise SettingsError where they have none."""
    if settings.store.postgres_dsn is None:
        raise SettingsError(
            "store.postgres_dsn is missing: without it all is kept in store.url, which needs no "
            "migrations; give postgresql://USER:PASSWORD@HOST[:PORT]/DATABASE"
        )
    return settings.store.postgres_dsn.get_secret_value()


def make_archive(settings: Settings) -> Archive:
    """Return where callbacks are archived: in Postgres where it is given."""
    given = settings.store
    if given.postgres_dsn is not None:
        return PostgresArchive(given.postgres_dsn.get_secret_value(), timeout=given.timeout)
    return SqliteArchive(sqlite_path(given.url), timeout=given.timeout)


def store_kind(settings: Settings) -> str:
    """Return what the settings keep things in, in short: for log lines."""
    given = settings.store
    hot = "redis" if given.redis_url is not None else given.url.partition(":")[0]
    return f"{hot}+postgres" if given.postgres_dsn is not None else hot


def sqlite_path(url: str) -> Path:
    """Return the file of a store's ``sqlite:///PATH``."""
    return Path(url.removeprefix("sqlite:///"))


def make_accounts(settings: Settings) -> dict[str, Account]:
    """Return the accounts of the settings by name."""
    return {name: make_account(name, given) for name, given in settings.accounts.items()}


def create_app_from_environment() -> GatewayApp:
    """Return the app of GATEWAY_CONFIG and GATEWAY_BOT; what each server process starts with.

    Also for ``granian --interface rsgi --factory gateway.app:create_app_from_environment``, or any
    ASGI server.
    """
    settings = load_settings()
    configure_logging(settings.server.log_level)
    return create_app(settings, load_bot(os.environ.get(BOT_VARIABLE) or DEMO_BOT))


def settle_memory() -> None:
    """Take what start-up left out of the garbage collector's sight, and let it run less often.

    A callback leaves no reference cycles behind, so a collection finds next to nothing; and each
    one went through every module again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def make_account(name: str, given: AccountSettings) -> Account:
    """Return the account that its settings describe."""
    tokens = (given.token, given.previous_token)
    keys = (given.encoding_aes_key, given.previous_encoding_aes_key)
    return Account(
        name=name,
        app_id=given.app_id,
        mode=given.mode,
        tokens=tuple(t.get_secret_value().encode() for t in tokens if t is not None),
        ciphers=tuple(
            EnvelopeCipher(decode_aes_key(key.get_secret_value()))
            for key in keys
            if key is not None
        ),
        original_id=given.original_id,
        timestamp_window=given.timestamp_window,
        refuse_replays=given.refuse_replays,
    )


def load_bot(target: str) -> Bot:
    """Return the bot that ``MODULE:NAME`` names, looked up from the working directory too.

    Raises BotError where there is none. What the module itself raises passes through.
    """
    module_name, _, name = target.partition(":")
    if module_name.endswith(".py"):
        dotted = module_name.removesuffix(".py").replace("/", ".")
        raise BotError(f"{target}: name the module, not its file: {dotted}:{name or 'bot'}")
    if not module_name or not name:
        raise BotError(f"{target}: name a bot as MODULE:BOT, such as shop.bot:bot")
    here = str(Path.cwd())
    if "" not in sys.path and here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as missing:
        if missing.name is not None and (module_name + ".").startswith(missing.name + "."):
            raise BotError(
                f"{target}: there is no module {missing.name} here; run in the folder it is in"
            ) from None
        raise
    bot = getattr(module, name, None)
    if not isinstance(bot, Bot):
        found = [key for key, value in vars(module).items() if isinstance(value, Bot)]
        hint = f"it has: {', '.join(found)}" if found else "it has none: write bot = Bot()"
        raise BotError(f"{target}: {module_name} has no Bot called {name}; {hint}")
    return bot
