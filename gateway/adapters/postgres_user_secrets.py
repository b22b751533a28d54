"""What is kept of users sealed, and where long work goes on, in Postgres."""

from collections.abc import Sequence
from typing import Final

from gateway.adapters.postgres_link import Link
from gateway.adapters.postgres_people import columns, user_of
from gateway.adapters.postgres_text import given, held
from gateway.identity.people import AppUser
from gateway.identity.ports import Secret

_KEEP: Final = """
INSERT INTO gateway_user_secrets (app_id, open_id, kind, sealed, until) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (app_id, open_id, kind) DO UPDATE
    SET sealed = excluded.sealed, until = excluded.until
"""
_SECRETS: Final = """
SELECT app_id, open_id, kind, sealed, until FROM unnest($1::text[], $2::text[])
    AS sought (app_id, open_id) JOIN gateway_user_secrets USING (app_id, open_id)
ORDER BY app_id, open_id, kind
"""
_PRUNE: Final = """
WITH old AS MATERIALIZED (
    SELECT app_id, open_id, kind FROM gateway_user_secrets WHERE until < $1
    ORDER BY app_id, open_id, kind FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM gateway_user_secrets s USING old
    WHERE (s.app_id, s.open_id, s.kind) = (old.app_id, old.open_id, old.kind) RETURNING 1
) SELECT count(*) FROM gone
"""
_NOTE: Final = """
INSERT INTO gateway_checkpoints (name, noted) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET noted = excluded.noted
"""


class PostgresUserSecrets:
    """The SecretStore and the Checkpoints in Postgres."""

    def __init__(self, link: Link) -> None:
        """Ask by the link's connections."""
        self._link = link

    async def keep_secret(self, secret: Secret) -> None:
        """Keep one, in place of any other of this user and kind."""
        (app_id, open_id), kind, *others = secret
        row = (held(app_id), held(open_id), held(kind), *others)
        await self._link.run(lambda database: database.execute(_KEEP, *row))

    async def secret(self, user: AppUser, kind: str) -> Secret | None:
        """Return one, though its time may be over."""
        return next((one for one in await self.secrets([user]) if one.kind == kind), None)

    async def secrets(self, users: Sequence[AppUser]) -> list[Secret]:
        """Return all that these users have."""
        sought = columns([(held(user.app_id), held(user.open_id)) for user in {*users}], 2)
        rows = await self._link.run(lambda database: database.fetch(_SECRETS, *sought))
        return [Secret(user_of(row), given(row[2]), row[3], row[4]) for row in map(tuple, rows)]

    async def prune_secrets(self, before: float) -> int:
        """Remove those whose time was over before that."""
        return int(await self._link.run(lambda database: database.fetchval(_PRUNE, before)))

    async def checkpoint(self, name: str) -> bytes | None:
        """Return what was noted last."""
        query = "SELECT noted FROM gateway_checkpoints WHERE name = $1"
        noted: bytes | None = await self._link.run(
            lambda database: database.fetchval(query, held(name))
        )
        return noted

    async def note_checkpoint(self, name: str, noted: bytes | None) -> None:
        """Note how far it is."""
        removal = "DELETE FROM gateway_checkpoints WHERE name = $1"
        await self._link.run(
            lambda database: (
                database.execute(removal, held(name))
                if noted is None
                else database.execute(_NOTE, held(name), noted)
            )
        )
