"""Consumers of a lane that take its entries a batch at a time, for one round trip to elsewhere."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

from gateway.errors import StoreDown, place_of
from gateway.inbound.consumer import DOWN_SECONDS, IDLE_SECONDS, Settlement, Shared
from gateway.inbound.ports import Taken
from gateway.telemetry.logs import get_logger

_log = get_logger("gateway.inbound")

BATCH: Final = 256
"""Entries taken at a time."""

HandleBatch = Callable[[Sequence[Taken], Settlement], Awaitable[None]]
"""Handles entries, and settles each of them; raises StoreDown where they are to be taken again."""


class BatchConsumer:
    """Empties a lane, batch by batch."""

    def __init__(self, lane: str, handle: HandleBatch, shared: Shared) -> None:
        self.lane = lane
        self._handle = handle
        self._shared = shared
        self._settlement = Settlement(lane, shared)
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look into the lane now."""
        self._wake.set()

    async def run(self) -> None:
        """Empty it until cancelled."""
        while True:
            try:
                taken = await self._shared.take(self.lane, BATCH)
                if taken:
                    await self._see_to(taken)
                    continue
            except StoreDown as down:
                _log.warning("lane waits", lane=self.lane, error=str(down))
                await asyncio.sleep(DOWN_SECONDS)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(IDLE_SECONDS):
                    await self._wake.wait()
            self._wake.clear()

    async def _see_to(self, taken: Sequence[Taken]) -> None:
        try:
            await self._handle(taken, self._settlement)
        except StoreDown:
            # No fault of the entries', and no try of theirs.
            for one in taken:
                await self._settlement.postpone(one, DOWN_SECONDS)
            raise
        except Exception as error:
            # A bug: each of them is tried again, and buried where that was the last.
            name, place = type(error).__name__, place_of(error)
            _log.error("a batch failed", lane=self.lane, error=name, at=place)
            for one in taken:
                await self._settlement.failed(one, f"failed: {name}")
