"""What became of messages is kept for a time, and then removed."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from gateway.errors import StoreDown
from gateway.telemetry.logs import get_logger

_log = get_logger("gateway.outbound")

PRUNE_SECONDS: Final = 3600.0
"""Between two looks for what is too old."""


class Prunes(Protocol):
    """Removes jobs: JobRecords."""

    async def prune(self, before: float) -> int:
        """Remove those that were created before this time and have ended; return how many."""


async def prune_for_ever(records: Prunes, keep: float, clock: Callable[[], float]) -> None:
    """Remove what ended and is older than ``keep`` seconds, every hour, until cancelled."""
    while True:
        try:
            removed = await records.prune(clock() - keep)
        except StoreDown as down:
            _log.warning("what is too old is removed later", error=str(down))
        else:
            if removed:
                _log.info("messages that were pushed long ago are forgotten", count=removed)
        await asyncio.sleep(PRUNE_SECONDS)
