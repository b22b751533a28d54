"""The tables in Postgres, brought up to date by numbered files of SQL, each applied once.

Every file is applied in a transaction together with its row in gateway_migrations, while a lock
keeps others out: a ``gateway migrate`` that dies has done each file whole or not at all.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final

from gateway.adapters.postgres_link import Connection, connect
from gateway.errors import SettingsError

CONNECT_SECONDS: Final = 10.0
"""How long migrate waits for the server; a migration itself may take as long as it needs."""

_LOCK: Final = 0x6761_7465_7761_79
"""The advisory lock's key: "gateway"."""

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS gateway_migrations (
    name text PRIMARY KEY,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""
_APPLIED: Final = "INSERT INTO gateway_migrations (name, checksum) VALUES ($1, $2)"


async def pending(dsn: str, within: float = CONNECT_SECONDS) -> list[str]:
    """Return the files that are not applied yet, in order.

    Raises StoreDown where Postgres cannot be reached within so many seconds, and SettingsError
    where the database is none of this gateway's.
    """
    async with connect(dsn, within) as database, asyncio.timeout(within):
        return await _pending(database)


async def migrate(dsn: str) -> AsyncIterator[str]:
    """Apply what is pending; yield each file's name when it is applied.

    Raises as ``pending`` does, and StoreDown where a file fails: nothing of that file is applied.
    """
    async with connect(dsn, CONNECT_SECONDS) as database:
        await database.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await database.execute(_TABLE)
        for name in await _pending(database):
            async with database.transaction():
                await database.execute(_migrations()[name])
                await database.execute(_APPLIED, name, _checksum(name))
            yield name


def script(names: Iterable[str]) -> str:
    """Return these files as one script, for those who apply them by hand: whole, or not at all."""
    steps = (
        f"{_migrations()[name].strip()}\n"
        "INSERT INTO gateway_migrations (name, checksum) "
        f"VALUES ('{name}', '{_checksum(name)}');\n"
        for name in names
    )
    return "\n".join([f"{_TABLE.strip()};\n", "BEGIN;", *steps, "COMMIT;\n"])


async def _pending(database: Connection) -> list[str]:
    applied: dict[str, str] = {}
    if await database.fetchval("SELECT to_regclass('gateway_migrations')") is not None:
        rows = await database.fetch("SELECT name, checksum FROM gateway_migrations")
        applied = {row["name"]: row["checksum"] for row in rows}
    for name, checksum in sorted(applied.items()):
        if name not in _migrations():
            raise SettingsError(
                "store.postgres_dsn: this database is newer than this gateway, which does not know "
                f"{name}; install the version of the gateway that made it"
            )
        if checksum != _checksum(name):
            raise SettingsError(
                f"store.postgres_dsn: {name} was changed after this database applied it; install "
                "the gateway again, and put what is to change into a new file"
            )
    return [name for name in _migrations() if name not in applied]


@cache
def _migrations() -> dict[str, str]:
    """Return the text of each file by its name, in order."""
    folder = files("gateway.adapters") / "migrations"
    found = {file.name: file for file in folder.iterdir() if file.name.endswith(".sql")}
    return {name: found[name].read_text(encoding="utf-8") for name in sorted(found)}


def _checksum(name: str) -> str:
    return sha256(_migrations()[name].encode()).hexdigest()
