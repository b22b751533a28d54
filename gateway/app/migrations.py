"""The migrations of the settings' Postgres, where they have one."""

from collections.abc import AsyncIterator, Iterable

from gateway.adapters import migrate
from gateway.errors import SettingsError
from gateway.settings import Settings


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
