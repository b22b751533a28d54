"""Consumers: each entry ends handled or as a dead letter, whatever fails meanwhile."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters import memory
from gateway.adapters.memory import MemoryDeadLetters, MemoryStore
from gateway.errors import StoreDown
from gateway.inbound import consumer as consumers
from gateway.inbound.claims import Ack, Claim, Entry, Outcome, Step
from gateway.inbound.commit import GroupCommit
from gateway.inbound.consumer import Consumer, Handle, Later, Never, Policy, Shared
from gateway.inbound.ports import DeadLetter, Taken, Wanted
from gateway.telemetry.metrics import Metrics

LANE = "background"


class Flaky(MemoryStore):
    """A store that is down when it is told to be."""

    down = False

    async def commit(self, steps: Sequence[Step]) -> list[Outcome]:
        """Take the steps, or raise."""
        if self.down:
            raise StoreDown("down")
        return await super().commit(steps)

    async def take(self, lane: str, consumer: bytes, limit: int) -> list[Taken]:
        """Take what is due, or raise."""
        if self.down:
            raise StoreDown("down")
        return await super().take(lane, consumer, limit)


class Lane:
    """A lane with consumers, and what became of its entries."""

    def __init__(self) -> None:
        self.store = Flaky(60)
        self.dead = MemoryDeadLetters()
        self.policy = Policy(3, 0.02, 0.1)

    def consumer(self, handle: Handle, concurrency: int = 4, name: bytes = b"one") -> Consumer:
        """Return a consumer of the lane."""
        commit = GroupCommit(self.store.commit)
        shared = Shared(
            self.store, commit, self.dead, name, self.policy, lambda: 0.5, time.time, Metrics()
        )
        return Consumer(LANE, handle, shared, concurrency)

    async def put(self, *bodies: bytes) -> None:
        """Store entries."""
        for body in bodies:
            entry = Entry(LANE, "main", "Text", body)
            await self.store.commit([Claim(b"key " + body, b"one", (entry,), b"success")])

    async def settled(self) -> None:
        """Wait until the lane is empty."""
        while self.store._entries:
            await asyncio.sleep(0.005)

    async def letters(self) -> list[DeadLetter]:
        """Return what was buried."""
        return await self.dead.find(Wanted(), 100)


def play(scenario: Callable[[Lane], Awaitable[Any]]) -> None:
    """Run a scenario with a lane, but not for ever."""

    async def run() -> None:
        async with asyncio.timeout(20):
            await scenario(Lane())

    asyncio.run(run())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten what takes seconds."""
    monkeypatch.setattr(consumers, "IDLE_SECONDS", 0.01)
    monkeypatch.setattr(consumers, "DOWN_SECONDS", 0.02)
    for module in (consumers, memory):
        monkeypatch.setattr(module, "ENTRY_LEASE_SECONDS", 0.3)


async def _stop(*running: asyncio.Task[None]) -> None:
    for task in running:
        task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*running)


def test_every_entry_is_handled_and_gone() -> None:
    async def scenario(lane: Lane) -> None:
        handled = []

        async def handle(taken: Taken) -> tuple[Entry, ...]:
            handled.append(taken.entry.body)
            return ()

        running = asyncio.create_task(lane.consumer(handle).run())
        await lane.put(*(b"%d" % n for n in range(20)))
        await lane.settled()
        assert sorted(handled) == sorted(b"%d" % n for n in range(20))
        await _stop(running)

    play(scenario)


def test_no_more_are_under_way_than_there_is_room_for() -> None:
    async def scenario(lane: Lane) -> None:
        under_way, most = 0, 0

        async def handle(_taken: Taken) -> tuple[Entry, ...]:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.01)
            under_way -= 1
            return ()

        await lane.put(*(b"%d" % n for n in range(12)))
        running = asyncio.create_task(lane.consumer(handle, concurrency=3).run())
        await lane.settled()
        assert most == 3
        await _stop(running)

    play(scenario)


def test_what_fails_is_tried_again_and_buried_with_its_reason_at_last() -> None:
    async def scenario(lane: Lane) -> None:
        tries: list[int] = []

        async def handle(taken: Taken) -> tuple[Entry, ...]:
            tries.append(taken.deliveries)
            raise LookupError(b"SECRET " + taken.entry.body)

        await lane.put(b"bad")
        running = asyncio.create_task(lane.consumer(handle).run())
        await lane.settled()
        assert tries == [1, 2, 3]
        (letter,) = await lane.letters()
        assert letter.reason.startswith("failed: LookupError at ")
        assert "SECRET" not in letter.reason
        assert (letter.entry.body, letter.deliveries) == (b"bad", 3)
        await _stop(running)

    play(scenario)


def test_what_can_never_succeed_is_buried_at_once() -> None:
    async def scenario(lane: Lane) -> None:
        async def handle(_taken: Taken) -> tuple[Entry, ...]:
            raise Never("account: unknown")

        await lane.put(b"bad")
        running = asyncio.create_task(lane.consumer(handle).run())
        await lane.settled()
        (letter,) = await lane.letters()
        assert (letter.reason, letter.deliveries) == ("account: unknown", 1)
        await _stop(running)

    play(scenario)


@pytest.mark.parametrize(
    "why", [Later(0.01), StoreDown("down")], ids=["it is not due yet", "the store went meanwhile"]
)
def test_what_is_put_back_for_no_fault_of_its_own_is_not_counted(why: Exception) -> None:
    async def scenario(lane: Lane) -> None:
        tries: list[int] = []

        async def handle(taken: Taken) -> tuple[Entry, ...]:
            tries.append(taken.deliveries)
            if len(tries) < 6:
                raise why
            return ()

        await lane.put(b"early")
        running = asyncio.create_task(lane.consumer(handle).run())
        await lane.settled()
        assert tries == [1] * 6
        assert await lane.letters() == []
        await _stop(running)

    play(scenario)


def test_an_entry_that_kills_its_consumers_is_buried_unhandled() -> None:
    """A cap on deliveries: nobody lives to say that it failed."""

    async def scenario(lane: Lane) -> None:
        async def handle(_taken: Taken) -> tuple[Entry, ...]:
            raise AssertionError("it must not be handled again")

        await lane.put(b"poison")
        for _ in range(lane.policy.max_deliveries):
            assert len(await lane.store.take(LANE, b"dies", 1)) == 1
            await asyncio.sleep(0.31)
        running = asyncio.create_task(lane.consumer(handle).run())
        await lane.settled()
        (letter,) = await lane.letters()
        assert letter.reason.startswith("deliveries")
        await _stop(running)

    play(scenario)


def test_a_long_handler_keeps_its_entry() -> None:
    async def scenario(lane: Lane) -> None:
        handled = []

        async def handle(taken: Taken) -> tuple[Entry, ...]:
            handled.append(taken.deliveries)
            await asyncio.sleep(1.0)
            return ()

        await lane.put(b"long")
        running = [
            asyncio.create_task(lane.consumer(handle, name=name).run()) for name in (b"1", b"2")
        ]
        await lane.settled()
        assert handled == [1]
        await _stop(*running)

    play(scenario)


def test_a_stop_finishes_what_is_under_way_and_takes_nothing_more() -> None:
    async def scenario(lane: Lane) -> None:
        handled = []

        async def handle(taken: Taken) -> tuple[Entry, ...]:
            await asyncio.sleep(0.1)
            handled.append(taken.entry.body)
            return ()

        await lane.put(b"first", b"second")
        running = asyncio.create_task(lane.consumer(handle, concurrency=1).run())
        await asyncio.sleep(0.05)
        await _stop(running)
        assert handled == [b"first"]
        assert [kept.entry.body for kept in lane.store._entries.values()] == [b"second"]

    play(scenario)


def test_a_store_that_is_down_stops_nothing_for_good() -> None:
    async def scenario(lane: Lane) -> None:
        handled = []

        async def handle(taken: Taken) -> tuple[Entry, ...]:
            handled.append(taken.entry.body)
            lane.store.down = len(handled) == 1
            return ()

        await lane.put(b"first")
        running = asyncio.create_task(lane.consumer(handle).run())
        await asyncio.sleep(0.1)
        # Handled, but not acknowledged: the store went down meanwhile.
        assert len(lane.store._entries) == 1
        lane.store.down = False
        await lane.settled()
        await lane.put(b"second")
        await lane.settled()
        assert handled == [b"first", b"second"]
        await _stop(running)

    play(scenario)


def test_dead_letters_that_cannot_be_kept_stay_in_the_lane() -> None:
    async def scenario(lane: Lane) -> None:
        async def handle(_taken: Taken) -> tuple[Entry, ...]:
            raise Never("oversized")

        async def down(letters: Sequence[DeadLetter]) -> None:
            raise StoreDown("no Postgres")

        bury = lane.dead.bury
        lane.dead.bury = down  # type: ignore[method-assign]  # a fault, for a while
        await lane.put(b"bad")
        running = asyncio.create_task(lane.consumer(handle).run())
        await asyncio.sleep(0.2)
        assert len(lane.store._entries) == 1
        lane.dead.bury = bury  # type: ignore[method-assign]
        await lane.settled()
        assert len(await lane.letters()) == 1
        await _stop(running)

    play(scenario)


def test_what_this_process_stores_is_seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "IDLE_SECONDS", 60.0)

    async def scenario(lane: Lane) -> None:
        seen = asyncio.Event()

        async def handle(_taken: Taken) -> tuple[Entry, ...]:
            seen.set()
            return ()

        consumer = lane.consumer(handle)
        running = asyncio.create_task(consumer.run())
        await asyncio.sleep(0.05)
        await lane.put(b"new")
        consumer.wake()
        await seen.wait()
        await _stop(running)

    play(scenario)


def test_an_entry_and_what_comes_of_it_change_places_in_one_step() -> None:
    async def scenario(lane: Lane) -> None:
        job = Entry("customer_service", "main", "text", b"{}")
        batches: list[list[Step]] = []
        commit = lane.store.commit

        async def note(steps: Sequence[Step]) -> list[Outcome]:
            batches.append(list(steps))
            return await commit(steps)

        async def handle(_taken: Taken) -> tuple[Entry, ...]:
            return (job,)

        await lane.put(b"asks")
        lane.store.commit = note  # type: ignore[method-assign]  # looked over its shoulder
        running = asyncio.create_task(lane.consumer(handle).run())
        while not batches:
            await asyncio.sleep(0.01)
        ((step,),) = batches
        assert isinstance(step, Ack)
        assert step.entries == (job,)
        await _stop(running)

    play(scenario)


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True), st.floats(0.01, 10))
def test_a_pause_is_full_jitter_over_a_capped_exponential(
    deliveries: int, random: float, base: float
) -> None:
    policy = Policy(8, base, 300.0)
    assert (
        0 <= policy.pause(deliveries, random) <= min(300.0, base * 2.0 ** min(deliveries - 1, 60))
    )
    assert policy.pause(deliveries, 0.0) == 0.0
    assert policy.pause(1, random) == random * base
