"""Consumers: they take a lane's entries, handle them, and see to it that each one ends somewhere.

An entry ends handled or as a dead letter, whatever dies meanwhile: it is held by a lease that its
consumer renews, and taken by another one when that runs out. So it may be handled twice, never not
at all.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple, TypeVar

from gateway.backoff import full_jitter
from gateway.errors import StoreDown, place_of
from gateway.inbound.claims import Ack, Entry, Hold, Retry
from gateway.inbound.commit import GroupCommit
from gateway.inbound.ports import ENTRY_LEASE_SECONDS, DeadLetter, DeadLetters, Store, Taken
from gateway.telemetry.logs import get_logger
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tap import TAP, Happening

_log = get_logger("gateway.inbound")

_T = TypeVar("_T")

IDLE_SECONDS: Final = 0.1
"""Between two looks into an empty lane; what this process stores itself is seen at once."""

DOWN_SECONDS: Final = 0.5
"""Between two tries of a store that is down."""


class Policy(NamedTuple):
    """How often an entry is tried, and how long it waits in between."""

    max_deliveries: int
    base: float
    cap: float

    def pause(self, deliveries: int, random: float) -> float:
        """Return the seconds before the next try; ``random`` is in [0, 1)."""
        return full_jitter(deliveries, self.base, self.cap, random)


class Later(Exception):
    """An entry's time has not come: it is put back for ``seconds``, and no try is counted."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Never(Exception):
    """No try will succeed; ``reason`` is for the dead letter: a code, and what a person needs."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


Handle = Callable[[Taken], Awaitable[tuple[Entry, ...]]]
"""Handles an entry; returns what is to be stored when it is done with."""


class Shared(NamedTuple):
    """What the consumers of a process have in common."""

    store: Store
    commit: GroupCommit
    dead_letters: DeadLetters
    name: bytes
    """This process, to the store."""
    policy: Policy
    random: Callable[[], float]
    """Numbers in [0, 1)."""
    clock: Callable[[], float]
    """Unix seconds."""
    metrics: Metrics

    async def take(self, lane: str, limit: int) -> list[Taken]:
        """Take up to so many of a lane's entries; raise StoreDown."""
        with self.metrics.store_call("take"):
            return await self.store.take(lane, self.name, limit)


class Settlement:
    """Says in the store what became of a lane's entries."""

    def __init__(self, lane: str, shared: Shared) -> None:
        self._lane = lane
        self._shared = shared

    async def done(self, taken: Taken, entries: tuple[Entry, ...] = ()) -> None:
        """Remove an entry, and store what came of it."""
        self._count(taken, "done")
        await self._commit(Ack(self._lane, taken.id, entries), taken)

    async def postpone(self, taken: Taken, seconds: float) -> None:
        """Put an entry back, as if it had not been taken."""
        await self._commit(Retry(self._lane, taken.id, seconds, taken.deliveries - 1), taken)

    async def failed(self, taken: Taken, reason: str, floor: float = 0.0) -> None:
        """Try an entry again, after ``floor`` seconds at least; bury it where that was the last."""
        policy = self._shared.policy
        if taken.deliveries >= policy.max_deliveries:
            await self.bury(taken, reason)
            return
        pause = floor + policy.pause(taken.deliveries, self._shared.random())
        self._shared.metrics.lane_retries.add((self._lane,))
        if TAP.is_open:
            TAP.tell(self._happening("retried", taken, reason))
        _log.warning(
            "entry is tried again",
            lane=self._lane,
            entry_id=taken.id,
            reason=reason,
            attempt=taken.deliveries + 1,
            seconds=round(pause, 1),
        )
        await self._commit(Retry(self._lane, taken.id, pause, taken.deliveries), taken)

    def _happening(self, what: str, taken: Taken, reason: str) -> Happening:
        entry, id_ = taken.entry, self._letter_id(taken)
        return Happening(what, entry.account, entry.kind, id=id_, detail=reason)

    def _letter_id(self, taken: Taken) -> str:
        """Return the id that an entry's dead letter has, or would have."""
        return f"{self._lane}/{taken.id}"

    async def bury(self, taken: Taken, reason: str) -> None:
        """Make an entry a dead letter."""
        if TAP.is_open:
            TAP.tell(self._happening("buried", taken, reason))
        letter = DeadLetter(
            self._letter_id(taken),
            taken.entry,
            taken.deliveries,
            reason,
            taken.stored_at,
            self._shared.clock(),
        )
        try:
            await self._shared.dead_letters.bury([letter])
        except StoreDown as down:
            _log.error("dead letter waits", id=letter.id, error=str(down))
            await self.postpone(taken, self._shared.policy.cap)
            return
        _log.error("dead letter", id=letter.id, type=taken.entry.kind, reason=reason)
        self._count(taken, "dead")
        await self._commit(Ack(self._lane, taken.id, ()), taken)

    async def readable(
        self, batch: Sequence[Taken], decode: Callable[[bytes], _T], reason: str
    ) -> list[tuple[Taken, _T]]:
        """Return the entries with what their bodies hold; bury those that hold no such thing."""
        found = []
        for taken in batch:
            try:
                found.append((taken, decode(taken.entry.body)))
            except (ValueError, RecursionError):
                await self.bury(taken, reason)
        return found

    def _count(self, taken: Taken, outcome: str) -> None:
        late = max(0.0, self._shared.clock() - taken.stored_at)
        self._shared.metrics.entries.observe((self._lane, outcome), late)

    async def _commit(self, step: Ack | Retry, taken: Taken) -> None:
        """Take a step that must not be lost; while the store is down, as long as the lease lasts.

        After that the entry is another consumer's.
        """
        until = asyncio.get_running_loop().time() + ENTRY_LEASE_SECONDS
        while True:
            try:
                await self._shared.commit.submit(step)
                return
            except StoreDown as down:
                if asyncio.get_running_loop().time() >= until:
                    _log.error(
                        "entry will be taken again",
                        lane=self._lane,
                        entry_id=taken.id,
                        error=str(down),
                    )
                    return
                await asyncio.sleep(DOWN_SECONDS)


class Consumer:
    """Handles the entries of one lane, up to ``concurrency`` at a time."""

    def __init__(self, lane: str, handle: Handle, shared: Shared, concurrency: int) -> None:
        self.lane = lane
        self._handle = handle
        self._shared = shared
        self._settlement = Settlement(lane, shared)
        self._concurrency = concurrency
        self._working: dict[str, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look into the lane now."""
        self._wake.set()

    async def run(self) -> None:
        """Consume until cancelled; then finish what is under way."""
        holding = asyncio.create_task(self._hold())
        try:
            while True:
                await self._pause(IDLE_SECONDS if await self._take() else DOWN_SECONDS)
        finally:
            if self._working:
                await asyncio.wait(self._working.values())
            holding.cancel()
            with suppress(asyncio.CancelledError):
                await holding

    async def _pause(self, seconds: float) -> None:
        """Wait until there may be something to take, and room for it."""
        if len(self._working) >= self._concurrency:
            await asyncio.wait(self._working.values(), return_when=asyncio.FIRST_COMPLETED)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()

    async def _take(self) -> bool:
        """Take what there is room for; return whether the store let us."""
        room = self._concurrency - len(self._working)
        if room <= 0:
            return True
        try:
            taken = await self._shared.take(self.lane, room)
        except StoreDown as down:
            _log.warning("lane waits", lane=self.lane, error=str(down))
            return False
        for one in taken:
            self._working[one.id] = asyncio.create_task(self._work(one))
        if len(taken) == room:
            self._wake.set()
        return True

    async def _hold(self) -> None:
        """Renew the leases of what is under way."""
        while True:
            await asyncio.sleep(ENTRY_LEASE_SECONDS / 3)
            for id_ in self._working:
                self._shared.commit.post(Hold(self.lane, id_, self._shared.name))

    async def _work(self, taken: Taken) -> None:
        try:
            await self._see_to(taken)
        finally:
            self._working.pop(taken.id, None)

    async def _see_to(self, taken: Taken) -> None:
        """Handle an entry, and say what became of it."""
        settlement = self._settlement
        if taken.deliveries > self._shared.policy.max_deliveries:
            # It was taken, and nobody said what became of it: whoever had it died of it, perhaps.
            await settlement.bury(taken, "deliveries: its consumers died or were stopped")
            return
        try:
            entries = await self._handle(taken)
        except Later as later:
            await settlement.postpone(taken, later.seconds)
        except Never as never:
            await settlement.bury(taken, never.reason)
        except StoreDown:
            # No fault of the handler's, and no try of the entry.
            await settlement.postpone(taken, DOWN_SECONDS)
        except Exception as error:
            cause = error.__cause__ or error
            reason = f"failed: {type(cause).__name__} at {place_of(cause)}"
            await settlement.failed(taken, reason)
        else:
            await settlement.done(taken, entries)
