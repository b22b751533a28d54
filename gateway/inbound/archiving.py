"""The archive: every callback, kept where the settings ask for it, batch by batch."""

import asyncio
import time
from typing import Final

import msgspec

from gateway.errors import StoreDown
from gateway.identity.told import user_of
from gateway.inbound.claims import Entry
from gateway.inbound.consumer import DOWN_SECONDS, IDLE_SECONDS, Settlement, Shared
from gateway.inbound.context import Context
from gateway.inbound.ports import Archive, Callback
from gateway.protocol.messages import Message
from gateway.telemetry.logs import get_logger

_log = get_logger("gateway.inbound")

ARCHIVE: Final = "archive"
"""The archive's lane."""

BATCH: Final = 256
"""Callbacks kept at a time."""

UNREADABLE: Final = "unserialisable: it holds no callback"

PRUNE_SECONDS: Final = 3600.0
"""Between two looks for what is too old."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Callback)


def archive_entry(key: bytes, message: Message, context: Context) -> Entry:
    """Return the entry that brings a message with this dedupe key to the archive."""
    account, kind = context.account.name, type(message).__name__
    document = msgspec.json.encode(message.raw)
    callback = Callback(key.hex(), account, kind, user_of(message), context.arrived_at, document)
    return Entry(ARCHIVE, account, kind, _encoder.encode(callback))


class Archiver:
    """Moves callbacks from their lane into the archive, and out of it when they are too old."""

    lane = ARCHIVE

    def __init__(self, archive: Archive, shared: Shared, keep: float) -> None:
        """Keep them for ``keep`` seconds."""
        self._archive = archive
        # An archive that is down for long costs no callback its place.
        policy = shared.policy._replace(max_deliveries=1_000_000)
        self._shared = shared._replace(policy=policy)
        self._settlement = Settlement(ARCHIVE, self._shared)
        self._keep = keep
        self._pruned_at = 0.0

    def wake(self) -> None:
        """Do nothing: nobody waits for the archive."""

    async def run(self) -> None:
        """Archive until cancelled."""
        try:
            while True:
                pause = await self._step()
                await asyncio.sleep(pause)
        finally:
            await self._archive.close()

    async def _step(self) -> float:
        """Archive a batch; return how long to wait for the next one, in seconds."""
        try:
            taken = await self._shared.store.take(ARCHIVE, self._shared.name, BATCH)
            readable = await self._settlement.readable(taken, _decoder.decode, UNREADABLE)
            if readable:
                await self._archive.add([callback for _, callback in readable])
            await self._prune()
        except StoreDown as down:
            _log.warning("the archive waits", error=str(down))
            return DOWN_SECONDS
        await asyncio.gather(*(self._settlement.done(one) for one, _ in readable))
        return 0.0 if taken else IDLE_SECONDS

    async def _prune(self) -> None:
        now = time.monotonic()
        if now - self._pruned_at >= PRUNE_SECONDS or not self._pruned_at:
            await self._archive.prune(self._shared.clock() - self._keep)
            self._pruned_at = now
