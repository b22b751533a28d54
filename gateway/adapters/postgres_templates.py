"""Templates that were given over the API, in Postgres."""

from typing import Final

from gateway.adapters.postgres_link import Link

_PUT: Final = """
INSERT INTO gateway_push_templates (name, written) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET written = excluded.written
"""
_REMOVE: Final = "DELETE FROM gateway_push_templates WHERE name = $1 RETURNING true"


class PostgresTemplates:
    """The TemplateStore in Postgres."""

    def __init__(self, dsn: str, *, timeout: float) -> None:
        """A call that takes longer than ``timeout`` seconds raises StoreDown."""
        self._link = Link(dsn, timeout)

    async def all(self) -> dict[str, bytes]:
        """Return each as it is written."""
        statement = "SELECT name, written FROM gateway_push_templates"
        rows = await self._link.run(lambda database: database.fetch(statement))
        return {row[0]: row[1] for row in rows}

    async def put(self, name: str, written: bytes) -> None:
        """Keep one."""
        await self._link.run(lambda database: database.execute(_PUT, name, written))

    async def remove(self, name: str) -> bool:
        """Forget one."""
        return bool(await self._link.run(lambda database: database.fetchval(_REMOVE, name)))

    async def close(self) -> None:
        """Close the connections; twice does nothing."""
        await self._link.close()
