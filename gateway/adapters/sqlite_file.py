"""A SQLite file and the one thread that works on it; several processes of a machine may share it.

Nothing is opened before it is needed, so that what goes wrong is told to whoever asked for it.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

from gateway.errors import StoreDown

_T = TypeVar("_T")


class Column(NamedTuple):
    """A column that files of older releases lack."""

    table: str
    name: str
    declared: str
    indexed: str = ""
    """The statement that makes its index."""


class SqliteFile:
    """A file of tables that are made where they are missing; every failure is StoreDown."""

    def __init__(
        self, path: Path, timeout: float, schema: str, columns: Sequence[Column] = ()
    ) -> None:
        """Wait ``timeout`` seconds for other processes that write."""
        self._columns = columns
        self._path = path
        self._timeout = timeout
        self._schema = schema
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self._durable = False

    async def run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Do ``work`` in the file's thread; what it leaves uncommitted by an error is undone."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._do, work)
        except (sqlite3.Error, OSError) as wrong:
            raise StoreDown(
                f"SQLite {self._path}: {wrong}; is the disk full, may the gateway's user write "
                "there, does another program hold the file?"
            ) from None

    async def close(self) -> None:
        """Close the file; twice does nothing."""

        def close() -> None:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

        if not self._closed:
            self._closed = True
            await asyncio.get_running_loop().run_in_executor(self._thread, close)
            self._thread.shutdown()

    def begin(self, database: sqlite3.Connection, *, durable: bool) -> None:
        """Begin to write, within ``work``; a ``durable`` transaction waits for the disk."""
        if durable is not self._durable:
            database.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._durable = durable
        database.execute("BEGIN IMMEDIATE")

    def _do(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        database = self._connection or self._open()
        try:
            return work(database)
        except BaseException:
            rollback(database)
            raise

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self._path, timeout=self._timeout, isolation_level=None)
        try:
            self._prepare(database)
        except BaseException:
            database.close()
            raise
        self._durable = False
        self._connection = database
        return database

    def _prepare(self, database: sqlite3.Connection) -> None:
        """Make the file what it has to be; wait for others who are about the same."""
        until = time.monotonic() + self._timeout
        while True:
            try:
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("PRAGMA synchronous = NORMAL")
                # What is removed is written over: open ids and what users wrote are among it.
                database.execute("PRAGMA secure_delete = ON")
                database.executescript(self._schema)
                for column in self._columns:
                    _add(database, column)
                return
            except sqlite3.OperationalError:
                # SQLite itself does not wait where several make a new file a WAL one at once.
                if time.monotonic() > until:
                    raise
                time.sleep(0.01)


def _add(database: sqlite3.Connection, column: Column) -> None:
    table, name, declared, indexed = column
    known = "SELECT 1 FROM pragma_table_info(?) WHERE name = ?"
    if not database.execute(known, (table, name)).fetchone():
        try:
            database.execute(f"ALTER TABLE {table} ADD COLUMN {name} {declared}")
        except sqlite3.OperationalError:
            # Another process did so meanwhile.
            if not database.execute(known, (table, name)).fetchone():
                raise
    if indexed:
        database.execute(indexed)


def rollback(database: sqlite3.Connection) -> None:
    """Undo what is not committed, if anything."""
    if database.in_transaction:
        database.execute("ROLLBACK")
