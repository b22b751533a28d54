"""The receiving side of one process, put together: started and stopped as one."""

import asyncio
import random
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from gateway.inbound.background import Background
from gateway.inbound.bot import Bot
from gateway.inbound.commit import GroupCommit
from gateway.inbound.consumer import Consumer, Policy, Shared
from gateway.inbound.deliveries import Deliveries, LateReply
from gateway.inbound.ingest import Ingest
from gateway.inbound.ports import DeadLetters, Store
from gateway.inbound.spilling import Spill, Spilling
from gateway.inbound.stored import BACKGROUND
from gateway.protocol.account import Account

WAITS_TO_STOP: Final = 8.0
"""Seconds that a stop waits for what is under way; what is not done then is another process's."""


class Terms(NamedTuple):
    """What the settings say of the receiving side."""

    reply_deadline: float
    late_reply: LateReply
    keep: float
    """Seconds that a message is remembered."""
    policy: Policy
    concurrency: int
    """Background messages handled at a time; none with 0."""


class Stores(NamedTuple):
    """What this process keeps things in."""

    store: Store
    dead_letters: DeadLetters
    spill: Spill


class Inbound:
    """Deliveries, consumers and the store's keeper of one process."""

    def __init__(
        self,
        bot: Bot,
        accounts: Mapping[str, Account],
        stores: Stores,
        terms: Terms,
        name: bytes,
    ) -> None:
        """``name`` tells this process from all others: 8 random bytes."""
        self._stores = stores
        self._spilling = Spilling(stores.store, stores.spill, keep=terms.keep)
        self._commit = GroupCommit(self._spilling.commit)
        ingest = Ingest(bot)
        self.deliveries = Deliveries(
            ingest,
            self._commit,
            name,
            deadline=terms.reply_deadline,
            late_reply=terms.late_reply,
            on_stored=self._wake,
        )
        shared = Shared(
            stores.store,
            self._commit,
            stores.dead_letters,
            name,
            terms.policy,
            random.random,
            time.time,
        )
        background = Background(ingest, accounts, self._commit, name)
        self._consumers = [
            Consumer(lane, handle, shared, terms.concurrency)
            for lane, handle in ((BACKGROUND, background.handle),)
            if terms.concurrency
        ]
        self._consuming: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to look after the store, and to consume."""
        await self._spilling.start()
        self._consuming = [asyncio.create_task(consumer.run()) for consumer in self._consumers]

    async def stop(self) -> None:
        """Take nothing more, finish what is under way, let go of the stores."""
        for task in self._consuming:
            task.cancel()
        if self._consuming:
            await asyncio.wait(self._consuming, timeout=WAITS_TO_STOP)
        with suppress(TimeoutError):
            async with asyncio.timeout(WAITS_TO_STOP):
                await self._commit.flush()
        await self._spilling.close()
        for store in self._stores:
            await store.close()

    def status(self) -> dict[str, Any]:
        """Return how the store stands, for health: ``ok`` or ``degraded`` and why."""
        down, age = self._spilling.down, self._spilling.spilled_age()
        if not down and not age:
            return {"status": "ok"}
        return {"status": "degraded", "reason": down, "spilled_age_seconds": round(age, 1)}

    def _wake(self) -> None:
        for consumer in self._consumers:
            consumer.wake()
