"""The stores under test: each can be opened several times over the same data, as processes do."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.inbound.claims import Claim, Entry, Outcome, State, Step
from gateway.inbound.ports import Store

A: Final = b"process1"
B: Final = b"process2"
ENTRY: Final = Entry("background", "main", "Text", b"\x00\xff body")
OTHER: Final = Entry("customer_service", "main", "text", "好".encode())


@dataclass
class Stores:
    """Opens stores over the same data, and closes them."""

    make: Callable[[], Store]
    opened: list[Store] = field(default_factory=list)

    def open(self) -> Store:
        """Return a store as another process would open it."""
        self.opened.append(self.make())
        return self.opened[-1]

    def play(self, scenario: Callable[[], Awaitable[Any]]) -> Any:
        """Run a scenario, and close what it opened."""

        async def run() -> Any:
            try:
                return await scenario()
            finally:
                for store in set(self.opened):
                    await store.close()
                self.opened.clear()

        return asyncio.run(run())


async def step(store: Store, one: Step) -> Outcome:
    """Take one step alone."""
    (outcome,) = await store.commit([one])
    return outcome


async def states(store: Store, *steps: Step) -> list[State]:
    """Return the states that the steps found, taken in one batch."""
    return [outcome.state for outcome in await store.commit(steps)]


async def put(store: Store, *entries: Entry, key: bytes = b"k") -> None:
    """Store entries with a message that is done."""
    await store.commit([Claim(key, A, entries, b"success")])
