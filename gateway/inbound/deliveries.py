"""Each message is handled once and answered once, however often it is delivered.

The first delivery that claims a message runs its handler. Another one that comes meanwhile waits
for the same reply, in this process or any other; one that comes later gets it from memory or the
store. The reply that is not there in time goes by the settings' ``late_reply``.
"""

import asyncio
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Final, NamedTuple

from msgspec.structs import replace

from gateway.errors import GatewayError, StoreDown
from gateway.inbound.claims import (
    LEASE_SECONDS,
    Claim,
    Entry,
    Finish,
    GiveUp,
    Outcome,
    Release,
    Renew,
    State,
)
from gateway.inbound.commit import GroupCommit
from gateway.inbound.context import Context
from gateway.inbound.ingest import Ingest
from gateway.inbound.outbox import NOBODY, Outbox
from gateway.inbound.router import Match
from gateway.inbound.stored import store_message, store_reply
from gateway.protocol.callback import SUCCESS
from gateway.protocol.messages import Message
from gateway.protocol.replies import Reply
from gateway.telemetry.logs import get_logger
from gateway.telemetry.message_trace import HandlerSpan
from gateway.telemetry.metrics import Metrics

_log = get_logger("gateway.inbound")

TRIES: Final = 3
"""How often WeChat delivers a message (PROTOCOL 3)."""

WAITS: Final = 5.0
"""Seconds that WeChat waits for an answer (PROTOCOL 3)."""

LAST_AFTER: Final = (TRIES - 1) * WAITS - 0.5
"""A delivery that comes these seconds after the first is the last one, whatever was counted: one
of those before it may never have arrived."""

HOLD: Final = WAITS + 0.5
"""Seconds after which a delivery that was left to the next one is let go: WeChat is gone."""

RETRY_LATE: Final = 0.2
"""Seconds between two tries to bring a late reply to a store that is down."""

KEEPS_LATE: Final = 60.0
"""Seconds for which that is tried. A message that was given up is stored, and handled again."""

SWEEP: Final = 0.1
"""Seconds between two looks at what runs."""

MAX_RECENT: Final = 4096
"""Replies that a process remembers itself."""

_FRESH: Final = State.FRESH
_IN_FLIGHT: Final = State.IN_FLIGHT
_DONE: Final = State.DONE
_CLAIMED: Final = {state: {"gateway.claim": state.name.lower()} for state in State}

_POLL: Final = (0.05, 0.5)
"""Seconds between two looks at another process's claim: at first, and at most."""


class LateReply(StrEnum):
    """What becomes of a reply that is not there by the deadline."""

    JOIN = "join"
    CUSTOMER_SERVICE = "customer_service"
    SUCCESS = "success"


class Promise(NamedTuple):
    """When a delivery is answered at the latest, and with what."""

    deadline: float
    """Seconds."""
    late_reply: LateReply


class Delivery(Context):
    """One delivery of a message, as it came in; what its handler knows of it, too."""

    __slots__ = ("message",)

    message: Message

    @abstractmethod
    def age(self) -> float:
        """Return how many seconds after its message this was sent, by WeChat's clock; 0 unknown."""

    @abstractmethod
    def seal(self, reply: Reply | None) -> bytes:
        """Return the body that answers with this reply."""

    @abstractmethod
    def answer(self, body: bytes) -> None:
        """Answer, unless it is answered already."""


class _Run:
    """A message that this process handles, or waits for."""

    def __init__(self, delivery: Delivery, started: float) -> None:
        self.delivery = delivery
        self.started = started

    # Of the class until they change, which for most messages they never do.
    renewed = 0.0
    """When its claim was renewed; 0 before the first time."""
    attempt = 1
    age = 0.0
    """Seconds that the message was old at the start."""
    handling = False
    overdue = False
    ended: asyncio.Future[None] | None = None
    """Made by the first that waits for the end."""


class Deliveries:
    """Answers deliveries."""

    def __init__(
        self,
        ingest: Ingest,
        commit: GroupCommit,
        owner: bytes,
        promise: Promise,
        *,
        outbox: Outbox = NOBODY,
        on_stored: Callable[[], None] = lambda: None,
        metrics: Metrics | None = None,
    ) -> None:
        """``owner`` names this process to the store; ``on_stored`` wakes its consumers."""
        self._metrics = metrics or Metrics()
        self._ingest = ingest
        self._commit = commit
        self._owner = owner
        self._deadline, self._late_reply = promise
        self._outbox = outbox
        self._on_stored = on_stored
        self._runs: dict[bytes, _Run] = {}
        self._recent: dict[bytes, bytes] = {}
        self._oldest: deque[bytes] = deque()
        """The keys of what is recent, in the order in which they go."""
        self._sweeping = False
        self._giving_up: set[asyncio.Task[None]] = set()

    async def answer(self, delivery: Delivery) -> None:
        """Answer a delivery, or leave it to the next one.

        Raises HandlerFailed where the handler did, and StoreDown where nothing durable takes what
        must not be lost; the message is free for the next delivery then.
        """
        key, arrived = delivery.key, time.monotonic()
        again = False
        while True:
            reply = self._recent.get(key)
            if reply is not None:
                if not again:
                    self._metrics.duplicates.add((delivery.account.name, "done"))
                delivery.answer(reply)
                return
            run = self._runs.get(key)
            if run is None:
                run = self._runs[key] = _Run(delivery, arrived)
                if not self._sweeping:
                    self._watch()
                try:
                    ended = await self._lead(run, again)
                finally:
                    del self._runs[key]
                    if run.ended is not None and not run.ended.done():
                        run.ended.set_result(None)
            else:
                if not again:
                    self._metrics.duplicates.add((delivery.account.name, "in_flight"))
                ended = await self._join(run, delivery, arrived)
            if ended:
                return
            again = True

    async def is_changed(self, request: bytes, body: bytes) -> bool:
        """Tell whether a request came before with another body; both are digests."""
        outcome = await self._commit.submit(Claim(request, self._owner, reply=body))
        return outcome.state is State.DONE and outcome.reply != body

    async def _lead(self, run: _Run, again: bool) -> bool:
        """Claim the message for this process; return whether its delivery is done with."""
        delivery = run.delivery
        match = self._ingest.find(delivery.message)
        entries: tuple[Entry, ...] = ()
        if self._outbox.is_wanted:
            entries = self._outbox.entries(delivery.key, delivery.message, delivery)
        reply = b""
        if match.route.background:
            entries += (store_message(delivery.key, delivery.message, delivery),)
            reply = delivery.seal(match.route.instant)
        claim = Claim(delivery.key, self._owner, entries, reply, again)
        take = self._commit.take_step
        outcome = await self._commit.submit(claim) if take is None else take(claim)
        if delivery.trace is not None:
            delivery.trace.step("claim", _CLAIMED[outcome.state])
        if outcome.state is not _FRESH and not again:
            found = "done" if outcome.state is _DONE else "in_flight"
            self._metrics.duplicates.add((delivery.account.name, found))
        if outcome.state is _IN_FLIGHT:
            outcome = await self._wait(run, replace(claim, again=True), outcome)
        if outcome.state is _FRESH and not reply:
            if entries:
                self._on_stored()
            run.attempt, run.age = outcome.attempt, outcome.age
            return await self._handle(run, match)
        if outcome.state is _DONE:
            self._know(delivery, outcome.reply)
        elif outcome.state is _FRESH:
            self._know(delivery, reply)
            self._on_stored()
        # Else it is left to the next delivery.
        return True

    async def _handle(self, run: _Run, match: Match) -> bool:
        """Run the handler and answer with what it returns."""
        delivery = run.delivery
        delivery.attempt = run.attempt
        run.handling = True
        try:
            if delivery.trace is None:
                reply = await self._ingest.answer(match, delivery.message, delivery)
            else:
                with HandlerSpan(delivery.trace, match.route.handler.name):
                    reply = await self._ingest.answer(match, delivery.message, delivery)
            body = delivery.seal(reply)
        except BaseException:
            self._commit.post(Release(delivery.key, self._owner))
            raise
        if time.monotonic() - run.started < self._deadline and not run.overdue:
            # Nobody can have given the message up yet, so the reply need not wait for the store.
            run.handling = False
            self._know(delivery, body)
            self._commit.post(Finish(delivery.key, self._owner, body))
            return True
        late: tuple[Entry, ...] = ()
        if self._late_reply is not LateReply.SUCCESS:
            late = store_reply(delivery, delivery.message, reply)
        outcome = await self._finish_late(Finish(delivery.key, self._owner, body, late))
        run.handling = False
        if outcome.state is not State.DONE:
            # The lease ran out, and another delivery handles it.
            return False
        self._know(delivery, outcome.reply)
        if late and outcome.reply != body:
            self._on_stored()
        return True

    async def _finish_late(self, step: Finish) -> Outcome:
        """Give a reply that is late; where only the store can decide what becomes of it, wait.

        Deliveries that come meanwhile join, and the last of them gives the message up.
        """
        until = time.monotonic() + KEEPS_LATE
        while True:
            try:
                return await self._commit.submit(step)
            except StoreDown:
                if time.monotonic() >= until:
                    raise
                await asyncio.sleep(RETRY_LATE)

    async def _join(self, run: _Run, delivery: Delivery, arrived: float) -> bool:
        """Wait for a run of this process; return whether this delivery is done with."""
        run.attempt += 1
        if run.ended is None:
            run.ended = asyncio.get_running_loop().create_future()
        age = max(run.age + arrived - run.started, delivery.age())
        last = self._is_last(run.attempt, age)
        await asyncio.wait([run.ended], timeout=self._patience(last, arrived))
        if run.ended.done():
            return False
        if last:
            await self._give_up(delivery)
        return True

    async def _wait(self, run: _Run, claim: Claim, outcome: Outcome) -> Outcome:
        """Wait for another process's reply, or for its claim; return what it comes to."""
        run.attempt, run.age = outcome.attempt, outcome.age
        last = self._is_last(outcome.attempt, max(outcome.age, run.delivery.age()))
        pause, most = _POLL
        while outcome.state is State.IN_FLIGHT:
            left = self._patience(last, run.started)
            if left <= 0:
                if last:
                    await self._give_up(run.delivery)
                return outcome
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, most)
            outcome = await self._commit.submit(claim)
        return outcome

    def _is_last(self, attempt: int, age: float) -> bool:
        """Tell whether no delivery will come after this one that could carry the reply."""
        return self._late_reply is not LateReply.JOIN or attempt >= TRIES or age >= LAST_AFTER

    def _patience(self, last: bool, arrived: float) -> float:
        return arrived + (self._deadline if last else HOLD) - time.monotonic()

    async def _give_up(self, delivery: Delivery) -> None:
        """Answer without the handler's reply; the message is stored, in case the handler dies."""
        entry = store_message(
            delivery.key,
            delivery.message,
            delivery,
            late=True,
            with_reply=self._late_reply is not LateReply.SUCCESS,
            # Nobody else may have it while its claim holds.
            delay=2 * LEASE_SECONDS,
        )
        outcome = await self._commit.submit(GiveUp(delivery.key, SUCCESS, entry))
        self._metrics.late_replies.add((delivery.account.name,))
        delivery.answer(outcome.reply)

    def _know(self, delivery: Delivery, reply: bytes) -> None:
        """Answer, and remember the answer for later deliveries."""
        self._recent[delivery.key] = reply
        self._oldest.append(delivery.key)
        if len(self._oldest) > MAX_RECENT:
            self._recent.pop(self._oldest.popleft(), None)
        delivery.answer(reply)

    def _watch(self) -> None:
        self._sweeping = True
        asyncio.get_running_loop().call_later(SWEEP, self._sweep)

    def _sweep(self) -> None:
        """Renew the claims of what runs long; give up what is overdue."""
        now = time.monotonic()
        for run in self._runs.values():
            if not run.handling:
                continue
            if now - (run.renewed or run.started) >= LEASE_SECONDS / 3:
                run.renewed = now
                self._commit.post(Renew(run.delivery.key, self._owner))
            if now - run.started >= self._deadline and not run.overdue:
                run.overdue = True
                if self._is_last(run.attempt, max(run.age, run.delivery.age())):
                    self._start_giving_up(run.delivery)
        self._sweeping = bool(self._runs)
        if self._sweeping:
            asyncio.get_running_loop().call_later(SWEEP, self._sweep)

    def _start_giving_up(self, delivery: Delivery) -> None:
        task = asyncio.get_running_loop().create_task(self._give_up(delivery))
        self._giving_up.add(task)
        task.add_done_callback(self._gave_up)

    def _gave_up(self, task: asyncio.Task[None]) -> None:
        self._giving_up.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            told = str(error) if isinstance(error, GatewayError) else type(error).__name__
            _log.warning("a late reply was left to WeChat's next try", error=told)
