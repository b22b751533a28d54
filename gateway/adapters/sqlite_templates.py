"""Templates that were given over the API, in the SQLite file."""

import sqlite3
from pathlib import Path
from typing import Final

from gateway.adapters.sqlite_file import SqliteFile

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS push_templates (
    name TEXT NOT NULL PRIMARY KEY,
    written BLOB NOT NULL
) STRICT;
"""
_PUT: Final = (
    "INSERT INTO push_templates VALUES (?, ?) "
    "ON CONFLICT (name) DO UPDATE SET written = excluded.written"
)


class SqliteTemplates:
    """The TemplateStore in a SQLite file."""

    def __init__(self, path: Path, *, timeout: float) -> None:
        """Wait ``timeout`` seconds for other processes that write."""
        self._file = SqliteFile(path, timeout, _SCHEMA)

    async def all(self) -> dict[str, bytes]:
        """Return each as it is written."""
        return await self._file.run(
            lambda database: dict(database.execute("SELECT name, written FROM push_templates"))
        )

    async def put(self, name: str, written: bytes) -> None:
        """Keep one."""
        await self._change(_PUT, (name, written))

    async def remove(self, name: str) -> bool:
        """Forget one."""
        return await self._change("DELETE FROM push_templates WHERE name = ?", (name,)) > 0

    async def close(self) -> None:
        """Close the file; twice does nothing."""
        await self._file.close()

    async def _change(self, statement: str, given: tuple[object, ...]) -> int:
        def change(database: sqlite3.Connection) -> int:
            self._file.begin(database, durable=True)
            changed = database.execute(statement, given).rowcount
            database.execute("COMMIT")
            return changed

        return await self._file.run(change)
