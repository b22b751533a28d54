"""Lanes in a store that can be down, at a time that passes when it is told to."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gateway.adapters.memory import MemoryDeadLetters, MemoryStore
from gateway.errors import StoreDown
from gateway.inbound.claims import Claim, Entry
from gateway.inbound.commit import GroupCommit
from gateway.inbound.consumer import Policy, Shared
from gateway.inbound.ports import Taken
from gateway.telemetry.metrics import Metrics
from tests.support import NOW

RANDOM = 0.5

_sleep = asyncio.sleep
"""The real one, for tests that look at what is slept."""


class Flaky(MemoryStore):
    """A store that gives nothing when it is told to be down."""

    down = False

    async def take(self, lane: str, consumer: bytes, limit: int) -> list[Taken]:
        """Take what is due, or raise."""
        if self.down:
            raise StoreDown("no Redis")
        return await super().take(lane, consumer, limit)


class Lanes:
    """The lanes, and what their consumers share."""

    def __init__(self, policy: Policy) -> None:
        self.now = float(NOW)
        self.store = Flaky(600, lambda: self.now)
        self.dead = MemoryDeadLetters()
        self._policy = policy

    def shared(self) -> Shared:
        """Return what a process's consumers share."""
        commit = GroupCommit(self.store.commit)
        return Shared(
            *(self.store, commit, self.dead, b"one", self._policy),
            random=lambda: RANDOM,
            clock=lambda: self.now,
            metrics=Metrics(),
        )

    async def store_entries(self, *entries: Entry) -> None:
        """Store entries of a message of their own."""
        key = b"%d" % len(self.store._claims._records)
        await self.store.commit([Claim(key, b"one", entries, b"success")])


async def until(true: Callable[[], Any]) -> None:
    """Wait until it is so; the scenario has an end."""
    while not true():
        await _sleep(0.002)


async def stop(running: asyncio.Task[None]) -> None:
    """Cancel what runs, and wait for its end."""
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
