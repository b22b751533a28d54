"""What goes on while the store is down: claims in this process, entries on this machine's disk.

Nothing durable is lost and nothing is told WeChat that is not so: a step that must not be lost goes
to the spill, synced to disk, before it counts as done; where the spill fails too, so does the step.
When the store is back, the spill drains into it, in order, and only then is the store used again.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, Protocol

import msgspec

from gateway.errors import StoreDown
from gateway.inbound.claims import (
    Ack,
    Claim,
    Claims,
    ClaimStep,
    Entry,
    Finish,
    GiveUp,
    Hold,
    Outcome,
    Put,
    Retry,
    Step,
)
from gateway.inbound.commit import MAX_BATCH
from gateway.inbound.ports import Store
from gateway.telemetry.logs import get_logger
from gateway.telemetry.metrics import Metrics

_log = get_logger("gateway.inbound")

PROBE_SECONDS: Final = 0.5
"""Between two looks whether the store is back."""

ROUNDS: Final = 3
"""While a round goes to the store, new replies come up: each round leaves fewer."""

ADOPT_SECONDS: Final = 5.0
"""Between two looks for what dead processes of this machine left."""


class Spill(Protocol):
    """Records on this machine's disk, in order."""

    async def append(self, records: Sequence[bytes]) -> None:
        """Keep them, synced to disk; raise OSError where the disk does not."""

    async def read(self, limit: int) -> list[bytes]:
        """Return the oldest records, those of dead processes first; none where all is drained."""

    async def drop(self, count: int) -> None:
        """Forget so many of the oldest records."""

    def oldest(self) -> float | None:
        """Return when the oldest record was kept, in Unix seconds; None where there is none."""

    async def adopt(self) -> None:
        """Take over what dead processes left."""

    async def close(self) -> None:
        """Let go of the disk; what is kept there stays."""


class Spilling:
    """Commits steps to a store; without it while it is down."""

    def __init__(
        self,
        store: Store,
        spill: Spill,
        *,
        keep: float,
        clock: Callable[[], float] = time.time,
        metrics: Metrics | None = None,
    ) -> None:
        """Remember messages for ``keep`` seconds while the store is down; ``clock`` is Unix."""
        self._store = store
        self._spill = spill
        self._keep = keep
        self._clock = clock
        self._metrics = metrics or Metrics()
        self._claims: Claims | None = None
        """This process's own claims, while the store is down."""
        self._reason = ""
        self._tending: asyncio.Task[None] | None = None

    @property
    def down(self) -> str:
        """Why the store is not used at the moment; empty where it is."""
        return self._reason

    def spilled_age(self) -> float:
        """Return the age of the oldest spilled message in seconds; 0 where there is none."""
        oldest = self._spill.oldest()
        return 0.0 if oldest is None else max(0.0, self._clock() - oldest)

    async def start(self) -> None:
        """Drain what was left by the last run, and go on looking after it."""
        self._tending = asyncio.create_task(self._tend())

    async def close(self) -> None:
        """Stop looking after it; what is spilled stays on disk for the next start."""
        if self._tending is not None:
            self._tending.cancel()
            with suppress(asyncio.CancelledError):
                await self._tending

    async def commit(self, steps: Sequence[Step]) -> list[Outcome | StoreDown]:
        """Take the steps; a step that nothing durable takes has a StoreDown for its outcome."""
        if self._claims is None:
            try:
                with self._metrics.store_call("commit"):
                    return [*await self._store.commit(steps)]
            except StoreDown as down:
                self._go_down(down)
        return await self._commit_here(steps)

    def _go_down(self, down: StoreDown) -> None:
        if self._claims is None:
            _log.error("goes on without its store, messages wait on disk", error=str(down))
            self._claims = Claims(self._keep, tells=True)
            self._reason = str(down)

    async def _commit_here(self, steps: Sequence[Step]) -> list[Outcome | StoreDown]:
        now = self._clock()
        claims = self._claims or Claims(self._keep)
        outcomes: list[Outcome | StoreDown] = []
        puts: list[tuple[Put, ...]] = []
        spilled: list[int] = []
        for step in steps:
            if isinstance(step, Ack | Retry | Hold) or _is_the_stores(step, claims):
                outcomes.append(StoreDown(self._reason))
                continue
            outcome, entries = claims.advance(step, now)
            outcomes.append(outcome)
            if entries:
                spilled.append(len(outcomes) - 1)
                puts.append(_puts(step, outcome, entries))
        if puts:
            try:
                await self._spill.append([_encode(one) for one in puts])
            except OSError as wrong:
                for index in spilled:
                    claims.forget(_key(steps[index]))
                    outcomes[index] = StoreDown(f"{self._reason}; and the spill: {wrong.strerror}")
            else:
                self._metrics.spilled.add((), float(len(puts)))
        return outcomes

    async def _tend(self) -> None:
        """Bring the store back, and drain what waits, for ever."""
        adopted = -ADOPT_SECONDS
        while True:
            now = asyncio.get_running_loop().time()
            if now - adopted >= ADOPT_SECONDS:
                adopted = now
                with suppress(OSError):
                    await self._spill.adopt()
            if self._claims is not None or self._spill.oldest() is not None:
                await self._recover()
            self._metrics.spill_age.set((), self.spilled_age())
            await asyncio.sleep(PROBE_SECONDS)

    async def _recover(self) -> None:
        try:
            await self._store.ping()
            drained = await self._drain()
            if self._claims is not None:
                await self._return(self._claims, drained)
        except (StoreDown, OSError) as wrong:
            if isinstance(wrong, StoreDown):
                self._reason = str(wrong)

    async def _return(self, claims: Claims, drained: int) -> None:
        """Tell the store what was answered without it, and use it again."""
        for _ in range(ROUNDS):
            await self._put(claims.news())
            drained += await self._drain()
        if self._spill.oldest() is None:
            self._claims, self._reason = None, ""
            await self._put(claims.news())
            _log.warning("the store is back, spilled messages are in it", count=drained)

    async def _drain(self) -> int:
        """Move what is spilled into the store, oldest first; return how much."""
        drained = 0
        while records := await self._spill.read(MAX_BATCH):
            await self._put([put for record in records for put in _decode(record)])
            await self._spill.drop(len(records))
            drained += len(records)
        return drained

    async def _put(self, puts: Sequence[Put]) -> None:
        for start in range(0, len(puts), MAX_BATCH):
            await self._store.commit(puts[start : start + MAX_BATCH])


def _puts(step: ClaimStep, outcome: Outcome, entries: tuple[Entry, ...]) -> tuple[Put, ...]:
    """Return what does to the store what ``step`` did here; done twice, it does it once."""
    match step:
        case Claim():
            return (Put(step.key, entries, step.reply),)
        case GiveUp():
            given_up = Put(step.key, (), step.reply, given_up=True)
            return (Put(step.key + b"given up", entries), given_up)
    # Beside the message's own record, as above: its entries may be in the store already.
    return (Put(step.key, (), outcome.reply), Put(step.key + b"late", entries))


def _is_the_stores(step: ClaimStep, claims: Claims) -> bool:
    """Tell whether only the store can decide, for another process may have answered there.

    That is so of what a consumer resumes, and of a late reply whose claim was made in the store.
    """
    if isinstance(step, Finish):
        return step.resumed or (bool(step.late) and not claims.has_claim(step.key))
    return isinstance(step, Claim) and step.resume


def _key(step: Step) -> bytes:
    return b"" if isinstance(step, Ack | Retry | Hold) else step.key


_encode = msgspec.msgpack.encode
_decoder = msgspec.msgpack.Decoder(tuple[Put, ...])


def _decode(record: bytes) -> Iterable[Put]:
    try:
        return _decoder.decode(record)
    except msgspec.DecodeError:
        _log.error("a spilled record cannot be read and is passed over; was the gateway changed?")
        return ()
