"""The stores of the settings: which holds what, and how they are."""

import os
import time
from pathlib import Path
from typing import Final

from gateway.adapters import postgres, redis_checkup
from gateway.adapters.memory import MemoryDeadLetters, MemoryStore
from gateway.adapters.memory_budgets import MemoryBudgets
from gateway.adapters.memory_tokens import MemoryTokens
from gateway.adapters.postgres import PostgresArchive, PostgresDeadLetters
from gateway.adapters.postgres_identities import PostgresIdentities
from gateway.adapters.postgres_job_records import PostgresRecords
from gateway.adapters.postgres_queue import PostgresQueue
from gateway.adapters.postgres_templates import PostgresTemplates
from gateway.adapters.redis import RedisStore
from gateway.adapters.redis_budgets import RedisBudgets
from gateway.adapters.redis_sessions import RedisSessions
from gateway.adapters.redis_sign_ins import RedisSignIns
from gateway.adapters.redis_tokens import RedisTokens
from gateway.adapters.spill import FileSpill
from gateway.adapters.sqlite import SqliteStore
from gateway.adapters.sqlite_budgets import SqliteBudgets
from gateway.adapters.sqlite_identities import SqliteIdentities
from gateway.adapters.sqlite_job_records import SqliteRecords
from gateway.adapters.sqlite_queue import SqliteQueue
from gateway.adapters.sqlite_records import SqliteArchive, SqliteDeadLetters
from gateway.adapters.sqlite_sessions import SqliteSessions
from gateway.adapters.sqlite_sign_ins import SqliteSignIns
from gateway.adapters.sqlite_templates import SqliteTemplates
from gateway.adapters.sqlite_tokens import SqliteTokens
from gateway.errors import StoreDown
from gateway.identity.ports import SessionStore, SignInStore
from gateway.inbound.ports import Archive, DeadLetters, Finding, Store
from gateway.inbound.runtime import Stores
from gateway.outbound.budgets import Budgets
from gateway.outbound.jobs import job_id
from gateway.outbound.ports import JobQueue, JobRecords, TemplateStore, TokenStore
from gateway.settings import Settings

MEMORY: Final = "memory://"

JOB_SECONDS: Final = 10.0
"""How long a batch of jobs may take in its store: no callback waits for it."""


def stores_of(settings: Settings) -> Stores:
    """Return the settings' stores, for a command that only looks and tidies up."""
    return make_stores(settings, os.urandom(8))


def make_stores(settings: Settings, name: bytes) -> Stores:
    """Return what the settings keep things in; ``name`` is this process's own."""
    given = settings.store
    spill = FileSpill(given.spill, name.hex())
    archive = make_archive(settings) if given.archive else None
    store = make_store(settings)
    take_step = store.take_step if isinstance(store, MemoryStore) else None
    return Stores(store, make_dead_letters(settings), spill, archive, take_step)


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


def make_archive(settings: Settings) -> Archive:
    """Return where callbacks are archived: in Postgres where it is given."""
    given = settings.store
    if given.postgres_dsn is not None:
        return PostgresArchive(given.postgres_dsn.get_secret_value(), timeout=given.timeout)
    return SqliteArchive(sqlite_path(given.url), timeout=given.timeout)


def make_token_store(settings: Settings) -> TokenStore:
    """Return where tokens are kept: in Redis where it is given."""
    given = settings.store
    if given.redis_url is not None:
        return RedisTokens(given.redis_url.get_secret_value(), timeout=given.timeout)
    if given.url == MEMORY:
        return MemoryTokens()
    return SqliteTokens(sqlite_path(given.url), timeout=given.timeout)


def make_budgets(settings: Settings) -> Budgets:
    """Return where rate budgets are kept: in Redis where it is given."""
    given = settings.store
    if given.redis_url is not None:
        return RedisBudgets(given.redis_url.get_secret_value(), timeout=given.timeout)
    if given.url == MEMORY:
        return MemoryBudgets()
    return SqliteBudgets(sqlite_path(given.url), timeout=given.timeout)


def make_job_queue(settings: Settings) -> JobQueue:
    """Return where messages wait to be sent: in Postgres where it is given."""
    given = settings.store
    if given.postgres_dsn is not None:
        return PostgresQueue(given.postgres_dsn.get_secret_value(), timeout=JOB_SECONDS)
    return SqliteQueue(sqlite_path(given.url), timeout=JOB_SECONDS)


def make_job_records(settings: Settings) -> JobRecords:
    """Return where it is kept what became of messages: beside the queue."""
    given = settings.store
    if given.postgres_dsn is not None:
        return PostgresRecords(given.postgres_dsn.get_secret_value(), timeout=JOB_SECONDS)
    return SqliteRecords(sqlite_path(given.url), timeout=JOB_SECONDS)


def make_template_store(settings: Settings) -> TemplateStore:
    """Return where the templates are kept that were given over the API: beside the queue."""
    given = settings.store
    if given.postgres_dsn is not None:
        return PostgresTemplates(given.postgres_dsn.get_secret_value(), timeout=JOB_SECONDS)
    return SqliteTemplates(sqlite_path(given.url), timeout=JOB_SECONDS)


def make_identity_store(settings: Settings) -> SqliteIdentities | PostgresIdentities:
    """Return where people are kept, and users' secrets: in Postgres where it is given."""
    given = settings.store
    if given.postgres_dsn is not None:
        dsn = given.postgres_dsn.get_secret_value()
        return PostgresIdentities(dsn, timeout=JOB_SECONDS, new_id=_person_id)
    return SqliteIdentities(sqlite_path(given.url), timeout=JOB_SECONDS, new_id=_person_id)


def make_session_store(settings: Settings) -> SessionStore:
    """Return where sessions are kept: in Redis where it is given."""
    given = settings.store
    if given.redis_url is not None:
        return RedisSessions(given.redis_url.get_secret_value(), timeout=given.timeout)
    return SqliteSessions(sqlite_path(given.url), timeout=given.timeout)


def make_sign_in_store(settings: Settings) -> SignInStore:
    """Return where sign-ins are that are under way: in Redis where it is given."""
    given = settings.store
    if given.redis_url is not None:
        return RedisSignIns(given.redis_url.get_secret_value(), timeout=given.timeout)
    return SqliteSignIns(sqlite_path(given.url), timeout=given.timeout)


def _person_id() -> str:
    return job_id(time.time(), os.urandom(10))


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


def store_kind(settings: Settings) -> str:
    """Return what the settings keep things in, in short: for log lines."""
    given = settings.store
    hot = "redis" if given.redis_url is not None else given.url.partition(":")[0]
    return f"{hot}+postgres" if given.postgres_dsn is not None else hot


def sqlite_path(url: str) -> Path:
    """Return the file of a store's ``sqlite:///PATH``."""
    return Path(url.removeprefix("sqlite:///"))
