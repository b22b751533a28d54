"""The receiving side of one process, put together: started and stopped as one."""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from gateway.inbound.archiving import Archiver
from gateway.inbound.background import Background
from gateway.inbound.bot import Bot
from gateway.inbound.commit import GroupCommit
from gateway.inbound.consumer import Consumer, Policy, Shared
from gateway.inbound.deliveries import Deliveries, Promise
from gateway.inbound.event_handlers import EventHandler
from gateway.inbound.forwarding import Forwarder
from gateway.inbound.ingest import Ingest
from gateway.inbound.outbox import EVENT, Outbox, Subscription
from gateway.inbound.ports import Archive, DeadLetters, Store
from gateway.inbound.publishing import Publisher
from gateway.inbound.spilling import Spill, Spilling
from gateway.inbound.stored import BACKGROUND
from gateway.inbound.upstream import Upstream, with_upstreams
from gateway.protocol.account import Account

WAITS_TO_STOP: Final = 8.0
"""Seconds that a stop waits for what is under way; what is not done then is another process's."""


class Terms(NamedTuple):
    """What the settings say of the receiving side."""

    promise: Promise
    keep: float
    """Seconds that a message is remembered."""
    policy: Policy
    archived: float
    """Seconds that the archive keeps a callback."""
    concurrency: int
    """Background messages handled at a time; none with 0."""


class Stores(NamedTuple):
    """What this process keeps things in."""

    store: Store
    dead_letters: DeadLetters
    spill: Spill
    archive: Archive | None = None
    """Where every callback is kept; None where the settings do not ask for it."""

    async def close(self) -> None:
        """Let go of them all."""
        for one in self:
            if one is not None:
                await one.close()


class Sink(NamedTuple):
    """A sink, with the events that it wants."""

    subscription: Subscription
    publisher: Publisher


class Outside(NamedTuple):
    """Who gets events, or is asked about them, beside the bot."""

    sinks: Sequence[Sink]
    upstreams: Sequence[Upstream]


ALONE: Final = Outside((), ())


class Inbound:
    """Deliveries, consumers and the store's keeper of one process."""

    def __init__(
        self,
        bot: Bot,
        accounts: Mapping[str, Account],
        stores: Stores,
        terms: Terms,
        name: bytes,
        outside: Outside = ALONE,
    ) -> None:
        """``name`` tells this process from all others: 8 random bytes."""
        self._stores = stores
        self._spilling = Spilling(stores.store, stores.spill, keep=terms.keep)
        self._commit = GroupCommit(self._spilling.commit)
        self._outside = outside
        ingest = Ingest(with_upstreams(bot, outside.upstreams))
        outbox = Outbox(
            [
                *(Subscription(EVENT + route.name, route.types) for route in bot.event_routes()),
                *(sink.subscription for sink in outside.sinks),
            ],
            archive=stores.archive is not None,
        )
        self.deliveries = Deliveries(
            ingest,
            self._commit,
            name,
            terms.promise,
            outbox=outbox,
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
        handles = {BACKGROUND: background.handle} | {
            EVENT + route.name: EventHandler(route.function).handle for route in bot.event_routes()
        }
        consumers = [Consumer(lane, h, shared, terms.concurrency) for lane, h in handles.items()]
        forwarders = [Forwarder(s.subscription.lane, s.publisher, shared) for s in outside.sinks]
        everyone: list[Consumer | Forwarder | Archiver] = [*consumers, *forwarders]
        if stores.archive is not None:
            everyone.append(Archiver(stores.archive, shared, terms.archived))
        self._consumers = everyone if terms.concurrency else []
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
        for upstream in self._outside.upstreams:
            await upstream.asker.close()
        await self._stores.close()

    def status(self) -> dict[str, Any]:
        """Return how the store stands, for health: ``ok`` or ``degraded`` and why."""
        down, age = self._spilling.down, self._spilling.spilled_age()
        if not down and not age:
            return {"status": "ok"}
        return {"status": "degraded", "reason": down, "spilled_age_seconds": round(age, 1)}

    def _wake(self) -> None:
        for consumer in self._consumers:
            consumer.wake()
