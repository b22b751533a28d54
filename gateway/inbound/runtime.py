"""The receiving side of one process, put together: started and stopped as one."""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol

from gateway.errors import place_of
from gateway.inbound.archiving import Archiver
from gateway.inbound.background import Background
from gateway.inbound.batches import BatchConsumer
from gateway.inbound.bot import Bot, EventRoute
from gateway.inbound.commit import GroupCommit, TakeStep
from gateway.inbound.consumer import Consumer, Policy, Shared
from gateway.inbound.deliveries import Deliveries, Promise
from gateway.inbound.event_handlers import EventHandler
from gateway.inbound.forwarding import Forwarder
from gateway.inbound.ingest import Ingest
from gateway.inbound.late_replies import LateReplies, Pushes
from gateway.inbound.outbox import EVENT, Outbox, Subscription
from gateway.inbound.people import (
    FOLLOWER,
    GONE,
    PEOPLE,
    Forgetting,
    Learning,
    Learns,
    LookingUp,
)
from gateway.inbound.ports import Archive, DeadLetters, Store
from gateway.inbound.producers import Intake
from gateway.inbound.publishing import Publisher
from gateway.inbound.receipts import RECEIPT, Closes, ReceiptJoiner
from gateway.inbound.spilling import Spill, Spilling
from gateway.inbound.stored import BACKGROUND, CUSTOMER_SERVICE
from gateway.inbound.upstream import Upstream, with_upstreams
from gateway.protocol.account import Account
from gateway.telemetry.logs import get_logger
from gateway.telemetry.metrics import Metrics

_log = get_logger("gateway.inbound")

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
    content_types: Mapping[str, str]
    """The types of other producers' events, by what their content type is."""


class Stores(NamedTuple):
    """What this process keeps things in."""

    store: Store
    dead_letters: DeadLetters
    spill: Spill
    archive: Archive | None = None
    """Where every callback is kept; None where the settings do not ask for it."""
    take_step: TakeStep | None = None
    """What takes a step of the store without waiting, where the store is in this process."""

    async def close(self) -> None:
        """Let go of them all."""
        for one in (self.store, self.dead_letters, self.spill, self.archive):
            if one is not None:
                await one.close()


class Sink(NamedTuple):
    """A sink, with the events that it wants."""

    subscription: Subscription
    publisher: Publisher


class Pushing(NamedTuple):
    """The sending side, to what comes in."""

    push: Pushes
    """What late replies are handed over to."""
    closes: Closes
    """What receipts close."""


class Outside(NamedTuple):
    """Who gets events, or is asked about them, beside the bot."""

    sinks: Sequence[Sink]
    upstreams: Sequence[Upstream]
    pushing: Pushing | None = None
    """None where nothing can be pushed."""
    people: Learns | None = None
    """None where nobody is known."""


ALONE: Final = Outside((), ())


class _Consuming(Protocol):
    """Whoever empties a lane."""

    @property
    def lane(self) -> str:
        """The lane."""

    def wake(self) -> None:
        """Look into the lane now."""

    async def run(self) -> None:
        """Empty it until cancelled."""


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
        metrics: Metrics | None = None,
    ) -> None:
        """``name`` tells this process from all others: 8 random bytes."""
        metrics = metrics or Metrics()
        self._stores = stores
        self._spilling = Spilling(stores.store, stores.spill, keep=terms.keep, metrics=metrics)
        self._commit = GroupCommit(self._spilling.commit, stores.take_step)
        self._outside = outside
        sender = None if outside.people is None else outside.people.sender
        ingest = Ingest(with_upstreams(bot, outside.upstreams), sender, metrics)
        self._outbox = Outbox(
            (sink.subscription for sink in outside.sinks),
            archive=stores.archive is not None,
            receipts=outside.pushing is not None,
            note=None if outside.people is None else outside.people.note,
        )
        self.deliveries = Deliveries(
            ingest,
            self._commit,
            name,
            terms.promise,
            outbox=self._outbox,
            on_stored=self._wake,
            metrics=metrics,
        )
        self.intake = Intake(
            self._outbox, self._commit, name, terms.content_types, on_stored=self._wake
        )
        self._shared = Shared(
            stores.store,
            self._commit,
            stores.dead_letters,
            name,
            terms.policy,
            random.random,
            time.time,
            metrics,
        )
        self._concurrency = terms.concurrency
        self._lanes: list[str] = []
        self._consumers: dict[str, _Consuming] = {}
        self._consuming: list[asyncio.Task[None]] = []
        self.standing_still: list[str] = []
        """Lanes whose consumers ended though they should go on for ever."""
        self._loop: asyncio.AbstractEventLoop | None = None
        """None until the start."""
        background = Background(ingest, accounts, self._commit, name)
        self._consume(Consumer(BACKGROUND, background.handle, self._shared, terms.concurrency))
        for sink in outside.sinks:
            self._consume(Forwarder(sink.subscription.lane, sink.publisher, self._shared))
        if stores.archive is not None:
            self._consume(Archiver(stores.archive, self._shared, terms.archived))
        if outside.pushing is not None:
            replies = LateReplies(outside.pushing.push)
            receipts = ReceiptJoiner(outside.pushing.closes, time.time, metrics)
            self._consume(BatchConsumer(CUSTOMER_SERVICE, replies.hand_over, self._shared))
            self._consume(BatchConsumer(RECEIPT, receipts.join, self._shared))
        if outside.people is not None:
            learning, looking_up = Learning(outside.people), LookingUp(outside.people)
            self._consume(BatchConsumer(PEOPLE, learning.learn, self._shared))
            self._consume(BatchConsumer(FOLLOWER, looking_up.look_up, self._shared))
            forgetting = Forgetting(outside.people)
            self._consume(BatchConsumer(GONE, forgetting.forget, self._shared))
        for route in bot.event_routes():
            self._subscribe(route)
        bot.watch(self._subscribe_soon)

    def _subscribe_soon(self, route: EventRoute) -> None:
        """Let a handler have its events; it may be registered in another thread."""
        if self._loop is None:
            self._subscribe(route)
        else:
            self._loop.call_soon_threadsafe(self._subscribe, route)

    def _subscribe(self, route: EventRoute) -> None:
        """Let a handler of events have those that come from now on."""
        lane = EVENT + route.name
        handler = EventHandler(route.function)
        self._consume(Consumer(lane, handler.handle, self._shared, self._concurrency))
        self._outbox.subscribe(Subscription(lane, route.types))

    def _consume(self, consumer: _Consuming) -> None:
        """Empty a lane from now on, or from the start; not where that is left to others."""
        self._lanes.append(consumer.lane)
        if self._concurrency == 0:
            return
        self._consumers[consumer.lane] = consumer
        if self._loop is not None:
            self._run(consumer, self._loop)

    def _run(self, consumer: _Consuming, loop: asyncio.AbstractEventLoop) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                name, place = type(error).__name__, place_of(error)
                self.standing_still.append(f"lane {consumer.lane}")
                _log.critical("lane stands still", lane=consumer.lane, error=name, at=place)

        task = loop.create_task(consumer.run())
        task.add_done_callback(ended)
        self._consuming.append(task)

    async def start(self) -> None:
        """Begin to look after the store, and to consume."""
        await self._spilling.start()
        self._loop = asyncio.get_running_loop()
        for consumer in self._consumers.values():
            self._run(consumer, self._loop)

    async def stop(self) -> None:
        """Take nothing more, finish what is under way, let go of the stores."""
        self._loop = None
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

    def lanes(self) -> list[str]:
        """Return the lanes that something may be stored in, whoever empties them."""
        return [*self._lanes]

    def _wake(self) -> None:
        for consumer in self._consumers.values():
            consumer.wake()
