"""What is kept of users sealed, and where long work goes on, in the SQLite file of the people."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from gateway.adapters.sqlite_file import SqliteFile
from gateway.identity.people import AppUser
from gateway.identity.ports import Secret

_T = TypeVar("_T")

_KEEP: Final = (
    "INSERT INTO user_secrets VALUES (?, ?, ?, ?, ?) ON CONFLICT (app_id, open_id, kind) "
    "DO UPDATE SET sealed = excluded.sealed, until = excluded.until"
)
_OF_USER: Final = (
    "SELECT kind, sealed, until FROM user_secrets WHERE app_id = ? AND open_id = ? ORDER BY kind"
)
_NOTE: Final = (
    "INSERT INTO checkpoints VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET noted = excluded.noted"
)


class SqliteUserSecrets:
    """The SecretStore and the Checkpoints in a SQLite file that has the tables of people."""

    def __init__(self, file: SqliteFile) -> None:
        """Write to the file, and read from it."""
        self._file = file

    async def keep_secret(self, secret: Secret) -> None:
        """Keep one, in place of any other of this user and kind."""
        await self._change(_KEEP, [(*secret.user, *secret[1:])])

    async def secret(self, user: AppUser, kind: str) -> Secret | None:
        """Return one, though its time may be over."""
        return next((one for one in await self.secrets([user]) if one.kind == kind), None)

    async def secrets(self, users: Sequence[AppUser]) -> list[Secret]:
        """Return all that these users have."""

        def read(database: sqlite3.Connection) -> list[Secret]:
            return [
                Secret(user, *row)
                for user in dict.fromkeys(users)
                for row in database.execute(_OF_USER, user)
            ]

        return await self._file.run(read)

    async def prune_secrets(self, before: float) -> int:
        """Remove those whose time was over before that."""
        return await self._change("DELETE FROM user_secrets WHERE until < ?", [(before,)])

    async def checkpoint(self, name: str) -> bytes | None:
        """Return what was noted last."""
        query = "SELECT noted FROM checkpoints WHERE name = ?"
        found: tuple[bytes] | None = await self._file.run(
            lambda database: database.execute(query, (name,)).fetchone()
        )
        return None if found is None else found[0]

    async def note_checkpoint(self, name: str, noted: bytes | None) -> None:
        """Note how far it is."""
        if noted is None:
            await self._change("DELETE FROM checkpoints WHERE name = ?", [(name,)])
        else:
            await self._change(_NOTE, [(name, noted)])

    async def _change(self, statement: str, rows: Sequence[Sequence[object]]) -> int:
        """Do the statement with each of the rows; return how many rows of its table it changed."""
        # The cursor stays in its thread: let go of elsewhere, it would reset the statement in use.
        return await self._write(lambda database: database.executemany(statement, rows).rowcount)

    async def _write(self, change: Callable[[sqlite3.Connection], _T]) -> _T:
        """Make a change in a transaction of its own, which is on the disk behind it."""

        def work(database: sqlite3.Connection) -> _T:
            self._file.begin(database, durable=True)
            changed = change(database)
            database.execute("COMMIT")
            return changed

        return await self._file.run(work)
