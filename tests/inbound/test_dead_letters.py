"""Dead letters go back into their lanes, or away: all that are meant, each of them once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.adapters.memory import MemoryDeadLetters, MemoryStore
from gateway.adapters.sqlite import SqliteStore
from gateway.adapters.sqlite_records import SqliteDeadLetters
from gateway.errors import StoreDown
from gateway.inbound.claims import Ack, Entry, Outcome, Step
from gateway.inbound.dead_letters import BATCH, discard, retry
from gateway.inbound.ports import DeadLetter, DeadLetters, Store, Taken, Wanted

LANE: Final = "background"
NOW: Final = 1_790_000_000.25
ALL: Final = Wanted()
MANY: Final = 2 * BATCH + 44


def letter(number: int, lane: str = LANE) -> DeadLetter:
    """Return a letter of its own, buried so many seconds after the others."""
    entry = Entry(lane, "main", "Text", b"%d" % number)
    return DeadLetter(f"{lane}/{number:05}", entry, 8, "failed: KeyError", NOW - 60, NOW + number)


class Desk:
    """What a person has before them: a store and dead letters, either of which may fail."""

    def __init__(self, store: Store, dead: DeadLetters) -> None:
        self.store = store
        self.dead = dead

    async def waiting(self, lane: str = LANE) -> list[Taken]:
        """Take all that is in a lane."""
        return await self.store.take(lane, b"one", 10_000)

    async def numbers(self) -> list[int]:
        """Take all that is in the lane; return the letters' numbers."""
        return [int(taken.entry.body) for taken in await self.waiting()]


class Interrupted(MemoryDeadLetters):
    """Dead letters over others, which remove nothing when it is the turn of ``at``."""

    def __init__(self, inner: DeadLetters, at: int = 0) -> None:
        super().__init__()
        self._inner = inner
        self._left = at

    async def find(self, wanted: Wanted, limit: int) -> list[DeadLetter]:
        """Return those that are meant."""
        return await self._inner.find(wanted, limit)

    async def remove(self, ids: Sequence[str]) -> int:
        """Remove these, or fail."""
        if not self._left:
            raise StoreDown("killed")
        self._left -= 1
        return await self._inner.remove(ids)


class Down(MemoryStore):
    """A store that takes nothing."""

    async def commit(self, _steps: Sequence[Step]) -> list[Outcome]:
        """Fail."""
        raise StoreDown("no disk")


Play = Callable[[Callable[[Desk], Awaitable[Any]]], None]


@pytest.fixture(params=["memory", "sqlite"])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Play:
    """Run a scenario at a desk over stores of each kind."""

    def make() -> Desk:
        if request.param == "memory":
            return Desk(MemoryStore(60), MemoryDeadLetters())
        path = tmp_path / "g.db"
        return Desk(SqliteStore(path, keep=60, timeout=5), SqliteDeadLetters(path, timeout=5))

    def run(scenario: Callable[[Desk], Awaitable[Any]]) -> None:
        async def close_behind() -> None:
            desk = make()
            try:
                await scenario(desk)
            finally:
                await desk.store.close()
                await desk.dead.close()

        asyncio.run(close_behind())

    return run


async def told(progress: AsyncIterator[int]) -> list[int]:
    """Return what was told in between."""
    return [done async for done in progress]


def test_a_letter_that_is_retried_is_in_its_lane_as_it_was_and_its_tries_begin_anew(
    play: Play,
) -> None:
    async def scenario(desk: Desk) -> None:
        entry = Entry("customer_service", "shop", "text", bytes(range(256)))
        await desk.dead.bury([letter(1)._replace(entry=entry)])
        assert await told(retry(desk.store, desk.dead, ALL)) == [1]
        (taken,) = await desk.waiting("customer_service")
        assert (taken.entry, taken.deliveries) == (entry, 1)
        assert await desk.waiting() == []
        assert await desk.dead.count(ALL) == 0

    play(scenario)


def test_many_are_put_back_batch_by_batch_in_the_order_of_their_burial(play: Play) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.dead.bury([letter(number) for number in reversed(range(MANY))])
        progress = retry(desk.store, desk.dead, ALL)
        assert await anext(progress) == BATCH
        # What is told is done.
        assert await desk.dead.count(ALL) == MANY - BATCH
        assert await told(progress) == [2 * BATCH, MANY]
        assert await desk.numbers() == [*range(MANY)]
        assert await desk.dead.count(ALL) == 0

    play(scenario)


def test_many_are_discarded_batch_by_batch_and_put_nowhere(play: Play) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.dead.bury([letter(number) for number in range(MANY)])
        progress = discard(desk.dead, ALL)
        assert await anext(progress) == BATCH
        assert await desk.dead.count(ALL) == MANY - BATCH
        assert await told(progress) == [2 * BATCH, MANY]
        assert await desk.dead.count(ALL) == 0
        assert await desk.store.lanes() == []

    play(scenario)


@pytest.mark.parametrize("discarded", [False, True], ids=["retry", "discard"])
def test_only_what_is_meant_is_moved(play: Play, discarded: bool) -> None:
    async def scenario(desk: Desk) -> None:
        def move(wanted: Wanted) -> AsyncIterator[int]:
            if discarded:
                return discard(desk.dead, wanted)
            return retry(desk.store, desk.dead, wanted)

        await desk.dead.bury([letter(1), letter(2), letter(3, "sink.shop")])
        assert await told(move(Wanted(account="nobody"))) == []
        assert await told(move(Wanted(lane=LANE, since=NOW + 2))) == [1]
        assert await desk.dead.find(ALL, 9) == [letter(1), letter(3, "sink.shop")]
        assert await desk.numbers() == ([] if discarded else [2])
        assert await desk.waiting("sink.shop") == []

    play(scenario)


@pytest.mark.parametrize(
    ("at", "second"),
    [(0, [BATCH, 2 * BATCH, MANY]), (1, [BATCH, MANY - BATCH])],
    ids=["in the first batch", "in a later batch"],
)
def test_one_who_is_interrupted_before_the_removal_puts_nothing_back_twice(
    play: Play, at: int, second: list[int]
) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.dead.bury([letter(number) for number in range(MANY)])
        progress = retry(desk.store, Interrupted(desk.dead, at), ALL)
        with pytest.raises(StoreDown, match="killed"):
            await told(progress)
        assert await desk.dead.count(ALL) == MANY - at * BATCH
        first = await desk.numbers()
        assert first == [*range((at + 1) * BATCH)]
        assert await told(retry(desk.store, desk.dead, ALL)) == second
        # Those of the first time are held: only what is new can be taken.
        assert first + await desk.numbers() == [*range(MANY)]
        assert await desk.dead.count(ALL) == 0

    play(scenario)


def test_what_was_handled_before_the_second_try_is_not_put_back_by_it(play: Play) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.dead.bury([letter(1)])
        with pytest.raises(StoreDown):
            await told(retry(desk.store, Interrupted(desk.dead), ALL))
        (taken,) = await desk.waiting()
        await desk.store.commit([Ack(LANE, taken.id)])
        assert await told(retry(desk.store, desk.dead, ALL)) == [1]
        assert await desk.store.lanes() == []

    play(scenario)


def test_what_the_store_does_not_take_stays_a_dead_letter(play: Play) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.dead.bury([letter(1)])
        with pytest.raises(StoreDown, match="no disk"):
            await told(retry(Down(60), desk.dead, ALL))
        assert await desk.dead.find(ALL, 9) == [letter(1)]

    play(scenario)


@pytest.mark.parametrize("same", [False, True], ids=["as another entry", "as the same entry"])
def test_a_letter_that_is_buried_again_can_be_retried_again(play: Play, same: bool) -> None:
    """Its old entry may be there still: it was buried, and the store fell before that was said."""

    async def scenario(desk: Desk) -> None:
        buried = letter(1)
        for tries in range(1, 4):
            await desk.dead.bury([buried])
            assert await told(retry(desk.store, desk.dead, ALL)) == [1]
            (taken,) = await desk.waiting()
            assert taken.entry == letter(1).entry
            await desk.store.commit([Ack(LANE, taken.id)])
            buried = buried._replace(
                id=buried.id if same else f"{LANE}/{taken.id}", buried_at=NOW + tries * 1e-3
            )

    play(scenario)
