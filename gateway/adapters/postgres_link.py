"""Connections to Postgres, and what is said where it does not answer: never the DSN."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, NoReturn, TypeAlias, TypeVar, cast

import asyncpg
from asyncpg import exceptions as pg

from gateway.errors import StoreDown

_T = TypeVar("_T")

# These are generic to type checkers only.
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
_Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

_APPLICATION: Final = {"application_name": "wechat-gateway"}
_MAX_CONNECTIONS: Final = 4
"""Of one pool: batches come one after another, most often."""

_FIX: Final = "does it run where store.postgres_dsn says, and may this machine reach it?"
_FIXES: Final[tuple[tuple[tuple[type[BaseException], ...], str], ...]] = (
    ((pg.UndefinedTableError, pg.UndefinedColumnError), "run: gateway migrate"),
    (
        (pg.InvalidAuthorizationSpecificationError, pg.InvalidCatalogNameError),
        "give the right user, password and database in store.postgres_dsn",
    ),
    (
        (pg.DuplicateTableError,),
        "something of that name is there that gateway migrate did not make: rename or drop it",
    ),
    ((pg.InsufficientPrivilegeError,), "grant its user the right to the gateway's tables"),
    ((pg.InsufficientResourcesError,), "free its disk or memory, or raise its max_connections"),
    ((pg.ReadOnlySQLTransactionError,), "store.postgres_dsn must name the primary, not a standby"),
    ((pg.DataError,), "a value that it cannot hold: please report this as a bug of the gateway"),
    ((OSError, pg.PostgresError), _FIX),
    (
        (ValueError, pg.ClientConfigurationError),
        (
            "write store.postgres_dsn as postgresql://USER:PASSWORD@HOST[:PORT]/DATABASE, the "
            "password percent-encoded"
        ),
    ),
    ((pg.InterfaceError,), _FIX),
)


class Link:
    """A pool of connections, opened when they are needed; a lost one is opened again."""

    def __init__(self, dsn: str, timeout: float, session: str = "") -> None:
        """A call that is not done within ``timeout`` seconds raises StoreDown.

        ``session`` is what each connection is told first.
        """
        self._dsn = dsn
        self._timeout = timeout
        self._session = session
        self._pool: _Pool | None = None

    async def run(self, work: Callable[[Connection], Awaitable[_T]]) -> _T:
        """Do ``work`` with a connection; raise StoreDown where Postgres does not let it."""
        try:
            async with asyncio.timeout(self._timeout):
                pool = await self._open()
                connection = await pool.acquire()
                try:
                    return await work(cast("Connection", connection))
                except BaseException:
                    # Nobody knows what still comes through it, if anything does.
                    connection.terminate()
                    raise
                finally:
                    await pool.release(connection)
        except Exception as wrong:
            down(wrong, self._timeout)

    async def close(self) -> None:
        """Close the connections; twice does nothing."""
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                async with asyncio.timeout(self._timeout):
                    await pool.close()
            except (OSError, pg.PostgresError, pg.InterfaceError):
                pool.terminate()

    async def _open(self) -> _Pool:
        if self._pool is None:
            self._pool = asyncpg.create_pool(
                self._dsn,
                min_size=0,
                max_size=_MAX_CONNECTIONS,
                # Statements here leave nothing behind, and asking would be another round trip.
                reset=_leave,
                init=self._prepare,
                server_settings=_APPLICATION,
            )
        return await self._pool

    async def _prepare(self, connection: Any) -> None:
        if self._session:
            await connection.execute(self._session)


@asynccontextmanager
async def connect(dsn: str, within: float) -> AsyncIterator[Connection]:
    """Give a connection of its own, opened within so many seconds."""
    try:
        async with asyncio.timeout(within):
            connection = await asyncpg.connect(dsn, server_settings=_APPLICATION)
    except Exception as wrong:
        down(wrong, within)
    try:
        yield connection
    except (OSError, pg.PostgresError, pg.InterfaceError) as wrong:
        connection.terminate()
        down(wrong, within)
    finally:
        with suppress(OSError, pg.PostgresError, pg.InterfaceError):
            await connection.close(timeout=within)


def down(wrong: Exception, timeout: float) -> NoReturn:
    """Raise the StoreDown for what went wrong, if that was the server, the network or the DSN."""
    fix = next((fix for kinds, fix in _FIXES if isinstance(wrong, kinds)), None)
    if fix is None:
        raise wrong
    raise StoreDown(f"Postgres: {_said(wrong, timeout)}; {fix}") from None


def _said(wrong: Exception, timeout: float) -> str:
    if isinstance(wrong, TimeoutError):
        return f"no answer within {timeout:g} s"
    if isinstance(wrong, OSError):
        return str(wrong)
    if isinstance(wrong, pg.PostgresError) and not isinstance(wrong, pg.DataError):
        # The server's message alone: its details may hold what is in a row.
        return str(getattr(wrong, "message", None) or wrong)
    # The message may hold parts of the DSN, or what a user wrote.
    return type(wrong).__name__


async def _leave(_connection: Any) -> None:
    """Leave a connection as it is."""


class Listener:
    """A connection of its own that hears what is notified; where it is lost, waiting is all."""

    def __init__(self, dsn: str, timeout: float, channel: str) -> None:
        """Connecting takes ``timeout`` seconds at most."""
        self._dsn = dsn
        self._timeout = timeout
        self._channel = channel
        self._heard = asyncio.Event()
        self._connection: Connection | None = None

    async def wait(self, seconds: float) -> None:
        """Return when something is notified that was not waited for yet, or after so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._listen()
                await self._heard.wait()
        except TimeoutError:
            pass
        except (OSError, pg.PostgresError, pg.InterfaceError):
            await asyncio.sleep(seconds)
        self._heard.clear()

    async def close(self) -> None:
        """Close the connection; twice does nothing."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(OSError, pg.PostgresError, pg.InterfaceError):
                await connection.close(timeout=self._timeout)

    async def _listen(self) -> None:
        if self._connection is not None and not self._connection.is_closed():
            return
        connection = await asyncpg.connect(
            self._dsn, timeout=self._timeout, server_settings=_APPLICATION
        )
        try:
            await connection.add_listener(self._channel, self._hear)
        except BaseException:
            connection.terminate()
            raise
        self._connection = connection
        # Something may have been notified while nobody listened.
        self._heard.set()

    def _hear(self, *_notified: object) -> None:
        self._heard.set()
