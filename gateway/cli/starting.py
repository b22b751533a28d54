"""What `serve` and `worker` look at before they start."""

import asyncio
from contextlib import suppress

from gateway.app.migrations import pending_migrations
from gateway.app.process import refuse_misfits
from gateway.app.stores import examine_stores
from gateway.app.templates import load_templates
from gateway.errors import SettingsError, StoreDown
from gateway.inbound.bot import Bot
from gateway.settings import Settings
from gateway.telemetry.logs import get_logger

_log = get_logger("gateway")


def look_first(settings: Settings, bot: Bot) -> None:
    """Raise SettingsError or TemplateWrong where nothing should start.

    Warn of what `gateway doctor` would mend.
    """
    refuse_misfits(settings, bot)
    load_templates(settings)
    asyncio.run(_look_at_stores(settings))


async def _look_at_stores(settings: Settings) -> None:
    """Refuse pending migrations.

    While Postgres cannot be reached it starts: messages need it only once they are given up.
    """
    names: list[str] = []
    with suppress(StoreDown):
        names = await pending_migrations(settings)
    if names:
        raise SettingsError(
            f"store.postgres_dsn: this database lacks {', '.join(names)}; run: gateway migrate"
        )
    for finding in await examine_stores(settings):
        if finding.fix:
            name, said, fix = finding
            _log.warning("a store has to be looked after", store=name, found=said, hint=fix)
