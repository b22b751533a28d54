"""A lane of what has to do with pushing, over the real SQLite store and queue, at a set time."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from os import urandom
from pathlib import Path

from gateway.adapters.memory import MemoryDeadLetters
from gateway.adapters.sqlite import SqliteStore
from gateway.adapters.sqlite_job_records import SqliteRecords
from gateway.adapters.sqlite_queue import SqliteQueue
from gateway.inbound.claims import Claim, Entry
from gateway.inbound.commit import GroupCommit
from gateway.inbound.consumer import Policy, Settlement, Shared
from gateway.inbound.ports import Taken
from gateway.outbound.jobs import Ask, Channel, Record, Settled, State, Wanted
from gateway.outbound.push import Push
from gateway.outbound.requests import JobMaker
from gateway.telemetry.metrics import Metrics
from tests.outbound.pool import NOTICE, SHIPPED
from tests.support import NOW

NAME = b"process1"
HandleBatch = Callable[[Sequence[Taken], Settlement], Awaitable[None]]


@dataclass
class Pushed:
    """What a test has."""

    store: SqliteStore
    queue: SqliteQueue
    records: SqliteRecords
    push: Push
    dead: MemoryDeadLetters
    commit: GroupCommit
    now: float = float(NOW)

    async def store_entry(self, entry: Entry) -> None:
        """Store an entry, as a message of its own."""
        await self.store.commit([Claim(urandom(16), NAME, (entry,), b"success")])

    async def take(self, lane: str, handle: HandleBatch) -> int:
        """Let whoever handles a lane's entries have those that are due; return how many."""
        policy = Policy(8, 1.0, 300.0)
        shared = Shared(
            *(self.store, self.commit, self.dead, NAME, policy),
            random=lambda: 0.5,
            clock=lambda: self.now,
            metrics=Metrics(),
        )
        taken = await self.store.take(lane, NAME, 256)
        await handle(taken, Settlement(lane, shared))
        return len(taken)

    async def waiting(self, lane: str) -> int:
        """Return how many entries a lane has, due or not."""
        return sum(
            one.waiting + one.delayed + one.held
            for one in await self.store.lanes()
            if one.lane == lane
        )

    async def send(self, channel: Channel, message_id: str | None) -> None:
        """Say of the message that waits longest that it was sent, and has this number."""
        await self.queue.beat("worker", 3600)
        (held,) = await self.queue.claim("worker", [Ask("main", channel, 1, 1)], 1)
        sent = Settled(held.id, State.SENT, self.now, "", 1, None, (), message_id=message_id)
        assert await self.queue.settle("worker", [sent]) == [held.id]

    async def messages(self) -> list[Record]:
        """Return all messages, the oldest first."""
        return (await self.records.find(Wanted(), 1000))[::-1]


@asynccontextmanager
async def pushed(folder: Path) -> AsyncIterator[Pushed]:
    """Give a test its store and queue, in one file."""
    path = folder / "gateway.db"
    one: Pushed

    def clock() -> float:
        return one.now

    store = SqliteStore(path, keep=600, timeout=5, clock=clock)
    queue = SqliteQueue(path, timeout=5, clock=clock)
    records = SqliteRecords(path, timeout=5, clock=clock)
    templates = {template.name: template for template in (SHIPPED, NOTICE)}
    push = Push(JobMaker(["main"], templates, clock=clock), queue)
    one = Pushed(store, queue, records, push, MemoryDeadLetters(), GroupCommit(store.commit))
    try:
        yield one
    finally:
        for each in (store, queue, records):
            await each.close()
