"""One suite over all Budgets: memory, SQLite, Redis."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from gateway.adapters.memory_budgets import MemoryBudgets
from gateway.adapters.redis_budgets import RedisBudgets
from gateway.adapters.sqlite_budgets import SqliteBudgets
from gateway.errors import StoreDown
from gateway.outbound.budgets import Budget, Budgets, Grant, Rate, Want, give_back, grant
from tests.contracts.records import Opener
from tests.services import GivenRedis, RedisServer, redis_server

NAME: Final = "main/template"
SLOW: Final = Rate(0.001, 10)
"""So slow that nothing comes back while a test runs."""

HOUR: Final = 3600.0


def want(count: int, name: str = NAME, rate: Rate | None = SLOW) -> Want:
    """Return a want."""
    return Want(name, count, rate)


async def count(budgets: Budgets, *wants: Want) -> list[int]:
    """Take, and return how many were granted of each."""
    return [granted.count for granted in await budgets.take(wants)]


@pytest.fixture(params=["memory", "sqlite", "redis"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener[Budgets]:
    """Budgets of each kind, all full."""
    if request.param == "memory":
        one = MemoryBudgets()
        return Opener(lambda: one)
    if request.param == "sqlite":
        return Opener(lambda: SqliteBudgets(tmp_path / "var" / "g.db", timeout=5))
    redis: RedisServer | GivenRedis = request.getfixturevalue("redis")
    return Opener(lambda: RedisBudgets(redis.url, timeout=5))


def test_several_processes_share_one_budget(opener: Opener[Budgets]) -> None:
    async def scenario() -> None:
        one, other = opener.open(), opener.open()
        assert await one.take([want(6)]) == [Grant(6, 0.0)]
        ((granted, wait),) = await other.take([want(6)])
        assert granted == 4
        assert 900 < wait <= 1000
        assert await count(one, want(1)) == [0]
        assert await count(one, want(1, "other/template")) == [1]

    opener.play(scenario)


def test_several_budgets_are_taken_from_in_one_step(opener: Opener[Budgets]) -> None:
    async def scenario() -> None:
        budgets = opener.open()
        wants = [want(3, "a"), want(20, "b"), want(500, "c", None), want(0, "d"), want(8, "a")]
        assert await count(budgets, *wants) == [3, 10, 500, 0, 7]
        assert await budgets.take([]) == []

    opener.play(scenario)


def test_of_many_that_take_at_once_no_more_get_it_than_there_are(
    opener: Opener[Budgets],
) -> None:
    async def scenario() -> None:
        stores = [opener.open() for _ in range(8)]
        taken = await asyncio.gather(*(count(s, want(2), want(1, "b")) for s in stores * 4))
        assert [sum(each) for each in zip(*taken, strict=True)] == [10, 10]

    opener.play(scenario)


def test_what_is_given_back_can_be_taken_again_up_to_the_burst(opener: Opener[Budgets]) -> None:
    async def scenario() -> None:
        one, other = opener.open(), opener.open()
        assert await count(one, want(10), want(10, "b")) == [10, 10]
        await one.give_back([want(3), want(99, "b"), want(5, "c"), want(7, "d", None)])
        assert await count(other, want(9), want(99, "b"), want(99, "c")) == [3, 10, 10]
        await one.give_back([])

    opener.play(scenario)


def test_while_a_budget_is_paused_no_process_gets_anything(opener: Opener[Budgets]) -> None:
    async def scenario() -> None:
        one, other = opener.open(), opener.open()
        until = time.time() + HOUR + 0.125
        await one.pause(NAME, until)
        assert await other.paused() == {NAME: until}
        for rate in (SLOW, None):
            ((granted, wait),) = await other.take([want(6, rate=rate)])
            assert granted == 0
            assert HOUR - 60 < wait < HOUR + 60
        assert await count(other, want(1, "other/template")) == [1]
        # A pause costs nothing of the budget.
        await other.resume(NAME)
        assert await one.paused() == {}
        assert await count(one, want(99)) == [10]
        await one.resume("nobody's")

    opener.play(scenario)


def test_of_two_pauses_the_later_end_is_kept(opener: Opener[Budgets]) -> None:
    async def scenario() -> None:
        one, other = opener.open(), opener.open()
        soon, late = time.time() + HOUR, time.time() + 2 * HOUR
        for until in (late, soon):
            await one.pause("first late", until)
        for until in (soon, late):
            await one.pause("first soon", until)
        assert await other.paused() == {"first late": late, "first soon": late}

    opener.play(scenario)


def test_a_pause_ends_by_itself(opener: Opener[Budgets]) -> None:
    async def scenario() -> None:
        budgets = opener.open()
        await budgets.pause("long", time.time() + HOUR)
        await budgets.pause(NAME, time.time() + 0.05)
        await budgets.pause("over", time.time() - HOUR)
        while NAME in await budgets.paused():
            await asyncio.sleep(0.02)
        assert await count(budgets, want(1), want(1, "over"), want(1, "long")) == [1, 1, 0]
        assert list(await budgets.paused()) == ["long"]

    opener.play(scenario)


def test_what_comes_back_comes_back_at_the_rate(opener: Opener[Budgets]) -> None:
    async def scenario() -> None:
        budgets = opener.open()
        quick = want(5, rate=Rate(50.0, 5))
        await budgets.take([quick])
        taken, began = 5, time.time()
        while taken < 12:
            ((granted, wait),) = await budgets.take([quick._replace(count=2)])
            taken += granted
            await asyncio.sleep(wait)
        assert taken <= 5 + 50.0 * (time.time() - began) + 1

    opener.play(scenario)


NAMES: Final = ("main/template", "main/custom", "shop/template")

Step = tuple[float, str, Any]
"""Seconds that pass, what is done then, and with what."""


def steps(slowness: int) -> st.SearchStrategy[list[Step]]:
    """Return what may be done to budgets, at rates and with pauses so much slower and longer."""
    rates = {
        NAMES[0]: Rate(3.0 / slowness, 4),
        NAMES[1]: Rate(0.25 / slowness, 1),
        NAMES[2]: None,
    }
    names, seconds = st.sampled_from(NAMES), st.floats(0, 3)
    wants = st.lists(
        st.builds(lambda name, count: Want(name, count, rates[name]), names, st.integers(0, 6)),
        max_size=4,
    )
    ahead = st.integers(-2, 10).map(lambda ahead: ahead * slowness)
    return st.lists(
        st.tuples(seconds, st.sampled_from(["take", "give_back"]), wants)
        | st.tuples(seconds, st.just("pause"), st.tuples(names, ahead))
        | st.tuples(seconds, st.just("resume"), names),
        max_size=15,
    )


class Model:
    """What the pure functions say."""

    def __init__(self) -> None:
        self.kept = dict.fromkeys(NAMES, Budget())

    def take(self, wants: list[Want], now: float) -> list[Grant]:
        """Take from several budgets."""
        granted = []
        for one in wants:
            self.kept[one.name], got = grant(self.kept[one.name], one, now)
            granted.append(got)
        return granted

    def give_back(self, unused: list[Want]) -> None:
        """Give back what will not be sent."""
        for one in unused:
            self.kept[one.name] = give_back(self.kept[one.name], one)

    def pause(self, name: str, until: float) -> None:
        """Let nobody take from a budget until then."""
        until = max(until, self.kept[name].paused_until)
        self.kept[name] = self.kept[name]._replace(paused_until=until)

    def resume(self, name: str) -> None:
        """End a pause."""
        self.kept[name] = self.kept[name]._replace(paused_until=0.0)

    def paused(self, now: float) -> dict[str, float]:
        """Return the budgets that are paused."""
        return {n: kept.paused_until for n, kept in self.kept.items() if kept.paused_until > now}


async def play(budgets: Budgets, model: Model, step: Step, now: float, within: float) -> None:
    """Do one thing to both; waits may differ by so many seconds."""
    _, what, given = step
    match what:
        case "take":
            got, said = await budgets.take(given), model.take(given, now)
            assert [one.count for one in got] == [one.count for one in said]
            waits = [one.wait for one in said]
            assert [one.wait for one in got] == pytest.approx(waits, rel=0, abs=within)
        case "give_back":
            await budgets.give_back(given)
            model.give_back(given)
        case "pause":
            name, ahead = given
            await budgets.pause(name, now + ahead)
            model.pause(name, now + ahead)
        case _:
            await budgets.resume(given)
            model.resume(given)
    assert await budgets.paused() == model.paused(now)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@settings(max_examples=30)
@given(played=steps(1))
def test_what_is_granted_is_what_the_pure_function_grants(kind: str, played: list[Step]) -> None:
    now = 1_790_000_000.0

    async def scenario(budgets: Budgets) -> None:
        nonlocal now
        model = Model()
        for step in played:
            now += step[0]
            await play(budgets, model, step, now, 0.0)
        await budgets.close()

    with TemporaryDirectory() as folder:
        file = Path(folder) / "g.db"
        asyncio.run(
            scenario(
                MemoryBudgets(lambda: now)
                if kind == "memory"
                else SqliteBudgets(file, timeout=5, clock=lambda: now)
            )
        )


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(played=steps(10_000))
def test_redis_grants_what_the_pure_function_grants(
    redis: RedisServer | GivenRedis, played: list[Step]
) -> None:
    """By its own clock: all is so slow that the time the test takes does not matter."""

    async def scenario() -> None:
        budgets = RedisBudgets(redis.url, timeout=5, prefix=f"{{{uuid4()}}}:")
        model, now = Model(), time.time()
        for step in played:
            await play(budgets, model, step, now, 1_000.0)
        await budgets.close()

    asyncio.run(scenario())


def test_in_redis_nothing_is_kept_for_longer_than_it_matters(
    redis: RedisServer | GivenRedis,
) -> None:
    async def scenario() -> None:
        budgets = RedisBudgets(redis.url, timeout=5)
        full = want(10, "full")
        await budgets.take([want(2), full, want(5, "free", None)])
        await budgets.give_back([full])
        await budgets.pause(NAME, time.time() + HOUR)
        await budgets.pause("other", time.time() + 2 * HOUR)
        await budgets.close()

    asyncio.run(scenario())
    with Redis.from_url(redis.url, decode_responses=True) as client:
        left = {str(key): client.ttl(key) for key in client.scan_iter()}
    assert left == {
        "{gateway}:budget:tat:main/template": pytest.approx(2_000, abs=120),
        "{gateway}:budget:paused": pytest.approx(2 * HOUR, abs=120),
    }


@pytest.fixture
def killable(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that a test may kill."""
    with redis_server(tmp_path / "redis") as server:
        yield server


async def all_are_down(budgets: Budgets) -> None:
    """See every method raise StoreDown."""
    for call in (
        budgets.take([want(1)]),
        budgets.take([want(1, rate=None)]),
        budgets.give_back([want(1)]),
        budgets.pause(NAME, HOUR),
        budgets.resume(NAME),
        budgets.paused(),
    ):
        with pytest.raises(StoreDown):
            await call
    await budgets.close()


def test_a_redis_that_is_gone_is_store_down(killable: RedisServer) -> None:
    async def scenario() -> None:
        budgets = RedisBudgets(killable.url, timeout=1)
        assert await count(budgets, want(1)) == [1]
        killable.kill()
        await all_are_down(budgets)

    asyncio.run(scenario())


def test_a_folder_in_the_place_of_the_file_is_store_down(tmp_path: Path) -> None:
    asyncio.run(all_are_down(SqliteBudgets(tmp_path, timeout=1)))
